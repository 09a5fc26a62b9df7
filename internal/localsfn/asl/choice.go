package asl

import (
	"fmt"
	"strings"

	"callfleet/internal/localsfn/asl/condition"
	"callfleet/internal/localsfn/expr"
)

func (p *parser) choice(o *object, s *State) {
	p.required(o, "Choices")
	rules := o.list("Choices")
	if len(rules) == 0 && o.v.Get("Choices").Kind() == expr.KindArray {
		o.fail("Choices", "Value cannot be empty")
	}
	for i, v := range rules {
		r, ok := p.object(v, fmt.Sprintf("%s/Choices[%d]", o.path, i))
		if !ok {
			continue
		}
		p.required(r, "Next")
		s.Rules = append(s.Rules, Rule{
			Next:      r.text("Next"),
			Assign:    p.assign(r),
			Condition: p.condition(r),
		})
		r.text("Comment")
		r.finish()
	}
	s.Default = o.text("Default")
	if o.has("Default") && s.Default == "" && o.v.Get("Default").Kind() == expr.KindString {
		o.fail("Default", "Value cannot be empty")
	}
}

// condition reads what a rule, or an operand of And, Or and Not, compares. It
// returns nil if that is broken, which the parser has then reported.
func (p *parser) condition(o *object) condition.Condition {
	var operators []string
	for _, m := range o.v.Members() {
		if condition.IsOperator(m.Key) || isCombinator(m.Key) {
			operators = append(operators, m.Key)
		}
	}
	if len(operators) != 1 {
		if len(operators) == 0 {
			p.report(CodeSchema, o.path, "A choice rule needs a comparison operator, or one of [And, Or, Not]")
		} else {
			p.report(CodeSchema, o.path, "Only one of these fields is allowed: ["+strings.Join(operators, ", ")+"]")
		}
		for _, name := range append(operators, "Variable") {
			o.value(name)
		}
		return nil
	}
	switch operator := operators[0]; operator {
	case "And", "Or":
		return p.combination(o, operator)
	case "Not":
		inner, ok := p.object(o.value("Not"), o.at("Not"))
		if !ok {
			return nil
		}
		return condition.Not(p.nested(inner))
	default:
		return p.comparison(o, operator)
	}
}

// nested reads a condition below a rule.
func (p *parser) nested(o *object) condition.Condition {
	c := p.condition(o)
	o.text("Comment")
	o.finish()
	return c
}

func (p *parser) combination(o *object, operator string) condition.Condition {
	operands := o.list(operator)
	if len(operands) == 0 && o.v.Get(operator).Kind() == expr.KindArray {
		o.fail(operator, "Value cannot be empty")
	}
	var conditions []condition.Condition
	for i, v := range operands {
		if inner, ok := p.object(v, fmt.Sprintf("%s[%d]", o.at(operator), i)); ok {
			conditions = append(conditions, p.nested(inner))
		}
	}
	if operator == "Or" {
		return condition.Any(conditions)
	}
	return condition.All(conditions)
}

func (p *parser) comparison(o *object, operator string) condition.Condition {
	p.required(o, "Variable")
	variable := o.jsonPath("Variable")
	if condition.IsTypeTest(operator) {
		return condition.Test(operator, variable, o.flag(operator))
	}
	if name, ok := strings.CutSuffix(operator, "Path"); ok {
		return condition.ComparePath(name, variable, o.jsonPath(operator))
	}
	c, problem := condition.Compare(operator, variable, o.value(operator))
	if problem != "" {
		o.fail(operator, problem)
	}
	return c
}

func isCombinator(name string) bool { return name == "And" || name == "Or" || name == "Not" }
