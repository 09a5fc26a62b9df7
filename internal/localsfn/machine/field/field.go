// Package field evaluates the fields of states that are read at run time, and
// words what is wrong with their values as AWS does. Every error is an
// *expr.Error.
package field

import (
	"fmt"
	"math"

	"callfleet/internal/localsfn/asl"
	"callfleet/internal/localsfn/expr"
	"callfleet/internal/localsfn/history"
)

// Text is a Fail state's Error or Cause; name is the field that holds the path.
func Text(name string, t asl.Text, scope *expr.Scope) (*string, error) {
	if t.Expr == nil {
		return t.Value, nil
	}
	v, err := t.Expr.EvalField(scope, name)
	if err != nil {
		return nil, err
	}
	if v.Kind() != expr.KindString {
		return nil, runtimeError("The value of '%s' is not a string: %s", t.Expr, v.JSON())
	}
	text := v.Text()
	return &text, nil
}

// Task works out what a task is asked to do: its parameters and, into t, its
// bounds.
func Task(s *asl.State, scope *expr.Scope, t *history.Task) (parameters expr.Value, err error) {
	parameters = scope.Input
	if s.Parameters != nil {
		if parameters, err = s.Parameters.Eval(scope); err != nil {
			return parameters, err
		}
	}
	if t.TimeoutSeconds, err = amount("TimeoutSecondsPath", s.Timeout, scope, 1); err != nil {
		return parameters, err
	}
	if t.HeartbeatSeconds, err = amount("HeartbeatSecondsPath", s.Heartbeat, scope, 1); err != nil {
		return parameters, err
	}
	if s.Credentials != nil {
		t.Credentials, err = s.Credentials.Eval(scope)
	}
	return parameters, err
}

// Map works out a Map state's items and concurrency; limit 0 is no limit. It
// gives the same answer each time it is asked about the same input.
func Map(s *asl.State, scope *expr.Scope) (items []expr.Value, limit int64, err error) {
	list := scope.Input
	if s.Items != nil {
		if list, err = s.Items.Items(scope); err != nil {
			return nil, 0, err
		}
	}
	if list.Kind() != expr.KindArray {
		return nil, 0, runtimeError("Reference path \"$\" must point to array.")
	}
	if limit, err = amount("MaxConcurrencyPath", s.MaxConcurrency, scope, 0); err != nil {
		return nil, 0, err
	}
	if err := tolerance(s.Tolerated, scope); err != nil {
		return nil, 0, err
	}
	return list.Elements(), limit, nil
}

// tolerance evaluates what an inline Map accepts but does not act on.
func tolerance(t asl.Tolerance, scope *expr.Scope) error {
	if t.Count.Path != nil {
		const name = "ToleratedFailureCount"
		n, err := amount(name+"Path", t.Count, scope, math.MinInt64)
		if err != nil {
			return err
		}
		if n < 0 {
			return runtimeError(name + " cannot be negative.")
		}
	}
	if t.Percentage.Path != nil {
		const name = "ToleratedFailurePercentage"
		v, err := t.Percentage.Path.Eval(scope)
		if err != nil {
			return err
		}
		if v.Kind() != expr.KindNumber {
			return notA("float", name+"Path", v, t.Percentage.Path)
		}
		if v.Float() < 0 || v.Float() > 100 {
			return runtimeError(name + " must be between 0 and 100.")
		}
	}
	return nil
}

// amount is a whole number's value, 0 if the state does not give it.
func amount(name string, a asl.Amount, scope *expr.Scope, least int64) (int64, error) {
	if a.Path == nil {
		return a.Value, nil
	}
	v, err := a.Path.Eval(scope)
	if err != nil {
		return 0, err
	}
	n, ok := v.Int()
	if v.Kind() != expr.KindNumber || !ok {
		return 0, notA("integer", name, v, a.Path)
	}
	if n < least {
		return 0, runtimeError("The %s field refers to value %d which is less than %d: %s", name, n, least, a.Path)
	}
	return n, nil
}

// notA is the error of a path that leads to something other than a number.
func notA(what, name string, v expr.Value, path *expr.Path) error {
	return runtimeError("The %s field refers to value \"%s\" which is not a valid %s: %s", name, plain(v), what, path)
}

// plain is a value as AWS shows it in a message: a string without its quotes.
func plain(v expr.Value) string {
	if v.Kind() == expr.KindString {
		return v.Text()
	}
	return string(v.JSON())
}

func runtimeError(format string, args ...any) error {
	return &expr.Error{Name: expr.Runtime, Message: fmt.Sprintf(format, args...)}
}
