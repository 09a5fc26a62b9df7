package asl

import (
	"fmt"
	"math"
	"strings"
	"time"

	"callfleet/internal/localsfn/expr"
)

const (
	// maxText is AWS's limit for a definition, in bytes.
	maxText = 1 << 20
	// maxFindings bounds what a hostile definition makes us report.
	maxFindings = 1000
	// maxNameLength is AWS's limit for a state name.
	maxNameLength = 80
)

// Parse reads and checks a definition and returns all findings, errors and
// warnings, in the order of the definition. The Program is nil if one of them
// is an error (see Invalid).
func Parse(text []byte) (*Program, []Finding) {
	p := &parser{names: map[string]bool{}}
	if len(text) > maxText {
		p.report(CodeSchema, "", fmt.Sprintf("The definition is longer than %d bytes", maxText))
		return nil, p.findings
	}
	v, err := expr.Parse(text)
	if err != nil {
		p.report(CodeInvalidJSON, "", "Invalid JSON description: "+err.Error())
		return nil, p.findings
	}
	program := p.program(v)
	if Invalid(p.findings) {
		return nil, p.findings
	}
	return program, p.findings
}

// parser collects the findings of one definition.
type parser struct {
	findings []Finding
	// names holds the state names seen: they are unique in the whole
	// definition.
	names map[string]bool
}

func (p *parser) report(code, path, message string) {
	p.add(Finding{Severity: SeverityError, Code: code, Message: message, Path: path})
}

func (p *parser) add(f Finding) {
	if f.Path == "" {
		f.Path = "/"
	}
	if len(p.findings) < maxFindings {
		p.findings = append(p.findings, f)
	}
}

func (p *parser) program(v expr.Value) *Program {
	o, ok := p.object(v, "")
	if !ok {
		return nil
	}
	program := &Program{Comment: o.text("Comment"), Version: o.text("Version")}
	if version := program.Version; version != "" && version != "1.0" {
		p.report(CodeSchema, "/Version", "The field 'Version' should have one of these values: [1.0]")
	}
	if s, ok := o.whole("TimeoutSeconds", 1); ok {
		program.Timeout = seconds(s)
	}
	p.queryLanguage(o)
	program.Machine = p.machine(o)
	o.finish()
	return program
}

// queryLanguage refuses JSONata, which this engine does not run.
func (p *parser) queryLanguage(o *object) {
	switch language := o.text("QueryLanguage"); language {
	case "", "JSONPath":
	case "JSONata":
		p.report(CodeUnsupported, o.path+"/QueryLanguage", "QueryLanguage 'JSONata' is not supported by this engine; write the state in JSONPath")
	default:
		p.report(CodeSchema, o.path+"/QueryLanguage", "The field 'QueryLanguage' should have one of these values: [JSONPath, JSONata]")
	}
}

// machine reads StartAt and States, which a program, a branch and an item
// processor have alike.
func (p *parser) machine(o *object) *Machine {
	p.required(o, "States", "StartAt")
	m := &Machine{StartAt: o.text("StartAt"), States: map[string]*State{}}
	states := o.value("States")
	if states.IsAbsent() {
		return m
	}
	path := o.path + "/States"
	if states.Kind() != expr.KindObject {
		p.report(CodeSchema, path, "Expected value of type Object")
		return m
	}
	if states.Len() == 0 {
		p.report(CodeSchema, path, "Value cannot be empty")
	}
	for _, member := range states.Members() {
		m.Order = append(m.Order, member.Key)
		m.States[member.Key] = p.state(member.Key, member.Value, path+"/"+pointer(member.Key))
	}
	p.checkTargets(o.path, m)
	return m
}

// required reports the fields an object lacks, all in one finding as AWS does.
func (p *parser) required(o *object, fields ...string) {
	var missing []string
	for _, f := range fields {
		if o.v.Get(f).IsAbsent() {
			missing = append(missing, f)
		}
	}
	if len(missing) > 0 {
		p.report(CodeSchema, o.path, "These fields are required: ["+strings.Join(missing, ", ")+"]")
	}
}

// checkTargets reports transitions to states that do not exist, and states no
// transition leads to.
func (p *parser) checkTargets(path string, m *Machine) {
	reached := map[string]bool{}
	follow := func(target, at, field string) {
		if target == "" {
			return
		}
		if _, ok := m.States[target]; !ok {
			p.report(CodeMissingTarget, at, fmt.Sprintf("Missing '%s' target: %s", field, target))
		}
		reached[target] = true
	}
	follow(m.StartAt, path+"/StartAt", "StartAt")
	opaque := false
	for _, name := range m.Order {
		s := m.States[name]
		opaque = opaque || s.opaque
		follow(s.Next, s.Path+"/Next", "Next")
		follow(s.Default, s.Path+"/Default", "Default")
		for i, r := range s.Rules {
			follow(r.Next, fmt.Sprintf("%s/Choices[%d]/Next", s.Path, i), "Next")
		}
		for i, c := range s.Catch {
			follow(c.Next, fmt.Sprintf("%s/Catch[%d]/Next", s.Path, i), "Next")
		}
	}
	if m.StartAt == "" || opaque {
		return // what is reported already would put states out of reach
	}
	for _, name := range m.Order {
		if !reached[name] {
			p.report(CodeMissingTarget, m.States[name].Path, fmt.Sprintf("State %q is not reachable.", name))
		}
	}
}

// pointer escapes a key for use in a finding's path.
func pointer(key string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(key)
}

// seconds is n seconds, as long as a Duration can be.
func seconds(n int64) time.Duration {
	if n > math.MaxInt64/int64(time.Second) {
		return math.MaxInt64
	}
	return time.Duration(n) * time.Second
}
