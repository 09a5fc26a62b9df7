package httpcall

import (
	"net/http"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync"
	"testing"
	"time"

	"callfleet/internal/awstest"
	"callfleet/internal/blob"
	"callfleet/internal/blob/blobtest"
	"callfleet/internal/blob/natsblob"
	"callfleet/internal/blob/s3blob"
	"callfleet/internal/call"
	"callfleet/internal/claim"
	"callfleet/internal/evidence"
	"callfleet/internal/natsembed"
)

// TestMemoryOfLargeAnswers guards what the process holds while 20 answers of
// up to 50 MB, a gigabyte, go to a store at once: a buffer each. The broker and the
// API are in the process, too, with what they need.
func TestMemoryOfLargeAnswers(t *testing.T) { // not parallel: it measures the whole process
	if raceEnabled {
		t.Skip("the race detector's own memory is counted, too")
	}
	const calls, most = 20, 50_000_000
	data := blobtest.Data(most)
	api := serve(t, func(w http.ResponseWriter, r *http.Request) {
		size, err := strconv.Atoi(r.URL.Path[1:])
		if err != nil {
			panic(err)
		}
		w.Header().Set("Content-Length", strconv.Itoa(size))
		_, _ = w.Write(data[:size])
	})
	for name, row := range map[string]struct {
		open  func(t *testing.T) blob.Store
		size  int
		limit int64
	}{
		"nats": {jetStream, most, 200 << 20},
		"s3":   {bucket, most / 4, 200 << 20}, // the emulator takes 50 MB a second
	} {
		checker := claim.New(claim.Options{})
		checker.Bind(row.open(t))
		c := newClient(t, Options{Claims: checker, Timeout: 5 * time.Minute})
		before, peak := memory(), watchMemory()
		began := time.Now()
		var all sync.WaitGroup
		for range calls {
			all.Go(func() {
				res, err := c.Do(t.Context(), call.Rendered{Method: "GET", URL: api + "/" + strconv.Itoa(row.size)}, "run-1")
				if err != nil || res.BodyRef == nil || res.BodyRef.Bytes != int64(row.size) {
					t.Errorf("%s: got %+v, %v", name, res, err)
				}
			})
		}
		all.Wait()
		held := peak() - before
		t.Logf("%s: held %d MiB more at most, for %d answers of %d bytes at once, in %s", name, held>>20, calls, row.size, time.Since(began).Round(time.Millisecond))
		if held > row.limit {
			t.Errorf("%s: held %d MiB more at most, want %d", name, held>>20, row.limit>>20)
		}
	}
}

func jetStream(t *testing.T) blob.Store {
	server, err := natsembed.Start(natsembed.Options{StoreDir: t.TempDir(), Logger: evidence.Logger(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Shutdown)
	nc, err := server.Connect()
	if err != nil {
		t.Fatal(err)
	}
	s, err := natsblob.New(t.Context(), nc, natsblob.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func bucket(t *testing.T) blob.Store {
	s, err := s3blob.New(awstest.Moto(t).Config(), s3blob.Options{Bucket: awstest.Name("blobs")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Create(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

// watchMemory samples what the process holds until peak is called.
func watchMemory() (peak func() int64) {
	defer debug.FreeOSMemory()
	stop, most := make(chan struct{}), make(chan int64)
	go func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		var top uint64
		for {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			top = max(top, m.HeapInuse+m.StackInuse)
			select {
			case <-tick.C:
			case <-stop:
				most <- int64(top)
				return
			}
		}
	}()
	return func() int64 { close(stop); return <-most }
}
