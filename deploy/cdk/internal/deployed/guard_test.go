package deployed

import (
	"net/http/httptest"
	"strings"
	"testing"
)

func TestMatches(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		pattern, resource string
		want              bool
	}{
		{"arn:a", "arn:a", true}, {"arn:a", "arn:b", false}, {"arn:a", "arn:ab", false}, {"*", "arn:a", true},
		{"arn:calls-results-*", "arn:calls-results-1qm", true}, {"arn:calls-results-*", "arn:calls-results", false},
		{"arn:*:x", "arn:a:b:x", true}, {"arn:*:x", "arn:a:b:y", false},
	} {
		if got := matches(row.pattern, row.resource); got != row.want {
			t.Errorf("%s matches %s: %t", row.pattern, row.resource, got)
		}
	}
}

func TestWhatIsAskedOfS3(t *testing.T) {
	t.Parallel()
	for request, want := range map[string]string{
		"HEAD /b": "s3:ListBucket arn:aws:s3:::b", "GET /b?lifecycle": "s3:GetLifecycleConfiguration arn:aws:s3:::b",
		"GET /b/a/k": "s3:GetObject arn:aws:s3:::b/a/k", "PUT /b/a/k": "s3:PutObject arn:aws:s3:::b/a/k",
		"POST /b/a/k?uploads": "s3:PutObject arn:aws:s3:::b/a/k", "DELETE /b/a/k?uploadId=1": "s3:AbortMultipartUpload arn:aws:s3:::b/a/k",
		"DELETE /b/a/k": "s3:DeleteObject arn:aws:s3:::b/a/k",
	} {
		method, target, _ := strings.Cut(request, " ")
		if action, resource := asksS3(httptest.NewRequest(method, target, nil)); action+" "+resource != want {
			t.Errorf("%s asks for %s on %s, want %s", request, action, resource, want)
		}
	}
}

func TestGuardDenies(t *testing.T) {
	t.Parallel()
	g := &Guard{statements: []statement{
		{allows: true, actions: []string{"sqs:DeleteQueue"}, resources: []string{"arn:calls-results-*"}},
		{allows: false, actions: []string{"sqs:DeleteQueue"}, resources: []string{"arn:calls-results-dlq"}},
	}}
	for resource, want := range map[string]bool{"arn:calls-results-run": true, "arn:calls-results-dlq": false, "arn:calls-tasks": false} {
		if got := g.allows("sqs:DeleteQueue", resource); got != want {
			t.Errorf("delete %s: %t", resource, got)
		}
	}
	if g.allows("sqs:SendMessage", "arn:calls-results-run") {
		t.Error("an action that no statement has is allowed")
	}
}
