package asl

import (
	"fmt"
	"strings"

	"callfleet/internal/localsfn/asl/condition"
	"callfleet/internal/localsfn/expr"
)

var kinds = map[string]Kind{
	"Pass": Pass, "Task": Task, "Choice": Choice, "Wait": Wait,
	"Succeed": Succeed, "Fail": Fail, "Parallel": Parallel, "Map": Map,
}

// state reads one state. It always returns one, so that targets are checked
// however broken the state is.
func (p *parser) state(name string, v expr.Value, path string) *State {
	s := &State{Name: name, Path: path, opaque: true}
	if len([]rune(name)) > maxNameLength {
		p.report(CodeSchema, path, fmt.Sprintf("State names can have at most %d characters", maxNameLength))
	}
	if p.names[name] {
		p.report("DUPLICATE_STATE_NAME", path, "Duplicate State name: "+name)
	}
	p.names[name] = true
	o, ok := p.object(v, path)
	if !ok {
		return s
	}
	p.required(o, "Type")
	kind := o.text("Type")
	if s.Kind = kinds[kind]; s.Kind == 0 {
		if o.has("Type") {
			o.fail("Type", "The field 'Type' should have one of these values: [Task, Wait, Pass, Succeed, Fail, Choice, Parallel, Map]")
		}
		s.Next = o.text("Next")
		return s
	}
	o.text("Comment")
	p.queryLanguage(o)
	if o.v.Get("QueryLanguage").Text() == "JSONata" {
		s.Next = o.text("Next")
		return s // its other fields are another language's
	}
	s.opaque, s.variables = false, variables(v)
	p.common(o, s)
	p.kind(o, s)
	o.finish()
	return s
}

// common reads the fields that several kinds of state share.
func (p *parser) common(o *object, s *State) {
	if s.Kind != Fail {
		s.Input = o.filter("InputPath")
		s.Output = o.filter("OutputPath")
	}
	switch s.Kind {
	case Choice, Succeed, Fail:
	default:
		p.transition(o, s)
	}
	if s.Kind != Fail && s.Kind != Succeed {
		s.Assign = p.assign(o)
	}
	switch s.Kind {
	case Pass, Task, Parallel, Map:
		s.ResultPath, s.DiscardResult = o.resultPath()
		if s.Kind != Map {
			s.Parameters = o.template("Parameters")
		}
	}
	switch s.Kind {
	case Task, Parallel, Map:
		s.ResultSelector = o.template("ResultSelector")
		s.Retry = p.retriers(o)
		s.Catch = p.catchers(o)
	}
}

// transition reads Next and End.
func (p *parser) transition(o *object, s *State) {
	s.Next = o.text("Next")
	end := o.flag("End")
	switch {
	case o.has("Next") && end:
		p.report(CodeSchema, o.path, "Only one of these fields is allowed: [Next, End]")
	case !o.has("Next") && !end:
		p.report(CodeSchema, o.path, "One of these fields is required: [Next, End]")
	case o.has("Next") && s.Next == "":
		o.fail("Next", "Value cannot be empty")
	}
}

// assign reads Assign: an object of variables.
func (p *parser) assign(o *object) *expr.Template {
	v := o.value("Assign")
	if v.IsAbsent() {
		return nil
	}
	if v.Kind() != expr.KindObject {
		o.fail("Assign", "Expected value of type Object")
		return nil
	}
	for _, m := range v.Members() {
		if name := strings.TrimSuffix(m.Key, ".$"); !variableName(name) {
			o.fail("Assign", fmt.Sprintf("'%s' is not a valid variable name", name))
		}
	}
	return o.template("Assign")
}

func (p *parser) kind(o *object, s *State) {
	switch s.Kind {
	case Pass:
		s.Result = o.value("Result")
	case Task:
		p.task(o, s)
	case Choice:
		p.choice(o, s)
	case Wait:
		p.wait(o, s)
	case Fail:
		o.exclusive("Error", "ErrorPath")
		o.exclusive("Cause", "CausePath")
		s.Error = p.failText(o, "Error")
		s.Cause = p.failText(o, "Cause")
	case Parallel:
		p.parallel(o, s)
	case Map:
		p.mapState(o, s)
	}
}

func (p *parser) failText(o *object, field string) Text {
	t := Text{Value: o.optional(field)}
	if o.has(field + "Path") {
		e, err := expr.CompileExpr(o.text(field + "Path"))
		if err != nil {
			o.fail(field+"Path", "Value is not a valid JSONPath or a valid intrinsic function call")
		}
		t.Expr = e
	}
	return t
}

func (p *parser) task(o *object, s *State) {
	p.required(o, "Resource")
	arn := o.text("Resource")
	r, ok := ParseResource(arn)
	if o.has("Resource") && !ok {
		o.fail("Resource", "The resource provided "+arn+" is not recognized. The value is not a valid resource ARN, or the resource is not available in this region.")
	}
	s.Resource = r
	s.Timeout = o.amount("TimeoutSeconds", 1)
	s.Heartbeat = o.amount("HeartbeatSeconds", 1)
	if s.Timeout.Set && s.Heartbeat.Set && s.Heartbeat.Value >= s.Timeout.Value {
		o.fail("HeartbeatSeconds", "The value of 'HeartbeatSeconds' should be smaller than that of 'TimeoutSeconds'")
	}
	if v := o.value("Credentials"); !v.IsAbsent() {
		s.Credentials = o.template("Credentials")
	}
	if ok && r.Pattern == WaitForTaskToken && !s.Timeout.Given() && !s.Heartbeat.Given() {
		p.add(Finding{
			Severity: SeverityWarning, Code: CodeUnboundedCallback, Path: o.path,
			Message: "A task that waits for a task token and has neither TimeoutSeconds nor HeartbeatSeconds waits a year for a worker that was lost",
		})
	}
}

func (p *parser) wait(o *object, s *State) {
	fields := []string{"Seconds", "Timestamp", "SecondsPath", "TimestampPath"}
	o.exclusive(fields...)
	if !o.has(fields[0]) && !o.has(fields[1]) && !o.has(fields[2]) && !o.has(fields[3]) {
		p.report(CodeSchema, o.path, "One of these fields is required: ["+strings.Join(fields, ", ")+"]")
	}
	s.Delay.Seconds, _ = o.whole("Seconds", 0)
	if o.has("SecondsPath") {
		s.Delay.SecondsPath = o.jsonPath("SecondsPath")
	}
	if o.has("TimestampPath") {
		s.Delay.TimestampPath = o.jsonPath("TimestampPath")
	}
	if text := o.text("Timestamp"); text != "" {
		t, ok := condition.ParseTimestamp(text)
		if !ok {
			o.fail("Timestamp", "String does not match RFC3339 timestamp")
		}
		s.Delay.Timestamp = t
	}
}

func (p *parser) parallel(o *object, s *State) {
	p.required(o, "Branches")
	branches := o.list("Branches")
	if len(branches) == 0 && o.v.Get("Branches").Kind() == expr.KindArray {
		o.fail("Branches", "Value cannot be empty")
	}
	for i, v := range branches {
		b, ok := p.object(v, fmt.Sprintf("%s/Branches[%d]", o.path, i))
		if !ok {
			continue
		}
		b.text("Comment")
		p.queryLanguage(b)
		s.Branches = append(s.Branches, p.machine(b))
		b.finish()
	}
}

func (p *parser) mapState(o *object, s *State) {
	field := "ItemProcessor"
	if o.has("Iterator") {
		o.exclusive("ItemProcessor", "Iterator")
		field = "Iterator"
	} else {
		p.required(o, field)
	}
	if processor := o.value(field); !processor.IsAbsent() {
		if b, ok := p.object(processor, o.at(field)); ok {
			b.text("Comment")
			p.queryLanguage(b)
			p.processorConfig(b)
			s.Branches = []*Machine{p.machine(b)}
			b.finish()
		}
	}
	o.exclusive("ItemSelector", "Parameters")
	if s.Parameters = o.template("ItemSelector"); s.Parameters == nil {
		s.Parameters = o.template("Parameters")
	}
	if o.has("ItemsPath") {
		s.Items = o.jsonPath("ItemsPath")
	}
	s.MaxConcurrency = o.amount("MaxConcurrency", 0)
	s.Tolerated.Count = o.amount("ToleratedFailureCount", 0)
	s.Tolerated.Percentage = o.percentage("ToleratedFailurePercentage")
	for _, field := range []string{"ItemReader", "ItemBatcher", "ResultWriter"} {
		if !o.value(field).IsAbsent() {
			p.report(CodeUnsupported, o.at(field), "Distributed Map is not supported by this engine: '"+field+"'")
		}
	}
	o.text("Label")
}

// processorConfig accepts inline processing only.
func (p *parser) processorConfig(b *object) {
	v := b.value("ProcessorConfig")
	if v.IsAbsent() {
		return
	}
	config, ok := p.object(v, b.at("ProcessorConfig"))
	if !ok {
		return
	}
	switch mode := config.text("Mode"); mode {
	case "", "INLINE":
	case "DISTRIBUTED":
		p.report(CodeUnsupported, config.at("Mode"), "Distributed Map is not supported by this engine; use INLINE")
		config.text("ExecutionType")
	default:
		config.fail("Mode", "The field 'Mode' should have one of these values: [INLINE, DISTRIBUTED]")
	}
	config.finish()
}

// variableName reports whether s can name a variable: a letter or underscore,
// then letters, digits and underscores, at most 80.
func variableName(s string) bool {
	if s == "" || len([]rune(s)) > maxNameLength {
		return false
	}
	for i, r := range s {
		letter := r == '_' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r > 0x7f
		if !letter && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return s != "states"
}
