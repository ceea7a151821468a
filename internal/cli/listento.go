package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"github.com/genmesh/genmesh/internal/app"
	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/workers/forward"
	"github.com/genmesh/genmesh/workers/shape"
)

const listenHelp = `Mirror what a subscriber gets to a program on this machine, one event after another, in stored order. The subscriber's own
delivery is not touched: nothing is acknowledged, and its consumer is not used.

filter_subjects, when, redact and transform are applied, and --forward gets the same headers as an http target, with the subscriber's own
headers and its signature, if the secret is set here. secret_headers and auth stay away. It begins with what is stored from now on, or
at --since.

Each event is one line: when it was stored, its sequence, type, interaction, what was answered, in which time, and its idempotency key.
No answer makes it try again by itself. On stdin,

  r       and Enter sends the last event again,
  r KEY   the one with that idempotency key, or the beginning of it, among the last 100,
  q       ends, as Ctrl-C does; the end of stdin does not.`

const listenExample = `  genmesh listen crm --forward http://localhost:3000/hook
  genmesh listen crm --forward http://localhost:3000/hook --since 1h --print
  genmesh listen analytics --print`

const (
	// listenMemory is how many events can be sent again, each with its body.
	listenMemory = 100
	// listenPrefetch bounds what waits here while a request is under way.
	listenPrefetch = 32
	// leastKeyPrefix is how much of an idempotency key names an event.
	leastKeyPrefix = 4
	maxCommandLine = 1024
	goodbyeTimeout = time.Second
)

type listenFlags struct {
	cluster     clusterFlags
	forward     string
	since       string
	print       bool
	raw         bool
	allowRemote bool
}

func newListen(p *program) *cobra.Command {
	f := new(listenFlags)
	cmd := &cobra.Command{
		Use:     "listen SUBSCRIBER",
		Short:   "Mirror what a subscriber gets to a program on this machine",
		Long:    listenHelp,
		Example: listenExample,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			since, err := parseTime("since", f.since, time.Now())
			if err := errors.Join(err, f.check()); err != nil {
				return err
			}
			return p.listen(cmd, f, args[0], since)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.forward, "forward", "", "post each event to `URL`")
	flags.StringVar(&f.since, "since", "", "begin with what was stored since `TIME`: RFC 3339, or how long ago, such as 2h or 7d (default: now)")
	flags.BoolVar(&f.print, "print", false, "print headers and body of each event")
	flags.BoolVar(&f.raw, "raw", false, "with --print, print bodies as they are, not indented")
	flags.BoolVar(&f.allowRemote, "allow-remote", false, "let --forward name another machine")
	f.cluster.add(flags)
	return cmd
}

// check does not show the URL: it may hold a password.
func (f *listenFlags) check() error {
	if f.forward == "" {
		if !f.print {
			return errors.New("say what to do with the events: --forward URL, --print, or both")
		}
		return nil
	}
	u, err := url.Parse(f.forward)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return errors.New("--forward is no http or https URL such as http://localhost:3000/hook")
	case !f.allowRemote && !isLoopback(f.forward):
		return errors.New("--forward names another machine, which would get the events of real people: add --allow-remote if it is meant")
	}
	return nil
}

func (p *program) listen(cmd *cobra.Command, f *listenFlags, name string, since time.Time) error {
	t, err := p.topology(cmd)
	if err != nil {
		return err
	}
	s, err := namedSubscriber(t, name)
	if err != nil {
		return err
	}
	l, err := newListener(app.NewPreview(t, p.LookupEnv, p.Version), s, f, cmd)
	if err != nil {
		return err
	}
	defer l.close()
	nc, js, err := p.connect(&f.cluster)
	if err != nil {
		return err
	}
	defer nc.Close()
	return l.run(cmd.Context(), js, since, p.In)
}

// listener mirrors events. One goroutine does everything but waiting for events and commands.
type listener struct {
	preview    app.Preview
	subscriber mesh.Subscriber
	flags      *listenFlags
	shape      *shape.Shape
	target     *forward.Target // nil without --forward
	out, notes io.Writer
	last       []mesh.Event // as they were sent, the newest last
	noted      map[string]bool
}

func newListener(preview app.Preview, s mesh.Subscriber, f *listenFlags, cmd *cobra.Command) (*listener, error) {
	l := &listener{
		preview: preview, subscriber: s, flags: f, out: cmd.OutOrStdout(), notes: cmd.ErrOrStderr(), noted: map[string]bool{},
	}
	applied, standIn, err := preview.Shape(s)
	if err != nil {
		return nil, err
	}
	l.shape = applied
	l.note(standIn)
	if f.forward == "" {
		return l, nil
	}
	target, standIn, err := preview.Mirror(s, f.forward)
	if err != nil {
		return nil, fmt.Errorf("--forward: %w", err)
	}
	l.target = target
	l.note(standIn)
	return l, nil
}

// note says once what stands in for a secret.
func (l *listener) note(text string) {
	if text == "" || l.noted[text] {
		return
	}
	l.noted[text] = true
	say(l.notes, "note: %s", text)
}

func (l *listener) close() {
	if l.target != nil {
		_ = l.target.Close() // it has no error of its own
	}
}

// run mirrors until ctx ends or somebody quits.
func (l *listener) run(ctx context.Context, js jetstream.JetStream, since time.Time, in io.Reader) error {
	consumer, err := l.consumer(ctx, js, since)
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), goodbyeTimeout)
		defer cancel()
		if info := consumer.CachedInfo(); info != nil {
			_ = js.DeleteConsumer(ctx, l.subscriber.Stream, info.Name) // it ends by itself as well
		}
	}()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	messages, err := consumer.Messages(jetstream.PullMaxMessages(listenPrefetch))
	if err != nil {
		return fmt.Errorf("read stream %s: %w", l.subscriber.Stream, err)
	}
	events, ended := make(chan jetstream.Msg), make(chan error, 1)
	go func() { ended <- pump(ctx, messages, events) }()
	defer func() {
		messages.Stop()
		cancel()
		<-ended
	}()
	say(l.notes, "listening to what %s gets of %s; r and Enter sends the last event again, q ends", l.subscriber.Name, l.subscriber.Stream)
	return l.serve(ctx, events, ended, commands(ctx, in))
}

// consumer begins at a place of its own, so that it goes on there after the connection was lost, even if nothing had come by then.
func (l *listener) consumer(ctx context.Context, js jetstream.JetStream, since time.Time) (jetstream.Consumer, error) {
	name := l.subscriber.Stream
	config := jetstream.OrderedConsumerConfig{FilterSubjects: subscriberFilters(l.subscriber)}
	if since.IsZero() {
		stream, err := js.Stream(ctx, name)
		if err != nil {
			return nil, fmt.Errorf("stream %s: %w; is streams.json applied (genmesh plan)?", name, err)
		}
		config.DeliverPolicy, config.OptStartSeq = jetstream.DeliverByStartSequencePolicy, stream.CachedInfo().State.LastSeq+1
	} else {
		config.DeliverPolicy, config.OptStartTime = jetstream.DeliverByStartTimePolicy, &since
	}
	consumer, err := js.OrderedConsumer(ctx, name, config)
	if err != nil {
		return nil, fmt.Errorf("read stream %s: %w", name, err)
	}
	return consumer, nil
}

// pump hands messages on one by one.
func pump(ctx context.Context, messages jetstream.MessagesContext, to chan<- jetstream.Msg) error {
	for {
		msg, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return err
		}
		select {
		case to <- msg:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// commands yields the lines of stdin until it ends. Whoever reads a terminal can't be called back, so the goroutine may wait for one line
// more, which nobody gets.
func commands(ctx context.Context, in io.Reader) <-chan string {
	lines := make(chan string)
	go func() {
		scanner := bufio.NewScanner(in)
		scanner.Buffer(make([]byte, maxCommandLine), maxCommandLine)
		for scanner.Scan() {
			select {
			case lines <- strings.TrimSpace(scanner.Text()):
			case <-ctx.Done():
				return
			}
		}
	}()
	return lines
}

// serve takes one event or command after another.
func (l *listener) serve(ctx context.Context, events <-chan jetstream.Msg, ended chan error, commands <-chan string) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case msg := <-events:
			l.take(ctx, msg)
		case command := <-commands:
			if command == "q" {
				return nil
			}
			l.obey(ctx, command)
		case err := <-ended:
			ended <- err // for who waits for the end
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("read stream %s: %w", l.subscriber.Stream, err)
		}
	}
}

// take mirrors one stored event, if the subscriber gets it.
func (l *listener) take(ctx context.Context, msg jetstream.Msg) {
	e, err := mesh.ParseStored(msg)
	if err != nil {
		l.line(e, fmt.Sprintf("%s is no event: %s gets a dead letter", markBad, l.subscriber.Name), 0)
		return
	}
	shaped, gets, err := l.shape.Apply(ctx, e)
	switch {
	case ctx.Err() != nil:
		return
	case err != nil:
		l.line(e, fmt.Sprintf("%s %v: %s gets a dead letter", markBad, err, l.subscriber.Name), 0)
		return
	case !gets:
		return
	}
	shaped.Attempt = 1
	l.send(ctx, shaped)
}

// send mirrors an event and remembers it.
func (l *listener) send(ctx context.Context, e mesh.Event) {
	l.remember(e)
	if l.target == nil {
		l.line(e, "", 0)
		l.show(l.previewed(e))
		return
	}
	x, err := l.target.Send(ctx, e)
	if ctx.Err() != nil {
		return
	}
	answer := fmt.Sprintf("%s %d %s", markGood, x.Status, http.StatusText(x.Status))
	switch {
	case err != nil:
		answer = fmt.Sprintf("%s %v", markBad, err)
	case x.Status/100 != 2:
		answer = fmt.Sprintf("%s %d %s", markBad, x.Status, http.StatusText(x.Status))
	}
	l.line(e, answer, x.Took)
	if text := strings.TrimSpace(string(x.Answer)); text != "" && x.Status/100 != 2 {
		say(l.out, "    answered: %s", short(text, 200))
	}
	l.show(app.Sent{Header: x.Sent, Body: e.Body})
}

// previewed is what the subscriber's own target gets.
func (l *listener) previewed(e mesh.Event) app.Sent {
	sent, err := l.preview.Sent(l.subscriber, e)
	if err != nil {
		say(l.notes, "note: %v", err)
		return app.Sent{Body: e.Body}
	}
	for _, text := range sent.StandIns {
		l.note(text)
	}
	return sent
}

func (l *listener) line(e mesh.Event, answer string, took time.Duration) {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %d %s %s", at(e.Stored), e.Sequence, orNone(e.Type), orNone(e.Interaction))
	if answer != "" {
		fmt.Fprintf(&b, " %s", strings.TrimSpace(answer))
	}
	if took > 0 {
		fmt.Fprintf(&b, " in %s", took.Round(100*time.Microsecond))
	}
	if e.Attempt > 1 {
		fmt.Fprintf(&b, " (sent %d times)", e.Attempt)
	}
	if e.Attempt > 0 {
		fmt.Fprintf(&b, " %s", e.IdempotencyKey())
	}
	say(l.out, "%s", strings.ReplaceAll(b.String(), "\n", " "))
}

func (l *listener) show(sent app.Sent) {
	if !l.flags.print {
		return
	}
	writeHeaders(l.out, sent.Header)
	body := string(sent.Body)
	if !l.flags.raw {
		body = shifted(pretty(sent.Body))
	}
	writeLines(l.out, body)
}

// remember keeps the last events. The same event is there once.
func (l *listener) remember(e mesh.Event) {
	key := e.IdempotencyKey()
	for i := range l.last {
		if l.last[i].IdempotencyKey() == key {
			l.last = append(l.last[:i], l.last[i+1:]...)
			break
		}
	}
	if l.last = append(l.last, e); len(l.last) > listenMemory {
		l.last = l.last[1:]
	}
}

// obey does what a line of stdin says.
func (l *listener) obey(ctx context.Context, command string) {
	words := strings.Fields(command)
	if len(words) == 0 {
		return
	}
	if words[0] != "r" || len(words) > 2 {
		say(l.notes, "r and Enter sends the last event again, r KEY another, q ends")
		return
	}
	e, err := l.remembered(words[1:])
	if err != nil {
		say(l.notes, "%v", err)
		return
	}
	e.Attempt++
	l.send(ctx, e)
}

func (l *listener) remembered(key []string) (mesh.Event, error) {
	if len(l.last) == 0 {
		return mesh.Event{}, errors.New("nothing was sent yet")
	}
	if len(key) == 0 {
		return l.last[len(l.last)-1], nil
	}
	if len(key[0]) < leastKeyPrefix {
		return mesh.Event{}, fmt.Errorf("%q is too short: write at least %d letters of the key", key[0], leastKeyPrefix)
	}
	var found []mesh.Event
	for _, e := range l.last {
		if strings.HasPrefix(e.IdempotencyKey(), strings.ToLower(key[0])) {
			found = append(found, e)
		}
	}
	switch len(found) {
	case 0:
		return mesh.Event{}, fmt.Errorf("none of the last %d events has the key %q", len(l.last), key[0])
	case 1:
		return found[0], nil
	}
	return mesh.Event{}, fmt.Errorf("%d events have keys that begin with %q: write more of it", len(found), key[0])
}
