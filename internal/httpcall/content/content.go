// Package content reads the bodies of answers, within a limit, and makes JSON of
// them; and it puts the bodies of requests together that are kept in pieces.
package content

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"unicode/utf8"
)

// TooLarge is the error of a body above the limit.
type TooLarge struct {
	Limit int64
	Head  []byte    // what was read of it; nil when its length was announced
	Rest  io.Reader // what was not
}

// Error names the limit.
func (e *TooLarge) Error() string {
	return fmt.Sprintf("the body is larger than %d bytes", e.Limit)
}

// Read reads at most limit bytes after decompression. A length that the
// server announces is allocated at once when it is within the limit. The error is a *TooLarge, a
// *Hollow, or that of reading.
func Read(res *http.Response, limit int, gunzip bool) ([]byte, error) {
	if res.ContentLength == 0 || res.Body == http.NoBody {
		return nil, nil
	}
	if gunzip && Encoding(res.Header) == Gzip {
		res.Header.Del("Content-Encoding")
		res.Header.Del("Content-Length")
		return readGzip(res.Body, limit)
	}
	if res.ContentLength > int64(limit) {
		return nil, &TooLarge{Limit: int64(limit), Rest: res.Body}
	}
	if n := res.ContentLength; n > 0 {
		body := make([]byte, n)
		if _, err := io.ReadFull(res.Body, body); err != nil {
			return nil, err
		}
		return body, nil
	}
	return ReadAll(res.Body, limit)
}

// ReadAll is Read of a body without a length.
func ReadAll(r io.Reader, limit int) ([]byte, error) {
	var buf bytes.Buffer
	n, err := buf.ReadFrom(io.LimitReader(r, int64(limit)+1))
	if err != nil {
		return nil, err
	}
	if n > int64(limit) {
		return nil, &TooLarge{Limit: int64(limit), Head: buf.Bytes(), Rest: r}
	}
	return buf.Bytes(), nil
}

// Classify makes a JSON value of a body. A body that is JSON stays as it came:
// any JSON value when the content type says JSON, an object or array whatever
// it says. Other text becomes a JSON string, and what is no UTF-8 text becomes
// base64, which encoding then names.
func Classify(contentType string, body []byte) (value json.RawMessage, encoding string) {
	if len(body) == 0 {
		return json.RawMessage(`""`), ""
	}
	if !utf8.Valid(body) || bytes.IndexByte(body, 0) >= 0 {
		return base64JSON(body), "base64"
	}
	text := bytes.TrimPrefix(body, []byte("\xef\xbb\xbf"))
	if (composite(text) || isJSON(contentType)) && json.Valid(text) {
		return text, ""
	}
	return quoteJSON(body), ""
}

// composite reports whether text begins as an object or array does.
func composite(text []byte) bool {
	t := bytes.TrimLeft(text, " \t\r\n")
	return len(t) > 0 && (t[0] == '{' || t[0] == '[')
}

func isJSON(contentType string) bool {
	if contentType == "application/json" {
		return true
	}
	t, _, err := mime.ParseMediaType(contentType)
	return err == nil && (t == "application/json" || t == "text/json" || strings.HasSuffix(t, "+json"))
}

func base64JSON(body []byte) json.RawMessage {
	out := make([]byte, 0, base64.StdEncoding.EncodedLen(len(body))+2)
	out = append(out, '"')
	out = base64.StdEncoding.AppendEncode(out, body)
	return append(out, '"')
}

// quoteJSON leaves <, > and & as they are: escaped, a page of HTML would grow
// past the limit of a task's output.
func quoteJSON(text []byte) json.RawMessage {
	var buf bytes.Buffer
	buf.Grow(len(text) + len(text)/16 + 3)
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	// A string cannot fail to encode, nor a Buffer to take it.
	_ = enc.Encode(string(text))
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n"))
}
