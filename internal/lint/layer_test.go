package lint

import (
	"slices"
	"strings"
	"testing"
)

// ban keeps imports out of packages.
type ban struct {
	name    string
	from    []string // packages it holds for
	except  []string // packages among them it does not hold for
	imports []string // what they must not import
	allow   []string // what they may import of that
	tests   bool     // it holds for test files too
	reason  string
	plants  []string // packages in which the rule's own test plants the imports
}

const outside = "outside" // every import that is not of the standard library

var bans = []ban{
	{
		name: "the engine knows no fleet", from: []string{"internal/localsfn/..."}, tests: true,
		imports: ours("call", "worker", "producer", "starter", "template", "httpcall", "stepfn"),
		reason:  "the two products meet at the Step Functions API and the queue alone: what the engine knew of the fleet, AWS would not know",
		plants:  []string{"internal/localsfn/handoff", "internal/localsfn/machine"},
	},
	{
		name: "only app knows the engine", from: []string{"..."}, except: []string{"internal/localsfn/...", "internal/app/..."}, tests: true,
		imports: ours("localsfn"),
		reason:  "the fleet must run against AWS as well: it reaches the engine through the API client",
		plants:  []string{"internal/worker", "internal/stepfn", "cmd/stepfunctions"},
	},
	{
		name: "AWS stays at the border", from: []string{"..."},
		except: []string{
			"internal/stepfn/...", "internal/queue/sqsqueue/...", "internal/template/store/dynamostore/...",
			"internal/limit/store/dynamolimits/...", "internal/blob/s3blob/...",
			"internal/localsfn/handoff/...", "internal/app/...",
			"internal/secret/awssecret/...", // AWS's own stores of secrets
			"internal/awsbody",              // mends the SDK for all of these
			"internal/auth/sigv4/...",       // AWS's signature; what signs is given to package auth, which knows no AWS
			"internal/localsfn",             // the engine's front takes the clients and passes them down
			"internal/awstest/...",          // the tests' emulators come with the configuration of their clients
		},
		imports: []string{"github.com/aws/..."},
		reason:  "one outside system, one package; test files may drive our own servers with the real SDK",
		plants:  []string{"internal/worker", "internal/localsfn/api", "internal/config"},
	},
	{
		name: "NATS stays at the border", from: []string{"..."},
		except: []string{
			"internal/queue/natsqueue/...", "internal/template/store/natsstore/...", "internal/localsfn/store/...",
			"internal/limit/store/natslimits/...", "internal/blob/natsblob/...",
			"internal/natsembed/...", "internal/app/...",
			"internal/localsfn", // the engine's front takes the connection and passes it down
		},
		imports: []string{"github.com/nats-io/..."},
		reason:  "one outside system, one package; test files may talk to the broker themselves",
		plants:  []string{"internal/worker", "internal/localsfn/engine", "internal/producer"},
	},
	{
		name: "the broker is embedded by app", from: []string{"..."}, except: []string{"internal/natsembed/...", "internal/app/..."},
		imports: ours("natsembed"),
		reason:  "a worker's image carries no broker; test files use it as the real thing",
		plants:  []string{"internal/worker", "internal/queue/natsqueue"},
	},
	{
		name: "emulators are for tests", from: []string{"..."}, except: []string{"internal/awstest/...", "scripts/..."},
		imports: ours("awstest"),
		reason:  "what starts emulators of AWS has no place in a program; test files and scripts use it",
		plants:  []string{"internal/worker", "internal/app", "cmd/worker"},
	},
	{
		name: "the way into this machine is for tests", from: []string{"..."}, except: []string{"internal/httpcall/egress/egresstest"},
		imports: []string{Module + "/internal/httpcall/egress/egresstest"},
		reason:  "a program calls public addresses alone, and what its settings allow",
		plants:  []string{"internal/worker", "internal/app", "cmd/worker"},
	},
	{
		name: "evidence is for tests", from: []string{"..."},
		except: []string{
			"internal/evidence/...", "internal/secret/secrettest", "internal/telemetry/otlptest", "internal/stepfn/stepfntest",
			"scripts/secretscan",
		},
		imports: append(ours("evidence"), Module+"/internal/secret/secrettest"),
		reason:  "a program that keeps what it shows, and secrets for tests, would be a leak itself",
		plants:  []string{"internal/worker", "internal/app", "cmd/worker"},
	},
	{
		name: "templates have one engine", from: []string{"..."}, except: []string{"internal/template/..."}, tests: true,
		imports: []string{"github.com/flosch/pongo2/...", "github.com/nikolalohinski/gonja/...", "text/template", "html/template"},
		reason:  "the sandbox around the engine holds only where nothing else uses it",
		plants:  []string{"internal/worker", "internal/producer"},
	},
	{
		name: "settings are read in config", from: []string{"..."}, except: []string{"internal/config/...", "scripts/..."},
		imports: []string{"github.com/alecthomas/kong", "flag"},
		reason:  "every mistake is reported at once, by setting name; test files may have flags such as -update",
		plants:  []string{"internal/worker", "internal/app", "cmd/worker"},
	},
	{
		name:    "seams and domain use the standard library",
		from:    []string{"internal/call", "internal/queue", "internal/template/store", "internal/limit/store", "internal/blob"},
		imports: []string{outside},
		reason:  "everything is built on them: what they import, everything imports",
		plants:  []string{"internal/call", "internal/queue", "internal/template/store", "internal/limit/store", "internal/blob"},
	},
	{
		name: "the machine is pure", from: []string{
			"internal/jsonpath/...", "internal/localsfn/expr/...", "internal/localsfn/asl/...", "internal/localsfn/machine/...", "internal/localsfn/history/...",
		},
		imports: []string{"os/...", "net", "net/http/...", "io/fs", "log/...", "crypto/rand", "context", outside},
		allow:   []string{Module + "/internal/localsfn/...", Module + "/internal/jsonpath/..."},
		reason:  "no clock, randomness or I/O: a history replays to the same state on any machine, for ever",
		plants:  []string{"internal/localsfn/expr", "internal/localsfn/machine"},
	},
	{
		name: "commands only call app", from: []string{"cmd/..."},
		imports: []string{outside}, allow: ours("app", "config"),
		reason: "a main that wires anything is a second app",
		plants: []string{"cmd/worker"},
	},
}

// ours are packages of internal, with all below them.
func ours(names ...string) []string {
	for i, n := range names {
		names[i] = Module + "/internal/" + n + "/..."
	}
	return names
}

// breaches are the imports that a ban keeps out.
func (b ban) breaches(files []*File) []finding {
	var found []finding
	for _, f := range files {
		if f.IsTest() && !b.tests || !Match(f.Dir(), b.from...) || Match(f.Dir(), b.except...) {
			continue
		}
		for i, imported := range f.Imports() {
			if b.keepsOut(imported) {
				line := f.Line(f.AST.Imports[i])
				found = append(found, finding{f.Path + " " + imported, at(f, line, "must not import %s (%s): %s", imported, b.name, b.reason)})
			}
		}
	}
	return found
}

func (b ban) keepsOut(imported string) bool {
	if Match(imported, b.allow...) {
		return false
	}
	first, _, _ := strings.Cut(imported, "/")
	isOutside := strings.Contains(first, ".") || first == Module
	return Match(imported, b.imports...) || isOutside && slices.Contains(b.imports, outside)
}

func TestLayers(t *testing.T) {
	t.Parallel()
	files := load(t)
	for _, b := range bans {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			if b.reason == "" {
				t.Error("ban without a reason")
			}
			report(t, b.breaches(files), nil)
		})
	}
}

// Every ban reports a planted import, and only where it holds.
func TestLayersCanFail(t *testing.T) {
	t.Parallel()
	for _, b := range bans {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			if len(b.plants) == 0 {
				t.Fatal("nothing planted")
			}
			for _, pattern := range b.imports {
				imported := strings.TrimSuffix(pattern, "/...")
				if pattern == outside {
					imported = "golang.org/x/sync/errgroup"
				}
				for _, dir := range b.plants {
					if got := b.breaches(planted(t, dir+"/planted.go", imported)); len(got) != 1 {
						t.Errorf("%s in %s: %d findings, want 1", imported, dir, len(got))
					}
					want := 0
					if b.tests {
						want = 1
					}
					if got := b.breaches(planted(t, dir+"/planted_test.go", imported)); len(got) != want {
						t.Errorf("%s in a test of %s: %d findings, want %d", imported, dir, len(got), want)
					}
				}
				for _, dir := range b.except {
					if got := b.breaches(planted(t, strings.TrimSuffix(dir, "/...")+"/planted.go", imported)); len(got) != 0 {
						t.Errorf("%s in %s: %v, want nothing", imported, dir, got)
					}
				}
			}
		})
	}
}

func planted(t *testing.T, name, imported string) []*File {
	t.Helper()
	return plant(t, name, "package p\n\nimport _ \""+imported+"\"\n")
}
