// Package history holds the events of an execution: what happened, in order,
// as the state machine folds it, stores it and shows it.
//
// An Event is flat. Most types are the events of AWS's GetExecutionHistory and
// carry a number (ID) and the number of the event they follow (Prev). A few
// are internal: the fold needs them after a restart and AWS does not show
// them, so they have no number.
//
//	            Encode                    store                  Decode
//	[]Event ───────────────► one record ─────────► one record ───────────────► []Event
//	   │                                                                          │
//	   └─ AppendJSON: one event as GetExecutionHistory shows it        machine.Apply
//
// A record holds the events of one decision. Values that several events of a
// decision share, such as a state's output and the next state's input, are
// written once.
package history
