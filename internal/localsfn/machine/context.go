package machine

import (
	"time"

	"callfleet/internal/localsfn/asl"
	"callfleet/internal/localsfn/expr"
)

// timeLayout is how the context object writes times.
const timeLayout = "2006-01-02T15:04:05.000Z"

// scope is what the fields of the frame's state may refer to, with input as "$".
func (d *decision) scope(f *frame, input expr.Value) *expr.Scope {
	return d.newScope(f, input, nil)
}

// taskScope adds the token of the task about to be scheduled.
func (d *decision) taskScope(f *frame, input expr.Value, token string) *expr.Scope {
	return d.newScope(f, input, []expr.Member{{
		Key: "Task", Value: expr.Object(expr.Member{Key: "Token", Value: expr.String(token)}),
	}})
}

// itemScope adds the item of the iteration about to start.
func (d *decision) itemScope(f *frame, input, item expr.Value) *expr.Scope {
	return d.newScope(f, input, []expr.Member{{Key: "Map", Value: item}})
}

func (d *decision) newScope(f *frame, input expr.Value, more []expr.Member) *expr.Scope {
	return &expr.Scope{
		Input:   input,
		Context: func() expr.Value { return d.contextObject(f, more) },
		Var:     f.variable,
		Rand:    d.env.Rand,
	}
}

// contextObject builds "$$". The order of its keys is AWS's.
func (d *decision) contextObject(f *frame, more []expr.Member) expr.Value {
	members := append(make([]expr.Member, 0, 5), d.sharedContext()...)
	state := []expr.Member{
		{Key: "Name", Value: expr.String(f.state)},
		{Key: "EnteredTime", Value: moment(f.enteredAt)},
	}
	switch d.state(f).Kind {
	case asl.Task, asl.Parallel, asl.Map:
		state = append(state, expr.Member{Key: "RetryCount", Value: expr.Int(f.retryCount)})
	}
	members = append(members, expr.Member{Key: "State", Value: expr.Object(state...)})
	if len(more) == 0 || more[0].Key != "Map" {
		if item := d.currentItem(f); !item.IsAbsent() {
			members = append(members, expr.Member{Key: "Map", Value: item})
		}
	}
	return expr.Object(append(members, more...)...)
}

// sharedContext is the part that all states of the execution see alike.
func (d *decision) sharedContext() []expr.Member {
	if d.context == nil {
		start := d.x.start
		d.context = []expr.Member{
			{Key: "Execution", Value: expr.Object(
				expr.Member{Key: "Id", Value: expr.String(start.ARN)},
				expr.Member{Key: "Input", Value: d.x.input},
				expr.Member{Key: "StartTime", Value: moment(d.x.startedAt)},
				expr.Member{Key: "Name", Value: expr.String(start.Name)},
				expr.Member{Key: "RoleArn", Value: expr.String(start.RoleARN)},
				expr.Member{Key: "RedriveCount", Value: expr.Int(0)},
			)},
			{Key: "StateMachine", Value: expr.Object(
				expr.Member{Key: "Id", Value: expr.String(start.MachineARN)},
				expr.Member{Key: "Name", Value: expr.String(start.MachineName)},
			)},
		}
	}
	return d.context
}

// currentItem is "$$.Map" inside an iteration, absent outside.
func (d *decision) currentItem(f *frame) expr.Value {
	for ; f.parent != nil; f = f.parent {
		if g := f.parent.group; g != nil && g.isMap {
			if d.resolve(f.parent) != nil {
				return expr.Value{} // the Map state itself fails when it goes on
			}
			return mapItem(f.index, g.items[f.index])
		}
	}
	return expr.Value{}
}

func mapItem(index int64, item expr.Value) expr.Value {
	return expr.Object(expr.Member{Key: "Item", Value: expr.Object(
		expr.Member{Key: "Index", Value: expr.Int(index)},
		expr.Member{Key: "Value", Value: item},
	)})
}

func moment(ms int64) expr.Value {
	return expr.String(time.UnixMilli(ms).UTC().Format(timeLayout))
}
