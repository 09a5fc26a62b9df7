package quickstart

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
)

// kind is one kind of call in calls.jsonl.
type kind struct {
	template, method string
	count            int
	params           func(i int) map[string]any
}

// kinds add up to 1,000 calls; README.md says how each ends.
func kinds() []kind {
	none := func(int) map[string]any { return map[string]any{} }
	words := []string{"red shoes", "café & crème", "50% off", "naïve \"quotes\"", "a/b?c=d", "日本"}
	return []kind{
		{"get-anything", "GET", 250, func(i int) map[string]any { return map[string]any{"id": i + 1} }},
		{"create-order", "POST", 200, func(i int) map[string]any {
			return map[string]any{"customer": fmt.Sprintf("customer-%03d", i%40), "sku": fmt.Sprintf("SKU-%d", 100+i%25),
				"quantity": 1 + i%9, "note": words[i%len(words)]}
		}},
		{"search", "GET", 150, func(i int) map[string]any {
			return map[string]any{"q": words[i%len(words)], "limit": 5 + i%20}
		}},
		{"submit-form", "POST", 100, func(i int) map[string]any {
			return map[string]any{"name": fmt.Sprintf("user %d", i+1), "message": words[(i+1)%len(words)] + "\nsecond line"}
		}},
		{"get-headers", "GET", 100, func(i int) map[string]any { return map[string]any{"tenant": fmt.Sprintf("tenant-%d", i%7)} }},
		{"slow", "GET", 60, func(i int) map[string]any {
			return map[string]any{"seconds": json.Number(fmt.Sprintf("0.%d", 2+i%4))}
		}},
		{"too-slow", "GET", 20, none},
		{"limited", "GET", 40, none},
		{"flaky-503", "GET", 40, none},
		{"not-found", "GET", 40, none},
	}
}

// WriteCalls writes the 1,000 calls of calls.jsonl, always the same ones.
func WriteCalls(w io.Writer) error {
	type line struct {
		Template string         `json:"templateName"`
		Method   string         `json:"method"`
		Params   map[string]any `json:"params"`
	}
	var lines []line
	for _, k := range kinds() {
		for i := range k.count {
			lines = append(lines, line{k.template, k.method, k.params(i)})
		}
	}
	rand.New(rand.NewPCG(1, 1000)).Shuffle(len(lines), func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
	out := bufio.NewWriter(w)
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	for _, l := range lines {
		if err := enc.Encode(l); err != nil {
			return fmt.Errorf("write calls: %w", err)
		}
	}
	return out.Flush()
}
