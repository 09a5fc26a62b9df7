package param

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"callfleet/internal/call"
)

func TestParse(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "body.txt")
	if err := os.WriteFile(file, []byte("two\nlines <&>"), 0o600); err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(dir, "binary")
	if err := os.WriteFile(binary, []byte{0xff}, 0o600); err != nil {
		t.Fatal(err)
	}
	big := filepath.Join(dir, "big")
	if err := os.WriteFile(big, make([]byte, maxParamFile+1), 0o600); err != nil {
		t.Fatal(err)
	}
	rows := []struct {
		args []string
		want string // or "! " and parts of the error
	}{
		{nil, `{}`},
		{[]string{"id=42", "empty=", "x=a=b", `q="quoted"`}, `{"id":"42","empty":"","x":"a=b","q":"\"quoted\""}`},
		{[]string{"n:=1.50", "list:=[1, 2]", "yes:=true", `s:="@x"`}, `{"n":1.50,"list":[1, 2],"yes":true,"s":"@x"}`},
		{[]string{"body=@" + file}, `{"body":"two\nlines <&>"}`},
		{[]string{"a", "=b", "c:=", "d=1", "d=2"}, `! param "a": want k=v|has no name|param "c": what follows := is not JSON|param "d": is given twice`},
		{[]string{"g=@" + binary, "h=@" + big, "i=1"}, `{"g":{"$ref":{"url":"binary","bytes":0,"sha256":""}},"h":{"$ref":{"url":"big","bytes":0,"sha256":""}},"i":"1"}`},
		{[]string{"f=@" + filepath.Join(dir, "none"), "u=\xff"}, "! no such file|not valid UTF-8"},
	}
	for _, row := range rows {
		params, err := Parse(row.args)
		got, putErr := params.JSON(t.Context(), func(_ context.Context, file string) (call.BlobRef, error) {
			return call.BlobRef{URL: filepath.Base(file)}, nil
		})
		if putErr != nil {
			t.Error(putErr)
		}
		parts, bad := strings.CutPrefix(row.want, "! ")
		if !bad && (err != nil || string(got) != row.want || !json.Valid(got)) {
			t.Errorf("%q: %s, %v", row.args, got, err)
		}
		for _, part := range strings.Split(parts, "|") {
			if bad && (err == nil || !strings.Contains(err.Error(), part)) {
				t.Errorf("%q: %v does not tell %q", row.args, err, part)
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("id=42")
	f.Add("n:={\"a\":[1.50]}")
	f.Add("a:b:=null")
	f.Fuzz(func(t *testing.T, arg string) {
		if strings.Contains(arg, "=@") {
			return // would read a file
		}
		params, err := Parse([]string{arg})
		if err != nil {
			return
		}
		if got, err := params.JSON(t.Context(), nil); err != nil || !json.Valid(got) {
			t.Errorf("%q makes %s, %v", arg, got, err)
		}
	})
}
