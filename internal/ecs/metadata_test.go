package ecs

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.40.0"

	"callfleet/internal/ecs/ecstest"
)

func TestOutsideECSThereIsNoTask(t *testing.T) {
	t.Parallel()
	if e := FromEnv(getenv(nil)); e != nil {
		t.Errorf("got %+v", e)
	}
}

// The keys and values are those of OpenTelemetry's conventions.
func TestAttributes(t *testing.T) {
	t.Parallel()
	agent := ecstest.New()
	m, err := FromEnv(getenv(agent.Serve(t))).Metadata(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if m.Service != "worker" || m.Limits != (Limits{CPU: 0.25, Memory: 512}) {
		t.Errorf("got %+v", m)
	}
	want := map[string]string{}
	container := "arn:aws:ecs:us-west-2:111122223333:container/fleet/" + ecstest.TaskID + "/cd189a93-3e58-49da-a933-86466019ab50"
	for _, kv := range []attribute.KeyValue{
		semconv.CloudProviderAWS, semconv.CloudPlatformAWSECS, semconv.CloudRegion("us-west-2"), semconv.CloudAccountID("111122223333"),
		semconv.CloudAvailabilityZone("us-west-2d"), semconv.CloudResourceID(container),
		semconv.AWSECSTaskARN(ecstest.TaskARN), semconv.AWSECSTaskID(ecstest.TaskID), semconv.AWSECSTaskFamily("callfleet-worker"),
		semconv.AWSECSTaskRevision("26"), semconv.AWSECSClusterARN(ecstest.Cluster), semconv.AWSECSContainerARN(container), semconv.AWSECSLaunchtypeFargate,
		semconv.ContainerID(ecstest.TaskID + "-2495160603"), semconv.ContainerName("worker"),
		semconv.ContainerImageID("sha256:25f3695bedfb454a50f12d127839a68ad3caf91e451c1da073db34c542c4d2cb"),
		semconv.ContainerImageName("111122223333.dkr.ecr.us-west-2.amazonaws.com/callfleet-worker"),
		semconv.ServiceInstanceID(ecstest.TaskID),
	} {
		want[string(kv.Key)] = kv.Value.AsString()
	}
	if got := m.Attributes(); !maps.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

// The agent may be late at the start of a task.
func TestMetadataIsTriedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		agent := ecstest.New()
		agent.FailMetadata(500, 503, 404)
		began := time.Now()
		m, err := inBubble(agent).Metadata(t.Context())
		if err != nil || m.TaskID() != ecstest.TaskID || m.Container.Name != "worker" {
			t.Errorf("got %+v, %v", m, err)
		}
		if took := time.Since(began); took > 700*time.Millisecond || agent.Asked() != 5 {
			t.Errorf("took %s and %d requests", took, agent.Asked())
		}
	})
}

// An agent that does not answer costs a start few seconds, and the error says
// where it was asked.
func TestMetadataDoesNotHoldUpAStart(t *testing.T) {
	t.Parallel()
	mute := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	for name, h := range map[string]http.Handler{"mute": mute, "not found": http.NotFoundHandler()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				m, err := inBubble(h).Metadata(t.Context())
				if err == nil || !strings.Contains(err.Error(), "http://agent/v4/"+ecstest.TaskID+"/task") {
					t.Errorf("error = %v", err)
				}
				if took := time.Since(began); took > metadataTimeout {
					t.Errorf("took %s", took)
				}
				if len(m.Attributes()) != 2 {
					t.Errorf("attributes %v, want the provider and the platform", m.Attributes())
				}
			})
		})
	}
}

// What one document lacks the other may have.
func TestMetadataOfTheContainerAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		agent := ecstest.New()
		m, err := inBubble(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/task") {
				http.NotFound(w, r)
				return
			}
			agent.ServeHTTP(w, r)
		})).Metadata(t.Context())
		if err == nil || m.TaskID() != ecstest.TaskID || m.Family != "callfleet-worker" || m.Revision != "26" || m.Cluster != ecstest.Cluster {
			t.Errorf("got %+v, %v", m, err)
		}
	})
}

// Agents on EC2 may name the cluster without its ARN, and know no zone.
func TestClusterByName(t *testing.T) {
	t.Parallel()
	agent := ecstest.New()
	agent.SetTask(map[string]any{"Cluster": "fleet", "AvailabilityZone": nil, "LaunchType": "EC2"})
	m, err := FromEnv(getenv(agent.Serve(t))).Metadata(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got := m.Attributes()
	if _, zone := got["cloud.availability_zone"]; got["aws.ecs.cluster.arn"] != ecstest.Cluster || got["aws.ecs.launchtype"] != "ec2" || zone {
		t.Errorf("got %v", got)
	}
}

func TestMetadataErrors(t *testing.T) {
	t.Parallel()
	if _, err := FromEnv(getenv(map[string]string{agentVariable: "http://agent"})).Metadata(t.Context()); err == nil || !strings.Contains(err.Error(), metadataVariable+" is not set") {
		t.Errorf("error = %v", err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("{")) }))
	defer server.Close()
	if err := FromEnv(getenv(ecstest.Environment(server.URL))).readOnce(t.Context(), server.URL, &taskDocument{}); err == nil || !strings.Contains(err.Error(), "unexpected EOF") {
		t.Errorf("error = %v", err)
	}
}

func TestImageName(t *testing.T) {
	t.Parallel()
	for image, want := range map[string]string{
		"": "", "worker": "worker", "worker:1": "worker", "host:5000/team/worker": "host:5000/team/worker",
		"host:5000/team/worker:1.2": "host:5000/team/worker", "worker@sha256:ab": "worker", "host:5000/worker:1@sha256:ab": "host:5000/worker",
	} {
		if got := imageName(image); got != want {
			t.Errorf("%s: %q, want %q", image, got, want)
		}
	}
}
