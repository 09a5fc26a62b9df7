// Package requestid names runs and their requests: "<run>-<line number>", or
// "<run>-<the line's own id>".
package requestid

import (
	"errors"
	"fmt"
	"hash/maphash"
	"strconv"

	"callfleet/internal/call"
	"callfleet/internal/producer/callfile"
)

// Checker turns the lines of one run into requests. What it says of a line
// depends on that line and those before it only, so that a resumed run comes
// to the same ids.
type Checker struct {
	Run    string // the run's id
	ownIDs ownIDs
	recent recentIDs
}

// ownIDs tells whether the lines of a file have ids of their own.
type ownIDs int

const (
	undecided ownIDs = iota // until the first line that can be read
	without
	with
)

// Check is the request of the line, or the reason why there is none.
func (c *Checker) Check(l callfile.Line) (call.Request, error) {
	r := l.Request
	if l.Err != nil {
		return r, l.Err
	}
	own := r.ID
	if c.ownIDs == undecided {
		c.ownIDs = without
		if own != "" {
			c.ownIDs = with
		}
	}
	switch {
	case own == "" && c.ownIDs == with:
		return r, errors.New("id: is missing, but the lines before have one")
	case own != "" && c.ownIDs == without:
		return r, errors.New("id: the lines before have none: give every line an id or none")
	case own == "":
		r.ID = c.lineID(l.Number)
		return r, nil
	}
	r.ID = c.Run + "-" + own
	if err := call.ValidateID(r.ID); err != nil {
		return r, fmt.Errorf("id %q: with the run's id before it, it %w", r.ID, err)
	}
	if !c.recent.add(own) {
		return r, fmt.Errorf("id: %q is that of an earlier line", own)
	}
	return r, nil
}

func (c *Checker) lineID(line int64) string {
	return c.Run + "-" + strconv.FormatInt(line, 10)
}

// BadID is the id under which a line that cannot be called stands in the
// results. In a file with own ids it could be another line's.
func (c *Checker) BadID(line int64) string {
	if c.ownIDs == with {
		return ""
	}
	return c.lineID(line)
}

// recentSize bounds the memory for finding duplicates to some 10 MB.
const recentSize = 1 << 18

// recentIDs remembers the last recentSize ids by their hash.
type recentIDs struct {
	seed maphash.Seed
	seen map[uint64]struct{}
	ring []uint64
	next int
}

// add reports whether the id is new.
func (r *recentIDs) add(id string) bool {
	if r.seen == nil {
		r.seed, r.seen = maphash.MakeSeed(), map[uint64]struct{}{}
	}
	h := maphash.String(r.seed, id)
	if _, dup := r.seen[h]; dup {
		return false
	}
	r.seen[h] = struct{}{}
	if len(r.ring) < recentSize {
		r.ring = append(r.ring, h)
		return true
	}
	delete(r.seen, r.ring[r.next])
	r.ring[r.next] = h
	r.next = (r.next + 1) % recentSize
	return true
}
