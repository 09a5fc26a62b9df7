package ecs

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Metadata describes the task and the container. What the agent does not tell
// is empty.
type Metadata struct {
	TaskARN          string
	Cluster          string // ARN
	Family, Revision string // of the task definition
	Service          string // "" outside a service, and where the agent does not tell
	LaunchType       string // EC2, FARGATE, EXTERNAL
	AvailabilityZone string
	Limits           Limits // of the task
	Container        Container
}

// Container describes the container of this process.
type Container struct {
	ID, Name, ARN  string
	Image, ImageID string
}

// Limits are the resources of a task; 0 is none set.
type Limits struct {
	CPU    float64 // vCPUs
	Memory int     // MiB
}

// How long the metadata may take: it must not hold up a start.
const (
	metadataTimeout = 3 * time.Second        // in all
	metadataTry     = time.Second            // one request
	metadataPause   = 100 * time.Millisecond // after the first try; doubles
)

// Metadata asks the agent, for a few seconds at most. With an error it returns
// what it was told before.
func (e *Environment) Metadata(ctx context.Context) (Metadata, error) {
	if e.metadata == "" {
		return Metadata{}, errors.New("read ECS metadata: " + metadataVariable + " is not set: the container agent is older than 1.39.0")
	}
	ctx, cancel := context.WithTimeout(ctx, metadataTimeout)
	defer cancel()
	var (
		task            taskDocument
		own             containerDocument
		taskErr, ownErr error
		asked           sync.WaitGroup
	)
	asked.Go(func() { taskErr = e.read(ctx, e.metadata+"/task", &task) })
	asked.Go(func() { ownErr = e.read(ctx, e.metadata, &own) })
	asked.Wait()
	if err := errors.Join(taskErr, ownErr); err != nil {
		return metadata(task, own), fmt.Errorf("read ECS metadata: %w", err)
	}
	return metadata(task, own), nil
}

// taskDocument is what the agent answers on /task.
type taskDocument struct {
	Cluster          string // ARN or name
	ServiceName      string
	TaskARN          string
	Family, Revision string
	LaunchType       string
	AvailabilityZone string
	Limits           Limits
}

// containerDocument is what the agent answers on the container's own path.
type containerDocument struct {
	DockerID           string `json:"DockerId"`
	Name, ContainerARN string
	Image, ImageID     string
	Labels             map[string]string
}

func metadata(t taskDocument, c containerDocument) Metadata {
	m := Metadata{
		// The container's labels tell the most important again.
		TaskARN:  cmp.Or(t.TaskARN, c.Labels["com.amazonaws.ecs.task-arn"]),
		Family:   cmp.Or(t.Family, c.Labels["com.amazonaws.ecs.task-definition-family"]),
		Revision: cmp.Or(t.Revision, c.Labels["com.amazonaws.ecs.task-definition-version"]),
		Cluster:  cmp.Or(t.Cluster, c.Labels["com.amazonaws.ecs.cluster"]),
		Service:  t.ServiceName, LaunchType: t.LaunchType, AvailabilityZone: t.AvailabilityZone, Limits: t.Limits,
		Container: Container{ID: c.DockerID, Name: c.Name, ARN: c.ContainerARN, Image: c.Image, ImageID: c.ImageID},
	}
	if head, _, ok := strings.Cut(m.TaskARN, ":task/"); ok && m.Cluster != "" && !strings.HasPrefix(m.Cluster, "arn:") {
		m.Cluster = head + ":cluster/" + m.Cluster
	}
	return m
}

// read tries until ctx ends.
func (e *Environment) read(ctx context.Context, url string, into any) error {
	for pause := metadataPause; ; pause *= 2 {
		err := e.readOnce(ctx, url, into)
		if err == nil {
			return nil
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return err
		}
	}
}

func (e *Environment) readOnce(ctx context.Context, url string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, metadataTry)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	res, err := e.client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("get %s: %s", url, res.Status)
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, maxAnswer)).Decode(into); err != nil {
		return fmt.Errorf("get %s: %w", url, err)
	}
	return nil
}

// TaskID is the last part of the task's ARN.
func (m Metadata) TaskID() string { return m.TaskARN[strings.LastIndexByte(m.TaskARN, '/')+1:] }

// Attributes are the resource attributes of the task by OpenTelemetry's
// semantic conventions, service.instance.id among them; what is not known is
// left out.
func (m Metadata) Attributes() map[string]string {
	region, account := m.place()
	name := imageName(m.Container.Image)
	all := map[string]string{
		"cloud.provider":          "aws",
		"cloud.platform":          "aws_ecs",
		"cloud.region":            region,
		"cloud.account.id":        account,
		"cloud.availability_zone": m.AvailabilityZone,
		"cloud.resource_id":       m.Container.ARN,
		"aws.ecs.task.arn":        m.TaskARN,
		"aws.ecs.task.id":         m.TaskID(),
		"aws.ecs.task.family":     m.Family,
		"aws.ecs.task.revision":   m.Revision,
		"aws.ecs.cluster.arn":     m.Cluster,
		"aws.ecs.container.arn":   m.Container.ARN,
		"aws.ecs.launchtype":      strings.ToLower(m.LaunchType),
		"container.id":            m.Container.ID,
		"container.name":          m.Container.Name,
		"container.image.id":      m.Container.ImageID,
		"container.image.name":    name,
		"service.instance.id":     m.TaskID(),
	}
	for k, v := range all {
		if v == "" {
			delete(all, k)
		}
	}
	return all
}

// place is what the task's ARN tells: arn:partition:ecs:region:account:task/…
func (m Metadata) place() (region, account string) {
	parts := strings.SplitN(m.TaskARN, ":", 6)
	if len(parts) < 6 {
		return "", ""
	}
	return parts[3], parts[4]
}

// imageName is the image without its tag or digest. A colon before the last
// slash is that of a port.
func imageName(image string) string {
	name, _, _ := strings.Cut(image, "@")
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
		name = name[:i]
	}
	return name
}
