package search

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"callfleet/internal/evidence"
)

const (
	marker = "m4rk3rm4rk3r"
	value  = marker + "0123456789abcdef"
	key    = "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgab+/\nc2hvcnQ+ab==\n-----END PRIVATE KEY-----\n"
)

var known = []evidence.Hidden{
	{Name: "token", Test: "TestToken", Value: value},
	{Name: "password", Test: "TestPassword", Value: "pass-" + marker + "fedcba9876543210/+ \"ü"},
	{Name: "key", Test: "TestKey", Value: key},
	{Name: "other", Test: "TestOther", Value: "wrong/+ \"one\""},
	{Name: "canary", Test: "TestCanary", Value: marker + "canary", Canary: true},
}

// names are the secrets that are found, in order.
func names(text string) []string {
	list := []string{}
	for _, h := range New(known, marker).Find([]byte(text)) {
		list = append(list, h.Secret.Name)
	}
	return list
}

func TestFind(t *testing.T) {
	t.Parallel()
	quoted, err := json.Marshal(known[1].Value)
	if err != nil {
		t.Fatal(err)
	}
	in64 := base64.StdEncoding.EncodeToString
	for text, want := range map[string][]string{
		"nothing of " + marker[:8]:                                 {},
		"x" + value + "x":                                          {"token"},
		value + " " + known[1].Value:                               {"token", "password"},
		"cut " + value[:20]:                                        {"part of a secret"},
		"cut " + value[:len(marker)]:                               {"part of a secret"},
		strings.ToUpper(value):                                     {"token"},
		"https://a.example/?q=" + url.QueryEscape(known[1].Value):  {"password"},
		string(quoted):                                             {"password"},
		hex.EncodeToString([]byte("ann:" + value)):                 {"token"},
		strings.ToUpper(hex.EncodeToString([]byte(value))):         {"token"},
		each(value, "%%%02X"):                                      {"token"},
		each(value, `\u%04x`):                                      {"token"},
		in64([]byte("ann:" + value)):                               {"token"},
		in64([]byte("anne:" + value)):                              {"token"},
		in64([]byte("annes:" + value + ":")):                       {"token"},
		base64.RawURLEncoding.EncodeToString([]byte("?>" + value)): {"token"},
		in64([]byte("Basic " + in64([]byte("ann:"+value)))):        {"token"},
		strings.ReplaceAll(key, "\n", `\n`):                        {"key"},
		"c2hvcnQ+ab==":                                             {"key"},
		"wrong/+ \"one\"":                                          {"other"},
		"one\n" + marker + "canary":                                {"canary"},
	} {
		got := names(text)
		if want == nil || len(want) > 0 && want[0] == "key" {
			got = slices.Compact(got) // one for each line
		}
		if !slices.Equal(got, want) {
			t.Errorf("in %q: %q, want %q", text, got, want)
		}
	}
	if hits := New(known, marker).Find([]byte("\n\na " + value + "\n" + value)); len(hits) != 2 || hits[0].Line != 3 || hits[1].Line != 4 {
		t.Errorf("hits %+v, want lines 3 and 4", hits)
	}
}

// evidenceOf is a directory with evidence of every kind, and the canary in it,
// and with more.
func evidenceOf(t *testing.T, more map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	files := map[string]string{}
	for _, kind := range needed {
		files[string(kind)+"-a.jsonl"] = line(t, evidence.Record{Test: "TestCanary", Text: known[4].Value})
	}
	files["file/a/b"] = files["file-a.jsonl"]
	delete(files, "file-a.jsonl")
	for _, h := range known {
		files["secrets-a.jsonl"] += line(t, h)
	}
	for name, text := range more {
		files[name] = text
	}
	for name, text := range files {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func line(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text) + "\n"
}

func TestDirectory(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		more map[string]string
		leak string // "" is none
		err  string
	}{
		"clean":     {nil, "", ""},
		"in a log":  {map[string]string{"log-b.jsonl": "{}\n" + line(t, evidence.Record{Test: "TestX", Text: "a " + value})}, `log-b.jsonl:2, written in TestX: secret "token" of TestToken, as it is`, "1 places show a secret"},
		"in a file": {map[string]string{"file/c/d": "\n\n" + value}, `file/c/d:3: secret "token" of TestToken, as it is`, "1 places show a secret"},
		"a part":    {map[string]string{"output-b.log": marker}, "output-b.log:1: part of a secret, as it is", "1 places show a secret"},
		"no spans":  {map[string]string{"span-a.jsonl": ""}, "", "there is no evidence of kind span"},
		"no canary": {map[string]string{"history-a.jsonl": "{}\n"}, "", "the canary was not found in kind history"},
		"no secret": {map[string]string{"secrets-a.jsonl": ""}, "", "no test has a secret"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			report, err := Directory(evidenceOf(t, row.more), marker)
			if err != nil {
				t.Fatal(err)
			}
			err = report.Err()
			if row.err == "" && err != nil || row.err != "" && (err == nil || !strings.Contains(err.Error(), row.err)) {
				t.Errorf("error %v, want %q", err, row.err)
			}
			var shown bytes.Buffer
			report.Print(&shown)
			if row.leak != "" && !strings.Contains(shown.String(), "LEAK "+row.leak+"\n") {
				t.Errorf("the report lacks %q:\n%s", row.leak, shown.String())
			}
			if hits := New(known, marker).Find(shown.Bytes()); len(hits) > 0 {
				t.Errorf("the report shows secrets:\n%s", shown.String())
			}
		})
	}
}

func TestReportCounts(t *testing.T) {
	t.Parallel()
	report, err := Directory(evidenceOf(t, map[string]string{"log-b.jsonl": "{}\n{}\n"}), marker)
	if err != nil {
		t.Fatal(err)
	}
	if c := report.Kinds[evidence.Log]; report.Secrets != 4 || report.Tests != 4 || c.Files != 2 || c.Records != 3 || c.canaries != 1 {
		t.Errorf("report %+v, logs %+v", report, c)
	}
}
