package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"callfleet/internal/app/backend"
	"callfleet/internal/app/cli/show"
	"callfleet/internal/config"
	"callfleet/internal/diff"
	"callfleet/internal/template/store"
	"callfleet/internal/template/version"
)

func keeperOf(b *backend.Backend, v config.Versioning) *version.Keeper {
	return version.New(b.Templates, version.Options{Keep: v.Keep, By: v.By})
}

// notVersion refuses what came out of a history as it is.
func notVersion(attributes json.RawMessage) error {
	var key struct{ PK, SK struct{ S string } }
	if err := json.Unmarshal(attributes, &key); err != nil {
		return err
	}
	template, n := store.Key{Name: key.PK.S, Method: key.SK.S}.Cut()
	if n > 0 {
		return fmt.Errorf("method: %s is version %d of a template: write %s, or use \"producer template rollback\"", key.SK.S, n, template.Method)
	}
	return nil
}

// sayFound tells of what was changed in the store by other means.
func (c *cli) sayFound(k store.Key, r version.Result) {
	if r.Found > 0 {
		fmt.Fprintf(c.std.Out, "kept what was in the store of %s as version %d\n", k, r.Found)
	}
}

// aside is what else there is to tell of a change.
func aside(r version.Result) string {
	var s string
	if r.Later > 0 {
		s += fmt.Sprintf("; version %d, made meanwhile, is current", r.Later)
	}
	if len(r.Pruned) > 0 {
		s += fmt.Sprintf("; removed %s, the oldest", count(len(r.Pruned), "version"))
	}
	return s
}

func count(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprint(n, " ", what)
}

// templateHistory is "producer template history".
func (c *cli) templateHistory(ctx context.Context) (int, error) {
	o := c.cfg.Template.History
	key := store.Key{Name: o.Name, Method: o.Method}
	return c.with(ctx, embedding{}, plain(func(ctx context.Context, b *backend.Backend) error {
		history, err := version.New(b.Templates, version.Options{}).History(ctx, key)
		if err != nil {
			return fmt.Errorf("list versions of %s: %w", key, err)
		}
		if len(history) == 0 {
			return noVersions(ctx, b.Templates, key)
		}
		if o.JSON {
			return show.VersionsJSON(c.std.Out, history)
		}
		return show.Versions(c.std.Out, history)
	}))
}

// noVersions says why a history is empty.
func noVersions(ctx context.Context, s store.Store, key store.Key) error {
	items, err := s.List(ctx, store.Key{Name: key.Name}, 100)
	if err != nil {
		return fmt.Errorf("list templates: %w", err)
	}
	there := slices.ContainsFunc(items, func(it store.Item) bool {
		return it.Name == key.Name && (key.Method == "" || it.Method == key.Method)
	})
	if !there {
		return noTemplate(ctx, s, key)
	}
	return fmt.Errorf("template %s has no versions yet: the next \"producer template put\" makes one of what there is", strings.TrimSpace(key.String()))
}

// templateDiff is "producer template diff".
func (c *cli) templateDiff(ctx context.Context) (int, error) {
	o := c.cfg.Template.Diff
	key := keyOf(o.TemplateKey)
	return c.with(ctx, embedding{}, plain(func(ctx context.Context, b *backend.Backend) error {
		from, to, err := sides(ctx, version.New(b.Templates, version.Options{}), b.Templates, o)
		if err != nil {
			return err
		}
		text := diff.Unified(from, to)
		if text == "" {
			c.say("%s: %s and %s are the same", key, from.Name, to.Name)
		}
		_, err = fmt.Fprint(c.std.Out, text)
		return err
	}))
}

// sides are the two texts to compare.
func sides(ctx context.Context, k *version.Keeper, s store.Store, o config.TemplateDiff) (from, to diff.Text, _ error) {
	key := keyOf(o.TemplateKey)
	history, err := k.History(ctx, key)
	if err != nil {
		return from, to, fmt.Errorf("list versions of %s: %w", key, err)
	}
	if o.B > 0 {
		to, err = side(ctx, k, key, o.B)
	} else {
		to, err = currentSide(ctx, s, key, history)
	}
	if err != nil {
		return from, to, err
	}
	if o.A == 0 {
		if o.A, err = former(key, history); err != nil {
			return from, to, err
		}
	}
	from, err = side(ctx, k, key, o.A)
	return from, to, err
}

func side(ctx context.Context, k *version.Keeper, key store.Key, number int) (diff.Text, error) {
	item, err := k.Get(ctx, key, number)
	return diff.Text{Name: fmt.Sprint("version ", number), Text: version.Text(item.Attributes)}, err
}

// currentSide is the template, whose content need not be a version yet.
func currentSide(ctx context.Context, s store.Store, key store.Key, history []version.Version) (diff.Text, error) {
	for _, v := range history {
		if v.Current {
			return diff.Text{Name: fmt.Sprintf("version %d (current)", v.Number), Text: version.Text(v.Content)}, nil
		}
	}
	item, err := s.Get(ctx, key)
	if errors.Is(err, store.ErrNotFound) {
		return diff.Text{}, noTemplate(ctx, s, key)
	}
	return diff.Text{Name: "current, no version yet", Text: version.Text(item.Attributes)}, err
}

// former is the version before the current one; the latest of all when that is
// no version.
func former(key store.Key, history []version.Version) (int, error) {
	i := slices.IndexFunc(history, func(v version.Version) bool { return v.Current }) + 1
	if i >= len(history) {
		return 0, fmt.Errorf("template %s has no version before the current one; \"producer template history\" lists what there is", key)
	}
	return history[i].Number, nil
}

// templateRollback is "producer template rollback".
func (c *cli) templateRollback(ctx context.Context) (int, error) {
	o := c.cfg.Template.Rollback
	key := keyOf(o.TemplateKey)
	return c.with(ctx, embedding{}, plain(func(ctx context.Context, b *backend.Backend) error {
		result, err := keeperOf(b, o.Versioning).Rollback(ctx, key, o.Version, o.Message)
		c.sayFound(key, result)
		switch {
		case result.Version == 0:
		case result.Made:
			fmt.Fprintf(c.std.Out, "rolled back %s to version %d, as version %d%s\n", key, o.Version, result.Version, aside(result))
		default:
			fmt.Fprintf(c.std.Out, "%s has the content of version %d already, as version %d\n", key, o.Version, result.Version)
		}
		if err != nil {
			return fmt.Errorf("roll back %s: %w", key, err)
		}
		return nil
	}))
}

// templateRemove is "producer template rm".
func (c *cli) templateRemove(ctx context.Context) (int, error) {
	o := c.cfg.Template.Rm
	key := keyOf(o.TemplateKey)
	return c.with(ctx, embedding{}, plain(func(ctx context.Context, b *backend.Backend) error {
		keeper := version.New(b.Templates, version.Options{})
		if o.Purge {
			n, err := keeper.Purge(ctx, key)
			switch {
			case errors.Is(err, store.ErrNotFound):
				return noTemplate(ctx, b.Templates, key)
			case err != nil:
				return fmt.Errorf("remove template %s and its versions (%d are removed): %w", key, n, err)
			}
			fmt.Fprintf(c.std.Out, "removed %s and %s\n", key, count(n, "version"))
			return nil
		}
		n, err := keeper.Remove(ctx, key)
		switch {
		case errors.Is(err, store.ErrNotFound):
			return noTemplate(ctx, b.Templates, key)
		case err != nil:
			return fmt.Errorf("remove template %s: %w", key, err)
		}
		fmt.Fprintf(c.std.Out, "removed %s; \"producer template rollback %s %d\" brings it back, \"rm --purge\" removes its versions too\n", key, key, n)
		return nil
	}))
}
