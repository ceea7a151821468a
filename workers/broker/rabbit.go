package broker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/genmesh/genmesh/workers"
)

const (
	rabbitDialTimeout = 5 * time.Second
	rabbitHeartbeat   = 10 * time.Second
	// maxRoutingKeyBytes is AMQP 0-9-1's bound on a short string.
	maxRoutingKeyBytes = 255
)

// rabbit publishes to one exchange, over one connection at a time. A connection that broke is replaced by the next publish.
type rabbit struct {
	address  string // of AMQP, with user and password
	config   amqp.Config
	exchange string
	key      string // "" for the event's subject
	optional bool   // no queue needs to take a message

	mu      sync.Mutex
	session *rabbitSession // nil before the first
	dialing *rabbitDial    // nil while nobody dials
}

// rabbitDial is a connection in the making, which any number of calls wait for.
type rabbitDial struct {
	done    chan struct{}
	session *rabbitSession
	err     error
}

func newRabbit(p place) (opener, error) {
	r := &rabbit{exchange: strings.TrimPrefix(p.url.Path, "/"), key: p.query.text("routing_key")}
	vhost := p.query.text("vhost")
	mandatory, err := p.query.boolean("mandatory", true)
	if err != nil {
		return nil, err
	}
	encrypted, err := wantsTLS(p)
	if err != nil {
		return nil, err
	}
	if err := p.query.rest(); err != nil {
		return nil, err
	}
	if p.url.Hostname() == "" || r.exchange == "" && r.key == "" {
		return nil, errors.New(`the url is not of the form "rabbit://host:5672/exchange" or "rabbit://host:5672/?routing_key=queue"`)
	}
	if len(r.exchange) > maxRoutingKeyBytes || len(r.key) > maxRoutingKeyBytes {
		return nil, fmt.Errorf("the exchange or the routing key is longer than %d bytes", maxRoutingKeyBytes)
	}
	r.optional = !mandatory
	if r.address, err = rabbitAddress(p.url, encrypted); err != nil {
		return nil, err
	}
	r.config = amqp.Config{
		Vhost: vhost, Heartbeat: rabbitHeartbeat,
		Properties: amqp.Table{"product": "genmesh"},
		Dial:       dialWithDeadlines(p.timeout),
	}
	if vhost == "" {
		r.config.Vhost = "/"
	}
	return func() (publisher, error) {
		r.config.TLSClientConfig, err = tlsConfig(p, encrypted)
		return r, err
	}, nil
}

func rabbitAddress(u *url.URL, encrypted bool) (string, error) {
	address := url.URL{Scheme: "amqp", User: u.User, Host: u.Host, Path: "/"}
	if encrypted {
		address.Scheme = "amqps"
	}
	if _, err := amqp.ParseURI(address.String()); err != nil {
		return "", errors.New("the user, host or port of the url can't be read")
	}
	return address.String(), nil
}

// dialWithDeadlines bounds each write: a broker under memory pressure reads no more, and a write would hang for ever.
func dialWithDeadlines(timeout time.Duration) func(network, address string) (net.Conn, error) {
	return func(network, address string) (net.Conn, error) {
		conn, err := amqp.DefaultDial(rabbitDialTimeout)(network, address)
		if err != nil {
			return nil, err
		}
		return &deadlineConn{Conn: conn, timeout: timeout}, nil
	}
}

type deadlineConn struct {
	net.Conn
	timeout time.Duration
}

func (c *deadlineConn) Write(b []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(c.timeout)); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}

func (r *rabbit) publish(ctx context.Context, m message) error {
	session, err := r.connected(ctx)
	if err != nil {
		return err
	}
	key := r.key
	if key == "" {
		key = m.subject[:min(len(m.subject), maxRoutingKeyBytes)]
	}
	confirmation, err := session.send(ctx, r.exchange, key, !r.optional, publishing(m))
	if err != nil {
		return session.judge(err, m)
	}
	select {
	case <-confirmation.Done():
	case <-ctx.Done():
		return session.judge(ctx.Err(), m)
	}
	return session.settle(confirmation.Acked(), m)
}

// publishing makes the message persistent, so that a durable queue has it on disk before the broker confirms it.
func publishing(m message) amqp.Publishing {
	table := make(amqp.Table, len(m.attributes)+len(m.own))
	for _, a := range m.attributes {
		table["cloudEvents_"+a.name] = a.value
	}
	for _, h := range m.own {
		table[h.name] = h.value
	}
	return amqp.Publishing{
		Headers: table, Body: m.body, ContentType: contentType, DeliveryMode: amqp.Persistent, MessageId: m.key, AppId: "genmesh",
	}
}

// connected is the session to publish on. Every failure to make one is the broker's.
func (r *rabbit) connected(ctx context.Context) (*rabbitSession, error) {
	session, dialing := r.sessionOrDial()
	if session != nil {
		return session, nil
	}
	select {
	case <-dialing.done:
	case <-ctx.Done():
		return nil, workers.RetryAfter(0, fmt.Errorf("connecting to RabbitMQ: %w", ctx.Err()))
	}
	if dialing.err != nil {
		return nil, workers.RetryAfter(0, fmt.Errorf("connecting to RabbitMQ: %w", dialing.err))
	}
	return dialing.session, nil
}

func (r *rabbit) sessionOrDial() (*rabbitSession, *rabbitDial) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.session != nil && !r.session.over() {
		return r.session, nil
	}
	if r.dialing == nil {
		r.dialing = &rabbitDial{done: make(chan struct{})}
		go r.dial(r.dialing, r.session)
	}
	return nil, r.dialing
}

func (r *rabbit) dial(d *rabbitDial, broken *rabbitSession) {
	if broken != nil {
		_ = broken.close() // whatever broke the channel, the connection goes too
	}
	d.session, d.err = newRabbitSession(r.address, r.config)
	r.mu.Lock()
	defer r.mu.Unlock()
	if d.err == nil {
		r.session = d.session
	}
	r.dialing = nil
	close(d.done)
}

func (r *rabbit) close() error {
	r.mu.Lock()
	dialing := r.dialing
	r.mu.Unlock()
	if dialing != nil {
		<-dialing.done // bounded by its own timeouts
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.session == nil {
		return nil
	}
	return r.session.close()
}

// rabbitSession is a connection with a channel in confirm mode.
type rabbitSession struct {
	connection *amqp.Connection
	channel    *amqp.Channel

	returns chan amqp.Return
	blocked chan amqp.Blocking
	closed  chan *amqp.Error
	asks    chan rabbitAsk

	ended chan struct{} // closed once the channel is
	cause *amqp.Error   // why; nil if we closed it; to be read after ended
}

// rabbitAsk asks whether a message came back.
type rabbitAsk struct {
	id     string
	answer chan rabbitAnswer // has room for one
}

type rabbitAnswer struct {
	returned string // why the message came back; "" if it did not
	blocked  string // why the broker takes nothing; "" if it does
}

func newRabbitSession(address string, config amqp.Config) (*rabbitSession, error) {
	connection, err := amqp.DialConfig(address, config)
	if err != nil {
		return nil, err
	}
	s := &rabbitSession{
		connection: connection,
		returns:    make(chan amqp.Return), blocked: make(chan amqp.Blocking), closed: make(chan *amqp.Error, 1),
		asks: make(chan rabbitAsk), ended: make(chan struct{}),
	}
	if s.channel, err = connection.Channel(); err == nil {
		err = s.channel.Confirm(false)
	}
	if err != nil {
		return nil, errors.Join(err, connection.Close())
	}
	s.channel.NotifyReturn(s.returns)
	s.channel.NotifyClose(s.closed)
	connection.NotifyBlocked(s.blocked)
	go s.watch()
	return s, nil
}

// maxReturned bounds what is remembered of messages whose calls gave up and will never ask.
const maxReturned = 10_000

// watch hears what the broker says beside its confirmations. RabbitMQ returns a message before it confirms it, and both come through
// one reader, so an ask that follows a confirmation finds the return.
func (s *rabbitSession) watch() {
	defer close(s.ended)
	returned, blocked := map[string]string{}, ""
	returns, blocks := s.returns, s.blocked // nil once they are closed
	for {
		select {
		case r, ok := <-returns:
			if !ok {
				returns = nil
			} else {
				if len(returned) >= maxReturned { // those of calls that gave up, which nobody asks for
					for id := range returned {
						delete(returned, id)
						break
					}
				}
				returned[r.MessageId] = fmt.Sprintf("%d %.200s", r.ReplyCode, r.ReplyText)
			}
		case b, ok := <-blocks:
			if !ok {
				blocks = nil
			} else if blocked = ""; b.Active {
				blocked = fmt.Sprintf("it is blocked: %.200s", b.Reason)
			}
		case ask := <-s.asks:
			ask.answer <- rabbitAnswer{returned[ask.id], blocked}
			delete(returned, ask.id)
		case s.cause = <-s.closed:
			return
		}
	}
}

func (s *rabbitSession) over() bool {
	select {
	case <-s.ended:
		return true
	default:
		return s.channel.IsClosed()
	}
}

// send returns when ctx ends, although the library's own call can't be told to.
func (s *rabbitSession) send(
	ctx context.Context, exchange, key string, mandatory bool, p amqp.Publishing,
) (*amqp.DeferredConfirmation, error) {
	type result struct {
		confirmation *amqp.DeferredConfirmation
		err          error
	}
	sent := make(chan result, 1)
	go func() {
		confirmation, err := s.channel.PublishWithDeferredConfirm(exchange, key, mandatory, false, p)
		sent <- result{confirmation, err}
	}()
	select {
	case r := <-sent:
		return r.confirmation, r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

var errUnroutable = errors.New("no queue takes the message: bind one to the exchange, or set mandatory=false")

// settle turns a confirmation into the call's outcome.
func (s *rabbitSession) settle(acked bool, m message) error {
	if !acked && s.channel.IsClosed() { // what was not confirmed by the end counts as refused
		return s.judge(amqp.ErrClosed, m)
	}
	answer, err := s.ask(m.key)
	switch {
	case !acked && err != nil:
		return s.judge(err, m)
	case !acked:
		return errors.New("RabbitMQ refused the message, such as for a full queue")
	case err != nil: // confirmed, but whether it was returned will never be known
		return s.judge(err, m)
	case answer.returned != "":
		return fmt.Errorf("%w (%s)", errUnroutable, answer.returned)
	}
	return nil
}

func (s *rabbitSession) ask(id string) (rabbitAnswer, error) {
	ask := rabbitAsk{id: id, answer: make(chan rabbitAnswer, 1)}
	select {
	case s.asks <- ask:
		return <-ask.answer, nil
	case <-s.ended:
		return rabbitAnswer{}, amqp.ErrClosed
	}
}

// judge finds out what err means: a failed call alone does not tell why the session broke.
func (s *rabbitSession) judge(err error, m message) error {
	if !s.channel.IsClosed() {
		if answer, askErr := s.ask(m.key); askErr == nil && answer.blocked != "" {
			return workers.RetryAfter(0, fmt.Errorf("RabbitMQ takes no messages now, %s: %w", answer.blocked, err))
		}
		return err
	}
	<-s.ended // comes at once: the channel is closed
	if s.cause == nil {
		return err
	}
	switch s.cause.Code {
	case amqp.PreconditionFailed:
		if limit, ok := sizeLimit(s.cause.Reason); ok && len(m.body) > limit {
			return workers.Permanent(fmt.Errorf("larger than RabbitMQ's max_message_size: %w", s.cause))
		}
	case amqp.NotFound:
		return workers.RetryAfter(0, fmt.Errorf("declare the exchange: %w", s.cause))
	case amqp.AccessRefused, amqp.NotAllowed, amqp.ConnectionForced:
		return workers.RetryAfter(0, s.cause)
	}
	return s.cause
}

// sizeLimit reads RabbitMQ's complaint about a message that is too large, the only one that closes a channel for a message: the others
// that were under way on it are not to blame. Such as "PRECONDITION_FAILED - message size 700 is larger than configured max size 512".
func sizeLimit(reason string) (int, bool) {
	_, size, ok := strings.Cut(reason, "max size ")
	if !ok || !strings.Contains(reason, "message size") {
		return 0, false
	}
	digits := strings.IndexFunc(size, func(r rune) bool { return r < '0' || r > '9' })
	if digits >= 0 {
		size = size[:digits]
	}
	limit, err := strconv.Atoi(size)
	return limit, err == nil
}

// close is bounded: the broker's goodbye is waited for as long as a dial.
func (s *rabbitSession) close() error {
	err := s.connection.CloseDeadline(time.Now().Add(rabbitDialTimeout))
	<-s.ended
	if errors.Is(err, amqp.ErrClosed) || s.cause != nil {
		return nil
	}
	return err
}
