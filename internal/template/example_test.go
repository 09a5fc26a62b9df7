package template_test

import (
	"context"
	"encoding/json"
	"fmt"

	"callfleet/internal/template"
	"callfleet/internal/template/itemjson"
)

func Example() {
	item, err := itemjson.FromPlain([]byte(`{
		"name": "create-user", "method": "POST",
		"url": "https://api.example.com/tenants/{{ tenant }}/users?notify={{ notify|default:\"no\" }}",
		"headers": {"Authorization": "Bearer {{ token }}"},
		"payload": {"name": "{{ first }} {{ last }}", "age": "{{ age|tojson }}"}
	}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	r := template.NewRenderer(template.Options{})
	for _, params := range []string{
		`{"tenant": "a/b", "token": "t", "first": "Ada \"L\"", "last": "B", "age": 36.0}`,
		`{"tenant": "a/b", "token": "t"}`,
	} {
		request, err := r.Render(context.Background(), item, json.RawMessage(params))
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(request.Method, request.URL)
		for _, h := range request.Header {
			fmt.Println(h.Name+":", h.Value)
		}
		fmt.Println(string(request.Body))
	}
	// Output:
	// POST https://api.example.com/tenants/a%2Fb/users?notify=no
	// Authorization: Bearer t
	// Content-Type: application/json
	// {"name":"Ada \"L\" B","age":36.0}
	// Callfleet.RenderFailed: render template create-user POST: payload.name: line 1 column 4: first is not in params
}
