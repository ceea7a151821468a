package admin_test

import (
	"context"
	"encoding/json"
	"reflect"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/internal/admin"
	"github.com/genmesh/genmesh/internal/live"
	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/workers/republish"
)

// planted is what a body said; nothing that a viewer reads may repeat it.
const planted = "+49 30 123456"

// repeating is an Operator each of whose answers repeats the body of an event of its source, wherever it may. What it does not answer
// itself is not there.
type repeating struct {
	admin.Operator
	source string
}

func (r repeating) event() admin.Event {
	return admin.Event{Source: r.source, Stream: "S", Sequence: 1}
}

func (r repeating) letter() admin.DeadLetter {
	return admin.DeadLetter{Number: 1, Error: planted, Answer: planted, Event: r.event(), Body: r.body(), Headers: r.headers()}
}

func (r repeating) quarantined() admin.Quarantined {
	return admin.Quarantined{Number: 1, Detail: planted, Event: r.event(), Body: r.body(), Headers: r.headers()}
}

func (r repeating) body() *admin.Body {
	return &admin.Body{Raw: []byte(`"` + planted + `"`), JSON: json.RawMessage(`"` + planted + `"`)}
}

func (r repeating) headers() map[string]string {
	return map[string]string{mesh.HeaderDetail: planted, mesh.HeaderEventType: "interaction"}
}

func (r repeating) subscribers() []admin.Subscriber {
	return []admin.Subscriber{{
		SubscriberState: mesh.SubscriberState{
			Name: "crm", Stream: "S", Breaker: &mesh.BreakerState{Open: true, Error: planted}, Wait: &mesh.Wait{Reason: planted},
		},
		Health: admin.HealthFailing, Why: "breaker open since 14:02 UTC: " + planted,
		Flow: &live.SubscriberFlow{Errors: []live.Error{{Class: "rejected", Text: planted}}},
	}}
}

func (r repeating) Overview(context.Context) (admin.Overview, error) {
	sources := []admin.Source{{Name: r.source, Stream: "S"}}
	if r.source == "" {
		sources = nil
	}
	return admin.Overview{Sources: sources, Subscribers: r.subscribers()}, nil
}

func (r repeating) Subscribers(context.Context, ...string) ([]admin.Subscriber, error) {
	return r.subscribers(), nil
}

func (r repeating) Event(context.Context, string, uint64) (admin.EventDetail, error) {
	return admin.EventDetail{Event: r.event(), Body: *r.body(), Headers: r.headers()}, nil
}

func (r repeating) Timeline(context.Context, mesh.InteractionSearch) (*mesh.Timeline, error) {
	return &mesh.Timeline{
		Events:      []mesh.TimelineEvent{{Source: r.source, Body: planted}},
		DeadLetters: []mesh.TimelineDeadLetter{{Source: r.source, Body: planted, Error: planted}},
		Quarantined: []mesh.TimelineQuarantined{{Source: r.source, Body: planted, Detail: planted}},
	}, nil
}

func (r repeating) DeadLetters(context.Context, admin.DeadQuery) (admin.DeadPage, error) {
	return admin.DeadPage{DeadLetters: []admin.DeadLetter{r.letter()}}, nil
}

func (r repeating) DeadLetter(context.Context, uint64) (admin.DeadLetter, error) {
	return r.letter(), nil
}

func (r repeating) DeadGroups(context.Context, admin.DeadQuery) (admin.DeadGroups, error) {
	return admin.DeadGroups{Groups: []admin.DeadGroup{{Subscriber: "crm", Error: planted, Answer: planted, Source: r.source}}}, nil
}

func (r repeating) Quarantined(context.Context, admin.QuarantineQuery) (admin.QuarantinePage, error) {
	return admin.QuarantinePage{Quarantined: []admin.Quarantined{r.quarantined()}}, nil
}

func (r repeating) QuarantinedEvent(context.Context, uint64) (admin.Quarantined, error) {
	return r.quarantined(), nil
}

func (r repeating) QuarantineGroups(context.Context, admin.QuarantineQuery) (admin.QuarantineGroups, error) {
	return admin.QuarantineGroups{Groups: []admin.QuarantineGroup{{Source: r.source, Detail: planted}}}, nil
}

// harmless are the methods of Looker whose answers can't repeat a body: they hold no text of an event's content, a target's or a check's.
func harmless() []string {
	return []string{"Streams", "Events", "PlanReplay", "Replays", "Configuration", "Audit", "Processes", "Scrub", "PlanErasure"}
}

func isSensitive(source string) bool { return source == "payments" }

// answer calls a method with zero arguments and returns what it answers.
func answer(t *testing.T, op admin.Operator, method string) []reflect.Value {
	t.Helper()
	call := reflect.ValueOf(op).MethodByName(method)
	args := []reflect.Value{reflect.ValueOf(t.Context())}
	for i := 1; i < call.Type().NumIn() && (!call.Type().IsVariadic() || i < call.Type().NumIn()-1); i++ {
		args = append(args, reflect.Zero(call.Type().In(i)))
	}
	return call.Call(args)
}

func TestAViewerReadsNothingOfWhatIsSensitive(t *testing.T) {
	for method := range reflect.TypeFor[admin.Looker]().Methods() {
		if slices.Contains(harmless(), method.Name) {
			continue
		}
		t.Run(method.Name, func(t *testing.T) {
			shown := func(source string) string {
				op := repeating{source: source}
				data, err := json.Marshal(answer(t, admin.ForViewer(op, isSensitive), method.Name)[0].Interface())
				require.NoError(t, err)
				original, err := json.Marshal(answer(t, op, method.Name)[0].Interface())
				require.NoError(t, err)
				require.Contains(t, string(original), planted, "the test plants nothing here")
				return string(data)
			}
			for _, hidden := range []string{"payments", ""} {
				assert.NotContains(t, shown(hidden), planted, "source %q", hidden)
				assert.NotContains(t, shown(hidden), "KzQ5IDMwIDEyMzQ1N", "nor in base64")
			}
			original, err := json.Marshal(answer(t, repeating{source: "genesys"}, method.Name)[0].Interface())
			require.NoError(t, err)
			assert.JSONEq(t, string(original), shown("genesys"), "all else stays as it is")
		})
	}
}

func TestAViewerIsToldThatSomethingIsHidden(t *testing.T) {
	viewer := admin.ForViewer(repeating{source: "payments"}, isSensitive)
	event, err := viewer.Event(t.Context(), "S", 1)
	require.NoError(t, err)
	assert.Equal(t, admin.Body{Hidden: true}, event.Body)
	assert.Equal(t, "interaction", event.Headers[mesh.HeaderEventType])
	letter, err := viewer.DeadLetter(t.Context(), 1)
	require.NoError(t, err)
	assert.Equal(t, &admin.Body{Hidden: true}, letter.Body)
	assert.Equal(t, admin.HiddenText, letter.Error)
	subscribers, err := viewer.Subscribers(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "breaker open since 14:02 UTC: "+admin.HiddenText, subscribers[0].Why)
	page, err := viewer.DeadLetters(t.Context(), admin.DeadQuery{})
	require.NoError(t, err)
	assert.Equal(t, admin.HiddenText, page.DeadLetters[0].Answer)
	grouped, err := viewer.DeadGroups(t.Context(), admin.DeadQuery{})
	require.NoError(t, err)
	assert.Equal(t, admin.HiddenText, grouped.Groups[0].Answer)
}

// copied is a mesh where what comes to the subscriber of an open source may be copies of a sensitive one's events.
type copied struct{ repeating }

func (c copied) Overview(ctx context.Context) (admin.Overview, error) {
	o, err := c.repeating.Overview(ctx)
	o.Sources = append(o.Sources, admin.Source{Name: "payments", Stream: "PAYMENTS"})
	o.Subscribers = append(o.Subscribers, admin.Subscriber{
		SubscriberState: mesh.SubscriberState{Name: "copier", Stream: "PAYMENTS"}, Kind: republish.Scheme,
	})
	return o, err
}

func TestAViewerReadsNothingOfWhatIsCopiedFromASensitiveSource(t *testing.T) {
	viewer := admin.ForViewer(copied{repeating{source: "genesys"}}, isSensitive)
	for _, method := range []string{"Overview", "Subscribers"} {
		data, err := json.Marshal(answer(t, viewer, method)[0].Interface())
		require.NoError(t, err)
		assert.NotContains(t, string(data), planted, method)
	}
}

// TestAViewerReadsAGroupByTheSourceOfItsNewest: the stream's sources may have been others when the event came.
func TestAViewerReadsAGroupByTheSourceOfItsNewest(t *testing.T) {
	d := newDesk(t)
	d.put("call-1", "connected")
	d.bury("call-1")
	groups, err := d.DeadGroups(t.Context(), admin.DeadQuery{})
	require.NoError(t, err)
	assert.Equal(t, "genesys", groups.Groups[0].Source)
	viewer := admin.ForViewer(gone{d.Direct}, func(source string) bool { return source != "chat" })
	groups, err = viewer.DeadGroups(t.Context(), admin.DeadQuery{})
	require.NoError(t, err)
	assert.Equal(t, admin.HiddenText, groups.Groups[0].Error)
}

// gone is a mesh whose source genesys streams.json no longer has: chat feeds its stream now.
type gone struct{ admin.Operator }

func (g gone) Overview(ctx context.Context) (admin.Overview, error) {
	o, err := g.Operator.Overview(ctx)
	o.Sources = []admin.Source{{Name: "chat", Stream: "INTERACTIONS"}}
	return o, err
}

func TestAViewerChangesNothing(t *testing.T) {
	viewer := admin.ForViewer(repeating{}, isSensitive) // which has no such methods
	for method := range reflect.TypeFor[admin.Changer]().Methods() {
		results := answer(t, viewer, method.Name)
		err, _ := results[len(results)-1].Interface().(error)
		assert.ErrorIs(t, err, admin.ErrForbidden, method.Name)
	}
}

func TestAViewerLooksAtARunningMesh(t *testing.T) {
	d := newDesk(t)
	d.put("call-1", "connected")
	d.bury("call-1")
	all := func(string) bool { return true }
	viewer := admin.ForViewer(d.Direct, all)
	detail, err := viewer.Event(t.Context(), "INTERACTIONS", 1)
	require.NoError(t, err)
	assert.True(t, detail.Body.Hidden)
	assert.Len(t, detail.Deliveries, 3)
	grouped, err := viewer.DeadGroups(t.Context(), admin.DeadQuery{})
	require.NoError(t, err)
	assert.Equal(t, admin.HiddenText, grouped.Groups[0].Error)
	open := admin.ForViewer(d.Direct, func(string) bool { return false })
	grouped, err = open.DeadGroups(t.Context(), admin.DeadQuery{})
	require.NoError(t, err)
	assert.Equal(t, "the target answered 422", grouped.Groups[0].Error)
}
