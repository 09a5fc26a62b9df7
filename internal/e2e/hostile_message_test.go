package e2e

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"callfleet/internal/app/backend"
	"callfleet/internal/queue"
)

// A message that nobody can read ends on the dead-letter queue, unchanged and
// with the reason, and those around it are worked on.
func TestHostileMessages(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	s.wantNothingLeft(t, backend.Requests, backend.Tasks)
	good := s.put(t, map[string]any{"name": "good", "method": "GET", "url": serve(t, answer)})
	deep := strings.Repeat("[", 200_000) + strings.Repeat("]", 200_000)
	for name, tc := range map[string]struct{ queue, body, reason string }{
		"requests empty":                  {backend.Requests, "", "empty"},
		"requests no JSON":                {backend.Requests, "no JSON at all", "decode request: "},
		"requests binary":                 {backend.Requests, "\x00\xff\xfe\x01\r\n", "decode request: "},
		"requests half":                   {backend.Requests, `{"id":"x-1","templateName":"good"`, "decode request: "},
		"requests twice":                  {backend.Requests, `{}{}`, "decode request: "},
		"requests an array":               {backend.Requests, `[]`, "object"},
		"requests null":                   {backend.Requests, `null`, "object"},
		"requests without a name":         {backend.Requests, `{"id":"x-2","method":"GET"}`, "templateName: is missing"},
		"requests without an id":          {backend.Requests, `{"templateName":"good","method":"GET"}`, "id"},
		"requests with a number as name":  {backend.Requests, `{"id":"x-3","templateName":7,"method":"GET"}`, "templateName"},
		"requests with a text as params":  {backend.Requests, `{"id":"x-4","templateName":"good","method":"GET","params":"p"}`, "params"},
		"requests with an id that climbs": {backend.Requests, `{"id":"../../x","templateName":"good","method":"GET"}`, "id: may hold"},
		"requests with a bad trace":       {backend.Requests, `{"id":"x-5","templateName":"good","method":"GET","trace":7}`, "trace"},
		"requests with a bad deadline":    {backend.Requests, `{"id":"x-6","templateName":"good","method":"GET","deadline":"soon"}`, "deadline"},
		"requests too deep":               {backend.Requests, deep, "decode request: "},
		"requests of 1 MiB":               {backend.Requests, strings.Repeat("x", 1<<20), "decode request: "},
		"requests of 2 MiB":               {backend.Requests, strings.Repeat("x", 2<<20), "at most 1048576 are allowed"},
		"tasks empty":                     {backend.Tasks, "", "empty"},
		"tasks no JSON":                   {backend.Tasks, "no JSON at all", "decode task: "},
		"tasks binary":                    {backend.Tasks, "\x00\xff\xfe\x01\r\n", "decode task: "},
		"tasks null":                      {backend.Tasks, `null`, "object"},
		"tasks without a template":        {backend.Tasks, `{"id":"x-1","params":{}}`, "template: is missing"},
		"tasks with a text as template":   {backend.Tasks, `{"id":"x-1","template":"good"}`, "template"},
		"tasks with nobody to report to":  {backend.Tasks, `{"template":{},"params":{}}`, "nowhere to report to"},
		"tasks with a number as token":    {backend.Tasks, `{"taskToken":7,"template":{}}`, "taskToken"},
		"tasks with a bad timeout":        {backend.Tasks, `{"id":"x-1","template":{},"timeoutSeconds":-1}`, "timeoutSeconds"},
		"tasks too deep":                  {backend.Tasks, `{"id":"x-1","template":` + deep + `}`, "decode task: "},
		"tasks of 1 MiB":                  {backend.Tasks, strings.Repeat("x", 1<<20), "decode task: "},
		"tasks of 2 MiB":                  {backend.Tasks, strings.Repeat("x", 2<<20), "at most 1048576 are allowed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			id := "hostile-" + strings.ReplaceAll(name, " ", "-")
			p, err := s.producer.Publisher(t.Context(), tc.queue)
			if err != nil {
				t.Fatal(err)
			}
			want := queue.Message{ID: id, Group: "a group", Body: []byte(tc.body), Headers: map[string]string{"key": "value"}}
			if err := p.Publish(t.Context(), want); err != nil {
				t.Fatal(err)
			}
			got := s.deadLetter(t, tc.queue, id)
			if !bytes.Equal(got.Body, want.Body) || got.ID != id || got.Group != want.Group || got.Headers["key"] != "value" {
				t.Errorf("the message changed: %d bytes, id %q, group %q, headers %v", len(got.Body), got.ID, got.Group, got.Headers)
			}
			reason := got.Headers[queue.DeadLetterReason]
			if !strings.Contains(reason, tc.reason) || len(reason) > 1100 || strings.ContainsAny(reason, "\r\n\x00") {
				t.Errorf("reason is %q, want a line with %q", reason, tc.reason)
			}
			for _, mode := range modes {
				wantOK(t, s.run(t, mode, line{good, nil})[0])
			}
		})
	}
}

// What is no outcome on the results feed goes to the feed's dead-letter queue,
// and the run that it came to ends with its own results.
func TestHostileOutcomes(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	good := s.put(t, map[string]any{"name": "good", "method": "GET", "url": serve(t, answer)})
	p, err := s.producer.PublishResults(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	event := `{"detail-type":"Step Functions Execution Status Change","source":"callfleet","detail":%s}`
	for _, mode := range modes {
		run := "garbled" + mode
		feed, err := s.producer.ConsumeResults(t.Context(), run)
		if err != nil {
			t.Fatal(err)
		}
		if err := feed.Close(); err != nil { // from now on the feed keeps what comes for the run
			t.Fatal(err)
		}
		garbage := map[string]string{
			"no JSON":            "no JSON at all",
			"empty":              "",
			"null":               "null",
			"another event":      `{"detail-type":"EC2 Instance State-change Notification","source":"aws.ec2","detail":{}}`,
			"no name":            fmt.Sprintf(event, `{"status":"SUCCEEDED"}`),
			"an unknown status":  fmt.Sprintf(event, `{"name":"`+run+`-1","status":"GREAT"}`),
			"a number as status": fmt.Sprintf(event, `{"name":"`+run+`-1","status":7}`),
			"too deep":           strings.Repeat("[", 200_000) + strings.Repeat("]", 200_000),
		}
		for name, body := range garbage {
			if err := p.Publish(t.Context(), queue.Message{ID: run + "-" + name, Group: run + "-1", Body: []byte(body)}); err != nil {
				t.Fatal(err)
			}
		}
		// An outcome of a call that nobody asked for is no mistake, and no result.
		stray := fmt.Sprintf(event, `{"name":"`+run+`-77","status":"SUCCEEDED","startDate":1,"stopDate":2,"output":"{}"}`)
		if err := p.Publish(t.Context(), queue.Message{ID: run + "-77", Group: run + "-77", Body: []byte(stray)}); err != nil {
			t.Fatal(err)
		}
		for _, r := range s.runAs(t, run, mode, line{good, nil}, line{good, nil}) {
			wantOK(t, r)
		}
		for name, body := range garbage {
			got := s.deadLetter(t, backend.Results, run+"-"+name)
			if string(got.Body) != body || !strings.Contains(got.Headers[queue.DeadLetterReason], "decode outcome: ") {
				t.Errorf("%s: %d bytes with the reason %q, want them unchanged and why", name, len(got.Body), got.Headers[queue.DeadLetterReason])
			}
		}
	}
}

// graveyard keeps the dead letters that were received, for tests that look for
// theirs at the same time.
type graveyard struct {
	mu    sync.Mutex
	found map[string]*queue.Delivery // guarded by mu; by queue and id
}

// deadLetter waits for the dead letter of that id, and takes it.
func (s *stack) deadLetter(t *testing.T, name, id string) *queue.Delivery {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	dead, err := s.producer.Consumer(ctx, name+"-dlq")
	if err != nil {
		t.Fatal(err)
	}
	defer dead.Close()
	for {
		d, err := s.dead.next(ctx, dead, name, id)
		if err != nil {
			t.Fatalf("wait for the dead letter %s: %v", id, err)
		}
		if d != nil {
			return d
		}
	}
}

// next returns the dead letter if it was found, or receives one more.
func (g *graveyard) next(ctx context.Context, dead queue.Consumer, name, id string) (*queue.Delivery, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if d := g.found[name+" "+id]; d != nil {
		return d, nil
	}
	ds, err := dead.Receive(ctx, 1)
	if err != nil {
		return nil, err
	}
	if g.found == nil {
		g.found = map[string]*queue.Delivery{}
	}
	g.found[name+" "+ds[0].ID] = ds[0]
	return nil, ds[0].Ack(ctx)
}
