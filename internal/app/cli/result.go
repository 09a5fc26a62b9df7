package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"callfleet/internal/app/backend"
	"callfleet/internal/call"
	"callfleet/internal/producer/journal"
	"callfleet/internal/stepfn"
)

// resultGet is "producer result get".
func (c *cli) resultGet(ctx context.Context) (int, error) {
	o := c.cfg.Result.Get
	return c.with(ctx, embedding{}, plain(func(ctx context.Context, b *backend.Backend) error {
		answer, err := c.findAnswer(ctx, b, o.ID)
		if err != nil {
			return err
		}
		body, err := c.openBody(ctx, b, answer)
		if err != nil {
			return fmt.Errorf("result get: %w", err)
		}
		defer body.Close()
		if o.Out != "" {
			return saveWhole(o.Out, body)
		}
		return c.printWhole(body)
	}))
}

// findAnswer reads a reference, or looks for the answer of a request: as the
// output of its execution, then in the results.
func (c *cli) findAnswer(ctx context.Context, b *backend.Backend, id string) (call.Result, error) {
	if strings.HasPrefix(strings.TrimSpace(id), "{") {
		return parseReference(id)
	}
	if b.Executions != nil {
		e, err := b.Executions.Describe(ctx, id)
		switch {
		case err == nil && len(e.Output) > 0:
			return parseAnswer(id, e.Output)
		case err == nil && e.Status.Ended():
			return call.Result{}, fmt.Errorf("call %s has no answer: it %s with %s: %s", id, e.Status, e.Error, e.Cause)
		case err == nil:
			return call.Result{}, fmt.Errorf("call %s has no answer yet", id)
		case !errors.Is(err, stepfn.ErrNotFound):
			return call.Result{}, c.explain(err)
		}
	}
	return findResult(c.cfg.Result.Get.Results, id)
}

func parseReference(text string) (call.Result, error) {
	var r struct {
		call.BlobRef
		Ref     *call.BlobRef `json:"$ref"`
		BodyRef *call.BlobRef `json:"bodyRef"`
	}
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		return call.Result{}, fmt.Errorf("read reference: %w", err)
	}
	for _, inner := range []*call.BlobRef{r.Ref, r.BodyRef} {
		if inner != nil {
			r.BlobRef = *inner
		}
	}
	return call.Result{BodyRef: &r.BlobRef}, nil
}

func parseAnswer(id string, output json.RawMessage) (call.Result, error) {
	var r call.Result
	if err := json.Unmarshal(output, &r); err != nil {
		return r, fmt.Errorf("the output of call %s is no answer of an API: %w", id, err)
	}
	if r.BodyRef == nil && r.Body == nil {
		return r, fmt.Errorf("the output of call %s has no body", id)
	}
	return r, nil
}

// findResult looks through a results file, where a call of a direct run is.
func findResult(file, id string) (call.Result, error) {
	f, err := os.Open(file)
	if err != nil {
		return call.Result{}, fmt.Errorf("there is no execution %s, and no results to look in (--results says where): %w", id, err)
	}
	defer f.Close()
	lines := bufio.NewReader(f)
	for {
		text, err := lines.ReadBytes('\n')
		var r journal.Result
		if bytes.Contains(text, []byte(id)) && json.Unmarshal(text, &r) == nil && r.ID == id {
			if len(r.Output) == 0 {
				return call.Result{}, fmt.Errorf("call %s has no answer: %s: %s", id, r.Error, r.Cause)
			}
			return parseAnswer(id, r.Output)
		}
		if errors.Is(err, io.EOF) {
			return call.Result{}, fmt.Errorf("there is no execution %s, and %s has no result of it", id, file)
		}
		if err != nil {
			return call.Result{}, fmt.Errorf("read results: %w", err)
		}
	}
}

// openBody is the body as the API sent it.
func (c *cli) openBody(ctx context.Context, b *backend.Backend, r call.Result) (io.ReadCloser, error) {
	if r.BodyRef != nil {
		return c.claims(b).Open(ctx, *r.BodyRef)
	}
	data := []byte(r.Body)
	if r.Body[0] == '"' {
		var text string
		if err := json.Unmarshal(r.Body, &text); err != nil {
			return nil, err
		}
		data = []byte(text)
	}
	if r.BodyEncoding == "base64" {
		var err error
		if data, err = base64.StdEncoding.DecodeString(string(data)); err != nil {
			return nil, err
		}
	}
	return io.NopCloser(bytes.NewReader(data)), nil
}

// saveWhole writes a file once all of it is there and right.
func saveWhole(name string, body io.Reader) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".result-*")
	if err != nil {
		return fmt.Errorf("result get: %w", err)
	}
	defer os.Remove(f.Name()) // it is gone when all went well
	_, err = io.Copy(f, body)
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return fmt.Errorf("result get: write %s: %w", name, err)
	}
	return nil
}

// printWhole writes to standard output what has come whole and is right.
func (c *cli) printWhole(body io.Reader) error {
	f, err := os.CreateTemp("", "callfleet-result-*")
	if err != nil {
		return fmt.Errorf("result get: %w", err)
	}
	defer os.Remove(f.Name())
	defer f.Close()
	if _, err = io.Copy(f, body); err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err == nil {
		_, err = io.Copy(c.std.Out, f)
	}
	if err != nil {
		return fmt.Errorf("result get: %w", err)
	}
	return nil
}
