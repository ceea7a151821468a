// Package embedded runs a nats-server inside the process. It is the only package that links it.
package embedded

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/gofrs/flock"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/sirupsen/logrus"
)

// Options configures an embedded server.
type Options struct {
	// DataDir keeps the streams. It is made if missing and belongs to one server at a time.
	DataDir string
	// Listen is the address for other NATS clients, such as "127.0.0.1:4222". With "" the server
	// opens no port and only this process reaches it.
	Listen string
	// MaxStoreBytes bounds what all streams may reserve together. Default 1 TiB: the streams'
	// own max_bytes are the limit that counts.
	MaxStoreBytes int64
	// Reserve is how many bytes are kept free on the disk of DataDir: below that Storing says that no events shall be taken, so that
	// what is stored can be delivered and the disk does not run full. Default 64 MiB, or a twentieth of a smaller disk.
	Reserve int64
	// Logger gets the server's own log.
	Logger logrus.FieldLogger
}

const (
	defaultMaxStoreBytes = 1 << 40
	maxMemoryBytes       = 256 << 20
	startTimeout         = 60 * time.Second // a large duplicate window is read again first
	lockName             = "genmesh.lock"
)

// ErrLocked means that another process uses the data folder.
var ErrLocked = errors.New("another genmesh uses the data folder")

// Server is a nats-server in this process that fsyncs before it acknowledges. After a write that failed for want of space it starts
// anew by itself, once there is space again; its clients, in this process and elsewhere, connect again.
type Server struct {
	options Options
	log     logrus.FieldLogger
	lock    *flock.Flock
	url     string

	running atomic.Pointer[server.Server] // nil while it is started anew
	storing atomic.Pointer[storing]
	stop    context.CancelFunc
	watched chan struct{} // closed when nobody looks after the storage any more

	restarts restarts
}

// Start runs a server and returns once it takes connections. Whoever called it calls Shutdown.
//
// It fails with ErrLocked if another process has the data folder open: nats-server itself does
// not look, and two servers on one folder destroy it.
func Start(ctx context.Context, o Options) (*Server, error) {
	if err := os.MkdirAll(o.DataDir, 0o750); err != nil {
		return nil, fmt.Errorf("data folder %s: %w", o.DataDir, err)
	}
	lock := flock.New(filepath.Join(o.DataDir, lockName))
	switch locked, err := lock.TryLock(); {
	case err != nil:
		return nil, fmt.Errorf("lock the data folder %s: %w", o.DataDir, err)
	case !locked:
		return nil, fmt.Errorf("%w %s: stop it, or choose another folder with --data", ErrLocked, o.DataDir)
	}
	running, err := start(ctx, o)
	if err != nil {
		return nil, errors.Join(err, lock.Unlock())
	}
	s := &Server{options: o, log: newLog(o.Logger).log, lock: lock, url: running.ClientURL(), watched: make(chan struct{})}
	s.options.keepPort(running)
	s.running.Store(running)
	s.storing.Store(newStoring())
	ctx, s.stop = context.WithCancel(context.WithoutCancel(ctx))
	s.look(ctx)
	go s.watch(ctx)
	return s, nil
}

// keepPort makes a later start listen on the port that was found in the first one.
func (o *Options) keepPort(running *server.Server) {
	addr, ok := running.Addr().(*net.TCPAddr)
	if o.Listen == "" || !ok {
		return
	}
	host, _, _ := net.SplitHostPort(o.Listen) // it was split before
	o.Listen = net.JoinHostPort(host, strconv.Itoa(addr.Port))
}

func start(ctx context.Context, o Options) (*server.Server, error) {
	opts, err := serverOptions(o)
	if err != nil {
		return nil, err
	}
	s, err := server.NewServer(opts)
	if err != nil {
		return nil, fmt.Errorf("embedded nats-server: %w", err)
	}
	log := newLog(o.Logger)
	s.SetLoggerV2(log, false, false, false)
	s.Start()
	if err := awaitReady(ctx, s, log.fatal); err != nil {
		shutDown(s)
		return nil, err
	}
	return s, nil
}

// awaitReady waits until s takes connections. A start that failed shows only in the log: the
// server reports itself as running, with JetStream, and is just never ready.
func awaitReady(ctx context.Context, s *server.Server, fatal <-chan string) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		select {
		case msg := <-fatal:
			return fmt.Errorf("embedded nats-server: %s", msg)
		case <-ctx.Done():
			return fmt.Errorf("embedded nats-server is not ready: %w", ctx.Err())
		default:
		}
		if s.ReadyForConnections(50 * time.Millisecond) {
			return nil
		}
	}
}

func serverOptions(o Options) (*server.Options, error) {
	opts := &server.Options{
		ServerName:         "genmesh",
		NoSigs:             true, // or it would trap SIGINT and SIGTERM and exit the process
		JetStream:          true,
		StoreDir:           o.DataDir,
		JetStreamMaxStore:  o.MaxStoreBytes,
		JetStreamMaxMemory: maxMemoryBytes,
		SyncAlways:         true,
		DontListen:         o.Listen == "",
	}
	if opts.JetStreamMaxStore == 0 {
		opts.JetStreamMaxStore = defaultMaxStoreBytes
	}
	if o.Listen == "" {
		return opts, nil
	}
	host, port, err := net.SplitHostPort(o.Listen)
	if err != nil {
		return nil, fmt.Errorf("NATS address %q: %w; write HOST:PORT", o.Listen, err)
	}
	opts.Host = host
	if opts.Port, err = strconv.Atoi(port); err != nil || opts.Port < 0 || opts.Port > 65535 {
		return nil, fmt.Errorf("NATS address %q: %q is no port", o.Listen, port)
	}
	if opts.Port == 0 {
		opts.Port = server.RANDOM_PORT
	}
	return opts, nil
}

// InProcess connects a client through memory instead of a socket. It connects again to a server that was started anew, too.
func (s *Server) InProcess() nats.Option { return nats.InProcessServer(s) }

// InProcessConn is for the NATS client, which calls it for each connection.
func (s *Server) InProcessConn() (net.Conn, error) {
	running := s.running.Load()
	if running == nil {
		return nil, errRestarting
	}
	return running.InProcessConn()
}

// ClientURL is the URL for other NATS clients; it is meaningless without Options.Listen.
func (s *Server) ClientURL() string { return s.url }

// Shutdown flushes the streams, stops the server and frees the data folder. Clients should have
// been closed before.
func (s *Server) Shutdown() error {
	s.stop()
	<-s.watched
	if running := s.running.Load(); running != nil {
		shutDown(running)
	}
	if err := s.lock.Unlock(); err != nil {
		return fmt.Errorf("unlock the data folder: %w", err)
	}
	return nil
}

func shutDown(running *server.Server) {
	running.Shutdown() // not LameDuckShutdown, which does nothing without a listener
	running.WaitForShutdown()
}
