package check

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

const nobody = 65532

// want is what a target's image has, besides certificates and /data.
var want = map[string]struct {
	serves   bool  // and has a health check
	embeds   bool  // broker and engine
	megabyte int64 // it is smaller than
}{
	"worker":        {serves: true, megabyte: 40},
	"lambda":        {megabyte: 40},
	"sampleapi":     {serves: true, megabyte: 40},
	"producer":      {embeds: true, megabyte: 60},
	"stepfunctions": {serves: true, embeds: true, megabyte: 60},
}

func TestDockerfilesHaveNoWarnings(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"Dockerfile", prebuilt} {
		d, err := ReadDockerfile(root, name, nil)
		if err != nil {
			t.Fatal(err)
		}
		if warnings, err := d.Warnings(t.Context()); err != nil || len(warnings) > 0 {
			t.Errorf("%s: %v, %v", name, warnings, err)
		}
	}
	bad := &Dockerfile{Path: "bad", Text: []byte("FROM scratch as A\nCOPY --from=b /x /y\n")}
	if warnings, err := bad.Warnings(t.Context()); err != nil || len(warnings) == 0 {
		t.Errorf("a bad one: %v, %v; want warnings", warnings, err)
	}
}

func TestTargets(t *testing.T) {
	t.Parallel()
	programs, err := filepath.Glob(filepath.Join(root, "cmd", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, dockerfile := range []string{"Dockerfile", prebuilt} {
		d, err := ReadDockerfile(root, dockerfile, nil)
		if err != nil {
			t.Fatal(err)
		}
		targets, err := d.Targets(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, program := range programs {
			if name := filepath.Base(program); !slices.Contains(targets, name) {
				t.Errorf("%s has no target %s", dockerfile, name)
			}
		}
		if last := targets[len(targets)-1]; last != "worker" {
			t.Errorf("%s builds %s by default, want the worker", dockerfile, last)
		}
	}
}

func TestImages(t *testing.T) {
	t.Parallel()
	for _, dockerfile := range []string{"Dockerfile", prebuilt} {
		for target, row := range want {
			t.Run(dockerfile+" "+target, func(t *testing.T) {
				t.Parallel()
				p, ok := images(t, dockerfile)[target]
				if !ok {
					t.Fatal("no such target")
				}
				files := []string{"/" + target, "/data", "/etc/ssl/certs/ca-certificates.crt"}
				slices.Sort(files)
				if got := list(t, p.Root); !slices.Equal(got, files) {
					t.Errorf("files are %v, want %v", got, files)
				}
				if size := size(t, p.Root); size >= row.megabyte<<20 {
					t.Errorf("%.1f MB, want less than %d", float64(size)/(1<<20), row.megabyte)
				} else {
					t.Logf("%.1f MB", float64(size)/(1<<20))
				}
				if p.Config.User != "65532:65532" || p.Config.WorkingDir != "/data" || p.Owners["/data"] != nobody || len(p.Owners) > 1 {
					t.Errorf("user %s, directory %s, owners %v: want nobody, who may write to /data alone", p.Config.User, p.Config.WorkingDir, p.Owners)
				}
				checkCommand(t, p, "/"+target, row.serves)
				if p.Config.Labels["org.opencontainers.image.version"] != version || p.Config.Labels["org.opencontainers.image.title"] != "callfleet-"+target {
					t.Errorf("labels are %v", p.Config.Labels)
				}
				checkStatic(t, p.program())
			})
		}
	}
}

func checkCommand(t *testing.T, p product, program string, serves bool) {
	t.Helper()
	if !slices.Equal(p.Config.Entrypoint, []string{program}) || len(p.Config.Cmd) > 0 {
		t.Errorf("starts %v %v, want %s", p.Config.Entrypoint, p.Config.Cmd, program)
	}
	if info, err := os.Stat(p.program()); err != nil || info.Mode()&0o111 != 0o111 {
		t.Errorf("program: %v, %v; want one that anybody may run", info, err)
	}
	var check []string
	if h := p.Config.Healthcheck; h != nil {
		check = h.Test
	}
	if serves && !slices.Equal(check, []string{"CMD", program, "--health-check"}) || !serves && check != nil {
		t.Errorf("health check is %v; it serves: %t", check, serves)
	}
}

func checkStatic(t *testing.T, program string) {
	t.Helper()
	b, err := ReadBinary(program)
	if err != nil {
		t.Fatal(err)
	}
	if b.Interpreter != "" || b.Settings["CGO_ENABLED"] != "0" || b.Settings["-trimpath"] != "true" {
		t.Errorf("interpreter %q, built with %v: want a static program without paths of this machine", b.Interpreter, b.Settings)
	}
	if found := b.Holds("runtime/cgo", "callfleet/internal/awstest"); len(found) > 0 {
		t.Errorf("has %v in it", found)
	}
}

// list is every file of an image, and every directory without one.
func list(t *testing.T, dir string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.IsDir() {
			names = append(names, strings.TrimPrefix(name, dir))
			return err
		}
		inside, err := os.ReadDir(name)
		if len(inside) == 0 {
			names = append(names, strings.TrimPrefix(name, dir))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	return names
}

func size(t *testing.T, dir string) (sum int64) {
	t.Helper()
	for _, name := range list(t, dir) {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		sum += info.Size()
	}
	return sum
}

func TestPrebuiltMakesTheSameImages(t *testing.T) {
	t.Parallel()
	built, copied := images(t, "Dockerfile"), images(t, prebuilt)
	for target := range want {
		if !reflect.DeepEqual(built[target].Config, copied[target].Config) {
			t.Errorf("%s is %+v, and prebuilt %+v", target, built[target].Config, copied[target].Config)
		}
	}
	d, err := ReadDockerfile(root, prebuilt, nil)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(d.Text)) {
		if image, ok := strings.CutPrefix(line, "FROM "); ok && !strings.HasPrefix(image, "scratch ") && !strings.HasPrefix(image, "base ") {
			t.Errorf("%s asks a registry for %s", prebuilt, image)
		}
	}
	nats := copied["nats"]
	checkCommand(t, nats, "/nats-server", false)
	checkStatic(t, nats.program())
}

// The worker's image has neither broker nor engine, nor has the function's.
func TestWorkerCarriesNeitherBrokerNorEngine(t *testing.T) {
	t.Parallel()
	embedded := []string{"github.com/nats-io/nats-server", "callfleet/internal/natsembed", "callfleet/internal/localsfn"}
	for target, row := range want {
		b, err := ReadBinary(images(t, "Dockerfile")[target].program())
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range embedded {
			if found := b.Holds(path); (len(found) > 0) != row.embeds {
				t.Errorf("%s has %v of %s in it, want some: %t", target, found, path, row.embeds)
			}
		}
		if has := slices.Contains(b.Modules, "github.com/nats-io/nats-server/v2"); has != row.embeds {
			t.Errorf("%s is built with the module of the broker: %t, want %t", target, has, row.embeds)
		}
	}
}

func TestBinaryOfAnotherKind(t *testing.T) {
	t.Parallel()
	shell, err := exec.LookPath("sh")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ReadBinary(shell); err == nil {
		t.Error("read a program that is not Go's")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	b, err := ReadBinary(self)
	if err != nil {
		t.Fatal(err)
	}
	if len(b.Holds("github.com/moby/buildkit")) == 0 || b.Settings["-trimpath"] == "true" {
		t.Errorf("this test has %d packages, built with %v", len(b.packages), b.Settings)
	}
}

func TestProgramsAreStamped(t *testing.T) {
	t.Parallel()
	for _, target := range []string{"worker", "stepfunctions", "sampleapi"} {
		said, err := exec.CommandContext(t.Context(), images(t, "Dockerfile")[target].program(), "--version").Output()
		if err != nil || strings.TrimSpace(string(said)) != version {
			t.Errorf("%s --version: %q, %v; want %s", target, said, err, version)
		}
	}
}

func TestBuildCanFail(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct{ text, want string }{
		"missing file":   {"FROM scratch\nCOPY nothing /x\n", "copy /nothing to /x: it is not there"},
		"ignored file":   {"FROM scratch\nCOPY README.md /x\n", "copy /README.md to /x: it is not there"},
		"failing step":   {"FROM golang:1 AS build\nRUN exit 3\nFROM scratch\nCOPY --from=build /x /x\n", "exit status 3"},
		"not on scratch": {"FROM golang:1\nRUN true\n", "not on scratch"},
		"other image":    {"FROM alpine\nRUN true\n", "nothing stands in for it"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files := t.TempDir()
			if err := CopyContext(root, "Dockerfile", files); err != nil {
				t.Fatal(err)
			}
			plan, err := (&Dockerfile{Path: name, Text: []byte(row.text)}).Plan(t.Context(), "")
			if err != nil {
				t.Fatal(err)
			}
			b := &Builder{Context: files, Work: t.TempDir(), Images: map[string]string{"golang:": "/"}}
			if _, err := b.Build(t.Context(), plan); err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("error = %v, want %q", err, row.want)
			}
		})
	}
}
