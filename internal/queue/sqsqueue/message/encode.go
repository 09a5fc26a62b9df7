// Package message is the form that a queue.Message has on SQS, both ways.
package message

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"callfleet/internal/queue"
)

const (
	// metaName is the attribute with what SQS has no place for, written like
	// the query of a URL: "v=1&id=r1-7&group=tenant+%C3%A4&body=base64&h.x=".
	metaName = "callfleet"
	metaMark = "v=1"
	// How the body travels when SQS would not take it as it is.
	bodyBase64 = "base64"
	bodyEmpty  = "empty"
	emptyBody  = "-" // stands for no body at all: SQS wants a character

	// MaxBytes is what SQS takes in a message, and in a request.
	MaxBytes      = 1 << 20
	maxAttributes = 10
	// maxPlain is how many headers travel as attributes of their own. The
	// others go into the meta attribute, so that there is room for that, and
	// for the reason on the way to the dead-letter queue.
	maxPlain   = maxAttributes - 2
	maxHeaders = 10
	maxDelay   = 15 * time.Minute
	// maxReason is how much of a dead-letter reason is kept, in bytes.
	maxReason = 1024
	// reasonReserve is kept free of a message's size for the reason.
	reasonReserve = 2 << 10

	maxGroupID = 128 // of characters, and of a dedup id
	stringType = "String"
)

// Outgoing is a message in the form of SQS.
type Outgoing struct {
	ID         string // the message's, for errors
	Body       string
	Attributes map[string]types.MessageAttributeValue
	Group      string // MessageGroupId, "" for none
	Dedup      string // MessageDeduplicationId, "" for none
	Delay      int32  // seconds
	Size       int    // as SQS counts it
}

// Limits are those of a queue that takes messages of so many bytes; 0 is what
// SQS takes.
func Limits(bytes int, fifo bool) queue.Limits {
	l := queue.Limits{MaxBytes: MaxBytes, MaxHeaders: maxHeaders, MaxDelay: maxDelay}
	if bytes > 0 {
		l.MaxBytes = min(bytes, MaxBytes)
	}
	l.MaxBytes -= reasonReserve
	if fifo {
		l.MaxDelay = 0 // SQS knows a delay of the whole queue there, not of a message
	}
	return l
}

// Encode makes SQS's form of a message, or says why the queue does not take it.
func Encode(m *queue.Message, l queue.Limits, fifo bool) (Outgoing, error) {
	o := Outgoing{ID: m.ID, Delay: int32(WholeSeconds(max(m.Delay, 0)) / time.Second)}
	if len(m.Headers) > l.MaxHeaders {
		return o, fmt.Errorf("message %q: %d headers, limit is %d: %w", m.ID, len(m.Headers), l.MaxHeaders, queue.ErrTooLarge)
	}
	if m.Delay > l.MaxDelay {
		return o, fmt.Errorf("message %q: delay %s, limit is %s: %w", m.ID, m.Delay, l.MaxDelay, queue.ErrTooLarge)
	}
	for name := range m.Headers {
		if err := checkHeaderName(name); err != nil {
			return o, fmt.Errorf("message %q: %w", m.ID, err)
		}
	}
	if len(m.Body) > l.MaxBytes { // before it is copied
		return o, tooLarge(m.ID, len(m.Body), l)
	}
	var meta strings.Builder
	meta.WriteString(metaMark)
	putMeta(&meta, "id", m.ID)
	putMeta(&meta, "group", m.Group)
	var form string
	o.Body, form = encodeBody(m.Body)
	putMeta(&meta, "body", form)
	o.Attributes = make(map[string]types.MessageAttributeValue, len(m.Headers)+1)
	plain := plainHeaders(m.Headers)
	for name, value := range m.Headers {
		if plain(name) && value != "" && representable(value) {
			o.Attributes[name] = text(value)
			continue
		}
		meta.WriteString("&h." + name + "=" + url.QueryEscape(value))
	}
	o.Attributes[metaName] = text(meta.String())
	o.Size = len(o.Body) + sizeOf(o.Attributes)
	if o.Size > l.MaxBytes {
		return o, tooLarge(m.ID, o.Size, l)
	}
	o.Group, o.Dedup = groupID(m, fifo), dedupID(m.ID, fifo)
	return o, nil
}

func tooLarge(id string, size int, l queue.Limits) error {
	return fmt.Errorf("message %q: %d bytes with attributes, limit is %d: %w", id, size, l.MaxBytes, queue.ErrTooLarge)
}

// putMeta adds a value, unless there is none.
func putMeta(b *strings.Builder, name, value string) {
	if value != "" {
		b.WriteString("&" + name + "=" + url.QueryEscape(value))
	}
}

func text(s string) types.MessageAttributeValue {
	return types.MessageAttributeValue{DataType: aws.String(stringType), StringValue: &s}
}

// sizeOf counts attributes as SQS does: name, type and value.
func sizeOf(attributes map[string]types.MessageAttributeValue) int {
	size := 0
	for name, v := range attributes {
		size += len(name) + len(aws.ToString(v.DataType)) + len(aws.ToString(v.StringValue)) + len(v.BinaryValue)
	}
	return size
}

// plainHeaders chooses which headers get an attribute of their own when there
// are too many: those that others read first.
func plainHeaders(headers map[string]string) func(name string) bool {
	if len(headers) <= maxPlain {
		return func(string) bool { return true }
	}
	chosen := make([]string, 0, len(headers))
	for name := range headers {
		chosen = append(chosen, name)
	}
	rank := func(name string) int {
		return slices.Index([]string{"", queue.DeadLetterReason, "tracestate", "traceparent"}, name)
	}
	slices.SortFunc(chosen, func(a, b string) int {
		if ra, rb := rank(a), rank(b); ra != rb {
			return rb - ra
		}
		return strings.Compare(a, b)
	})
	chosen = chosen[:maxPlain]
	return func(name string) bool { return slices.Contains(chosen, name) }
}

// checkHeaderName keeps out what SQS refuses as an attribute's name.
func checkHeaderName(name string) error {
	for i := range len(name) {
		if c := name[i]; c >= utf8.RuneSelf || !unicode.IsLetter(rune(c)) && !unicode.IsDigit(rune(c)) && !strings.ContainsRune("-_.", rune(c)) {
			return fmt.Errorf("header name %q: want letters, digits and any of - _ . only", name)
		}
	}
	lower := strings.ToLower(name)
	switch {
	case name == "":
		return errors.New("header name is empty")
	case len(name) > 256:
		return fmt.Errorf("header name %q: %d characters, SQS takes 256", name, len(name))
	case name[0] == '.' || name[len(name)-1] == '.' || strings.Contains(name, ".."):
		return fmt.Errorf("header name %q: SQS takes no dot at an end, and not two in a row", name)
	case name == metaName, strings.HasPrefix(lower, "aws."), strings.HasPrefix(lower, "amazon."):
		return fmt.Errorf("header name %q: %s, AWS. and Amazon. are the broker's", name, metaName)
	}
	return nil
}

// encodeBody makes the body that SQS takes, and the name of its form, "" if it
// is the same. The same body always gets the same form.
func encodeBody(body []byte) (encoded, form string) {
	switch {
	case len(body) == 0:
		return emptyBody, bodyEmpty
	case !representable(body):
		return base64.StdEncoding.EncodeToString(body), bodyBase64
	}
	return string(body), ""
}

// representable tells whether SQS takes the text: characters of XML 1.0 only.
func representable[T string | []byte](s T) bool {
	ascii := true
	for i := range len(s) {
		switch c := s[i]; {
		case c >= utf8.RuneSelf:
			ascii = false
		case c < ' ' && c != '\t' && c != '\n' && c != '\r':
			return false
		}
	}
	if ascii {
		return true
	}
	for rest := string(s); rest != ""; {
		r, n := utf8.DecodeRuneInString(rest)
		if r == utf8.RuneError && n == 1 || r == 0xFFFE || r == 0xFFFF {
			return false
		}
		rest = rest[n:]
	}
	return true
}

// groupID is the fairness group on a standard queue, and the unit of order on
// a FIFO queue, where a message without a group is one of its own.
func groupID(m *queue.Message, fifo bool) string {
	group := m.Group
	if group == "" && fifo {
		if group = m.ID; group == "" {
			return rand.Text()
		}
	}
	return shortID(group)
}

// dedupID is SQS's dedup id on a FIFO queue.
func dedupID(id string, fifo bool) string {
	switch {
	case !fifo:
		return ""
	case id == "":
		return rand.Text() // no id, no dedup
	}
	return shortID(id)
}

// shortID is s if SQS takes it as an id, else a hash of it.
func shortID(s string) string {
	ok := len(s) <= maxGroupID
	for i := 0; ok && i < len(s); i++ {
		ok = s[i] > ' ' && s[i] < 0x7f
	}
	if ok {
		return s
	}
	sum := sha256.Sum256([]byte(s))
	return "sha256-" + hex.EncodeToString(sum[:])
}

// WholeSeconds rounds up to what SQS counts in.
func WholeSeconds(d time.Duration) time.Duration {
	return (d + time.Second - 1).Truncate(time.Second)
}
