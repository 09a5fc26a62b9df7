package intrinsic

import (
	"errors"
	"strings"

	"callfleet/internal/jsonpath/value"
)

// jsonMerge puts the members of the second object over those of the first.
func jsonMerge(args []value.Value) (value.Value, error) {
	first, err := argument(args, 0, value.KindObject)
	if err != nil {
		return value.Value{}, err
	}
	second, err := argument(args, 1, value.KindObject)
	if err != nil {
		return value.Value{}, err
	}
	deep, err := argument(args, 2, value.KindBool)
	if err != nil {
		return value.Value{}, err
	}
	if deep.Bool() {
		return value.Value{}, errors.New("argument 3 must be false: deep merging is not supported")
	}
	if first.Size()+second.Size() > MaxBytes {
		return value.Value{}, ErrTooLarge
	}
	members := make([]value.Member, 0, first.Len()+second.Len())
	for _, object := range [...]value.Value{first, second} {
		for _, m := range object.Members() {
			members = append(members, value.Member{Key: m.Key, Value: m.Value.Compact()})
		}
	}
	return value.Object(members...), nil
}

func jsonToString(args []value.Value) (value.Value, error) {
	text := value.String(string(args[0].Compact().JSON()))
	if text.Size() > MaxBytes {
		return value.Value{}, ErrTooLarge
	}
	return text, nil
}

// stringToJSON reads blank text as null and -0 as 0, as AWS does.
func stringToJSON(args []value.Value) (value.Value, error) {
	s, err := argument(args, 0, value.KindString)
	if err != nil {
		return value.Value{}, err
	}
	text := s.Text()
	if strings.TrimSpace(text) == "" {
		return value.Null(), nil
	}
	v, err := value.Parse([]byte(text))
	if err != nil {
		return value.Value{}, errors.New("argument 1 is not valid JSON: " + strings.TrimPrefix(err.Error(), "parse json: "))
	}
	if v.Number() == "-0" {
		return value.Int(0), nil
	}
	return v.Compact(), nil
}
