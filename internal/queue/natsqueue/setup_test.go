package natsqueue_test

import (
	"testing"

	"go.uber.org/goleak"

	"callfleet/internal/natsembed"
	"callfleet/internal/queue/natsqueue"
)

func TestMain(m *testing.M) {
	if runChild() {
		return
	}
	goleak.VerifyTestMain(m)
}

// startBroker runs a server for one test.
func startBroker(tb testing.TB, o natsembed.Options) *natsembed.Server {
	tb.Helper()
	if o.StoreDir == "" {
		o.StoreDir = tb.TempDir()
	}
	srv, err := natsembed.Start(o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(srv.Shutdown)
	return srv
}

// openBroker opens a broker on a connection of its own inside the process.
func openBroker(tb testing.TB, srv *natsembed.Server) *natsqueue.Broker {
	tb.Helper()
	nc, err := srv.Connect()
	if err != nil {
		tb.Fatal(err)
	}
	b, err := natsqueue.New(tb.Context(), nc, natsqueue.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	return b
}
