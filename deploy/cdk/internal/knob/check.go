package knob

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Error is what is wrong with the knobs, one line for each.
type Error struct{ Problems []string }

func (e *Error) Error() string {
	return "wrong settings (cdk.json context or -c name=value):\n  " + strings.Join(e.Problems, "\n  ")
}

// problems collects mistakes, the first of each knob.
type problems struct {
	names []string
	list  []string
}

func (p *problems) add(name, format string, args ...any) {
	if slices.Contains(p.names, name) {
		return
	}
	p.names = append(p.names, name)
	p.list = append(p.list, name+": "+fmt.Sprintf(format, args...))
}

func (p *problems) err() error {
	if len(p.list) == 0 {
		return nil
	}
	slices.Sort(p.list)
	return &Error{p.list}
}

func (p *problems) match(name, value string, want *regexp.Regexp, what string) {
	if !want.MatchString(value) {
		p.add(name, "want %s, not %q", what, value)
	}
}

func (p *problems) within(name string, n, low, high int) {
	if n < low || n > high {
		p.add(name, "want %d to %d, not %d", low, high, n)
	}
}

func (p *problems) oneOf(name, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		p.add(name, "want one of %s, not %q", strings.Join(allowed, ", "), value)
	}
}

var (
	prefixForm  = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]{0,30}$`)
	tableForm   = regexp.MustCompile(`^[A-Za-z0-9_.-]{3,255}$`)
	machineForm = regexp.MustCompile(`^[A-Za-z0-9_-]{1,80}$`)
	imageForm   = regexp.MustCompile(`^$|^[a-z0-9.:/_-]+(:[A-Za-z0-9_.-]+|@sha256:[0-9a-f]{64})$`)
	vpcForm     = regexp.MustCompile(`^$|^vpc-[0-9a-f]{8,17}$`)
	subnetForm  = regexp.MustCompile(`^subnet-[0-9a-f]{8,17}$`)
	topicForm   = regexp.MustCompile(`^$|^arn:[a-z-]+:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]+$`)
	emailForm   = regexp.MustCompile(`^$|^[^@\s]+@[^@\s]+$`)
	egressForm  = regexp.MustCompile(`^[A-Za-z0-9.*:/\[\], _-]*$`)
	otlpForm    = regexp.MustCompile(`^$|^(https://)?[A-Za-z0-9.-]+:[0-9]{1,5}$`)
)

// RetentionDays are the numbers of days that CloudWatch Logs can keep lines.
var RetentionDays = []int{1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653}

func (k Knobs) check(p *problems) {
	p.match("prefix", k.Prefix, prefixForm, "a letter and at most 30 more letters, digits, - or _")
	p.match("table", k.Table, tableForm, "3 to 255 letters, digits, _, . or -")
	p.match("stateMachine", k.StateMachine, machineForm, "1 to 80 letters, digits, - or _")
	p.within("blobDays", k.BlobDays, 1, 3650)
	p.oneOf("architecture", k.Architecture, "x86_64", "arm64")
	p.match("workerImage", k.WorkerImage, imageForm, "REGISTRY/NAME:TAG or REGISTRY/NAME@sha256:…")
	p.match("producerImage", k.ProducerImage, imageForm, "REGISTRY/NAME:TAG or REGISTRY/NAME@sha256:…")
	p.match("collectorImage", k.CollectorImage, imageForm, "REGISTRY/NAME:TAG or REGISTRY/NAME@sha256:…")
	p.match("egressAllow", k.EgressAllow, egressForm, "HOST, *.DOMAIN, ADDRESS or NETWORK, each with an optional :PORT, separated by commas")
	p.match("egressDeny", k.EgressDeny, egressForm, "HOST, *.DOMAIN, ADDRESS or NETWORK, each with an optional :PORT, separated by commas")
	k.checkNetwork(p)
	k.checkTasks(p)
	k.checkTraces(p)
	if !slices.Contains(RetentionDays, k.LogRetentionDays) {
		p.add("logRetentionDays", "want one of %v, not %d", RetentionDays, k.LogRetentionDays)
	}
	p.oneOf("logLevel", k.LogLevel, "debug", "info", "warn", "error")
	p.oneOf("machineLog", k.MachineLog, "ALL", "ERROR", "FATAL", "OFF")
	p.match("alarmTopicArn", k.AlarmTopicARN, topicForm, "the ARN of an SNS topic")
	p.match("alarmEmail", k.AlarmEmail, emailForm, "an e-mail address")
	if k.AlarmEmail != "" && k.AlarmTopicARN != "" {
		p.add("alarmEmail", "not with alarmTopicArn: subscribe the address to that topic")
	}
	p.within("maxWaitSeconds", k.MaxWaitSeconds, 60, 345600)
	p.within("maxFailedPercent", k.MaxFailedPercent, 1, 100)
	if k.LambdaZip != "" {
		if info, err := os.Stat(k.LambdaZip); err != nil || info.IsDir() {
			p.add("lambdaZip", "no file %q: make it as deploy/README.md says", k.LambdaZip)
		}
	}
}

func (k Knobs) checkNetwork(p *problems) {
	p.match("vpcId", k.VpcID, vpcForm, "vpc-…")
	for _, id := range k.SubnetIDs {
		p.match("subnetIds", id, subnetForm, "subnet-…, separated by commas")
	}
	if k.VpcID == "" && len(k.SubnetIDs) > 0 {
		p.add("subnetIds", "only with vpcId")
	}
	if k.VpcID != "" && len(k.SubnetIDs) == 0 {
		p.add("subnetIds", "want the subnets of %s that the tasks run in", k.VpcID)
	}
	if k.VpcID != "" && k.PrivateEndpoints {
		p.add("privateEndpoints", "not with vpcId: endpoints belong to the stack that owns the VPC")
	}
	p.within("natGateways", k.NatGateways, 0, 2)
	if k.VpcID == "" && k.NatGateways == 0 && !k.PublicSubnets {
		p.add("natGateways", "want 1 or 2, or publicSubnets=true: workers must reach the APIs that they call")
	}
}

// memory is what Fargate has for a CPU: the least and the most MiB, and the step.
var memory = map[int]struct{ least, most, step int }{
	256: {512, 2048, 512}, 512: {1024, 4096, 1024}, 1024: {2048, 8192, 1024}, 2048: {4096, 16384, 1024},
	4096: {8192, 30720, 1024}, 8192: {16384, 61440, 4096}, 16384: {32768, 122880, 8192},
}

// size checks CPU and memory of one kind of task.
func (p *problems) size(kind string, cpu, mib int) {
	m, ok := memory[cpu]
	if !ok {
		p.add(kind+"Cpu", "want one of 256, 512, 1024, 2048, 4096, 8192, 16384, not %d", cpu)
		return
	}
	oddOne := cpu == 256 && mib == 1536 // the gap in the smallest size's steps
	if mib < m.least || mib > m.most || mib%m.step != 0 || oddOne {
		p.add(kind+"Memory", "want %d to %d in steps of %d with %sCpu=%d, not %d", m.least, m.most, m.step, kind, cpu, mib)
	}
}

func (k Knobs) checkTasks(p *problems) {
	p.size("worker", k.WorkerCPU, k.WorkerMemory)
	p.size("starter", k.StarterCPU, k.StarterMemory)
	p.within("workerSlots", k.WorkerSlots, 1, 100000)
	p.within("workerMax", k.WorkerMax, 1, 5000)
	p.within("workerMin", k.WorkerMin, 0, k.WorkerMax)
	p.within("workerSpotPercent", k.WorkerSpotPercent, 0, 100)
	p.within("backlogPerWorker", k.BacklogPerWorker, 0, 1000000)
	p.within("idleMinutes", k.IdleMinutes, 1, 1440)
	p.within("starterTasks", k.StarterTasks, 1, 10)
	p.within("startRate", k.StartRate, 0, 100000)
	p.within("reportRate", k.ReportRate, 0, 100000)
	if 0 < k.StartRate && k.StartRate < k.StarterTasks {
		p.add("startRate", "want at least 1 for each of %d starterTasks, not %d", k.StarterTasks, k.StartRate)
	}
	p.within("maxBacklog", k.MaxBacklog, 1, 1000000)
}

func (k Knobs) checkTraces(p *problems) {
	p.oneOf("traces", k.Traces, "xray", "otlp", "off")
	p.match("otlpEndpoint", k.OTLPEndpoint, otlpForm, "HOST:PORT or https://HOST:PORT")
	if k.Traces != "off" && k.CollectorImage == "" {
		p.add("collectorImage", "want an image, unless traces=off")
	}
	if k.Traces == "otlp" && k.OTLPEndpoint == "" {
		p.add("otlpEndpoint", "want HOST:PORT or https://HOST:PORT with traces=otlp")
	}
	if k.Traces != "otlp" && k.OTLPEndpoint != "" {
		p.add("otlpEndpoint", "only with traces=otlp")
	}
	if ratio, err := strconv.ParseFloat(k.TraceRatio, 64); err != nil || !(ratio >= 0 && ratio <= 1) {
		p.add("traceRatio", "want 0 to 1, not %q", k.TraceRatio)
	}
}

// nearest is ": do you mean NAME?" for a name that differs in little.
func nearest(name string, known map[string]bool) string {
	best, least := "", 4
	for k := range known {
		if d := distance(strings.ToLower(name), strings.ToLower(k)); d < least || d == least && k < best {
			best, least = k, d
		}
	}
	if best == "" {
		return ": deploy/README.md lists them"
	}
	return ": do you mean " + best + "?"
}

// distance is how many letters must change to make b of a (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// Backlog is the number of tasks per running worker that scaling aims at.
func (k Knobs) Backlog() int {
	if k.BacklogPerWorker > 0 {
		return k.BacklogPerWorker
	}
	return k.WorkerSlots
}
