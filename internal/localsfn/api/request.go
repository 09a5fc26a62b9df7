package api

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"callfleet/internal/localsfn/store"
)

// decode reads a request's body; an empty one is an empty object.
func decode(body []byte, into any) error {
	if len(body) == 0 {
		return nil
	}
	err := json.Unmarshal(body, into)
	if err == nil {
		return nil
	}
	var kind *json.UnmarshalTypeError
	if errors.As(err, &kind) {
		return &apiError{kind: "SerializationException", message: strings.ToUpper(kind.Value) + "_VALUE can not be converted to a " + kind.Type.Name() + " at '" + kind.Field + "'"}
	}
	return &apiError{kind: "SerializationException", message: "the request is not valid JSON: " + err.Error()}
}

// seconds is a time as AWS JSON writes it: seconds since 1970, to the
// millisecond.
type seconds time.Time

// MarshalJSON writes the number.
func (t seconds) MarshalJSON() ([]byte, error) { return appendSeconds(nil, time.Time(t)), nil }

func appendSeconds(b []byte, t time.Time) []byte {
	return strconv.AppendFloat(b, float64(t.UnixMilli())/1000, 'f', -1, 64)
}

// maxName is the length of names of state machines and executions.
const maxName = 80

// checkName says whether a name may be given.
func checkName(name string) error {
	for _, r := range name {
		if r <= ' ' || r >= 0x7f && r <= 0x9f || r == utf8.RuneError || strings.ContainsRune(`<>{}[]?*"#%\^|~`+"`$&,;:/", r) {
			return &apiError{kind: "InvalidName", message: "Invalid Name: '" + name + "'"}
		}
	}
	return nil
}

// arnParts takes arn:aws:states:region:account:kind:rest apart.
func (s *Server) arnParts(arn string) (kind, rest string, ours bool, err error) {
	p := strings.SplitN(arn, ":", 7)
	if p[0] != "arn" {
		return "", "", false, invalidARN("Invalid ARN prefix: " + arn)
	}
	if len(p) != 7 || p[2] != "states" || p[6] == "" {
		return "", "", false, invalidARN("Invalid ARN: " + arn)
	}
	return p[5], p[6], p[3] == s.o.Region && p[4] == s.o.AccountID, nil
}

// machineName is the name in a state machine's ARN; known is false when the
// ARN is of another region or account, or of a version or alias.
func (s *Server) machineName(arn string) (name string, known bool, err error) {
	kind, name, ours, err := s.arnParts(arn)
	if err != nil {
		return "", false, err
	}
	if kind != "stateMachine" {
		return "", false, invalidARN("Resource type not valid in this context: " + kind)
	}
	return name, ours && !strings.Contains(name, ":"), nil
}

// machine finds a state machine by its ARN.
func (s *Server) machine(arn string) (store.Machine, error) {
	var c constraints
	c.required(arn == "", "stateMachineArn")
	if err := c.err(); err != nil {
		return store.Machine{}, err
	}
	name, known, err := s.machineName(arn)
	if err != nil {
		return store.Machine{}, err
	}
	if known {
		m, err := s.o.Store.Machine(name)
		if err == nil {
			return m, nil
		}
		if !errors.Is(err, store.ErrNotFound) {
			return store.Machine{}, err
		}
	}
	return store.Machine{}, &apiError{kind: "StateMachineDoesNotExist", message: "State Machine Does Not Exist: '" + arn + "'"}
}

// execution is the key in an execution's ARN.
func (s *Server) execution(arn string) (store.Key, error) {
	var c constraints
	c.required(arn == "", "executionArn")
	if err := c.err(); err != nil {
		return store.Key{}, err
	}
	kind, rest, ours, err := s.arnParts(arn)
	if err != nil {
		return store.Key{}, err
	}
	if kind != "execution" {
		return store.Key{}, invalidARN("Resource type not valid in this context: " + kind)
	}
	machine, name, ok := strings.Cut(rest, ":")
	if !ok || machine == "" || name == "" {
		return store.Key{}, invalidARN("Invalid ARN: " + arn)
	}
	if !ours {
		return store.Key{}, noExecution(arn)
	}
	return store.Key{Machine: machine, Name: name}, nil
}

func noExecution(arn string) *apiError {
	return &apiError{kind: "ExecutionDoesNotExist", message: "Execution Does Not Exist: '" + arn + "'"}
}

// found turns a missing execution into AWS's error.
func found(err error, arn string) error {
	if errors.Is(err, store.ErrNotFound) {
		return noExecution(arn)
	}
	return err
}

// token hides a position of a list in a nextToken.
func token(kind string, at uint64) string {
	return base64.StdEncoding.EncodeToString([]byte("1 " + kind + " " + strconv.FormatUint(at, 10)))
}

// index reads a nextToken that counts what came before.
func index(kind, token string) (int, error) {
	at, err := position(kind, token)
	if err == nil && at > math.MaxInt32 {
		err = errToken
	}
	return int(at), err //nolint:gosec // bounded above
}

var errToken = &apiError{kind: "InvalidToken", message: "Invalid Token: 'Invalid token'"}

// position reads a nextToken of that kind; "" is 0.
func position(kind, token string) (uint64, error) {
	if token == "" {
		return 0, nil
	}
	b, err := base64.StdEncoding.DecodeString(token)
	text, ok := strings.CutPrefix(string(b), "1 "+kind+" ")
	at, err2 := strconv.ParseUint(text, 10, 64)
	if err != nil || !ok || err2 != nil {
		return 0, errToken
	}
	return at, nil
}

func itoa(n int) string { return strconv.Itoa(n) }
