package api

import (
	"context"
	"net/http"
	"net/url"

	"github.com/genmesh/genmesh/internal/admin"
	"github.com/genmesh/genmesh/mesh"
)

// selected is the body of what is done to a selection.
type selected struct {
	Selection any    `json:"selection"`
	Reason    string `json:"reason,omitempty"`
}

// ReplayDeadLetters hands the events of dead letters to their subscriber again.
func (c *Client) ReplayDeadLetters(ctx context.Context, by admin.By, chosen admin.DeadSelection, progress admin.Progress) (admin.ActResult, error) {
	return follow[admin.ActResult](ctx, c, "/dead-letters/replay", selected{chosen, by.Reason}, progress)
}

// DiscardDeadLetters deletes dead letters for good.
func (c *Client) DiscardDeadLetters(ctx context.Context, by admin.By, chosen admin.DeadSelection, progress admin.Progress) (admin.ActResult, error) {
	return follow[admin.ActResult](ctx, c, "/dead-letters/discard", selected{chosen, by.Reason}, progress)
}

// ReleaseQuarantined sends events on their way, in the order in which they came.
func (c *Client) ReleaseQuarantined(ctx context.Context, by admin.By, chosen admin.QuarantineSelection, progress admin.Progress) (admin.ActResult, error) {
	return follow[admin.ActResult](ctx, c, "/quarantine/release", selected{chosen, by.Reason}, progress)
}

// DiscardQuarantined deletes events in quarantine for good.
func (c *Client) DiscardQuarantined(ctx context.Context, by admin.By, chosen admin.QuarantineSelection, progress admin.Progress) (admin.ActResult, error) {
	return follow[admin.ActResult](ctx, c, "/quarantine/discard", selected{chosen, by.Reason}, progress)
}

// Pause keeps everything from a subscriber for a length of time, or where that is 0 until Resume.
func (c *Client) Pause(ctx context.Context, by admin.By, subscriber string, length mesh.Duration) (result admin.PauseResult, err error) {
	body := struct {
		For    mesh.Duration `json:"for,omitempty"`
		Reason string        `json:"reason"`
	}{length, by.Reason}
	err = c.do(ctx, http.MethodPost, "/subscribers/"+segment(subscriber)+"/pause", nil, body, &result)
	return result, err
}

// Resume ends a pause.
func (c *Client) Resume(ctx context.Context, by admin.By, subscriber string) (result admin.PauseResult, err error) {
	err = c.do(ctx, http.MethodPost, "/subscribers/"+segment(subscriber)+"/resume", nil, reasonAsk{by.Reason}, &result)
	return result, err
}

// wireReplay is the body of a replay.
type wireReplay struct {
	admin.ReplayAsk
	Reason string `json:"reason,omitempty"`
	DryRun bool   `json:"dry_run,omitempty"`
}

// PlanReplay tells what a replay of the history would come to.
func (c *Client) PlanReplay(ctx context.Context, ask admin.ReplayAsk) (plan admin.ReplayPlan, err error) {
	err = c.do(ctx, http.MethodPost, "/replays", nil, wireReplay{ReplayAsk: ask, DryRun: true}, &plan)
	return plan, err
}

// StartReplay begins a replay of the history.
func (c *Client) StartReplay(ctx context.Context, by admin.By, ask admin.ReplayAsk) (plan admin.ReplayPlan, err error) {
	err = c.do(ctx, http.MethodPost, "/replays", nil, wireReplay{ReplayAsk: ask, Reason: by.Reason}, &plan)
	return plan, err
}

// CancelReplay ends a replay before its end, and returns how far it was.
func (c *Client) CancelReplay(ctx context.Context, by admin.By, subscriber, id string) (running mesh.RunningReplay, err error) {
	query := url.Values(asked{}.text("reason", by.Reason))
	err = c.do(ctx, http.MethodDelete, "/replays/"+segment(subscriber)+"/"+segment(id), query, nil, &running)
	return running, err
}

// Apply makes the server as the console's streams.json says.
func (c *Client) Apply(ctx context.Context, by admin.By, allowDestroy bool) (admin.Applied, error) {
	return follow[admin.Applied](ctx, c, "/apply", applyAsk{allowDestroy, by.Reason}, nil)
}

// PlanErasure tells what erasing an interaction would take.
func (c *Client) PlanErasure(ctx context.Context, interaction, source string) (result admin.ErasureResult, err error) {
	body := eraseAsk{Source: source, DryRun: true}
	err = c.do(ctx, http.MethodPost, "/interactions/"+segment(interaction)+"/erase", nil, body, &result)
	return result, err
}

// Erase erases every copy of an interaction and tells its subscribers.
func (c *Client) Erase(ctx context.Context, by admin.By, ask admin.EraseAsk, progress admin.Progress) (admin.ErasureResult, error) {
	body := eraseAsk{Source: ask.Source, Reason: by.Reason, NotifyAgain: ask.NotifyAgain}
	return follow[admin.ErasureResult](ctx, c, "/interactions/"+segment(ask.Interaction)+"/erase", body, progress)
}

// SetLogLevel changes the level of one process, or of all if process is "".
func (c *Client) SetLogLevel(ctx context.Context, by admin.By, process, level string, length mesh.Duration) ([]admin.Process, error) {
	path := "/log-level"
	if process != "" {
		path = "/processes/" + segment(process) + "/log-level"
	}
	body := struct {
		Level  string        `json:"level"`
		For    mesh.Duration `json:"for,omitempty"`
		Reason string        `json:"reason,omitempty"`
	}{level, length, by.Reason}
	var list processList
	err := c.do(ctx, http.MethodPut, path, nil, body, &list)
	return list.Processes, err
}
