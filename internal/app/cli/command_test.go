package cli

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"callfleet/internal/app/cli/show"
	"callfleet/internal/call"
	"callfleet/internal/evidence"
	"callfleet/internal/natsembed"
	"callfleet/internal/secret/secrettest"
	"callfleet/internal/stepfn"
)

func TestCallWaitsWhenEmbedded(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.template(t)
	b.producer(t, "call", "item", "GET", "-p", "n=7").want(t, 0, `"status": "SUCCEEDED"`, `"path": "/items/7"`)
	b.producer(t, "call", "item", "GET", "-p", "n=7", "-p", "status:=404").want(t, 1, `"status": "FAILED"`, `"Callfleet.StatusCode.404"`)
	b.producer(t, "call", "other", "GET", "--wait").want(t, 1, "Callfleet.TemplateNotFound", "producer template put")
	b.producer(t, "call", "item", "GET", "--timeout", "10s").want(t, 1, "Callfleet.RenderFailed", "n is not in params")
}

func TestCallTimesOut(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.template(t)
	release := b.api.hold()
	defer release()
	b.producer(t, "call", "item", "GET", "-p", "n=1", "--timeout", "100ms").want(t, 1, "no outcome yet", `"status": "RUNNING"`)
}

func TestTemplateCommands(t *testing.T) {
	t.Parallel()
	b := setup(t)
	dir := t.TempDir()
	for name, text := range map[string]string{
		"get-user.GET.json": `{"name":"get-user","method":"GET","url":"https://api.example/users/{{ id }}"}`,
		"order.POST.json":   `{"name":"order","method":"POST","url":"https://api.example/orders","headers":{"X-Shop":"{{ shop }}"},"payload":{"sku":"{{ sku }}"}}`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var all strings.Builder
	for _, args := range []string{
		"template put " + dir, "template ls", "template get order POST", "template render order POST -p shop=a -p sku=x\"y",
		"template render get-user GET", "template rm get-user GET", "template rm get-user GET", "template ls",
	} {
		e := b.producer(t, strings.Fields(args)...)
		all.WriteString("$ producer " + strings.ReplaceAll(args, dir, "DIR") + "\n" + e.out + e.errors)
	}
	golden(t, "template.golden", all.String())
}

func TestFlowCommands(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var all strings.Builder
	for _, args := range []string{
		"flow ls", "flow set api.example.com --rate 50/s --concurrency 8", "flow set llm:443 --rate 1000/15m --backlog 100",
		"flow pause api.example.com", "flow ls", "flow resume api.example.com", "flow set api.example.com --rate 0", "flow ls",
		"flow set api.example.com", "flow set api.example.com --rate fast", "flow pause a\u00e9",
	} {
		e := b.producer(t, strings.Fields(args)...)
		all.WriteString("$ producer " + args + "\n" + e.out + e.errors)
	}
	golden(t, "flow.golden", all.String())
}

func TestTemplateVersions(t *testing.T) {
	t.Parallel()
	b := setup(t)
	file := filepath.Join(b.dir, "item.GET.json")
	var all strings.Builder
	run := func(args ...string) ended {
		e := b.producer(t, append([]string{"template"}, args...)...)
		text := strings.NewReplacer(file, "item.GET.json", b.api.URL, "http://api").Replace(e.out + e.errors)
		all.WriteString("$ producer template " + strings.ReplaceAll(strings.Join(args, " "), file, "item.GET.json") + "\n")
		all.WriteString(regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`).ReplaceAllString(text, "2026-03-01T12:00:00Z"))
		return e
	}
	put := func(url string, args ...string) {
		b.file(t, "item.GET.json", `{"name":"item","method":"GET","url":"https://h/`+url+`/{{ n }}","headers":{"X":"1"},"timeoutSeconds":5}`)
		run(append([]string{"put", file}, args...)...)
	}
	put("one", "--by", "ann")
	put("one")
	put("two", "--by", "bob", "-m", "the API moved")
	put("three")
	for _, args := range []string{
		"history item GET", "history item --json", "get item GET --version 2", "render item GET --version 1 -p n=7", "diff item GET", "diff item GET 1",
		"diff item GET 1 2", "diff item GET 2 2", "get item GET --version 9", "rollback item GET 2 -m three_was_bad --by ann", "rollback item GET 2",
		"rollback item GET 9", "rm item GET", "ls", "get item GET", "rm item GET", "history item", "rollback item GET 1", "rm item GET --purge", "history item",
		"rm item GET --purge", "history item get", "rollback item GET 0", "get item GET --version=-1",
	} {
		run(strings.Fields(args)...)
	}
	golden(t, "versions.golden", all.String())
}

// A pinned version is called through the state machine, by a single call, by a
// call file and without an execution.
func TestCallsPinVersions(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, path := range []string{"one", "two"} {
		text := `{"name":"item","method":"GET","url":"` + b.api.URL + `/` + path + `/{{ n }}"}`
		b.producer(t, "template", "put", b.file(t, "item.GET.json", text)).want(t, 0, "put item GET: version ")
	}
	b.producer(t, "call", "item", "GET", "-p", "n=7").want(t, 0, `"path": "/two/7"`)
	b.producer(t, "call", "item", "GET", "-p", "n=7", "--template-version", "1").want(t, 0, `"path": "/one/7"`)
	b.producer(t, "call", "item", "GET", "-p", "n=7", "--template-version", "3").want(t, 1,
		"Callfleet.TemplateNotFound", "template item GET has no version 3, only 1 to 2", "producer template history")
	calls := b.file(t, "calls.jsonl", `{"templateName":"item","method":"GET","templateVersion":1,"params":{"n":1},"id":"a"}
{"templateName":"item","method":"GET@1","params":{"n":2},"id":"b"}
{"templateName":"item","method":"GET","params":{"n":3},"id":"c"}
{"templateName":"item","method":"GET","templateVersion":"5","params":{"n":4},"id":"d"}
`)
	for _, mode := range []string{"", "--direct"} {
		out := filepath.Join(b.dir, "out"+mode+".jsonl")
		b.producer(t, strings.Fields("run "+calls+" --results "+out+" "+mode+" --run r"+strings.TrimLeft(mode, "-"))...).want(t, 1)
		text, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{`/one/1`, `/one/2`, `/two/3`, "has no version 5, only 1 to 2"} {
			if strings.Count(string(text), want) != 1 {
				t.Errorf("%s: %s is there %d times:\n%s", mode, want, strings.Count(string(text), want), text)
			}
		}
	}
	b.producer(t, "template", "rm", "item", "GET").want(t, 0)
	b.producer(t, "call", "item", "GET", "-p", "n=7", "--template-version", "2").want(t, 0, `"path": "/two/7"`)
}

func TestTemplatePutChecksAllBeforeItStoresOne(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.file(t, "a.json", `{"name":"a","method":"GET","url":"https://api.example/{{ x"}`)
	b.file(t, "b.json", `{"name":"b","method":"get","url":""}`)
	b.file(t, "c.json", `{"name":"c","method":"GET","url":"https://api.example/"}`)
	b.producer(t, "template", "put", b.dir).want(t, 2, "a.json: ", "b.json: ")
	if e := b.producer(t, "template", "ls"); strings.Contains(e.out, "api.example") {
		t.Errorf("a template was stored beside bad ones:\n%s", e.out)
	}
}

func TestExecutionCommands(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.template(t)
	b.producerWith(t, t.Context(), strings.NewReader(lines(2)), "run", "-", "--run", "r", "--results", filepath.Join(b.dir, "r.jsonl")).want(t, 0)
	b.producer(t, "execution", "ls").want(t, 0, "ID   STATUS     STARTED", "r-1  SUCCEEDED", "r-2  SUCCEEDED")
	if e := b.producer(t, "execution", "ls", "--limit", "1"); strings.Count(e.out, "\n") != 2 {
		t.Errorf("limit 1 lists\n%s", e.out)
	}
	if e := b.producer(t, "execution", "ls", "--status", "failed"); strings.Count(e.out, "\n") != 1 {
		t.Errorf("failed are\n%s", e.out)
	}
	b.producer(t, "execution", "show", "r-1").want(t, 0, "status     SUCCEEDED", `"path": "/items/1"`, "ExecutionSucceeded")
	if e := b.producer(t, "execution", "show", "r-1"); strings.Contains(e.out, "taskToken") {
		t.Errorf("the task token is shown:\n%s", e.out)
	}
	b.producer(t, "execution", "stop", "r-1").want(t, 0, "r-1 had ended before: SUCCEEDED")
	for _, command := range []string{"show", "stop"} {
		b.producer(t, "execution", command, "r-9").want(t, 1, `there is no execution r-9; "producer execution ls" lists what there is`)
	}
}

func TestExecutionTable(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	input := []byte(`{"templateName": "a"}`)
	var b buffer
	err := show.Execution(&b, stepfn.Execution{
		ARN: "arn:aws:states:us-east-1:000000000000:execution:call-api:r-1", Status: call.StatusFailed, Started: start, Stopped: at(1234),
		Error: "Callfleet.Timeout", Cause: "no answer", Input: input, Output: []byte(`{"text":"` + strings.Repeat("x", 130) + `"}`),
	}, []stepfn.Event{
		{ID: 1, Time: at(0), Type: "ExecutionStarted", Input: input},
		{ID: 2, Time: at(1), Type: "TaskStateEntered", State: "Call", Input: input},
		{ID: 3, Previous: 2, Time: at(1), Type: "TaskScheduled", Resource: "sendMessage.waitForTaskToken", Parameters: []byte(`{"taskToken":"secret"}`)},
		{ID: 4, Previous: 3, Time: at(2), Type: "TaskSubmitted", Resource: "sendMessage.waitForTaskToken", Output: []byte(`{"MessageId":"m"}`)},
		{ID: 5, Previous: 4, Time: at(1233), Type: "TaskFailed", Error: "Callfleet.Timeout", Cause: "two\nlines"},
		{ID: 6, Previous: 5, Time: at(1234), Type: "ExecutionFailed", Error: "Callfleet.Timeout", Cause: "no answer"},
	})
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "execution.golden", b.String())
}

func TestLint(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.producer(t, "lint", "../../../statemachine", "../../../examples/quickstart/templates").want(t, 0,
		"call-api.asl.json: ok (state machine; ${TasksQueueUrl}, ${TemplatesTable} get their values when it is deployed)",
		"tutorial.asl.json: ok (state machine)\n", "create-order.POST.json: ok (template)\n")
	b.producer(t, "lint", b.file(t, "e.json", `{"name":"e","method":"GET","url":"https://h/{{ x }}"}`)).want(t, 0,
		"e.json: ok (template; nothing was rendered, for it has no example)\n")
	bad := b.file(t, "bad.asl.json", `{"StartAt":"A","States":{"A":{"Type":"Pass","Next":"B"},"C":{"Type":"Odd"}}}`)
	e := b.producer(t, "lint", bad, "nope.json", b.file(t, "t.json", `{"name":"t","method":"GET","url":"{{ x"}`))
	e.want(t, 1, "bad.asl.json: ", "nope.json: there is no such file", "t.json: ")
	if n := strings.Count(e.out, "bad.asl.json: "); n < 2 {
		t.Errorf("%d findings in a definition with two mistakes:\n%s", n, e.out)
	}
}

func TestDirectoryOfAnotherProcess(t *testing.T) {
	t.Parallel()
	b := setup(t)
	server, err := natsembed.Start(natsembed.Options{StoreDir: filepath.Join(b.dir, "data")})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Shutdown()
	e := b.producer(t, "template", "ls")
	e.want(t, 1, "store directory in use", "stop that process or choose another directory (--data sets the directory)")
	if strings.Contains(e.errors, "service ") {
		t.Errorf("the error names a service of ours:\n%s", e.errors)
	}
}

func TestDirectoryThatCannotBeMade(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.file(t, "data", "a file")
	b.producer(t, "template", "ls").want(t, 1, "not a directory (--data sets the directory)")
}

func TestServersThatDoNotAnswer(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.producer(t, "template", "ls", "--queue", "nats://me:"+secrettest.Value(t, "password of the broker")+"@127.0.0.1:1").want(t, 1,
		"connect to the broker nats://me:xxxxx@127.0.0.1:1", `start one with "stepfunctions"`, "CALLFLEET_QUEUE")
	server, err := natsembed.Start(natsembed.Options{StoreDir: evidence.Dir(t), Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Shutdown()
	b.producer(t, "execution", "ls", "--queue", server.URL(), "--stepfunctions", "http://127.0.0.1:1").want(t, 1,
		"no Step Functions API answers at http://127.0.0.1:1", `start one with "stepfunctions"`, "CALLFLEET_STEPFUNCTIONS")
}
