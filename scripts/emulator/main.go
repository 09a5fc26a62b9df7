// Command emulator runs an emulator of AWS, prints its URL, and ends with its
// standard input: for checks that are no part of this module.
//
//	go run ./scripts/emulator moto
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"callfleet/internal/awstest"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "emulator:", err)
		os.Exit(1)
	}
}

func run() error {
	if len(os.Args) != 2 {
		return fmt.Errorf("want %s or %s", awstest.KindMoto, awstest.KindFauxqs)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute) // it may have to be installed
	defer cancel()
	emulator, stop, err := awstest.Start(ctx, os.Args[1])
	if err != nil {
		return err
	}
	defer stop()
	fmt.Println(emulator.URL)
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}
