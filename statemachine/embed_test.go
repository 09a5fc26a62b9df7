package statemachine

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestSubstituteFillsCallAPI(t *testing.T) {
	t.Parallel()
	got, err := Substitute(CallAPI, map[string]string{"TemplatesTable": "T", "TasksQueueUrl": "tasks"})
	if err != nil {
		t.Fatal(err)
	}
	if !json.Valid([]byte(got)) || strings.Contains(got, "${") {
		t.Errorf("substituted definition is not clean JSON:\n%s", got)
	}
}

func TestSubstituteNamesEveryMismatch(t *testing.T) {
	t.Parallel()
	_, err := Substitute(CallAPI, map[string]string{"TasksQueueUrl": "tasks", "Other": "x"})
	want := "substitute definition: Other is not in the definition, TemplatesTable has no value"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
