package config

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// UsageError holds every mistake in flags and environment.
type UsageError struct {
	Program  string
	Command  string // the program and its command, as far as it was understood: "producer run"
	Problems []Problem
}

// Problem is one mistake. Setting is "" when it is about the command line as a
// whole.
type Problem struct{ Setting, Message string }

// Error is one line per mistake.
func (e *UsageError) Error() string {
	var b strings.Builder
	for _, p := range e.Problems {
		b.WriteString(e.Program + ": ")
		if p.Setting != "" {
			b.WriteString(p.Setting + ": ")
		}
		b.WriteString(p.Message + "\n")
	}
	fmt.Fprintf(&b, "Run \"%s --help\" for what can be set.", e.Command)
	return b.String()
}

// problems collects mistakes. It knows the variable of each flag.
type problems struct {
	list []Problem
	envs map[string]string // flag name to variable
}

// add reports a mistake in the value of a flag, named without its dashes; of
// several the first one counts.
func (p *problems) add(flag, format string, args ...any) {
	if !p.bad(flag) {
		p.list = append(p.list, Problem{Setting: p.setting(flag), Message: fmt.Sprintf(format, args...)})
	}
}

// bad reports whether a mistake in the flag's value is known: comparing it with
// others would only report a consequence.
func (p *problems) bad(flag string) bool {
	return slices.ContainsFunc(p.list, func(known Problem) bool { return known.Setting == p.setting(flag) })
}

// setting is a flag with its variable: "--slots (CALLFLEET_SLOTS)".
func (p *problems) setting(flag string) string {
	if env := p.envs[flag]; env != "" {
		return "--" + flag + " (" + env + ")"
	}
	return "--" + flag
}

func (p *problems) oneOf(flag, value string, choices ...string) {
	if slices.Contains(choices, value) {
		return
	}
	last := len(choices) - 1
	p.add(flag, "want %s or %s, not %q", strings.Join(choices[:last], ", "), choices[last], value)
}

func (p *problems) positive(flag string, d time.Duration) {
	if d <= 0 {
		p.add(flag, "want more than 0, not %s", d)
	}
}

func (p *problems) notNegative(flag string, f float64) {
	if f < 0 {
		p.add(flag, "want 0 or more, not %v", f)
	}
}

func (p *problems) atLeast(flag string, value, least int) {
	if value < least {
		p.add(flag, "want %d or more, not %d", least, value)
	}
}
