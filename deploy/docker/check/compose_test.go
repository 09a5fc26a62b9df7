package check

import (
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var composeFile = []string{"docker-compose.yml"}

func TestCompose(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		files, profiles []string
		services        string
	}{
		"on NATS":          {composeFile, nil, "jaeger nats sampleapi stepfunctions worker"},
		"and its producer": {composeFile, []string{"nats", "producer"}, "jaeger nats producer sampleapi stepfunctions worker"},
		"on emulators":     {composeFile, []string{"aws"}, "aws jaeger sampleapi setup stepfunctions-aws worker-aws"},
		"producer there":   {composeFile, []string{"aws", "producer-aws"}, "aws jaeger producer-aws sampleapi setup stepfunctions-aws worker-aws"},
		"no registry":      {append(slices.Clone(composeFile), "deploy/docker/compose.prebuilt.yml"), []string{"nats", "producer"}, "nats producer sampleapi stepfunctions worker"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := LoadCompose(t.Context(), root, row.files, row.profiles...)
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(p.ServiceNames(), " "); got != row.services {
				t.Errorf("services are %s, want %s", got, row.services)
			}
			for _, problem := range Problems(p) {
				t.Error(problem)
			}
			for _, s := range p.Services {
				if s.Build != nil && s.Build.Target == "worker" && (len(s.Ports) > 0 || s.ContainerName != "") {
					t.Errorf("%s has a port or a name of its own: it cannot be scaled", s.Name)
				}
				if name == "no registry" && (s.Build == nil || s.Build.Dockerfile != prebuilt) {
					t.Errorf("%s is not built by %s", s.Name, prebuilt)
				}
			}
		})
	}
}

// Every rule reports a file that breaks it.
func TestComposeRulesCanFail(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct{ old, new, want string }{
		"port":         {`"127.0.0.1:8083:8083"`, `"8083:8083"`, `stepfunctions: port 8083 is published on ""`},
		"every one":    {`"127.0.0.1:4222:4222"`, `"0.0.0.0:4222:4222"`, `nats: port 4222 is published on "0.0.0.0"`},
		"latest":       {"nats:2.15.0-alpine@sha256:", "nats:latest@sha256:", "nats: image nats:latest"},
		"no digest":    {"all-in-one:1.76.0@sha256:ab6f1a1f0fb49ea08bcd19f6b84f6081d0d44b364b6de148e1798eb5816bacac", "all-in-one:1.76.0", "jaeger: image jaegertracing/all-in-one:1.76.0"},
		"target":       {"{<<: *build, target: worker}", "{<<: *build, target: wroker}", `worker: image callfleet/worker:devel is built from target "wroker"`},
		"writable":     {"read_only: true", "read_only: false", "worker: root file system"},
		"capabilities": {"cap_drop: [ALL]", "cap_drop: [NET_RAW]", "worker: keeps capabilities"},
		"privileges":   {`security_opt: ["no-new-privileges:true"]`, `security_opt: []`, "worker: keeps capabilities"},
		"privileged":   {"read_only: true", "read_only: true\n  privileged: true", "worker: reaches out"},
		"root":         {`user: "65532:65532"`, `user: "0:0"`, `worker: user is "0:0"`},
		"named user":   {`user: "65532:65532"`, `user: nobody`, `worker: user is "nobody"`},
		"no limits":    {"deploy: {resources: {limits: {cpus: \"1\", memory: 128m, pids: 512}}}", "", "sampleapi: no limits"},
		"no pids":      {"memory: 128m, pids: 512", "memory: 128m", "sampleapi: no limit of"},
		"killed early": {"stop_grace_period: 30s", "stop_grace_period: 10s", "worker: stop_grace_period"},
		"log":          {"logging: {driver: json-file, options: {max-size: 10m, max-file: \"3\"}}", "", "worker: its log"},
		"restart":      {"restart: unless-stopped", "restart: always", `worker: restart is "always"`},
		"health":       {"healthcheck: {<<: *fast-check, test: [CMD, /worker, --health-check]}", "", "worker: no health check"},
		"host's files": {":/calls:ro", ":/calls", "producer: may write to"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := LoadCompose(t.Context(), changed(t, row.old, row.new), composeFile, "nats", "producer")
			if err != nil {
				t.Fatal(err)
			}
			if got := Problems(p); !slices.ContainsFunc(got, func(s string) bool { return strings.HasPrefix(s, row.want) }) {
				t.Errorf("problems are %q, want %q", got, row.want)
			}
		})
	}
	for name, row := range map[string]struct{ old, new string }{
		"unknown key":        {"restart: unless-stopped", "restrat: unless-stopped"},
		"unknown dependency": {"nats: {condition: service_healthy}", "nuts: {condition: service_healthy}"},
		"unknown condition":  {"nats: {condition: service_healthy}", "nats: {condition: service_well}"},
		"unknown volume":     {"volumes: [\"nats:/data\"]", "volumes: [\"mats:/data\"]"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := LoadCompose(t.Context(), changed(t, row.old, row.new), composeFile); err == nil {
				t.Error("is loaded, want an error")
			}
		})
	}
}

// changed is a directory with the project's Compose file, in which a text was
// replaced.
func changed(t *testing.T, old, new string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for _, name := range []string{".env", composeFile[0]} {
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		if name != ".env" && !strings.Contains(string(text), old) {
			t.Fatalf("%s has no %q any more", name, old)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(strings.ReplaceAll(string(text), old, new)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// Every variable of a container is one that its program knows, with a value it
// takes, and the health check is the image's.
func TestComposeSettingsAreKnown(t *testing.T) {
	t.Parallel()
	p, err := LoadCompose(t.Context(), root, composeFile, "nats", "producer", "aws", "producer-aws")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range p.ServiceNames() {
		s := p.Services[name]
		if s.Build == nil {
			continue
		}
		image := images(t, "Dockerfile")[s.Build.Target]
		help := helpOf(t, image)
		env := slices.Sorted(maps.Keys(s.Environment))
		for _, v := range image.Config.Env {
			setting, _, _ := strings.Cut(v, "=")
			env = append(env, setting)
		}
		if unknown := UnknownSettings(env, help); len(unknown) > 0 {
			t.Errorf("%s sets %v, which %s does not know", name, unknown, s.Build.Target)
		}
		if unknown := UnknownSettings([]string{"CALLFLEET_QUEU", "PATH"}, help); !slices.Equal(unknown, []string{"CALLFLEET_QUEU"}) {
			t.Errorf("a mistyped variable of %s: %v", name, unknown)
		}
		checkValues(t, image, s.Environment.Resolve(func(string) (string, bool) { return "", false }).ToMapping())
		if h := image.Config.Healthcheck; h != nil && !slices.Equal([]string(s.HealthCheck.Test), h.Test) {
			t.Errorf("%s is asked by %v, its image by %v", name, s.HealthCheck.Test, h.Test)
		}
	}
}

func helpOf(t *testing.T, image product) string {
	t.Helper()
	var all strings.Builder
	for _, args := range [][]string{{"--help"}, {"run", "--help"}} {
		said, err := exec.CommandContext(t.Context(), image.program(), args...).Output()
		if err != nil && len(args) == 1 {
			t.Fatal(err)
		}
		all.Write(said)
	}
	return all.String()
}

// checkValues starts the program such that it reads its settings and ends.
func checkValues(t *testing.T, image product, env map[string]string) {
	t.Helper()
	args := []string{"version"}
	if image.Config.Healthcheck != nil {
		args = []string{"--health-check"}
	}
	cmd := exec.CommandContext(t.Context(), image.program(), args...)
	cmd.Env = slices.Clone(image.Config.Env)
	for name, value := range env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	said, err := cmd.CombinedOutput()
	var ended *exec.ExitError
	if errors.As(err, &ended) && ended.ExitCode() == 2 || err != nil && ended == nil {
		t.Errorf("%s: %v\n%s", image.Config.Entrypoint[0], err, said)
	}
}
