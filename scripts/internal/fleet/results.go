package fleet

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
)

// Result is the part of a results line that is counted.
type Result struct {
	ID     string `json:"id"`
	Status string `json:"status"`
	Error  string `json:"error"`
}

// WriteCalls writes a call file of n calls of the template "count".
func WriteCalls(path string, n int) error {
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("write calls: %w", err)
	}
	w := bufio.NewWriter(f)
	for i := range n {
		fmt.Fprintf(w, `{"templateName":"count","method":"GET","params":{"n":%d}}`+"\n", i+1)
	}
	return errors.Join(w.Flush(), f.Close())
}

// ReadResults reads a results file, and counts the ids that stand in it more than
// once.
func ReadResults(path string) (byID map[string]Result, twice int, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, fmt.Errorf("read results: %w", err)
	}
	defer f.Close()
	byID = map[string]Result{}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 4<<20)
	for lines.Scan() {
		var r Result
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return nil, 0, fmt.Errorf("read results: %w", err)
		}
		if _, ok := byID[r.ID]; ok {
			twice++
		}
		byID[r.ID] = r
	}
	return byID, twice, lines.Err()
}
