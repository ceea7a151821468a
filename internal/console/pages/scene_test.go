package pages

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/genmesh/genmesh/internal/admin"
	"github.com/genmesh/genmesh/internal/live"
	"github.com/genmesh/genmesh/mesh"
)

// today is when the tests look.
var today = time.Date(2026, 11, 20, 14, 2, 11, 0, time.UTC)

// scene is an admin.Operator that says what a test wants to be seen, and remembers what it was told to do. What the real one does is
// tested beside it, and against it in direct_test.go.
type scene struct {
	mu   sync.Mutex
	told []string
	by   admin.By
	err  error // of everything

	// word stands wherever somebody outside has the word.
	word        string
	body        []byte
	hidden      bool
	subscribers int
	overview    func(*admin.Overview)
	plan        mesh.Plan
	looks       int
}

func newScene() *scene {
	return &scene{word: "503 Service Unavailable: upstream crm-7 is down", body: []byte(`{"id":"6f1c","eventTypeId":"connected","data":{"caller":"+49 30 1234","priority":3,"vip":true}}`), subscribers: 4}
}

func (s *scene) tell(by admin.By, format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told, s.by = append(s.told, fmt.Sprintf(format, args...)), by
}

func (s *scene) fails() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

func wave(n int, least, most, turn float64) []float64 {
	values := make([]float64, n)
	for i := range values {
		values[i] = least + (most-least)*(0.5+0.5*math.Sin(float64(i)/turn))
	}
	return values
}

func (s *scene) Overview(context.Context) (admin.Overview, error) {
	s.mu.Lock()
	s.looks++
	change := s.overview
	s.mu.Unlock()
	if err := s.fails(); err != nil {
		return admin.Overview{}, err
	}
	streams, _ := s.Streams(context.Background())
	subscribers, _ := s.Subscribers(context.Background())
	o := admin.Overview{
		At: today, Connected: true, Streams: streams, Subscribers: subscribers, DeadLetters: 318, Quarantined: 4, Processes: 3,
		Sources: []admin.Source{
			{Name: "genesys", Path: "/webhooks/genesys", Stream: "INTERACTIONS", Health: admin.HealthGood, LastStored: today.Add(-2 * time.Second), Flow: &live.SourceFlow{Accepted: 128, Duplicate: 1.5, Latency: live.Latency{P50: .004, P99: .021}, AcceptedSeries: wave(60, 90, 140, 6)}},
			{Name: "billing", Path: "/webhooks/billing", Stream: "INTERACTIONS", Sensitive: true, Health: admin.HealthSlow, Why: s.word, LastStored: today.Add(-6 * time.Minute), Flow: &live.SourceFlow{Accepted: 3.2, Rejected: 0.4, Latency: live.Latency{P50: .01, P99: .2}, AcceptedSeries: wave(60, 0, 9, 4)}},
			{Name: "chat", Path: "/webhooks/chat", Stream: "CHATS", Health: admin.HealthGood, LastStored: today.Add(-40 * time.Second), Flow: &live.SourceFlow{Accepted: 0.05, AcceptedSeries: wave(60, 0, 1, 2)}},
		},
	}
	if change != nil {
		change(&o)
	}
	return o, nil
}

func (s *scene) subscriber(name, stream string, health admin.Health, n int) admin.Subscriber {
	sub := admin.Subscriber{
		SubscriberState: mesh.SubscriberState{
			Name: name, Stream: stream, Order: mesh.OrderInteraction, Partitions: 1, Served: true, Waiting: uint64(n % 7), InHand: uint64(n % 3), Replays: []mesh.RunningReplay{},
			Consumers: []mesh.ConsumerState{{Stream: stream, Name: name, Waiting: uint64(n % 7), Served: true}, {Stream: "DEAD_LETTERS", Name: name, Replays: true, Served: true}},
		},
		Kind: "https", Target: "https://" + name + ".example.com/events", Health: health, Description: "The " + name + " of the contact centre",
		Flow: &live.SubscriberFlow{
			In: 128 / float64(1+n%5), Out: 126 / float64(1+n%5), Latency: live.Latency{P50: .018, P99: .180}, Attempts: map[string]uint64{"delivered": 120_340, "failed": 318},
			Buckets:   []live.Bucket{{Seconds: .001}, {Seconds: .0025, Count: 14}, {Seconds: .006, Count: 480}, {Seconds: .0156, Count: 1900}, {Seconds: .039, Count: 2600}, {Seconds: .098, Count: 900}, {Seconds: .24, Count: 120}, {Seconds: .61, Count: 8}, {Count: 1}},
			OutSeries: wave(60, 60, 128/float64(1+n%5), 7), LagSeries: wave(60, 0, 20, 5), P99Series: wave(60, .1, .3, 8),
		},
	}
	switch health {
	case admin.HealthFailing:
		sub.Why, sub.DeadLetters, sub.Waiting, sub.InHand = s.word, 318, 12_400, 256
		sub.Oldest = &mesh.OldestWaiting{Sequence: 4711, Stored: today.Add(-3*time.Minute - 12*time.Second)}
		sub.Breaker = &mesh.BreakerState{Open: true, Since: today.Add(-2 * time.Minute), Until: today.Add(20 * time.Second), Probes: 4, Error: s.word}
		sub.Flow.Out, sub.Flow.Retried, sub.Flow.OutSeries, sub.Flow.LagSeries = 0, 2.1, append(wave(40, 100, 128, 7), make([]float64, 20)...), append(make([]float64, 30), wave(30, 100, 12_400, 19)...)
		sub.Flow.Errors = []live.Error{{Class: "status", Status: 503, Text: s.word, Count: 318, First: today.Add(-2 * time.Minute), Last: today.Add(-time.Second), Stream: stream, Sequence: 4711}}
		sub.Replays = []mesh.RunningReplay{{HistoryReplay: mesh.HistoryReplay{ID: "a1b2c3d4", From: 1, Until: 9000, Rate: mesh.Rate{Events: 50, Per: time.Second}, Events: 8000, Began: today.Add(-time.Minute), By: "ada", Reason: s.word}, Subscriber: name, Left: 5000, Served: true}}
	case admin.HealthPaused:
		sub.Pause = &mesh.Pause{Since: today.Add(-5 * time.Minute), Until: today.Add(10 * time.Minute), By: "ada", Reason: s.word}
		sub.Why, sub.Waiting, sub.Flow.Out = "paused by ada: "+s.word, 900, 0
		sub.Oldest = &mesh.OldestWaiting{Sequence: 4000, Stored: today.Add(-5 * time.Minute)}
	case admin.HealthSlow:
		sub.Why, sub.Waiting = "falls behind by 12 events a second", 3100
		sub.Oldest = &mesh.OldestWaiting{Sequence: 4500, Stored: today.Add(-50 * time.Second)}
		sub.Flow.Latency = live.Latency{P50: .9, P99: 2.4}
	}
	return sub
}

func (s *scene) Subscribers(_ context.Context, names ...string) ([]admin.Subscriber, error) {
	if err := s.fails(); err != nil {
		return nil, err
	}
	all := []admin.Subscriber{
		s.subscriber("analytics", "INTERACTIONS", admin.HealthGood, 1), s.subscriber("crm", "INTERACTIONS", admin.HealthFailing, 2),
		s.subscriber("compliance", "INTERACTIONS", admin.HealthSlow, 3), s.subscriber("chatlog", "CHATS", admin.HealthPaused, 4),
	}
	for i := len(all); i < s.subscribers; i++ {
		all = append(all, s.subscriber(fmt.Sprintf("domain-%03d", i), "INTERACTIONS", admin.HealthGood, i))
	}
	all = all[:min(len(all), s.subscribers)]
	if len(names) == 0 {
		return all, nil
	}
	for _, sub := range all {
		if sub.Name == names[0] {
			return []admin.Subscriber{sub}, nil
		}
	}
	return nil, nil
}

func (s *scene) Streams(context.Context) ([]admin.Stream, error) {
	one := admin.Stream{
		Name: "INTERACTIONS", Description: "Interaction events, as their senders signed them", Subjects: []string{"genesys.>", "billing.>"}, Applied: true, Storage: "file", Retention: "limits", Discard: "new",
		Messages: 1_024_318, Bytes: 8 << 30, First: today.Add(-160 * time.Hour), Last: today.Add(-2 * time.Second), FirstSeq: 1, LastSeq: 1_024_318, MaxBytes: 10 << 30, MaxMessages: -1, MaxAge: mesh.Duration(168 * time.Hour), Fill: 0.8,
		Replicas: 3, Leader: "nats-1", Followers: []admin.Replica{{Name: "nats-2", Current: true}, {Name: "nats-3", Lag: 412}}, Window: mesh.Duration(2 * time.Hour), InWindow: 84_000, Consumers: 7, Health: admin.HealthSlow, Why: "80 % of its max_bytes are used",
		Flow: &live.StreamFlow{Stored: 131, StoredSeries: wave(60, 90, 140, 6)},
	}
	two := admin.Stream{Name: "CHATS", Subjects: []string{"chat.>"}, Applied: true, Storage: "file", Retention: "limits", Discard: "old", Messages: 12, Bytes: 9000, First: today.Add(-time.Hour), Last: today.Add(-time.Minute), FirstSeq: 1, LastSeq: 12, MaxBytes: -1, MaxMessages: 1000, Fill: .012, Replicas: 1, Health: admin.HealthGood, Flow: &live.StreamFlow{Stored: .05, StoredSeries: wave(60, 0, 1, 2)}}
	three := admin.Stream{Name: "DEAD_LETTERS", Subjects: []string{"dead.>"}, Health: admin.HealthUnknown, Why: "it is not applied", MaxBytes: -1, MaxMessages: -1}
	return []admin.Stream{one, two, three}, s.fails()
}

func (s *scene) event(n uint64) admin.Event {
	return admin.Event{
		Stream: "INTERACTIONS", Sequence: n, Subject: "genesys.17.v2%2Econversations.call." + s.word, Stored: today.Add(-time.Duration(n) * time.Second), Source: "genesys", Organization: s.word,
		Interaction: "6f1c2d3e-" + s.word, Type: "v2.detail.events.conversation." + s.word, Media: "call", EventID: s.word, Fingerprint: "91ab33", Occurred: today.Add(-time.Minute), Received: today.Add(-time.Minute), Bytes: len(s.body),
	}
}

func (s *scene) Events(_ context.Context, q admin.EventQuery) (admin.EventPage, error) {
	p := admin.EventPage{Stream: "INTERACTIONS", Next: "c2"}
	for n := range uint64(12) {
		p.Events = append(p.Events, s.event(n+1))
	}
	if q.Type == "none" {
		return admin.EventPage{Stream: q.Stream, SearchedTo: today.Add(-time.Hour)}, s.fails()
	}
	return p, s.fails()
}

func (s *scene) deliveries() []mesh.TimelineDelivery {
	return []mesh.TimelineDelivery{
		{Subscriber: "analytics", State: "delivered", Attempts: 1, Began: today.Add(-50 * time.Second), Ended: today.Add(-50*time.Second + 18*time.Millisecond), Waited: mesh.Duration(4 * time.Millisecond)},
		{Subscriber: "crm", State: "dead", Reason: "rejected", Attempts: 6, Began: today.Add(-50 * time.Second), Ended: today.Add(-10 * time.Second), DeadLetter: 12, EachAttempt: []mesh.Attempt{
			{At: today.Add(-50 * time.Second), Took: mesh.Duration(30 * time.Millisecond), Outcome: "failed", Status: 500},
			{At: today.Add(-30 * time.Second), Took: mesh.Duration(time.Second), Outcome: "waits"},
			{At: today.Add(-10 * time.Second), Took: mesh.Duration(12 * time.Microsecond), Outcome: "rejected", Status: 422},
		}},
		{Subscriber: "crm", State: mesh.StateWaiting, Replay: true},
		{
			Subscriber: "compliance", State: mesh.StateInHand, Attempts: 1, Began: today.Add(-40 * time.Second), NextAttempt: today.Add(20 * time.Second),
			EachAttempt: []mesh.Attempt{{At: today.Add(-40 * time.Second), Took: mesh.Duration(7 * time.Millisecond), Outcome: "failed", Status: 503}},
		}, {Subscriber: "chatlog", State: mesh.StateNotMatched},
	}
}

func (s *scene) Event(_ context.Context, stream string, sequence uint64) (admin.EventDetail, error) {
	e := s.event(sequence)
	e.Stream = stream
	return admin.EventDetail{Event: e, Body: s.bodyNow(), Headers: map[string]string{"Genmesh-Source": "genesys", "X-" + s.word: s.word}, Deliveries: s.deliveries()}, s.fails()
}

func (s *scene) bodyNow() admin.Body {
	if s.hidden {
		return admin.Body{Hidden: true}
	}
	return admin.Body{Raw: s.body}
}

func (s *scene) Timeline(_ context.Context, search mesh.InteractionSearch) (*mesh.Timeline, error) {
	line := &mesh.Timeline{Interaction: search.Interaction, Recorded: true, Truncated: search.Limit < 1000, Looked: []mesh.LookedInto{{Stream: "INTERACTIONS", Messages: 1_024_318, Oldest: today.Add(-160 * time.Hour)}, {Stream: "QUARANTINE"}}}
	if search.Interaction == "nowhere" {
		return line, s.fails()
	}
	var body any = string(s.body)
	if json.Valid(s.body) {
		body = json.RawMessage(s.body)
	}
	for n := range uint64(3) {
		e := s.event(n + 1)
		line.Events = append(line.Events, mesh.TimelineEvent{Stored: today.Add(-time.Duration(60-20*n) * time.Second), Source: []string{"genesys", "billing", "genesys"}[n], Type: e.Type, Media: e.Media, Stream: e.Stream, Sequence: e.Sequence, Bytes: e.Bytes, Body: body, Deliveries: s.deliveries()})
	}
	line.DeadLetters = []mesh.TimelineDeadLetter{{Number: 12, Buried: today, Subscriber: "crm", Reason: mesh.DeadRejected, Attempts: 6, Status: 422, Error: s.word, Source: "genesys", Type: s.word}}
	line.Quarantined = []mesh.TimelineQuarantined{{Number: 3, Since: today, Source: "genesys", Type: s.word, Reason: "schema", Detail: s.word, Bytes: 12, Body: body}}
	return line, s.fails()
}

func (s *scene) dead(n uint64) admin.DeadLetter {
	return admin.DeadLetter{Number: n, Subscriber: "crm", Reason: "rejected", Status: 422, Attempts: 6, Error: s.word, Answer: s.word, FirstAttempt: today.Add(-time.Hour), LastAttempt: today.Add(-time.Minute), Buried: today.Add(-time.Minute), Event: s.event(n)}
}

func (s *scene) DeadLetters(_ context.Context, q admin.DeadQuery) (admin.DeadPage, error) {
	p := admin.DeadPage{Next: "c2"}
	for n := range uint64(min(12, q.Limit)) {
		p.DeadLetters = append(p.DeadLetters, s.dead(n+1))
	}
	return p, s.fails()
}

func (s *scene) DeadLetter(_ context.Context, number uint64) (admin.DeadLetter, error) {
	d, body := s.dead(number), s.bodyNow()
	d.Body = &body
	if number == 404 {
		return d, admin.NotFound("there is no dead letter 404")
	}
	return d, s.fails()
}

func (s *scene) DeadGroups(context.Context, admin.DeadQuery) (admin.DeadGroups, error) {
	return admin.DeadGroups{Total: 330, Looked: 330, Groups: []admin.DeadGroup{
		{Cause: "crm|rejected|422|" + s.word, Subscriber: "crm", Reason: "rejected", Status: 422, Error: s.word, Answer: s.word, Count: 318, First: today.Add(-80 * time.Minute), Last: today.Add(-3 * time.Second), Sample: 318},
		{Cause: "c2", Subscriber: "analytics", Reason: "exhausted", Error: "dial tcp 10.1.2.3:443: connect: connection refused", Count: 12, First: today.Add(-26 * time.Hour), Last: today.Add(-25 * time.Hour), Sample: 9},
	}}, s.fails()
}

func (s *scene) quarantinedOne(n uint64) admin.Quarantined {
	return admin.Quarantined{Number: n, Since: today.Add(-time.Hour), Reason: "schema", Detail: s.word, Event: s.event(n)}
}

func (s *scene) Quarantined(context.Context, admin.QuarantineQuery) (admin.QuarantinePage, error) {
	return admin.QuarantinePage{Quarantined: []admin.Quarantined{s.quarantinedOne(1), s.quarantinedOne(2)}}, s.fails()
}

func (s *scene) QuarantinedEvent(_ context.Context, number uint64) (admin.Quarantined, error) {
	q, body := s.quarantinedOne(number), s.bodyNow()
	q.Body = &body
	return q, s.fails()
}

func (s *scene) QuarantineGroups(context.Context, admin.QuarantineQuery) (admin.QuarantineGroups, error) {
	return admin.QuarantineGroups{Total: 4, Looked: 4, Groups: []admin.QuarantineGroup{{Source: "genesys", Reason: "schema", Detail: s.word, Count: 4, First: today.Add(-time.Hour), Last: today.Add(-time.Minute), Sample: 2}}}, s.fails()
}

func (s *scene) PlanReplay(_ context.Context, ask admin.ReplayAsk) (admin.ReplayPlan, error) {
	if ask.Type == "none" {
		return admin.ReplayPlan{}, mesh.ErrNothingToReplay
	}
	return admin.ReplayPlan{HistoryReplay: mesh.HistoryReplay{ID: "a1b2", From: 10, Until: 4711, Events: 4702}, Subscriber: ask.Subscriber, Stream: "INTERACTIONS", Estimate: mesh.ReplayEstimate{First: today.Add(-2 * time.Hour), Last: today, Bytes: 38 << 20, Takes: mesh.Duration(94 * time.Second), MostCalls: 28_212}}, s.fails()
}
func (s *scene) Replays(context.Context, string) ([]mesh.RunningReplay, error) { return nil, s.fails() }

func (s *scene) Configuration(context.Context) (admin.Configuration, error) {
	return admin.Configuration{File: "streams.json", Text: "{\n  \"sources\": [ // " + s.word + "\n  ]\n}\n", Loaded: today.Add(-time.Hour), Refused: s.word, Plan: s.plan}, s.fails()
}

func (s *scene) Audit(context.Context, admin.AuditQuery) (admin.AuditPage, error) {
	return admin.AuditPage{Next: "c2", Records: []admin.AuditRecord{
		{Number: 9, Audit: mesh.Audit{At: today.Add(-time.Minute), Who: mesh.Actor{User: s.word, Role: "operator", Via: "password", Address: "10.0.0.7"}, Action: "pause", Subscriber: "crm", Reason: s.word, Result: mesh.AuditDone}},
		{Number: 8, Audit: mesh.Audit{At: today.Add(-time.Hour), Who: mesh.Actor{OSUser: "ada", NATSUser: "admin"}, Action: "erase", InteractionSHA256: "1f2e3d4c5b6a79880011", Reason: "GDPR request 12", Result: mesh.AuditIncomplete, Problem: s.word, Streams: []mesh.StreamErasure{{Stream: "INTERACTIONS", Found: 3, Erased: 2}}}},
		{Number: 7, Audit: mesh.Audit{At: today.Add(-time.Hour), Who: mesh.Actor{User: "ada"}, Action: "dead-replay", About: "all", Count: 12, Reason: s.word, Result: mesh.AuditIntended}},
		{Number: 6, Audit: mesh.Audit{At: today.Add(-time.Hour), Who: mesh.Actor{User: "ada"}, Action: "replay", Subscriber: "crm", About: "replay x7", Count: 816, Reason: s.word, Result: mesh.AuditDone}},
	}}, s.fails()
}

func (s *scene) Processes(context.Context) ([]admin.Process, error) {
	return []admin.Process{
		{ID: "p1", Host: "worker-1", PID: 4711, Version: "1.0.0", Parts: []string{"ingress", "workers"}, Started: today.Add(-50 * time.Hour), LogLevel: "info"},
		{ID: "p2", Host: s.word, PID: 1, Version: "1.0.0", Parts: []string{"workers"}, Started: today.Add(-time.Hour), LogLevel: "debug", LogLevelUntil: today.Add(time.Minute), Ready: s.word},
	}, s.fails()
}

func (s *scene) erasure(id string) admin.ErasureResult {
	return admin.ErasureResult{Erasure: &mesh.Erasure{Interaction: id, Streams: []mesh.StreamErasure{{Stream: "INTERACTIONS", Found: 3, Left: 3}, {Stream: "DEAD_LETTERS", Found: 1, Left: 1, Problem: s.word}}, Elsewhere: []string{"COPY"},
		Notices: []mesh.ErasureNotice{{Source: "genesys", Stream: "INTERACTIONS", Sequence: 7, Unheard: []string{"crm"}}}}}
}
func (s *scene) PlanErasure(_ context.Context, id, _ string) (admin.ErasureResult, error) {
	return s.erasure(id), s.fails()
}

func (s *scene) ReplayDeadLetters(_ context.Context, by admin.By, c admin.DeadSelection, p admin.Progress) (admin.ActResult, error) {
	s.tell(by, "replay %s", inJSON(c))
	p(1, 2)
	return admin.ActResult{Action: "replay", Chosen: 2, Done: 1, Failed: []admin.ActFailed{{Number: 7, Error: s.word}}}, s.fails()
}
func (s *scene) DiscardDeadLetters(_ context.Context, by admin.By, c admin.DeadSelection, _ admin.Progress) (admin.ActResult, error) {
	s.tell(by, "discard %s", inJSON(c))
	return admin.ActResult{Action: "discard", Chosen: 2, Done: 2}, s.fails()
}
func (s *scene) ReleaseQuarantined(_ context.Context, by admin.By, c admin.QuarantineSelection, _ admin.Progress) (admin.ActResult, error) {
	s.tell(by, "release %s", inJSON(c))
	return admin.ActResult{Action: "release", Chosen: 1, Done: 1}, s.fails()
}
func (s *scene) DiscardQuarantined(_ context.Context, by admin.By, c admin.QuarantineSelection, _ admin.Progress) (admin.ActResult, error) {
	s.tell(by, "discard quarantined %s", inJSON(c))
	return admin.ActResult{Action: "discard", Chosen: 1, Done: 1}, s.fails()
}
func (s *scene) Pause(_ context.Context, by admin.By, name string, length mesh.Duration) (admin.PauseResult, error) {
	s.tell(by, "pause %s %s", name, length)
	return admin.PauseResult{SubscriberState: mesh.SubscriberState{Stream: "INTERACTIONS"}, MaxAge: mesh.Duration(7 * 24 * time.Hour), CatchUp: admin.CatchUp{Backlog: 4000, RateLimit: mesh.Rate{Events: 50, Per: time.Second}, Takes: mesh.Duration(80 * time.Second)}}, s.fails()
}
func (s *scene) Resume(_ context.Context, by admin.By, name string) (admin.PauseResult, error) {
	s.tell(by, "resume %s", name)
	return admin.PauseResult{Warning: "pause_until in streams.json pauses it again"}, s.fails()
}
func (s *scene) StartReplay(_ context.Context, by admin.By, ask admin.ReplayAsk) (admin.ReplayPlan, error) {
	s.tell(by, "history %s", inJSON(ask))
	return admin.ReplayPlan{HistoryReplay: mesh.HistoryReplay{ID: "a1b2", Events: 4702}}, s.fails()
}
func (s *scene) CancelReplay(_ context.Context, by admin.By, name, id string) (mesh.RunningReplay, error) {
	s.tell(by, "cancel %s %s", name, id)
	return mesh.RunningReplay{Left: 5}, s.fails()
}
func (s *scene) Apply(_ context.Context, by admin.By, destroy bool) (admin.Applied, error) {
	s.tell(by, "apply %t", destroy)
	return admin.Applied{Done: s.plan.Steps, Notes: []string{s.word}}, s.fails()
}
func (s *scene) Erase(_ context.Context, by admin.By, ask admin.EraseAsk, _ admin.Progress) (admin.ErasureResult, error) {
	s.tell(by, "erase %s", inJSON(ask))
	return s.erasure(ask.Interaction), s.fails()
}
func (s *scene) SetLogLevel(_ context.Context, by admin.By, process, level string, length mesh.Duration) ([]admin.Process, error) {
	s.tell(by, "level %q %s %s", process, level, length)
	return make([]admin.Process, 2), s.fails()
}

func (s *scene) Scrub(context.Context) (mesh.ScrubReport, error) {
	return mesh.ScrubReport{Findings: []mesh.ScrubFinding{{
		ID: 3, Kind: mesh.ScrubMissing, Stream: "INTERACTIONS", First: 75, Last: 148, Count: 74, Found: today, Since: today.Add(-10 * time.Second),
		From: today.Add(-3 * time.Hour), To: today.Add(-2 * time.Hour), Missed: []string{"crm", "analytics"}, Causes: "a damaged disk", Do: "Look at the disk.",
	}}}, s.fails()
}

func (s *scene) RunScrub(_ context.Context, deep bool, progress admin.Progress) (mesh.ScrubReport, error) {
	s.tell(admin.By{}, "scrub, deep %v", deep)
	progress(7, 7)
	return s.Scrub(context.Background())
}

func (s *scene) AcceptScrub(_ context.Context, by admin.By, id uint64) (admin.ScrubAccepted, error) {
	s.tell(by, "accept %d", id)
	return admin.ScrubAccepted{
		Finding: mesh.ScrubFinding{ID: id, Kind: mesh.ScrubMissing, Stream: "INTERACTIONS", Count: 74}, Trail: admin.Trail{Audited: true},
	}, s.fails()
}

func inJSON(v any) string {
	data, _ := json.Marshal(v)
	return string(data)
}
