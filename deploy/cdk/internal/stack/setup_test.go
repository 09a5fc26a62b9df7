package stack_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/jsii-runtime-go"

	"callfleet/deploy/cdk/internal/cfn"
	"callfleet/deploy/cdk/internal/knob"
	"callfleet/deploy/cdk/internal/stack"
)

const root = "../../../.."

// variant is a deployment that the tests look at: a file of testdata/variants
// with its knobs, which test.sh hands to cfn-lint as well.
type variant struct {
	name     string
	knobs    knob.Knobs
	template *cfn.Template
	nag      []string // errors and warnings of cdk-nag
}

// variants are synthesised once, before the tests, one after the other: a
// synthesis takes seconds, and the CDK runs in one other process.
var variants map[string]*variant

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	defer jsii.Close()
	dir, err := os.MkdirTemp("", "callfleet-cdk-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	files, err := filepath.Glob(filepath.Join("..", "..", "testdata", "variants", "*.json"))
	if err != nil || len(files) == 0 {
		return 0, fmt.Errorf("no variants: %w", err)
	}
	variants = make(map[string]*variant)
	for _, file := range files {
		v, err := synthesise(file, dir)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", file, err)
		}
		variants[v.name] = v
	}
	return m.Run(), nil
}

func synthesise(file, dir string) (*variant, error) {
	v := &variant{name: strings.TrimSuffix(filepath.Base(file), ".json")}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var context map[string]any
	if err := json.Unmarshal(text, &context); err != nil {
		return nil, err
	}
	if context["lambdaZip"] != nil { // test.sh makes a real one
		zip := filepath.Join(dir, "lambda.zip")
		if err := os.WriteFile(zip, []byte("no function"), 0o600); err != nil {
			return nil, err
		}
		context["lambdaZip"] = zip
	}
	if v.knobs, err = knob.Read(context); err != nil {
		return nil, err
	}
	out := filepath.Join(dir, v.name)
	app, _, err := stack.NewApp(stack.Options{Root: root, Out: out, Context: context})
	if err != nil {
		return nil, err
	}
	app.Synth(nil)
	if v.nag, err = objections(out); err != nil {
		return nil, err
	}
	v.template, err = cfn.Load(out)
	return v, err
}

// objections are the errors and warnings that an assembly carries: those of
// cdk-nag without a suppression, and the CDK's own.
func objections(assembly string) ([]string, error) {
	text, err := os.ReadFile(filepath.Join(assembly, "manifest.json"))
	if err != nil {
		return nil, err
	}
	var manifest struct {
		Artifacts map[string]struct {
			Metadata map[string][]struct {
				Type string
				Data any
			}
		}
	}
	if err := json.Unmarshal(text, &manifest); err != nil {
		return nil, err
	}
	var list []string
	for _, artifact := range manifest.Artifacts {
		for construct, entries := range artifact.Metadata {
			for _, e := range entries {
				if e.Type == "aws:cdk:error" || e.Type == "aws:cdk:warning" {
					list = append(list, fmt.Sprintf("%s: %v", construct, e.Data))
				}
			}
		}
	}
	return list, nil
}

// standard is the deployment with nothing set but its images.
func standard(t *testing.T) *variant {
	t.Helper()
	return named(t, "standard")
}

func named(t *testing.T, name string) *variant {
	t.Helper()
	v := variants[name]
	if v == nil {
		t.Fatalf("no variant %s", name)
	}
	return v
}

// each runs a test on every variant.
func each(t *testing.T, check func(t *testing.T, v *variant)) {
	t.Helper()
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			check(t, v)
		})
	}
}

// the returns the only resource of a type whose JSON contains a text.
func (v *variant) the(t *testing.T, kind, text string) *cfn.Resource {
	t.Helper()
	list := slices.DeleteFunc(v.template.Of(kind), func(r *cfn.Resource) bool { return !strings.Contains(cfn.Text(r.Properties), text) })
	if len(list) != 1 {
		t.Fatalf("%d %s with %s, want 1", len(list), kind, text)
	}
	return list[0]
}

// want compares what is at a path of a resource's properties.
func want(t *testing.T, r *cfn.Resource, expected string, path ...any) {
	t.Helper()
	if got := cfn.Text(cfn.Get(r.Properties, path...)); got != expected {
		t.Errorf("%s %v is %s, want %s", r.ID, path, got, expected)
	}
}
