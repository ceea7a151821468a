package api

import (
	"context"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/internal/admin"
	"github.com/genmesh/genmesh/mesh"
)

// odd is an interaction whose id must survive its way through addresses.
const odd = "a/b ü%2F?#.."

// furnish gives a mesh something of everything.
func (s *station) furnish() {
	for _, state := range []string{"connected", "queued", "ended"} {
		s.put("call-1", state)
	}
	s.put("call-2", "connected")
	s.put(odd, "connected")
	s.put("..", "connected")
	s.bury("call-1", 1, "crm")
	s.bury("call-1", 2, "crm")
	s.bury("call-2", 4, "analytics")
	s.bury(odd, 5, "crm")
	s.quarantine("call-3", interactionBody("call-3", "connected"))
	s.quarantine("call-4", "{\"no\": \"json\"")
	s.quarantine("call-5", interactionBody("call-5", "connected"))
	s.lose()
}

// lose has a scrub's finding noted: to lose something takes a while.
func (s *station) lose() {
	s.t.Helper()
	bucket, err := s.js.KeyValue(s.t.Context(), mesh.StateBucket)
	require.NoError(s.t, err)
	_, err = bucket.PutString(s.t.Context(), "scrub.findings", `{"next": 1, "findings": [{"id": 1, "kind": "missing", "stream": "INTERACTIONS",
		"first": 7, "last": 9, "count": 3, "found": "2026-11-30T01:02:03Z", "since": "2026-11-30T01:01:53Z", "from": "2026-11-29T11:02:03Z",
		"to": "2026-11-29T11:02:09Z", "missed": ["crm"], "causes": "a damaged disk", "do": "Look at the disk."}]}`)
	require.NoError(s.t, err)
}

// step is one thing that an operator does. Its name says what.
type step struct {
	name string
	do   func(context.Context, admin.Operator) (any, error)
}

// by is alice, as the console knows her.
func by(reason string) admin.By {
	return admin.By{Reason: reason, Who: mesh.Actor{User: "alice", Role: "admin", Via: "token", Address: "127.0.0.1"}}
}

// looks are all that a Looker can do.
func looks() []step {
	type ctx = context.Context
	type op = admin.Operator
	return []step{
		{"overview", func(c ctx, o op) (any, error) {
			overview, err := o.Overview(c)
			overview.At = time.Time{}
			return overview, err
		}},
		{"subscribers", func(c ctx, o op) (any, error) { return o.Subscribers(c) }},
		{"some subscribers", func(c ctx, o op) (any, error) { return o.Subscribers(c, "crm", "analytics") }},
		{"a subscriber that is not there", func(c ctx, o op) (any, error) { return o.Subscribers(c, "crm", "n/n") }},
		{"streams", func(c ctx, o op) (any, error) { return o.Streams(c) }},
		{"events", func(c ctx, o op) (any, error) { return o.Events(c, admin.EventQuery{}) }},
		{"events of an interaction", func(c ctx, o op) (any, error) {
			return o.Events(c, admin.EventQuery{Stream: "INTERACTIONS", Source: "genesys", Interaction: "call-1", Type: "interaction", Since: moment2026(0)})
		}},
		{"events of a subject", func(c ctx, o op) (any, error) {
			return o.Events(c, admin.EventQuery{Subject: "genesys.>", Until: time.Now()})
		}},
		{"events by page", func(c ctx, o op) (any, error) {
			first, err := o.Events(c, admin.EventQuery{Limit: 2})
			if err != nil {
				return first, err
			}
			return o.Events(c, admin.EventQuery{Limit: 2, Cursor: first.Next})
		}},
		{"events of no stream", func(c ctx, o op) (any, error) { return o.Events(c, admin.EventQuery{Stream: "NONE"}) }},
		{"an event", func(c ctx, o op) (any, error) { return o.Event(c, "INTERACTIONS", 1) }},
		{"an event that is not there", func(c ctx, o op) (any, error) { return o.Event(c, "INTERACTIONS", 99) }},
		{"a timeline", func(c ctx, o op) (any, error) {
			return o.Timeline(c, mesh.InteractionSearch{Interaction: "call-1", Bodies: true, Source: "genesys", Since: moment2026(0), Limit: 2})
		}},
		{"a timeline of an odd id", func(c ctx, o op) (any, error) {
			return o.Timeline(c, mesh.InteractionSearch{Interaction: odd, Bodies: true})
		}},
		{"a timeline of dots", func(c ctx, o op) (any, error) { return o.Timeline(c, mesh.InteractionSearch{Interaction: ".."}) }},
		{"a timeline of what is no JSON", func(c ctx, o op) (any, error) {
			return o.Timeline(c, mesh.InteractionSearch{Interaction: "call-4", Bodies: true})
		}},
		{"a timeline of nothing", func(c ctx, o op) (any, error) { return o.Timeline(c, mesh.InteractionSearch{Interaction: "nothing"}) }},
		{"a timeline of no source", func(c ctx, o op) (any, error) {
			return o.Timeline(c, mesh.InteractionSearch{Interaction: "call-1", Source: "nobody"})
		}},
		{"dead letters", func(c ctx, o op) (any, error) { return o.DeadLetters(c, admin.DeadQuery{}) }},
		{"some dead letters", func(c ctx, o op) (any, error) {
			first, err := o.DeadLetters(c, admin.DeadQuery{Subscriber: "crm", Reason: mesh.DeadRejected, Limit: 1})
			if err != nil {
				return first, err
			}
			return o.DeadLetters(c, admin.DeadQuery{Subscriber: "crm", Limit: 1, Cursor: first.Next, Since: moment2026(0)})
		}},
		{"a cursor that is none", func(c ctx, o op) (any, error) { return o.DeadLetters(c, admin.DeadQuery{Cursor: "x"}) }},
		{"a dead letter", func(c ctx, o op) (any, error) { return o.DeadLetter(c, 1) }},
		{"a dead letter that is not there", func(c ctx, o op) (any, error) { return o.DeadLetter(c, 99) }},
		{"dead groups", func(c ctx, o op) (any, error) { return o.DeadGroups(c, admin.DeadQuery{}) }},
		{"a dead group", func(c ctx, o op) (any, error) {
			groups, err := o.DeadGroups(c, admin.DeadQuery{})
			if err != nil {
				return groups, err
			}
			return o.DeadLetters(c, admin.DeadQuery{Cause: groups.Groups[0].Cause})
		}},
		{"the quarantine", func(c ctx, o op) (any, error) {
			return o.Quarantined(c, admin.QuarantineQuery{Source: "genesys", Reason: "schema", Limit: 2})
		}},
		{"an event in quarantine", func(c ctx, o op) (any, error) { return o.QuarantinedEvent(c, 1) }},
		{"an event in quarantine that is no JSON", func(c ctx, o op) (any, error) { return o.QuarantinedEvent(c, 2) }},
		{"an event in quarantine that is not there", func(c ctx, o op) (any, error) { return o.QuarantinedEvent(c, 99) }},
		{"quarantine groups", func(c ctx, o op) (any, error) { return o.QuarantineGroups(c, admin.QuarantineQuery{}) }},
		{"the plan of a replay", func(c ctx, o op) (any, error) {
			plan, err := o.PlanReplay(c, admin.ReplayAsk{Subscriber: "crm", Since: moment2026(0), Type: "interaction", Rate: mesh.Rate{Events: 7, Per: time.Minute}})
			plan.Began = time.Time{}
			return plan, err
		}},
		{"the plan of a replay of everything and something", func(c ctx, o op) (any, error) {
			return o.PlanReplay(c, admin.ReplayAsk{Subscriber: "crm", All: true, Type: "interaction"})
		}},
		{"the plan of a replay of nothing", func(c ctx, o op) (any, error) {
			return o.PlanReplay(c, admin.ReplayAsk{Subscriber: "crm", Interaction: "nothing"})
		}},
		{"replays", func(c ctx, o op) (any, error) { return o.Replays(c, "") }},
		{"replays to nobody", func(c ctx, o op) (any, error) { return o.Replays(c, "nobody") }},
		{"the configuration", func(c ctx, o op) (any, error) { return o.Configuration(c) }},
		{"the audit", func(c ctx, o op) (any, error) { return o.Audit(c, admin.AuditQuery{}) }},
		{"processes", func(c ctx, o op) (any, error) { return o.Processes(c) }},
		{"what scrubs have found", func(c ctx, o op) (any, error) { return o.Scrub(c) }},
		{"the plan of an erasure", func(c ctx, o op) (any, error) { return o.PlanErasure(c, "call-1", "") }},
		{"the plan of an erasure of nothing", func(c ctx, o op) (any, error) {
			_, err := o.PlanErasure(c, "", "")
			return nil, kindOnly(err)
		}},
		{"a timeline of no id", func(c ctx, o op) (any, error) {
			_, err := o.Timeline(c, mesh.InteractionSearch{})
			return nil, kindOnly(err)
		}},
		{"the plan of an erasure of no source", func(c ctx, o op) (any, error) { return o.PlanErasure(c, "call-1", "nobody") }},
	}
}

// kindOnly is an error without its words.
func kindOnly(err error) error { return admin.ErrorOf(admin.KindOf(err)) }

// changes are all that a Changer can do, one after another.
func changes() []step {
	type ctx = context.Context
	type op = admin.Operator
	replay := "" // the id of the one that runs
	return []step{
		{"pause without a reason", func(c ctx, o op) (any, error) { return o.Pause(c, by(""), "crm", 0) }},
		{"pause nobody", func(c ctx, o op) (any, error) { return o.Pause(c, by("why"), "nobody", 0) }},
		{"pause for too long", func(c ctx, o op) (any, error) { return o.Pause(c, by("why"), "crm", mesh.Duration(1000*24*time.Hour)) }},
		{"pause", func(c ctx, o op) (any, error) {
			return o.Pause(c, by("the crm is away"), "crm", mesh.Duration(time.Hour))
		}},
		{"pause without an end", func(c ctx, o op) (any, error) { return o.Pause(c, by("analytics, too"), "analytics", 0) }},
		{"resume", func(c ctx, o op) (any, error) { return o.Resume(c, by("it is back"), "crm") }},
		{"resume nobody", func(c ctx, o op) (any, error) { return o.Resume(c, by(""), "nobody") }},

		{"replay no dead letters", func(c ctx, o op) (any, error) { return o.ReplayDeadLetters(c, by(""), admin.DeadSelection{}, nil) }},
		{"replay dead letters by number", func(c ctx, o op) (any, error) {
			told := []int{0, 0}
			result, err := o.ReplayDeadLetters(c, by("mapped"), admin.DeadSelection{Numbers: []uint64{1, 99}}, func(done, of int) { told = []int{done, of} })
			return []any{result, told}, err
		}},
		{"discard dead letters by what they are", func(c ctx, o op) (any, error) {
			return o.DiscardDeadLetters(c, by(""), admin.DeadSelection{
				Subscriber: "crm", Reason: mesh.DeadRejected, Since: moment2026(0), Until: time.Now().Add(time.Hour), Limit: 1,
			}, nil)
		}},
		{"discard dead letters of a reason that is none", func(c ctx, o op) (any, error) {
			return o.DiscardDeadLetters(c, by(""), admin.DeadSelection{Reason: "bored"}, nil)
		}},
		{"try to release", func(c ctx, o op) (any, error) {
			return o.ReleaseQuarantined(c, by(""), admin.QuarantineSelection{All: true, DryRun: true}, nil)
		}},
		{"release", func(c ctx, o op) (any, error) {
			return o.ReleaseQuarantined(c, by("schema mended"), admin.QuarantineSelection{Numbers: []uint64{1, 2}}, nil)
		}},
		{"discard quarantined", func(c ctx, o op) (any, error) {
			return o.DiscardQuarantined(c, by(""), admin.QuarantineSelection{Source: "genesys", Reason: "schema"}, nil)
		}},

		{"start a replay", func(c ctx, o op) (any, error) {
			plan, err := o.StartReplay(c, by("lost there"), admin.ReplayAsk{Subscriber: "crm", All: true})
			replay, plan.ID = plan.ID, "its id"
			return plan, err
		}},
		{"cancel it", func(c ctx, o op) (any, error) {
			running, err := o.CancelReplay(c, by("enough"), "crm", replay)
			running.ID = "its id"
			return running, err
		}},
		{"cancel another", func(c ctx, o op) (any, error) { return o.CancelReplay(c, by(""), "crm", "n/n") }},

		{"apply what is applied", func(c ctx, o op) (any, error) { return o.Apply(c, by(""), false) }},
		{"erase without a reason", func(c ctx, o op) (any, error) { return o.Erase(c, by(""), admin.EraseAsk{Interaction: odd}, nil) }},
		{"erase", func(c ctx, o op) (any, error) {
			return o.Erase(c, by("asked to"), admin.EraseAsk{Interaction: odd}, nil)
		}},
		{"erase what is gone", func(c ctx, o op) (any, error) {
			return o.Erase(c, by("asked to"), admin.EraseAsk{Interaction: odd, Source: "genesys", NotifyAgain: true}, nil)
		}},
		{"erase of no source", func(c ctx, o op) (any, error) {
			return o.Erase(c, by("asked to"), admin.EraseAsk{Interaction: odd, Source: "nobody"}, nil)
		}},

		{"scrub", func(c ctx, o op) (any, error) {
			report, err := o.RunScrub(c, false, nil)
			return report.Findings, err
		}},
		{"scrub deeply", func(c ctx, o op) (any, error) {
			told := []int{0, 0}
			report, err := o.RunScrub(c, true, func(done, of int) { told = []int{done, of} })
			return []any{report.Findings, told[0] == told[1] && told[0] > 0}, err
		}},
		{"accept without a reason", func(c ctx, o op) (any, error) { return o.AcceptScrub(c, by(""), 1) }},
		{"accept", func(c ctx, o op) (any, error) { return o.AcceptScrub(c, by("restored from the backup"), 1) }},
		{"accept what was not found", func(c ctx, o op) (any, error) { return o.AcceptScrub(c, by("old"), 99) }},

		{"all log levels", func(c ctx, o op) (any, error) {
			return o.SetLogLevel(c, by("to see"), "", "debug", mesh.Duration(time.Minute))
		}},
		{"a log level", func(c ctx, o op) (any, error) { return o.SetLogLevel(c, by(""), "p1", "warning", 0) }},
		{"a log level that is none", func(c ctx, o op) (any, error) { return o.SetLogLevel(c, by(""), "p1", "loud", 0) }},
		{"a log level of nobody", func(c ctx, o op) (any, error) { return o.SetLogLevel(c, by(""), "n/n", "debug", 0) }},

		{"dead letters that are left", func(c ctx, o op) (any, error) { return o.DeadLetters(c, admin.DeadQuery{}) }},
		{"events that are left", func(c ctx, o op) (any, error) { return o.Events(c, admin.EventQuery{}) }},
		{"the audit of all that", func(c ctx, o op) (any, error) { return o.Audit(c, admin.AuditQuery{}) }},
		{"a part of the audit", func(c ctx, o op) (any, error) {
			return o.Audit(c, admin.AuditQuery{Action: "pause", Subscriber: "crm", User: "alice", Since: moment2026(0), Limit: 1})
		}},
	}
}
