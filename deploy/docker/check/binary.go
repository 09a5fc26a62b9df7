package check

import (
	"debug/buildinfo"
	"debug/elf"
	"debug/gosym"
	"fmt"
	"slices"
	"strings"
)

// Binary is what a program's file tells of it.
type Binary struct {
	Interpreter string            // the dynamic linker it asks for: "" is static
	Settings    map[string]string // of its build: CGO_ENABLED, -trimpath, …
	Modules     []string          // import paths of the modules in it
	packages    []string          // of every function in it
}

// ReadBinary reads a program, stripped or not.
func ReadBinary(name string) (*Binary, error) {
	info, err := buildinfo.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("read build information of %s: %w", name, err)
	}
	b := &Binary{Settings: make(map[string]string)}
	for _, s := range info.Settings {
		b.Settings[s.Key] = s.Value
	}
	for _, m := range info.Deps {
		b.Modules = append(b.Modules, m.Path)
	}
	file, err := elf.Open(name)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	defer file.Close()
	for _, p := range file.Progs {
		if p.Type == elf.PT_INTERP {
			text := make([]byte, p.Filesz)
			if _, err := p.ReadAt(text, 0); err != nil {
				return nil, fmt.Errorf("read interpreter of %s: %w", name, err)
			}
			b.Interpreter = strings.TrimRight(string(text), "\x00")
		}
	}
	b.packages, err = packages(file)
	if err != nil {
		return nil, fmt.Errorf("read functions of %s: %w", name, err)
	}
	return b, nil
}

// packages lists the packages of all functions. The table that the runtime
// prints stacks from is there in a stripped program too.
func packages(file *elf.File) ([]string, error) {
	table, text := file.Section(".gopclntab"), file.Section(".text")
	if table == nil || text == nil {
		return nil, fmt.Errorf("no table of functions")
	}
	data, err := table.Data()
	if err != nil {
		return nil, err
	}
	symbols, err := gosym.NewTable(nil, gosym.NewLineTable(data, text.Addr))
	if err != nil {
		return nil, err
	}
	var names []string
	for _, f := range symbols.Funcs {
		names = append(names, f.PackageName())
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// Holds are the packages of the program that are one of those, or below it.
func (b *Binary) Holds(paths ...string) []string {
	var found []string
	for _, p := range b.packages {
		for _, path := range paths {
			if p == path || strings.HasPrefix(p, path+"/") {
				found = append(found, p)
			}
		}
	}
	return found
}
