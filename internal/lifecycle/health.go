package lifecycle

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"time"
)

// Phase is how far a group is.
type Phase string

// The phases of a group, in order.
const (
	Starting Phase = "starting"
	Ready    Phase = "ready"
	Draining Phase = "draining"
	Stopped  Phase = "stopped"
)

// State is how far one service is.
type State string

// The states of a service, in order; a ready service may turn failing and back.
const (
	StateWaiting  State = "waiting"
	StateStarting State = "starting"
	StateReady    State = "ready"
	StateFailing  State = "failing"
	StateStopping State = "stopping"
	StateStopped  State = "stopped"
)

// Check is the state of one service, with the reason when it is failing.
type Check struct {
	Name  string `json:"name"`
	State State  `json:"state"`
	Error string `json:"error,omitempty"`
}

// Readiness is the answer of /readyz.
type Readiness struct {
	Ready  bool    `json:"ready"`
	Phase  Phase   `json:"phase"`
	Checks []Check `json:"checks"`
}

// checkTimeout bounds one service's Ready on a readiness request.
const checkTimeout = 2 * time.Second

// Readiness asks every service that has become ready whether it still is, all
// at once.
func (g *Group) Readiness(ctx context.Context) Readiness {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	g.mu.Lock()
	answer := Readiness{Phase: g.phase, Checks: make([]Check, len(g.members))}
	members := g.members
	for i, m := range members {
		answer.Checks[i] = Check{Name: m.Name, State: m.state}
	}
	g.mu.Unlock()

	var asked sync.WaitGroup
	for i, m := range members {
		if c := &answer.Checks[i]; c.State == StateReady && m.Ready != nil {
			asked.Go(func() {
				if err := m.Ready(ctx); err != nil {
					c.State, c.Error = StateFailing, err.Error()
				}
			})
		}
	}
	asked.Wait()
	answer.Ready = answer.Phase == Ready
	for _, c := range answer.Checks {
		answer.Ready = answer.Ready && c.State == StateReady
	}
	return answer
}

// HealthHandler answers GET /livez with 200 as long as the process can, GET
// /readyz with a Readiness (200 when ready, else 503), and GET /metrics by
// metrics, if that is not nil.
func (g *Group) HealthHandler(metrics http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]string{"status": "alive"})
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		answer := g.Readiness(r.Context())
		status := http.StatusOK
		if !answer.Ready {
			status = http.StatusServiceUnavailable
		}
		writeJSON(w, status, answer)
	})
	if metrics != nil {
		mux.Handle("GET /metrics", metrics)
	}
	return mux
}

// writeJSON ignores a failed write: there is nobody left to tell.
func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

func (g *Group) setPhase(p Phase) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.phase = p
}

func (g *Group) setState(m *member, s State) {
	g.mu.Lock()
	defer g.mu.Unlock()
	m.state = s
}
