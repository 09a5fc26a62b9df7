package call

import (
	"strings"
	"testing"
)

func TestRequestsPinVersions(t *testing.T) {
	t.Parallel()
	r := Request{ID: "r-1", Template: "a", Method: "GET", Version: 3}
	data, err := EncodeRequest(r)
	if err != nil || !strings.Contains(string(data), `"method":"GET@3"`) {
		t.Errorf("got %s, %v", data, err)
	}
	back, err := DecodeRequest(data)
	if err != nil || back.Method != "GET" || back.Version != 3 {
		t.Errorf("decoded %+v, %v", back, err)
	}
	for text, want := range map[string]string{
		`{"templateName":"a","method":"GET@0"}`:                      "method: must be an HTTP method",
		`{"templateName":"a","method":"GET@x"}`:                      "method: must be an HTTP method",
		`{"templateName":"a","method":"@1"}`:                         "method: must be an HTTP method",
		`{"templateName":"a","method":"get@1"}`:                      "method: must be an HTTP method",
		`{"templateName":"a","method":"GET","templateVersion":1}`:    "templateVersion: belongs to call files",
		`{"templateName":"a","method":"GET@1@2"}`:                    "method: must be an HTTP method",
		`{"templateName":"a","method":"GET@1000000000"}`:             "method: must be an HTTP method",
		`{"templateName":"a","method":"GET@01","params":{"x": 1}}`:   "method: must be an HTTP method",
		`{"templateName":"a","method":"GET","templateVersion":null}`: "",
	} {
		_, err := DecodeRequest([]byte(text))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
}
