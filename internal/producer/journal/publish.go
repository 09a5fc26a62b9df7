package journal

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"sort"
	"time"
)

// Batch is one intent to publish: the lines From to To, as far as they hold
// calls.
type Batch struct {
	Number   int64 // counted from 1 within the run
	From, To int64
	At       time.Time
	Traces   Traces
	Acked    bool // the broker has it
}

// Traces say what trace context the requests of a batch carry, in order; zero is
// none.
type Traces struct {
	on      bool
	sampled []bool // nil when all are as the first
	all     bool
}

// SampledTraces says for each request of the batch whether its trace is sampled.
func SampledTraces(sampled []bool) Traces {
	t := Traces{on: true}
	for i, s := range sampled {
		if i == 0 {
			t.all = s
		} else if s != t.all {
			t.sampled = sampled
			break
		}
	}
	return t
}

// Of is the trace of request i of the batch: whether it has one, and whether
// that is sampled.
func (t Traces) Of(i int) (on, sampled bool) {
	if t.sampled == nil {
		return t.on, t.on && t.all
	}
	return t.on, i < len(t.sampled) && t.sampled[i]
}

// The words for traces in the log; a mix is a "bits:" list.
const (
	tracesOff  = "off"
	tracesAll  = "sampled"
	tracesNone = "unsampled"
	tracesBits = "bits:"
)

func (t Traces) String() string {
	switch {
	case !t.on:
		return tracesOff
	case t.sampled == nil && t.all:
		return tracesAll
	case t.sampled == nil:
		return tracesNone
	}
	bits := make([]byte, (len(t.sampled)+7)/8)
	for i, s := range t.sampled {
		if s {
			bits[i/8] |= 1 << (i % 8)
		}
	}
	return tracesBits + base64.RawStdEncoding.EncodeToString(bits)
}

func parseTraces(s string) (Traces, error) {
	switch s {
	case tracesOff:
		return Traces{}, nil
	case tracesAll:
		return Traces{on: true, all: true}, nil
	case tracesNone:
		return Traces{on: true}, nil
	}
	if len(s) < len(tracesBits) || s[:len(tracesBits)] != tracesBits {
		return Traces{}, fmt.Errorf("traces %q are unknown", s)
	}
	bits, err := base64.RawStdEncoding.DecodeString(s[len(tracesBits):])
	if err != nil {
		return Traces{}, fmt.Errorf("traces: %w", err)
	}
	t := Traces{on: true, sampled: make([]bool, 8*len(bits))}
	for i := range t.sampled {
		t.sampled[i] = bits[i/8]&(1<<(i%8)) != 0
	}
	return t, nil
}

// entry is one line of publish.log: an intent, or an acknowledgement.
type entry struct {
	Batch  int64     `json:"batch,omitempty"`
	From   int64     `json:"from,omitempty"`
	To     int64     `json:"to,omitempty"`
	At     time.Time `json:"at,omitzero"`
	Traces string    `json:"traces,omitempty"`
	Acked  int64     `json:"acked,omitempty"`
}

// Intend writes down that the batch is about to be published.
func (r *Run) Intend(b Batch) error {
	return r.log(entry{Batch: b.Number, From: b.From, To: b.To, At: b.At.UTC(), Traces: b.Traces.String()})
}

// Acked writes down that the broker has the batch of that number.
func (r *Run) Acked(batch int64) error { return r.log(entry{Acked: batch}) }

func (r *Run) log(e entry) error {
	line, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("write %s: %w", publishFile, err)
	}
	if err := r.publish.write(append(line, '\n')); err != nil {
		return err
	}
	return r.publish.flush()
}

// Batches are the batches of a run in the order of their lines.
type Batches []Batch

// add takes up one line of publish.log.
func (bs *Batches) add(line []byte) error {
	var e entry
	if err := json.Unmarshal(line, &e); err != nil {
		return err
	}
	if e.Acked != 0 {
		if e.Acked < 1 || e.Acked > int64(len(*bs)) {
			return fmt.Errorf("batch %d is acknowledged but was never published", e.Acked)
		}
		(*bs)[e.Acked-1].Acked = true
		return nil
	}
	traces, err := parseTraces(e.Traces)
	if err != nil {
		return err
	}
	if e.Batch != int64(len(*bs))+1 || e.From <= bs.High() || e.To < e.From {
		return errors.New("batch is out of order")
	}
	*bs = append(*bs, Batch{Number: e.Batch, From: e.From, To: e.To, At: e.At, Traces: traces})
	return nil
}

// High is the last line that was meant to be published.
func (bs Batches) High() int64 {
	if len(bs) == 0 {
		return 0
	}
	return bs[len(bs)-1].To
}

// Find is the batch that holds the line, or nil.
func (bs Batches) Find(line int64) *Batch {
	i := sort.Search(len(bs), func(i int) bool { return bs[i].To >= line })
	if i == len(bs) || bs[i].From > line {
		return nil
	}
	return &bs[i]
}
