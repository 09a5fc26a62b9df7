package machine

import (
	"callfleet/internal/localsfn/asl"
	"callfleet/internal/localsfn/expr"
	"callfleet/internal/localsfn/machine/contextobject"
)

// scope is what the fields of the frame's state may refer to, with input as
// "$". Members of more are added to the context object.
func (d *decision) scope(f *frame, input expr.Value, more ...expr.Member) *expr.Scope {
	return &expr.Scope{
		Input:   input,
		Context: func() expr.Value { return d.contextObject(f, more) },
		Var:     f.variable,
		Rand:    d.env.Rand,
	}
}

func (d *decision) contextObject(f *frame, more []expr.Member) expr.Value {
	if d.context == nil {
		d.context = contextobject.Execution(d.x.start, d.x.input, d.x.startedAt)
	}
	members := append(make([]expr.Member, 0, 5), d.context...)
	retries := int64(-1)
	switch d.state(f).Kind {
	case asl.Task, asl.Parallel, asl.Map:
		retries = f.retryCount
	}
	members = append(members, contextobject.State(f.state, f.enteredAt, retries))
	if len(more) == 0 || more[0].Key != "Map" {
		members = d.appendItem(members, f)
	}
	return expr.Object(append(members, more...)...)
}

// appendItem adds the item of the iteration the frame is in, if it is in one.
func (d *decision) appendItem(members []expr.Member, f *frame) []expr.Member {
	for ; f.parent != nil; f = f.parent {
		g := f.parent.group
		if g == nil || !g.isMap {
			continue
		}
		if d.resolve(f.parent) != nil {
			break // the Map state itself fails when it goes on
		}
		return append(members, contextobject.Item(f.index, g.items[f.index]))
	}
	return members
}
