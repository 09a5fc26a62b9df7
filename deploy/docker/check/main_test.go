package check

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

const (
	root     = "../../.."
	version  = "v9.8.7-check" // what the images are stamped with
	prebuilt = "deploy/docker/prebuilt.Dockerfile"
)

// TestMain gives the tests one directory, in which each image is built once.
func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "callfleet-images-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	work = dir
	code := m.Run()
	_ = os.RemoveAll(dir) // what is left is in the temporary directory
	os.Exit(code)
}

var work string // set by TestMain

// product is a target that was built.
type product struct {
	*Plan
	*Image
}

// program is where the image's program is on this machine.
func (p product) program() string { return filepath.Join(p.Root, p.Config.Entrypoint[0]) }

// images builds every program's target of a Dockerfile, once.
func images(t *testing.T, dockerfile string) map[string]product {
	t.Helper()
	once := builds[dockerfile]
	if once == nil {
		t.Fatalf("no dockerfile %s", dockerfile)
	}
	made, err := once()
	if err != nil {
		t.Fatal(err)
	}
	return made
}

var builds = map[string]func() (map[string]product, error){
	"Dockerfile": sync.OnceValues(func() (map[string]product, error) { return buildAll("Dockerfile") }),
	prebuilt:     sync.OnceValues(func() (map[string]product, error) { return buildAll(prebuilt) }),
}

func buildAll(dockerfile string) (map[string]product, error) {
	ctx := context.Background() // of the process: several tests share the images
	d, err := ReadDockerfile(root, dockerfile, map[string]string{"VERSION": version})
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(work, "build-")
	if err != nil {
		return nil, err
	}
	files := filepath.Join(dir, "context")
	if err := CopyContext(root, dockerfile, files); err != nil {
		return nil, err
	}
	targets, err := d.Targets(ctx)
	if err != nil {
		return nil, err
	}
	b := &Builder{Context: files, Work: dir, Images: map[string]string{"golang:": "/", "certs": "/etc/ssl/certs"}}
	made := make(map[string]product)
	for _, target := range targets {
		if target == "build" || target == "base" {
			continue
		}
		plan, err := d.Plan(ctx, target)
		if err != nil {
			return nil, err
		}
		image, err := b.Build(ctx, plan)
		if err != nil {
			return nil, fmt.Errorf("%s, target %s: %w (\"make build nats-server\" makes what %s copies)", dockerfile, target, err, prebuilt)
		}
		made[target] = product{plan, image}
	}
	return made, nil
}
