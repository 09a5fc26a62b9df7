package machine_test

import (
	"fmt"
	"math/rand/v2"
	"time"

	"callfleet/internal/localsfn/asl"
	"callfleet/internal/localsfn/expr"
	"callfleet/internal/localsfn/history"
	"callfleet/internal/localsfn/machine"
)

// A caller decides, persists the events, and then does what is owed.
func ExampleDecide() {
	program, findings := asl.Parse([]byte(`{"StartAt": "Call", "States": {
		"Call": {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Parameters": {"id.$": "$.id"}, "End": true}}}`))
	if asl.Invalid(findings) {
		fmt.Println(findings)
		return
	}
	env := machine.Env{Now: time.Now(), Rand: rand.New(rand.NewPCG(1, 2))} // crypto/rand outside tests

	var x machine.Execution
	events, _ := machine.Decide(program, &x, machine.Start{
		Start: history.Start{Key: "run-1", Name: "run-1"},
		Input: expr.Raw([]byte(`{"id": 7}`)),
	}, env)
	record := history.Encode(events) // goes to the log before anything is done

	for _, c := range x.Commands() {
		fmt.Println(c.Resource.Service, c.Resource.Operation, string(c.Parameters.JSON()))
		machine.Decide(program, &x, machine.TaskSucceeded{Task: c.Task, Output: expr.String("done")}, env)
	}
	fmt.Println(x.Status(), string(x.Output().JSON()))

	// After a restart the record alone says what is owed.
	var again machine.Execution
	events, _ = history.Decode(record)
	for _, e := range events {
		again.Apply(e)
	}
	fmt.Println(again.Status(), len(again.Commands()), "owed")
	// Output:
	// lambda invoke {"id":7}
	// SUCCEEDED "done"
	// RUNNING 1 owed
}
