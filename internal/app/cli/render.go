package cli

import (
	"bufio"
	"bytes"
	"fmt"
	"io"

	"callfleet/internal/call"
	"callfleet/internal/httpcall"
)

// writeRequest prints the request as it would go over the wire, with lines
// ended for a terminal and a word in place of the request id.
func writeRequest(w io.Writer, r call.Rendered) error {
	client, err := httpcall.New(httpcall.Options{})
	if err != nil {
		return err
	}
	defer client.Close()
	var wire bytes.Buffer
	if err := client.WritePreview(&wire, r, "(the request id)"); err != nil {
		return err
	}
	head, body, _ := bytes.Cut(wire.Bytes(), []byte("\r\n\r\n"))
	out := bufio.NewWriter(w)
	out.Write(bytes.ReplaceAll(head, []byte("\r\n"), []byte("\n")))
	out.WriteString("\n\n")
	if len(body) > 0 {
		out.Write(body)
		out.WriteString("\n")
	}
	return out.Flush()
}

// writeAnswer says what the template wants of the answer. It goes elsewhere than
// the request, which may be piped into something.
func writeAnswer(w io.Writer, r call.Rendered) {
	if r.Response != nil {
		fmt.Fprintf(w, "of the answer: %s\n", r.Response)
	}
}
