package journal

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// The files of a run.
const (
	metaFile    = "run.json"
	publishFile = "publish.log"
	resultsFile = "results.jsonl"
	lockFile    = "lock"
)

// headBytes of a file are hashed to recognise it.
const headBytes = 64 << 10

// What callers branch on.
var (
	// ErrNoRun says that there is no such run.
	ErrNoRun = errors.New("no such run")
	// ErrExists says that the run id is taken.
	ErrExists = errors.New("run exists")
	// ErrLocked says that another process works on the run.
	ErrLocked = errors.New("another process works on the run")
	// ErrChanged says that the call file is not the one the run was started with.
	ErrChanged = errors.New("call file has changed since the run was started")
)

// Meta is what run.json holds.
type Meta struct {
	Run     string    `json:"run"`
	File    string    `json:"file"` // absolute path, "-" for standard input
	Format  string    `json:"format"`
	Size    int64     `json:"size"`
	ModTime time.Time `json:"modTime"`
	Head    string    `json:"head"` // SHA-256 of the first 64 KiB
	MaxLine int       `json:"maxLine,omitempty"`
	Queue   string    `json:"queue"` // where the messages go: "requests", or "tasks" in direct mode
	// Batch is how many calls an execution carries, 0 for one.
	Batch int `json:"batch,omitempty"`
	// Seed is what the trace ids of the run's requests are derived from.
	Seed     string    `json:"seed"`
	Created  time.Time `json:"created"`
	Finished time.Time `json:"finished,omitzero"`
}

// Describe fills in what recognises the file at path.
func (m *Meta) Describe(path string) error {
	abs, err := filepath.Abs(path)
	if err != nil {
		return fmt.Errorf("describe call file: %w", err)
	}
	f, err := os.Open(abs)
	if err != nil {
		return fmt.Errorf("describe call file: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("describe call file: %w", err)
	}
	h := sha256.New()
	if _, err := io.CopyN(h, f, headBytes); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("describe call file: %w", err)
	}
	m.File, m.Size, m.ModTime = abs, info.Size(), info.ModTime().UTC()
	m.Head = hex.EncodeToString(h.Sum(nil))
	return nil
}

// Check compares the file with what it was; the error is an ErrChanged that
// says what differs.
func (m *Meta) Check() error {
	now := Meta{}
	if err := now.Describe(m.File); err != nil {
		return err
	}
	switch {
	case now.Size != m.Size:
		return fmt.Errorf("%w: %s has %d bytes, had %d", ErrChanged, m.File, now.Size, m.Size)
	case now.Head != m.Head:
		return fmt.Errorf("%w: the start of %s is another", ErrChanged, m.File)
	case !now.ModTime.Equal(m.ModTime):
		return fmt.Errorf("%w: %s was written at %s, then at %s", ErrChanged, m.File,
			m.ModTime.Format(time.RFC3339Nano), now.ModTime.Format(time.RFC3339Nano))
	}
	return nil
}

// Run is one run's directory, held by this process until Close. Its methods
// are safe for concurrent use, except that Replay comes before all writes.
type Run struct {
	dir     string
	meta    Meta // written by Open, Commit and Finish only
	lock    *os.File
	publish appender
	results appender
}

// Create makes the directory of a new run, which exists after Commit.
func Create(root, run string) (*Run, error) {
	dir := filepath.Join(root, run)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("create run: %w", err)
	}
	lock, err := acquire(filepath.Join(dir, lockFile))
	if err != nil {
		return nil, fmt.Errorf("create run %s: %w", run, err)
	}
	r := &Run{dir: dir, meta: Meta{Run: run}, lock: lock}
	_, err = os.Stat(r.path(metaFile))
	switch {
	case err == nil:
		err = ErrExists
	case errors.Is(err, fs.ErrNotExist):
		err = r.openFiles()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("create run %s: %w", run, err), r.Close())
	}
	return r, nil
}

// Commit writes run.json: from now on the run exists, as m says. Created and
// Seed are made up when they are empty.
func (r *Run) Commit(m Meta) error {
	m.Run = r.meta.Run
	if m.Created.IsZero() {
		m.Created = time.Now().UTC()
	}
	if m.Seed == "" {
		var seed [16]byte
		_, _ = rand.Read(seed[:]) // never fails (crypto/rand)
		m.Seed = hex.EncodeToString(seed[:])
	}
	data, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return fmt.Errorf("write %s: %w", metaFile, err)
	}
	tmp := r.path(metaFile + ".tmp")
	if err := os.WriteFile(tmp, append(data, '\n'), 0o644); err != nil {
		return fmt.Errorf("write %s: %w", metaFile, err)
	}
	if err := os.Rename(tmp, r.path(metaFile)); err != nil {
		return fmt.Errorf("write %s: %w", metaFile, err)
	}
	r.meta = m
	return nil
}

// Open takes up the run again. Replay must be called before anything is
// written.
func Open(root, run string) (*Run, error) {
	dir := filepath.Join(root, run)
	meta, err := readMeta(dir)
	if err != nil {
		return nil, fmt.Errorf("open run %s: %w", run, err)
	}
	lock, err := acquire(filepath.Join(dir, lockFile))
	if err != nil {
		return nil, fmt.Errorf("open run %s: %w", run, err)
	}
	r := &Run{dir: dir, meta: meta, lock: lock}
	if err := r.openFiles(); err != nil {
		return nil, errors.Join(fmt.Errorf("open run %s: %w", run, err), r.Close())
	}
	return r, nil
}

// Latest is the id of the run of that file that was started last, or ErrNoRun.
func Latest(root, file string) (string, error) {
	abs, err := filepath.Abs(file)
	if err != nil {
		return "", fmt.Errorf("find run: %w", err)
	}
	dirs, err := os.ReadDir(root)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("find run: %w", err)
	}
	var latest Meta
	for _, d := range dirs {
		m, err := readMeta(filepath.Join(root, d.Name()))
		if err == nil && m.File == abs && m.Created.After(latest.Created) {
			latest = m
		}
	}
	if latest.Run == "" {
		return "", fmt.Errorf("find run of %s: %w", abs, ErrNoRun)
	}
	return latest.Run, nil
}

func readMeta(dir string) (Meta, error) {
	var m Meta
	data, err := os.ReadFile(filepath.Join(dir, metaFile))
	if errors.Is(err, fs.ErrNotExist) {
		return m, ErrNoRun
	}
	if err != nil {
		return m, err
	}
	if err := json.Unmarshal(data, &m); err != nil {
		return m, fmt.Errorf("read %s: %w", metaFile, err)
	}
	if m.Run != filepath.Base(dir) {
		return m, fmt.Errorf("read %s: it is of run %q", metaFile, m.Run)
	}
	return m, nil
}

func (r *Run) openFiles() error {
	return errors.Join(r.publish.open(r.path(publishFile)), r.results.open(r.path(resultsFile)))
}

func (r *Run) path(name string) string { return filepath.Join(r.dir, name) }

// Meta is what run.json holds.
func (r *Run) Meta() Meta { return r.meta }

// ResultsPath is where the results are written.
func (r *Run) ResultsPath() string { return r.path(resultsFile) }

// Spool keeps what can be read once only in the run's directory, and returns
// where.
func (r *Run) Spool(in io.Reader) (path string, err error) {
	path = r.path("input")
	f, err := os.Create(path)
	if err != nil {
		return "", fmt.Errorf("keep input: %w", err)
	}
	_, err = io.Copy(f, in)
	if err = errors.Join(err, f.Close()); err != nil {
		return "", fmt.Errorf("keep input: %w", err)
	}
	return path, nil
}

// Finish writes down that every line is in the results.
func (r *Run) Finish() error {
	if !r.meta.Finished.IsZero() {
		return nil
	}
	m := r.meta
	m.Finished = time.Now().UTC()
	return r.Commit(m)
}

// Close lets go of the run. What was not flushed is lost, as in a crash.
func (r *Run) Close() error {
	return errors.Join(r.publish.close(), r.results.close(), r.lock.Close())
}

// Discard removes a run that was never committed, and closes it.
func (r *Run) Discard() error {
	return errors.Join(r.Close(), os.RemoveAll(r.dir))
}

// LinkResults makes the results appear at path too, replacing what is there:
// by a hard link, or a symbolic one across file systems.
func (r *Run) LinkResults(path string) error {
	tmp := fmt.Sprintf("%s.%s.tmp", path, r.meta.Run)
	_ = os.Remove(tmp)
	if err := os.Link(r.ResultsPath(), tmp); err != nil {
		target, err := filepath.Abs(r.ResultsPath())
		if err == nil {
			err = os.Symlink(target, tmp)
		}
		if err != nil {
			return fmt.Errorf("link results: %w", err)
		}
	}
	// Renaming one link of a file over another of the same file does nothing
	// (POSIX rename), so the second removal is for that case.
	err := os.Rename(tmp, path)
	_ = os.Remove(tmp)
	if err != nil {
		return fmt.Errorf("link results: %w", err)
	}
	return nil
}
