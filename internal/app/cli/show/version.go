package show

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"callfleet/internal/template/version"
)

// Versions writes the history of a template as a table.
func Versions(w io.Writer, history []version.Version) error {
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, "METHOD\tVERSION\t\tTIME\tBY\tBYTES\tMESSAGE")
	for _, v := range history {
		current := ""
		if v.Current {
			current = "current"
		}
		fmt.Fprintf(out, "%s\t%d\t%s\t%s\t%s\t%d\t%s\n", v.Method, v.Number, current,
			v.At.UTC().Format(time.RFC3339), oneLine(v.By), v.Bytes, oneLine(messageOf(v)))
	}
	return out.Flush()
}

// messageOf is the message with what else is known of the version's origin.
func messageOf(v version.Version) string {
	var parts []string
	if v.From > 0 {
		parts = append(parts, fmt.Sprintf("(rollback to version %d)", v.From))
	}
	if v.Found {
		parts = append(parts, "(found in the store)")
	}
	if v.Message != "" {
		parts = append(parts, v.Message)
	}
	return strings.Join(parts, " ")
}

// oneLine keeps a text that others wrote within its cell.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
}

// VersionsJSON writes the history of a template, one JSON object a line.
func VersionsJSON(w io.Writer, history []version.Version) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	for _, v := range history {
		err := enc.Encode(struct {
			Name       string    `json:"name"`
			Method     string    `json:"method"`
			Version    int       `json:"version"`
			Current    bool      `json:"current"`
			Time       time.Time `json:"time"`
			By         string    `json:"by,omitempty"`
			Message    string    `json:"message,omitempty"`
			RollbackTo int       `json:"rollbackTo,omitempty"`
			Found      bool      `json:"found,omitempty"`
			Bytes      int       `json:"bytes"`
		}{v.Name, v.Method, v.Number, v.Current, v.At, v.By, v.Message, v.From, v.Found, v.Bytes})
		if err != nil {
			return err
		}
	}
	return nil
}
