package mesh

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
)

// FuzzDeadLetter: a target's last words come back as they were, whatever they are.
func FuzzDeadLetter(f *testing.F) {
	f.Add("try later", "it answered 503", "987654321", uint16(6), []byte("{}"))
	f.Add("\r\nNats-Rollup: all\r\n\r\n", "%0d%0a", "*.>", uint16(0), []byte("\x00\xff"))
	f.Add("", "\xff\xfe", "", uint16(1), []byte(nil))
	f.Fuzz(func(t *testing.T, answer, problem, interaction string, attempts uint16, body []byte) {
		d := DeadLetter{
			Event: Event{Source: "genesys", Interaction: interaction, Fingerprint: "f", Subject: "genesys.x", Body: body,
				Stream: "INTERACTIONS", Sequence: 7},
			Subscriber: "crm", Reason: DeadExhausted, Attempts: int(attempts), Status: 503, Answer: answer, Error: problem,
			LastAttempt: time.Unix(1, 2).UTC(),
		}
		m := d.msg()
		buried := time.Unix(3, 0)
		back := parseDeadLetter(m.Subject, m.Header, m.Data, &jetstream.MsgMetadata{Sequence: jetstream.SequencePair{Stream: 9}, Timestamp: buried})
		require.Equal(t, DeadExhausted, back.Reason, back.Error)
		require.Equal(t, []any{"crm", int(attempts), 503, cut(answer), cut(problem), interaction, "INTERACTIONS", uint64(7), uint64(9)},
			[]any{back.Subscriber, back.Attempts, back.Status, back.Answer, back.Error, back.Interaction, back.Stream, back.Sequence, back.Number})
		require.True(t, d.LastAttempt.Equal(back.LastAttempt) && buried.Equal(back.Buried))
		require.Equal(t, body, back.Body)
		for name, values := range m.Header {
			require.False(t, strings.ContainsAny(values[0], " \r\n\x00"), "%s: %q", name, values[0])
		}
	})
}

// FuzzReadDeadLetter: whatever lies in the stream, somebody can see it and discard it.
func FuzzReadDeadLetter(f *testing.F) {
	f.Add(headerDeadAttempts, "-1", headerDeadLastAttempt, "yesterday", []byte("{}"))
	f.Add(headerDeadSequence, "18446744073709551615", headerDeadReason, "unreadable", []byte("\xff"))
	f.Add(headerDeadAnswer, "%zz", HeaderSource, "%", []byte(nil))
	f.Fuzz(func(t *testing.T, name, value, other, text string, body []byte) {
		header := nats.Header{name: {value}, other: {text}, HeaderSource: {"genesys"}}
		d := parseDeadLetter("dead.crm.x.y", header, body, &jetstream.MsgMetadata{Sequence: jetstream.SequencePair{Stream: 9}})
		require.Equal(t, uint64(9), d.Number)
		require.Equal(t, body, d.Body)
		require.True(t, d.Reason == DeadUnreadable || d.Source != "" && d.Fingerprint != "", "%+v", d)
		if d.Reason == DeadUnreadable && d.Subject == "dead.crm.x.y" {
			require.NotEmpty(t, d.Error)
		}
	})
}
