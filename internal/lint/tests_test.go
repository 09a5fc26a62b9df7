package lint

import (
	"go/ast"
	"strings"
	"testing"
)

// Each exception is "file test".
var parallelExceptions = []exception{
	{"internal/httpcall/memory_test.go TestMemoryOfWaitingCall", "measures the memory of the whole process"},
	{"internal/httpcall/claim_memory_test.go TestMemoryOfLargeAnswers", "measures the memory of the whole process"},
	{"internal/producer/callfile/callfile_test.go TestMemoryDoesNotGrowWithTheFile", "measures the memory of the whole process"},
}

// testBreaches wants t.Parallel first in every test and subtest, no sleep, for a
// test waits for an event, or for the clock of a synctest bubble, and no log that
// the search for secrets does not see.
func testBreaches(files []*File) []finding {
	var found []finding
	for _, f := range files {
		if !f.IsTest() {
			continue
		}
		for _, decl := range f.AST.Decls {
			fn, ok := decl.(*ast.FuncDecl)
			if !ok || fn.Body == nil {
				continue
			}
			key := f.Path + " " + fn.Name.Name
			if isTest(fn) && !isParallel(fn.Body) {
				found = append(found, finding{key, at(f, f.Line(fn), "%s must begin with t.Parallel()", fn.Name.Name)})
			}
			found = append(found, subtests(f, fn, key)...)
			found = append(found, sleeps(f, fn, key)...)
			found = append(found, discards(f, fn, key)...)
		}
	}
	return found
}

func isTest(fn *ast.FuncDecl) bool {
	return fn.Recv == nil && strings.HasPrefix(fn.Name.Name, "Test") && fn.Name.Name != "TestMain" && takesT(fn.Type)
}

// takesT reports whether the only parameter is a *testing.T.
func takesT(fn *ast.FuncType) bool {
	if fn.Params.NumFields() != 1 {
		return false
	}
	star, ok := fn.Params.List[0].Type.(*ast.StarExpr)
	return ok && selected(star.X, "testing") == "T"
}

// isParallel reports whether the first statement is t.Parallel().
func isParallel(body *ast.BlockStmt) bool {
	if len(body.List) == 0 {
		return false
	}
	stmt, ok := body.List[0].(*ast.ExprStmt)
	if !ok {
		return false
	}
	call, ok := stmt.X.(*ast.CallExpr)
	return ok && selected(call.Fun, "t") == "Parallel"
}

// subtests finds the function literals given to t.Run that are not parallel.
func subtests(f *File, fn *ast.FuncDecl, key string) []finding {
	var found []finding
	ast.Inspect(fn, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || selected(call.Fun, "t") != "Run" || len(call.Args) != 2 {
			return true
		}
		if lit, ok := call.Args[1].(*ast.FuncLit); ok && takesT(lit.Type) && !isParallel(lit.Body) {
			found = append(found, finding{key, at(f, f.Line(lit), "subtest of %s must begin with t.Parallel()", fn.Name.Name)})
		}
		return true
	})
	return found
}

// sleeps finds time.Sleep outside a synctest bubble.
func sleeps(f *File, fn *ast.FuncDecl, key string) []finding {
	var found []finding
	ast.Inspect(fn, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok && selected(call.Fun, "synctest") == "Test" {
			return false
		}
		if f.NameOf("time") != "" && selected(n, f.NameOf("time")) == "Sleep" {
			found = append(found, finding{key, at(f, f.Line(n), "%s sleeps: wait for an event, or use synctest", fn.Name.Name)})
		}
		return true
	})
	return found
}

// discards finds slog.DiscardHandler.
func discards(f *File, fn *ast.FuncDecl, key string) []finding {
	var found []finding
	ast.Inspect(fn, func(n ast.Node) bool {
		if f.NameOf("log/slog") != "" && selected(n, f.NameOf("log/slog")) == "DiscardHandler" {
			found = append(found, finding{key, at(f, f.Line(n), "%s throws a log away: evidence.Logger(t) keeps it for scripts/secretscan", fn.Name.Name)})
		}
		return true
	})
	return found
}

func TestTests(t *testing.T) {
	t.Parallel()
	report(t, testBreaches(load(t)), parallelExceptions)
}

func TestTestsCanFail(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		body string
		want int
	}{
		"good":              {`func TestX(t *testing.T) { t.Parallel() }`, 0},
		"not parallel":      {`func TestX(t *testing.T) { t.Log() }`, 1},
		"parallel too late": {`func TestX(t *testing.T) { t.Log(); t.Parallel() }`, 1},
		"empty":             {`func TestX(t *testing.T) {}`, 1},
		"subtest":           {`func TestX(t *testing.T) { t.Parallel(); t.Run("a", func(t *testing.T) { t.Log() }) }`, 1},
		"good subtest":      {`func TestX(t *testing.T) { t.Parallel(); t.Run("a", func(t *testing.T) { t.Parallel() }) }`, 0},
		"helper's subtest":  {`func suite(t *testing.T) { t.Run("a", func(t *testing.T) {}) }`, 1},
		"main":              {`func TestMain(m *testing.M) {}`, 0},
		"helper":            {`func TestingThing(n int) {}`, 0},
		"fuzz":              {`func FuzzX(f *testing.F) { f.Fuzz(func(t *testing.T, s string) {}) }`, 0},
		"sleep":             {`func help() { time.Sleep(1) }`, 1},
		"discarded log":     {`func help() { slog.New(slog.DiscardHandler) }`, 1},
		"sleep in a bubble": {`func TestX(t *testing.T) { t.Parallel(); synctest.Test(t, func(t *testing.T) { time.Sleep(1) }) }`, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := "package p\n\nimport (\n\"log/slog\"\n\"testing\"\n\"testing/synctest\"\n\"time\"\n)\n\n" + row.body + "\n"
			if got := testBreaches(plant(t, "p/a_test.go", text)); len(got) != row.want {
				t.Errorf("%d findings, want %d: %v", len(got), row.want, got)
			}
		})
	}
}
