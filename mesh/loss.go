package mesh

import (
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// refusedByServer names the changes that a stream can't live through, or is "".
func refusedByServer(current, wanted jetstream.StreamConfig) string {
	var fields []string
	note := func(refused bool, field string) {
		if refused {
			fields = append(fields, field)
		}
	}
	workQueue := current.Retention == jetstream.WorkQueuePolicy || wanted.Retention == jetstream.WorkQueuePolicy
	note(current.Storage != wanted.Storage, "storage")
	note(current.Retention != wanted.Retention && workQueue, "retention")
	note(current.Sealed && !wanted.Sealed, "sealed")
	note(current.DenyDelete && !wanted.DenyDelete, "deny_delete")
	note(current.DenyPurge && !wanted.DenyPurge, "deny_purge")
	note(current.AllowMsgTTL && !wanted.AllowMsgTTL, "allow_msg_ttl")
	note(current.AllowMsgCounter != wanted.AllowMsgCounter, "allow_msg_counter")
	note(current.AllowMsgSchedules && !wanted.AllowMsgSchedules, "allow_msg_schedules")
	note(current.PersistMode != wanted.PersistMode, "persist_mode")
	note(wanted.Mirror != nil && !sameMirror(current.Mirror, wanted.Mirror), "mirror")
	return strings.Join(fields, ", ")
}

func sameMirror(a, b *jetstream.StreamSource) bool {
	return a != nil && b != nil && a.Name == b.Name && a.FilterSubject == b.FilterSubject &&
		a.OptStartSeq == b.OptStartSeq
}

// shrinks says what an update would make the server delete, now or sooner than today; "" if
// nothing.
func shrinks(info *jetstream.StreamInfo, wanted jetstream.StreamConfig) string {
	current := info.Config
	var why []string
	note := func(loses bool, text string, args ...any) {
		if loses {
			why = append(why, fmt.Sprintf(text, args...))
		}
	}
	note(tighter(int64(current.MaxAge), int64(wanted.MaxAge)), "what is older than %s", Duration(wanted.MaxAge))
	note(tighter(current.MaxBytes, wanted.MaxBytes), "what exceeds %s", bytesText(uint64(wanted.MaxBytes)))
	note(tighter(current.MaxMsgs, wanted.MaxMsgs), "all but the last %d messages", wanted.MaxMsgs)
	note(tighter(current.MaxMsgsPerSubject, wanted.MaxMsgsPerSubject), "all but the last %d messages of each subject", wanted.MaxMsgsPerSubject)
	note(current.Discard == jetstream.DiscardNew && wanted.Discard == jetstream.DiscardOld,
		"the oldest messages, whenever the stream is full")
	note(current.Retention != wanted.Retention && wanted.Retention != jetstream.LimitsPolicy,
		"what all consumers have acknowledged")
	note(!current.Sealed && wanted.Sealed, "every later event: a sealed stream takes none")
	if len(why) == 0 {
		return ""
	}
	return strings.Join(why, " and ") + "; the stream holds " + contents(info.State)
}

// tighter reports whether a limit is lower than before; 0 and below are no limit.
func tighter(before, after int64) bool { return after > 0 && (before <= 0 || after < before) }

// contents says what a stream holds.
func contents(state jetstream.StreamState) string {
	text := fmt.Sprintf("%d messages (%s)", state.Msgs, bytesText(state.Bytes))
	if state.Msgs > 0 {
		text += ", the oldest of " + state.FirstTime.UTC().Format(time.RFC3339)
	}
	return text
}

// waiting says what a consumer has not delivered for good.
func waiting(info *jetstream.ConsumerInfo) string {
	return fmt.Sprintf("%d messages were not delivered yet and %d not acknowledged", info.NumPending, info.NumAckPending)
}

// bytesText is a size for people, such as "3.2 MiB".
func bytesText(n uint64) string {
	const unit = 1024
	if n < unit {
		return fmt.Sprintf("%d bytes", n)
	}
	value, suffix := float64(n)/unit, 0
	for value >= unit && suffix < 3 {
		value, suffix = value/unit, suffix+1
	}
	return fmt.Sprintf("%.4g %ciB", value, "KMGT"[suffix])
}
