// Package keyring keeps the keys that a source's deliveries are verified with, while they rotate.
//
// A rotation shows in two ways: the origin of the keys has other ones, or a delivery comes that no
// known key signed. The second is what a forgery looks like, too: so it makes the keyring look at the
// origin, but at most once a minute, however many come. And since senders don't repeat what was
// refused, a delivery is only refused once the keys were looked at after it came; until then it is
// asked to come again.
package keyring

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/genmesh/genmesh/genesys"
)

// Options is what a Keyring is made of.
type Options struct {
	// Source names the source in the log and in the metrics.
	Source string
	// Local reads the keys of the environment and of files; nil if there are none. It is called
	// often and must be quick.
	Local func() ([]string, error)
	// Fetch asks the key service; nil if there is none.
	Fetch func(ctx context.Context) ([]string, error)
	// Verifier makes a verifier of keys.
	Verifier func(keys []string) (*genesys.Verifier, error)
	// Overlap is how long a key stays valid once its origin no longer has it; 0 ends it at once. Of
	// such keys at most 16 are kept, those that went last.
	Overlap time.Duration
	Logger  logrus.FieldLogger
	// Metrics may be nil.
	Metrics *Metrics
}

const (
	localInterval    = 5 * time.Second
	minLocalInterval = 20 * time.Millisecond // between looks that bad signatures cause
	retryInterval    = time.Second           // when what can't be told now may come again
	fetchInterval    = 15 * time.Minute
	minFetchInterval = time.Minute // between fetches that a bad signature causes
	firstFetchRetry  = 5 * time.Second
	fetchTimeout     = 2 * time.Second
	maxKeys          = 64 // that the key service may have
	maxKeyBytes      = 16 << 10
	maxPrevious      = 16  // that no origin has any more
	maxWaiting       = 256 // deliveries that wait for one fetch
)

// Keyring verifies deliveries with the keys of now. It is safe for concurrent use.
type Keyring struct {
	options Options
	log     logrus.FieldLogger
	current atomic.Pointer[genesys.Verifier] // nil while there is no key
	good    rhythm                           // of the deliveries that known keys signed

	looking chan struct{} // holds one while somebody looks at the local keys for a bad signature
	looked  time.Time     // when that was last; belongs to who looks

	mu      sync.Mutex
	known   map[string]*key
	local   []string // as they were read last
	fetched []string
	state   State
	// unreadable says that the local keys could not be read last.
	unreadable bool
	flight     *flight
	asked      time.Time // the key service, for a bad signature
	waiting    int
	closed     bool
	flights    sync.WaitGroup
}

// State is what may be known of a keyring: never a key.
type State struct {
	// Current are the keys that an origin has, Previous those that are still valid.
	Current, Previous int
	// Newest is when the newest key was seen first.
	Newest time.Time
	// Fetched is when the key service answered last; Failure is why it does not now, or nil.
	Fetched time.Time
	Failure error
}

// Unconfirmed means that nobody can tell now whether a delivery is genuine: no known key signed it,
// and the keys could not be looked at since it came.
type Unconfirmed struct {
	after time.Duration
	cause error
}

// RetryAfter is when the delivery may come again.
func (u *Unconfirmed) RetryAfter() time.Duration { return u.after }

func (u *Unconfirmed) Error() string {
	text := "no known key signed it, and whether there are new ones is not known"
	if u.cause != nil {
		text += ": " + u.cause.Error()
	}
	return text
}

func (u *Unconfirmed) Unwrap() error { return u.cause }

// New makes a keyring with the local keys. It fails if they can't be read, or if there are none and
// no service to fetch some from. Keys are fetched once Run runs, or when a delivery needs them.
func New(o Options) (*Keyring, error) {
	k := &Keyring{
		options: o, log: o.Logger.WithField("source", o.Source), known: make(map[string]*key), looking: make(chan struct{}, 1),
	}
	if o.Local != nil {
		keys, err := o.Local()
		if err != nil {
			return nil, err
		}
		k.local = keys
	}
	if len(k.local) == 0 && o.Fetch == nil {
		return nil, errors.New("no secret to verify with")
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k, k.merge(time.Now())
}

// TakeOver adds what another keyring knows, in whose place this one comes: its local keys, its
// fetched ones, or both, the previous ones among them. So a reload while the key service is away
// turns nothing away. Call it before the keyring is used. Keys that this one can't verify by are left.
func (k *Keyring) TakeOver(before *Keyring, local, fetched bool) {
	before.mu.Lock()
	known := make(map[string]key, len(before.known))
	for text, was := range before.known {
		if was.local && local || was.fetched && fetched {
			known[text] = *was
		}
	}
	theirs, state := before.fetched, before.state
	before.mu.Unlock()

	k.mu.Lock()
	defer k.mu.Unlock()
	for text, was := range known {
		if _, err := k.options.Verifier([]string{text}); err == nil && k.known[text] == nil {
			k.known[text] = &was
		}
	}
	if fetched {
		k.fetched, k.state.Fetched, k.state.Failure = theirs, state.Fetched, state.Failure
	}
	if err := k.merge(time.Now()); err != nil {
		k.log.WithError(err).Error("the keys can't be used")
	}
}

// Verify checks a delivery; see genesys.Verifier. An *Unconfirmed error means that it shall come again.
func (k *Keyring) Verify(ctx context.Context, d *genesys.Delivery) error {
	tried := k.current.Load()
	err := verify(ctx, tried, d)
	if err == nil {
		k.good.beat(time.Now())
	}
	if !errors.Is(err, genesys.ErrSignatureMismatch) {
		return err
	}
	k.lookAgain(ctx, d.Received)
	if now := k.current.Load(); now != tried {
		if err = verify(ctx, now, d); !errors.Is(err, genesys.ErrSignatureMismatch) {
			return err
		}
	}
	if k.options.Fetch == nil {
		return err
	}
	return k.confirm(ctx, d)
}

// verify takes nothing where there is no key yet.
func verify(ctx context.Context, v *genesys.Verifier, d *genesys.Delivery) error {
	if v == nil {
		return genesys.ErrSignatureMismatch
	}
	return v.Verify(ctx, d)
}

// lookAgain sees to it that the local keys were read after a delivery came. Those that come at one time
// share a look, and however many come there are at most fifty in a second.
func (k *Keyring) lookAgain(ctx context.Context, received time.Time) {
	if k.options.Local == nil {
		return
	}
	select {
	case k.looking <- struct{}{}:
	case <-ctx.Done():
		return
	}
	defer func() { <-k.looking }()
	if k.looked.After(received) {
		return
	}
	if wait := minLocalInterval - time.Since(k.looked); wait > 0 {
		time.Sleep(wait)
	}
	k.looked = time.Now()
	k.Refresh()
}

// confirm verifies a delivery with keys that were fetched after it came.
func (k *Keyring) confirm(ctx context.Context, d *genesys.Delivery) error {
	f, err := k.join()
	if err != nil {
		k.options.Metrics.unconfirmed(k.options.Source)
		return err
	}
	select {
	case <-f.done:
	case <-ctx.Done():
	}
	k.leave()
	err = verify(ctx, k.current.Load(), d)
	if !errors.Is(err, genesys.ErrSignatureMismatch) {
		return err
	}
	select {
	case <-f.done:
		if f.err == nil && !f.began.Before(d.Received) {
			return err
		}
	default: // the fetch takes longer than there is time
	}
	k.options.Metrics.unconfirmed(k.options.Source)
	return &Unconfirmed{after: retryInterval, cause: f.err}
}

// State tells how the keyring is.
func (k *Keyring) State() State {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.state
}
