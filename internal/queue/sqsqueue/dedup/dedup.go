// Package dedup remembers the ids that this process published: SQS's standard
// queues have no dedup of their own.
package dedup

import (
	"crypto/sha256"
	"sync"
	"time"
)

const (
	// dedupWindow is how long the id of a published message is remembered, at
	// least; at most twice that.
	dedupWindow = 2 * time.Minute
	// maxRemembered bounds the ids of one generation, of two. Who publishes
	// more within the window has a shorter one.
	maxRemembered = 1 << 20
)

// Memories are those of several queues. They are safe for concurrent use.
type Memories struct {
	mu     sync.Mutex
	queues map[string]*Memory // guarded by mu
}

// New makes empty memories.
func New() *Memories { return &Memories{queues: make(map[string]*Memory)} }

// Of is the memory of a queue.
func (m *Memories) Of(full string) *Memory {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.queues[full] == nil {
		m.queues[full] = &Memory{open: make(map[idHash]*Claim), recent: make(map[idHash]struct{})}
	}
	return m.queues[full]
}

// idHash stands for an id: half of a SHA-256, so that two ids never share one.
type idHash [16]byte

func hashID(id string) idHash {
	sum := sha256.Sum256([]byte(id))
	return idHash(sum[:16])
}

// Memory is what was published on one queue lately, and what is on its way.
type Memory struct {
	mu      sync.Mutex
	open    map[idHash]*Claim   // guarded by mu: on their way
	recent  map[idHash]struct{} // guarded by mu: published since turned
	earlier map[idHash]struct{} // guarded by mu: published in the window before
	turned  time.Time           // guarded by mu
}

// Claim is a message on its way to the queue.
type Claim struct {
	hash idHash
	done chan struct{} // closed when sent is known
	sent bool          // settled by done
}

// Claim asks for the right to publish an id. With mine the caller has it and
// must finish the claim. Without, somebody else does: c tells how that ends, or
// is nil when the id was published.
func (m *Memory) Claim(id string) (c *Claim, mine bool) {
	hash := hashID(id)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.age(time.Now())
	if c := m.open[hash]; c != nil {
		return c, false
	}
	if m.knows(hash) {
		return nil, false
	}
	c = &Claim{hash: hash, done: make(chan struct{})}
	m.open[hash] = c
	return c, true
}

func (m *Memory) knows(hash idHash) bool {
	if _, ok := m.recent[hash]; ok {
		return true
	}
	_, ok := m.earlier[hash]
	return ok
}

// Finish ends a claim. The id of a message that was not sent is forgotten.
func (m *Memory) Finish(c *Claim, sent bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.open, c.hash)
	if sent {
		m.age(time.Now())
		m.recent[c.hash] = struct{}{}
	}
	c.sent = sent
	close(c.done)
}

// age forgets what is older than the window. The caller holds mu.
func (m *Memory) age(now time.Time) {
	since := now.Sub(m.turned)
	if since < dedupWindow && len(m.recent) < maxRemembered {
		return
	}
	m.earlier = m.recent
	if since >= 2*dedupWindow {
		m.earlier = nil
	}
	m.recent, m.turned = make(map[idHash]struct{}), now
}

// Done is closed when the claim has ended.
func (c *Claim) Done() <-chan struct{} { return c.done }

// Sent tells, after Done, whether the message was published.
func (c *Claim) Sent() bool { return c.sent }
