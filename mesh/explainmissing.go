package mesh

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	// maxErasuresTold bounds the erasures that are told of one event, the latest of them.
	maxErasuresTold = 3
	// maxLookedBack bounds how far it looks for the message before one that is missing.
	maxLookedBack = 32
)

// whyMissing says what may have taken a message. A stream keeps no trace of what it has no more, and the audit names no event, so that is
// told which is possible: the limits of the stream, and each erasure that took events of it after the message was stored.
func (t *Topology) whyMissing(ctx context.Context, js jetstream.JetStream, stream jetstream.Stream, sequence uint64) (string, error) {
	info := stream.CachedInfo()
	switch {
	case info.State.LastSeq == 0:
		return "it never held anything", nil
	case sequence > info.State.LastSeq:
		return fmt.Sprintf("its last is %d", info.State.LastSeq), nil
	}
	stored, err := storedAfter(ctx, stream, sequence)
	if err != nil {
		return "", err
	}
	erasures, err := t.erasuresFrom(ctx, js, info.Config.Name, stored)
	isAudited := !errors.Is(err, ErrNoAudit)
	if err != nil && isAudited {
		return "", err
	}
	return takenBy(info, sequence, erasures, isAudited), nil
}

// takenBy puts into words what may have taken a message.
func takenBy(info *jetstream.StreamInfo, sequence uint64, erasures []audited, isAudited bool) string {
	oldest := ""
	switch {
	case info.State.Msgs == 0:
		oldest = "; it has none now"
	case sequence < info.State.FirstSeq:
		oldest = fmt.Sprintf("; the oldest that it has is %d", info.State.FirstSeq)
	}
	limited := limitsMayTake(info, sequence)
	switch {
	case len(erasures) > 0 && limited:
		return "its limits have taken it, or an erase that took events of this stream: " + erasuresText(erasures) + oldest
	case len(erasures) > 0:
		return "it was erased, if nobody deleted it otherwise: " + erasuresText(erasures) + oldest
	case limited:
		return "its limits have taken it" + oldest
	case !isAudited:
		return `it was deleted or erased; streams.json has no stream that takes "audit.>", which would tell` + oldest
	}
	return "it was deleted, but by no erase that is audited" + oldest
}

// limitsMayTake reports whether the stream itself may have dropped a message. By age or size it drops the oldest, by its limit for a subject
// any.
func limitsMayTake(info *jetstream.StreamInfo, sequence uint64) bool {
	c := info.Config
	if c.MaxMsgsPerSubject > 0 || c.AllowMsgTTL || c.Retention != jetstream.LimitsPolicy {
		return true
	}
	if sequence >= info.State.FirstSeq {
		return false
	}
	tooOld := c.MaxAge > 0 && time.Since(info.Created) >= c.MaxAge // when it was stored is not known
	return tooOld || c.Discard == jetstream.DiscardOld && (c.MaxMsgs > 0 || c.MaxBytes > 0)
}

// storedAfter is when a message before the one that is missing was stored; zero if there is none nearby.
func storedAfter(ctx context.Context, stream jetstream.Stream, sequence uint64) (time.Time, error) {
	first := max(stream.CachedInfo().State.FirstSeq, 1)
	for before := sequence - 1; before >= first && sequence-before <= maxLookedBack; before-- { // of sequence 1 there is none
		msg, err := stream.GetMsg(ctx, before)
		if err == nil {
			return msg.Time, nil
		}
		if !errors.Is(err, jetstream.ErrMsgNotFound) {
			return time.Time{}, fmt.Errorf("event %d of stream %s: %w", before, stream.CachedInfo().Config.Name, err)
		}
	}
	return time.Time{}, nil
}

func erasuresText(erasures []audited) string {
	var texts []string
	for _, r := range erasures[max(len(erasures)-maxErasuresTold, 0):] {
		texts = append(texts, r.String())
	}
	text := strings.Join(texts, "; ")
	if more := len(erasures) - len(texts); more > 0 {
		text += fmt.Sprintf("; and %d before", more)
	}
	return text
}

// String is the record for people, without what names the interaction.
func (a audited) String() string {
	result := map[AuditResult]string{
		AuditDone: "done", AuditIncomplete: "not complete", AuditIntended: "begun, and cut off",
	}[a.Result]
	return fmt.Sprintf("erase of %s by %s, reason %.200q, %s (audit record %d)",
		a.At.UTC().Format(time.RFC3339), cmp.Or(a.Who.OSUser, a.Who.NATSUser, "somebody"), a.Reason, cmp.Or(result, string(a.Result)), a.Sequence)
}
