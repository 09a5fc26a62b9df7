package api

import (
	"context"
	"encoding/json"

	"callfleet/internal/localsfn/expr"
)

type taskRequest struct {
	Token  *string `json:"taskToken"`
	Output *string `json:"output"`
	Error  *string `json:"error"`
	Cause  *string `json:"cause"`
}

var emptyAnswer = json.RawMessage("{}")

// maxToken is the length of a task token.
const maxToken = 1024

// readTask reads a request about a task.
func readTask(body []byte) (r taskRequest, err error) {
	if err := decode(body, &r); err != nil {
		return r, err
	}
	var c constraints
	c.required(r.Token == nil, "taskToken")
	if r.Token != nil {
		c.length(*r.Token, "taskToken", 1, maxToken)
	}
	c.failure(r.Error, r.Cause)
	return r, c.err()
}

func (s *Server) sendTaskSuccess(ctx context.Context, body []byte) (any, error) {
	r, err := readTask(body)
	if err != nil {
		return nil, err
	}
	var c constraints
	c.required(r.Output == nil, "output")
	if r.Output != nil && len(*r.Output) > maxData {
		c.length(*r.Output, "output", 0, maxData)
	}
	if err := c.err(); err != nil {
		return nil, err
	}
	output, err := expr.Parse([]byte(*r.Output))
	if err != nil {
		return nil, &apiError{kind: "InvalidOutput", message: "Invalid Output: '" + jackson(*r.Output, err) + "'"}
	}
	return emptyAnswer, s.o.Engine.Succeed(ctx, *r.Token, output)
}

func (s *Server) sendTaskFailure(ctx context.Context, body []byte) (any, error) {
	r, err := readTask(body)
	if err != nil {
		return nil, err
	}
	return emptyAnswer, s.o.Engine.Fail(ctx, *r.Token, r.Error, r.Cause)
}

func (s *Server) sendTaskHeartbeat(ctx context.Context, body []byte) (any, error) {
	r, err := readTask(body)
	if err != nil {
		return nil, err
	}
	return emptyAnswer, s.o.Engine.Heartbeat(ctx, *r.Token)
}
