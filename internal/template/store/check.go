package store

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// Check is what every backend does before it writes: the item's Attributes are
// an object of DynamoDB attribute values, and its PK and SK are its Key. The
// error is ErrInvalid with the reason.
func Check(it Item) error {
	var attributes map[string]json.RawMessage
	if err := json.Unmarshal(it.Attributes, &attributes); err != nil || attributes == nil {
		return fmt.Errorf("%w: %q is not a JSON object", ErrInvalid, it.Key)
	}
	for name, value := range attributes {
		if !isAttribute(value, 0) {
			return fmt.Errorf("%w: %q: %s is no DynamoDB attribute, which looks like {\"S\": \"text\"}", ErrInvalid, it.Key, name)
		}
	}
	for _, part := range []struct{ name, want string }{{"PK", it.Name}, {"SK", it.Method}} {
		var key struct{ S *string }
		if err := json.Unmarshal(attributes[part.name], &key); err != nil || key.S == nil || *key.S == "" {
			return fmt.Errorf("%w: %q: %s must be a text (S)", ErrInvalid, it.Key, part.name)
		}
		if *key.S != part.want {
			return fmt.Errorf("%w: %q: %s names another key", ErrInvalid, it.Key, part.name)
		}
	}
	return nil
}

const maxDepth = 64

func isAttribute(value json.RawMessage, depth int) bool {
	var typed map[string]json.RawMessage
	if depth > maxDepth || json.Unmarshal(value, &typed) != nil || len(typed) != 1 {
		return false
	}
	for kind, content := range typed {
		content = bytes.TrimSpace(content)
		switch kind {
		case "S", "N", "B":
			return content[0] == '"'
		case "BOOL", "NULL":
			return content[0] == 't' || content[0] == 'f'
		case "SS", "NS", "BS":
			return content[0] == '['
		case "L":
			var list []json.RawMessage
			ok := json.Unmarshal(content, &list) == nil && content[0] == '['
			for _, item := range list {
				ok = ok && isAttribute(item, depth+1)
			}
			return ok
		case "M":
			var members map[string]json.RawMessage
			ok := json.Unmarshal(content, &members) == nil && content[0] == '{'
			for _, member := range members {
				ok = ok && isAttribute(member, depth+1)
			}
			return ok
		}
	}
	return false
}
