package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
)

// verify waits until Jaeger has every span, takes each trace by its id, and
// compares.
func (p *pass) verify(ctx context.Context, calls []*called) error {
	if err := p.await(ctx, calls); err != nil {
		return err
	}
	check := &checker{tags: wanted(p.at.system), api: p.api.addr, from: p.began.Add(-slack), to: time.Now()}
	var errs []error
	for _, c := range calls {
		byID, err := p.jaeger.traces(ctx, "/api/traces/"+c.result.TraceID, nil)
		if err != nil {
			return err
		}
		if len(byID) == 1 {
			c.trace = byID[0]
		}
		if err := check.check(c); err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) > 3 {
		errs = append(errs[:3], fmt.Errorf("and %d more calls", len(errs)-3))
	}
	return errors.Join(append(errs, p.services(ctx))...)
}

// await asks for all traces until those of the calls have as many spans as they
// must, or no more come.
func (p *pass) await(ctx context.Context, calls []*called) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for {
		traces, err := p.jaeger.traces(ctx, "/api/traces", url.Values{"service": {servicePrefix + "producer"}, "limit": {"1500"}})
		if err != nil {
			return err
		}
		if len(traces) > len(calls) {
			return fmt.Errorf("jaeger has %d traces, want one for each of the %d calls", len(traces), len(calls))
		}
		byID := map[string]*trace{}
		for _, t := range traces {
			byID[t.ID] = t
		}
		complete := true
		for _, c := range calls {
			c.trace = cmp.Or(byID[c.result.TraceID], &trace{ID: c.result.TraceID})
			complete = complete && len(c.trace.Spans) >= strings.Count(c.kind.tree, "\n")
		}
		if complete {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil // what is missing is said call by call
		case <-time.After(250 * time.Millisecond):
		}
	}
}

// services wants exactly the fleet's services.
func (p *pass) services(ctx context.Context) error {
	var got []string
	if err := p.jaeger.get(ctx, "/api/services", nil, &got); err != nil {
		return err
	}
	slices.Sort(got)
	want := []string{"callfleet-producer", "callfleet-stepfunctions", "callfleet-worker"}
	if p.at.remote {
		want = slices.Delete(want, 1, 2)
	}
	if !slices.Equal(got, want) {
		return fmt.Errorf("jaeger has the services %q, want %q", got, want)
	}
	return nil
}
