// Package event words the status changes of executions as Amazon EventBridge
// delivers them.
package event

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"

	"callfleet/internal/localsfn/expr"
	"callfleet/internal/localsfn/machine"
)

// statusChange is a "Step Functions Execution Status Change" event as
// EventBridge delivers it (AWS Step Functions Developer Guide, "Automating
// Step Functions event delivery with EventBridge").
type statusChange struct {
	Version    string       `json:"version"`
	ID         string       `json:"id"`
	DetailType string       `json:"detail-type"`
	Source     string       `json:"source"`
	Account    string       `json:"account"`
	Time       string       `json:"time"`
	Region     string       `json:"region"`
	Resources  []string     `json:"resources"`
	Detail     statusDetail `json:"detail"`
}

type statusDetail struct {
	ExecutionARN    string    `json:"executionArn"`
	StateMachineARN string    `json:"stateMachineArn"`
	Name            string    `json:"name"`
	Status          string    `json:"status"`
	StartDate       int64     `json:"startDate"` // unix ms
	StopDate        *int64    `json:"stopDate"`
	Input           *string   `json:"input"`
	InputDetails    *included `json:"inputDetails"`
	Output          *string   `json:"output"`
	OutputDetails   *included `json:"outputDetails"`
	Error           *string   `json:"error,omitempty"`
	Cause           *string   `json:"cause,omitempty"`
}

type included struct {
	Included bool `json:"included"`
}

// eventData is how much input and output an event may carry; above it AWS
// leaves the input out, then the output.
const eventData = 248 << 10

// StatusChange is the event of an execution's start or end, with an id that is
// the same whenever the event is made: the execution's ARN and the status.
func StatusChange(x *machine.Execution, status machine.Status, region, account string) (id string, body []byte) {
	start := x.Start()
	d := statusDetail{
		ExecutionARN: start.ARN, StateMachineARN: start.MachineARN, Name: start.Name,
		Status: string(status), StartDate: x.Started().UnixMilli(),
	}
	at := x.Started()
	room := eventData
	if status != machine.Running {
		at = x.Stopped()
		ms := at.UnixMilli()
		d.StopDate = &ms
		d.Error, d.Cause = x.Failure()
		d.Output, d.OutputDetails = carried(x.Output(), &room)
	}
	d.Input, d.InputDetails = carried(x.Input(), &room)
	id = start.ARN + string(status)
	body, err := json.Marshal(statusChange{
		Version: "0", ID: eventID(id), DetailType: "Step Functions Execution Status Change", Source: "aws.states",
		Account: account, Time: at.UTC().Format(time.RFC3339), Region: region, Resources: []string{start.ARN}, Detail: d,
	})
	if err != nil {
		panic("event: status change: " + err.Error()) // strings and numbers only
	}
	return id, body
}

// carried is v as the event shows it, if it fits into what room is left.
func carried(v expr.Value, room *int) (*string, *included) {
	if v.IsAbsent() {
		return nil, nil
	}
	if *room -= v.Size(); *room < 0 {
		return nil, &included{}
	}
	s := string(v.JSON())
	return &s, &included{Included: true}
}

// eventID is a UUID that is the same whenever the event is made.
func eventID(of string) string {
	sum := sha256.Sum256([]byte(of))
	h := hex.EncodeToString(sum[:16])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}
