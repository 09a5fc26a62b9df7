package message

import (
	"bytes"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"callfleet/internal/queue"
)

var wide = queue.Limits{MaxBytes: MaxBytes, MaxHeaders: maxHeaders, MaxDelay: maxDelay}

// arrive is what SQS makes of a message.
func arrive(o Outgoing) *types.Message {
	return &types.Message{
		MessageId: aws.String("sqs-id"), Body: &o.Body, MessageAttributes: o.Attributes,
		Attributes: map[string]string{"MessageGroupId": o.Group},
	}
}

func sameMessage(a, b queue.Message) bool {
	return a.ID == b.ID && a.Group == b.Group && bytes.Equal(a.Body, b.Body) && maps.Equal(a.Headers, b.Headers)
}

func headersOf(n int) map[string]string {
	h := map[string]string{"traceparent": "00-1-2-01", "tracestate": "a=b"}
	for i := len(h); i < n; i++ {
		h["h"+string(rune('0'+i))] = "v"
	}
	return h
}

func TestMessagesComeBack(t *testing.T) {
	t.Parallel()
	for name, m := range map[string]queue.Message{
		"nothing":                {},
		"id and body":            {ID: "r1-7", Body: []byte(`{"n":1}`)},
		"odd id and group":       {ID: "a&b=c\n%", Group: "tenant/ä 1"},
		"long group":             {Group: strings.Repeat("g", 200)},
		"binary":                 {Body: []byte{0, 1, 0xff}},
		"body like the stand-in": {Body: []byte(emptyBody)},
		"noncharacter":           {Body: []byte("a\uFFFEb")},
		"replacement character":  {Body: []byte("a\uFFFDb")},
		"odd headers":            {Headers: map[string]string{"empty": "", "control": "a\x00b", "amp": "a&h.x=y", "plain": "p"}},
		"ten headers":            {ID: "i", Headers: headersOf(10)},
	} {
		for _, fifo := range []bool{false, true} {
			o, err := Encode(&m, wide, fifo)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if got, err := Decode(arrive(o)); err != nil || !sameMessage(got, m) {
				t.Errorf("%s: came as %+v, %v: want %+v", name, got, err, m)
			}
			if len(o.Attributes) > maxAttributes-1 {
				t.Errorf("%s: %d attributes: want room for a reason", name, len(o.Attributes))
			}
			for _, v := range o.Attributes {
				if s := aws.ToString(v.StringValue); s == "" || !representable(s) {
					t.Errorf("%s: attribute value %q: SQS refuses it", name, s)
				}
			}
			if o.Body == "" || !representable(o.Body) || len(o.Group) > maxGroupID {
				t.Errorf("%s: body %q, group %q: SQS refuses one", name, o.Body, o.Group)
			}
			if fifo != (o.Dedup != "") || fifo && o.Group == "" {
				t.Errorf("%s: FIFO %t: dedup id %q, group %q", name, fifo, o.Dedup, o.Group)
			}
		}
	}
}

// TestTraceTravelsPlain has the trace in attributes of its own, where others
// read it, however many headers there are.
func TestTraceTravelsPlain(t *testing.T) {
	t.Parallel()
	o, err := Encode(&queue.Message{Headers: headersOf(10)}, wide, false)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"traceparent", "tracestate"} {
		if v := o.Attributes[name]; aws.ToString(v.StringValue) != headersOf(10)[name] || aws.ToString(v.DataType) != "String" {
			t.Errorf("attribute %s: %+v", name, v)
		}
	}
}

// TestForeignMessages are those of Step Functions, EventBridge or the AWS CLI.
func TestForeignMessages(t *testing.T) {
	t.Parallel()
	raw := &types.Message{
		MessageId: aws.String("sqs-id"), Body: aws.String(`{"taskToken":"t"}`),
		Attributes: map[string]string{"MessageGroupId": "tenant-1"},
		MessageAttributes: map[string]types.MessageAttributeValue{
			"traceparent": text("00-1-2-01"),
			"n":           {DataType: aws.String("Number"), StringValue: aws.String("12")},
			"b":           {DataType: aws.String("Binary"), BinaryValue: []byte{0, 1}},
			metaName:      text("somebody else's"),
		},
	}
	want := queue.Message{
		ID: "sqs-id", Group: "tenant-1", Body: []byte(`{"taskToken":"t"}`),
		Headers: map[string]string{"traceparent": "00-1-2-01", "n": "12", "b": "\x00\x01", metaName: "somebody else's"},
	}
	if got, err := Decode(raw); err != nil || !sameMessage(got, want) {
		t.Errorf("came as %+v, %v: want %+v", got, err, want)
	}
}

func TestBadMeta(t *testing.T) {
	t.Parallel()
	for _, meta := range []string{"v=1&body=gzip", "v=1&id=%zz", "v=1&body=base64"} {
		raw := &types.Message{Body: aws.String("!"), MessageAttributes: map[string]types.MessageAttributeValue{metaName: text(meta)}}
		if _, err := Decode(raw); err == nil {
			t.Errorf("%s: want an error", meta)
		}
	}
}

func TestRefusedMessages(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		m    queue.Message
		fifo bool
		want error // nil: any
	}{
		"too many headers":         {queue.Message{Headers: headersOf(11)}, false, queue.ErrTooLarge},
		"delay":                    {queue.Message{Delay: maxDelay + 1}, false, queue.ErrTooLarge},
		"delay on FIFO":            {queue.Message{Delay: 1}, true, queue.ErrTooLarge},
		"binary grows":             {queue.Message{Body: make([]byte, MaxBytes*4/5)}, false, queue.ErrTooLarge},
		"header in the meta grows": {queue.Message{Headers: map[string]string{"h": strings.Repeat("\x00", MaxBytes/3)}}, false, queue.ErrTooLarge},
		"header name":              {queue.Message{Headers: map[string]string{"a b": "c"}}, false, nil},
		"no header name":           {queue.Message{Headers: map[string]string{"": "c"}}, false, nil},
		"dots":                     {queue.Message{Headers: map[string]string{"a..b": "c"}}, false, nil},
		"own header":               {queue.Message{Headers: map[string]string{metaName: "c"}}, false, nil},
		"AWS's header":             {queue.Message{Headers: map[string]string{"AWS.x": "c"}}, false, nil},
		"long header name":         {queue.Message{Headers: map[string]string{strings.Repeat("h", 257): "c"}}, false, nil},
	} {
		l := Limits(0, row.fifo)
		if _, err := Encode(&row.m, l, row.fifo); err == nil || row.want != nil && !errors.Is(err, row.want) {
			t.Errorf("%s: %v: want %v", name, err, row.want)
		}
	}
}

// TestSize counts as SQS does: body, and name, type and value of attributes.
func TestSize(t *testing.T) {
	t.Parallel()
	o, err := Encode(&queue.Message{ID: "ab", Body: []byte("12345"), Headers: map[string]string{"h": "xyz"}}, wide, false)
	if want := 5 + len("h"+"String"+"xyz") + len("callfleet"+"String"+"v=1&id=ab"); err != nil || o.Size != want {
		t.Errorf("size %d, %v: want %d", o.Size, err, want)
	}
}

func TestDelayIsRoundedUp(t *testing.T) {
	t.Parallel()
	for delay, want := range map[time.Duration]int32{-1: 0, 0: 0, 1: 1, time.Second: 1, 1001 * time.Millisecond: 2, maxDelay: 900} {
		if o, err := Encode(&queue.Message{Delay: delay}, wide, false); err != nil || o.Delay != want {
			t.Errorf("delay %s: %d seconds, %v: want %d", delay, o.Delay, err, want)
		}
	}
}

func TestLimitsFollowTheQueue(t *testing.T) {
	t.Parallel()
	for have, want := range map[int]int{0: MaxBytes, 256 << 10: 256 << 10, 4 << 20: MaxBytes} {
		if got := Limits(have, false).MaxBytes; got != want-reasonReserve {
			t.Errorf("queue of %d bytes: limit %d: want %d", have, got, want-reasonReserve)
		}
	}
}

// FuzzCodec sends anything, and reads anything.
func FuzzCodec(f *testing.F) {
	f.Add("id", "group", []byte("body"), "value", "v=1&id=a&h.b=c&body=base64")
	f.Add("", "ä ", []byte{0}, "\x00", "v=1&&=&h.=%")
	f.Fuzz(func(t *testing.T, id, group string, body []byte, value, meta string) {
		m := queue.Message{ID: id, Group: group, Body: body, Headers: map[string]string{"h": value}}
		if o, err := Encode(&m, wide, false); err == nil {
			if got, err := Decode(arrive(o)); err != nil || !sameMessage(got, m) {
				t.Errorf("came as %+v, %v: want %+v", got, err, m)
			}
		}
		_, _ = Decode(&types.Message{Body: &value, MessageAttributes: map[string]types.MessageAttributeValue{metaName: text(meta)}})
	})
}
