package mesh

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// DestructiveError says that Apply did not make the steps that would lose something.
type DestructiveError struct {
	// Steps were refused, and nothing of them was done.
	Steps []Step
}

// maxRefusedNamed is how many steps the error names; whoever wants them all has Steps.
const maxRefusedNamed = 3

func (e *DestructiveError) Error() string {
	var lines []string
	for _, s := range e.Steps[:min(len(e.Steps), maxRefusedNamed)] {
		lines = append(lines, fmt.Sprintf("%s %s %s: %s", s.Action, s.Kind, s.Name, s.Loses))
	}
	if more := len(e.Steps) - len(lines); more > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", more))
	}
	return "refused without --allow-destroy: " + strings.Join(lines, "; ")
}

// applyTries bounds how often a plan is made anew because another process applies at the same time.
const applyTries = 5

// Apply plans, applies the plan and returns it. While another process applies as well it does both again, a few times; the plan that
// it returns has the steps of all those times. For allowDestroy and the error see Plan.Apply.
func (t *Topology) Apply(ctx context.Context, js jetstream.JetStream, allowDestroy bool, draining Draining) (Plan, error) {
	var before []Step
	for tries := 1; ; tries++ {
		plan, err := t.planPatiently(ctx, js)
		if err != nil {
			return Plan{Steps: before}, err
		}
		plan.Draining = draining
		err = plan.Apply(ctx, js, allowDestroy)
		// What an earlier plan had and this one has not was made since.
		before = slices.DeleteFunc(before, func(s Step) bool {
			return slices.ContainsFunc(plan.Steps, func(now Step) bool { return now.Kind == s.Kind && now.Name == s.Name })
		})
		plan.Steps = append(before, plan.Steps...)
		if tries == applyTries || !errors.Is(err, ErrPlanAgain) {
			return plan, err
		}
		before = plan.Steps
	}
}

// planPatiently plans as soon as the cluster answers: until it has a leader it answers no question.
func (t *Topology) planPatiently(ctx context.Context, js jetstream.JetStream) (plan Plan, err error) {
	replicas := 1
	for _, s := range t.Streams {
		replicas = max(replicas, s.Replicas)
	}
	err = patiently(ctx, replicas, func() error {
		plan, err = t.Plan(ctx, js)
		return err
	})
	return plan, err
}

// Apply makes the steps of the plan. Without allowDestroy it makes the harmless ones and
// returns a *DestructiveError for the rest, joined with what else went wrong, if anything did. It may be run again, and by several processes at
// once: they take turns, and a step that another has made already is done. A plan that was made in the middle of another's run may fail with
// ErrPlanAgain.
func (p Plan) Apply(ctx context.Context, js jetstream.JetStream, allowDestroy bool) error {
	a := applier{js: js, draining: p.Draining}
	var refused []Step
	for _, s := range p.Steps {
		switch {
		case s.Loses != "" && !allowDestroy:
			refused = append(refused, s)
		case slices.ContainsFunc(refused, func(r Step) bool { return r.Name == s.needs && r.Kind == KindStream }):
			// its stream stays as it is, and so does the consumer
		default:
			a.steps = append(a.steps, s)
		}
	}
	err := a.run(ctx)
	switch {
	case len(refused) == 0:
		return err
	case err == nil:
		return &DestructiveError{Steps: refused}
	}
	return errors.Join(err, &DestructiveError{Steps: refused})
}

type applier struct {
	js       jetstream.JetStream
	steps    []Step
	draining Draining
}

// run makes the steps while no other process applies.
func (a *applier) run(ctx context.Context) error {
	if len(a.steps) == 0 {
		return nil
	}
	if err := a.makeBucket(ctx); err != nil {
		return err
	}
	ctx, release, err := lockApply(ctx, a.js)
	if err != nil {
		return err
	}
	defer release()
	err = a.makeAll(ctx)
	if errors.Is(context.Cause(ctx), errApplyTaken) {
		return errors.Join(errApplyTaken, err)
	}
	return err
}

// makeBucket makes the state bucket if it is to be made: before all else, for in it processes take turns.
func (a *applier) makeBucket(ctx context.Context) error {
	for i, s := range a.steps {
		if s.Kind == KindStream && s.Action == Create && s.Name == stateStream {
			a.steps = slices.Delete(slices.Clone(a.steps), i, i+1)
			if err := a.step(ctx, s); err != nil {
				return fmt.Errorf("%s %s %s: %w", s.Action, s.Kind, s.Name, err)
			}
			return nil
		}
	}
	return nil
}

// makeAll makes the steps in their order. A step may have to wait for a later one, as when a
// subject moves from one stream to another: such steps are tried again as long as others
// succeed.
func (a *applier) makeAll(ctx context.Context) error {
	for {
		var waiting []Step
		var errs []error
		for _, s := range a.steps {
			err := a.step(ctx, s)
			if err != nil {
				errs = append(errs, fmt.Errorf("%s %s %s: %w", s.Action, s.Kind, s.Name, err))
			}
			if err != nil && awaitsAnother(err) {
				waiting = append(waiting, s)
			} else if err != nil {
				return errors.Join(errs...)
			}
		}
		if len(waiting) == 0 || len(waiting) == len(a.steps) {
			return errors.Join(errs...)
		}
		a.steps = waiting
	}
}

// errCodeSubjectOverlap is the server's "subjects overlap with an existing stream", which
// nats.go does not name.
const errCodeSubjectOverlap jetstream.ErrorCode = 10065

func awaitsAnother(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) &&
		(api.ErrorCode == errCodeSubjectOverlap || api.ErrorCode == jetstream.JSErrCodeStreamNotFound)
}

func (a *applier) step(ctx context.Context, s Step) error {
	if s.Kind == KindStream {
		return a.streamStep(ctx, s)
	}
	return a.consumerStep(ctx, s)
}

func (a *applier) streamStep(ctx context.Context, s Step) error {
	switch s.Action {
	case Create:
		return a.createStream(ctx, s)
	case Update:
		now, err := a.unchangedStream(ctx, s)
		if err != nil {
			return err
		}
		wanted := withNotesOf(*s.stream, now)
		return patiently(ctx, s.replicas, func() error {
			_, err := a.js.UpdateStream(ctx, wanted)
			return err
		})
	case Delete:
		_, err := a.deleteStream(ctx, s)
		return err
	}
	return a.replaceStream(ctx, s)
}

// withNotesOf is a stream's wanted configuration with what the stream remembers now of where consumers go on: the plan may be older
// than that.
func withNotesOf(wanted jetstream.StreamConfig, now *jetstream.StreamConfig) jetstream.StreamConfig {
	if now == nil {
		return wanted
	}
	isNote := func(key, _ string) bool { return strings.HasPrefix(key, metadataResume) }
	metadata := map[string]string{}
	maps.Copy(metadata, wanted.Metadata)
	maps.DeleteFunc(metadata, isNote)
	for key, value := range now.Metadata {
		if isNote(key, value) {
			metadata[key] = value
		}
	}
	wanted.Metadata = metadata
	return wanted
}

// replaceStream deletes a stream and makes it anew. If the server does not take the new one,
// the old one is made again, empty, so that at least what comes in is stored.
func (a *applier) replaceStream(ctx context.Context, s Step) error {
	old, err := a.deleteStream(ctx, s)
	if err != nil {
		return err
	}
	err = a.createStream(ctx, s)
	if err == nil || old == nil {
		return err
	}
	s.stream = old
	if again := a.createStream(ctx, s); again != nil {
		return fmt.Errorf("the stream was deleted, the new one refused, and the old one too: %w", errors.Join(err, again))
	}
	return fmt.Errorf("the stream was deleted, the new one refused, and the old one made again, empty: %w", err)
}

func (a *applier) createStream(ctx context.Context, s Step) error {
	return patiently(ctx, s.replicas, func() error {
		_, err := a.js.CreateStream(ctx, *s.stream)
		if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
			return fmt.Errorf("another process made it meanwhile, and differently: %w (%w)", ErrPlanAgain, err)
		}
		return err
	})
}

// ErrPlanAgain means that a step was not made because another process has changed meanwhile what the plan had seen. Nothing is
// wrong: plan and apply again.
var ErrPlanAgain = errors.New("another process applies as well; plan again")

// errChanged means that what a step would destroy is not what the plan has seen.
var errChanged = fmt.Errorf("it was made anew since the plan: %w", ErrPlanAgain)

// unchangedStream reads the stream and checks that it is the one that was planned for. It is
// nil if there is none.
func (a *applier) unchangedStream(ctx context.Context, s Step) (*jetstream.StreamConfig, error) {
	stream, err := a.js.Stream(ctx, s.Name)
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return nil, nil
	case err != nil:
		return nil, err
	case !stream.CachedInfo().Created.Equal(s.created):
		return nil, errChanged
	}
	return &stream.CachedInfo().Config, nil
}

// deleteStream returns what it deleted, or nil if it was gone already.
func (a *applier) deleteStream(ctx context.Context, s Step) (*jetstream.StreamConfig, error) {
	old, err := a.unchangedStream(ctx, s)
	if err != nil || old == nil {
		return nil, err
	}
	err = a.js.DeleteStream(ctx, s.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return old, nil
	}
	return old, err
}

const (
	// patience is longer than a cluster takes to choose a leader once a majority of its nodes runs.
	patience = 20 * time.Second
	interval = 250 * time.Millisecond
)

// errCodeNoPeers is the server's "no suitable peers for placement", which nats.go does not name.
const errCodeNoPeers jetstream.ErrorCode = 10005

// patiently repeats what a cluster refuses while its members still find each other.
func patiently(ctx context.Context, replicas int, try func() error) error {
	waiting, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		err := try()
		if err == nil || replicas <= 1 || !passing(err) {
			return err
		}
		select {
		case <-waiting.Done():
			if ctx.Err() != nil {
				return err
			}
			return fmt.Errorf("%w; it did not pass in %s: %s", err, patience, whatIsMissing(err, replicas))
		case <-time.After(interval):
		}
	}
}

// passing reports whether an error is that of a cluster that is not ready yet. A server of its own refuses replicas for good (10074), and
// so does a cluster whose disks are full or whose nodes lack a tag. "Insufficient resources" (10023, with 503) may pass: it is also
// what a consumer gets while most nodes of its stream are away.
func passing(err error) bool {
	var api *jetstream.APIError
	if !errors.As(err, &api) {
		return errors.Is(err, nats.ErrNoResponders) || errors.Is(err, nats.ErrTimeout) || errors.Is(err, context.DeadlineExceeded)
	}
	if api.ErrorCode == errCodeNoPeers {
		return !strings.Contains(api.Description, "insufficient storage") && !strings.Contains(api.Description, "tag")
	}
	return api.Code == 503
}

// whatIsMissing says what to look at when a cluster does not become ready.
func whatIsMissing(err error, replicas int) string {
	var api *jetstream.APIError
	if errors.As(err, &api) && api.ErrorCode == errCodeNoPeers {
		return fmt.Sprintf("see that at least %d nodes with JetStream run and have found each other (num_replicas is %d)", replicas, replicas)
	}
	return "see that most nodes of the cluster run and have found each other"
}
