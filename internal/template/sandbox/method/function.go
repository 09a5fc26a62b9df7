package method

import (
	"fmt"
	"math"

	"callfleet/internal/template/sandbox/filter"
	"callfleet/internal/template/sandbox/value"
)

// Function finds a function of Jinja2; nil is none.
func Function(name string) *filter.Filter {
	switch name {
	case "range":
		return &filter.Filter{Apply: numbers, MinArgs: 1, MaxArgs: 3}
	case "dict":
		return &filter.Filter{Apply: func(c *filter.Call) (any, error) { return value.NewObject(c.Members()), nil }, MaxArgs: -1}
	case "namespace":
		return &filter.Filter{Apply: func(c *filter.Call) (any, error) { return &value.Namespace{Object: value.NewObject(c.Members())}, nil }, MaxArgs: -1}
	case "joiner":
		return &filter.Filter{Apply: newJoiner, Params: []string{"sep"}, MaxArgs: 1}
	case "cycler":
		return &filter.Filter{Apply: func(c *filter.Call) (any, error) { return &cycler{items: c.Args}, nil }, MinArgs: 1, MaxArgs: -1}
	}
	return filter.Function(name)
}

// maxRange is that of Jinja2's own sandbox.
const maxRange = 100_000

func numbers(c *filter.Call) (any, error) {
	bounds := [3]int{0, 0, 1}
	for i := range c.Args {
		n, err := c.Whole(i, "bound", 0, math.MaxInt32)
		if err != nil {
			return nil, err
		}
		bounds[i] = n
	}
	from, to, by := bounds[0], bounds[1], bounds[2]
	if len(c.Args) == 1 {
		from, to = 0, from
	}
	if by == 0 {
		return nil, c.Errorf("the step of range cannot be 0")
	}
	if n := (to - from) / by; n > maxRange {
		return nil, c.Errorf("range makes more than %d numbers", maxRange)
	} else if err := c.Step(c.Place, 1+max(0, n)); err != nil {
		return nil, err
	}
	l := &value.List{Range: fmt.Sprintf("range(%d, %d)", from, to)}
	if by != 1 {
		l.Range = fmt.Sprintf("range(%d, %d, %d)", from, to, by)
	}
	for i := from; by > 0 && i < to || by < 0 && i > to; i += by {
		l.Items = append(l.Items, value.WholeNumber(i))
	}
	return l, nil
}

// joiner gives nothing the first time, and its text from then on.
type joiner struct {
	text string
	used bool
}

func newJoiner(c *filter.Call) (any, error) {
	s, err := c.TextArg(0, ", ")
	return &joiner{text: s}, err
}

// Call is the next text.
func (j *joiner) Call(*value.Budget, value.Place, []any) (any, error) {
	if !j.used {
		j.used = true
		return "", nil
	}
	return j.text, nil
}

type cycler struct {
	items []any
	i     int
}

// Call is the next item.
func (y *cycler) Call(*value.Budget, value.Place, []any) (any, error) {
	v := y.items[y.i%len(y.items)]
	y.i++
	return v, nil
}
