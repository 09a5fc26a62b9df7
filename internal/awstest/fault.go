package awstest

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"time"
)

// Fault answers a request in the emulator's place, or spoils its answer.
type Fault func(*Exchange)

// Exchange is a request with what it takes to answer it.
type Exchange struct {
	Operation string
	Request   *http.Request
	Writer    http.ResponseWriter
	proxy     *Proxy
}

// Pass is no fault: the emulator answers.
func Pass(x *Exchange) { x.forward(x.Writer) }

// Down breaks the connection before the emulator has seen the request, as when
// there is no server.
func Down(x *Exchange) { x.reset() }

// Lost breaks the connection after the emulator has done what was asked.
func Lost(x *Exchange) {
	x.forward(httptest.NewRecorder())
	x.reset()
}

// Status is an answer without a body that a client could read, such as 500 or
// 503 from something in between.
func Status(code int) Fault {
	return func(x *Exchange) { x.Writer.WriteHeader(code) }
}

// Delay passes the request after a while, unless the client gives up before.
func Delay(d time.Duration) Fault {
	return func(x *Exchange) {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
			Pass(x)
		case <-x.Request.Context().Done():
			x.reset()
		}
	}
}

// Throttled refuses in the way of the service that was asked.
func Throttled(x *Exchange) {
	r := refusal{http.StatusBadRequest, "com.amazon.coral.availability#ThrottlingException", "Throttling", "Rate exceeded"}
	switch x.service() {
	case "sqs":
		r.kind, r.code, r.message = "com.amazonaws.sqs#RequestThrottled", "RequestThrottled", "Request is throttled."
	case "dynamodb":
		r.kind = "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException"
		r.message = "The level of configured provisioned throughput for the table was exceeded."
	}
	x.refuse(r)
}

// Expired refuses the credentials as temporary ones whose time is over.
func Expired(x *Exchange) {
	x.refuse(refusal{http.StatusForbidden, "com.amazon.coral.service#ExpiredTokenException", "ExpiredToken",
		"The security token included in the request is expired"})
}

// Denied refuses for a lack of permission.
func Denied(x *Exchange) {
	x.refuse(refusal{http.StatusForbidden, "com.amazon.coral.service#AccessDeniedException", "AccessDenied",
		fmt.Sprintf("User: arn:aws:iam::%s:user/test is not authorized to perform: %s:%s", Account, x.service(), x.Operation)})
}

// Missing says that there is no such queue.
func Missing(x *Exchange) {
	x.refuse(refusal{http.StatusBadRequest, "com.amazonaws.sqs#QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue",
		"The specified queue does not exist."})
}

// badSignature is what a request gets whose date is far from the service's.
func badSignature(x *Exchange) {
	x.refuse(refusal{http.StatusForbidden, "com.amazon.coral.service#InvalidSignatureException", "SignatureDoesNotMatch",
		"Signature expired: " + x.Request.Header.Get("X-Amz-Date") + " is not within 5 min. of " + x.Writer.Header().Get("Date")})
}

// signedOff reports whether a request was signed too far from now.
func (x *Exchange) signedOff(now time.Time) bool {
	signed, err := time.Parse("20060102T150405Z", x.Request.Header.Get("X-Amz-Date"))
	return err == nil && now.Sub(signed).Abs() > 5*time.Minute
}

// forward gives the request to the emulator.
func (x *Exchange) forward(w http.ResponseWriter) {
	x.proxy.mu.Lock()
	x.proxy.passed[x.Operation]++
	x.proxy.mu.Unlock()
	x.proxy.pass.ServeHTTP(w, x.Request)
}

// reset breaks the client's connection, without the courtesy of closing it.
func (x *Exchange) reset() {
	conn, _, err := http.NewResponseController(x.Writer).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // the server closes it
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// refusal is an error of a service: its shape's name, and its code of old, which
// SQS and the services that are asked by forms still give.
type refusal struct {
	status              int
	kind, code, message string
}

// refuse answers in the service's form: JSON, with a header more for SQS, or XML
// where the request was a form.
func (x *Exchange) refuse(r refusal) {
	h := x.Writer.Header()
	if x.Request.Header.Get("X-Amz-Target") == "" {
		h.Set("Content-Type", "text/xml")
		x.Writer.WriteHeader(r.status)
		_, _ = fmt.Fprintf(x.Writer, "<ErrorResponse><Error><Type>Sender</Type><Code>%s</Code><Message>%s</Message></Error></ErrorResponse>", r.code, r.message)
		return
	}
	if x.service() == "sqs" {
		h.Set("X-Amzn-Query-Error", r.code+";Sender")
	}
	h.Set("Content-Type", "application/x-amz-json-1.0")
	x.Writer.WriteHeader(r.status)
	body, _ := json.Marshal(map[string]string{"__type": r.kind, "message": r.message}) // strings have JSON
	_, _ = x.Writer.Write(body)
}

// service is the name that the request was signed for, "sqs" of
// "… Credential=KEY/DAY/REGION/sqs/aws4_request, …".
func (x *Exchange) service() string {
	credential, _, _ := strings.Cut(x.Request.Header.Get("Authorization"), ",")
	if parts := strings.Split(credential, "/"); len(parts) == 5 {
		return parts[3]
	}
	return ""
}

// newExchange reads the whole request: only then does the server see a client
// leave.
func newExchange(p *Proxy, w http.ResponseWriter, r *http.Request) (*Exchange, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	x := &Exchange{Request: r, Writer: w, proxy: p}
	// "SendMessage" of "AmazonSQS.SendMessage", or the action of the services that
	// are asked by forms, of which STS is one.
	if _, op, ok := strings.Cut(r.Header.Get("X-Amz-Target"), "."); ok {
		x.Operation = op
	} else {
		form, _ := url.ParseQuery(string(body)) // what is no form has no action
		x.Operation = cmp.Or(form.Get("Action"), r.URL.Path)
	}
	return x, nil
}

// dated writes answers with a date that is off.
type dated struct {
	http.ResponseWriter
	date string
}

func newDated(w http.ResponseWriter, date time.Time) *dated {
	d := &dated{w, date.UTC().Format(http.TimeFormat)}
	d.Header().Set("Date", d.date)
	return d
}

// WriteHeader comes after the emulator's own date.
func (d *dated) WriteHeader(status int) {
	d.Header().Set("Date", d.date)
	d.ResponseWriter.WriteHeader(status)
}

// Unwrap is for http.ResponseController.
func (d *dated) Unwrap() http.ResponseWriter { return d.ResponseWriter }
