package simulator

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/time/rate"
)

// Options is what a Simulator is made of.
type Options struct {
	// Addr is where the API and the steering are served: this machine only. "" serves none.
	Addr string
	// ClientID and ClientSecret are those that the API takes. Default "simulator", both.
	ClientID, ClientSecret string
	// Seed, Start and Interactions decide which events there are; see ScriptOptions. Interactions
	// defaults to as many as make their own times real at the rate, within 24 to 2,000.
	Seed         uint64
	Start        time.Time
	Interactions int
	// Rate is events per second; Count is after how many events to end, 0 never.
	Rate  float64
	Count int
	// Targets get all events, beside those who subscribe over the API.
	Targets []Target
	Faults  Faults
	// Timeout is how long an answer is waited for (default 10 s), RetryBase the first wait between
	// attempts (default 1 s).
	Timeout, RetryBase time.Duration
	// ChannelLifetime is how long a channel of the notification service lives (default 24 h), Heartbeat
	// the time between two heartbeats of a socket (default 30 s).
	ChannelLifetime, Heartbeat time.Duration
	Logger                     logrus.FieldLogger
}

// Target is a receiver that subscribes by itself: it is delivered to as a subscription with 5 retries
// and exponential backoff is.
type Target struct{ URL, Secret string }

const (
	defaultTimeout   = 10 * time.Second
	defaultRetryBase = time.Second
	defaultClient    = "simulator"
	maxRate          = 100_000

	// usualDistance lies between two events of an interaction.
	usualDistance     = time.Minute
	usualInteractions = 2000
)

// Simulator is a Genesys Cloud. Its methods are safe for concurrent use.
type Simulator struct {
	options       Options
	log           logrus.FieldLogger
	client        *http.Client
	listener      net.Listener
	ledger        *Ledger
	platform      *platform
	notifications *notifications
	limiter       *rate.Limiter

	mu      sync.Mutex
	faults  Faults
	shape   shape
	statics []*target
}

// New makes a simulator and listens, if it shall. One that is never run must be closed.
func New(o Options) (*Simulator, error) {
	if !(o.Rate > 0 && o.Rate <= maxRate) {
		return nil, fmt.Errorf("the rate must be above 0 and at most %d events per second", maxRate)
	}
	if o.Count < 0 {
		return nil, errors.New("the number of events must not be below zero")
	}
	if o.Addr == "" && len(o.Targets) == 0 {
		return nil, errors.New("there is nobody to deliver to: neither a target nor an API to subscribe at")
	}
	if o.Interactions < 0 || o.Interactions > maxInteractions {
		return nil, fmt.Errorf("the interactions under way must be at least 0 and at most %d", maxInteractions)
	}
	if err := o.Faults.Check(); err != nil {
		return nil, err
	}
	setDefault(&o.Timeout, defaultTimeout)
	setDefault(&o.RetryBase, defaultRetryBase)
	setDefault(&o.ClientID, defaultClient)
	setDefault(&o.ClientSecret, defaultClient)
	setDefault(&o.Interactions, min(max(int(o.Rate*usualDistance.Seconds()), defaultInteractions), usualInteractions))
	s := &Simulator{
		options: o, log: o.Logger.WithField("component", "simulator"), ledger: newLedger(), faults: o.Faults,
		platform: newPlatform(o.ClientID, o.ClientSecret), limiter: newLimiter(o.Rate, o.Faults.Burst),
		notifications: newNotifications(o.ChannelLifetime, o.Heartbeat),
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = lanesPerTarget
	s.client = &http.Client{Transport: transport, Timeout: o.Timeout, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}
	for _, t := range o.Targets {
		s.statics = append(s.statics, staticTarget(t))
	}
	return s, s.listen()
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// newLimiter keeps the rate with at most one burst at once.
func newLimiter(perSecond float64, burst int) *rate.Limiter {
	return rate.NewLimiter(rate.Limit(perSecond), max(burst, 1))
}

func (s *Simulator) listen() error {
	if s.options.Addr == "" {
		return nil
	}
	host, _, err := net.SplitHostPort(s.options.Addr)
	if ip := net.ParseIP(host); err != nil || host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("the simulator listens on this machine only, such as on 127.0.0.1:8099, not on %q", s.options.Addr)
	}
	s.listener, err = net.Listen("tcp", s.options.Addr)
	return err
}

// Addr is where the API is served; "" if it is not.
func (s *Simulator) Addr() string {
	if s.listener == nil {
		return ""
	}
	return s.listener.Addr().String()
}

// Ledger is what was sent so far.
func (s *Simulator) Ledger() *Ledger { return s.ledger }

// Close stops listening. It is for a simulator that Run never ran.
func (s *Simulator) Close() error {
	if s.listener == nil {
		return nil
	}
	return s.listener.Close()
}

// Run serves the API and sends events until ctx ends, or until Count events have come to their ends.
// What is under way when ctx ends counts as unfinished.
func (s *Simulator) Run(ctx context.Context) error {
	defer s.client.CloseIdleConnections()
	stop := s.serve()
	defer stop()
	d := newDispatcher(s)
	defer context.AfterFunc(ctx, d.cancel)()
	script := NewScript(ScriptOptions{Seed: s.options.Seed, Start: s.options.Start, Interactions: s.options.Interactions})
	for n := 0; s.options.Count == 0 || n < s.options.Count; n++ {
		if err := s.limiter.Wait(ctx); err != nil {
			break
		}
		s.mu.Lock()
		script.shape, script.skew = s.shape, s.faults.skew()
		s.mu.Unlock()
		e := script.Next()
		s.notifications.tell(e)
		if !d.dispatch(ctx, e) {
			break
		}
	}
	d.drain()
	return nil
}

// serve serves the API, if there is one, until the returned function is called.
func (s *Simulator) serve() (stop func()) {
	if s.listener == nil {
		return func() {}
	}
	server := &http.Server{Handler: s.handler(), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, IdleTimeout: time.Minute}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := server.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
			s.log.WithError(err).Error("the simulated API ended")
		}
	}()
	return func() {
		_ = server.Close() // nothing of what it answers is worth waiting for
		s.notifications.close()
		<-done
	}
}

// SetFaults changes what goes wrong from now on.
func (s *Simulator) SetFaults(f Faults) error {
	if err := f.Check(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = f
	s.limiter.SetBurst(max(f.Burst, 1))
	return nil
}

// SetRate changes the events per second from now on.
func (s *Simulator) SetRate(perSecond float64) error {
	if !(perSecond > 0 && perSecond <= maxRate) {
		return fmt.Errorf("the rate must be above 0 and at most %d events per second", maxRate)
	}
	s.limiter.SetLimit(rate.Limit(perSecond))
	return nil
}

func (s *Simulator) currentFaults() Faults {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.faults
}

// targets are all who get events now.
func (s *Simulator) targets() []*target {
	return append(s.platform.targets(), s.statics...)
}
