package e2e

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"callfleet/internal/app/backend"
	"callfleet/internal/queue"
)

// A message that nobody can read ends on the dead-letter queue, unchanged and
// with the reason, and those around it are worked on.
func TestHostileMessages(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
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

// deadLetter waits for the dead letter of that id, and leaves the others for
// those who wait for them.
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
		ds, err := dead.Receive(ctx, 1)
		if err != nil {
			t.Fatalf("wait for the dead letter %s: %v", id, err)
		}
		if ds[0].ID == id {
			if err := ds[0].Ack(ctx); err != nil {
				t.Errorf("take the dead letter %s: %v", id, err)
			}
			return ds[0]
		}
		if err := ds[0].Retry(ctx, 0); err != nil {
			t.Errorf("leave the dead letter %s: %v", ds[0].ID, err)
		}
	}
}
