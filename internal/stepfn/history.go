package stepfn

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"reflect"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"
)

// Event is one event of an execution's history.
type Event struct {
	ID, Previous int64
	Time         time.Time
	Type         string // as in the API: "TaskScheduled"
	// What the event's details hold of these; "" and nil are none.
	State, Resource           string
	Error, Cause              string
	Input, Output, Parameters json.RawMessage
}

// History yields the events of the execution of that name or ARN, oldest
// first. It ends with the first error.
func (c *Client) History(ctx context.Context, execution string) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		arn, err := c.executionARN(execution)
		if err != nil {
			yield(Event{}, fmt.Errorf("get history of %s: %w", execution, err))
			return
		}
		pages := sfn.NewGetExecutionHistoryPaginator(c.api, &sfn.GetExecutionHistoryInput{ExecutionArn: &arn, MaxResults: 1000})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				yield(Event{}, c.translate(err, "get history of "+execution))
				return
			}
			for i := range page.Events {
				if !yield(eventOf(&page.Events[i]), nil) {
					return
				}
			}
		}
	}
}

// eventOf takes the common fields out of whichever details the event has. The
// SDK has one type of details for each of some sixty types of event, with the
// same names for the same things; only reflection treats them alike.
func eventOf(e *types.HistoryEvent) Event {
	out := Event{ID: e.Id, Previous: e.PreviousEventId, Time: aws.ToTime(e.Timestamp), Type: string(e.Type)}
	v := reflect.ValueOf(e).Elem()
	for i := range v.NumField() {
		f := v.Field(i)
		if f.Kind() != reflect.Pointer || f.IsNil() || f.Elem().Kind() != reflect.Struct || f.Type() == reflect.TypeFor[*time.Time]() {
			continue
		}
		d := f.Elem()
		set(&out.State, d, "Name")
		set(&out.Resource, d, "Resource")
		set(&out.Error, d, "Error")
		set(&out.Cause, d, "Cause")
		setRaw(&out.Input, d, "Input")
		setRaw(&out.Output, d, "Output")
		setRaw(&out.Parameters, d, "Parameters")
	}
	return out
}

func set(to *string, details reflect.Value, field string) {
	if f := details.FieldByName(field); f.IsValid() {
		if s, ok := f.Interface().(*string); ok && s != nil {
			*to = *s
		}
	}
}

func setRaw(to *json.RawMessage, details reflect.Value, field string) {
	var s string
	if set(&s, details, field); s != "" {
		*to = json.RawMessage(s)
	}
}
