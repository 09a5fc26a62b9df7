package handoff

import (
	"context"
	"crypto/md5" //nolint:gosec // SQS answers with it
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"

	"callfleet/internal/localsfn/expr"
	"callfleet/internal/queue"
)

// publishers keeps the queues that were opened.
type publishers struct {
	open func(name string) (queue.Publisher, error)
	all  sync.Map // name → queue.Publisher
}

func (p *publishers) get(name string) (queue.Publisher, error) {
	if q, ok := p.all.Load(name); ok {
		return q.(queue.Publisher), nil
	}
	if p.open == nil {
		return nil, &Failure{Name: "SQS.QueueDoesNotExistException", Cause: "queue " + name + ": no message broker is configured (set CALLFLEET_QUEUE)"}
	}
	q, err := p.open(name)
	if errors.Is(err, queue.ErrNotFound) {
		return nil, &Failure{Name: "SQS.QueueDoesNotExistException", Cause: sqsCause("AWS.SimpleQueueService.NonExistentQueue", "The specified queue does not exist: "+name+".")}
	}
	if err != nil {
		return nil, err
	}
	got, _ := p.all.LoadOrStore(name, q)
	return got.(queue.Publisher), nil
}

// QueueName is the name of the queue that a QueueUrl means; remote says that it
// is on SQS, and not a queue of the configured broker.
func QueueName(queueURL string) (name string, remote bool) {
	if isURL(queueURL) {
		return queueURL[strings.LastIndexByte(queueURL, '/')+1:], true
	}
	return queueURL, false
}

func isURL(s string) bool {
	return strings.HasPrefix(s, "http://") || strings.HasPrefix(s, "https://")
}

// sendMessage serves sqs:sendMessage in both its forms.
func (h *Handoff) sendMessage(ctx context.Context, c *Call, p params) (expr.Value, error) {
	m, err := readMessage(p)
	if err != nil {
		return expr.Value{}, err
	}
	if isURL(m.queueURL) {
		return h.sendRemote(ctx, c, m)
	}
	q, err := h.queues.get(m.queueURL)
	if err != nil {
		return expr.Value{}, err
	}
	msg := queue.Message{ID: c.ID, Body: m.body, Group: m.group, Delay: m.delay, Headers: m.headers(c.Headers, q.Limits().MaxHeaders)}
	if m.dedup != "" {
		msg.ID = m.dedup
	}
	if msg.Group == "" {
		msg.Group = c.Execution
	}
	if err := h.publish(ctx, q, msg); err != nil {
		return expr.Value{}, err
	}
	id := requestID()
	members := make([]expr.Member, 0, 5)
	if sum := m.attributesMD5(); sum != "" {
		members = append(members, expr.Member{Key: "MD5OfMessageAttributes", Value: expr.String(sum)})
	}
	members = append(members,
		expr.Member{Key: "MD5OfMessageBody", Value: expr.String(bodyMD5(m.body))},
		expr.Member{Key: "MessageId", Value: expr.String(requestID())})
	return withMetadata(members, id, jsonHeaders(id, 106)), nil
}

// publish hands a message to the broker. Trouble of the broker is waited out
// here and nowhere else, until the task's deadline: the message is neither
// lost nor sent twice, as it keeps its id.
func (h *Handoff) publish(ctx context.Context, q queue.Publisher, m queue.Message) error {
	b := backoff.NewExponentialBackOff(backoff.WithInitialInterval(20*time.Millisecond), backoff.WithMaxInterval(5*time.Second), backoff.WithMaxElapsedTime(0))
	return backoff.RetryNotify(func() error {
		err := q.Publish(ctx, m)
		switch {
		case errors.Is(err, queue.ErrTooLarge):
			return backoff.Permanent(&Failure{Name: "SQS.InvalidParameterValueException", Cause: sqsCause("InvalidParameterValue",
				fmt.Sprintf("One or more parameters are invalid. Reason: Message must be shorter than %d bytes.", q.Limits().MaxBytes))})
		case errors.Is(err, queue.ErrNotFound):
			return backoff.Permanent(&Failure{Name: "SQS.QueueDoesNotExistException", Cause: sqsCause("AWS.SimpleQueueService.NonExistentQueue", "The specified queue does not exist.")})
		case errors.Is(err, queue.ErrClosed):
			return backoff.Permanent(context.Canceled) // shutting down: the task is handed off again
		}
		return err
	}, backoff.WithContext(b, ctx), func(err error, wait time.Duration) {
		h.o.Logger.WarnContext(ctx, "cannot publish a task; trying again", "task", m.ID, "error", err, "wait", wait)
	})
}

func sqsCause(code, message string) string {
	return fmt.Sprintf("%s (Service: AmazonSQS; Status Code: 400; Error Code: %s; Request ID: %s; Proxy: null)", message, code, requestID())
}

// message is what SendMessage was asked to send.
type message struct {
	queueURL     string
	body         []byte
	group, dedup string
	delay        time.Duration
	hasDelay     bool
	attributes   []attribute
}

// attribute is a message attribute.
type attribute struct{ name, kind, text string }

// readMessage takes the parameters of SendMessage apart.
func readMessage(p params) (m message, err error) {
	if m.queueURL, err = p.text("QueueUrl"); err != nil {
		return m, err
	}
	if m.queueURL == "" {
		return m, &Failure{Name: "States.Runtime", Cause: "The Parameters field QueueUrl is required."}
	}
	body := p.Get("MessageBody")
	switch body.Kind() {
	case expr.Absent, expr.KindNull:
		return m, &Failure{Name: "SQS.AmazonSQSException", Cause: sqsCause("MissingParameter", "The request must contain the parameter MessageBody.")}
	case expr.KindString:
		m.body = []byte(body.Text())
	default:
		m.body = body.JSON()
	}
	if m.group, err = p.text("MessageGroupId"); err != nil {
		return m, err
	}
	if m.dedup, err = p.text("MessageDeduplicationId"); err != nil {
		return m, err
	}
	if d := p.Get("DelaySeconds"); d.Kind() == expr.KindNumber {
		seconds, ok := d.Int()
		if !ok || seconds < 0 || seconds > 900 {
			return m, &Failure{Name: "SQS.AmazonSQSException", Cause: sqsCause("InvalidParameterValue",
				fmt.Sprintf("Value %s for parameter DelaySeconds is invalid. Reason: DelaySeconds must be >= 0 and <= 900.", d.JSON()))}
		}
		m.delay, m.hasDelay = time.Duration(seconds)*time.Second, true
	}
	m.attributes, err = readAttributes(p.Get("MessageAttributes"))
	return m, err
}

func readAttributes(v expr.Value) ([]attribute, error) {
	var all []attribute
	for _, member := range v.Members() {
		a := attribute{name: member.Key, kind: member.Value.Get("DataType").Text(), text: member.Value.Get("StringValue").Text()}
		if a.kind == "" || !strings.HasPrefix(a.kind, "String") && !strings.HasPrefix(a.kind, "Number") {
			return nil, &Failure{Name: "SQS.AmazonSQSException", Cause: sqsCause("InvalidParameterValue",
				fmt.Sprintf("The type of message (user) attribute '%s' is invalid: String or Number are sent from a state machine.", a.name))}
		}
		all = append(all, a)
	}
	sort.Slice(all, func(i, j int) bool { return all[i].name < all[j].name })
	return all, nil
}

// headers are the message's attributes and the trace context, which gives way
// when there is no room for it.
func (m *message) headers(trace map[string]string, room int) map[string]string {
	if len(m.attributes) == 0 && len(trace) <= room {
		return trace
	}
	all := make(map[string]string, len(m.attributes)+len(trace))
	for _, a := range m.attributes {
		all[a.name] = a.text
	}
	for k, v := range trace {
		if len(all) < room {
			all[k] = v
		}
	}
	return all
}

func bodyMD5(body []byte) string {
	sum := md5.Sum(body) //nolint:gosec // SQS answers with it
	return hex.EncodeToString(sum[:])
}

// attributesMD5 is the digest that SQS makes of message attributes (SQS
// Developer Guide, "Calculating the MD5 message digest for message
// attributes"); "" if there are none.
func (m *message) attributesMD5() string {
	if len(m.attributes) == 0 {
		return ""
	}
	h := md5.New() //nolint:gosec // SQS answers with it
	for _, a := range m.attributes {
		sized(h, a.name)
		sized(h, a.kind)
		_, _ = h.Write([]byte{1}) // string
		sized(h, a.text)
	}
	return hex.EncodeToString(h.Sum(nil))
}

func sized(h hash.Hash, s string) {
	var n [4]byte
	binary.BigEndian.PutUint32(n[:], uint32(len(s))) //nolint:gosec // bounded by the size of parameters
	_, _ = h.Write(n[:])
	_, _ = h.Write([]byte(s))
}

func itoa(n int) string { return strconv.Itoa(n) }
