package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"callfleet/internal/app/local"
	"callfleet/internal/app/program"
	"callfleet/internal/template"
	"callfleet/internal/template/store"
)

// lint is "producer lint". It needs no server.
func (c *cli) lint(context.Context) (int, error) {
	code := program.ExitOK
	for _, path := range c.cfg.Lint.Files {
		files, err := lintable(path)
		if err != nil {
			fmt.Fprintf(c.std.Out, "%s: %v\n", path, err)
			code = program.ExitFailed
		}
		for _, file := range files {
			findings, warnings, note := lintFile(file)
			for _, f := range slices.Compact(findings) {
				fmt.Fprintf(c.std.Out, "%s: %s\n", file, f)
				code = program.ExitFailed
			}
			for _, w := range warnings {
				fmt.Fprintf(c.std.Out, "%s: %s\n", file, w)
			}
			if len(findings) == 0 {
				fmt.Fprintf(c.std.Out, "%s: ok%s\n", file, note)
			}
		}
	}
	return code, nil
}

// lintable is a file, or the *.json files of a directory.
func lintable(path string) ([]string, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errors.New("there is no such file")
	}
	if err != nil || !info.IsDir() {
		return []string{path}, err
	}
	files, err := filepath.Glob(filepath.Join(path, "*.json"))
	if err == nil && len(files) == 0 {
		err = errors.New("holds no *.json file")
	}
	return files, err
}

// lintFile returns what is wrong with a state machine (*.asl.json) or a
// template (any other file), what is worth a look, and what to know of one that
// is good.
func lintFile(file string) (findings, warnings []string, note string) {
	if !strings.HasSuffix(file, ".asl.json") {
		item, warnings, err := readTemplate(file)
		if err != nil {
			return strings.Split(err.Error(), "\n"), warnings, ""
		}
		return nil, warnings, noteOf(item)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return []string{err.Error()}, nil, ""
	}
	findings, placeholders := local.Lint(text)
	if len(placeholders) > 0 {
		return findings, nil, " (state machine; ${" + strings.Join(placeholders, "}, ${") + "} get their values when it is deployed)"
	}
	return findings, nil, " (state machine)"
}

// noteOf says of a template what lint could not see.
func noteOf(item store.Item) string {
	t, err := template.Parse(item.Attributes)
	if err == nil && t.Example() == nil && bytes.Contains(item.Attributes, []byte("{{")) {
		return " (template; nothing was rendered, for it has no example)"
	}
	return " (template)"
}
