// Package check holds the project's container files to their rules, on a
// machine that has no Docker: it reads docker-compose.yml with Compose's own
// loader, turns the Dockerfiles into build steps with BuildKit's own frontend,
// carries the steps out in directories, looks into the programs that come of
// them, and runs the services as processes.
//
// It is a module of its own, so that neither Compose nor BuildKit are among
// what the project depends on.
package check

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/client/llb/sourceresolver"
	"github.com/moby/buildkit/frontend/dockerfile/dockerfile2llb"
	"github.com/moby/buildkit/frontend/dockerui"
	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"
	"github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
)

// Dockerfile is one that is to be checked.
type Dockerfile struct {
	Path string            // from the root of the project
	Text []byte            //
	Args map[string]string // --build-arg
}

// ReadDockerfile reads a Dockerfile below the root of the project.
func ReadDockerfile(root, path string, args map[string]string) (*Dockerfile, error) {
	text, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		return nil, fmt.Errorf("read dockerfile: %w", err)
	}
	return &Dockerfile{Path: path, Text: text, Args: args}, nil
}

// Plan is what BuildKit makes of one target: the steps, and the configuration
// of the image.
type Plan struct {
	Config dockerspec.DockerOCIImageConfig
	steps  *llb.Definition
}

// Targets are the names of the stages.
func (d *Dockerfile) Targets(ctx context.Context) ([]string, error) {
	list, err := dockerfile2llb.ListTargets(ctx, d.Text)
	if err != nil {
		return nil, fmt.Errorf("list targets of %s: %w", d.Path, err)
	}
	var names []string
	for _, t := range list.Targets {
		names = append(names, t.Name)
	}
	return names, nil
}

// Plan makes the steps for a target; "" is the one that is built by default.
func (d *Dockerfile) Plan(ctx context.Context, target string) (*Plan, error) {
	state, image, _, _, err := dockerfile2llb.Dockerfile2LLB(ctx, d.Text, d.options(target))
	if err != nil {
		return nil, fmt.Errorf("plan %s of %s: %w", target, d.Path, err)
	}
	steps, err := state.Marshal(ctx, llb.Platform(platform()))
	if err != nil {
		return nil, fmt.Errorf("plan %s of %s: %w", target, d.Path, err)
	}
	return &Plan{Config: image.Config, steps: steps}, nil
}

// Warnings are what "docker build --check" says.
func (d *Dockerfile) Warnings(ctx context.Context) ([]string, error) {
	options := d.options("")
	options.SourceMap = llb.NewSourceMap(nil, d.Path, "Dockerfile", d.Text)
	options.SourceMap.Definition = &llb.Definition{} // of nothing: the text is enough
	found, err := dockerfile2llb.DockerfileLint(ctx, d.Text, options)
	if err != nil {
		return nil, fmt.Errorf("lint %s: %w", d.Path, err)
	}
	var texts []string
	if found.Error != nil {
		texts = append(texts, found.Error.Message)
	}
	for _, w := range found.Warnings {
		texts = append(texts, w.RuleName+": "+w.Detail)
	}
	return texts, nil
}

func (d *Dockerfile) options(target string) dockerfile2llb.ConvertOpt {
	p := platform()
	return dockerfile2llb.ConvertOpt{
		Config:         dockerui.Config{Target: target, BuildArgs: d.Args, BuildPlatforms: []ocispecs.Platform{p}},
		TargetPlatform: &p,
		MetaResolver:   noRegistry{},
	}
}

func platform() ocispecs.Platform {
	return ocispecs.Platform{OS: runtime.GOOS, Architecture: runtime.GOARCH}
}

// noRegistry says of every image that it has a PATH and one layer (one without
// is taken for scratch).
type noRegistry struct{}

func (noRegistry) ResolveImageConfig(_ context.Context, ref string, _ sourceresolver.Opt) (string, digest.Digest, []byte, error) {
	image := ocispecs.Image{
		Platform: platform(),
		Config:   ocispecs.ImageConfig{Env: []string{"PATH=/usr/local/go/bin:/usr/local/bin:/usr/bin:/bin"}},
		RootFS:   ocispecs.RootFS{Type: "layers", DiffIDs: []digest.Digest{digest.FromString(ref)}},
	}
	text, err := json.Marshal(image)
	return ref, digest.FromBytes(text), text, err
}
