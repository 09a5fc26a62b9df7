package version

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Text is a template to be read and compared by people, a field to a line: in
// the order of the fields' names but for those that come first, and a text of
// several lines as those lines, indented.
//
//	url: "https://api.example/orders"
//	headers.Accept: "application/json"
//	payload:
//	  first line
//	  second line
//	timeoutSeconds: 10
func Text(item json.RawMessage) string {
	var members map[string]json.RawMessage
	_ = json.Unmarshal(item, &members) // stores hold objects alone
	var b strings.Builder
	first := map[string]int{"PK": -7, "SK": -6, "engine": -5, "url": -4, "headers": -3, "contentType": -2, "payload": -1}
	names := slices.SortedFunc(maps.Keys(members), func(x, y string) int {
		if c := first[x] - first[y]; c != 0 {
			return c
		}
		return strings.Compare(x, y)
	})
	for _, name := range names {
		label := name
		switch name {
		case "PK":
			label = "name"
		case "SK":
			label = "method"
		}
		writeField(&b, label, members[name])
	}
	return b.String()
}

// writeField writes an attribute, one of several lines for an M or L.
func writeField(b *strings.Builder, path string, attribute json.RawMessage) {
	var v struct {
		S *string
		N *string
		M map[string]json.RawMessage
		L []json.RawMessage
	}
	var typed map[string]json.RawMessage
	if json.Unmarshal(attribute, &v) != nil || json.Unmarshal(attribute, &typed) != nil || len(typed) != 1 {
		fmt.Fprintf(b, "%s: %s\n", path, attribute)
		return
	}
	switch {
	case v.S != nil && strings.Contains(*v.S, "\n") && !strings.ContainsFunc(*v.S, hidden):
		fmt.Fprintf(b, "%s:\n", path)
		for line := range strings.Lines(*v.S) {
			b.WriteString("  " + strings.TrimSuffix(line, "\n") + "\n")
		}
		if !strings.HasSuffix(*v.S, "\n") {
			b.WriteString("  (no line end)\n")
		}
	case v.S != nil:
		fmt.Fprintf(b, "%s: %s\n", path, quoted(*v.S))
	case v.N != nil:
		fmt.Fprintf(b, "%s: %s\n", path, *v.N)
	case len(v.M) > 0:
		for _, name := range slices.Sorted(maps.Keys(v.M)) {
			writeField(b, path+"."+name, v.M[name])
		}
	case len(v.L) > 0:
		for i, item := range v.L {
			writeField(b, fmt.Sprintf("%s[%d]", path, i), item)
		}
	default:
		fmt.Fprintf(b, "%s: %s\n", path, plain(typed, attribute))
	}
}

// plain writes what is no text, number or filled structure.
func plain(typed map[string]json.RawMessage, attribute json.RawMessage) string {
	switch {
	case typed["M"] != nil:
		return "{}"
	case typed["L"] != nil:
		return "[]"
	case typed["BOOL"] != nil:
		return string(typed["BOOL"])
	case typed["NULL"] != nil:
		return "null"
	}
	return string(attribute)
}

// hidden characters would not show in lines that are written as they are.
func hidden(r rune) bool { return r < ' ' && r != '\n' && r != '\t' || r == 0x7f }

func quoted(s string) string {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // a text always has JSON
	return strings.TrimSuffix(out.String(), "\n")
}
