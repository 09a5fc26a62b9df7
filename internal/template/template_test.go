package template_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"callfleet/internal/template"
	"callfleet/internal/template/itemjson"
)

// item makes an item of the attributes that follow PK and SK.
func item(attributes string) json.RawMessage {
	return json.RawMessage(`{"PK":{"S":"a"},"SK":{"S":"POST"},` + attributes + `}`)
}

func TestParse(t *testing.T) {
	t.Parallel()
	got, err := template.Parse(json.RawMessage(`{
		"PK":{"S":"create-user"},"SK":{"S":"POST"},"url":{"S":"https://api.example.com/users"},
		"headers":{"M":{"Authorization":{"S":"Bearer {{ token }}"},"Content-Type":{"S":"application/json; charset=utf-8"},"X-N":{"N":"7"}}},
		"payload":{"S":"{\"name\": \"{{ name }}\"}"},"timeoutSeconds":{"N":"10"},
		"retry":{"M":{"maxAttempts":{"N":"3"},"maxDelaySeconds":{"N":"20"}}},
		"engine":{"S":"pongo2"},"owner":{"S":"left alone"},"tags":{"SS":["a"]}}`))
	if err != nil {
		t.Fatal(err)
	}
	if got.Name != "create-user" || got.Method != "POST" || got.ContentType != "application/json; charset=utf-8" || got.Timeout != 10*time.Second {
		t.Errorf("got %+v", got)
	}
	if got.Retry == nil || got.Retry.MaxAttempts != 3 || got.Retry.MaxDelay != 20*time.Second {
		t.Errorf("got retry %+v", got.Retry)
	}
}

// An item of a version has the version in its sort key.
func TestParseVersion(t *testing.T) {
	t.Parallel()
	for key, method := range map[string]string{"GET@3": "GET", "GET": "GET", "GET@": "", "GET@x": "", "GET@3@": "", "@3": ""} {
		got, err := template.Parse(json.RawMessage(`{"PK":{"S":"a"},"SK":{"S":"` + key + `"},"url":{"S":"https://h/"},"callfleetVersion":{"M":{"at":{"S":"2026-03-01T12:00:00Z"}}}}`))
		if method == "" && err == nil || method != "" && (err != nil || got.Method != method) {
			t.Errorf("%s: got %+v, %v", key, got, err)
		}
	}
}

func TestParseTellsEveryMistake(t *testing.T) {
	t.Parallel()
	_, err := template.Parse(json.RawMessage(`{"PK":{"S":"a\u0000"},"SK":{"S":"post"},"url":{"S":"ftp://x/{{ a b }}"},"engine":{"S":"jinja"},
		"headers":{"M":{"Bad Name":{"S":"x"},"Host":{"S":"x"},"X-A":{"S":"{{ a|nope }}"},"x-a":{"S":"x"},"X-B":{"BOOL":true},"Content-Type":{"S":"{{ t }}"}}},
		"contentType":{"S":"json"},"payload":{"M":{"a":{"S":"{% ssi \"/etc/passwd\" %}"},"b":{"L":[{"SS":["x"]}]}}},
		"timeoutSeconds":{"N":"1.5"},"retry":{"M":{"maxAttempts":{"S":"3"},"maxDelaySeconds":{"N":"0"},"max":{"N":"1"}}}}`))
	e, ok := errors.AsType[*template.Error](err)
	if !ok {
		t.Fatalf("got %v", err)
	}
	var got []string
	for _, p := range e.Problems {
		got = append(got, p.String())
	}
	want := []string{
		"PK: byte 2 is a control character",
		"SK: must be an HTTP method in capitals, such as GET",
		"engine: must be pongo2 or jinja2",
		`url: line 1 column 14: expected the end of the expression, found "b"`,
		"url: must begin with http:// or https://",
		`headers: "Bad Name" is no header name`,
		"headers.Host: is set by the HTTP client and cannot be templated",
		`headers.X-A: line 1 column 6: there is no filter "nope"`,
		"headers.x-a: is there twice",
		"headers.X-B: must be a text (S), is BOOL",
		"headers.Content-Type: cannot be templated: it decides how values are escaped",
		"contentType: must be a media type such as application/json",
		`payload.a: line 1 column 1: tag "ssi" is not allowed: there are if, for, set, with, comment and verbatim`,
		"payload.b.0: has type SS, a payload may hold S, N, BOOL, NULL, M and L",
		"timeoutSeconds: must be a whole number from 1 to 900",
		"retry.max: is unknown: there are maxAttempts and maxDelaySeconds",
		"retry.maxAttempts: must be a number (N), is S",
		"retry.maxDelaySeconds: must be a whole number from 1 to 900",
	}
	if g, w := strings.Join(got, "\n"), strings.Join(want, "\n"); g != w {
		t.Errorf("got\n%s\nwant\n%s", g, w)
	}
}

func TestParseMistakes(t *testing.T) {
	t.Parallel()
	const url = `"url":{"S":"https://h/"}`
	for _, tt := range []struct{ item, want string }{
		{``, "template without a name: is empty"},
		{`[]`, "must be a JSON object"},
		{`{`, "is not JSON"},
		{`{"PK":"a"}`, `PK: is no DynamoDB attribute, which looks like {"S": "text"}`},
		{`{"PK":{}}`, `PK: is no DynamoDB attribute`},
		{`{"PK":{"S":"a","N":"1"}}`, `PK: is no DynamoDB attribute`},
		{`{"PK":{"Q":"a"}}`, `PK: is no DynamoDB attribute`},
		{`{"PK":{"S":7}}`, `PK: type S must hold a string`},
		{`{"PK":{"N":"x"}}`, `PK: a number (N) must hold the text of one`},
		{`{"PK":{"S":"a"},"PK":{"S":"b"}}`, `"PK" is there twice`},
		{`{"a":` + strings.Repeat(`{"L":[`, 100) + strings.Repeat(`]}`, 100) + `}`, "is nested more than 64 deep"},
		{`{}`, "PK: is missing; SK: is missing; url: is missing"},
		{string(item(`"url":{"S":""}`)), "template a POST: url: is empty"},
		{string(item(`"url":{"S":"https:///x"}`)), "url: has no host"},
		{string(item(`"url":{"N":"1"}`)), "url: must be a text (S), is N"},
		{string(item(url + `,"headers":{"S":"{"}`)), "headers: holds a text that is not JSON"},
		{string(item(url + `,"headers":{"S":"{\"a\":1}"}`)), "headers: a: must be a string"},
		{string(item(url + `,"headers":{"L":[]}`)), "headers: must be a map (M) of texts, or JSON text (S), is L"},
		{string(item(url + `,"payload":{"N":"1"}`)), "payload: must be a text (S), a map (M) or a list (L), is N"},
		{string(item(url + `,"payload":{"M":{}},"contentType":{"S":"text/plain"}`)), "payload: is a structure, which is sent as JSON, a form or multipart/form-data, but the content type is text/plain"},
		{string(item(url + `,"contentType":{"S":"a/b"},"headers":{"M":{"content-type":{"S":"a/b"}}}`)), "contentType: is given by the Content-Type header already"},
		{string(item(url + `,"retry":{"N":"3"}`)), "retry: must be a map (M), is N"},
		{string(item(url + `,"x":{"S":"` + strings.Repeat("x", itemjson.MaxBytes) + `"}`)), "at most 409600 are allowed"},
	} {
		t.Run(tt.want, func(t *testing.T) {
			t.Parallel()
			if _, err := template.Parse(json.RawMessage(tt.item)); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
		})
	}
}

func TestPlain(t *testing.T) {
	t.Parallel()
	plain := `{"method":"POST","name":"a","url":"https://h/<x>&","headers":{"A":"b"},
		"payload":{"n":1.50,"t":true,"z":null,"l":["{{ x }}",[],{}]},"timeoutSeconds":10}`
	item, err := itemjson.FromPlain([]byte(plain))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"PK":{"S":"a"},"SK":{"S":"POST"},"url":{"S":"https://h/<x>&"},"headers":{"M":{"A":{"S":"b"}}},` +
		`"payload":{"M":{"n":{"N":"1.50"},"t":{"BOOL":true},"z":{"NULL":true},"l":{"L":[{"S":"{{ x }}"},{"L":[]},{"M":{}}]}}},"timeoutSeconds":{"N":"10"}}`
	if string(item) != want {
		t.Errorf("got  %s\nwant %s", item, want)
	}
	if _, err := template.Parse(item); err != nil {
		t.Error(err)
	}
	back, err := itemjson.ToPlain(item)
	if err != nil {
		t.Fatal(err)
	}
	again, err := itemjson.FromPlain(back)
	if err != nil || string(again) != string(item) {
		t.Errorf("there and back: %s, %v", again, err)
	}
	if same, err := itemjson.FromPlain([]byte(" " + want + "\n")); err != nil || string(same) != want {
		t.Errorf("a DynamoDB item does not pass as it is: %s, %v", same, err)
	}
}

func TestPlainMistakes(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		``:                                   "read template: line 1: unexpected end of JSON input",
		"{\n\"name\": x}":                    "read template: line 2: invalid character",
		`[]`:                                 "read template: must be a JSON object",
		`{}`:                                 "read template: name: is missing",
		`{"name":"a"}`:                       "read template: method: is missing",
		`{"name":"a","name":"b"}`:            `read template: "name" is there twice`,
		`{"name":"a","method":"GET","SK":1}`: "read template: SK: belongs to a DynamoDB item",
		strings.Repeat("[", 99) + strings.Repeat("]", 99): "is nested more than 64 deep",
	} {
		if _, err := itemjson.FromPlain([]byte(in)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", in, err)
		}
	}
	const key = `{"PK":{"S":"a"},"SK":{"S":"GET"},`
	for in, want := range map[string]string{
		`{`: "write template: is not JSON", `{"PK":{"S":"a"}}`: "write template: SK: is missing",
		key + `"a":{"SS":["x"]}}`: "write template: a: type SS has no plain form", key + `"name":{"S":"x"}}`: "attribute name has no plain form",
		key + `"l":{"L":[{"B":"YQ=="}]}}`: "write template: l: 0: type B has no plain form",
	} {
		if _, err := itemjson.ToPlain(json.RawMessage(in)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", in, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"PK":{"S":"a"},"SK":{"S":"GET"},"url":{"S":"https://h/{{ x }}"},"headers":{"M":{"A":{"S":"b"}}},"payload":{"M":{"a":{"L":[{"N":"1"}]}}}}`))
	f.Add([]byte(`{"PK":{"S":"a"},"SK":{"S":"GET"},"url":{"S":"https://h/"},"headers":{"S":"{\"A\":\"{{ b }}\"}"},"payload":{"S":"a={{ b }}"},"retry":{"M":{"maxAttempts":{"N":"3"}}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		_, err := template.Parse(data)
		if e, ok := errors.AsType[*template.Error](err); err != nil && (!ok || len(e.Problems) == 0) {
			t.Errorf("error without a problem: %v", err)
		}
	})
}

func FuzzFromPlain(f *testing.F) {
	f.Add([]byte(`{"name":"a","method":"GET","url":"https://h/","headers":{"A":"b"},"payload":[1.0,"x",null,true,{}],"timeoutSeconds":3}`))
	f.Add([]byte(`{"PK":{"S":"a"},"SK":{"S":"GET"}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		item, err := itemjson.FromPlain(data)
		if err != nil {
			return
		}
		plain, err := itemjson.ToPlain(item)
		if err != nil {
			return // a DynamoDB item that has no plain form, or is none
		}
		again, err := itemjson.FromPlain(plain)
		if err != nil {
			t.Fatalf("%s: %v", plain, err)
		}
		if _, err := itemjson.ToPlain(again); err != nil {
			t.Fatalf("%s: %v", again, err)
		}
	})
}
