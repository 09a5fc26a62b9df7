package secret

import (
	"errors"
	"fmt"
	"strings"
)

// DefaultAllow are the patterns of the references that templates may use when
// nothing is configured: nothing that a worker has for itself, such as its
// AWS_SECRET_ACCESS_KEY.
func DefaultAllow() []string {
	return []string{"env/CALLFLEET_SECRET_*", "file/*", "secretsmanager/callfleet/*", "ssm/callfleet/*"}
}

// WorkerAWS is the pattern that lets templates sign with the worker's own AWS
// credentials.
const WorkerAWS = "aws/credentials"

// Allow says which references templates may use.
type Allow struct{ patterns []string }

// ParseAllow reads patterns such as env/CALLFLEET_SECRET_*: what stands behind
// secret:// up to a # or, with a * at its end, what that begins with. The error
// names every pattern that is wrong.
func ParseAllow(patterns []string) (Allow, error) {
	var errs []error
	for _, p := range patterns {
		if err := checkPattern(p); err != nil {
			errs = append(errs, fmt.Errorf("pattern %q: %w", p, err))
		}
	}
	return Allow{append([]string(nil), patterns...)}, errors.Join(errs...)
}

func checkPattern(p string) error {
	if p == WorkerAWS {
		return nil
	}
	kind, name, _ := strings.Cut(p, "/")
	switch kind {
	case Env, File, SecretsManager, SSM:
	default:
		return errors.New("want env/, file/, secretsmanager/ or ssm/ and a name or the beginning of one with *, or " + WorkerAWS)
	}
	if name == "" || strings.Contains(strings.TrimSuffix(name, "*"), "*") {
		return errors.New("want a name, or the beginning of one and * at its end")
	}
	return nil
}

// Reference reports whether templates may use the secret. The leading slash
// that names of parameters may have says nothing.
func (a Allow) Reference(r Reference) bool {
	return a.match(r.Kind + "/" + strings.TrimPrefix(r.Name, "/"))
}

// WorkerAWS reports whether templates may sign as the worker.
func (a Allow) WorkerAWS() bool { return a.match(WorkerAWS) }

func (a Allow) match(name string) bool {
	for _, p := range a.patterns {
		if begin, ok := strings.CutSuffix(p, "*"); p == name || ok && strings.HasPrefix(name, begin) {
			return true
		}
	}
	return false
}
