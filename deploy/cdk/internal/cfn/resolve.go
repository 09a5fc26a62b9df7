package cfn

import (
	"fmt"
	"regexp"
	"strings"
)

// Values are what references stand for: "AWS::Region", the logical id of a
// resource for Ref, "ID.Attribute" for Fn::GetAtt.
type Values map[string]string

var substitution = regexp.MustCompile(`\$\{([!A-Za-z0-9:.]+)\}`)

// Resolve returns a value of a template without its references: Ref,
// Fn::GetAtt, Fn::Join and Fn::Sub. What has no value is an error that names it.
func (v Values) Resolve(value any) (any, error) {
	switch value := value.(type) {
	case map[string]any:
		if name, argument, ok := function(value); ok {
			return v.call(name, argument)
		}
		out := make(map[string]any, len(value))
		for key, e := range value {
			resolved, err := v.Resolve(e)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", key, err)
			}
			out[key] = resolved
		}
		return out, nil
	case []any:
		out := make([]any, len(value))
		for i, e := range value {
			resolved, err := v.Resolve(e)
			if err != nil {
				return nil, err
			}
			out[i] = resolved
		}
		return out, nil
	default:
		return value, nil
	}
}

// String is Resolve of a value that must be text, or a number in its place.
func (v Values) String(value any) (string, error) {
	resolved, err := v.Resolve(value)
	if err != nil {
		return "", err
	}
	switch resolved := resolved.(type) {
	case string:
		return resolved, nil
	case float64, bool:
		return fmt.Sprint(resolved), nil
	default:
		return "", fmt.Errorf("want text, not %s", Text(resolved))
	}
}

// function tells whether a value is a call of one of CloudFormation's functions.
func function(value map[string]any) (name string, argument any, ok bool) {
	if len(value) != 1 {
		return "", nil, false
	}
	for name, argument = range value {
		ok = name == "Ref" || strings.HasPrefix(name, "Fn::")
	}
	return name, argument, ok
}

func (v Values) call(name string, argument any) (any, error) {
	list, _ := argument.([]any)
	switch {
	case name == "Ref":
		return v.find(fmt.Sprint(argument))
	case name == "Fn::GetAtt" && len(list) == 2:
		return v.find(fmt.Sprintf("%v.%v", list[0], list[1]))
	case name == "Fn::Join" && len(list) == 2:
		return v.join(list[0], list[1])
	case name == "Fn::Sub":
		return v.sub(argument)
	default:
		return nil, fmt.Errorf("cannot resolve %s %s", name, Text(argument))
	}
}

func (v Values) find(name string) (string, error) {
	value, ok := v[name]
	if !ok {
		return "", fmt.Errorf("no value for %s", name)
	}
	return value, nil
}

func (v Values) join(separator, argument any) (string, error) {
	list, ok := argument.([]any)
	if !ok {
		return "", fmt.Errorf("cannot join %s", Text(argument))
	}
	parts := make([]string, len(list))
	for i, e := range list {
		part, err := v.String(e)
		if err != nil {
			return "", err
		}
		parts[i] = part
	}
	return strings.Join(parts, fmt.Sprint(separator)), nil
}

func (v Values) sub(argument any) (string, error) {
	text, ok := argument.(string)
	if !ok {
		return "", fmt.Errorf("cannot substitute in %s", Text(argument))
	}
	var missing error
	out := substitution.ReplaceAllStringFunc(text, func(m string) string {
		name := m[2 : len(m)-1]
		if literal, ok := strings.CutPrefix(name, "!"); ok {
			return "${" + literal + "}"
		}
		value, err := v.find(name)
		if err != nil && missing == nil {
			missing = err
		}
		return value
	})
	return out, missing
}
