package asl

import "fmt"

// CheckExpress returns what keeps a program from running as an EXPRESS state
// machine, in AWS's words.
func CheckExpress(p *Program) []Finding {
	var findings []Finding
	p.Walk(func(s *State) {
		if s.Kind != Task {
			return
		}
		what := ""
		switch {
		case s.Resource.Integration == Activity:
			what = "Activity ARN"
		case s.Resource.Pattern == WaitForTaskToken:
			what = "'.waitForTaskToken' service integration "
		case s.Resource.Pattern == Sync, s.Resource.Pattern == Sync2:
			what = "'.sync' service integration "
		default:
			return
		}
		findings = append(findings, Finding{
			Severity: SeverityError, Code: CodeSchema, Path: s.Path + "/Resource",
			Message: fmt.Sprintf("Express state machine does not support %s", what),
		})
	})
	return findings
}
