package admin

import (
	"context"

	"github.com/genmesh/genmesh/mesh"
)

// onlyLooks is a Changer that changes nothing: each of its methods fails with ErrForbidden.
type onlyLooks struct{}

var errOnlyLooks = kindError{text: "a viewer changes nothing; it takes an operator or an admin", kind: ErrForbidden}

func (onlyLooks) ReplayDeadLetters(context.Context, By, DeadSelection, Progress) (ActResult, error) {
	return ActResult{}, errOnlyLooks
}

func (onlyLooks) DiscardDeadLetters(context.Context, By, DeadSelection, Progress) (ActResult, error) {
	return ActResult{}, errOnlyLooks
}

func (onlyLooks) ReleaseQuarantined(context.Context, By, QuarantineSelection, Progress) (ActResult, error) {
	return ActResult{}, errOnlyLooks
}

func (onlyLooks) DiscardQuarantined(context.Context, By, QuarantineSelection, Progress) (ActResult, error) {
	return ActResult{}, errOnlyLooks
}

func (onlyLooks) Pause(context.Context, By, string, mesh.Duration) (PauseResult, error) {
	return PauseResult{}, errOnlyLooks
}

func (onlyLooks) Resume(context.Context, By, string) (PauseResult, error) {
	return PauseResult{}, errOnlyLooks
}

func (onlyLooks) StartReplay(context.Context, By, ReplayAsk) (ReplayPlan, error) {
	return ReplayPlan{}, errOnlyLooks
}

func (onlyLooks) CancelReplay(context.Context, By, string, string) (mesh.RunningReplay, error) {
	return mesh.RunningReplay{}, errOnlyLooks
}

func (onlyLooks) Apply(context.Context, By, bool) (Applied, error) { return Applied{}, errOnlyLooks }

func (onlyLooks) Erase(context.Context, By, EraseAsk, Progress) (ErasureResult, error) {
	return ErasureResult{}, errOnlyLooks
}

func (onlyLooks) RunScrub(context.Context, bool, Progress) (mesh.ScrubReport, error) {
	return mesh.ScrubReport{}, errOnlyLooks
}

func (onlyLooks) AcceptScrub(context.Context, By, uint64) (ScrubAccepted, error) {
	return ScrubAccepted{}, errOnlyLooks
}

func (onlyLooks) SetLogLevel(context.Context, By, string, string, mesh.Duration) ([]Process, error) {
	return nil, errOnlyLooks
}
