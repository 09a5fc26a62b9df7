package store

import (
	"errors"
	"testing"
)

func TestMachinesAreSeenByEveryStore(t *testing.T) {
	t.Parallel()
	b := setup(t)
	other := b.open(t)
	id, err := b.PutDefinition(t.Context(), `{"StartAt":"A"}`)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.CreateMachine(t.Context(), Machine{Name: "m.1", Type: "STANDARD", Definition: id, Created: base}); err != nil {
		t.Fatal(err)
	}
	if err := other.CreateMachine(t.Context(), Machine{Name: "m.1"}); !errors.Is(err, ErrConflict) {
		t.Errorf("second creation: %v, want ErrConflict", err)
	}
	m, err := b.Machine("m.1")
	if err != nil {
		t.Fatal(err)
	}
	stale := m
	m.RoleARN = "arn:new"
	if err := b.UpdateMachine(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	if err := b.UpdateMachine(t.Context(), stale); !errors.Is(err, ErrConflict) {
		t.Errorf("update over an update: %v, want ErrConflict", err)
	}
	reopened := b.open(t)
	if got, err := reopened.Machine("m.1"); err != nil || got.RoleARN != "arn:new" {
		t.Errorf("reopened store has %+v, %v", got, err)
	}
	if text, err := reopened.Definition(t.Context(), id); err != nil || text != `{"StartAt":"A"}` {
		t.Errorf("definition %q, %v", text, err)
	}
	if err := b.DeleteMachine(t.Context(), "m.1"); err != nil {
		t.Fatal(err)
	}
	if err := b.DeleteMachine(t.Context(), "m.1"); err != nil {
		t.Errorf("deleting again: %v", err)
	}
	if _, err := b.Machine("m.1"); !errors.Is(err, ErrNotFound) {
		t.Errorf("deleted machine: %v, want ErrNotFound", err)
	}
	if err := b.CreateMachine(t.Context(), Machine{Name: "m.1", Definition: id}); err != nil {
		t.Errorf("creating it again: %v", err)
	}
	if got := len(b.Machines()); got != 1 {
		t.Errorf("%d machines, want 1", got)
	}
}

func TestDefinitionNotFound(t *testing.T) {
	t.Parallel()
	if _, err := setup(t).Definition(t.Context(), "none"); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
}
