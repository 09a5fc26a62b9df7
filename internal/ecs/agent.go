package ecs

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// statePath is the agent's endpoint for scale-in protection.
const statePath = "/task-protection/v1/state"

// refusal is an answer of the agent, or of ECS through it, that protection was
// not changed.
type refusal struct {
	code, message string // code is "" when the answer is not the agent's
	status        int
}

func (r *refusal) Error() string {
	if r.code == "" {
		return fmt.Sprintf("the agent answered with status %d", r.status)
	}
	return strings.TrimSuffix(fmt.Sprintf("%s (status %d): %s", r.code, r.status, r.message), ": ")
}

// advice is what to do about a refusal that asking again cannot change; "" when
// it can.
func (r *refusal) advice() string {
	switch r.code {
	case "TASK_NOT_VALID":
		return "nothing: only tasks of a service are scaled in, and this is none"
	case "AccessDeniedException":
		return "give the task role ecs:UpdateTaskProtection on the cluster's tasks, then restart the task"
	case "InvalidParameterException", "UnsupportedFeatureException":
		return "update the container agent"
	case "":
		if r.status == http.StatusNotFound || r.status == http.StatusMethodNotAllowed {
			return "update the container agent to 1.65.0 or later: this one has no such endpoint"
		}
	}
	return ""
}

// adviceOn is the advice on an error; "" when asking again may help.
func adviceOn(err error) string {
	if r, ok := errors.AsType[*refusal](err); ok {
		return r.advice()
	}
	return ""
}

// applied reports whether a change may have been made although it failed: the
// answer can be lost, or given up by the agent while ECS was at work.
func applied(err error) bool {
	r, ok := errors.AsType[*refusal](err)
	return !ok || r.status >= http.StatusInternalServerError
}

// answer is what the agent says to a change: one of the three.
type answer struct {
	Protection *struct{ ProtectionEnabled bool } `json:"protection"`
	Failure    *struct{ Reason, Detail string }  `json:"failure"`
	Error      *struct{ Code, Message string }   `json:"error"`
}

// protect switches the protection of this task, for so long if it is on.
func (e *Environment) protect(ctx context.Context, on bool, expiry time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, agentTimeout)
	defer cancel()
	body, err := json.Marshal(struct {
		ProtectionEnabled bool
		ExpiresInMinutes  int `json:",omitempty"`
	}{on, minutes(on, expiry)})
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, e.agent+statePath, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := e.client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return err
	}
	return judge(res, text, on)
}

func minutes(on bool, expiry time.Duration) int {
	if !on {
		return 0
	}
	return int(expiry / time.Minute)
}

// judge returns nil when the answer says that protection is as it was asked
// for.
func judge(res *http.Response, text []byte, on bool) error {
	var a answer
	err := json.Unmarshal(text, &a)
	switch {
	case a.Error != nil:
		return &refusal{cmp.Or(a.Error.Code, "error"), a.Error.Message, res.StatusCode}
	case a.Failure != nil:
		return &refusal{cmp.Or(a.Failure.Reason, "failure"), a.Failure.Detail, res.StatusCode}
	case res.StatusCode != http.StatusOK:
		return &refusal{status: res.StatusCode}
	case err != nil:
		return fmt.Errorf("read the agent's answer: %w", err)
	case a.Protection == nil || a.Protection.ProtectionEnabled != on:
		return errors.New("the agent's answer does not say that the protection was changed")
	}
	return nil
}
