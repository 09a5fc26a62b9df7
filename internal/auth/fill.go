package auth

import (
	"bytes"
	"encoding/base64"
	"io"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/net/http/httpguts"

	"callfleet/internal/call"
	"callfleet/internal/secret"
	"callfleet/internal/template/sandbox/escape"
)

// fill puts the secrets into a text, as they are.
func (g *Grant) fill(text string) string { return g.fillAs(text, nil) }

func (g *Grant) fillAs(text string, as func(string) string) string {
	if !strings.Contains(text, secret.MarkPrefix) {
		return text
	}
	for i, s := range g.secrets {
		value := g.values[i].Reveal()
		if as != nil {
			value = as(value)
		}
		if text == s.Mark {
			return value
		}
		text = strings.ReplaceAll(text, s.Mark, value)
	}
	return text
}

// fillRequest puts the secrets into URL, headers and body, and returns the
// body as it will be sent.
func (g *Grant) fillRequest(req *http.Request, r call.Rendered) ([]byte, error) {
	if len(g.secrets) == 0 {
		return r.Body, nil
	}
	if err := g.fillURL(req); err != nil {
		return nil, err
	}
	for name, values := range req.Header {
		for i, v := range values {
			if !strings.Contains(v, secret.MarkPrefix) {
				continue
			}
			if v = g.fill(v); !httpguts.ValidHeaderFieldValue(v) {
				return nil, refuse("header " + name + ": a secret in it holds a line break or another control character")
			}
			g.headers = append(g.headers, name)
			req.Header[name] = append(append(append([]string(nil), values[:i]...), v), values[i+1:]...)
			values = req.Header[name]
		}
	}
	if !bytes.Contains(r.Body, []byte(secret.MarkPrefix)) {
		return r.Body, nil
	}
	g.body = true
	body := []byte(g.fillAs(string(r.Body), escaping(r.Secrets.Body)))
	setBody(req, body)
	return body, nil
}

func escaping(e call.Escape) func(string) string {
	switch e {
	case call.EscapeJSON:
		return escape.JSON
	case call.EscapeForm:
		return escape.Form
	case call.EscapeXML:
		return escape.XML
	}
	return nil
}

func (g *Grant) fillURL(req *http.Request) error {
	if !strings.Contains(req.URL.RawQuery, secret.MarkPrefix) && !strings.Contains(req.URL.Path, secret.MarkPrefix) {
		return nil
	}
	u := *req.URL
	u.RawQuery = g.fillAs(u.RawQuery, escape.Percent)
	path := g.fillAs(u.EscapedPath(), escape.Percent)
	for segment := range strings.SplitSeq(path, "/") {
		if segment == "." || segment == ".." {
			return refuse("a secret in the path of the URL is . or .., which leads to another path")
		}
	}
	var err error
	if u.Path, err = url.PathUnescape(path); err != nil {
		return refuse("the URL is not valid with its secrets in place")
	}
	u.RawPath = path
	req.URL = &u
	return nil
}

func setBody(req *http.Request, body []byte) {
	req.ContentLength = int64(len(body))
	req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	req.Body, _ = req.GetBody() // a reader over bytes cannot fail
}

// setHeader never shows the value in its error.
func setHeader(req *http.Request, name, value string) error {
	if !httpguts.ValidHeaderFieldValue(value) {
		return refuse("header " + name + ": the credential holds a line break or another control character")
	}
	req.Header.Set(name, value)
	return nil
}

func (g *Grant) basic(u *use) error {
	user, password := g.fill(u.auth.Username), g.fill(u.auth.Password)
	if strings.Contains(user, ":") {
		return refuse("auth basic: the user name holds a colon (RFC 7617)")
	}
	encoded := base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
	g.derived = append(g.derived, encoded)
	return setHeader(u.req, "Authorization", "Basic "+encoded)
}

func (g *Grant) apiKey(u *use) error {
	value := g.fill(u.auth.Value)
	if u.auth.In != "query" {
		g.headers = append(g.headers, u.auth.Name)
		return setHeader(u.req, u.auth.Name, value)
	}
	at := *u.req.URL
	if at.RawQuery != "" {
		at.RawQuery += "&"
	}
	at.RawQuery += escape.Percent(u.auth.Name) + "=" + escape.Percent(value)
	u.req.URL = &at
	return nil
}
