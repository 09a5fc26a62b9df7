package deployed

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httputil"
	"net/url"
	"path"
	"slices"
	"strings"
	"sync"

	"callfleet/deploy/cdk/internal/cfn"
)

// Guard is a proxy in front of the emulator that lets through what a role of
// the template may do, and refuses the rest as AWS does. It knows SQS, DynamoDB,
// S3 and Step Functions; who one is (STS), everybody may ask.
type Guard struct {
	proxy      *httputil.ReverseProxy
	stack      *Stack
	statements []statement

	mu     sync.Mutex
	denied map[string]bool // guarded by mu
}

type statement struct {
	allows             bool
	actions, resources []string
}

// Guard stands for the role with a logical id that begins so: "WorkerRole".
func (s *Stack) Guard(role string, emulator *url.URL) (*Guard, error) {
	g := &Guard{proxy: httputil.NewSingleHostReverseProxy(emulator), stack: s, denied: make(map[string]bool)}
	g.proxy.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, _ error) { // a client that stops ends its long polls
		w.WriteHeader(http.StatusBadGateway)
	}
	attached := map[any]bool{}
	for _, r := range s.template.Of("AWS::IAM::Role") {
		if strings.HasPrefix(r.ID, role) {
			managed, _ := r.Properties["ManagedPolicyArns"].([]any)
			for _, m := range managed {
				attached[cfn.Get(m, "Ref")] = true
			}
		}
	}
	for _, r := range append(s.template.Of("AWS::IAM::Policy"), s.template.Of("AWS::IAM::ManagedPolicy")...) {
		holder, _ := cfn.Get(r.Properties, "Roles", 0, "Ref").(string)
		if attached[r.ID] || strings.HasPrefix(holder, role) {
			g.add(cfn.Get(r.Properties, "PolicyDocument", "Statement"))
		}
	}
	if len(g.statements) == 0 {
		return nil, fmt.Errorf("guard %s: the template has no permissions for it", role)
	}
	return g, nil
}

// add takes the statements whose resources the emulator has; those on tasks of
// ECS, as an example, it has not.
func (g *Guard) add(list any) {
	for _, s := range listOf(list) {
		st := statement{allows: cfn.Get(s, "Effect") == "Allow"}
		for _, action := range listOf(cfn.Get(s, "Action")) {
			st.actions = append(st.actions, cfn.Text(action))
		}
		for _, resource := range listOf(cfn.Get(s, "Resource")) {
			if arn, err := g.stack.values.String(resource); err == nil {
				st.resources = append(st.resources, arn)
			}
		}
		g.statements = append(g.statements, st)
	}
}

func listOf(v any) []any {
	if list, ok := v.([]any); ok {
		return list
	}
	return []any{v}
}

// Denied are the actions that were refused, with their resources.
func (g *Guard) Denied() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Sorted(maps.Keys(g.denied))
}

// ServeHTTP implements http.Handler.
func (g *Guard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	onS3 := strings.Contains(r.Header.Get("Authorization"), "/s3/aws4_request")
	action, resource := g.asks(r.Header.Get("X-Amz-Target"), body)
	if onS3 {
		action, resource = asksS3(r)
	}
	if action == "" || g.allows(action, resource) {
		g.proxy.ServeHTTP(w, r)
		return
	}
	g.mu.Lock()
	g.denied[action+" on "+resource] = true
	g.mu.Unlock()
	if onS3 {
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprintf(w, `<Error><Code>AccessDenied</Code><Message>not authorized to perform: %s on resource: %s</Message></Error>`, action, resource)
		return
	}
	w.Header().Set("Content-Type", r.Header.Get("Content-Type"))
	w.WriteHeader(http.StatusBadRequest)
	fmt.Fprintf(w, `{"__type":"AccessDeniedException","message":"not authorized to perform: %s on resource: %s"}`, action, resource)
}

// services are the prefixes of X-Amz-Target.
var services = map[string]string{"AmazonSQS": "sqs", "DynamoDB_20120810": "dynamodb", "AWSStepFunctions": "states"}

// asks is the action of a request and the ARN that it is on, "*" where AWS has
// no resource for it.
func (g *Guard) asks(target string, body []byte) (action, resource string) {
	prefix, operation, _ := strings.Cut(target, ".")
	service := services[prefix]
	if service == "" {
		return "", ""
	}
	var in struct {
		QueueURL        string `json:"QueueUrl"`
		QueueName       string
		TableName       string
		StateMachineARN string `json:"stateMachineArn"`
		ExecutionARN    string `json:"executionArn"`
	}
	if err := json.Unmarshal(body, &in); err != nil {
		return service + ":" + operation, "?"
	}
	account := g.stack.values["AWS::Region"] + ":" + g.stack.values["AWS::AccountId"] + ":"
	switch {
	case in.QueueURL != "":
		resource = "arn:aws:sqs:" + account + path.Base(in.QueueURL)
	case in.QueueName != "":
		resource = "arn:aws:sqs:" + account + in.QueueName
	case in.TableName != "":
		resource = "arn:aws:dynamodb:" + account + "table/" + in.TableName
	case in.StateMachineARN != "":
		resource = in.StateMachineARN
	case in.ExecutionARN != "":
		resource = in.ExecutionARN
	default:
		resource = "*"
	}
	return service + ":" + strings.TrimSuffix(operation, "Batch"), resource
}

// asksS3 is the same of a request to S3 whose path begins with the bucket.
func asksS3(r *http.Request) (action, resource string) {
	path := strings.TrimPrefix(r.URL.Path, "/")
	_, key, _ := strings.Cut(path, "/")
	query := r.URL.Query()
	switch {
	case r.Method == http.MethodPut || r.Method == http.MethodPost:
		action = "PutObject"
	case r.Method == http.MethodDelete && query.Has("uploadId"):
		action = "AbortMultipartUpload"
	case r.Method == http.MethodDelete:
		action = "DeleteObject"
	case key != "":
		action = "GetObject"
	case query.Has("lifecycle"):
		action = "GetLifecycleConfiguration"
	default:
		action = "ListBucket"
	}
	return "s3:" + action, "arn:aws:s3:::" + strings.TrimSuffix(path, "/")
}

func (g *Guard) allows(action, resource string) bool {
	allowed := false
	for _, s := range g.statements {
		if !slices.Contains(s.actions, action) || !slices.ContainsFunc(s.resources, func(p string) bool { return matches(p, resource) }) {
			continue
		}
		if !s.allows {
			return false
		}
		allowed = true
	}
	return allowed
}

// matches tells whether a resource is one of a pattern with stars.
func matches(pattern, resource string) bool {
	before, after, star := strings.Cut(pattern, "*")
	if !star {
		return pattern == resource
	}
	rest, ok := strings.CutPrefix(resource, before)
	for i := range len(rest) + 1 {
		if ok && matches(after, rest[i:]) {
			return true
		}
	}
	return false
}
