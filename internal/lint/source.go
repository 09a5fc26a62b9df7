// Package lint holds the project to its own rules: which package may import
// which, how long things may get, what a test looks like. The rules are this
// package's tests; they parse the sources themselves, so that no cache can hide
// a change from them.
package lint

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/scanner"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
)

// Module is the import path that the project's own packages begin with.
const Module = "callfleet"

// File is one parsed Go file of the project.
type File struct {
	Path string // slash-separated, from the root of the project
	Fset *token.FileSet
	AST  *ast.File
	Code int // lines that are neither blank nor comment alone
}

// Dir is the directory of the package: "internal/call".
func (f *File) Dir() string { return path.Dir(f.Path) }

// IsTest reports whether the file is only built for tests.
func (f *File) IsTest() bool { return strings.HasSuffix(f.Path, "_test.go") }

// Line is the line of a node.
func (f *File) Line(n ast.Node) int { return f.Fset.Position(n.Pos()).Line }

// Lines is the number of lines of a node.
func (f *File) Lines(n ast.Node) int { return f.Fset.Position(n.End()).Line - f.Line(n) + 1 }

// Imports are the import paths of the file.
func (f *File) Imports() []string {
	paths := make([]string, 0, len(f.AST.Imports))
	for _, spec := range f.AST.Imports {
		p, _ := strconv.Unquote(spec.Path.Value) // the parser has checked it
		paths = append(paths, p)
	}
	return paths
}

// NameOf is the name by which the file calls an imported package, "" when it
// does not import it.
func (f *File) NameOf(importPath string) string {
	for i, p := range f.Imports() {
		if p != importPath {
			continue
		}
		if name := f.AST.Imports[i].Name; name != nil {
			return name.Name
		}
		return path.Base(importPath)
	}
	return ""
}

// Parse parses one file.
func Parse(name string, text []byte) (*File, error) {
	fset := token.NewFileSet()
	tree, err := parser.ParseFile(fset, name, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, fmt.Errorf("parse %s: %w", name, err)
	}
	return &File{Path: name, Fset: fset, AST: tree, Code: codeLines(text)}, nil
}

// codeLines counts the lines that hold a token other than a comment.
func codeLines(text []byte) int {
	fset := token.NewFileSet()
	file := fset.AddFile("", fset.Base(), len(text))
	var s scanner.Scanner
	s.Init(file, text, nil, 0)
	lines := make(map[int]bool)
	for {
		pos, tok, lit := s.Scan()
		if tok == token.EOF {
			return len(lines)
		}
		if tok == token.SEMICOLON && lit == "\n" {
			continue // put in by the scanner
		}
		first := file.Line(pos)
		for i := range strings.Count(lit, "\n") + 1 {
			lines[first+i] = true
		}
	}
}

// isStandalone reports whether a file is a program of its own, run by "go run
// file.go" and no part of its directory's package.
func (f *File) isStandalone() bool {
	for _, group := range f.AST.Comments {
		for _, c := range group.List {
			if c.Pos() < f.AST.Package && c.Text == "//go:build ignore" {
				return true
			}
		}
	}
	return false
}

// Root is the nearest directory above the current one with a go.mod.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find module root: %w", err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", fmt.Errorf("find module root: no go.mod above the current directory")
		}
		dir = parent
	}
}

// Load parses every Go file of the module whose root is given: not those of
// modules within it, of testdata and of hidden directories, nor programs that
// are excluded by "//go:build ignore".
func Load(root string) ([]*File, error) {
	var files []*File
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir():
			return enter(root, name, entry.Name())
		case filepath.Ext(name) != ".go":
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		f, err := Parse(filepath.ToSlash(rel), text)
		if err != nil {
			return err
		}
		if !f.isStandalone() {
			files = append(files, f)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("load module: %w", err)
	}
	return files, nil
}

func enter(root, dir, base string) error {
	if dir == root {
		return nil
	}
	if base == "testdata" || base == "vendor" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") {
		return filepath.SkipDir
	}
	if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
		return filepath.SkipDir
	}
	return nil
}

// Match reports whether a path is one of the patterns: a path itself, or one
// with all that is below it, "internal/app/...".
func Match(name string, patterns ...string) bool {
	for _, p := range patterns {
		tree, deep := strings.CutSuffix(p, "/...")
		if name == tree || deep && strings.HasPrefix(name, tree+"/") || p == "..." {
			return true
		}
	}
	return false
}
