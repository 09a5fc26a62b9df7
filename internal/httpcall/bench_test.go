package httpcall

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"callfleet/internal/call"
)

// BenchmarkDo sets a call beside a bare loop over net/http's client against
// the same server, whose own work is part of both.
func BenchmarkDo(b *testing.B) {
	url := serve(b, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"ok":true,"id":42}`)
	})
	body := []byte(`{"name":"value"}`)
	b.Run("bare", func(b *testing.B) {
		client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 256}, Timeout: 30 * time.Second}
		defer client.CloseIdleConnections()
		b.ReportAllocs()
		b.SetParallelism(32)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				req, err := http.NewRequestWithContext(context.Background(), "POST", url, bytes.NewReader(body))
				if err != nil {
					b.Fatal(err)
				}
				req.Header.Set("Content-Type", "application/json")
				res, err := client.Do(req)
				if err != nil {
					b.Fatal(err)
				}
				io.ReadAll(res.Body)
				res.Body.Close()
			}
		})
	})
	b.Run("httpcall", func(b *testing.B) {
		c := newClient(b, Options{})
		r := call.Rendered{Method: "POST", URL: url, Body: body, Header: []call.Header{{Name: "Content-Type", Value: "application/json"}}}
		b.ReportAllocs()
		b.SetParallelism(32)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := c.Do(context.Background(), r, "run-1"); err != nil {
					b.Fatal(err)
				}
			}
		})
	})
}

// BenchmarkPlan is what comes before a request is sent, the host's form among
// it.
func BenchmarkPlan(b *testing.B) {
	c := newClient(b, Options{})
	r := call.Rendered{Method: "POST", URL: "https://payments.api.example:8443/v1/charges?expand=1", Body: []byte("{}"),
		Header: []call.Header{{Name: "Content-Type", Value: "application/json"}}}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.plan(r, "run-1"); err != nil {
			b.Fatal(err)
		}
	}
}

func TestPause(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if (pause{length: time.Hour}).fits(ctx) || !(pause{length: time.Hour - 1}).fits(ctx) || !(pause{length: 99 * time.Hour}).fits(t.Context()) {
			t.Error("a pause must end before the deadline, if there is one")
		}
		began := time.Now()
		if err := (pause{length: 10 * time.Minute}).sleep(ctx); err != nil || time.Since(began) != 10*time.Minute {
			t.Errorf("slept %s, %v, want ten minutes", time.Since(began), err)
		}
	})
}

func TestBackoffIsFullJitter(t *testing.T) {
	t.Parallel()
	p := Options{BaseDelay: 100 * time.Millisecond, MaxDelay: 400 * time.Millisecond}.policy(nil)
	var least, most [5]time.Duration
	for i := range least {
		least[i] = time.Hour
	}
	for range 500 {
		b := p.backoff()
		for i := range least {
			d := b.NextBackOff()
			least[i], most[i] = min(least[i], d), max(most[i], d)
		}
	}
	for i, bound := range []time.Duration{100, 200, 400, 400, 400} {
		bound *= time.Millisecond
		if least[i] > bound/5 || most[i] < bound*4/5 || most[i] > bound+time.Microsecond {
			t.Errorf("pause %d is between %s and %s, want anything up to %s", i+1, least[i], most[i], bound)
		}
	}
}
