package lint

import (
	"go/ast"
	"slices"
	"strings"
	"testing"
)

// use keeps names of the standard library out of packages that may import it.
type use struct {
	name   string
	from   []string
	except []string
	of     string   // import path
	names  []string // what must not be used of it
	tests  bool
	reason string
	plant  string // package in which the rule's own test plants each name
}

var uses = []use{
	{
		name: "settings are read in config", from: []string{"..."}, except: []string{"internal/config", "internal/telemetry", "internal/evidence", "scripts/..."},
		of: "os", names: []string{"Getenv", "LookupEnv", "Environ", "ExpandEnv", "Args"},
		reason: "every mistake is reported at once, by setting name; telemetry reads the standard OTEL_* names; evidence is for tests, which have no settings",
		plant:  "internal/worker",
	},
	{
		name: "the machine has no clock", from: pure,
		of: "time", names: []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "NewTimer", "NewTicker", "Tick"},
		reason: "time comes in as a value", plant: "internal/localsfn/machine",
	},
	{
		name: "the machine has no randomness", from: pure,
		of: "math/rand/v2", names: []string{"Int", "IntN", "Int64", "Int64N", "Uint64", "Uint32", "Float64", "Perm", "Shuffle", "N"},
		reason: "randomness comes in as a value", plant: "internal/localsfn/expr",
	},
	{
		name: "programs end in main", from: []string{"internal/..."},
		of: "os", names: []string{"Exit"}, tests: false,
		reason: "an exit elsewhere skips what others clean up", plant: "internal/app",
	},
	{
		name: "no panicking logger", from: []string{"..."}, except: []string{"scripts/..."},
		of: "log", names: []string{"Print", "Printf", "Println", "Fatal", "Fatalf", "Fatalln", "Panic", "Panicf"},
		reason: "logs go through slog, with the trace's ids", plant: "internal/worker",
	},
}

var pure = []string{
	"internal/jsonpath/...", "internal/localsfn/expr/...", "internal/localsfn/asl/...", "internal/localsfn/machine/...", "internal/localsfn/history/...",
}

func (u use) breaches(files []*File) []finding {
	var found []finding
	for _, f := range files {
		name := f.NameOf(u.of)
		if u.of == "math/rand/v2" && name == "v2" {
			name = "rand" // the directory is a version, not the package's name
		}
		if name == "" || f.IsTest() && !u.tests || !Match(f.Dir(), u.from...) || Match(f.Dir(), u.except...) {
			continue
		}
		ast.Inspect(f.AST, func(n ast.Node) bool {
			if used := selected(n, name); slices.Contains(u.names, used) {
				found = append(found, finding{f.Path + " " + u.of + "." + used,
					at(f, f.Line(n), "must not use %s.%s (%s): %s", u.of, used, u.name, u.reason)})
			}
			return true
		})
	}
	return found
}

// selected is X of "name.X", else "".
func selected(n ast.Node, name string) string {
	sel, ok := n.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	if id, ok := sel.X.(*ast.Ident); !ok || id.Name != name {
		return ""
	}
	return sel.Sel.Name
}

func TestUses(t *testing.T) {
	t.Parallel()
	files := load(t)
	for _, u := range uses {
		t.Run(u.name, func(t *testing.T) {
			t.Parallel()
			report(t, u.breaches(files), nil)
		})
	}
}

func TestUsesCanFail(t *testing.T) {
	t.Parallel()
	for _, u := range uses {
		for _, name := range u.names {
			for _, alias := range []string{"", "x "} {
				local := strings.TrimSpace(alias)
				if local == "" {
					local = map[string]string{"math/rand/v2": "rand"}[u.of]
				}
				if local == "" {
					local = u.of
				}
				text := "package p\n\nimport " + alias + "\"" + u.of + "\"\n\nvar v = " + local + "." + name + "\n"
				if got := u.breaches(plant(t, u.plant+"/planted.go", text)); len(got) != 1 {
					t.Errorf("%s: %s.%s as %q: %d findings, want 1", u.name, u.of, name, local, len(got))
				}
			}
		}
	}
}
