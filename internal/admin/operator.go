// Package admin is what an operator can look at and do in a running mesh: the same for the command line, the HTTP API and the
// dashboard. Direct does it on NATS; a client of the API does it through a console.
package admin

import (
	"context"
	"errors"

	"github.com/genmesh/genmesh/mesh"
)

// Operator looks at a mesh and changes it. It may be used by several goroutines at once. Every list is bounded: a page says by
// which cursor the next one begins. Every change is written to the audit stream, if streams.json has one, with By.
type Operator interface {
	Looker
	Changer
}

// Looker changes nothing.
type Looker interface {
	// Overview is what the whole mesh does now.
	Overview(ctx context.Context) (Overview, error)
	// Subscribers are those of the names, or without names all, in the order of streams.json.
	Subscribers(ctx context.Context, names ...string) ([]Subscriber, error)
	Streams(ctx context.Context) ([]Stream, error)
	// Events pages through what a stream holds, the newest first.
	Events(ctx context.Context, q EventQuery) (EventPage, error)
	// Event is one event with what became of it at each subscriber.
	Event(ctx context.Context, stream string, sequence uint64) (EventDetail, error)
	Timeline(ctx context.Context, search mesh.InteractionSearch) (*mesh.Timeline, error)

	// DeadLetters pages through dead letters, the oldest first.
	DeadLetters(ctx context.Context, q DeadQuery) (DeadPage, error)
	DeadLetter(ctx context.Context, number uint64) (DeadLetter, error)
	// DeadGroups are the dead letters by cause, the largest group first.
	DeadGroups(ctx context.Context, q DeadQuery) (DeadGroups, error)

	// Quarantined pages through the quarantine, the oldest first.
	Quarantined(ctx context.Context, q QuarantineQuery) (QuarantinePage, error)
	QuarantinedEvent(ctx context.Context, number uint64) (Quarantined, error)
	QuarantineGroups(ctx context.Context, q QuarantineQuery) (QuarantineGroups, error)

	// PlanReplay tells what a replay of the history would come to.
	PlanReplay(ctx context.Context, ask ReplayAsk) (ReplayPlan, error)
	// Replays are those that have not come to their end, to one subscriber or to all.
	Replays(ctx context.Context, subscriber string) ([]mesh.RunningReplay, error)

	// Configuration is streams.json as this process has it, and how the server differs from it.
	Configuration(ctx context.Context) (Configuration, error)
	// Audit pages through the audit, the newest first. It fails with mesh.ErrNoAudit where none is kept.
	Audit(ctx context.Context, q AuditQuery) (AuditPage, error)
	// Processes are the genmesh processes that answer.
	Processes(ctx context.Context) ([]Process, error)
	// Scrub is what scrubs have found and nobody has accepted, and how far they are.
	Scrub(ctx context.Context) (mesh.ScrubReport, error)
	// PlanErasure tells what erasing an interaction would take.
	PlanErasure(ctx context.Context, interaction, source string) (ErasureResult, error)
}

// Changer changes what is stored or how it is delivered. A Selection that chooses nothing is refused.
type Changer interface {
	ReplayDeadLetters(ctx context.Context, by By, chosen DeadSelection, progress Progress) (ActResult, error)
	DiscardDeadLetters(ctx context.Context, by By, chosen DeadSelection, progress Progress) (ActResult, error)
	// ReleaseQuarantined sends events on their way, in the order in which they came. What stays is in ActResult.Failed.
	ReleaseQuarantined(ctx context.Context, by By, chosen QuarantineSelection, progress Progress) (ActResult, error)
	DiscardQuarantined(ctx context.Context, by By, chosen QuarantineSelection, progress Progress) (ActResult, error)

	Pause(ctx context.Context, by By, subscriber string, length mesh.Duration) (PauseResult, error)
	Resume(ctx context.Context, by By, subscriber string) (PauseResult, error)

	StartReplay(ctx context.Context, by By, ask ReplayAsk) (ReplayPlan, error)
	CancelReplay(ctx context.Context, by By, subscriber, id string) (mesh.RunningReplay, error)

	Apply(ctx context.Context, by By, allowDestroy bool) (Applied, error)
	Erase(ctx context.Context, by By, ask EraseAsk, progress Progress) (ErasureResult, error)
	// RunScrub looks for what the store has lost or damaged, and with deep reads all that is stored. It changes nothing, and costs much.
	RunScrub(ctx context.Context, deep bool, progress Progress) (mesh.ScrubReport, error)
	// AcceptScrub takes a finding off the list.
	AcceptScrub(ctx context.Context, by By, id uint64) (ScrubAccepted, error)
	// SetLogLevel changes the level of one process, or of all if process is "". It goes back by itself after a while unless
	// length is 0.
	SetLogLevel(ctx context.Context, by By, process, level string, length mesh.Duration) ([]Process, error)
}

// By is who changes something, and why.
type By struct {
	// Who is ignored by a client of the API: the console knows who asks.
	Who    mesh.Actor
	Reason string
}

// Progress is told how many of how many are done. It may be nil, and is called by one goroutine.
type Progress func(done, of int)

// The kinds of errors that callers tell apart; all else is the server's or the network's.
var (
	// ErrNotFound means that there is nothing of that name, number or id.
	ErrNotFound = errors.New("not found")
	// ErrInvalid means that what was asked for makes no sense; its text says what would.
	ErrInvalid = errors.New("invalid")
	// ErrConflict means that it can't be done as things stand.
	ErrConflict = errors.New("conflict")
	// ErrForbidden means that whoever asks may not.
	ErrForbidden = errors.New("forbidden")
)

// Invalid is an ErrInvalid that reads as its text alone.
func Invalid(text string) error { return kindError{text: text, kind: ErrInvalid} }

// NotFound is an ErrNotFound that reads as its text alone.
func NotFound(text string) error { return kindError{text: text, kind: ErrNotFound} }

// Conflict is an ErrConflict that reads as its text alone.
func Conflict(text string) error { return kindError{text: text, kind: ErrConflict} }

type kindError struct {
	text string
	kind error
}

func (e kindError) Error() string { return e.text }
func (e kindError) Unwrap() error { return e.kind }
