package natsembed_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"callfleet/internal/evidence"
	"callfleet/internal/natsembed"
)

// childEnv makes the test program hold this store directory until it is killed.
const childEnv = "NATSEMBED_TEST_STORE"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		holdStore(dir)
		return
	}
	goleak.VerifyTestMain(m)
}

// holdStore writes a message and waits for the parent to kill this process.
func holdStore(dir string) {
	srv, err := natsembed.Start(natsembed.Options{StoreDir: dir})
	if err == nil {
		err = store(srv, "before the kill")
	}
	fmt.Println(err)
	_, _ = io.Copy(io.Discard, os.Stdin)
}

func store(srv *natsembed.Server, text string) error {
	nc, err := srv.Connect()
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if _, err := js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{Name: "s", Subjects: []string{"s"}}); err != nil {
		return err
	}
	_, err = js.Publish(ctx, "s", []byte(text))
	return err
}

func start(t *testing.T, o natsembed.Options) *natsembed.Server {
	t.Helper()
	if o.StoreDir == "" {
		o.StoreDir = t.TempDir()
	}
	srv, err := natsembed.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Shutdown)
	return srv
}

// messages counts what store put there.
func messages(t *testing.T, nc *nats.Conn) uint64 {
	t.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	s, err := js.Stream(t.Context(), "s")
	if err != nil {
		t.Fatal(err)
	}
	return s.CachedInfo().State.Msgs
}

func TestDataSurvivesShutdown(t *testing.T) {
	t.Parallel()
	for _, d := range []natsembed.Durability{"", natsembed.DurabilityProcess, natsembed.DurabilityPower} {
		t.Run("durability "+string(d), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			srv := start(t, natsembed.Options{StoreDir: dir, Durability: d})
			if err := store(srv, "x"); err != nil {
				t.Fatal(err)
			}
			if srv.URL() != "" {
				t.Errorf("url %q of a server that was not asked to listen", srv.URL())
			}
			srv.Shutdown()
			srv.Shutdown()
			if _, err := srv.Connect(); err == nil {
				t.Error("connect after shutdown: want an error")
			}
			nc, err := start(t, natsembed.Options{StoreDir: dir}).Connect()
			if err != nil {
				t.Fatal(err)
			}
			if n := messages(t, nc); n != 1 {
				t.Errorf("%d messages after the restart: want 1", n)
			}
			if nc.MaxPayload() != natsembed.MaxPayload {
				t.Errorf("max payload %d: want %d", nc.MaxPayload(), natsembed.MaxPayload)
			}
		})
	}
}

// TestStoreHasOneOwner has another process on the directory, and then kills it.
func TestStoreHasOneOwner(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+dir)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said := make([]byte, 64)
	if n, err := stdout.Read(said); err != nil || string(said[:n]) != "<nil>\n" {
		t.Fatalf("other process: %q, %v", said[:n], err)
	}

	_, err = natsembed.Start(natsembed.Options{StoreDir: dir})
	if !errors.Is(err, natsembed.ErrInUse) {
		t.Fatalf("start on a directory in use: %v: want ErrInUse", err)
	}
	for _, want := range []string{fmt.Sprintf("process %d", cmd.Process.Pid), dir, "choose another directory"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q does not say %q", err, want)
		}
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()

	nc, err := start(t, natsembed.Options{StoreDir: dir}).Connect()
	if err != nil {
		t.Fatal(err)
	}
	if n := messages(t, nc); n != 1 {
		t.Errorf("%d messages after kill -9: want 1", n)
	}
}

func TestListen(t *testing.T) {
	t.Parallel()
	srv := start(t, natsembed.Options{Listen: "127.0.0.1:0"})
	if !strings.HasPrefix(srv.URL(), "nats://127.0.0.1:") {
		t.Fatalf("url %q", srv.URL())
	}
	nc, err := nats.Connect(srv.URL())
	if err != nil {
		t.Fatal(err)
	}
	nc.Close()

	address := strings.TrimPrefix(srv.URL(), "nats://")
	dir := t.TempDir()
	_, err = natsembed.Start(natsembed.Options{StoreDir: dir, Listen: address})
	if !errors.Is(err, natsembed.ErrAddressInUse) || !strings.Contains(err.Error(), address) {
		t.Errorf("start on a taken port: %v: want ErrAddressInUse and the address", err)
	}
	start(t, natsembed.Options{StoreDir: dir}) // the failed start left no lock
}

func TestListensOnlyOnLoopback(t *testing.T) {
	t.Parallel()
	for _, listen := range []string{"0.0.0.0:0", "[::]:0", "10.0.0.1:4222", "example.com:4222"} {
		_, err := natsembed.Start(natsembed.Options{StoreDir: evidence.Dir(t), Listen: listen})
		if err == nil || !strings.Contains(err.Error(), "loopback") {
			t.Errorf("listen on %s: %v: want a refusal", listen, err)
		}
	}
	host, _, err := net.SplitHostPort(strings.TrimPrefix(start(t, natsembed.Options{Listen: ":0"}).URL(), "nats://"))
	if err != nil || host != "127.0.0.1" {
		t.Errorf("listen on :0: host %q, %v: want 127.0.0.1", host, err)
	}
}

func TestMistakesAreReportedTogether(t *testing.T) {
	t.Parallel()
	_, err := natsembed.Start(natsembed.Options{Durability: "fast", Listen: "4222"})
	if err == nil {
		t.Fatal("want an error")
	}
	for _, want := range []string{"store directory", `"fast"`, `"4222"`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q does not speak of %s", err, want)
		}
	}
}

func TestQuiet(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	srv := start(t, natsembed.Options{Logger: evidence.LoggerTo(t, slog.NewTextHandler(&log, nil))})
	if err := store(srv, "x"); err != nil {
		t.Fatal(err)
	}
	srv.Shutdown()
	if log.Len() > 0 {
		t.Errorf("an uneventful life was logged:\n%s", &log)
	}
}

func BenchmarkStart(b *testing.B) {
	dir := b.TempDir()
	for b.Loop() {
		begin := time.Now()
		srv, err := natsembed.Start(natsembed.Options{StoreDir: dir})
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(time.Since(begin).Microseconds())/1000, "ms/start")
		srv.Shutdown()
	}
}
