package template

import (
	"context"
	"encoding/json"
	"errors"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"callfleet/internal/template/response"
	"callfleet/internal/template/sandbox"
)

// Lint reads an item as Parse does, and looks for what Parse cannot refuse:
// names that the template does not declare, an example that does not render,
// clocks that cannot be kept, secrets in clear text. The error is an *Error
// with every mistake; warnings are what is no mistake but worth a look.
func Lint(raw json.RawMessage) (t *Template, warnings []Problem, _ error) {
	p := &parser{}
	if t = p.template(raw); t != nil {
		p.names(t)
		p.clocks(t)
		p.encodings(t)
		for _, text := range p.texts {
			p.clearText(text)
		}
		p.example(t)
	}
	var mistakes []Problem
	for _, f := range p.problems {
		if f.Warning {
			warnings = append(warnings, f)
		} else {
			mistakes = append(mistakes, f)
		}
	}
	if len(mistakes) > 0 {
		return nil, warnings, &Error{Template: p.title(), Problems: mistakes}
	}
	return t, warnings, nil
}

// names finds names that are not among the declared params, and keys that are
// params. What Jinja2 reads otherwise is a mistake under pongo2, where it would
// print; jinja2 prints what Jinja2 does, or fails, and a warning says why.
func (p *parser) names(t *Template) {
	for _, text := range p.texts {
		for _, use := range text.program.Names() {
			if t.schema != nil && !use.Asks && t.schema.Missing(use.Path) {
				p.problems = append(p.problems, Problem{Attribute: text.attribute, Line: use.Line, Column: use.Column,
					Message: strings.Join(use.Path, ".") + " is not among the params that the template declares"})
			}
		}
		for _, d := range text.program.Differences() {
			if d.Loop == nil || t.schema == nil || !t.schema.IsList(d.Loop) {
				p.problems = append(p.problems, Problem{Attribute: text.attribute, Line: d.Line, Column: d.Column, Message: d.Message, Warning: p.engine == sandbox.Jinja2})
			}
		}
		for _, use := range text.program.Keys() {
			p.warn(text.attribute, use.Line, use.Column, "the key of hmac_sha256 is a param: params travel in messages and histories in clear text; the auth of type hmac takes a secret")
		}
	}
}

func (p *parser) warn(attribute string, line, column int, message string) {
	p.problems = append(p.problems, Problem{Attribute: attribute, Line: line, Column: column, Message: message, Warning: true})
}

// clocks compares the template's times with that of the task: attempt < task.
func (p *parser) clocks(t *Template) {
	const task = maxTimeout * time.Second
	if t.Timeout >= task {
		p.errorf("timeoutSeconds", "must be less than the %v that a task has, or no attempt ends by itself", task)
	}
	if t.Retry == nil {
		return
	}
	if t.Retry.MaxDelay >= task {
		p.errorf("retry.maxDelaySeconds", "must be less than the %v that a task has, or the pause never ends", task)
	}
	if attempts := time.Duration(t.Retry.MaxAttempts); t.Timeout > 0 && attempts*t.Timeout > task {
		p.warn("retry.maxAttempts", 0, 0, "all attempts together may take longer than the 15m0s that a task has: the last ones are not made")
	}
}

// encodings finds what asks for answers that cannot be read. Workers send it:
// the answer to a call without secrets is passed on as it comes.
func (p *parser) encodings(t *Template) {
	for _, h := range t.headers {
		if h.value == nil { // it has a mistake
			continue
		}
		if text, static := h.value.Static(); static {
			p.check(h.attribute, response.CheckHeader(h.name, text))
		}
	}
}

// secretKinds are texts that are credentials wherever they stand.
var secretKinds = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`\b(?:sk_live_|rk_live_|sk-|ghp_|gho_|ghs_|github_pat_|glpat-|xox[abp]-|AKIA|ASIA|AIza|SG\.|whsec_|npm_|shpat_)[A-Za-z0-9_\-]{8,}` +
		`|\beyJ[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]+\.|-----BEGIN [A-Z ]*PRIVATE KEY-----`)
})

// bareCredentials are what an Authorization header holds when nothing of it is
// templated.
var bareCredentials = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?i)^\s*(?:Bearer|Basic|Token|ApiKey)\s+[^\s{]`)
})

// reference is what stands in a template in place of a secret.
const reference = `write {{ "secret://env/CALLFLEET_SECRET_NAME"|secret }}, or use the auth of the template`

// clearText finds credentials in clear text.
func (p *parser) clearText(t text) {
	if at := secretKinds().FindStringIndex(t.source); at != nil {
		before := t.source[:at[0]]
		p.warn(t.attribute, 1+strings.Count(before, "\n"), len(before)-strings.LastIndexByte(before, '\n'),
			"holds what looks like a secret in clear text: "+reference)
		return
	}
	name, header := strings.CutPrefix(strings.ToLower(t.attribute), "headers.")
	_, static := t.program.Static()
	secret := name == "authorization" && bareCredentials().MatchString(t.source) ||
		static && t.source != "" && len(t.program.Secrets()) == 0 && slices.Contains([]string{"x-api-key", "api-key", "x-auth-token", "apikey"}, name)
	if header && secret {
		p.warn(t.attribute, 1, 1, "holds a credential in clear text: "+reference)
	}
}

// example renders the example, when the template is good so far.
func (p *parser) example(t *Template) {
	if t.example == nil || slices.ContainsFunc(p.problems, func(f Problem) bool { return !f.Warning }) {
		return
	}
	if err := t.breach(t.example); err != nil {
		p.errorf("example", "%v", err)
		return
	}
	rendered, err := NewRenderer(Options{}).render(context.Background(), t, t.example)
	for _, h := range rendered.Header {
		p.check("headers."+h.Name, response.CheckHeader(h.Name, h.Value))
	}
	var wrong *problemError
	if errors.As(err, &wrong) {
		f := wrong.problem
		f.Message += " (with the example)"
		p.problems = append(p.problems, f)
	}
}
