package show

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"strings"
	"text/tabwriter"
	"time"

	"callfleet/internal/stepfn"
)

// TimeLayout is how the times of executions are written.
const TimeLayout = "2006-01-02 15:04:05.000"

// Took is how long an execution ran, "-" while it does.
func Took(e stepfn.Execution) string {
	if e.Stopped.IsZero() {
		return "-"
	}
	return e.Stopped.Sub(e.Started).Round(time.Millisecond).String()
}

// Execution writes what an execution is, and its history as a table.
func Execution(w io.Writer, e stepfn.Execution, events []stepfn.Event) error {
	rows := []struct{ name, value string }{
		{"execution", e.ARN}, {"status", string(e.Status)}, {"started", e.Started.Format(TimeLayout)}, {"stopped", stopped(e)},
		{"error", e.Error}, {"cause", e.Cause}, {"input", document(e.Input)}, {"output", document(e.Output)},
	}
	var b bytes.Buffer
	for _, row := range rows {
		if row.value != "" {
			fmt.Fprintf(&b, "%-*s%s\n", len(documentIndent), row.name, row.value)
		}
	}
	out := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, "\n#\tPREV\tAFTER\tEVENT\tSTATE\tDETAIL")
	d := details{states: map[int64]string{}}
	for _, ev := range events {
		fmt.Fprintf(out, "%d\t%d\t%s\t%s\t%s\t%s\n", ev.ID, ev.Previous,
			ev.Time.Sub(e.Started).Round(time.Millisecond), ev.Type, d.state(ev), d.text(ev))
	}
	if err := out.Flush(); err != nil {
		return err
	}
	_, err := w.Write(trailing.ReplaceAll(b.Bytes(), nil))
	return err
}

// trailing is what a table leaves behind the last word of a line.
var trailing = regexp.MustCompile(`(?m) +$`)

func stopped(e stepfn.Execution) string {
	if e.Stopped.IsZero() {
		return ""
	}
	return e.Stopped.Format(TimeLayout) + " (after " + Took(e) + ")"
}

// documentIndent is the width of the names that stand before the values.
const documentIndent = "           "

// document is a JSON text on one line if it is short, and else indented.
func document(text json.RawMessage) string {
	const short = 120
	line := compact(text)
	if len(line) <= short {
		return line
	}
	var b bytes.Buffer
	if json.Indent(&b, text, documentIndent, "  ") != nil {
		return line
	}
	return b.String()
}

func compact(text json.RawMessage) string {
	var b bytes.Buffer
	if json.Compact(&b, text) != nil {
		return string(text)
	}
	return b.String()
}

// details is what the table says of each event: what the event before did not.
type details struct {
	states map[int64]string // the state that an event belongs to, by event
	shown  string           // the last JSON text
}

// state is the event's state: its own, or that of the event it followed.
func (d *details) state(ev stepfn.Event) string {
	if ev.State == "" && !strings.HasPrefix(ev.Type, "Execution") {
		ev.State = d.states[ev.Previous]
	}
	d.states[ev.ID] = ev.State
	return ev.State
}

// text is one line. Parameters hold task tokens, which settle a task for
// whoever has them: they are not shown.
func (d *details) text(ev stepfn.Event) string {
	var parts []string
	if ev.Resource != "" && strings.HasSuffix(ev.Type, "Scheduled") {
		parts = append(parts, ev.Resource)
	}
	if ev.Error != "" || ev.Cause != "" {
		parts = append(parts, strings.TrimSuffix(ev.Error+": "+ev.Cause, ": "))
	}
	if ev.Type == "TaskSubmitted" {
		ev.Output = nil // what the queue answered
	}
	for _, text := range []json.RawMessage{ev.Output, ev.Input} {
		if line := compact(text); line != "" && line != d.shown {
			d.shown = line
			parts = append(parts, shorten(line))
			break
		}
	}
	return onOneLine(strings.Join(parts, " "))
}

// shorten cuts a line to what fits into a table.
func shorten(line string) string {
	const most = 100
	if r := []rune(line); len(r) > most {
		return string(r[:most]) + "…"
	}
	return line
}

// onOneLine keeps a text that an API has written from breaking the table.
func onOneLine(line string) string {
	return strings.NewReplacer("\t", " ", "\n", " ", "\r", " ").Replace(line)
}
