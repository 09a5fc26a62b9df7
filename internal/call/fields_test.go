package call

import (
	"encoding/json"
	"testing"
)

// FuzzEachField holds the scanner to encoding/json.
func FuzzEachField(f *testing.F) {
	f.Add([]byte(`{"a":1,"b\"":[{"c":"}"}],"":null,"d":-1.5e3 , "e":"\\"}`))
	f.Add([]byte(" {\n} "))
	f.Fuzz(func(t *testing.T, data []byte) {
		got := map[string]json.RawMessage{}
		err := eachField(data, func(name string, v json.RawMessage) error {
			got[name] = v
			return nil
		})
		want := map[string]json.RawMessage{}
		wantErr := json.Unmarshal(data, &want)
		if want == nil { // null
			return
		}
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("got %v, encoding/json %v", err, wantErr)
		}
		if err != nil {
			return
		}
		for name, v := range got {
			if w, ok := want[toValid(name)]; !ok || string(w) != string(v) {
				t.Errorf("%q: got %q, encoding/json %q", name, v, w)
			}
		}
	})
}

// toValid is what encoding/json makes of bytes that are no UTF-8.
func toValid(s string) string {
	quoted, _ := json.Marshal(s)
	var out string
	_ = json.Unmarshal(quoted, &out)
	return out
}
