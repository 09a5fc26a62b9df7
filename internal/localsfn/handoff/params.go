package handoff

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
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
// HTTP exchange: SdkHttpMetadata and SdkResponseMetadata.
func withMetadata(members []expr.Member, id string, headers []header) expr.Value {
	all := make([]expr.Member, len(headers))
	one := make([]expr.Member, len(headers))
	for i, h := range headers {
		all[i] = expr.Member{Key: h.name, Value: expr.Array(expr.String(h.value))}
		one[i] = expr.Member{Key: h.name, Value: expr.String(h.value)}
	}
	return expr.Object(append(members,
		expr.Member{Key: "SdkHttpMetadata", Value: expr.Object(
			expr.Member{Key: "AllHttpHeaders", Value: expr.Object(all...)},
			expr.Member{Key: "HttpHeaders", Value: expr.Object(one...)},
			expr.Member{Key: "HttpStatusCode", Value: expr.Int(200)},
		)},
		expr.Member{Key: "SdkResponseMetadata", Value: expr.Object(expr.Member{Key: "RequestId", Value: expr.String(id)})},
	)...)
}

// jsonHeaders are the headers of an AWS JSON 1.0 service's answer.
func jsonHeaders(id string, size int) []header {
	return []header{
		{"x-amzn-RequestId", id},
		{"Connection", "keep-alive"},
		{"Content-Length", strconv.Itoa(size)},
		{"Date", time.Now().UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT")},
		{"Content-Type", "application/x-amz-json-1.0"},
	}
}
