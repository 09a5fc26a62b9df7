package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// ServerOptions set up a Server. Name, Addr and Handler are required.
type ServerOptions struct {
	Name    string // of its service
	Addr    string // host:port; port 0 takes a free one
	Handler http.Handler
	// ReadTimeout bounds the reading of one request with its body; 0 is 30 s.
	// The headers alone have 5 s.
	ReadTimeout time.Duration
	// IdleTimeout closes a kept connection without requests; 0 is 2 min.
	IdleTimeout time.Duration
	Logger      *slog.Logger // nil is slog.Default()
}

// Server is an HTTP server that finishes its requests when it is stopped.
type Server struct {
	options ServerOptions
	server  *http.Server
	lis     net.Listener // set by Listen
}

// NewServer checks the options and binds nothing.
func NewServer(o ServerOptions) (*Server, error) {
	if o.Name == "" || o.Handler == nil {
		return nil, errors.New("make http server: name and handler are required")
	}
	if _, _, err := net.SplitHostPort(o.Addr); err != nil {
		return nil, fmt.Errorf("make http server %s: %w", o.Name, err)
	}
	if o.ReadTimeout <= 0 {
		o.ReadTimeout = 30 * time.Second
	}
	if o.IdleTimeout <= 0 {
		o.IdleTimeout = 2 * time.Minute
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return &Server{options: o, server: &http.Server{
		Handler:           o.Handler,
		ReadHeaderTimeout: min(5*time.Second, o.ReadTimeout),
		ReadTimeout:       o.ReadTimeout,
		IdleTimeout:       o.IdleTimeout,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(o.Logger.Handler(), slog.LevelDebug),
	}}, nil
}

// Listen binds the address. From then on connections wait for Serve.
func (s *Server) Listen(ctx context.Context) error {
	lis, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.options.Addr)
	if err != nil {
		return fmt.Errorf("listen on %s (is another one running?): %w", s.options.Addr, err)
	}
	s.lis = lis
	return nil
}

// Addr is the address it listens on, with the port taken; before Listen it is
// the one asked for.
func (s *Server) Addr() string {
	if s.lis == nil {
		return s.options.Addr
	}
	return s.lis.Addr().String()
}

// URL is "http://" and Addr.
func (s *Server) URL() string { return "http://" + s.Addr() }

// Serve answers until ctx ends, then finishes the requests that have begun, for
// as long as DrainContext(ctx) allows. Listen comes first.
func (s *Server) Serve(ctx context.Context) error {
	served := make(chan error, 1)
	go func() { served <- s.server.Serve(s.lis) }()
	select {
	case err := <-served:
		return fmt.Errorf("serve %s on %s: %w", s.options.Name, s.Addr(), err)
	case <-ctx.Done():
	}
	err := s.server.Shutdown(DrainContext(ctx))
	if err != nil {
		err = errors.Join(fmt.Errorf("finish requests of %s: %w", s.options.Name, context.Cause(DrainContext(ctx))), s.server.Close())
	}
	<-served
	return err
}

// Service is the server as part of a group: it listens before the next service
// starts.
func (s *Server) Service() Service {
	return Service{Name: s.options.Name, Start: s.Listen, Run: s.Serve, Stop: func(context.Context) error {
		// Serve has closed the listener, unless the group stopped before it ran.
		if err := s.lis.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			return fmt.Errorf("close listener: %w", err)
		}
		return nil
	}}
}
