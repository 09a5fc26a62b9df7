package h1

import (
	"sync"
	"time"
)

// pool keeps idle connections, the one used last on top.
type pool struct {
	perHost int
	timeout time.Duration

	mu     sync.Mutex
	idle   map[string][]*conn // guarded by mu; the oldest first
	reaper *time.Timer        // guarded by mu; nil while nothing is idle
}

func newPool(perHost int, timeout time.Duration) *pool {
	return &pool{perHost: perHost, timeout: timeout, idle: map[string][]*conn{}}
}

// get returns an idle connection, or nil.
func (p *pool) get(key string) *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := p.idle[key]
	if len(list) == 0 {
		return nil
	}
	last := len(list) - 1
	c := list[last]
	list[last] = nil
	if last == 0 {
		delete(p.idle, key)
	} else {
		p.idle[key] = list[:last]
	}
	return c
}

func (p *pool) put(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.idle[c.key]) >= p.perHost {
		c.Close()
		return
	}
	c.idleSince = time.Now()
	p.idle[c.key] = append(p.idle[c.key], c)
	if p.reaper == nil {
		p.reaper = time.AfterFunc(p.timeout, p.reap)
	}
}

// reap closes what has been idle for too long, and looks again when the next
// would be.
func (p *pool) reap() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reaper == nil { // cleared meanwhile
		return
	}
	limit := time.Now().Add(-p.timeout)
	for key, list := range p.idle {
		old := 0
		for old < len(list) && !list[old].idleSince.After(limit) {
			list[old].Close()
			old++
		}
		if old == len(list) {
			delete(p.idle, key)
		} else if old > 0 {
			p.idle[key] = append([]*conn(nil), list[old:]...)
		}
	}
	if len(p.idle) == 0 {
		p.reaper = nil
		return
	}
	p.reaper.Reset(p.timeout / 2)
}

func (p *pool) clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for key, list := range p.idle {
		for _, c := range list {
			c.Close()
		}
		delete(p.idle, key)
	}
	if p.reaper != nil {
		p.reaper.Stop()
		p.reaper = nil
	}
}
