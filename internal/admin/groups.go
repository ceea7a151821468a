package admin

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/genmesh/genmesh/mesh"
)

const (
	// maxGrouped is how many dead letters, or events in quarantine, are looked at to make groups, the newest.
	maxGrouped = 20_000
	// maxGroups bounds the groups that are shown, the largest.
	maxGroups = 1000
	// maxGroupAnswer bounds what a group repeats of a target's answer, in bytes. The dead letter has more of it.
	maxGroupAnswer = 300
)

// DeadGroups are the dead letters by cause, the largest group first. Only the newest are looked at where there are many; Limit and
// Cursor say nothing here.
func (d *Direct) DeadGroups(ctx context.Context, q DeadQuery) (DeadGroups, error) {
	grouped := DeadGroups{Groups: []DeadGroup{}}
	if err := checkDeadReason(q.Reason); err != nil {
		return grouped, err
	}
	if err := checkSpan(q.Since, q.Until); err != nil {
		return grouped, err
	}
	letters, err := mesh.NewDeadLetters(d.o.JetStream, d.o.Topology())
	if err != nil {
		return grouped, err
	}
	filter := mesh.DeadFilter{Subscriber: q.Subscriber, Reason: q.Reason, Since: q.Since, Until: q.Until}
	newest, total, err := letters.Newest(ctx, filter, maxGrouped)
	grouped.Total, grouped.Looked = max(total, uint64(len(newest))), uint64(len(newest))
	grouped.Groups = groupDead(newest, q.Cause)
	return grouped, err
}

// groupDead groups dead letters, of which the newest is first, or only those of one cause.
func groupDead(newest []mesh.DeadLetter, only string) []DeadGroup {
	at := map[string]int{}
	groups := []DeadGroup{}
	for _, letter := range newest {
		cause := causeOf(letter)
		if only != "" && cause != only {
			continue
		}
		i, known := at[cause]
		if !known {
			i = len(groups)
			at[cause] = i
			groups = append(groups, DeadGroup{
				Cause: cause, Subscriber: letter.Subscriber, Reason: string(letter.Reason), Status: letter.Status, Error: letter.Error,
				Answer: strings.ToValidUTF8(letter.Answer[:min(len(letter.Answer), maxGroupAnswer)], ""), Source: letter.Source, Last: letter.Buried.UTC(), Sample: letter.Number,
			})
		}
		groups[i].Count++
		groups[i].First = letter.Buried.UTC()
	}
	slices.SortStableFunc(groups, func(a, b DeadGroup) int { return cmp.Compare(b.Count, a.Count) })
	return groups[:min(len(groups), maxGroups)]
}

// causeBytes is how much of a hash names a cause.
const causeBytes = 8

// causeOf names what dead letters of one cause have in common: subscriber, reason, status, and the error without what differs from one
// event to the next.
func causeOf(letter mesh.DeadLetter) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %d %s", letter.Subscriber, letter.Reason, letter.Status, alike(letter.Error)))
	return hex.EncodeToString(sum[:causeBytes])
}

// QuarantineGroups are the events in quarantine by source and reason, the largest group first. Only the newest are looked at where there are
// many; Limit and Cursor say nothing here.
func (d *Direct) QuarantineGroups(ctx context.Context, q QuarantineQuery) (QuarantineGroups, error) {
	grouped := QuarantineGroups{Groups: []QuarantineGroup{}}
	if err := checkSpan(q.Since, q.Until); err != nil {
		return grouped, err
	}
	quarantine, err := mesh.NewQuarantine(d.o.JetStream, d.o.Topology())
	if err != nil {
		return grouped, err
	}
	filter := mesh.QuarantineFilter{Source: q.Source, Reason: q.Reason, Since: q.Since, Until: q.Until}
	newest, total, err := quarantine.Newest(ctx, filter, maxGrouped)
	grouped.Total, grouped.Looked = max(total, uint64(len(newest))), uint64(len(newest))
	grouped.Groups = groupQuarantined(newest)
	return grouped, err
}

// groupQuarantined groups by what a QuarantineSelection can choose.
func groupQuarantined(newest []mesh.Quarantined) []QuarantineGroup {
	type key struct{ source, reason string }
	at := map[key]int{}
	groups := []QuarantineGroup{}
	for _, q := range newest {
		k := key{q.Source, q.Reason}
		i, known := at[k]
		if !known {
			i = len(groups)
			at[k] = i
			groups = append(groups, QuarantineGroup{Source: q.Source, Reason: q.Reason, Detail: q.Detail, Last: q.Since.UTC(), Sample: q.Number})
		}
		groups[i].Count++
		groups[i].First = q.Since.UTC()
	}
	slices.SortStableFunc(groups, func(a, b QuarantineGroup) int { return cmp.Compare(b.Count, a.Count) })
	return groups[:min(len(groups), maxGroups)]
}
