package journal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// bundle is a run on a directory of its own.
type bundle struct {
	root, file string
	run        *Run
}

func setup(t *testing.T) *bundle {
	t.Helper()
	b := &bundle{root: filepath.Join(t.TempDir(), "runs"), file: filepath.Join(t.TempDir(), "calls.jsonl")}
	if err := os.WriteFile(b.file, []byte("{}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	b.run = b.create(t, "a", time.Time{})
	return b
}

func (b *bundle) create(t *testing.T, id string, created time.Time) *Run {
	t.Helper()
	r, err := Create(b.root, id)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	m := Meta{Created: created, Queue: "requests"}
	if err := errors.Join(m.Describe(b.file), r.Commit(m)); err != nil {
		t.Fatal(err)
	}
	return r
}

// reopen closes the run and opens it again.
func (b *bundle) reopen(t *testing.T) *Run {
	t.Helper()
	if err := b.run.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := Open(b.root, "a")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	b.run = r
	return r
}

func (b *bundle) append(t *testing.T, name, text string) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(b.root, "a", name), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

func (b *bundle) size(t *testing.T, name string) int64 {
	t.Helper()
	info, err := os.Stat(filepath.Join(b.root, "a", name))
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

func TestReplayGivesBackWhatWasWritten(t *testing.T) {
	t.Parallel()
	b := setup(t)
	at := time.Date(2026, 1, 31, 12, 0, 0, 5000, time.UTC)
	mixed := SampledTraces([]bool{true, false, false, true, true, true, true, true, true, true})
	err := errors.Join(
		b.run.Intend(Batch{Number: 1, From: 1, To: 10, At: at, Traces: mixed}),
		b.run.Intend(Batch{Number: 2, From: 12, To: 20, At: at, Traces: SampledTraces([]bool{true, true})}),
		b.run.Acked(1),
		b.run.Append(Result{ID: "a-2", Line: 2, Status: "SUCCEEDED"}, Result{ID: "a-100000", Line: 100000, Status: "FAILED"}),
		b.run.Flush(),
	)
	if err != nil {
		t.Fatal(err)
	}
	meta := b.run.Meta()
	var got []Result
	s, err := b.reopen(t).Replay(func(r Result) { got = append(got, r) })
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || got[1].ID != "a-100000" || s.Done.Len() != 2 || !s.Done.Has(2) || !s.Done.Has(100000) || s.Done.Has(3) || s.Done.Has(1<<40) {
		t.Errorf("results %+v, %d done", got, s.Done.Len())
	}
	if s.Batches.High() != 20 || !s.Batches[0].Acked || s.Batches[1].Acked || !s.Batches[0].At.Equal(at) {
		t.Errorf("batches %+v", s.Batches)
	}
	for i, want := range mixed.sampled {
		if on, sampled := s.Batches[0].Traces.Of(i); !on || sampled != want {
			t.Errorf("trace %d: %t %t", i, on, sampled)
		}
	}
	for line, want := range map[int64]int64{1: 1, 10: 1, 12: 2, 20: 2} {
		if b := s.Batches.Find(line); b == nil || b.Number != want {
			t.Errorf("line %d is in batch %+v, want %d", line, b, want)
		}
	}
	for _, line := range []int64{0, 11, 21} {
		if b := s.Batches.Find(line); b != nil {
			t.Errorf("line %d is in batch %+v", line, b)
		}
	}
	if b.run.Meta() != meta || meta.Seed == "" || meta.Created.IsZero() {
		t.Errorf("meta is %+v, was %+v", b.run.Meta(), meta)
	}
}

func TestTracesAsText(t *testing.T) {
	t.Parallel()
	for want, traces := range map[string]Traces{
		"off": {}, "sampled": SampledTraces([]bool{true, true}), "unsampled": SampledTraces([]bool{false}), "bits:Ag": SampledTraces([]bool{false, true}),
	} {
		if got := traces.String(); got != want {
			t.Errorf("traces are %q, want %q", got, want)
		}
		back, err := parseTraces(want)
		if err != nil || back.String() != want {
			t.Errorf("%s is read as %q, %v", want, back, err)
		}
	}
	for _, text := range []string{"", "on", "bits:", "bits:!"} {
		if traces, err := parseTraces(text); err == nil && text != "bits:" {
			t.Errorf("%q is read as %v", text, traces)
		}
	}
}

// A file that ends inside a line is cut after its last whole one, for every
// length of the torn end.
func TestTornEndsAreCutOff(t *testing.T) {
	t.Parallel()
	intent := `{"batch":2,"from":5,"to":9,"at":"2026-01-31T12:00:00Z","traces":"off"}`
	result := `{"id":"a-2","line":2,"status":"SUCCEEDED"}`
	for name, torn := range map[string]string{publishFile: intent, resultsFile: result} {
		for n := 1; n <= len(torn); n += 7 {
			t.Run(fmt.Sprintf("%s/%d", name, n), func(t *testing.T) {
				t.Parallel()
				b := setup(t)
				if err := errors.Join(b.run.Intend(Batch{Number: 1, From: 1, To: 4}), b.run.Append(Result{Line: 1}), b.run.Flush()); err != nil {
					t.Fatal(err)
				}
				size := b.size(t, name)
				b.append(t, name, torn[:n])
				for range 2 { // the second time nothing is torn
					s, err := b.reopen(t).Replay(nil)
					if err != nil || s.Batches.High() != 4 || s.Done.Len() != 1 {
						t.Fatalf("high %d, done %d, %v", s.Batches.High(), s.Done.Len(), err)
					}
					if got := b.size(t, name); got != size {
						t.Errorf("file has %d bytes, want %d", got, size)
					}
				}
				if err := errors.Join(b.run.Intend(Batch{Number: 2, From: 5, To: 9}), b.run.Append(Result{Line: 2}), b.run.Flush()); err != nil {
					t.Fatal(err)
				}
				s, err := b.reopen(t).Replay(nil)
				if err != nil || s.Batches.High() != 9 || s.Done.Len() != 2 {
					t.Errorf("after going on: %+v, %v", s, err)
				}
			})
		}
	}
}

func TestDamageInTheMiddleIsAnError(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		resultsFile: "{\"line\":1,\"status\":\"\"}\n{\"li\n{\"line\":2,\"status\":\"\"}\n",
		publishFile: "{\"acked\":7}\n{\"batch\":1,\"from\":1,\"to\":2,\"traces\":\"off\"}\n",
	} {
		b := setup(t)
		b.append(t, name, text)
		if _, err := b.reopen(t).Replay(nil); err == nil || !strings.Contains(err.Error(), "damaged") {
			t.Errorf("%s: %v", name, err)
		}
		if got := b.size(t, name); got != int64(len(text)) {
			t.Errorf("%s: a damaged file was changed", name)
		}
	}
}

func TestARunBelongsToOneProcess(t *testing.T) {
	t.Parallel()
	b := setup(t)
	if _, err := Open(b.root, "a"); !errors.Is(err, ErrLocked) {
		t.Errorf("open: %v, want %v", err, ErrLocked)
	}
	b.reopen(t)
	if err := b.run.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Create(b.root, "a"); !errors.Is(err, ErrExists) {
		t.Errorf("create: %v, want %v", err, ErrExists)
	}
}

func TestARunExistsAfterCommitOnly(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	r, err := Create(root, "b")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(root, "b"); !errors.Is(err, ErrNoRun) {
		t.Errorf("open: %v, want %v", err, ErrNoRun)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if r, err = Create(root, "b"); err != nil {
		t.Fatalf("create again: %v", err)
	}
	if err := r.Discard(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(root, "b")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("discarded run: %v", err)
	}
}

func TestLatest(t *testing.T) {
	t.Parallel()
	b := setup(t)
	if _, err := Latest(filepath.Join(b.root, "none"), b.file); !errors.Is(err, ErrNoRun) {
		t.Errorf("no directory: %v", err)
	}
	if _, err := Latest(b.root, b.file+"x"); !errors.Is(err, ErrNoRun) {
		t.Errorf("another file: %v", err)
	}
	b.create(t, "zz", time.Unix(1000, 0))
	b.create(t, "c", time.Now().Add(time.Hour))
	if run, err := Latest(b.root, b.file); err != nil || run != "c" {
		t.Errorf("latest is %q, %v", run, err)
	}
}

func TestFinish(t *testing.T) {
	t.Parallel()
	b := setup(t)
	if err := b.run.Finish(); err != nil {
		t.Fatal(err)
	}
	if m := b.reopen(t).Meta(); m.Finished.IsZero() || m.Queue != "requests" || m.Run != "a" {
		t.Errorf("meta %+v", m)
	}
}

func TestLinkResultsReplacesWhatIsThere(t *testing.T) {
	t.Parallel()
	b := setup(t)
	path := filepath.Join(t.TempDir(), "results.jsonl")
	if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := b.run.LinkResults(path); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(b.run.Append(Result{ID: "a-<1>", Line: 1, Status: "FAILED"}), b.run.Flush()); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	if want := `{"id":"a-<1>","line":1,"status":"FAILED"}` + "\n"; err != nil || string(got) != want {
		t.Errorf("results are %q, %v", got, err)
	}
	if files, err := os.ReadDir(filepath.Dir(path)); err != nil || len(files) != 1 {
		t.Errorf("left behind: %v, %v", files, err)
	}
}
