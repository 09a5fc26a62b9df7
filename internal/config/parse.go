// Package config turns flags and environment variables into one struct per
// program. A flag wins over its CALLFLEET_* variable, the variable over the
// default. Every mistake is reported at once, by flag and variable.
package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"

	"github.com/alecthomas/kong"
)

// Input is what a program was started with.
type Input struct {
	Args    []string            // without the program's name
	Getenv  func(string) string // "" is not set
	Stdout  io.Writer           // for help and version
	Version string
	Schemes Schemes
}

// Process is the Input of the running process.
func Process(version string, schemes Schemes) Input {
	return Input{Args: os.Args[1:], Getenv: os.Getenv, Stdout: os.Stdout, Version: version, Schemes: schemes}
}

// ErrHelp says that the help text or the version was asked for and printed:
// the program ends with exit code 0.
var ErrHelp = errors.New("help was printed")

// ExitUsage is the exit code for an *UsageError.
const ExitUsage = 2

// program is one command line.
type program struct {
	name, description string
	target            any
	vars              kong.Vars // used in the target's tags
	check             func(command string, p *problems)
}

// parse fills the program's target and returns the command that was chosen,
// such as "template put".
func (in Input) parse(p program) (command string, err error) {
	found := &problems{envs: make(map[string]string)}
	printed := false
	options := []kong.Option{
		kong.Name(p.name), kong.Description(p.description),
		kong.Writers(in.Stdout, in.Stdout),
		kong.Exit(func(int) { printed = true }),
		kong.Vars{"version": in.Version}, p.vars,
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
		kong.ValueFormatter(describe),
		kong.Resolvers(kong.ResolverFunc(in.resolve)),
	}
	parser, err := kong.New(p.target, append(options, mappers(found)...)...)
	if err != nil {
		return "", fmt.Errorf("build command line of %s: %w", p.name, err)
	}
	if err := takeEnvs(parser, found.envs); err != nil {
		return "", fmt.Errorf("build command line of %s: %w", p.name, err)
	}
	parsed, err := parser.Parse(in.Args)
	if printed {
		return "", ErrHelp
	}
	chosen := p.name
	if wrong, ok := errors.AsType[*kong.ParseError](err); ok {
		parsed = wrong.Context
	}
	if parsed != nil && parsed.Selected() != nil {
		chosen = parsed.Selected().FullPath()
	}
	if err != nil {
		found.list = append(found.list, Problem{Message: err.Error()})
	} else {
		command = commandName(parsed.Command())
		p.check(command, found)
	}
	if len(found.list) > 0 {
		return "", &UsageError{Program: p.name, Command: chosen, Problems: found.list}
	}
	return command, nil
}

// takeEnvs notes the variable of each flag and keeps kong from reading it by
// itself: it would stop at the first mistake.
func takeEnvs(parser *kong.Kong, envs map[string]string) error {
	return kong.Visit(parser.Model, func(node kong.Visitable, next kong.Next) error {
		if flag, ok := node.(*kong.Flag); ok && len(flag.Envs) > 0 {
			envs[flag.Name] = flag.Envs[0]
			flag.Tag.Envs = nil
		}
		return next(nil)
	})
}

// resolve is asked for flags that the command line has not set.
func (in Input) resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	for _, name := range flag.Envs {
		if v := in.Getenv(name); v != "" {
			return v, nil
		}
	}
	return nil, nil
}

// describe is the help text of a flag with its variable.
func describe(v *kong.Value) string {
	if v.Flag == nil || len(v.Flag.Envs) == 0 {
		return v.Help
	}
	return v.Help + " ($" + v.Flag.Envs[0] + ")"
}

// commandName drops the arguments: "template put <path>" is "template put".
func commandName(s string) string {
	name, _, _ := strings.Cut(s, " <")
	return name
}

// mapper decodes one type of value and collects its mistakes instead of
// stopping at the first.
type mapper struct {
	parse func(text string) (any, error)
	found *problems
}

func (m mapper) Decode(ctx *kong.DecodeContext, target reflect.Value) error {
	var text string
	if err := ctx.Scan.PopValueInto(ctx.Value.Name, &text); err != nil {
		return err
	}
	v, err := m.parse(text)
	if err != nil {
		if f := ctx.Value.Flag; f != nil && len(f.Envs) == 0 { // another command's flag of that name may have one
			m.found.list = append(m.found.list, Problem{Setting: "--" + f.Name, Message: err.Error()})
			return nil
		}
		m.found.add(ctx.Value.Name, "%v", err)
		return nil
	}
	target.Set(reflect.ValueOf(v).Convert(target.Type()))
	return nil
}

// boolMapper is the same for switches, which have a value only when it comes
// from a variable or after "=".
type boolMapper struct{ found *problems }

func (boolMapper) IsBool() bool { return true }

func (m boolMapper) Decode(ctx *kong.DecodeContext, target reflect.Value) error {
	on := true
	if ctx.Scan.Peek().Type == kong.FlagValueToken {
		v, err := parseBool(ctx.Scan.Pop().String())
		if err != nil {
			m.found.add(ctx.Value.Name, "%v", err)
			return nil
		}
		on = v
	}
	target.SetBool(on)
	return nil
}
