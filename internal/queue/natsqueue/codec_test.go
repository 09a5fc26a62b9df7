package natsqueue

import (
	"bytes"
	"errors"
	"maps"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/nats-io/nats.go"

	"callfleet/internal/queue"
)

// overTheWire encodes msg as a client does and parses it as another one does.
func overTheWire(t *testing.T, msg *nats.Msg) *nats.Msg {
	t.Helper()
	var wire bytes.Buffer
	wire.WriteString("NATS/1.0\r\n")
	for name, values := range msg.Header {
		for _, value := range values {
			wire.WriteString(name + ": " + value + "\r\n")
		}
	}
	wire.WriteString("\r\n")
	h, err := nats.DecodeHeadersMsg(wire.Bytes())
	if err != nil {
		t.Fatalf("decode header block %q: %v", wire.Bytes(), err)
	}
	return &nats.Msg{Subject: msg.Subject, Header: h, Data: msg.Data}
}

// FuzzCodec sends any id, group and header value through the header block.
func FuzzCodec(f *testing.F) {
	f.Add("run-1", "tenant", "00-4bf92f35-00f0-01", false)
	f.Add("", "", "", true)
	f.Add(" a ", "50% off\r\nNats-Rollup: all", "\t\x00\x7f", true)
	f.Add("%41", "ä", "a: b", false)
	f.Fuzz(func(t *testing.T, id, group, value string, delayed bool) {
		if !utf8.ValidString(id + group + value) {
			t.Skip("headers are text")
		}
		want := queue.Message{ID: id, Group: group, Body: []byte("b"), Headers: map[string]string{"h": value}}
		msg := encode(&want, "s")
		now := time.Unix(1700000000, 42)
		if delayed {
			postpone(msg, "later", now, now.Add(time.Second))
			delete(msg.Header, nats.MsgIdHdr) // the server drops it
		}
		got, sent := decode(overTheWire(t, msg))
		if got.ID != id || got.Group != group || !maps.Equal(got.Headers, want.Headers) {
			t.Errorf("sent %+v, got %+v", want, got)
		}
		if delayed && !sent.Equal(now) {
			t.Errorf("sent at %s: want %s", sent, now)
		}
	})
}

func TestCheck(t *testing.T) {
	t.Parallel()
	limits := queue.Limits{MaxBytes: 100, MaxHeaders: 2, MaxDelay: time.Minute}
	for name, c := range map[string]struct {
		message  queue.Message
		tooLarge bool
		ok       bool
	}{
		"fits exactly":         {message: queue.Message{ID: "12", Group: "34", Body: make([]byte, 90), Headers: map[string]string{"abc": "def"}}, ok: true},
		"one byte more":        {message: queue.Message{ID: "12", Group: "34", Body: make([]byte, 91), Headers: map[string]string{"abc": "def"}}, tooLarge: true},
		"too many headers":     {message: queue.Message{Headers: map[string]string{"a": "", "b": "", "c": ""}}, tooLarge: true},
		"delay too long":       {message: queue.Message{Delay: time.Hour}, tooLarge: true},
		"server's header":      {message: queue.Message{Headers: map[string]string{"nats-rollup": "all"}}},
		"own header":           {message: queue.Message{Headers: map[string]string{"Cf-Id": "x"}}},
		"line break in name":   {message: queue.Message{Headers: map[string]string{"a\r\nb": "x"}}},
		"empty name":           {message: queue.Message{Headers: map[string]string{"": "x"}}},
		"dead letter again":    {message: queue.Message{Headers: map[string]string{queue.DeadLetterReason: "x"}}, ok: true},
		"dots and underscores": {message: queue.Message{Headers: map[string]string{"a.b_c-d": "x"}}, ok: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := check(&c.message, limits)
			if (err == nil) != c.ok || errors.Is(err, queue.ErrTooLarge) != c.tooLarge {
				t.Errorf("check: %v", err)
			}
		})
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", "a.b", "a b", "*", ">", "a/b", "ä", "a\n"} {
		if n, err := queueNames(bad); err == nil {
			t.Errorf("queue name %q is accepted: %+v", bad, n)
		}
	}
	n, err := queueNames("tasks-dlq")
	if err != nil || n.stream != "callfleet-tasks-dlq" || n.subject != "callfleet.tasks-dlq" || !n.deadLetter {
		t.Errorf("names %+v, %v", n, err)
	}
}
