// Command jaeger builds a real Jaeger, runs calls of every kind through the
// programs of bin/ with their spans sent to it, and asks it for their traces:
// each call is one trace, with the expected spans, parents, tags and error
// flags. The searches and trees of docs/tracing.md are tried on them. It exits
// with 1 when one of them is not as expected.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"
)

// patience bounds a pass.
const patience = 2 * time.Minute

type options struct {
	bin  string
	doc  string
	hold bool
	keep bool
	only string
}

func main() {
	var o options
	flag.StringVar(&o.bin, "bin", "bin", "folder of the programs")
	flag.StringVar(&o.doc, "doc", "docs/tracing.md", "the document whose searches and trees are tried")
	flag.BoolVar(&o.hold, "hold", false, "at the end wait for Ctrl-C, to look at Jaeger")
	flag.StringVar(&o.only, "only", "", "one place alone: NATS, SQS, \"SQS and AWS Step Functions\"")
	flag.BoolVar(&o.keep, "keep", false, "keep the directories with the logs")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "jaeger:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	program, err := buildJaeger(ctx)
	if err != nil {
		return err
	}
	if err := checkTrees(o.doc); err != nil {
		return err
	}
	for _, at := range places {
		if o.only != "" && o.only != at.name {
			continue
		}
		if err := newPass(o, program, at).run(ctx); err != nil {
			return fmt.Errorf("over %s: %w", at.name, err)
		}
	}
	return nil
}

// places are where the calls are made: on NATS all of them, on emulators of AWS
// some of each kind.
var places = []place{
	{name: "NATS", system: "nats", share: 100, searchable: true},
	{name: "SQS", system: "aws_sqs", share: 25, aws: true, searchable: true},
	{name: "SQS and AWS Step Functions", system: "aws_sqs", share: 10, aws: true, remote: true},
}
