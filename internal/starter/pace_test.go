package starter

import (
	"testing"
	"time"

	"golang.org/x/time/rate"
)

func TestPaceHalvesAndRecovers(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	p := newPace(100, now)
	p.slow(now)
	if got := p.limiter.Limit(); got != 50 {
		t.Fatalf("got %v a second after the first throttling, want 50", got)
	}
	p.slow(now.Add(500 * time.Millisecond)) // starts under way at the first
	if got := p.limiter.Limit(); got != 50 {
		t.Errorf("got %v after more of the same, want 50 still", got)
	}
	p.slow(now.Add(1500 * time.Millisecond))
	if got := p.limiter.Limit(); got != 25 {
		t.Errorf("got %v after another step, want 25", got)
	}
	for i := range 20 {
		p.tick(now.Add(time.Duration(i+3) * time.Second))
	}
	if got := p.limiter.Limit(); got != 100 {
		t.Errorf("got %v after 20 quiet steps, want 100 again and no more", got)
	}
}

func TestPaceWithoutLimitSlowsToWhatItSaw(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	p := newPace(0, now)
	for i := range 2001 { // 1,000 a second
		p.tick(now.Add(time.Duration(i) * time.Millisecond))
	}
	now = now.Add(2 * time.Second)
	p.slow(now)
	if got := p.limiter.Limit(); got < 450 || got > 550 {
		t.Fatalf("got %v a second, want about half of the 1,000 seen", got)
	}
	for i := range 60 {
		p.tick(now.Add(time.Duration(i+1) * time.Second))
	}
	if got := p.limiter.Limit(); got != rate.Inf {
		t.Errorf("got %v after a quiet minute, want no limit", got)
	}
	for range 100 {
		now = now.Add(2 * time.Minute)
		p.slow(now)
	}
	if got := p.limiter.Limit(); got < paceFloor {
		t.Errorf("got %v, want at least %v", got, paceFloor)
	}
}
