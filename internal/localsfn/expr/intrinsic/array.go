package intrinsic

import (
	"errors"
	"fmt"

	"callfleet/internal/jsonpath/value"
)

// array keeps the text of each element: AWS shows an input that is put into an
// array with the spaces it came with.
func array(args []value.Value) (value.Value, error) {
	total := 2
	for _, a := range args {
		if total += a.Size() + 1; total > MaxBytes {
			return value.Value{}, ErrTooLarge
		}
	}
	return value.Array(args...), nil
}

func arrayPartition(args []value.Value) (value.Value, error) {
	list, err := argument(args, 0, value.KindArray)
	if err != nil {
		return value.Value{}, err
	}
	size, err := integer(args, 1)
	if err != nil {
		return value.Value{}, err
	}
	if size < 1 {
		return value.Value{}, errors.New("argument 2 must be a positive integer")
	}
	elements := compact(list.Elements())
	var chunks []value.Value
	for len(elements) > 0 {
		n := min(int(size), len(elements))
		chunks = append(chunks, value.Array(elements[:n:n]...))
		elements = elements[n:]
	}
	return value.Array(chunks...), nil
}

// compact copies the elements as they are written once taken out of their array.
func compact(elements []value.Value) []value.Value {
	out := make([]value.Value, len(elements))
	for i, e := range elements {
		out[i] = e.Compact()
	}
	return out
}

func arrayContains(args []value.Value) (value.Value, error) {
	list, err := argument(args, 0, value.KindArray)
	if err != nil {
		return value.Value{}, err
	}
	for _, e := range list.Elements() {
		if value.Equal(e, args[1]) {
			return value.Bool(true), nil
		}
	}
	return value.Bool(false), nil
}

func arrayRange(args []value.Value) (value.Value, error) {
	var bounds [3]int64
	for i := range bounds {
		n, err := integer(args, i)
		if err != nil {
			return value.Value{}, err
		}
		bounds[i] = n
	}
	first, last, step := bounds[0], bounds[1], bounds[2]
	if step == 0 {
		return value.Value{}, errors.New("argument 3 must not be 0")
	}
	count := max((last-first)/step+1, 0)
	if (last-first)*step < 0 {
		count = 0
	}
	if count > maxRange {
		return value.Value{}, fmt.Errorf("the range must have no more than %d items", maxRange)
	}
	items := make([]value.Value, count)
	for i := range items {
		items[i] = value.Int(first + int64(i)*step)
	}
	return value.Array(items...), nil
}

func arrayGetItem(args []value.Value) (value.Value, error) {
	list, err := argument(args, 0, value.KindArray)
	if err != nil {
		return value.Value{}, err
	}
	i, err := integer(args, 1)
	if err != nil {
		return value.Value{}, err
	}
	if i < 0 || i >= int64(list.Len()) {
		return value.Value{}, fmt.Errorf("index %d is out of bounds for an array of length %d", i, list.Len())
	}
	return list.Index(int(i)).Compact(), nil
}

func arrayLength(args []value.Value) (value.Value, error) {
	list, err := argument(args, 0, value.KindArray)
	if err != nil {
		return value.Value{}, err
	}
	return value.Int(int64(list.Len())), nil
}

// arrayUnique keeps the first of equal elements.
func arrayUnique(args []value.Value) (value.Value, error) {
	list, err := argument(args, 0, value.KindArray)
	if err != nil {
		return value.Value{}, err
	}
	seen := make(map[string]struct{}, list.Len())
	var out []value.Value
	var key []byte
	for _, e := range list.Elements() {
		key = e.AppendKey(key[:0])
		if _, ok := seen[string(key)]; ok {
			continue
		}
		seen[string(key)] = struct{}{}
		out = append(out, e.Compact())
	}
	return value.Array(out...), nil
}
