package local

import (
	"context"
	"fmt"
	"log/slog"

	"callfleet/internal/app/program"
	"callfleet/internal/lifecycle"
	"callfleet/internal/sampleapi"
)

// Sample is the sample API of the quickstart. Its address is bound before
// anything else is made, for it is where the fleet's calls may go.
type Sample struct {
	server  *lifecycle.Server
	service lifecycle.Service
}

// ListenSample binds addr, or a free port of its host when it is taken.
func ListenSample(ctx context.Context, addr string, logger *slog.Logger) (*Sample, error) {
	server, service, err := program.Listen(ctx, lifecycle.ServerOptions{
		Name: "sample api", Addr: addr, Handler: sampleapi.New(), Logger: logger,
	}, true)
	if err != nil {
		return nil, fmt.Errorf("serve sample api: %w", err)
	}
	return &Sample{server, service}, nil
}

// Addr is where it listens.
func (s *Sample) Addr() string { return s.server.Addr() }

// Close gives the address back when no stack has taken the Sample over. A nil
// Sample has none.
func (s *Sample) Close() {
	if s != nil {
		_ = s.service.Stop(context.Background()) // nothing was served: there is nothing to lose
	}
}
