package natsqueue

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"callfleet/internal/queue"
)

// Headers of this package. They and the server's own ("Nats-") are hidden from
// receivers and refused from publishers.
const (
	ownPrefix    = "Cf-"
	serverPrefix = "Nats-"

	groupHeader = ownPrefix + "Group"
	// idHeader is the message ID where Nats-Msg-Id can't hold it: the server
	// drops that from a message with a delay, and a dead-lettered message
	// needs another one.
	idHeader = ownPrefix + "Id"
	// sentHeader is when a message with a delay was sent, in Unix nanoseconds:
	// the server's own time is when the delay was over.
	sentHeader = ownPrefix + "Sent"
)

// check holds a message against the limits.
func check(m *queue.Message, l queue.Limits) error {
	if size := messageSize(m); size > l.MaxBytes {
		return fmt.Errorf("message %q: %d bytes with headers, limit is %d: %w", m.ID, size, l.MaxBytes, queue.ErrTooLarge)
	}
	if len(m.Headers) > l.MaxHeaders {
		return fmt.Errorf("message %q: %d headers, limit is %d: %w", m.ID, len(m.Headers), l.MaxHeaders, queue.ErrTooLarge)
	}
	if m.Delay > l.MaxDelay {
		return fmt.Errorf("message %q: delay %s, limit is %s: %w", m.ID, m.Delay, l.MaxDelay, queue.ErrTooLarge)
	}
	for name := range m.Headers {
		if err := checkHeaderName(name); err != nil {
			return fmt.Errorf("message %q: %w", m.ID, err)
		}
	}
	return nil
}

// messageSize is the size that counts against Limits.MaxBytes.
func messageSize(m *queue.Message) int {
	size := len(m.Body) + len(m.ID) + len(m.Group)
	for name, value := range m.Headers {
		size += len(name) + len(value)
	}
	return size
}

// checkHeaderName keeps out what the server would act on or what would break
// the header block.
func checkHeaderName(name string) error {
	for i := range len(name) {
		if c := name[i]; !isTokenByte(c) && c != '.' {
			return fmt.Errorf("header name %q: want letters, digits and any of - _ . only", name)
		}
	}
	switch {
	case name == "":
		return errors.New("header name is empty")
	case hasPrefixFold(name, serverPrefix), hasPrefixFold(name, ownPrefix):
		return fmt.Errorf("header name %q: names with %s and %s are the broker's", name, serverPrefix, ownPrefix)
	}
	return nil
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

// encode makes the broker's message for subject. It shares the body.
func encode(m *queue.Message, subject string) *nats.Msg {
	h := make(nats.Header, len(m.Headers)+2)
	for name, value := range m.Headers {
		h[name] = []string{escape(value)}
	}
	if m.ID != "" {
		h[nats.MsgIdHdr] = []string{escape(m.ID)}
	}
	if m.Group != "" {
		h[groupHeader] = []string{escape(m.Group)}
	}
	return &nats.Msg{Subject: subject, Header: h, Data: m.Body}
}

// postpone turns an encoded message into a schedule that puts it on its
// subject at the given time. later must be a subject of its own: the server
// keeps one schedule for each.
func postpone(msg *nats.Msg, later string, now, at time.Time) {
	h := msg.Header
	if id, ok := h[nats.MsgIdHdr]; ok {
		h[idHeader] = id
	}
	h[sentHeader] = []string{strconv.FormatInt(now.UnixNano(), 10)}
	h[jetstream.ScheduleHeader] = []string{"@at " + at.UTC().Format(time.RFC3339Nano)}
	h[jetstream.ScheduleTargetHeader] = []string{msg.Subject}
	msg.Subject = later
}

// decode is encode backwards. The body is shared.
func decode(msg *nats.Msg) (m queue.Message, sent time.Time) {
	m.Body = msg.Data
	for name, values := range msg.Header {
		if len(values) == 0 {
			continue
		}
		value := unescape(values[0])
		switch {
		case name == nats.MsgIdHdr:
			if _, other := msg.Header[idHeader]; !other {
				m.ID = value
			}
		case name == idHeader:
			m.ID = value
		case name == groupHeader:
			m.Group = value
		case name == sentHeader:
			if ns, err := strconv.ParseInt(value, 10, 64); err == nil {
				sent = time.Unix(0, ns)
			}
		case hasPrefixFold(name, serverPrefix), hasPrefixFold(name, ownPrefix):
		default:
			if m.Headers == nil {
				m.Headers = make(map[string]string, len(msg.Header))
			}
			m.Headers[name] = value
		}
	}
	return m, sent
}

// escape makes any value fit for a header line: the client library trims
// values and turns line breaks into spaces. Usual values stay as they are.
func escape(value string) string {
	if !needsEscape(value) {
		return value
	}
	return url.PathEscape(value)
}

func needsEscape(value string) bool {
	for i := range len(value) {
		if c := value[i]; c < ' ' || c == 0x7f || c == '%' {
			return true
		}
	}
	return value != "" && (value[0] == ' ' || value[len(value)-1] == ' ')
}

func unescape(value string) string {
	if strings.IndexByte(value, '%') < 0 {
		return value
	}
	plain, err := url.PathUnescape(value)
	if err != nil {
		return value // written by somebody else
	}
	return plain
}
