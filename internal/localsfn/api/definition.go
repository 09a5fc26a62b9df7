package api

import (
	"context"
	"strings"

	"callfleet/internal/localsfn/asl"
)

// findings are all that is wrong with a definition: with its text, and with
// what this server or this type of state machine can do.
func (s *Server) findings(text, kind string) []asl.Finding {
	program, found := asl.Parse([]byte(text))
	if program == nil {
		return found
	}
	barred := map[string]bool{}
	if kind == "EXPRESS" {
		for _, f := range asl.CheckExpress(program) {
			found = append(found, f)
			barred[f.Path] = true
		}
	}
	program.Walk(func(st *asl.State) {
		at, r := st.Path+"/Resource", st.Resource
		if st.Kind != asl.Task || barred[at] || s.o.Supports(r) {
			return
		}
		f := asl.Finding{Severity: asl.SeverityError, Code: asl.CodeUnsupported, Path: at,
			Message: "resource " + r.ARN + " is not served here; there are: a Lambda function's ARN, " + strings.Join(s.o.Names(), ", ")}
		if s.serves(r.Service) {
			f.Code = asl.CodeSchema
			f.Message = "The resource provided " + r.ARN + " is not recognized. The value is not a valid resource ARN, or the resource is not available in this region."
		}
		found = append(found, f)
	})
	return found
}

// serves reports whether any operation of a service can be called.
func (s *Server) serves(service string) bool {
	for _, n := range s.o.Names() {
		if strings.HasPrefix(n, service+":") {
			return true
		}
	}
	return false
}

// checkDefinition is InvalidDefinition with every error, or nil.
func (s *Server) checkDefinition(text, kind string) error {
	var all []string
	for _, f := range s.findings(text, kind) {
		if f.Severity == asl.SeverityError {
			all = append(all, f.String())
		}
	}
	if len(all) == 0 {
		return nil
	}
	return &apiError{kind: "InvalidDefinition", message: "Invalid State Machine Definition: '" + strings.Join(all, ", ") + "'"}
}

type validateRequest struct {
	Definition *string `json:"definition"`
	Type       string  `json:"type"`
	Severity   string  `json:"severity"`
	MaxResults int     `json:"maxResults"`
}

type diagnostic struct {
	Severity asl.Severity `json:"severity"`
	Code     string       `json:"code"`
	Message  string       `json:"message"`
	Location string       `json:"location,omitempty"`
}

type validation struct {
	Result      string       `json:"result"`
	Diagnostics []diagnostic `json:"diagnostics"`
	Truncated   bool         `json:"truncated"`
}

func (s *Server) validateDefinition(_ context.Context, body []byte) (any, error) {
	r := validateRequest{Type: "STANDARD", Severity: "ERROR"}
	if err := decode(body, &r); err != nil {
		return nil, err
	}
	var c constraints
	c.required(r.Definition == nil, "definition")
	c.oneOf(r.Type, "type", "STANDARD", "EXPRESS")
	c.oneOf(r.Severity, "severity", "ERROR", "WARNING")
	c.pageSize(&r.MaxResults)
	if err := c.err(); err != nil {
		return nil, err
	}
	v := validation{Result: "OK", Diagnostics: []diagnostic{}}
	for _, f := range s.findings(*r.Definition, r.Type) {
		if f.Severity == asl.SeverityError {
			v.Result = "FAIL"
		} else if r.Severity == "ERROR" {
			continue
		}
		if len(v.Diagnostics) == r.MaxResults {
			v.Truncated = true
			break
		}
		v.Diagnostics = append(v.Diagnostics, diagnostic{f.Severity, f.Code, f.Message, f.Path})
	}
	return v, nil
}
