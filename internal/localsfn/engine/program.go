package engine

import (
	"context"
	"fmt"
	"sync"

	"callfleet/internal/localsfn/asl"
)

// programs caches parsed definitions by content id.
type programs struct {
	mu  sync.RWMutex
	all map[string]*asl.Program // guarded by mu
}

// keptPrograms bounds the cache.
const keptPrograms = 1000

// program returns the program of a stored definition.
func (e *Engine) program(ctx context.Context, id string) (*asl.Program, error) {
	e.programs.mu.RLock()
	p := e.programs.all[id]
	e.programs.mu.RUnlock()
	if p != nil {
		return p, nil
	}
	text, err := e.store.Definition(ctx, id)
	if err != nil {
		return nil, err
	}
	p, findings := asl.Parse([]byte(text))
	if p == nil {
		return nil, fmt.Errorf("definition %s: %d mistakes, the first: %s", id, len(findings), findings[0])
	}
	e.programs.mu.Lock()
	defer e.programs.mu.Unlock()
	if len(e.programs.all) >= keptPrograms {
		clear(e.programs.all)
	}
	e.programs.all[id] = p
	return p, nil
}
