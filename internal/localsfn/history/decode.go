package history

import (
	"encoding/binary"
	"encoding/json"
	"errors"

	"callfleet/internal/localsfn/expr"
)

// decoder reads a record. After the first error everything reads as zero.
type decoder struct {
	src    []byte
	texts  []string
	values []expr.Value
	tasks  []*Task
	err    error
}

func (r *decoder) event(e *Event, id, at int64) {
	e.Type = Type(r.byte())
	flags := r.uint()
	e.ID = id + 1
	if flags&hasID != 0 {
		e.ID = r.int()
	}
	e.Prev = e.ID - 1
	if flags&hasPrev != 0 {
		e.Prev = r.int()
	}
	e.At = at
	if flags&hasAt != 0 {
		e.At += r.int()
	}
	if flags&hasFrame != 0 {
		e.Frame = int32(r.int())
	}
	if flags&hasIndex != 0 {
		e.Index = r.int()
	}
	if flags&hasDeadline != 0 {
		e.Deadline = e.At + r.int()
	}
	if flags&hasName != 0 {
		e.Name = r.text()
	}
	if flags&hasNext != 0 {
		e.Next = r.text()
	}
	if flags&hasData != 0 {
		e.Data = r.value()
	}
	if flags&hasAssigned != 0 {
		e.Assigned = r.value()
	}
	if flags&hasError != 0 {
		e.Error = r.pointer()
	}
	if flags&hasCause != 0 {
		e.Cause = r.pointer()
	}
	if flags&hasStart != 0 {
		e.Start = r.start()
	}
	if flags&hasTask != 0 {
		e.Task = r.task()
	}
}

func (r *decoder) fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.src = nil
}

func (r *decoder) byte() byte {
	if len(r.src) == 0 {
		r.fail(errTruncated)
		return 0
	}
	b := r.src[0]
	r.src = r.src[1:]
	return b
}

func (r *decoder) uint() uint64 {
	n, size := binary.Uvarint(r.src)
	if size <= 0 {
		r.fail(errTruncated)
		return 0
	}
	r.src = r.src[size:]
	return n
}

func (r *decoder) int() int64 {
	n, size := binary.Varint(r.src)
	if size <= 0 {
		r.fail(errTruncated)
		return 0
	}
	r.src = r.src[size:]
	return n
}

func (r *decoder) bytes() []byte {
	n := r.uint()
	if n > uint64(len(r.src)) {
		r.fail(errTruncated)
		return nil
	}
	b := r.src[:n:n]
	r.src = r.src[n:]
	return b
}

var errReference = errors.New("reference to something that was not written")

// back resolves a reference to the n-th last of count; ok is false if the
// thing itself follows.
func (r *decoder) back(count int) (index int, ok bool) {
	n := r.uint()
	if n == 0 {
		return 0, false
	}
	if n > uint64(count) {
		r.fail(errReference)
		return 0, false
	}
	return count - int(n), true
}

func (r *decoder) text() string {
	if i, ok := r.back(len(r.texts)); ok {
		return r.texts[i]
	}
	s := string(r.bytes())
	r.texts = append(r.texts, s)
	return s
}

func (r *decoder) pointer() *string {
	s := r.text()
	return &s
}

func (r *decoder) value() expr.Value {
	if i, ok := r.back(len(r.values)); ok {
		return r.values[i]
	}
	v := expr.Raw(r.bytes())
	r.values = append(r.values, v)
	return v
}

func (r *decoder) start() *Start {
	s := new(Start)
	text := r.bytes()
	if r.err == nil {
		if err := json.Unmarshal(text, s); err != nil {
			r.fail(err)
		}
	}
	return s
}

func (r *decoder) task() *Task {
	if i, ok := r.back(len(r.tasks)); ok {
		return r.tasks[i]
	}
	t := &Task{Scheduled: r.int(), TimeoutSeconds: r.int(), HeartbeatSeconds: r.int()}
	for i := range t.Secret {
		t.Secret[i] = r.byte()
	}
	t.Resource, t.ResourceType, t.Region, t.Worker = r.text(), r.text(), r.text(), r.text()
	if credentials := r.bytes(); len(credentials) > 0 {
		t.Credentials = expr.Raw(credentials)
	}
	r.tasks = append(r.tasks, t)
	return t
}
