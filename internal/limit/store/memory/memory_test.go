package memory

import (
	"testing"

	"callfleet/internal/limit/store"
	"callfleet/internal/limit/store/storetest"
)

func TestStore(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(*testing.T) store.Store { return New() })
}
