package sqsqueue

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

// memories are the ids that this process published, by queue: standard queues
// have no dedup of their own.
type memories struct {
	mu     sync.Mutex
	queues map[string]*memory // guarded by mu
}

func newMemories() *memories { return &memories{queues: make(map[string]*memory)} }

func (m *memories) of(full string) *memory {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.queues[full] == nil {
		m.queues[full] = &memory{open: make(map[idHash]*claim), recent: make(map[idHash]struct{})}
	}
	return m.queues[full]
}

// idHash stands for an id: half of a SHA-256, so that two ids never share one.
type idHash [16]byte

func hashID(id string) idHash {
	sum := sha256.Sum256([]byte(id))
	return idHash(sum[:16])
}

// memory is what was published on one queue lately, and what is on its way.
type memory struct {
	mu      sync.Mutex
	open    map[idHash]*claim   // guarded by mu: on their way
	recent  map[idHash]struct{} // guarded by mu: published since turned
	earlier map[idHash]struct{} // guarded by mu: published in the window before
	turned  time.Time           // guarded by mu
}

// claim is a message on its way to the queue.
type claim struct {
	hash idHash
	done chan struct{} // closed when sent is known
	sent bool
}

// claim asks for the right to publish an id. With mine the caller has it and
// must finish the claim. Without, somebody else does: c tells how that ends, or
// is nil when the id was published.
func (m *memory) claim(id string) (c *claim, mine bool) {
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
	c = &claim{hash: hash, done: make(chan struct{})}
	m.open[hash] = c
	return c, true
}

func (m *memory) knows(hash idHash) bool {
	if _, ok := m.recent[hash]; ok {
		return true
	}
	_, ok := m.earlier[hash]
	return ok
}

// finish ends a claim. The id of a message that was not sent is forgotten.
func (m *memory) finish(c *claim, sent bool) {
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
func (m *memory) age(now time.Time) {
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
