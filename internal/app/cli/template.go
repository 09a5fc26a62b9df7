package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"callfleet/internal/app/backend"
	"callfleet/internal/blob"
	"callfleet/internal/call"
	"callfleet/internal/config"
	"callfleet/internal/producer/param"
	"callfleet/internal/template"
	"callfleet/internal/template/itemjson"
	"callfleet/internal/template/store"
	"callfleet/internal/template/version"
)

// templatePut is "producer template put": all files are checked before one is
// stored.
func (c *cli) templatePut(ctx context.Context) (int, error) {
	items, warnings, err := readTemplates(c.cfg.Template.Put.Path)
	for _, w := range warnings {
		fmt.Fprintln(c.std.Err, w)
	}
	if err != nil {
		return config.ExitUsage, err
	}
	return c.with(ctx, embedding{}, plain(func(ctx context.Context, b *backend.Backend) error {
		keeper := keeperOf(b, c.cfg.Template.Put.Versioning)
		for _, item := range items {
			result, err := keeper.Put(ctx, item, version.Change{Message: c.cfg.Template.Put.Message})
			if result.Version > 0 {
				c.sayPut(item.Key, result)
			}
			if err != nil {
				return fmt.Errorf("put %s: %w", item.Key, err)
			}
		}
		return nil
	}))
}

// sayPut tells what became of a template that was put.
func (c *cli) sayPut(k store.Key, r version.Result) {
	c.sayFound(k, r)
	what := "put %s: version %d"
	if !r.Made {
		what = "put %s: unchanged, version %d"
	}
	fmt.Fprintf(c.std.Out, what+aside(r)+"\n", k, r.Version)
}

// readTemplates reads one file, or the *.json files of a directory, and
// reports every mistake in them, and what is no mistake but worth a look.
func readTemplates(path string) (items []store.Item, warnings []string, _ error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fmt.Errorf("there is no file or directory %s", path)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read templates: %w", err)
	}
	files := []string{path}
	if info.IsDir() {
		if files, err = filepath.Glob(filepath.Join(path, "*.json")); err != nil {
			return nil, nil, err
		}
		if len(files) == 0 {
			return nil, nil, fmt.Errorf("%s holds no *.json file", path)
		}
	}
	var wrong []error
	for _, file := range files {
		item, found, err := readTemplate(file)
		if err != nil {
			wrong = append(wrong, fmt.Errorf("%s: %w", file, err))
		}
		for _, w := range found {
			warnings = append(warnings, file+": "+w)
		}
		items = append(items, item)
	}
	return items, warnings, errors.Join(wrong...)
}

// readTemplate reads a file; the error has every mistake in it.
func readTemplate(file string) (item store.Item, warnings []string, _ error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return store.Item{}, nil, err
	}
	attributes, err := itemjson.FromPlain(text)
	if err != nil {
		return store.Item{}, nil, err
	}
	t, found, err := template.Lint(attributes)
	for _, f := range found {
		warnings = append(warnings, f.String())
	}
	if err != nil {
		return store.Item{}, warnings, err
	}
	if err := notVersion(attributes); err != nil {
		return store.Item{}, warnings, err
	}
	return store.Item{Key: store.Key{Name: t.Name, Method: t.Method}, Attributes: attributes}, warnings, nil
}

// templateList is "producer template ls".
func (c *cli) templateList(ctx context.Context) (int, error) {
	return c.with(ctx, embedding{}, plain(func(ctx context.Context, b *backend.Backend) error {
		out := tabwriter.NewWriter(c.std.Out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(out, "NAME\tMETHOD\tURL")
		after, page := store.Key{}, 100
		for {
			items, err := b.Templates.List(ctx, after, page)
			if err != nil {
				return fmt.Errorf("list templates: %w", err)
			}
			for _, item := range items {
				fmt.Fprintf(out, "%s\t%s\t%s\n", item.Name, item.Method, urlOf(item))
			}
			if len(items) < page {
				return out.Flush()
			}
			after = items[len(items)-1].Key
		}
	}))
}

func urlOf(item store.Item) string {
	var attributes struct{ URL struct{ S string } }
	if err := json.Unmarshal(item.Attributes, &attributes); err != nil {
		return "(not valid)"
	}
	return attributes.URL.S
}

// templateGet is "producer template get".
func (c *cli) templateGet(ctx context.Context) (int, error) {
	o := c.cfg.Template.Get
	return c.withTemplate(ctx, keyOf(o.TemplateKey), o.Version, func(_ context.Context, item store.Item) error {
		plain, err := itemjson.ToPlain(item.Attributes)
		if err == nil {
			_, err = c.std.Out.Write(plain)
		}
		return err
	})
}

func keyOf(k config.TemplateKey) store.Key { return store.Key{Name: k.Name, Method: k.Method} }

// withTemplate runs do with the stored template, or with a version of it.
func (c *cli) withTemplate(ctx context.Context, k store.Key, number int, do func(context.Context, store.Item) error) (int, error) {
	return c.with(ctx, embedding{}, plain(func(ctx context.Context, b *backend.Backend) error {
		if number > 0 {
			item, err := version.New(b.Templates, version.Options{}).Get(ctx, k, number)
			if err != nil {
				return err
			}
			return do(ctx, item)
		}
		item, err := b.Templates.Get(ctx, k)
		if errors.Is(err, store.ErrNotFound) {
			return noTemplate(ctx, b.Templates, k)
		}
		if err != nil {
			return fmt.Errorf("get template %s: %w", k, err)
		}
		return do(ctx, item)
	}))
}

// noTemplate says that a template is not there, and whether it was.
func noTemplate(ctx context.Context, s store.Store, k store.Key) error {
	if versions, err := s.Versions(ctx, k); err == nil && len(versions) > 0 {
		of, n := versions[len(versions)-1].Cut()
		return fmt.Errorf("there is no template %s; its versions are kept: \"producer template history\" lists them, \"producer template rollback %s %d\" brings it back", k, of, n)
	}
	return fmt.Errorf("there is no template %s; \"producer template ls\" lists what there is", strings.TrimSpace(k.String()))
}

// templateRender is "producer template render".
func (c *cli) templateRender(ctx context.Context) (int, error) {
	params, err := param.Parse(c.cfg.Template.Render.Params)
	if err != nil {
		return config.ExitUsage, err
	}
	o := c.cfg.Template.Render
	return c.withTemplate(ctx, keyOf(o.TemplateKey), o.Version, func(ctx context.Context, item store.Item) error {
		object, err := params.JSON(ctx, describeFile)
		if err != nil {
			return err
		}
		if len(o.Params) == 0 {
			object = c.exampleOf(item, object)
		}
		request, err := template.NewRenderer(template.Options{}).Render(ctx, item.Attributes, object)
		if err != nil {
			return err
		}
		writeAnswer(c.std.Err, request)
		return writeRequest(c.std.Out, request)
	})
}

// exampleOf is the template's own example, and without one params.
func (c *cli) exampleOf(item store.Item, params json.RawMessage) json.RawMessage {
	t, err := template.Parse(item.Attributes)
	if err != nil || t.Example() == nil { // whoever renders it says what is wrong
		return params
	}
	fmt.Fprintln(c.std.Err, "no params are given: this is the template's example")
	return t.Example()
}

// describeFile is the reference that a file would have, which is put nowhere.
func describeFile(_ context.Context, file string) (call.BlobRef, error) {
	f, err := os.Open(file)
	if err != nil {
		return call.BlobRef{}, err
	}
	defer f.Close()
	m := blob.NewMeter(f)
	if _, err := io.Copy(io.Discard, m); err != nil {
		return call.BlobRef{}, err
	}
	return call.BlobRef(m.Ref("file:"+file, "")), nil
}
