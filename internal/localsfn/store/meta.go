package store

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Status of an execution, as AWS names them.
type Status uint8

// The statuses.
const (
	Running Status = iota + 1
	Succeeded
	Failed
	TimedOut
	Aborted
)

var statusNames = [...]string{Running: "RUNNING", Succeeded: "SUCCEEDED", Failed: "FAILED", TimedOut: "TIMED_OUT", Aborted: "ABORTED"}

// String is AWS's name.
func (s Status) String() string {
	if int(s) < len(statusNames) {
		return statusNames[s]
	}
	return ""
}

// ParseStatus undoes String; ok is false for anything else.
func ParseStatus(name string) (s Status, ok bool) {
	for i, n := range statusNames {
		if n == name && n != "" {
			return Status(i), true
		}
	}
	return 0, false
}

// Closed reports whether the execution has ended.
func (s Status) Closed() bool { return s > Running }

// Meta is what every message says about its execution in the header.
type Meta struct {
	Status  Status
	Started time.Time // to the millisecond
	Stopped time.Time // zero while running
	First   uint64    // sequence of the execution's first message; 0 on that message itself
	Writer  string    // the engine instance that appended it
}

const (
	headerMeta  = "Sfn-Meta"
	metaVersion = "1"
)

// encode is "1 <status> <started ms> <stopped ms> <first> <writer>".
func (m Meta) encode() string {
	b := make([]byte, 0, 72)
	b = append(b, metaVersion...)
	b = append(b, ' ')
	b = append(b, m.Status.String()...)
	b = append(b, ' ')
	b = strconv.AppendInt(b, m.Started.UnixMilli(), 10)
	b = append(b, ' ')
	if m.Stopped.IsZero() {
		b = append(b, '0')
	} else {
		b = strconv.AppendInt(b, m.Stopped.UnixMilli(), 10)
	}
	b = append(b, ' ')
	b = strconv.AppendUint(b, m.First, 10)
	b = append(b, ' ')
	if m.Writer == "" {
		return string(append(b, '-')) // a header ends in no space
	}
	return string(append(b, m.Writer...))
}

func decodeMeta(s string) (Meta, error) {
	f := strings.Split(s, " ")
	if len(f) != 6 || f[0] != metaVersion {
		return Meta{}, fmt.Errorf("header %s: %q is not of version %s", headerMeta, s, metaVersion)
	}
	status, ok := ParseStatus(f[1])
	started, err1 := strconv.ParseInt(f[2], 10, 64)
	stopped, err2 := strconv.ParseInt(f[3], 10, 64)
	first, err3 := strconv.ParseUint(f[4], 10, 64)
	if !ok || err1 != nil || err2 != nil || err3 != nil {
		return Meta{}, fmt.Errorf("header %s: bad value %q", headerMeta, s)
	}
	m := Meta{Status: status, Started: time.UnixMilli(started).UTC(), First: first, Writer: f[5]}
	if m.Writer == "-" {
		m.Writer = ""
	}
	if stopped != 0 {
		m.Stopped = time.UnixMilli(stopped).UTC()
	}
	return m, nil
}
