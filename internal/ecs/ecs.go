// Package ecs lets a program live as a task of Amazon ECS: it tells which task
// it is, and keeps scale-in away from it while it works.
//
// A service that scales in stops any of its tasks, busy or not. The container
// agent takes a request for protection from inside the task:
//
//	           first call                       renewed at half,
//	┌──────┐ ───────────────► ┌───────────┐ ◄──┐ for a long call
//	│ idle │   PUT true, N    │ protected │ ───┘
//	└──────┘ ◄─────────────── └───────────┘
//	           idle for a while, or stopped: PUT false
//
// The protection ends by itself after N minutes: a process that dies leaves
// nothing behind that lasts, and a task that is never idle but has only short
// calls, which a drain waits for, can be scaled in and replaced.
package ecs

import (
	"net/http"
	"strings"
	"time"
)

// The variables that ECS sets in each container.
const (
	metadataVariable = "ECS_CONTAINER_METADATA_URI_V4"
	agentVariable    = "ECS_AGENT_URI"
)

// Environment is the task that this process runs in.
type Environment struct {
	metadata string // URL of the container's metadata; "" when the agent has none
	agent    string // URL of the agent's API; "" when the agent has none
	client   *http.Client
}

// FromEnv returns the task that the environment names, or nil outside ECS.
func FromEnv(getenv func(string) string) *Environment {
	e := &Environment{
		metadata: strings.TrimRight(getenv(metadataVariable), "/"),
		agent:    strings.TrimRight(getenv(agentVariable), "/"),
		// The agent is on a link-local address: a proxy cannot reach it. It is
		// asked so rarely that a kept connection would only be in the way.
		client: &http.Client{
			Transport:     &http.Transport{Proxy: nil, DisableKeepAlives: true, ResponseHeaderTimeout: agentTimeout},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	if e.metadata == "" && e.agent == "" {
		return nil
	}
	return e
}

// agentTimeout bounds one request. The agent gives ECS 4 s.
const agentTimeout = 5 * time.Second

// maxAnswer bounds what is read of an answer, in bytes.
const maxAnswer = 1 << 20
