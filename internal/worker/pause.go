package worker

import (
	"math/rand/v2"
	"time"
)

// pauses are the growing waits between tries of one operation.
type pauses struct{ bound time.Duration }

const (
	firstPause = 100 * time.Millisecond
	lastPause  = 5 * time.Second
)

func newPauses() *pauses { return &pauses{bound: firstPause} }

// next is random between half the bound and the bound, which doubles.
func (p *pauses) next() time.Duration {
	d := p.bound/2 + rand.N(p.bound/2)
	p.bound = min(2*p.bound, lastPause)
	return d
}
