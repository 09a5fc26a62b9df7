package handoff

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"callfleet/internal/localsfn/expr"
)

// params are the members of a task's parameters.
type params struct{ expr.Value }

func readParams(v expr.Value) (params, error) {
	if v.Kind() != expr.KindObject {
		return params{}, &Failure{Name: "States.Runtime", Cause: "The parameters of the task must be a JSON object."}
	}
	return params{v}, nil
}

// text is a member that must be a string; "" if it is missing or null.
func (p params) text(name string) (string, error) {
	v := p.Get(name)
	switch v.Kind() {
	case expr.Absent, expr.KindNull:
		return "", nil
	case expr.KindString:
		return v.Text(), nil
	}
	return "", &Failure{Name: "States.Runtime", Cause: fmt.Sprintf("The Parameters field %s must be a STRING.", name)}
}

// requestID is random, in the form of a UUID.
func requestID() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	h := hex.EncodeToString(b[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// header is one line of a service's answer.
type header struct{ name, value string }

// withMetadata adds to a service's answer what Step Functions shows of the
// HTTP exchange: SdkHttpMetadata and SdkResponseMetadata. It is written as
// text: nobody looks into it on the way to the history.
func withMetadata(members []expr.Member, id string, headers []header) expr.Value {
	b := make([]byte, 0, 768)
	b = append(b, `{"AllHttpHeaders":{`...)
	for i, h := range headers {
		b = h.append(b, i > 0, `["`, `"]`)
	}
	b = append(b, `},"HttpHeaders":{`...)
	for i, h := range headers {
		b = h.append(b, i > 0, `"`, `"`)
	}
	b = append(b, `},"HttpStatusCode":200}`...)
	return expr.Object(append(members,
		expr.Member{Key: "SdkHttpMetadata", Value: expr.Raw(b)},
		expr.Member{Key: "SdkResponseMetadata", Value: expr.Raw(json.RawMessage(`{"RequestId":"` + id + `"}`))},
	)...)
}

// append writes one member; names and values here need no escaping.
func (h header) append(b []byte, comma bool, open, end string) []byte {
	if comma {
		b = append(b, ',')
	}
	b = append(b, '"')
	b = append(b, h.name...)
	b = append(b, `":`...)
	b = append(b, open...)
	b = append(b, h.value...)
	return append(b, end...)
}

// jsonHeaders are the headers of an AWS JSON 1.0 service's answer.
func jsonHeaders(id string, size int) []header {
	return []header{
		{"x-amzn-RequestId", id},
		{"Connection", "keep-alive"},
		{"Content-Length", strconv.Itoa(size)},
		{"Date", httpDate()},
		{"Content-Type", "application/x-amz-json-1.0"},
	}
}

func httpDate() string { return time.Now().UTC().Format(http.TimeFormat) }
