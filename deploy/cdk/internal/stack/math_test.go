package stack_test

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"
	"text/scanner"
)

// evaluate computes an expression of CloudWatch's metric math at one moment.
// A metric that is not in values has no data there, as NaN, and what is made of
// no data is no data, but for FILL.
func evaluate(expression string, values map[string]float64) (result float64, err error) {
	e := &evaluator{values: values}
	e.scanner.Init(strings.NewReader(expression))
	e.scanner.Error = func(*scanner.Scanner, string) {}
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("evaluate %s: %v", expression, r)
		}
	}()
	e.next()
	result = e.or()
	if e.token != scanner.EOF {
		panic("unexpected " + e.scanner.TokenText())
	}
	return result, nil
}

type evaluator struct {
	scanner scanner.Scanner
	token   rune
	values  map[string]float64
}

func (e *evaluator) next() { e.token = e.scanner.Scan() }

func (e *evaluator) take(text string) bool {
	if e.token == scanner.EOF || e.scanner.TokenText() != text {
		return false
	}
	e.next()
	return true
}

func (e *evaluator) need(text string) {
	if !e.take(text) {
		panic("want " + text + ", not " + e.scanner.TokenText())
	}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func (e *evaluator) or() float64 {
	v := e.and()
	for e.take("OR") {
		w := e.and()
		v = truth(v != 0 || w != 0)
	}
	return v
}

func (e *evaluator) and() float64 {
	v := e.compare()
	for e.take("AND") {
		w := e.compare()
		v = truth(v != 0 && w != 0)
	}
	return v
}

func (e *evaluator) compare() float64 {
	v := e.sum()
	switch {
	case e.take("<"):
		return truth(v < e.sum())
	case e.take(">"):
		return truth(v > e.sum())
	}
	return v
}

func (e *evaluator) sum() float64 {
	v := e.product()
	for {
		switch {
		case e.take("+"):
			v += e.product()
		case e.take("-"):
			v -= e.product()
		default:
			return v
		}
	}
}

func (e *evaluator) product() float64 {
	v := e.operand()
	for {
		switch {
		case e.take("*"):
			v *= e.operand()
		case e.take("/"):
			d := e.operand()
			if d == 0 {
				panic("division by zero")
			}
			v /= d
		default:
			return v
		}
	}
}

func (e *evaluator) operand() float64 {
	text, token := e.scanner.TokenText(), e.token
	e.next()
	switch {
	case token == scanner.Int || token == scanner.Float:
		n, _ := strconv.ParseFloat(text, 64)
		return n
	case text == "(":
		v := e.or()
		e.need(")")
		return v
	case token == scanner.Ident && e.take("("):
		return e.call(text)
	case token == scanner.Ident:
		if v, ok := e.values[text]; ok {
			return v
		}
		return math.NaN()
	}
	panic("unexpected " + text)
}

func (e *evaluator) call(name string) float64 {
	args := []float64{e.or()}
	for e.take(",") {
		args = append(args, e.or())
	}
	e.need(")")
	switch {
	case name == "FILL" && len(args) == 2:
		if math.IsNaN(args[0]) {
			return args[1]
		}
		return args[0]
	case name == "IF" && len(args) == 3:
		if args[0] != 0 {
			return args[1]
		}
		return args[2]
	}
	panic(fmt.Sprintf("%s of %d", name, len(args)))
}

func TestEvaluate(t *testing.T) {
	t.Parallel()
	for expression, want := range map[string]float64{
		"1+2*3": 7, "(1+2)*3-4/2": 7, "FILL(m,0)": 5, "FILL(none,3)": 3, "IF(m>4 AND m<6,1,0)": 1, "IF(m<1 OR m>9,1,2)": 2, "100*m": 500,
	} {
		if got, err := evaluate(expression, map[string]float64{"m": 5}); err != nil || got != want {
			t.Errorf("%s = %v, %v; want %v", expression, got, err, want)
		}
	}
	if got, err := evaluate("none+1", nil); err != nil || !math.IsNaN(got) {
		t.Errorf("of no data: %v, %v", got, err)
	}
	for _, expression := range []string{"", "1/0", "m m", "AVG(m)", "(m", "IF(1,2)"} {
		if got, err := evaluate(expression, map[string]float64{"m": 5}); err == nil {
			t.Errorf("%q = %v, want an error", expression, got)
		}
	}
}
