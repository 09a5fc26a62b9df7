package store

import (
	"sort"
	"sync"
	"time"
)

// Entry is what a list shows of one execution.
type Entry struct {
	Key
	Meta
	Last uint64 // sequence of its last record
}

// index lists the executions that the log holds, oldest first within each
// state machine. It is kept as small as can be: a million executions must fit.
type index struct {
	mu       sync.RWMutex
	machines map[string]*executions // guarded by mu
	closed   []*item                // guarded by mu; in the order they ended, as far as known
	open     int                    // guarded by mu
}

// executions are those of one state machine.
type executions struct {
	name   string
	byName map[string]*item
	order  []*item // by first; items that are gone stay until compacted
	gone   int
	sorted bool
}

// item is one execution.
type item struct {
	name             string
	of               *executions
	writer           string
	first, last      uint64
	started, stopped int64 // unix ms; stopped 0 while running
	status           Status
	gone             bool
}

func newIndex() *index { return &index{machines: map[string]*executions{}} }

func (it *item) entry() Entry {
	e := Entry{Key: Key{Machine: it.of.name, Name: it.name}, Last: it.last}
	e.Meta = Meta{Status: it.status, Started: time.UnixMilli(it.started).UTC(), First: it.first, Writer: it.writer}
	if it.stopped != 0 {
		e.Stopped = time.UnixMilli(it.stopped).UTC()
	}
	return e
}

// put records what a message said; a message older than what is known changes
// nothing.
func (x *index) put(k Key, m Meta, first, last uint64) Entry {
	x.mu.Lock()
	defer x.mu.Unlock()
	of := x.machines[k.Machine]
	if of == nil {
		of = &executions{name: k.Machine, byName: map[string]*item{}, sorted: true}
		x.machines[k.Machine] = of
	}
	it := of.byName[k.Name]
	if it == nil {
		it = &item{name: k.Name, of: of, first: first}
		of.byName[k.Name] = it
		of.insert(it)
		x.open++
	}
	if last < it.last {
		return it.entry()
	}
	was := it.status.Closed()
	it.last, it.status, it.started, it.writer = last, m.Status, m.Started.UnixMilli(), m.Writer
	if m.Status.Closed() && !was {
		it.stopped = m.Stopped.UnixMilli()
		x.closed = append(x.closed, it)
		x.open--
	}
	return it.entry()
}

// Find returns what the list knows of one execution.
func (s *Store) Find(k Key) (Entry, bool) {
	s.index.mu.RLock()
	defer s.index.mu.RUnlock()
	of := s.index.machines[k.Machine]
	if of == nil {
		return Entry{}, false
	}
	it := of.byName[k.Name]
	if it == nil {
		return Entry{}, false
	}
	return it.entry(), true
}

// Query selects from the list.
type Query struct {
	Machine string
	Status  Status // 0 is any
	Before  uint64 // only executions whose first record is older than this sequence; 0 is from the newest on
	Limit   int
}

// List returns the executions of one state machine, newest first. It knows
// those that were there at Scan and those that passed through this Store since.
func (s *Store) List(q Query) []Entry {
	x := s.index
	x.mu.Lock()
	defer x.mu.Unlock()
	of := x.machines[q.Machine]
	if of == nil {
		return nil
	}
	of.sort()
	end := len(of.order)
	if q.Before != 0 {
		end = sort.Search(len(of.order), func(i int) bool { return of.order[i].first >= q.Before })
	}
	var out []Entry
	for i := end - 1; i >= 0 && len(out) < q.Limit; i-- {
		if it := of.order[i]; !it.gone && (q.Status == 0 || q.Status == it.status) {
			out = append(out, it.entry())
		}
	}
	return out
}

// insert puts an item where it belongs: at the end or, when concurrent appends
// overtook each other, a few places before. Items that come in no order, as in
// a scan, are sorted later.
func (of *executions) insert(it *item) {
	of.order = append(of.order, it)
	i := len(of.order) - 1
	for stop := max(0, i-64); i > stop && of.order[i-1].first > it.first; i-- {
		of.order[i], of.order[i-1] = of.order[i-1], of.order[i]
	}
	if i > 0 && of.order[i-1].first > it.first {
		of.sorted = false
	}
}

// sort restores the order.
func (of *executions) sort() {
	if of.sorted {
		return
	}
	sort.SliceStable(of.order, func(i, j int) bool { return of.order[i].first < of.order[j].first })
	of.sorted = true
}

// sortClosed puts the ended executions in the order they ended.
func (x *index) sortClosed() {
	x.mu.Lock()
	defer x.mu.Unlock()
	sort.SliceStable(x.closed, func(i, j int) bool { return x.closed[i].stopped < x.closed[j].stopped })
}

// drop takes an item off the list. Called with the index locked.
func (it *item) drop() {
	it.gone = true
	of := it.of
	delete(of.byName, it.name)
	if of.gone++; of.gone*2 < len(of.order) {
		return
	}
	kept := of.order[:0]
	for _, o := range of.order {
		if !o.gone {
			kept = append(kept, o)
		}
	}
	clear(of.order[len(kept):])
	of.order, of.gone = kept, 0
}

// floor is the lowest sequence that an execution on the list needs, or max if
// it is higher than that. Called with the index locked.
func (x *index) floor(max uint64, expired func(*item) bool) uint64 {
	for _, of := range x.machines {
		of.sort()
		for _, it := range of.order {
			if it.gone || expired(it) {
				continue
			}
			if it.first < max {
				max = it.first
			}
			break
		}
	}
	return max
}

// Counts are how many executions the list holds.
func (s *Store) Counts() (open, closed int) {
	s.index.mu.RLock()
	defer s.index.mu.RUnlock()
	return s.index.open, len(s.index.closed)
}
