package admin

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/genmesh/genmesh/mesh"
)

// ScrubAccepted is a finding that was taken off the list.
type ScrubAccepted struct {
	Finding mesh.ScrubFinding `json:"finding"`
	Trail
}

// Scrub is what scrubs have found and nobody has accepted, and how far they are.
func (d *Direct) Scrub(ctx context.Context) (mesh.ScrubReport, error) {
	return d.o.Topology().ReadScrub(ctx, d.o.JetStream)
}

// RunScrub scrubs now and not in its turn: it compares the server's counts with those before and reads what is new, and with deep all that
// is stored. It changes nothing.
func (d *Direct) RunScrub(ctx context.Context, deep bool, progress Progress) (mesh.ScrubReport, error) {
	scrubber := mesh.NewScrubber(mesh.ScrubOptions{JetStream: d.o.JetStream, Topology: d.o.Topology, Logger: d.o.Logger})
	if err := scrubber.Look(ctx); err != nil {
		return mesh.ScrubReport{}, err
	}
	if deep {
		err := scrubber.ReadAll(ctx, func(done, of uint64) { progress.tell(int(done), int(of)) })
		if err = errors.Join(err, scrubber.Look(ctx)); err != nil { // reading may be what shows a damage
			return mesh.ScrubReport{}, err
		}
	}
	return d.Scrub(ctx)
}

// AcceptScrub takes a finding off the list. A reason is needed, and nothing is accepted that can't be recorded. It fails with ErrNotFound if
// there is none of that id.
func (d *Direct) AcceptScrub(ctx context.Context, by By, id uint64) (ScrubAccepted, error) {
	if err := by.checkGiven("those who look for what is missing later"); err != nil {
		return ScrubAccepted{}, err
	}
	report, err := d.Scrub(ctx)
	if err != nil {
		return ScrubAccepted{}, err
	}
	at := slices.IndexFunc(report.Findings, func(f mesh.ScrubFinding) bool { return f.ID == id })
	if at < 0 {
		return ScrubAccepted{}, noFinding(id)
	}
	l := d.ledger(d.o.Topology(), by, mesh.Audit{
		Action: ActionScrubAccept, About: report.Findings[at].String(), Count: int(report.Findings[at].Lost()),
	})
	if err := l.intend(ctx); err != nil {
		return ScrubAccepted{}, fmt.Errorf("nothing was accepted: %w; is streams.json applied (genmesh plan)?", err)
	}
	finding, err := mesh.AcceptScrubFinding(ctx, d.o.JetStream, id)
	if errors.Is(err, mesh.ErrNoScrubFinding) {
		return ScrubAccepted{}, noFinding(id)
	}
	if err != nil {
		return ScrubAccepted{}, err
	}
	l.about.About, l.about.Done = finding.String(), l.about.Count
	return ScrubAccepted{Finding: finding, Trail: l.done(ctx)}, nil
}

func noFinding(id uint64) error {
	return NotFound(fmt.Sprintf("there is no finding %d, or somebody has accepted it; genmesh scrub lists them", id))
}

// findings are those that are known now; none where they can't be read, for whoever needs NATS says so.
func (d *Direct) findings(ctx context.Context) []mesh.ScrubFinding {
	if d.o.Scrubbed != nil {
		report, _ := d.o.Scrubbed()
		return report.Findings
	}
	report, err := d.Scrub(ctx)
	if err != nil {
		return nil
	}
	return report.Findings
}

// findingsOf are those about one stream.
func findingsOf(all []mesh.ScrubFinding, stream string) []mesh.ScrubFinding {
	var own []mesh.ScrubFinding
	for _, f := range all {
		if f.Stream == stream {
			own = append(own, f)
		}
	}
	return own
}
