package admin

import (
	"encoding/json"
	"time"

	"github.com/genmesh/genmesh/internal/live"
	"github.com/genmesh/genmesh/mesh"
)

// The bounds of pages.
const (
	DefaultPage = 100
	MaxPage     = 1000
)

// Overview is the whole mesh at a glance.
type Overview struct {
	At time.Time `json:"at"`
	// Problem is why the rates are old, if they are.
	Problem     string       `json:"problem,omitempty"`
	Sources     []Source     `json:"sources"`
	Streams     []Stream     `json:"streams"`
	Subscribers []Subscriber `json:"subscribers"`
	// DeadLetters and Quarantined are how many there are in all.
	DeadLetters uint64 `json:"dead_letters"`
	Quarantined uint64 `json:"quarantined"`
	// Refused is why streams.json as it is now is not in force; "" if it is, and where the file is not known.
	Refused   string `json:"refused,omitempty"`
	Processes int    `json:"processes"`
	// Connected is false while NATS is out of reach; the rest is then what was known last.
	Connected bool `json:"connected"`
}

// Health says how something stands, for a colour and a word.
type Health string

// The healths, the best first.
const (
	HealthGood    Health = "good"    // flows, or has nothing to do
	HealthPaused  Health = "paused"  // somebody paused it
	HealthStuck   Health = "stuck"   // dead letters or quarantine wait for somebody
	HealthSlow    Health = "slow"    // falls behind
	HealthFailing Health = "failing" // its target fails, or nobody serves it
	HealthUnknown Health = "unknown" // not applied, or nobody can tell
)

// Source is a way in.
type Source struct {
	Name      string `json:"name"`
	Path      string `json:"path,omitempty"`
	Preset    string `json:"preset,omitempty"`
	Stream    string `json:"stream"`
	Sensitive bool   `json:"sensitive,omitempty"`
	Health    Health `json:"health"`
	// Why is why it is not good; "" if it is.
	Why string `json:"why,omitempty"`
	// LastStored is when its stream stored an event of it last; zero if it holds none.
	LastStored time.Time `json:"last_stored,omitzero"`
	// Flow is nil where nobody watches.
	Flow *live.SourceFlow `json:"flow,omitempty"`
}

// Stream is a stream of streams.json, as the server has it.
type Stream struct {
	Name        string   `json:"name"`
	Description string   `json:"description,omitempty"`
	Subjects    []string `json:"subjects"`
	// Applied is false if the server has no such stream; then nothing below is known.
	Applied   bool      `json:"applied"`
	Storage   string    `json:"storage,omitempty"`
	Retention string    `json:"retention,omitempty"`
	Discard   string    `json:"discard,omitempty"`
	Messages  uint64    `json:"messages"`
	Bytes     uint64    `json:"bytes"`
	First     time.Time `json:"first,omitzero"`
	Last      time.Time `json:"last,omitzero"`
	FirstSeq  uint64    `json:"first_sequence"`
	LastSeq   uint64    `json:"last_sequence"`
	// MaxBytes and MaxMessages are -1, and MaxAge 0, where there is no bound.
	MaxBytes    int64         `json:"max_bytes"`
	MaxMessages int64         `json:"max_msgs"`
	MaxAge      mesh.Duration `json:"max_age,omitempty"`
	// Fill is how much of the nearest of its bounds is used, 0 to 1.
	Fill      float64       `json:"fill"`
	Replicas  int           `json:"replicas,omitempty"`
	Leader    string        `json:"leader,omitempty"`
	Followers []Replica     `json:"followers,omitempty"`
	Window    mesh.Duration `json:"duplicate_window,omitempty"`
	// InWindow is about how many ids the server remembers for the duplicate window: what was stored within it.
	InWindow  uint64           `json:"in_window"`
	Consumers int              `json:"consumers"`
	Health    Health           `json:"health"`
	Why       string           `json:"why,omitempty"`
	Flow      *live.StreamFlow `json:"flow,omitempty"`
	// Findings are what scrubs have found in it and nobody has accepted, the newest first.
	Findings []mesh.ScrubFinding `json:"findings,omitempty"`
}

// Replica is another node's copy of a stream.
type Replica struct {
	Name    string `json:"name"`
	Current bool   `json:"current"`
	Offline bool   `json:"offline,omitempty"`
	Lag     uint64 `json:"lag"`
}

// Subscriber is how a subscriber stands and what flows to it.
type Subscriber struct {
	mesh.SubscriberState
	Description string `json:"description,omitempty"`
	// Target is its URL without user, password and query; Kind its scheme.
	Target string `json:"target,omitempty"`
	Kind   string `json:"kind"`
	// DeadLetters is how many of its events are dead letters now.
	DeadLetters uint64               `json:"dead_letters"`
	Health      Health               `json:"health"`
	Why         string               `json:"why,omitempty"`
	Flow        *live.SubscriberFlow `json:"flow,omitempty"`
}

// EventQuery chooses events of one stream.
type EventQuery struct {
	// Stream is the stream; "" is the first that a source feeds.
	Stream      string
	Source      string
	Interaction string
	Type        string
	// Subject is a subject that may have wildcards, instead of Source, Interaction and Type.
	Subject      string
	Since, Until time.Time
	// Limit is 1 to MaxPage; 0 is DefaultPage. Cursor is that of the page before; "" is the newest.
	Limit  int
	Cursor string
}

// EventPage is a page of events, the newest first.
type EventPage struct {
	Stream string  `json:"stream"`
	Events []Event `json:"events"`
	// Next is the cursor of the next page; "" if there is none.
	Next string `json:"next,omitempty"`
	// SearchedTo is how far back was searched, where the search was ended before the page was full: Next goes on there.
	SearchedTo time.Time `json:"searched_to,omitzero"`
}

// Event is a stored event without its body.
type Event struct {
	Stream       string    `json:"stream"`
	Sequence     uint64    `json:"sequence"`
	Subject      string    `json:"subject"`
	Stored       time.Time `json:"stored"`
	Source       string    `json:"source"`
	Organization string    `json:"organization,omitempty"`
	Interaction  string    `json:"interaction"`
	Type         string    `json:"type"`
	Media        string    `json:"media,omitempty"`
	EventID      string    `json:"event_id,omitempty"`
	Fingerprint  string    `json:"fingerprint,omitempty"`
	Occurred     time.Time `json:"occurred,omitzero"`
	Received     time.Time `json:"received,omitzero"`
	Bytes        int       `json:"bytes"`
}

// EventDetail is an event with its body and what became of it.
type EventDetail struct {
	Event
	Body    Body              `json:"body"`
	Headers map[string]string `json:"headers,omitempty"`
	// Deliveries has one or more for each subscriber of the stream.
	Deliveries []mesh.TimelineDelivery `json:"deliveries"`
}

// Body is the body of an event.
type Body struct {
	// Raw are the bytes; nil if they are Hidden.
	Raw []byte `json:"raw,omitempty"`
	// JSON is the same where it is JSON.
	JSON json.RawMessage `json:"json,omitempty"`
	// Hidden is true for a viewer of a source that is sensitive.
	Hidden bool `json:"hidden,omitempty"`
}

// DeadQuery chooses dead letters.
type DeadQuery struct {
	Subscriber string
	Reason     mesh.DeadReason
	// Cause is that of a group; see DeadGroup.
	Cause        string
	Since, Until time.Time
	Limit        int
	Cursor       string
}

// DeadPage is a page of dead letters, the oldest first.
type DeadPage struct {
	DeadLetters []DeadLetter `json:"dead_letters"`
	Next        string       `json:"next,omitempty"`
}

// DeadLetter is an event that a subscriber could not take. Body and Headers are there when one is asked for.
type DeadLetter struct {
	Number       uint64    `json:"number"`
	Subscriber   string    `json:"subscriber"`
	Reason       string    `json:"reason"`
	Status       int       `json:"status,omitempty"`
	Attempts     int       `json:"attempts"`
	Error        string    `json:"error,omitempty"`
	Answer       string    `json:"answer,omitempty"`
	FirstAttempt time.Time `json:"first_attempt,omitzero"`
	LastAttempt  time.Time `json:"last_attempt,omitzero"`
	Buried       time.Time `json:"buried"`
	Event
	Body *Body `json:"body,omitempty"`
	// Headers are those of the event's envelope, as it is stored.
	Headers map[string]string `json:"headers,omitempty"`
}

// DeadGroups are dead letters by cause.
type DeadGroups struct {
	Groups []DeadGroup `json:"groups"`
	// Total is how many dead letters there are for the query; Looked is how many of them were looked at, the newest.
	Total  uint64 `json:"total"`
	Looked uint64 `json:"looked_at"`
}

// DeadGroup is dead letters of one cause: subscriber, reason, status, and the error without its numbers and ids.
type DeadGroup struct {
	// Cause names the group in a DeadQuery and a DeadSelection.
	Cause      string    `json:"cause"`
	Subscriber string    `json:"subscriber"`
	Reason     string    `json:"reason"`
	Status     int       `json:"status,omitempty"`
	Error      string    `json:"error"`            // of the newest
	Answer     string    `json:"answer,omitempty"` // of the newest: the beginning of the target's own words
	Source     string    `json:"source,omitempty"` // of the newest; "" if it can't be read
	Count      uint64    `json:"count"`
	First      time.Time `json:"first"`
	Last       time.Time `json:"last"`
	// Sample is the number of the newest.
	Sample uint64 `json:"sample"`
}

// MaxNumbers bounds the numbers of a selection. What is chosen otherwise may be more.
const MaxNumbers = 100_000

// DeadSelection chooses dead letters to act on: by number, or by query, or all.
type DeadSelection struct {
	// Numbers are at most MaxNumbers; nothing but a limit is taken beside them.
	Numbers []uint64 `json:"numbers,omitempty"`
	// All is needed where nothing else is given.
	All        bool            `json:"all,omitempty"`
	Subscriber string          `json:"subscriber,omitempty"`
	Reason     mesh.DeadReason `json:"reason,omitempty"`
	Cause      string          `json:"cause,omitempty"`
	Since      time.Time       `json:"since,omitzero"`
	Until      time.Time       `json:"until,omitzero"`
	// Limit bounds how many are taken, the oldest first; 0 is all.
	Limit int `json:"limit,omitempty"`
}

// QuarantineQuery chooses events in quarantine.
type QuarantineQuery struct {
	Source, Reason string
	Since, Until   time.Time
	Limit          int
	Cursor         string
}

// QuarantinePage is a page of them, the oldest first.
type QuarantinePage struct {
	Quarantined []Quarantined `json:"quarantined"`
	Next        string        `json:"next,omitempty"`
}

// Quarantined is an event in quarantine. Body and Headers are there when one is asked for.
type Quarantined struct {
	Number uint64    `json:"number"`
	Since  time.Time `json:"since"`
	Reason string    `json:"reason"`
	Detail string    `json:"detail,omitempty"`
	Event
	Body *Body `json:"body,omitempty"`
	// Headers are those of the event's envelope, as it is stored.
	Headers map[string]string `json:"headers,omitempty"`
}

// QuarantineGroups are events in quarantine by cause.
type QuarantineGroups struct {
	Groups []QuarantineGroup `json:"groups"`
	Total  uint64            `json:"total"`
	Looked uint64            `json:"looked_at"`
}

// QuarantineGroup is what one source sent that is wrong in one way.
type QuarantineGroup struct {
	Source string    `json:"source"`
	Reason string    `json:"reason"`
	Detail string    `json:"detail,omitempty"` // of the newest
	Count  uint64    `json:"count"`
	First  time.Time `json:"first"`
	Last   time.Time `json:"last"`
	Sample uint64    `json:"sample"`
}

// QuarantineSelection chooses events in quarantine to act on.
type QuarantineSelection struct {
	// Numbers are at most MaxNumbers; nothing but a limit is taken beside them.
	Numbers []uint64  `json:"numbers,omitempty"`
	All     bool      `json:"all,omitempty"`
	Source  string    `json:"source,omitempty"`
	Reason  string    `json:"reason,omitempty"`
	Since   time.Time `json:"since,omitzero"`
	Until   time.Time `json:"until,omitzero"`
	Limit   int       `json:"limit,omitempty"`
	// DryRun only tells which could be released.
	DryRun bool `json:"dry_run,omitempty"`
}

// Trail says whether a change is in the audit.
type Trail struct {
	Audited bool `json:"audited"`
	// AuditProblem is why a record could not be stored; "" if all were, or streams.json has no stream for them.
	AuditProblem string `json:"audit_problem,omitempty"`
}

// ActResult is what became of the chosen. Its JSON names are those of genmesh dead replay -o json.
type ActResult struct {
	Action string      `json:"action"`
	Chosen int         `json:"chosen"`
	Done   int         `json:"done"`
	Failed []ActFailed `json:"failed"`
	// Left is how many were not tried, because it was stopped before.
	Left int `json:"left,omitempty"`
	Trail
}

// Failures is how many could not be acted on; Failed has at most MaxFailures of them.
func (r ActResult) Failures() int { return r.Chosen - r.Done - r.Left }

// MaxFailures bounds the failures that an ActResult keeps.
const MaxFailures = 1000

// ActFailed is one that could not be acted on. At most MaxFailures are kept.
type ActFailed struct {
	Number uint64 `json:"number"`
	Error  string `json:"error"`
}

// PauseResult is how a subscriber stands after a pause began or ended.
type PauseResult struct {
	mesh.SubscriberState
	CatchUp CatchUp `json:"catch_up"`
	// MaxAge is after how long the stream deletes what waits, too; 0 is never.
	MaxAge mesh.Duration `json:"stream_max_age,omitempty"`
	// Warning says what will undo it; "" if nothing.
	Warning string `json:"warning,omitempty"`
	Trail
}

// CatchUp is what a backlog comes to.
type CatchUp struct {
	// Arrivals is how many events per second came in over the time MeasuredOver.
	Arrivals     float64       `json:"arrivals_per_second"`
	MeasuredOver mesh.Duration `json:"measured_over"`
	// Backlog is how many events will wait when the pause is over; now, if it has no end.
	Backlog uint64 `json:"backlog"`
	// RateLimit is the subscriber's own, and MaxInFlight how many calls a process has under way at once.
	RateLimit   mesh.Rate `json:"rate_limit,omitzero"`
	MaxInFlight int       `json:"max_in_flight,omitempty"`
	// Takes is how long the backlog takes at that rate, while events go on coming: 0 if there is no rate,
	// and so nothing to tell it by, or if it never ends.
	Takes mesh.Duration `json:"takes,omitempty"`
	// Never is true if more comes in than the rate lets out.
	Never bool `json:"never,omitempty"`
}

// ReplayAsk is what of the history shall go to a subscriber again.
type ReplayAsk struct {
	Subscriber  string    `json:"subscriber"`
	Since       time.Time `json:"since,omitzero"`
	Until       time.Time `json:"until,omitzero"`
	Type        string    `json:"type,omitempty"`
	Interaction string    `json:"interaction,omitempty"`
	// All is needed where Since, Type and Interaction are not given, and refused where one is.
	All bool `json:"all,omitempty"`
	// Rate bounds the calls per time; zero is 50/s.
	Rate mesh.Rate `json:"rate,omitzero"`
}

// ReplayPlan is a replay that could begin, or has begun.
type ReplayPlan struct {
	mesh.HistoryReplay
	Subscriber string              `json:"subscriber"`
	Stream     string              `json:"stream"`
	DryRun     bool                `json:"dry_run,omitempty"`
	Estimate   mesh.ReplayEstimate `json:"estimate"`
	Trail
}

// Configuration is streams.json as the process that answers has it.
type Configuration struct {
	// File is its name, Text what it says, with "…" for the values of headers and, in URLs, for users and parameters: secrets are references
	// there, but some may stand in those.
	File string `json:"file"`
	Text string `json:"text"`
	// Loaded is when it came into force.
	Loaded time.Time `json:"loaded,omitzero"`
	// Refused is why the file as it is now is not in force; "" if it is.
	Refused string `json:"refused,omitempty"`
	// Plan is how the server differs from it.
	Plan mesh.Plan `json:"plan"`
}

// Applied is what became of a plan. Refused are the steps that would lose data, which nobody has allowed.
type Applied struct {
	Done    []mesh.Step `json:"done"`
	Refused []mesh.Step `json:"refused"`
	Notes   []string    `json:"notes,omitempty"`
	Trail
}

// Empty reports whether there was nothing to do.
func (a Applied) Empty() bool { return len(a.Done)+len(a.Refused) == 0 }

// EraseAsk says what to erase; see mesh.PlanErasure.
type EraseAsk struct {
	Interaction string `json:"interaction"`
	Source      string `json:"source,omitempty"`
	// NotifyAgain tells subscribers even if nothing is stored any more.
	NotifyAgain bool `json:"notify_again,omitempty"`
}

// ErasureResult is what was erased, or would be.
type ErasureResult struct {
	*mesh.Erasure
	DryRun  bool `json:"dry_run,omitempty"`
	Audited bool `json:"audited"`
}

// AuditQuery chooses audit records.
type AuditQuery struct {
	Action       string
	Subscriber   string
	User         string
	Since, Until time.Time
	Limit        int
	Cursor       string
}

// AuditPage is a page of the audit, the newest first.
type AuditPage struct {
	Records []AuditRecord `json:"records"`
	Next    string        `json:"next,omitempty"`
}

// AuditRecord is a record and its number in the audit stream.
type AuditRecord struct {
	Number uint64 `json:"number"`
	mesh.Audit
}

// Process is a genmesh process that answers.
type Process struct {
	ID      string    `json:"id"`
	Host    string    `json:"host"`
	PID     int       `json:"pid"`
	Version string    `json:"version"`
	Parts   []string  `json:"parts"`
	Started time.Time `json:"started"`
	// LogLevel is its level now, LogLevelUntil until when, where it goes back by itself.
	LogLevel      string    `json:"log_level"`
	LogLevelUntil time.Time `json:"log_level_until,omitzero"`
	// Ready is "" or why it can't do its work.
	Ready string `json:"not_ready,omitempty"`
}
