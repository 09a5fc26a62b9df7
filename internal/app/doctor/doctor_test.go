package doctor

import (
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"callfleet/internal/app/backend"
	"callfleet/internal/awstest"
	"callfleet/internal/evidence"
	"callfleet/internal/natsembed"
	"callfleet/internal/queue"
	"callfleet/internal/template/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const role = "arn:aws:iam::" + awstest.Account + ":role/callfleet"

var item = store.Item{Key: store.Key{Name: "a", Method: "GET"}, Attributes: []byte(`{"PK":{"S":"a"},"SK":{"S":"GET"},"url":{"S":"https://api.example/"}}`)}

// fleet is what a fleet has on AWS, all of it there.
type fleet struct {
	*backend.Backend
	proxy   *awstest.Proxy
	options backend.Options
}

func newFleet(t *testing.T) *fleet {
	t.Helper()
	f := &fleet{proxy: awstest.FaultProxy(t, awstest.Moto(t).URL)}
	cfg := f.proxy.Config()
	f.options = backend.Options{
		Queue: "sqs://" + awstest.Name("doctor"), Templates: "dynamodb://" + awstest.Name("templates"), Blobs: "s3://" + awstest.Name("blobs"),
		StepFunctions: "aws:", StateMachine: awstest.Name("call-api"), BatchMachine: awstest.Name("call-batch"), AWS: &cfg,
	}
	f.Backend = open(t, f.options)
	if _, err := f.Setup(t.Context(), backend.SetupOptions{Lease: time.Minute, Role: role}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Templates.Put(t.Context(), item, store.Always()); err != nil {
		t.Fatal(err)
	}
	return f
}

func open(t *testing.T, o backend.Options) *backend.Backend {
	t.Helper()
	o.Logger = evidence.Logger(t)
	b, err := backend.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

// defaults are the workers' clocks when nothing is set.
func defaults() Options {
	return Options{Heartbeat: time.Minute, Lease: 90 * time.Second, TaskTimeout: 15 * time.Minute}
}

// examine returns the report, a line each.
func examine(t *testing.T, b *backend.Backend, o Options) (worst Level, report string) {
	t.Helper()
	var lines []string
	o.Report = func(f Finding) { lines = append(lines, f.Level.String()+" "+f.Subject+": "+f.Text) }
	worst = Run(t.Context(), b, o)
	return worst, strings.Join(lines, "\n")
}

func wantReport(t *testing.T, level, want Level, report string, says ...string) {
	t.Helper()
	for _, text := range says {
		if !strings.Contains(report, text) {
			t.Errorf("the report does not say %q", text)
		}
	}
	if level != want {
		t.Errorf("the worst is %s, want %s", level, want)
	}
	if t.Failed() {
		t.Log(report)
	}
}

func TestAllIsWell(t *testing.T) {
	t.Parallel()
	worst, report := examine(t, newFleet(t).Backend, defaults())
	wantReport(t, worst, OK, report, "ok account: "+awstest.Account+" in us-east-1", "ok clock: ", "-requests: 0 waiting, 0 in flight, 0 delayed",
		"-tasks-dlq is empty", "ok large bodies: the bucket is there, and keeps them 7 days", "ok permission: these credentials may publish calls", "ok templates: 1, may be read", "is STANDARD and ACTIVE",
		"ok clocks: state CallApi: heartbeat 1m0s < lease 1m30s < task timeout 15m0s", "ok clocks: state CallAll: lease 1m30s < heartbeat 10m0s, task timeout by the batch's size",
		"may start executions", "may report tasks",
		"ok quota: StartExecution: paced at 300/s")
}

func TestWhatIsWrong(t *testing.T) {
	t.Parallel()
	twice, none := 600.0, 0.0
	for name, row := range map[string]struct {
		options func(*Options)
		fault   func(*fleet)
		want    Level
		says    []string
	}{
		"may not publish": {nil, func(f *fleet) { f.proxy.Set(awstest.Denied, "SendMessageBatch") }, Warn,
			[]string{"warn permission: these credentials may not publish calls: whoever does it needs sqs:SendMessage on the requests queue"}},
		"may not start": {nil, func(f *fleet) { f.proxy.Set(awstest.Denied, "StartExecution") }, Warn,
			[]string{"warn permission: these credentials may not start executions: whoever does it needs states:StartExecution"}},
		"may not look at queues": {nil, func(f *fleet) { f.proxy.Set(awstest.Denied, "GetQueueAttributes") }, Fail,
			[]string{"FAIL queue: ", "sqs:GetQueueAttributes", "is denied"}},
		"may not read the table": {nil, func(f *fleet) { f.proxy.Set(awstest.Denied, "DescribeTable") }, Fail, []string{"FAIL table: ", "dynamodb:DescribeTable"}},
		"credentials expired":    {nil, func(f *fleet) { f.proxy.Set(awstest.Expired) }, Fail, []string{"FAIL account: ", "expired"}},
		"clock ahead":            {nil, func(f *fleet) { f.proxy.Skew(-2 * time.Minute) }, Warn, []string{"warn clock: 2m", "off AWS's"}},
		"other heartbeat": {func(o *Options) { o.Heartbeat = 30 * time.Second }, nil, Fail,
			[]string{"FAIL clocks: state CallApi has HeartbeatSeconds 1m0s, the workers take it for 30s: set CALLFLEET_HEARTBEAT_TIMEOUT"}},
		"other timeout": {func(o *Options) { o.TaskTimeout = time.Hour }, nil, Fail, []string{"FAIL clocks: state CallApi has TimeoutSeconds 15m0s"}},
		"lease beyond a batch's heartbeat": {func(o *Options) { o.Lease = 10 * time.Minute }, nil, Fail,
			[]string{"FAIL clocks: state CallAll has HeartbeatSeconds 10m0s, which must be longer than the lease of 10m0s"}},
		"too fast": {func(o *Options) { o.StartRate, o.ReportRate = &twice, &none }, nil, Warn,
			[]string{"warn quota: StartExecution: paced at 600/s, and the default quota is 300/s", "warn quota: SendTaskSuccess, SendTaskFailure, SendTaskHeartbeat, each: not paced"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, o := newFleet(t), defaults()
			if row.options != nil {
				row.options(&o)
			}
			if row.fault != nil {
				row.fault(f)
			}
			worst, report := examine(t, f.Backend, o)
			wantReport(t, worst, row.want, report, row.says...)
		})
	}
}

// The bucket's rule is what removes bodies, whatever the setting says.
func TestBodiesExpireOtherwise(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.options.BlobExpiry = 30 * time.Hour
	worst, report := examine(t, open(t, f.options), defaults())
	wantReport(t, worst, Warn, report, "warn large bodies: ", "keeps bodies 7 days by its lifecycle rule, and CALLFLEET_BLOB_EXPIRY says 2")
}

func TestDeadLettersAreTold(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	c, err := f.Consumer(t.Context(), backend.Tasks)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	p, err := f.Publisher(t.Context(), backend.Tasks)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Publish(t.Context(), queue.Message{ID: "x", Body: []byte("no task")}); err != nil {
		t.Fatal(err)
	}
	ds, err := c.Receive(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := ds[0].Reject(t.Context(), "no task"); err != nil {
		t.Fatal(err)
	}
	worst, report := examine(t, f.Backend, defaults())
	wantReport(t, worst, Warn, report, "warn dead letters: ", "-tasks-dlq holds 1: each says why in its attribute callfleet-dead-letter-reason")
}

// Before anything is set up, each part that is missing is named with its way out.
func TestNothingIsThere(t *testing.T) {
	t.Parallel()
	cfg := awstest.Moto(t).Config()
	b := open(t, backend.Options{
		Queue: "sqs://" + awstest.Name("doctor"), Templates: "dynamodb://" + awstest.Name("templates"), Blobs: "s3://" + awstest.Name("blobs"),
		StepFunctions: "aws:", StateMachine: awstest.Name("call-api"), BatchMachine: awstest.Name("call-batch"), AWS: &cfg,
	})
	worst, report := examine(t, b, defaults())
	wantReport(t, worst, Fail, report, "FAIL queue: ", "-requests in us-east-1", "make it with \"producer setup\" or deploy/cdk", "FAIL table: ",
		"FAIL large bodies: blob bucket ", "FAIL state machine: ")
	if n := strings.Count(report, "producer setup"); n < 5 {
		t.Errorf("%d lines name the way out: want three queues, the table and the bucket\n%s", n, report)
	}
}

func TestOnNATS(t *testing.T) {
	t.Parallel()
	server, err := natsembed.Start(natsembed.Options{StoreDir: evidence.Dir(t), Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Shutdown)
	worst, report := examine(t, open(t, backend.Options{Queue: server.URL()}), defaults())
	wantReport(t, worst, Warn, report, "ok queue: requests: 0 waiting", "warn templates: there is none", "warn state machine: no Step Functions API is configured")
}

// A definition of batches that somebody has changed is told of.
func TestBatchClocks(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		state waiting
		want  string
	}{
		"as made":         {waiting{HeartbeatSeconds: 600, TimeoutSecondsPath: "$.t"}, "ok clocks: state X: lease 1m30s < heartbeat 10m0s"},
		"no heartbeat":    {waiting{TimeoutSecondsPath: "$.t"}, "FAIL clocks: state X has no HeartbeatSeconds"},
		"no timeout":      {waiting{HeartbeatSeconds: 600}, "FAIL clocks: state X has no HeartbeatSeconds or no TimeoutSecondsPath"},
		"as of one call":  {waiting{HeartbeatSeconds: 60, TimeoutSecondsPath: "$.t"}, "FAIL clocks: state X has HeartbeatSeconds 1m0s, which must be longer"},
		"equal the lease": {waiting{HeartbeatSeconds: 90, TimeoutSecondsPath: "$.t"}, "FAIL clocks: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got string
			o := defaults()
			o.Report = func(f Finding) { got = f.Level.String() + " " + f.Subject + ": " + f.Text }
			(&exam{options: o}).batchClocks("X", row.state)
			if !strings.HasPrefix(got, row.want) {
				t.Errorf("got %q, want %q", got, row.want)
			}
		})
	}
}
