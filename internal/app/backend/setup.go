package backend

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"callfleet/internal/stepfn"
	"callfleet/statemachine"
)

// SetupOptions are the settings of what Setup makes.
type SetupOptions struct {
	Lease time.Duration // visibility timeout of queues
	Role  string        // ARN for a state machine on AWS; "" makes none there
}

// Resource is what Setup looked after.
type Resource struct {
	Kind, Name string
	Made       bool // it was missing
}

// Table is a template store on a table that has to be made.
type Table interface {
	// Check finds out whether the table is there and has the right keys.
	Check(ctx context.Context) error
	// Create makes it if it is missing.
	Create(ctx context.Context) (made bool, err error)
}

// Table is the table of the template store, nil where that is none.
func (b *Backend) Table() Table {
	t, _ := b.Templates.(Table)
	return t
}

// Setup makes the queues, the table, the bucket and the state machine that are missing
// where they are not made on use, and changes nothing that exists. What it
// looked after before an error comes with the error.
func (b *Backend) Setup(ctx context.Context, o SetupOptions) (all []Resource, err error) {
	add := func(kind, name string, made bool, err error) error {
		if err != nil {
			return fmt.Errorf("set up %s %s: %w", kind, name, err)
		}
		all = append(all, Resource{kind, name, made})
		return nil
	}
	if queues := b.SQS(); queues != nil {
		for _, name := range []string{Requests, Tasks, Results} {
			made, err := queues.Create(ctx, name, o.Lease)
			if err := add("queue", queues.Name(name), made, err); err != nil {
				return all, err
			}
		}
	}
	if table := b.Table(); table != nil {
		made, err := table.Create(ctx)
		if err := add("table", TableOf(b.options.Templates), made, err); err != nil {
			return all, err
		}
	}
	if name := b.FlowTable(); name != "" {
		flows, err := b.flowTable(ctx)
		if err != nil {
			return all, err
		}
		made, err := flows.Create(ctx)
		if err := add("table", name, made, err); err != nil {
			return all, err
		}
	}
	if bucket := b.Bucket(); bucket != nil {
		made, err := bucket.Create(ctx)
		if err := add("bucket", b.options.Blobs, made, err); err != nil {
			return all, err
		}
	}
	if b.StepFunctionsOnAWS() {
		for _, m := range []machine{{b.Executions, statemachine.CallAPI}, {b.Batches, statemachine.CallBatch}} {
			made, err := b.setupMachine(ctx, m, o)
			if err := add("state machine", m.executions.Machine(), made, err); err != nil {
				return all, err
			}
		}
	}
	return all, nil
}

// errNoRole says why there is no state machine.
var errNoRole = errors.New("there is none, and to make one takes a role that it acts as: name it with --role, or use deploy/cdk, which makes both")

// machine is a state machine that has to be made.
type machine struct {
	executions *stepfn.Client
	text       string
}

func (b *Backend) setupMachine(ctx context.Context, m machine, o SetupOptions) (made bool, err error) {
	_, err = m.executions.Check(ctx)
	if err == nil || !errors.Is(err, stepfn.ErrNotFound) {
		return false, err
	}
	if o.Role == "" {
		return false, errNoRole
	}
	definition, err := b.definition(ctx, m.text)
	if err != nil {
		return false, err
	}
	arn := m.executions.Machine()
	_, err = m.executions.As(o.Role).Deploy(ctx, arn[strings.LastIndexByte(arn, ':')+1:], definition)
	return err == nil, err
}

// definition is that of a state machine on the queues and the table of the
// backend.
func (b *Backend) definition(ctx context.Context, text string) ([]byte, error) {
	queues := b.SQS()
	if queues == nil {
		return nil, errors.New("its tasks queue is not on SQS")
	}
	url, err := queues.URL(ctx, Tasks)
	if err != nil {
		return nil, err
	}
	text, err = statemachine.Substitute(text, map[string]string{
		"TemplatesTable": TableOf(b.options.Templates), "TasksQueueUrl": url,
	})
	return []byte(text), err
}
