package check

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moby/buildkit/solver/pb"
	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
	"github.com/opencontainers/go-digest"
)

// Builder carries out the steps of plans without a container: a file system is
// a directory, and commands run on this machine, with its Go in place of the
// builder image's. A step that several targets share is done once.
type Builder struct {
	Context string            // the build context, already without what .dockerignore names
	Images  map[string]string // directories that stand in for images, by the beginning of their names
	Work    string            // an empty directory
	done    map[digest.Digest][]*tree
}

// tree is a file system: what steps have put into dir, above what base holds.
type tree struct {
	dir    string
	base   string         // "" is scratch
	owners map[string]int // user ids, of paths that do not belong to root
}

// Image is a file system that was built.
type Image struct {
	Root   string
	Owners map[string]int
}

// CopyContext copies what a build sends to Docker: the project without what the
// Dockerfile's own ignore file, or else the project's, names.
func CopyContext(root string, dockerfile, to string) error {
	ignore, err := os.Open(filepath.Join(root, dockerfile+".dockerignore"))
	if err != nil {
		ignore, err = os.Open(filepath.Join(root, ".dockerignore"))
	}
	if err != nil {
		return fmt.Errorf("copy build context: %w", err)
	}
	defer ignore.Close()
	patterns, err := ignorefile.ReadAll(ignore)
	if err != nil {
		return fmt.Errorf("copy build context: %w", err)
	}
	matcher, err := patternmatcher.New(patterns)
	if err != nil {
		return fmt.Errorf("copy build context: %w", err)
	}
	return filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, name) // below root
		if entry.IsDir() && (entry.Name() == ".git" || entry.Name() == "node_modules") {
			return filepath.SkipDir
		}
		if ignored, err := matcher.MatchesOrParentMatches(filepath.ToSlash(rel)); err != nil || ignored || !entry.Type().IsRegular() {
			return err
		}
		return copyFile(name, filepath.Join(to, rel))
	})
}

// Build carries out a plan.
func (b *Builder) Build(ctx context.Context, p *Plan) (*Image, error) {
	if b.done == nil {
		b.done = make(map[digest.Digest][]*tree)
	}
	var last *pb.Op
	for _, text := range p.steps.Def {
		op := new(pb.Op)
		if err := op.Unmarshal(text); err != nil {
			return nil, fmt.Errorf("read build step: %w", err)
		}
		last = op
		id := digest.FromBytes(text)
		if b.done[id] != nil || op.GetOp() == nil {
			continue
		}
		out, err := b.step(ctx, op)
		if err != nil {
			return nil, err
		}
		b.done[id] = out
	}
	result := b.input(last, 0)
	if result.base != "" {
		return nil, fmt.Errorf("build image: it stands on %s, not on scratch", result.base)
	}
	return &Image{Root: result.dir, Owners: result.owners}, nil
}

func (b *Builder) input(op *pb.Op, i int64) *tree {
	in := op.Inputs[i]
	return b.done[digest.Digest(in.Digest)][in.Index]
}

func (b *Builder) step(ctx context.Context, op *pb.Op) ([]*tree, error) {
	switch kind := op.GetOp().(type) {
	case *pb.Op_Source:
		t, err := b.source(kind.Source.Identifier)
		return []*tree{t}, err
	case *pb.Op_Exec:
		return b.exec(ctx, op, kind.Exec)
	case *pb.Op_File:
		return b.file(op, kind.File)
	}
	return nil, fmt.Errorf("carry out build step: kind %T is not known here", op.GetOp())
}

func (b *Builder) source(identifier string) (*tree, error) {
	scheme, name, _ := strings.Cut(identifier, "://")
	if scheme == "local" {
		return &tree{dir: b.Context}, nil
	}
	for begin, dir := range b.Images {
		if strings.HasPrefix(strings.TrimPrefix(name, "docker.io/library/"), begin) {
			over, err := os.MkdirTemp(b.Work, "image-")
			return &tree{dir: over, base: dir}, err
		}
	}
	return nil, fmt.Errorf("open %s: nothing stands in for it", identifier)
}

// exec runs a command in a copy of the first mount, its root.
func (b *Builder) exec(ctx context.Context, op *pb.Op, e *pb.ExecOp) ([]*tree, error) {
	i := slices.IndexFunc(e.Mounts, func(m *pb.Mount) bool { return m.Dest == "/" })
	root, err := b.clone(b.input(op, e.Mounts[i].Input))
	if err != nil {
		return nil, err
	}
	cwd := filepath.Join(root.dir, e.Meta.Cwd)
	for _, m := range e.Mounts {
		if m.MountType != pb.MountType_BIND || m.Dest == "/" {
			continue // a cache is this machine's own
		}
		from := filepath.Join(b.input(op, m.Input).dir, m.Selector)
		if m.Dest == e.Meta.Cwd {
			cwd = from
		} else if err := copyFile(from, filepath.Join(root.dir, m.Dest)); err != nil {
			return nil, err
		}
	}
	if err := os.MkdirAll(cwd, 0o755); err != nil {
		return nil, err
	}
	args := slices.Clone(e.Meta.Args)
	for i := range args {
		args[i] = strings.ReplaceAll(args[i], " /out/", " "+root.dir+"/out/")
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir, cmd.Env = cwd, hostEnv(e.Meta.Env)
	if said, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("run %s: %w\n%s", strings.Join(args, " "), err, said)
	}
	return []*tree{root}, nil
}

// hostEnv is the environment of a step, with this machine's PATH and Go caches.
func hostEnv(env []string) []string {
	env = slices.DeleteFunc(slices.Clone(env), func(v string) bool { return strings.HasPrefix(v, "PATH=") })
	for _, name := range []string{"PATH", "HOME", "GOPATH", "GOCACHE", "GOMODCACHE", "GOPROXY", "GOSUMDB", "GONOSUMDB", "GOFLAGS", "TMPDIR"} {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return env
}

// file makes and copies files. The outputs of its actions are inputs of later
// ones, counted after those of the step.
func (b *Builder) file(op *pb.Op, f *pb.FileOp) ([]*tree, error) {
	var made, out []*tree
	for _, action := range f.Actions {
		pick := func(i int64) *tree {
			if n := int64(len(op.Inputs)); i >= n {
				return made[i-n]
			}
			return b.input(op, i)
		}
		under := &tree{}
		if action.Input >= 0 {
			under = pick(action.Input)
		}
		to, err := b.clone(under)
		if err != nil {
			return nil, err
		}
		switch kind := action.Action.(type) {
		case *pb.FileAction_Mkdir:
			to.own(kind.Mkdir.Path, kind.Mkdir.Owner)
			err = os.MkdirAll(filepath.Join(to.dir, kind.Mkdir.Path), fs.FileMode(kind.Mkdir.Mode))
		case *pb.FileAction_Copy:
			err = to.copy(pick(action.SecondaryInput), kind.Copy)
		default:
			err = fmt.Errorf("carry out build step: file action %T is not known here", kind)
		}
		if err != nil {
			return nil, err
		}
		made = append(made, to)
		if action.Output >= 0 {
			out = append(out, to)
		}
	}
	return out, nil
}

func (t *tree) own(name string, owner *pb.ChownOpt) {
	if user, ok := owner.GetUser().GetUser().(*pb.UserOpt_ByID); ok && user.ByID != 0 {
		t.owners[path.Clean(name)] = int(user.ByID)
	}
}

// copy is COPY of one file, which has to be there.
func (t *tree) copy(from *tree, c *pb.FileActionCopy) error {
	dest := c.Dest
	if strings.HasSuffix(dest, "/") {
		dest += path.Base(c.Src)
	}
	t.own(dest, c.Owner)
	for _, dir := range []string{from.dir, from.base} {
		if dir == "" {
			continue
		}
		if _, err := os.Stat(filepath.Join(dir, c.Src)); err == nil {
			return copyFile(filepath.Join(dir, c.Src), filepath.Join(t.dir, dest))
		}
	}
	return fmt.Errorf("copy %s to %s: it is not there", c.Src, c.Dest)
}

func (b *Builder) clone(t *tree) (*tree, error) {
	dir, err := os.MkdirTemp(b.Work, "root-")
	if err != nil {
		return nil, err
	}
	copied := &tree{dir: dir, base: t.base, owners: make(map[string]int)}
	for name, owner := range t.owners {
		copied.owners[name] = owner
	}
	if t.dir == "" {
		return copied, nil
	}
	return copied, os.CopyFS(dir, os.DirFS(t.dir))
}

func copyFile(from, to string) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, text, info.Mode().Perm())
}
