package confirm

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"callfleet/internal/evidence"
	"callfleet/internal/natsembed"
	"callfleet/internal/queue"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestVerdict(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer    *nats.Msg
		ok        bool
		temporary bool
	}{
		"stored":               {answer: &nats.Msg{Data: []byte(`{"stream":"s","seq":1}`)}, ok: true},
		"duplicate":            {answer: &nats.Msg{Data: []byte(`{"stream":"s","seq":1,"duplicate":true}`)}, ok: true},
		"other order":          {answer: &nats.Msg{Data: []byte(`{"seq":1,"stream":"s"}`)}, ok: true},
		"ack recorded":         {answer: &nats.Msg{}, ok: true},
		"ack recorded, spoken": {answer: &nats.Msg{Data: []byte("+OK")}, ok: true},
		"no responder":         {answer: &nats.Msg{Header: nats.Header{"Status": {"503"}}}, temporary: true},
		"refused":              {answer: &nats.Msg{Data: []byte(`{"error":{"code":400,"err_code":10071},"stream":"s"}`)}},
		"too many":             {answer: &nats.Msg{Data: []byte(`{"error":{"code":429,"err_code":10167},"stream":"s"}`)}, temporary: true},
		"not ready":            {answer: &nats.Msg{Data: []byte(`{"error":{"code":503,"err_code":10008}}`)}, temporary: true},
		"broken":               {answer: &nats.Msg{Data: []byte(`{"error`)}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := verdict(c.answer)
			if (err == nil) != c.ok || Temporary(err) != c.temporary {
				t.Errorf("verdict %v, temporary %t", err, Temporary(err))
			}
		})
	}
}

// TestWait sends to a subject that somebody listens to and never answers.
func TestWait(t *testing.T) {
	t.Parallel()
	srv, err := natsembed.Start(natsembed.Options{StoreDir: evidence.Dir(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Shutdown)
	nc, err := srv.Connect()
	if err != nil {
		t.Fatal(err)
	}
	c, err := New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := nc.Subscribe("deaf", func(*nats.Msg) {}); err != nil {
		t.Fatal(err)
	}
	deaf := func() *nats.Msg { return &nats.Msg{Subject: "deaf"} }
	if err := c.Request(t.Context(), deaf(), 10*time.Millisecond); !errors.Is(err, ErrNoAnswer) {
		t.Errorf("silence: %v: want ErrNoAnswer", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Request(ctx, deaf(), time.Minute); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v: want the context's error", err)
	}
	if err := c.Request(t.Context(), &nats.Msg{Subject: "nobody"}, time.Minute); !errors.Is(err, ErrNoResponder) {
		t.Errorf("nobody there: %v: want ErrNoResponder", err)
	}
	l := NewCall()
	c.Send(l, 7, deaf())
	wake := c.Reconnected()
	nc.Close()
	if err := c.Wait(t.Context(), l, 0); err != nil {
		t.Fatal(err)
	}
	if failed := l.Failures(); len(failed) != 1 || failed[0].Index != 7 || !errors.Is(failed[0].Err, ErrDisconnected) {
		t.Errorf("failures %v: want message 7, ErrDisconnected", failed)
	}
	<-wake
	if err := c.Ready(t.Context()); !errors.Is(err, queue.ErrClosed) {
		t.Errorf("ready on a closed connection: %v: want ErrClosed", err)
	}
	if err := c.Request(t.Context(), deaf(), time.Minute); !errors.Is(err, nats.ErrConnectionClosed) || Temporary(err) {
		t.Errorf("request on a closed connection: %v", err)
	}
	if len(c.waiting) != 0 {
		t.Errorf("%d messages are still waited for", len(c.waiting))
	}
}
