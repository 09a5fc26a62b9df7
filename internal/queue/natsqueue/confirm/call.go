package confirm

import (
	"sync"
	"time"
)

// Call is a group of messages that one caller waits for.
type Call struct {
	progress chan struct{} // signalled after answers
	patience time.Duration // without any answer

	mu     sync.Mutex
	open   int       // guarded by mu: messages without an answer
	failed []Failure // guarded by mu
}

// Failure is a message that was not confirmed.
type Failure struct {
	Index int // as given to Send
	Err   error
}

// NewCall makes a group without messages.
func NewCall() *Call {
	return &Call{progress: make(chan struct{}, 1), patience: AnswerTimeout}
}

func (l *Call) expect() {
	l.mu.Lock()
	l.open++
	l.mu.Unlock()
}

func (l *Call) settle(index int, err error) {
	l.mu.Lock()
	l.open--
	if err != nil {
		l.failed = append(l.failed, Failure{index, err})
	}
	l.mu.Unlock()
	select {
	case l.progress <- struct{}{}:
	default:
	}
}

// Outstanding counts the messages without an answer.
func (l *Call) Outstanding() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.open
}

// Failures takes the messages that were not confirmed so far.
func (l *Call) Failures() []Failure {
	l.mu.Lock()
	defer l.mu.Unlock()
	failed := l.failed
	l.failed = nil
	return failed
}
