package asl

// Severity tells mistakes from advice.
type Severity string

// The severities of a Finding.
const (
	SeverityError   Severity = "ERROR"
	SeverityWarning Severity = "WARNING"
)

// Finding is one mistake, or one piece of advice, about a definition, in the
// words AWS uses where it has the same check.
type Finding struct {
	Severity Severity
	// Code is the class of the finding, such as SCHEMA_VALIDATION_FAILED.
	Code string
	// Message says what is wrong.
	Message string
	// Path is where: "/States/Fetch/Next".
	Path string
}

// The codes of findings.
const (
	CodeInvalidJSON       = "INVALID_JSON_DESCRIPTION"
	CodeSchema            = "SCHEMA_VALIDATION_FAILED"
	CodeMissingTarget     = "MISSING_TRANSITION_TARGET"
	CodeUnsupported       = "UNSUPPORTED_FEATURE"
	CodeUnboundedCallback = "CALLBACK_WITHOUT_TIMEOUT"
	CodeUnknownError      = "UNKNOWN_ERROR_NAME"
)

// String is the form CreateStateMachine reports: "CODE: message at path".
func (f Finding) String() string { return f.Code + ": " + f.Message + " at " + f.Path }

// Invalid reports whether one of the findings is an error.
func Invalid(findings []Finding) bool {
	for _, f := range findings {
		if f.Severity == SeverityError {
			return true
		}
	}
	return false
}
