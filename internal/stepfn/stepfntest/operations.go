package stepfntest

import (
	"encoding/json"
	"strings"
	"time"
)

type object = map[string]any

// do serves one operation; s.mu is held.
func (s *Server) do(operation string, in object) (any, error) {
	text := func(key string) string { v, _ := in[key].(string); return v }
	switch operation {
	case "StartExecution":
		return s.start(text("stateMachineArn"), text("name"), text("input"))
	case "SendTaskSuccess", "SendTaskFailure", "SendTaskHeartbeat":
		return s.settle(operation, in)
	case "DescribeExecution", "StopExecution", "GetExecutionHistory":
		arn := text("executionArn")
		x := s.find(arn[strings.LastIndexByte(arn, ':')+1:])
		if x == nil {
			return nil, refuse("ExecutionDoesNotExist")
		}
		return s.inspect(operation, x, text("nextToken"))
	case "ListExecutions":
		return s.list(text("nextToken"))
	case "CreateStateMachine":
		if d, ok := s.machines[text("name")]; ok && d != text("definition") {
			return nil, refuse("StateMachineAlreadyExists")
		}
		s.machines[text("name")] = text("definition")
		return object{"stateMachineArn": arnPrefix + "stateMachine:" + text("name"), "creationDate": 1.0}, nil
	case "UpdateStateMachine":
		name := strings.TrimPrefix(text("stateMachineArn"), arnPrefix+"stateMachine:")
		if _, ok := s.machines[name]; !ok {
			return nil, refuse("StateMachineDoesNotExist")
		}
		s.machines[name] = text("definition")
		return object{"updateDate": 1.0}, nil
	case "DescribeStateMachine":
		name := strings.TrimPrefix(text("stateMachineArn"), arnPrefix+"stateMachine:")
		d, ok := s.machines[name]
		if !ok {
			return nil, refuse("StateMachineDoesNotExist")
		}
		return object{
			"stateMachineArn": arnPrefix + "stateMachine:" + name, "name": name, "type": "STANDARD", "status": "ACTIVE", "definition": d,
			"roleArn": "arn:aws:iam::123456789012:role/" + name, "creationDate": 1.0,
			"loggingConfiguration": object{"level": "ERROR"}, "tracingConfiguration": object{"enabled": true},
		}, nil
	case "ListStateMachines":
		var list []object
		for name := range s.machines {
			list = append(list, object{"name": name, "stateMachineArn": arnPrefix + "stateMachine:" + name, "type": "STANDARD", "creationDate": 1.0})
		}
		return object{"stateMachines": list}, nil
	}
	return nil, refuse("UnknownOperationException")
}

func (s *Server) start(machine, name, input string) (any, error) {
	if machine != Machine {
		return nil, refuse("StateMachineDoesNotExist")
	}
	if strings.ContainsAny(name, " <>/") {
		return nil, refuse("InvalidName")
	}
	if !json.Valid([]byte(input)) {
		return nil, refuse("InvalidExecutionInput")
	}
	answer := object{"executionArn": executionARN(name), "startDate": 1.0}
	if x := s.find(name); x != nil {
		if x.status != "RUNNING" || x.input != input {
			return nil, refuse("ExecutionAlreadyExists")
		}
		return answer, nil
	}
	s.executions = append(s.executions, &execution{name, input, "RUNNING", time.Unix(1, 0)})
	return answer, nil
}

func executionARN(name string) string { return arnPrefix + "execution:call-api:" + name }

func (s *Server) settle(operation string, in object) (any, error) {
	token, _ := in["taskToken"].(string)
	t := s.tasks[token]
	if t == nil {
		return nil, refuse("InvalidToken")
	}
	if operation != "SendTaskHeartbeat" {
		t.Reports++
	}
	if t.Settled {
		return nil, refuse("TaskTimedOut")
	}
	switch operation {
	case "SendTaskHeartbeat":
		t.Beats++
	case "SendTaskSuccess":
		t.Output, _ = in["output"].(string)
		t.Settled = true
	case "SendTaskFailure":
		t.Error, _ = in["error"].(string)
		t.Cause, _ = in["cause"].(string)
		t.Settled = true
	}
	return object{}, nil
}

func (s *Server) inspect(operation string, x *execution, page string) (any, error) {
	switch operation {
	case "StopExecution":
		x.status = "ABORTED"
		return object{"stopDate": 2.0}, nil
	case "GetExecutionHistory":
		if page == "" {
			return object{"nextToken": "2", "events": []object{
				{"id": 1, "timestamp": 1.5, "type": "ExecutionStarted", "executionStartedEventDetails": object{"input": x.input}},
				{"id": 2, "previousEventId": 1, "timestamp": 1.5, "type": "TaskStateEntered", "stateEnteredEventDetails": object{"name": "Call", "input": x.input}},
			}}, nil
		}
		return object{"events": []object{
			{"id": 3, "previousEventId": 2, "timestamp": 2, "type": "TaskFailed",
				"taskFailedEventDetails": object{"resource": "sendMessage.waitForTaskToken", "resourceType": "sqs", "error": "E", "cause": "c"}},
		}}, nil
	}
	return object{
		"executionArn": executionARN(x.name), "name": x.name, "stateMachineArn": Machine, "status": x.status,
		"startDate": x.started.Unix(), "input": x.input,
	}, nil
}

// list gives one execution a page, the newest first.
func (s *Server) list(page string) (any, error) {
	i := len(s.executions) - 1 - len(page)
	if i < 0 {
		return object{"executions": []object{}}, nil
	}
	x := s.executions[i]
	out := object{"executions": []object{{
		"executionArn": executionARN(x.name), "name": x.name, "stateMachineArn": Machine, "status": x.status, "startDate": 1.0,
	}}}
	if i > 0 {
		out["nextToken"] = page + "x"
	}
	return out, nil
}
