package secret

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"callfleet/internal/evidence"
	"callfleet/internal/secret/secrettest"
)

func TestValueHidesItself(t *testing.T) {
	t.Parallel()
	plain := secrettest.Value(t, "plain")
	v := Of(plain)
	inside := struct {
		hidden Value
		Shown  Value
		List   []Value
		Map    map[string]Value
		Any    any
		Point  *Value
	}{v, v, []Value{v}, map[string]Value{"k": v}, v, &v}
	var out strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%10.3s", "%T"} {
		fmt.Fprintf(&out, verb+"\n", v)
		fmt.Fprintf(&out, verb+"\n", &v)
		fmt.Fprintf(&out, verb+"\n", inside)
	}
	fmt.Fprintln(&out, v, v.String(), v.GoString())
	type fields struct{ A, B any }
	for _, encode := range []func(any) ([]byte, error){json.Marshal, xml.Marshal} {
		data, err := encode(fields{v, &v})
		if err != nil {
			t.Fatal(err)
		}
		out.Write(data)
	}
	var logs bytes.Buffer
	for _, h := range []slog.Handler{slog.NewTextHandler(&logs, nil), slog.NewJSONHandler(&logs, nil)} {
		evidence.LoggerTo(t, h).Info("text", "value", v, "pointer", &v, "inside", inside, "error", fmt.Errorf("with %v", v))
	}
	out.Write(logs.Bytes())
	evidence.Write(t, evidence.Output, out.String())
	for _, form := range []string{plain, fmt.Sprintf("%x", plain), fmt.Sprintf("%X", plain), secrettest.Marker} {
		if strings.Contains(out.String(), form) {
			t.Errorf("shows %q in\n%s", form, out.String())
		}
	}
	if !strings.Contains(out.String(), hidden) || v.Reveal() != plain || (Value{}).Reveal() != "" {
		t.Error("the value must say that it is hidden, and reveal itself when asked")
	}
}
