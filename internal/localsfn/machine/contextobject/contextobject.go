// Package contextobject builds "$$", the context object of a state, with AWS's
// order of keys.
package contextobject

import (
	"time"

	"callfleet/internal/localsfn/expr"
	"callfleet/internal/localsfn/history"
)

// timeLayout is how the context object writes times.
const timeLayout = "2006-01-02T15:04:05.000Z"

// Execution is the part that all states of an execution see alike; started is
// in Unix milliseconds.
func Execution(start *history.Start, input expr.Value, started int64) []expr.Member {
	return []expr.Member{
		{Key: "Execution", Value: expr.Object(
			expr.Member{Key: "Id", Value: expr.String(start.ARN)},
			expr.Member{Key: "Input", Value: input},
			expr.Member{Key: "StartTime", Value: moment(started)},
			expr.Member{Key: "Name", Value: expr.String(start.Name)},
			expr.Member{Key: "RoleArn", Value: expr.String(start.RoleARN)},
			expr.Member{Key: "RedriveCount", Value: expr.Int(0)},
		)},
		{Key: "StateMachine", Value: expr.Object(
			expr.Member{Key: "Id", Value: expr.String(start.MachineARN)},
			expr.Member{Key: "Name", Value: expr.String(start.MachineName)},
		)},
	}
}

// State is "$$.State"; entered is in Unix milliseconds, retries below 0 are
// left out.
func State(name string, entered, retries int64) expr.Member {
	members := []expr.Member{{Key: "Name", Value: expr.String(name)}, {Key: "EnteredTime", Value: moment(entered)}}
	if retries >= 0 {
		members = append(members, expr.Member{Key: "RetryCount", Value: expr.Int(retries)})
	}
	return expr.Member{Key: "State", Value: expr.Object(members...)}
}

// Task is "$$.Task".
func Task(token string) expr.Member {
	return expr.Member{Key: "Task", Value: expr.Object(expr.Member{Key: "Token", Value: expr.String(token)})}
}

// Item is "$$.Map".
func Item(index int64, item expr.Value) expr.Member {
	return expr.Member{Key: "Map", Value: expr.Object(expr.Member{Key: "Item", Value: expr.Object(
		expr.Member{Key: "Index", Value: expr.Int(index)},
		expr.Member{Key: "Value", Value: item},
	)})}
}

func moment(ms int64) expr.Value {
	return expr.String(time.UnixMilli(ms).UTC().Format(timeLayout))
}
