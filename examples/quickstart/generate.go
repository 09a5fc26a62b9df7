//go:build ignore

// Command generate writes calls.jsonl into the current directory.
package main

import (
	"errors"
	"log"
	"os"

	"callfleet/examples/quickstart"
)

func main() {
	f, err := os.Create("calls.jsonl")
	if err == nil {
		err = errors.Join(quickstart.WriteCalls(f), f.Close())
	}
	if err != nil {
		log.Fatal(err)
	}
}
