package asl

import (
	"fmt"
	"strings"
	"time"

	"callfleet/internal/localsfn/expr"
)

// Retry's defaults, by the specification.
const (
	defaultInterval    = time.Second
	defaultMaxAttempts = 3
	defaultBackoffRate = 2.0
)

func (p *parser) retriers(o *object) []Retrier {
	var out []Retrier
	list := o.list("Retry")
	for i, v := range list {
		r, ok := p.object(v, fmt.Sprintf("%s/Retry[%d]", o.path, i))
		if !ok {
			continue
		}
		r.text("Comment")
		retrier := Retrier{
			Errors:      p.errorNames(r, i == len(list)-1),
			Interval:    defaultInterval,
			MaxAttempts: defaultMaxAttempts,
			BackoffRate: defaultBackoffRate,
		}
		if n, ok := r.whole("IntervalSeconds", 1); ok {
			retrier.Interval = seconds(n)
		}
		if n, ok := r.whole("MaxAttempts", 0); ok {
			retrier.MaxAttempts = n
		}
		if v := r.value("BackoffRate"); !v.IsAbsent() {
			if retrier.BackoffRate = v.Float(); v.Kind() != expr.KindNumber || retrier.BackoffRate < 1 {
				r.fail("BackoffRate", "The field 'BackoffRate' should be a number of at least 1.0")
			}
		}
		if n, ok := r.whole("MaxDelaySeconds", 1); ok {
			retrier.MaxDelay = seconds(n)
		}
		switch jitter := r.text("JitterStrategy"); jitter {
		case "", "NONE":
		case "FULL":
			retrier.FullJitter = true
		default:
			r.fail("JitterStrategy", "The field 'JitterStrategy' should have one of these values: [NONE, FULL]")
		}
		r.finish()
		out = append(out, retrier)
	}
	return out
}

func (p *parser) catchers(o *object) []Catcher {
	var out []Catcher
	list := o.list("Catch")
	for i, v := range list {
		c, ok := p.object(v, fmt.Sprintf("%s/Catch[%d]", o.path, i))
		if !ok {
			continue
		}
		c.text("Comment")
		p.required(c, "Next")
		catcher := Catcher{Errors: p.errorNames(c, i == len(list)-1), Next: c.text("Next"), Assign: p.assign(c)}
		catcher.ResultPath, catcher.DiscardResult = c.resultPath()
		c.finish()
		out = append(out, catcher)
	}
	return out
}

// errorNames reads ErrorEquals. States.ALL stands alone, in the last entry.
func (p *parser) errorNames(o *object, last bool) []string {
	const field = "ErrorEquals"
	p.required(o, field)
	values := o.list(field)
	if len(values) == 0 && o.v.Get(field).Kind() == expr.KindArray {
		o.fail(field, "Value cannot be empty")
	}
	var names []string
	for i, v := range values {
		if v.Kind() != expr.KindString {
			p.report(CodeSchema, fmt.Sprintf("%s[%d]", o.at(field), i), "Expected value of type String")
			continue
		}
		name := v.Text()
		if strings.HasPrefix(name, "States.") && !reserved[name] && !strings.HasPrefix(name, "States.Http.StatusCode.") {
			p.add(Finding{
				Severity: SeverityWarning, Code: CodeUnknownError, Path: fmt.Sprintf("%s[%d]", o.at(field), i),
				Message: "'" + name + "' is not an error of the language, and names that start with 'States.' are reserved",
			})
		}
		if name == "States.ALL" && (len(values) > 1 || !last) {
			o.fail(field, "'States.ALL' must appear alone and in the last entry")
		}
		names = append(names, name)
	}
	return names
}

// reserved are the error names of the language and of AWS's service.
var reserved = map[string]bool{
	"States.ALL": true, "States.Timeout": true, "States.TaskFailed": true, "States.HeartbeatTimeout": true,
	"States.Permissions": true, "States.Runtime": true, "States.DataLimitExceeded": true,
	"States.ResultPathMatchFailure": true, "States.ParameterPathFailure": true, "States.BranchFailed": true,
	"States.NoChoiceMatched": true, "States.IntrinsicFailure": true, "States.QueryEvaluationError": true,
	"States.ExceedToleratedFailureThreshold": true, "States.ItemReaderFailed": true, "States.ResultWriterFailed": true,
	"States.Http.Socket": true, "States.ReferencePathConflict": true,
}
