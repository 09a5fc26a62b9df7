package httpcall

import (
	"context"
	"net"
	"runtime"
	"sync"
	"testing"
	"time"

	"callfleet/internal/call"
	"callfleet/internal/httpcall/egress/egresstest"
)

// silent is a server that accepts connections and answers when told, with no
// goroutine and no buffer for a connection: what is measured is the client.
type silent struct {
	listener net.Listener
	accepted chan net.Conn
}

func newSilent(t testing.TB) *silent {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &silent{listener: l, accepted: make(chan net.Conn, 1<<16)}
	go func() {
		defer close(s.accepted)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.accepted <- c
		}
	}()
	t.Cleanup(func() { l.Close() })
	return s
}

// memory is what the process holds in heap and stacks after a collection.
func memory() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse + m.StackInuse)
}

// TestMemoryOfWaitingCall guards the size of a call that waits for a slow API.
func TestMemoryOfWaitingCall(t *testing.T) { // not parallel: it measures the whole process
	const calls, limit = 1000, 20 << 10
	if raceEnabled {
		t.Skip("the race detector's own memory is counted, too")
	}
	s := newSilent(t)
	c, err := New(Options{Slots: calls, Egress: egresstest.Loopback()})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	before := memory()
	var done sync.WaitGroup
	errs := make(chan error, calls)
	for range calls {
		done.Go(func() {
			_, err := c.Do(context.Background(), call.Rendered{Method: "POST", URL: "http://" + s.listener.Addr().String() + "/slow",
				Header: []call.Header{{Name: "Content-Type", Value: "application/json"}}, Body: []byte(`{"a":1}`), Timeout: time.Minute}, "run-1")
			errs <- err
		})
	}
	conns := make([]net.Conn, 0, calls)
	for range calls {
		conns = append(conns, <-s.accepted)
	}
	per := (memory() - before) / calls
	t.Logf("%d bytes per waiting call", per)
	if per > limit {
		t.Errorf("a waiting call holds %d bytes, want at most %d", per, limit)
	}
	for _, conn := range conns {
		conn.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"))
		conn.Close()
	}
	done.Wait()
	for range calls {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
}
