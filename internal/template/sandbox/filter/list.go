package filter

import (
	"math/bits"
	"slices"
	"sort"
	"strconv"
	"strings"

	"callfleet/internal/template/sandbox/value"
)

// List is what the filter is applied to, as Python goes over it.
func (c *Call) List() ([]any, error) {
	items, err := c.Items(c.Of, c.Place)
	if err != nil {
		return nil, err
	}
	return items, c.Step(c.Place, 1+len(items))
}

// attribute reads "a.b.0" of a value.
func (c *Call) attribute(of any, path any) (any, error) {
	if path == nil {
		return of, nil
	}
	keys := []any{path}
	if s, ok := value.TextOf(path); ok {
		keys = nil
		for key := range strings.SplitSeq(s, ".") {
			if _, err := strconv.Atoi(key); err == nil {
				keys = append(keys, value.Number(key))
			} else {
				keys = append(keys, key)
			}
		}
	}
	for _, key := range keys {
		if err := c.Open(of, c.Place); err != nil {
			return nil, err
		}
		v, found, _ := value.Lookup(of, key)
		if !found {
			name, _ := value.Printed(path)
			return value.Undefined{Path: name, Reason: "an item has none"}, nil
		}
		of = v
	}
	return of, nil
}

// there is an attribute that must not be missing.
func (c *Call) there(of any, path any) (any, error) {
	v, err := c.attribute(of, path)
	if missing, ok := v.(value.Undefined); ok && err == nil {
		return nil, missing.MissingAt(c.Place)
	}
	return v, err
}

// Join is the join of Jinja2.
func Join(c *Call) (any, error) {
	list, err := c.List()
	if err != nil {
		return nil, err
	}
	separator := ""
	if arg, ok := c.Arg(0); ok {
		if separator, err = c.Str(arg, c.Place); err != nil {
			return nil, err
		}
	}
	path, _ := c.Arg(1)
	var b strings.Builder
	for i, item := range list {
		if item, err = c.there(item, path); err != nil {
			return nil, err
		}
		s, err := c.Str(item, c.Place)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			b.WriteString(separator)
		}
		b.WriteString(s)
		if b.Len() > c.MaxOutput() {
			return nil, c.Errorf("makes more than %d bytes", c.MaxOutput())
		}
	}
	return b.String(), c.Step(c.Place, 1+b.Len()/64)
}

func (c *Call) end(first bool) (any, error) {
	list, err := c.List()
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return value.Undefined{Path: c.Path, Reason: "it is empty"}, nil
	}
	if first {
		return list[0], nil
	}
	return list[len(list)-1], nil
}

func toList(c *Call) (any, error) {
	list, err := c.List()
	return &value.List{Items: list}, err
}

func pair(a, b any) *value.List { return &value.List{Items: []any{a, b}, Tuple: true} }

// Items is the filter items: the members of an object, as pairs.
func Items(c *Call) (any, error) {
	o, ok := c.Of.(*value.Object)
	if !ok {
		return nil, c.Errorf("%s is %s, items needs an object", c.Path, value.KindOf(c.Of))
	}
	if err := c.Open(o, c.Place); err != nil {
		return nil, err
	}
	l := &value.List{Items: make([]any, len(o.Members))}
	for i, m := range o.Members {
		l.Items[i] = pair(m.Key, m.Value)
	}
	return l, c.Step(c.Place, 1+len(l.Items))
}

func reverse(c *Call) (any, error) {
	list, err := c.List()
	if err != nil {
		return nil, err
	}
	list = slices.Clone(list)
	slices.Reverse(list)
	if _, ok := value.TextOf(c.Of); !ok {
		return &value.List{Items: list}, nil
	}
	var b strings.Builder
	for _, s := range list {
		b.WriteString(s.(string))
	}
	return b.String(), nil
}

// sorted sorts items by keys that are made of them.
func (c *Call) sorted(list []any, key func(any) ([]any, error), back bool) ([]any, error) {
	if err := c.Step(c.Place, len(list)*(1+bits.Len(uint(len(list))))); err != nil {
		return nil, err
	}
	type keyed struct {
		item any
		keys []any
	}
	all := make([]keyed, len(list))
	for i, item := range list {
		keys, err := key(item)
		if err != nil {
			return nil, err
		}
		all[i] = keyed{item, keys}
	}
	var failed error
	sort.SliceStable(all, func(i, j int) bool {
		if back {
			i, j = j, i
		}
		for k := range all[i].keys {
			order, err := c.order(all[i].keys[k], all[j].keys[k])
			if err != nil {
				failed = err
			}
			if order != 0 {
				return order < 0
			}
		}
		return false
	})
	out := make([]any, len(all))
	for i := range all {
		out[i] = all[i].item
	}
	return out, failed
}

func (c *Call) order(a, b any) (int, error) {
	l, okL := a.(*value.List)
	m, okM := b.(*value.List)
	if !okL || !okM {
		return value.Compare("<", a, b, c.Place)
	}
	if err := c.Open(l, c.Place); err != nil {
		return 0, err
	}
	if err := c.Open(m, c.Place); err != nil {
		return 0, err
	}
	for i := range min(len(l.Items), len(m.Items)) {
		order, err := value.Compare("<", l.Items[i], m.Items[i], c.Place)
		if order != 0 || err != nil {
			return order, err
		}
	}
	return len(l.Items) - len(m.Items), nil
}

// folded compares texts without their case.
func folded(v any, sensitive bool) any {
	if s, ok := value.TextOf(v); ok && !sensitive {
		return strings.ToLower(s)
	}
	return v
}

func sortList(c *Call) (any, error) {
	list, err := c.List()
	if err != nil {
		return nil, err
	}
	paths := []any{nil}
	if path, ok := c.Arg(2); ok {
		paths = []any{path}
		if s, ok := value.TextOf(path); ok {
			paths = nil
			for p := range strings.SplitSeq(s, ",") {
				paths = append(paths, p)
			}
		}
	}
	out, err := c.sorted(list, func(item any) ([]any, error) {
		var keys []any
		for _, path := range paths {
			v, err := c.there(item, path)
			if err != nil {
				return nil, err
			}
			keys = append(keys, folded(v, c.flag(1, false)))
		}
		return keys, nil
	}, c.flag(0, false))
	return &value.List{Items: out}, err
}

func dictSort(c *Call) (any, error) {
	pairs, err := Items(c)
	if err != nil {
		return nil, err
	}
	by, err := c.TextArg(1, "key")
	if err != nil {
		return nil, err
	}
	at := slices.Index([]string{"key", "value"}, by)
	if at < 0 {
		return nil, c.Errorf(`dictsort sorts by "key" or "value"`)
	}
	out, err := c.sorted(pairs.(*value.List).Items, func(item any) ([]any, error) {
		return []any{folded(item.(*value.List).Items[at], c.flag(0, false))}, nil
	}, c.flag(2, false))
	return &value.List{Items: out}, err
}

func unique(c *Call) (any, error) {
	list, err := c.List()
	if err != nil {
		return nil, err
	}
	path, _ := c.Arg(1)
	var out, seen []any
next:
	for _, item := range list {
		key, err := c.there(item, path)
		if err != nil {
			return nil, err
		}
		key = folded(key, c.flag(0, false))
		for _, other := range seen {
			if err := c.Step(c.Place, 1); err != nil {
				return nil, err
			}
			if same, err := c.Equal(key, other, c.Place, 0); err != nil {
				return nil, err
			} else if same {
				continue next
			}
		}
		out, seen = append(out, item), append(seen, key)
	}
	return &value.List{Items: out}, nil
}

// extreme is min (-1) and max (1).
func extreme(sign int) func(*Call) (any, error) {
	return func(c *Call) (any, error) {
		list, err := c.List()
		if err != nil {
			return nil, err
		}
		path, _ := c.Arg(1)
		var best, bestKey any = value.Undefined{Path: c.Path, Reason: "it is empty"}, nil
		for i, item := range list {
			key, err := c.there(item, path)
			if err != nil {
				return nil, err
			}
			key = folded(key, c.flag(0, false))
			if i > 0 {
				order, err := c.order(key, bestKey)
				if err != nil {
					return nil, err
				}
				if order*sign <= 0 {
					continue
				}
			}
			best, bestKey = item, key
		}
		return best, nil
	}
}

func sum(c *Call) (any, error) {
	list, err := c.List()
	if err != nil {
		return nil, err
	}
	path, _ := c.Arg(0)
	total, ok := c.Arg(1)
	if !ok {
		total = value.Number("0")
	}
	for _, item := range list {
		if item, err = c.there(item, path); err != nil {
			return nil, err
		}
		if total, err = c.Arithmetic("+", total, item, c.Place); err != nil {
			return nil, err
		}
	}
	return total, nil
}

// mapped applies a filter, or reads an attribute.
func mapped(c *Call) (any, error) {
	list, err := c.List()
	if err != nil {
		return nil, err
	}
	out := make([]any, 0, len(list))
	if path, ok := c.Arg(1); ok && len(c.Args) == 0 {
		otherwise, has := c.Arg(2)
		for _, item := range list {
			v, err := c.attribute(item, path)
			if err != nil {
				return nil, err
			}
			if _, missing := v.(value.Undefined); missing && has {
				v = otherwise
			} else if missing {
				return nil, c.Errorf("an item has no such attribute: give map a default")
			}
			out = append(out, v)
		}
		return &value.List{Items: out}, nil
	}
	f, args, err := c.inner(0, anyFilter)
	if err != nil {
		return nil, err
	}
	for _, item := range list {
		v, err := f.Apply(&Call{Budget: c.Budget, Place: c.Place, Path: "an item", Of: item, Args: args, Named: c.renamed(f)})
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return &value.List{Items: out}, nil
}

// renamed are the arguments with names, for another filter.
func (c *Call) renamed(f *Filter) *Named {
	if c.Named == nil {
		return nil
	}
	return &Named{Filter: f, List: c.Named.List}
}

func anyFilter(name string) *Filter {
	if f := Jinja(name); f != nil {
		return f
	}
	return Lookup(name)
}

// inner is the filter or test that argument i names, with the rest as its
// arguments.
func (c *Call) inner(i int, find func(string) *Filter) (*Filter, []any, error) {
	if i >= len(c.Args) {
		return nil, nil, c.Errorf("the name of a filter or test is missing")
	}
	name, _ := value.TextOf(c.Args[i])
	f := find(name)
	if f == nil {
		return nil, nil, c.Errorf("there is no filter or test %q", name)
	}
	args := c.Args[i+1:]
	names := make([]string, len(c.Members()))
	for k, m := range c.Members() {
		names[k] = m.Key
	}
	if wrong := f.Takes(len(args), names); wrong != "" {
		return nil, nil, c.Errorf("%q %s", name, wrong)
	}
	return f, args, nil
}

// chosen is select, reject, selectattr and rejectattr.
func chosen(keep, byAttribute bool) func(*Call) (any, error) {
	return func(c *Call) (any, error) {
		list, err := c.List()
		if err != nil {
			return nil, err
		}
		i := 0
		var path any
		if byAttribute {
			path, i = c.Args[0], 1
		}
		var test *Filter
		var args []any
		if len(c.Args) > i {
			if test, args, err = c.inner(i, Test); err != nil {
				return nil, err
			}
		}
		out := []any{}
		for _, item := range list {
			v, err := c.attribute(item, path)
			if err != nil {
				return nil, err
			}
			if missing, ok := v.(value.Undefined); ok && (test == nil || !test.TakesUndefined) {
				return nil, missing.MissingAt(c.Place)
			}
			if test != nil {
				if v, err = test.Apply(&Call{Budget: c.Budget, Place: c.Place, Path: "an item", Of: v, Args: args}); err != nil {
					return nil, err
				}
			}
			if value.Truth(v) == keep {
				out = append(out, item)
			}
		}
		return &value.List{Items: out}, c.Step(c.Place, len(list))
	}
}

func groupBy(c *Call) (any, error) {
	list, err := c.List()
	if err != nil {
		return nil, err
	}
	path, _ := c.Arg(0)
	key := func(item any) (any, error) {
		v, err := c.attribute(item, path)
		if missing, ok := v.(value.Undefined); ok && err == nil {
			other, has := c.Arg(1)
			if !has {
				return nil, missing.MissingAt(c.Place)
			}
			v = other
		}
		return v, err
	}
	list, err = c.sorted(list, func(item any) ([]any, error) {
		k, err := key(item)
		return []any{folded(k, c.flag(2, false))}, err
	}, false)
	if err != nil {
		return nil, err
	}
	out := &value.List{}
	var last any
	for i, item := range list {
		k, err := key(item)
		if err != nil {
			return nil, err
		}
		same, err := c.Equal(folded(k, c.flag(2, false)), last, c.Place, 0)
		if err != nil {
			return nil, err
		}
		if i == 0 || !same {
			group := pair(k, &value.List{})
			group.Names = []string{"grouper", "list"}
			out.Items = append(out.Items, group)
			last = folded(k, c.flag(2, false))
		}
		group := out.Items[len(out.Items)-1].(*value.List).Items[1].(*value.List)
		group.Items = append(group.Items, item)
	}
	return out, nil
}

func batch(c *Call) (any, error) {
	list, err := c.List()
	if err != nil {
		return nil, err
	}
	n, err := c.Whole(0, "linecount", 0, MaxWidth)
	if err != nil {
		return nil, err
	}
	if n < 1 {
		return nil, c.Errorf("the argument \"linecount\" must be 1 or more")
	}
	fill, _ := c.Arg(1)
	out := &value.List{}
	for part := range slices.Chunk(list, n) {
		part = slices.Clone(part)
		for fill != nil && len(part) < n {
			part = append(part, fill)
		}
		out.Items = append(out.Items, &value.List{Items: part})
	}
	return out, nil
}

func slice(c *Call) (any, error) {
	list, err := c.List()
	if err != nil {
		return nil, err
	}
	n, err := c.Whole(0, "slices", 0, MaxWidth)
	if err != nil {
		return nil, err
	}
	if n < 1 {
		return nil, c.Errorf("the argument \"slices\" must be 1 or more")
	}
	fill, _ := c.Arg(1)
	out := &value.List{}
	for i, start := 0, 0; i < n; i++ {
		end := start + len(list)/n
		if i < len(list)%n {
			end++
		}
		part := slices.Clone(list[start:end])
		if fill != nil && i >= len(list)%n {
			part = append(part, fill)
		}
		out.Items = append(out.Items, &value.List{Items: part})
		start = end
	}
	return out, c.Step(c.Place, n)
}
