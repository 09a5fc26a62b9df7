package worker

import "testing"

// What a hook costs when calls come one by one (every call has two edges), and
// when there is always another under way (no edge).
func BenchmarkSlots(b *testing.B) {
	edges := 0
	for name, hook := range map[string]func(bool){"nobody": nil, "hook": func(bool) { edges++ }} {
		for work, busy := range map[string]int{"one by one": 0, "busy": 1} {
			b.Run(name+"/"+work, func(b *testing.B) {
				s := newSlots(64, hook)
				s.take(busy)
				for b.Loop() {
					s.take(1)
					s.release()
				}
			})
		}
	}
}
