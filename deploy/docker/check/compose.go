package check

import (
	"context"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

// LoadCompose reads Compose files below the root, as docker compose does: with
// the root's .env, and the profiles it names when none are given. The
// environment of this process does not count.
func LoadCompose(ctx context.Context, root string, files []string, profiles ...string) (*types.Project, error) {
	paths := make([]string, len(files))
	for i, f := range files {
		paths[i] = filepath.Join(root, f)
	}
	options, err := cli.NewProjectOptions(paths,
		cli.WithWorkingDirectory(root), cli.WithEnvFiles(), cli.WithDotEnv, cli.WithDefaultProfiles(profiles...))
	if err != nil {
		return nil, fmt.Errorf("load compose files: %w", err)
	}
	project, err := options.LoadProject(ctx)
	if err != nil {
		return nil, fmt.Errorf("load compose files: %w", err)
	}
	return project, nil
}

// stopTime is what a program's drain (25 s) needs.
const stopTime = 30 * time.Second

var (
	pinned  = regexp.MustCompile(`^[a-z0-9/.-]+:[0-9][a-z0-9.-]*@sha256:[0-9a-f]{64}$`)
	numeric = regexp.MustCompile(`^[0-9]+:[0-9]+$`)
)

// Problems are the breaches of the project's rules for containers.
func Problems(p *types.Project) []string {
	var found []string
	for _, name := range p.ServiceNames() {
		s := p.Services[name]
		for _, text := range slices.Concat(imageProblems(s), doorProblems(s), rightProblems(s), lifeProblems(s)) {
			found = append(found, name+": "+text)
		}
	}
	return found
}

func imageProblems(s types.ServiceConfig) []string {
	switch {
	case s.Build == nil && !pinned.MatchString(s.Image):
		return []string{fmt.Sprintf("image %s: want a version and a digest", s.Image)}
	case s.Build != nil && (s.Build.Target == "" || !strings.HasPrefix(s.Image, "callfleet/"+s.Build.Target+":")):
		return []string{fmt.Sprintf("image %s is built from target %q: want callfleet/TARGET:version", s.Image, s.Build.Target)}
	}
	return nil
}

// doorProblems are the ways in that others than this machine have.
func doorProblems(s types.ServiceConfig) (found []string) {
	for _, port := range s.Ports {
		if port.HostIP != "127.0.0.1" {
			found = append(found, fmt.Sprintf("port %s is published on %q: want 127.0.0.1, because nothing asks for a password", port.Published, port.HostIP))
		}
	}
	if s.NetworkMode != "" || s.Pid != "" || s.Ipc != "" || s.Privileged || len(s.Devices) > 0 || len(s.CapAdd) > 0 {
		found = append(found, "reaches out of its container: network_mode, pid, ipc, privileged, devices or cap_add is set")
	}
	for _, v := range s.Volumes {
		if v.Type == types.VolumeTypeBind && !v.ReadOnly {
			found = append(found, fmt.Sprintf("may write to this machine's %s", v.Source))
		}
	}
	return found
}

func rightProblems(s types.ServiceConfig) (found []string) {
	if !s.ReadOnly {
		found = append(found, "root file system is not read-only")
	}
	if !slices.Contains(s.CapDrop, "ALL") || !slices.Contains(s.SecurityOpt, "no-new-privileges:true") {
		found = append(found, "keeps capabilities, or may gain privileges")
	}
	if root := s.Name == "nats" && s.Build == nil; !numeric.MatchString(s.User) || strings.HasPrefix(s.User, "0:") && !root {
		found = append(found, fmt.Sprintf("user is %q: want uid:gid, not root", s.User))
	}
	if s.Deploy == nil || s.Deploy.Resources.Limits == nil {
		return append(found, "no limits")
	}
	if l := s.Deploy.Resources.Limits; l.NanoCPUs <= 0 || l.MemoryBytes <= 0 || l.Pids <= 0 {
		found = append(found, "no limit of cpus, memory or pids")
	}
	return found
}

func lifeProblems(s types.ServiceConfig) (found []string) {
	if s.StopGracePeriod == nil || time.Duration(*s.StopGracePeriod) < stopTime {
		found = append(found, fmt.Sprintf("stop_grace_period is less than %s", stopTime))
	}
	if s.Logging == nil || s.Logging.Options["max-size"] == "" {
		found = append(found, "its log may fill the disk")
	}
	oneShot := s.Restart == "no"
	if s.Restart != "unless-stopped" && !oneShot {
		found = append(found, fmt.Sprintf("restart is %q: want unless-stopped, or no for a command", s.Restart))
	}
	asked := s.HealthCheck != nil && !s.HealthCheck.Disable && len(s.HealthCheck.Test) > 0
	if prebuilt := s.Name == "nats" && s.Build != nil; !asked && !oneShot && !prebuilt {
		found = append(found, "no health check")
	}
	return found
}

var setting = regexp.MustCompile(`\$(CALLFLEET_[A-Z_]+)`)

// UnknownSettings are the CALLFLEET_* variables among env that the help of
// their program does not name.
func UnknownSettings(env []string, help string) (unknown []string) {
	known := make(map[string]bool)
	for _, m := range setting.FindAllStringSubmatch(help, -1) {
		known[m[1]] = true
	}
	for _, name := range env {
		if strings.HasPrefix(name, "CALLFLEET_") && !known[name] {
			unknown = append(unknown, name)
		}
	}
	slices.Sort(unknown)
	return unknown
}
