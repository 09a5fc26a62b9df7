package body

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"

	"callfleet/internal/call"
	"callfleet/internal/template/sandbox"
	"callfleet/internal/template/sandbox/escape"
)

// Values are what the fields of one request are made of.
type Values interface {
	// Text runs a program; the error names the attribute.
	Text(attribute string, p *sandbox.Program) (string, error)
	// Param is a param that is a text, or a reference.
	Param(name string) (text []byte, ref *call.BlobRef, err error)
}

// Body is a rendered body.
type Body struct {
	Bytes   []byte
	Inserts []call.Insert
	// Boundary is that of multipart form data, "" for a form.
	Boundary string
}

// Problem is what is wrong with one field of a request.
type Problem struct{ Attribute, Message string }

// Error is "attribute: message".
func (p *Problem) Error() string { return p.Attribute + ": " + p.Message }

// Render makes the body. The error is a *Problem, or one of Values.
func (f *Fields) Render(v Values) (Body, error) {
	if f.multipart {
		return f.renderParts(v)
	}
	var out []byte
	for i, one := range f.list {
		text, err := v.Text(one.attribute, one.value)
		if err != nil {
			return Body{}, err
		}
		if i > 0 {
			out = append(out, '&')
		}
		out = append(out, escape.Form(one.name)...)
		out = append(out, '=')
		out = append(out, escape.Form(text)...)
	}
	return Body{Bytes: out}, nil
}

// part is a field of one request.
type part struct {
	head string
	text []byte
	ref  *call.BlobRef // in place of text
}

func (f *Fields) renderParts(v Values) (Body, error) {
	parts := make([]part, len(f.list))
	for i, one := range f.list {
		var err error
		if parts[i], err = one.render(v); err != nil {
			return Body{}, err
		}
	}
	return join(parts), nil
}

func (f *field) render(v Values) (p part, err error) {
	contentType := f.contentType
	if f.ref == "" {
		var text string
		if text, err = v.Text(f.attribute, f.value); err != nil {
			return p, err
		}
		if p.text = []byte(text); f.json && !json.Valid(p.text) {
			return p, &Problem{f.attribute, "is not JSON when rendered"}
		}
	} else {
		if p.text, p.ref, err = v.Param(f.ref); err != nil {
			return p, &Problem{f.attribute, err.Error()}
		}
		switch { // the same for a text, wherever it travels
		case contentType != "":
		case p.ref != nil:
			contentType = p.ref.ContentType
		default:
			contentType = "text/plain; charset=utf-8"
		}
	}
	var b strings.Builder
	b.WriteString(`Content-Disposition: form-data; name="` + quoted(f.name) + `"`)
	if f.filename != nil {
		name, err := v.Text(f.attribute+".filename", f.filename)
		if err != nil {
			return p, err
		}
		if name == "" || !printable(name) {
			return p, &Problem{f.attribute + ".filename", "is empty, or holds a line break or another control character"}
		}
		b.WriteString(`; filename="` + quoted(name) + `"`)
		if contentType == "" {
			contentType = "application/octet-stream"
		}
	}
	if contentType != "" {
		b.WriteString("\r\nContent-Type: " + contentType)
	}
	p.head = b.String()
	return p, nil
}

// quoted makes a name fit for between quotes, as browsers do (HTML Standard,
// "multipart/form-data encoding algorithm").
func quoted(name string) string { return strings.ReplaceAll(name, `"`, "%22") }

// join puts a boundary around the parts.
func join(parts []part) Body {
	out := Body{Boundary: boundary(parts)}
	for _, p := range parts {
		out.Bytes = fmt.Appendf(out.Bytes, "--%s\r\n%s\r\n\r\n", out.Boundary, p.head)
		if p.ref != nil {
			out.Inserts = append(out.Inserts, call.Insert{At: len(out.Bytes), Ref: *p.ref})
		}
		out.Bytes = append(out.Bytes, p.text...)
		out.Bytes = append(out.Bytes, "\r\n"...)
	}
	out.Bytes = fmt.Appendf(out.Bytes, "--%s--\r\n", out.Boundary)
	return out
}

// boundary is a digest of all parts: no part can hold it, since whoever made one
// that does would have found a text that holds its own digest. A call that is
// made again with the same params has the same body.
func boundary(parts []part) string {
	h := sha256.New()
	write := func(s string) {
		var length [8]byte
		binary.BigEndian.PutUint64(length[:], uint64(len(s)))
		h.Write(length[:])
		h.Write([]byte(s))
	}
	for _, p := range parts {
		write(p.head)
		if p.ref != nil {
			write(p.ref.SHA256)
		} else {
			write(string(p.text))
		}
	}
	return "callfleet-" + hex.EncodeToString(h.Sum(nil)[:20])
}
