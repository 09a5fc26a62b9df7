package evidence

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/slogtest"
)

// keeping makes the test binary one that keeps evidence.
const keeping = "CALLFLEET_EVIDENCE_TEST"

// TestKept is run by TestWhatIsKept in a process of its own, for a process keeps
// evidence or does not.
func TestKept(t *testing.T) {
	t.Parallel()
	if os.Getenv(keeping) == "" {
		return
	}
	var shown bytes.Buffer
	Logger(t).Debug("quiet one")
	LoggerTo(t, slog.NewTextHandler(&shown, nil)).With("a", 1).WithGroup("g").Debug("quiet two", "b", 2)
	LoggerTo(t, slog.NewTextHandler(&shown, nil)).Info("loud")
	if text := shown.String(); strings.Contains(text, "quiet") || !strings.Contains(text, "loud") {
		t.Errorf("shown is %q", text)
	}
	_, span := Tracers(t).Tracer("t").Start(t.Context(), "a span")
	span.AddEvent("an event")
	span.End()
	Write(t, Result, map[string]int{"n": 7})
	Hide(t, "name", "value")
	Canary(t, "bird")
	if err := os.MkdirAll(filepath.Join(Dir(t), "deep"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Run("sub/test", func(t *testing.T) {
		t.Parallel()
		if err := os.WriteFile(filepath.Join(Dir(t), "file"), []byte("of a test"), 0o600); err != nil {
			t.Fatal(err)
		}
	})
}

func TestWhatIsKept(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKept$")
	cmd.Env = append(os.Environ(), Variable+"="+dir, keeping+"=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for pattern, want := range map[string][]string{
		"log-*.jsonl":     {`"test":"TestKept"`, "quiet one", `quiet two\",\"a\":1,\"g\":{\"b\":2}`, "loud"},
		"span-*.jsonl":    {"a span", "an event"},
		"result-*.jsonl":  {`"text":{"n":7}`},
		"secrets-*.jsonl": {`{"name":"name","test":"TestKept","value":"value"}`, `"canary":true`},
		"file/*/file":     {"of a test"},
	} {
		files, err := filepath.Glob(filepath.Join(dir, filepath.FromSlash(pattern)))
		if err != nil || len(files) != 1 {
			t.Errorf("%s: %d files, %v, want 1", pattern, len(files), err)
			continue
		}
		text, err := os.ReadFile(files[0])
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range want {
			if !strings.Contains(string(text), w) {
				t.Errorf("%s has no %q:\n%s", pattern, w, text)
			}
		}
	}
}

func TestHandlerOfTwo(t *testing.T) {
	t.Parallel()
	var shown, kept bytes.Buffer
	h := both{slog.NewJSONHandler(&shown, nil), slog.NewJSONHandler(&kept, nil)}
	for _, b := range []*bytes.Buffer{&shown, &kept} {
		shown.Reset()
		kept.Reset()
		err := slogtest.TestHandler(h, func() []map[string]any {
			var list []map[string]any
			for l := range bytes.Lines(b.Bytes()) {
				var m map[string]any
				if err := json.Unmarshal(l, &m); err != nil {
					t.Fatal(err)
				}
				list = append(list, m)
			}
			return list
		})
		if err != nil {
			t.Error(err)
		}
	}
}
