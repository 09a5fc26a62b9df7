// Package natsembed runs a NATS server with JetStream inside the process: the
// broker of a laptop with nothing else installed, and the real server that
// tests run against. One data directory belongs to one process at a time.
package natsembed

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// MaxPayload is the largest message the server takes, in bytes.
const MaxPayload = 8 << 20

// readyTimeout bounds the wait for a started server; replaying a large store
// happens before it counts.
const readyTimeout = 10 * time.Second

// Durability is what an acknowledged write survives.
type Durability string

const (
	// DurabilityProcess writes reach the operating system before they are
	// acknowledged: they survive kill -9 of the process, not a power cut.
	DurabilityProcess Durability = "process"
	// DurabilityPower writes reach the disk before they are acknowledged (an
	// fsync each): slower by an order of magnitude or two.
	DurabilityPower Durability = "power"
)

// Options say where and how the server runs. Only StoreDir is needed.
type Options struct {
	// StoreDir holds the data. It is made when missing.
	StoreDir string
	// Listen is the TCP address ("127.0.0.1:4222", port 0 is any free one). ""
	// is none: then only this process can connect. The server knows no
	// passwords, so an address that is not loopback is refused.
	Listen string
	// Durability is DurabilityProcess when empty.
	Durability Durability
	// Logger receives the server's warnings and errors; slog.Default if nil.
	Logger *slog.Logger
}

// Server is a running server. Its methods are safe for concurrent use.
type Server struct {
	srv  *server.Server
	lock *dirLock
	stop sync.Once

	mu     sync.Mutex
	conns  []*nats.Conn // guarded by mu: made by Connect, closed by Shutdown
	closed bool         // guarded by mu
}

// Start opens the data directory and runs a server on it. It returns when the
// server answers. ErrInUse when another process has the directory,
// ErrAddressInUse when another has the port.
func Start(o Options) (*Server, error) {
	opts, err := o.server()
	if err != nil {
		return nil, fmt.Errorf("start broker: %w", err)
	}
	if err := os.MkdirAll(o.StoreDir, 0o700); err != nil {
		return nil, fmt.Errorf("start broker: create store directory: %w", err)
	}
	lock, err := lockDir(o.StoreDir)
	if err != nil {
		return nil, fmt.Errorf("start broker: %w", err)
	}
	srv, err := run(opts, o.Logger)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start broker: %w", err), lock.release())
	}
	return &Server{srv: srv, lock: lock}, nil
}

// server validates o and turns it into the server's options.
func (o Options) server() (*server.Options, error) {
	var errs []error
	if o.StoreDir == "" {
		errs = append(errs, errors.New("store directory: none given"))
	}
	opts := &server.Options{
		ServerName:             "callfleet",
		JetStream:              true,
		StoreDir:               o.StoreDir,
		MaxPayload:             MaxPayload,
		NoSigs:                 true,
		DisableJetStreamBanner: true,
		DontListen:             o.Listen == "",
	}
	switch o.Durability {
	case "", DurabilityProcess:
	case DurabilityPower:
		opts.SyncAlways = true
	default:
		errs = append(errs, fmt.Errorf("durability %q: want %q or %q", o.Durability, DurabilityProcess, DurabilityPower))
	}
	if o.Listen != "" {
		host, port, err := splitListen(o.Listen)
		if err != nil {
			errs = append(errs, err)
		}
		opts.Host, opts.Port = host, port
	}
	return opts, errors.Join(errs...)
}

// splitListen checks a listen address: loopback only, the host may be left out.
func splitListen(listen string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(listen)
	if err != nil {
		return "", 0, fmt.Errorf("listen address %q: want host:port: %w", listen, err)
	}
	port, err = strconv.Atoi(text)
	if err != nil || port < 0 || port > 65535 {
		return "", 0, fmt.Errorf("listen address %q: %q is no port number", listen, text)
	}
	if port == 0 {
		port = server.RANDOM_PORT
	}
	switch ip := net.ParseIP(host); {
	case host == "" || host == "localhost":
		host = "127.0.0.1"
	case ip == nil || !ip.IsLoopback():
		return "", 0, fmt.Errorf("listen address %q: the embedded broker has no passwords and listens on loopback only; run a NATS server to share it", listen)
	}
	return host, port, nil
}

// run starts the server and waits until it answers.
func run(opts *server.Options, logger *slog.Logger) (*server.Server, error) {
	if !opts.DontListen && opts.Port > 0 {
		if err := probePort(opts.Host, opts.Port); err != nil {
			return nil, err
		}
	}
	srv, err := server.NewServer(opts)
	if err != nil {
		return nil, fmt.Errorf("configure server: %w", err)
	}
	log := newLogBridge(logger)
	srv.SetLoggerV2(log, false, false, false)
	srv.Start()
	if err := log.fatal(); err != nil {
		shutdown(srv)
		return nil, err
	}
	if !srv.ReadyForConnections(readyTimeout) {
		shutdown(srv)
		return nil, errors.Join(fmt.Errorf("server not ready after %s", readyTimeout), log.fatal())
	}
	if !srv.JetStreamEnabled() {
		shutdown(srv)
		return nil, errors.Join(fmt.Errorf("open store %s", filepath.Join(opts.StoreDir, "jetstream")), log.fatal())
	}
	log.start()
	return srv, nil
}

// probePort turns a taken port into an error before the store is touched.
func probePort(host string, port int) error {
	address := net.JoinHostPort(host, strconv.Itoa(port))
	l, err := net.Listen("tcp", address)
	if err != nil {
		return listenError(address, err)
	}
	return l.Close()
}

// Connect opens a connection inside the process. The caller may close it;
// Shutdown closes it otherwise.
func (s *Server) Connect(options ...nats.Option) (*nats.Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errors.New("connect to embedded broker: it was shut down")
	}
	options = append([]nats.Option{nats.InProcessServer(s.srv), nats.Name("callfleet")}, options...)
	nc, err := nats.Connect("", options...)
	if err != nil {
		return nil, fmt.Errorf("connect to embedded broker: %w", err)
	}
	s.conns = append(s.conns, nc)
	return nc, nil
}

// URL is where other processes connect ("nats://127.0.0.1:4222"), or "" when
// the server does not listen.
func (s *Server) URL() string {
	addr, ok := s.srv.Addr().(*net.TCPAddr)
	if !ok {
		return ""
	}
	return "nats://" + addr.String()
}

// Shutdown closes the connections made by Connect, stops the server, waits
// until the store is on disk, and frees the directory. It may be called more
// than once.
func (s *Server) Shutdown() {
	s.stop.Do(func() {
		s.mu.Lock()
		s.closed = true
		conns := s.conns
		s.conns = nil
		s.mu.Unlock()
		for _, nc := range conns {
			nc.Close()
		}
		shutdown(s.srv)
		// The lock goes with the process anyway; there is nobody to tell.
		_ = s.lock.release()
	})
}

func shutdown(srv *server.Server) {
	srv.Shutdown()
	srv.WaitForShutdown()
}
