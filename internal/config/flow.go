package config

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"callfleet/internal/call"
)

// Flow are the commands below "producer flow".
type Flow struct {
	Ls     struct{} `cmd:"" help:"List the flow keys that have limits, pauses or calls that wait."`
	Set    FlowSet  `cmd:"" help:"Limit the calls of a flow key."`
	Pause  FlowKey  `cmd:"" help:"Let no call of a flow key begin; they wait."`
	Resume FlowKey  `cmd:"" help:"End every pause of a flow key, and close its circuit."`
}

// FlowKey names one flow key.
type FlowKey struct {
	Key string `arg:"" help:"Flow key: the host and port that calls go to, in small letters, unless request or template name another."`
}

// FlowSet are the settings of "producer flow set".
type FlowSet struct {
	FlowKey     `embed:""`
	Rate        FlowRate  `help:"Most calls that begin: 50/s, 600/m, 1000/h or 100/30s; 0 is no limit." placeholder:"N/TIME"`
	Concurrency FlowCount `help:"Most calls at one time; 0 is no limit." placeholder:"N"`
	Backlog     FlowCount `help:"Most calls that wait in one worker; others wait on the queue. 0 is the worker's own bound." placeholder:"N"`
}

// Help is the examples of "producer flow set --help".
func (FlowSet) Help() string {
	return `Examples:

  producer flow set api.example.com --rate 50/s --concurrency 8
  producer flow set api.example.com --rate 0

What is not named stays as it is. The whole fleet shares the limit, however many workers run; they follow a change within 2 s.`
}

var _ kong.HelpProvider = FlowSet{}

// FlowRate is a number of calls in a time. Set is false when it was not given.
type FlowRate struct {
	Set    bool
	Calls  int
	Period time.Duration
}

// FlowCount is a number; Set is false when it was not given.
type FlowCount struct {
	Set bool
	N   int
}

func parseFlowCount(text string) (any, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return nil, fmt.Errorf("want a whole number, 0 for no limit, not %q", text)
	}
	return FlowCount{Set: true, N: n}, nil
}

func parseFlowRate(text string) (any, error) {
	wrong := fmt.Errorf("want a number of calls in a time, such as 50/s, 600/m or 100/30s, or 0 for no limit, not %q", text)
	calls, period, found := strings.Cut(text, "/")
	n, err := strconv.Atoi(calls)
	if err != nil || n < 0 || !found && n != 0 {
		return nil, wrong
	}
	if n == 0 {
		return FlowRate{Set: true}, nil
	}
	if period != "" && (period[0] < '0' || period[0] > '9') {
		period = "1" + period
	}
	d, err := time.ParseDuration(period)
	if err != nil || d <= 0 || d > 24*time.Hour {
		return nil, wrong
	}
	return FlowRate{Set: true, Calls: n, Period: d}, nil
}

func (f Flow) check(command string, p *problems) {
	key := f.Set.Key
	switch command {
	case "flow ls":
		return
	case "flow pause":
		key = f.Pause.Key
	case "flow resume":
		key = f.Resume.Key
	case "flow set":
		if len(p.list) == 0 && !f.Set.Rate.Set && !f.Set.Concurrency.Set && !f.Set.Backlog.Set {
			p.list = append(p.list, Problem{Message: "flow set: want --rate, --concurrency or --backlog"})
		}
	}
	if err := call.ValidateFlowKey(key); err != nil {
		p.list = append(p.list, Problem{"<key>", err.Error()})
	}
}
