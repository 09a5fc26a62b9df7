package lint

import (
	"go/ast"
	"maps"
	"slices"
	"strings"
	"testing"
)

// What a reader who comes after us can hold in the head. Test files are free of
// them, but for the length of a file.
const (
	maxFileLines     = 600
	maxFuncLines     = 80   // 60 is the aim
	maxPackageLines  = 1500 // of code: a comment must not cost anything
	maxMethods       = 6    // of an interface
	maxParams        = 5    // 4 is the aim
	maxTestFileLines = 900
)

// Each exception is "file function", "directory" or "file interface".
var budgetExceptions = []exception{}

func overBudget(files []*File) []finding {
	var found []finding
	over := func(key string, f *File, line, got, most int, what string) {
		if got > most {
			found = append(found, finding{key, at(f, line, "%s: %d, at most %d", what, got, most)})
		}
	}
	packages := make(map[string]int)
	first := make(map[string]*File)
	for _, f := range files {
		lines := f.Fset.File(f.AST.Pos()).LineCount()
		if f.IsTest() {
			over(f.Path, f, 1, lines, maxTestFileLines, "lines of test file")
			continue
		}
		over(f.Path, f, 1, lines, maxFileLines, "lines of file")
		packages[f.Dir()] += f.Code
		if first[f.Dir()] == nil {
			first[f.Dir()] = f
		}
		ast.Inspect(f.AST, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				key := f.Path + " " + n.Name.Name
				over(key, f, f.Line(n), f.Lines(n), maxFuncLines, "lines of function "+n.Name.Name)
				over(key, f, f.Line(n), n.Type.Params.NumFields(), maxParams, "parameters of "+n.Name.Name)
			case *ast.TypeSpec:
				if i, ok := n.Type.(*ast.InterfaceType); ok {
					over(f.Path+" "+n.Name.Name, f, f.Line(n), i.Methods.NumFields(), maxMethods, "methods of interface "+n.Name.Name)
				}
			}
			return true
		})
	}
	for _, dir := range slices.Sorted(maps.Keys(packages)) {
		over(dir, first[dir], 1, packages[dir], maxPackageLines, "lines of code of package "+dir)
	}
	return found
}

func TestBudgets(t *testing.T) {
	t.Parallel()
	report(t, overBudget(load(t)), budgetExceptions)
}

func TestBudgetsCanFail(t *testing.T) {
	t.Parallel()
	for key, text := range map[string]string{
		"p/a.go":       "package p\n" + strings.Repeat("\n", maxFileLines),
		"p/a_test.go":  "package p\n" + strings.Repeat("\n", maxTestFileLines),
		"p":            "package p\n" + strings.Repeat("var _ int\n", maxPackageLines),
		"p/a.go Long":  "package p\n\nfunc Long() {" + strings.Repeat("\n", maxFuncLines) + "}\n",
		"p/a.go Wide":  "package p\n\nfunc Wide(a, b, c int, d, e, f string) {}\n",
		"p/a.go Broad": "package p\n\ntype Broad interface {\nA()\nB()\nC()\nD()\nE()\nF()\nG()\n}\n",
	} {
		name, _, _ := strings.Cut(key, " ")
		if !strings.HasSuffix(name, ".go") {
			name += "/a.go"
		}
		got := overBudget(plant(t, name, text))
		if !slices.ContainsFunc(got, func(f finding) bool { return f.key == key }) {
			t.Errorf("%s: %v, want a finding for it", key, got)
		}
	}
}
