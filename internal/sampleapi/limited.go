package sampleapi

import (
	"net/http"
	"sync"
	"time"
)

// limited answers GET and POST /limited?rate=N: 200 to the first N (10)
// requests of each second, and 429 with "Retry-After: 1" to the others. All
// rates count the same requests.
type limited struct {
	mu     sync.Mutex
	second int64 // guarded by mu
	came   int   // guarded by mu: in second
}

func (l *limited) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rate, err := number(r.URL.Query(), "rate", 10, 1, 1_000_000)
	if err != nil {
		reply(w, http.StatusBadRequest, map[string]any{"error": err.Error()})
		return
	}
	if l.count(time.Now()) > rate {
		w.Header().Set("Retry-After", "1")
		reply(w, http.StatusTooManyRequests, map[string]any{"error": "limited", "rate": rate})
		return
	}
	reply(w, http.StatusOK, map[string]any{"rate": rate})
}

// count is how many requests came in the second of now.
func (l *limited) count(now time.Time) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s := now.Unix(); s != l.second {
		l.second, l.came = s, 0
	}
	l.came++
	return l.came
}
