package history

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"

	"callfleet/internal/localsfn/expr"
)

// codecVersion is the first byte of a record. A change to what is written
// makes a new version; old ones stay readable.
const codecVersion = 1

// A record is: version, number of events, events. Numbers are varints. An
// event is its type, a set of flags saying what follows, and that. Texts and
// values are written where they first occur; later ones refer back by number.
const (
	hasID    = 1 << iota // else the previous event's plus one
	hasPrev              // else ID minus one
	hasAt                // milliseconds after the previous event, else the same
	hasFrame             // else 0, and so on
	hasIndex
	hasDeadline
	hasName
	hasNext
	hasData
	hasAssigned
	hasError
	hasCause
	hasStart
	hasTask
)

// recent is how far back texts and values are compared; what is repeated is
// repeated soon.
const recent = 8

// Encode writes the events of one decision as one record.
func Encode(events []Event) []byte {
	size := 16
	for i := range events {
		size += 24 + events[i].Data.Size()
	}
	w := encoder{dst: make([]byte, 0, size)}
	w.dst = append(w.dst, codecVersion)
	w.uint(uint64(len(events)))
	var id, at int64
	for i := range events {
		w.event(&events[i], id, at)
		if events[i].ID != 0 {
			id = events[i].ID
		}
		at = events[i].At
	}
	return w.dst
}

type encoder struct {
	dst    []byte
	texts  []string
	values [][]byte
	tasks  []*Task
}

func (w *encoder) event(e *Event, id, at int64) {
	w.dst = append(w.dst, byte(e.Type))
	flags := flagsOf(e, id, at)
	w.uint(flags)
	if flags&hasID != 0 {
		w.int(e.ID)
	}
	if flags&hasPrev != 0 {
		w.int(e.Prev)
	}
	if flags&hasAt != 0 {
		w.int(e.At - at)
	}
	if flags&hasFrame != 0 {
		w.int(int64(e.Frame))
	}
	if flags&hasIndex != 0 {
		w.int(e.Index)
	}
	if flags&hasDeadline != 0 {
		w.int(e.Deadline - e.At)
	}
	if flags&hasName != 0 {
		w.text(e.Name)
	}
	if flags&hasNext != 0 {
		w.text(e.Next)
	}
	if flags&hasData != 0 {
		w.value(e.Data)
	}
	if flags&hasAssigned != 0 {
		w.value(e.Assigned)
	}
	if flags&hasError != 0 {
		w.text(*e.Error)
	}
	if flags&hasCause != 0 {
		w.text(*e.Cause)
	}
	if flags&hasStart != 0 {
		w.start(e.Start)
	}
	if flags&hasTask != 0 {
		w.task(e.Task)
	}
}

func flagsOf(e *Event, id, at int64) (flags uint64) {
	set := func(flag uint64, there bool) {
		if there {
			flags |= flag
		}
	}
	set(hasID, e.ID != id+1)
	set(hasPrev, e.Prev != e.ID-1)
	set(hasAt, e.At != at)
	set(hasFrame, e.Frame != 0)
	set(hasIndex, e.Index != 0)
	set(hasDeadline, e.Deadline != 0)
	set(hasName, e.Name != "")
	set(hasNext, e.Next != "")
	set(hasData, !e.Data.IsAbsent())
	set(hasAssigned, !e.Assigned.IsAbsent())
	set(hasError, e.Error != nil)
	set(hasCause, e.Cause != nil)
	set(hasStart, e.Start != nil)
	set(hasTask, e.Task != nil)
	return flags
}

func (w *encoder) uint(n uint64) { w.dst = binary.AppendUvarint(w.dst, n) }
func (w *encoder) int(n int64)   { w.dst = binary.AppendVarint(w.dst, n) }

// bytes writes a text in full.
func (w *encoder) bytes(b []byte) {
	w.uint(uint64(len(b)))
	w.dst = append(w.dst, b...)
}

// text writes 0 and the text, or how many texts ago it was written.
func (w *encoder) text(s string) {
	for back := 1; back <= min(recent, len(w.texts)); back++ {
		if w.texts[len(w.texts)-back] == s {
			w.uint(uint64(back))
			return
		}
	}
	w.texts = append(w.texts, s)
	w.uint(0)
	w.uint(uint64(len(s)))
	w.dst = append(w.dst, s...)
}

func (w *encoder) value(v expr.Value) {
	text := v.JSON()
	for back := 1; back <= min(recent, len(w.values)); back++ {
		if bytes.Equal(w.values[len(w.values)-back], text) {
			w.uint(uint64(back))
			return
		}
	}
	w.values = append(w.values, text)
	w.uint(0)
	w.bytes(text)
}

// start is rare, once an execution: JSON keeps it open to new fields.
func (w *encoder) start(s *Start) {
	text, err := json.Marshal(s)
	if err != nil {
		panic("history: encode start: " + err.Error()) // it is all strings
	}
	w.bytes(text)
}

func (w *encoder) task(t *Task) {
	for back := 1; back <= min(recent, len(w.tasks)); back++ {
		if w.tasks[len(w.tasks)-back] == t {
			w.uint(uint64(back))
			return
		}
	}
	w.tasks = append(w.tasks, t)
	w.uint(0)
	w.int(t.Scheduled)
	w.int(t.TimeoutSeconds)
	w.int(t.HeartbeatSeconds)
	w.dst = append(w.dst, t.Secret[:]...)
	w.text(t.Resource)
	w.text(t.ResourceType)
	w.text(t.Region)
	w.text(t.Worker)
	if t.Credentials.IsAbsent() {
		w.bytes(nil)
	} else {
		w.bytes(t.Credentials.JSON())
	}
}

var errTruncated = errors.New("record is cut short")

// Decode reads a record that Encode wrote. The events refer to data, which the
// caller must not change; their values are parsed when they are looked at.
func Decode(data []byte) ([]Event, error) {
	if len(data) == 0 {
		return nil, fmt.Errorf("decode history: %w", errTruncated)
	}
	if data[0] != codecVersion {
		return nil, fmt.Errorf("decode history: record version %d is not known", data[0])
	}
	r := decoder{src: data[1:]}
	n := r.uint()
	if n > uint64(len(data)) { // an event takes more than a byte
		r.err = errTruncated
	}
	if r.err != nil {
		return nil, fmt.Errorf("decode history: %w", r.err)
	}
	events := make([]Event, n)
	var id, at int64
	for i := range events {
		r.event(&events[i], id, at)
		if r.err != nil {
			return nil, fmt.Errorf("decode history: event %d: %w", i, r.err)
		}
		if err := events[i].check(); err != nil {
			return nil, fmt.Errorf("decode history: event %d: %w", i, err)
		}
		if events[i].ID != 0 {
			id = events[i].ID
		}
		at = events[i].At
	}
	if len(r.src) != 0 {
		return nil, fmt.Errorf("decode history: %d bytes after the last event", len(r.src))
	}
	return events, nil
}

// check holds an event to what the fold and the projection rely on.
func (e *Event) check() error {
	switch {
	case !e.Type.Public() && (e.Type < WaitScheduled || e.Type > lastInternal):
		return fmt.Errorf("type %d is not known", e.Type)
	case e.Type == ExecutionStarted && e.Start == nil:
		return errors.New("start without the execution it starts")
	case e.Type >= TaskScheduled && e.Type <= ActivityTimedOut && e.Task == nil:
		return fmt.Errorf("%v without its task", e.Type)
	}
	return nil
}
