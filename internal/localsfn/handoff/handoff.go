package handoff

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"sort"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"callfleet/internal/localsfn/asl"
	"callfleet/internal/localsfn/expr"
	"callfleet/internal/queue"
)

// Call is one task to hand off.
type Call struct {
	Resource   asl.Resource
	Parameters expr.Value
	// ID names the task: the same on every repetition, unique among tasks.
	ID string
	// Execution is the name of the execution, the fairness group of messages.
	Execution string
	// Headers go with a message: the W3C trace context.
	Headers map[string]string
}

// Failure is how a task fails: AWS's error name, and the cause if it has one.
type Failure struct {
	Name  string
	Cause string
}

// Error is "name: cause".
func (f *Failure) Error() string { return f.Name + ": " + f.Cause }

// Table is one table of DynamoDB items kept in this process's own store. Items
// and keys are DynamoDB JSON. Its methods are safe for concurrent use.
type Table interface {
	// Name is what TableName must be.
	Name() string
	// KeyNames are the attributes of the key, the partition key first.
	KeyNames() []string
	// Get returns the item, or nil, and its revision for Put.
	Get(ctx context.Context, key json.RawMessage) (item json.RawMessage, revision string, err error)
	// Put writes the whole item if it still has that revision: "" is an item
	// that is not there, Any whatever is there. ErrChanged when it has not.
	Put(ctx context.Context, item json.RawMessage, revision string) error
	// Delete removes the item if it still has that revision, as Put.
	Delete(ctx context.Context, key json.RawMessage, revision string) error
}

// Any is the revision that matches every item.
const Any = "*"

// What a Table returns besides trouble.
var (
	// ErrChanged says that the revision is not the item's.
	ErrChanged = errors.New("item was changed by another writer")
	// ErrInvalidItem says that the store takes no such item; the text after it
	// goes into the cause.
	ErrInvalidItem = errors.New("item is not valid")
)

// Options configure the integrations; what is left out fails its tasks with a
// cause that says which setting is missing.
type Options struct {
	// Table serves dynamodb:* in this process.
	Table Table
	// DynamoDB serves dynamodb:* instead of Table when set.
	DynamoDB *dynamodb.Client
	// Queues opens a queue of the configured broker by name, for a QueueUrl
	// that is a plain name. queue.ErrNotFound for one that does not exist.
	Queues func(name string) (queue.Publisher, error)
	// SQS serves a QueueUrl that is an http(s) URL.
	SQS *sqs.Client
	// LambdaEndpoint is the base URL that serves all functions but those in
	// LambdaFunctions, which maps function names to base URLs.
	LambdaEndpoint  string
	LambdaFunctions map[string]string
	// HTTP calls Lambda endpoints. Default: a client without a timeout of its
	// own; the task's deadline ends a call.
	HTTP *http.Client
	// Region and AccountID complete the ARNs in causes.
	Region, AccountID string
	Logger            *slog.Logger
}

// Handoff calls services. Its methods are safe for concurrent use.
type Handoff struct {
	o      Options
	queues publishers
	table  map[string]integration
}

// integration calls one operation of one service.
type integration func(ctx context.Context, c *Call, p params) (expr.Value, error)

// New checks o. It calls nothing.
func New(o Options) (*Handoff, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.HTTP == nil {
		o.HTTP = &http.Client{Transport: lambdaTransport()}
	}
	for name, endpoint := range o.LambdaFunctions {
		if err := checkEndpoint(endpoint); err != nil {
			return nil, fmt.Errorf("lambda endpoint of %s: %w", name, err)
		}
	}
	if o.LambdaEndpoint != "" {
		if err := checkEndpoint(o.LambdaEndpoint); err != nil {
			return nil, fmt.Errorf("lambda endpoint: %w", err)
		}
	}
	h := &Handoff{o: o, queues: publishers{open: o.Queues}}
	dynamo := h.localDynamo()
	if o.DynamoDB != nil {
		dynamo = h.remoteDynamo()
	}
	h.table = map[string]integration{
		"dynamodb:getItem":             dynamo.get.on("key"),
		"dynamodb:putItem":             dynamo.put.on("item"),
		"dynamodb:updateItem":          dynamo.update.on("key"),
		"dynamodb:deleteItem":          dynamo.delete.on("key"),
		"sqs:sendMessage":              h.sendMessage,
		"lambda:invoke":                h.invoke,
		"lambda:invoke" + waitForToken: h.invokeAsync,
	}
	h.table["sqs:sendMessage"+waitForToken] = h.sendMessage
	return h, nil
}

func checkEndpoint(s string) error {
	u, err := url.Parse(s)
	if err != nil {
		return err
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return fmt.Errorf("%q is no http(s) URL", s)
	}
	return nil
}

// waitForToken marks the callback form of an integration in the table.
const waitForToken = ".waitForTaskToken"

// name is the integration's place in the table.
func name(r asl.Resource) string {
	s := r.Service + ":" + r.Operation
	if r.Pattern == asl.WaitForTaskToken {
		s += waitForToken
	}
	return s
}

// Supports reports whether a resource can be called.
func (h *Handoff) Supports(r asl.Resource) bool {
	switch {
	case r.Integration == asl.LambdaARN:
		return true
	case r.Integration != asl.Service, r.Pattern == asl.Sync, r.Pattern == asl.Sync2:
		return false
	}
	_, ok := h.table[name(r)]
	return ok
}

// Reads reports whether a resource only reads a store of this process: done
// again, or for nothing, it changes nothing, and it is soon done.
func (h *Handoff) Reads(r asl.Resource) bool {
	return r.Integration == asl.Service && h.o.DynamoDB == nil && h.o.Table != nil && name(r) == "dynamodb:getItem"
}

// Names lists the integrations, for messages to users.
func (h *Handoff) Names() []string {
	names := make([]string, 0, len(h.table))
	for n := range h.table {
		names = append(names, n)
	}
	sort.Strings(names)
	return names
}

// Do calls the service and waits for its answer. The error is a *Failure when
// the task has failed; any other means that the call was given up, because ctx
// ended or this process is shutting down.
func (h *Handoff) Do(ctx context.Context, c *Call) (expr.Value, error) {
	if c.Resource.Integration == asl.LambdaARN {
		return h.invokeARN(ctx, c)
	}
	do, ok := h.table[name(c.Resource)]
	if !ok {
		return expr.Value{}, &Failure{Name: "States.Runtime", Cause: fmt.Sprintf("resource %s is not served here", c.Resource.ARN)}
	}
	p, err := readParams(c.Parameters)
	if err != nil {
		return expr.Value{}, err
	}
	out, err := do(ctx, c, p)
	var f *Failure
	if err == nil || errors.As(err, &f) {
		return out, err
	}
	if ctx.Err() != nil {
		return expr.Value{}, context.Cause(ctx)
	}
	if errors.Is(err, context.Canceled) {
		return expr.Value{}, err // what it was sent to is shutting down
	}
	return expr.Value{}, &Failure{Name: "States.TaskFailed", Cause: err.Error()}
}
