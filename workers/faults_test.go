package workers

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh"
)

func answered(status int, answer string) error {
	return &Failure{Status: status, Answer: []byte(answer), Err: fmt.Errorf("crm answered %d", status)}
}

func TestFaultsThatDifferInIDsOnlyAreCountedTogether(t *testing.T) {
	m := NewMetrics(nil)
	crm := m.of("crm")
	for i := range 3 {
		e := mesh.Event{Stream: "INTERACTIONS", Sequence: uint64(i + 7)}
		crm.noteAttempt(&e, Refuse, answered(422, fmt.Sprintf("no customer %d-4f2a", i)))
	}
	crm.noteAttempt(&mesh.Event{}, Retry, answered(500, "no customer 1-4f2a"))

	list := m.Faults()["crm"]
	require.Len(t, list, 2)
	assert.Equal(t, "failed", list[0].Class, "the newest comes first")
	refused := list[1]
	assert.Equal(t, Fault{
		Class: "rejected", Status: 422, Text: "crm answered 422: no customer 2-4f2a", Count: 3,
		First: refused.First, Last: refused.Last, Stream: "INTERACTIONS", Sequence: 9,
	}, refused)
	assert.False(t, refused.Last.Before(refused.First))
}

func TestAFaultOfEachClassIsTold(t *testing.T) {
	e := &mesh.Event{}
	broken := errors.New("broken")
	for class, note := range map[string]func(m *subscriberMetrics){
		"failed":     func(m *subscriberMetrics) { m.noteAttempt(e, Retry, Unusable(broken)) }, // it alone is refused
		"rejected":   func(m *subscriberMetrics) { m.noteAttempt(e, Refuse, Permanent(broken)) },
		"waits":      func(m *subscriberMetrics) { m.noteAttempt(e, Wait, RetryAfter(0, broken)) },
		"unusable":   func(m *subscriberMetrics) { m.noteAttempt(e, Wait, Unusable(broken)) },
		"shape":      func(m *subscriberMetrics) { m.noteBurial(e, mesh.DeadShape, broken) },
		"unreadable": func(m *subscriberMetrics) { m.noteBurial(e, mesh.DeadUnreadable, broken) },
		"abandoned":  func(m *subscriberMetrics) { m.noteBurial(e, mesh.DeadAbandoned, broken) },
		"":           func(m *subscriberMetrics) { m.noteAttempt(e, Done, nil) },
		"\x00":       func(m *subscriberMetrics) { m.noteBurial(e, mesh.DeadExhausted, broken) }, // its attempts were told
	} {
		m := NewMetrics(nil)
		note(m.of("crm"))
		list := m.Faults()["crm"]
		if strings.Trim(class, "\x00") == "" {
			assert.Empty(t, list)
			continue
		}
		require.Len(t, list, 1, class)
		assert.Equal(t, class, list[0].Class)
	}
}

func TestOnlyTheLatestFaultsAreRemembered(t *testing.T) {
	m := NewMetrics(nil)
	crm := m.of("crm")
	for i := range 3 * maxFaults {
		crm.noteAttempt(&mesh.Event{}, Retry, errors.New(strings.Repeat("x", i+1)))
	}
	list := m.Faults()["crm"]
	require.Len(t, list, maxFaults)
	assert.Len(t, list[0].Text, 3*maxFaults)
	assert.Len(t, list[maxFaults-1].Text, 2*maxFaults+1)
}

func TestTheWordsOfATargetAreOneShortPrintableLineWithoutSecrets(t *testing.T) {
	for text, want := range map[string]string{
		"down\r\n  for\trepair": "down for repair",
		"\x1b[31mred\u202e\x00": "[31mred",
		"bad \xff bytes":        "bad bytes",
		"POST https://u:hunter2@crm.example/a?key=s3cret failed": "POST https://crm.example/a failed",
		`Post "https://crm.example/?token=s3cret": EOF`:          `Post "https://crm.example/": EOF`,
		"amqps://u:hunter2@mq.example":                           "amqps://mq.example",
		"is it up? ask the owner":                                "is it up? ask the owner",
	} {
		_, got := faultWords(errors.New(text))
		assert.Equal(t, want, got)
	}
	_, long := faultWords(answered(500, strings.Repeat("ü", MaxAnswerBytes/2)))
	assert.LessOrEqual(t, len(long), maxFaultBytes)
	assert.True(t, strings.HasSuffix(long, "ü…"), long)
}

func FuzzFaultWords(f *testing.F) {
	f.Add("POST https://u:p@h/?q=1", "answer")
	f.Add("\x1b]0;title\a", strings.Repeat("é", 200))
	f.Fuzz(func(t *testing.T, text, answer string) {
		_, line := faultWords(&Failure{Err: errors.New(text), Answer: []byte(answer)})
		assert.LessOrEqual(t, len(line), maxFaultBytes)
		assert.True(t, utf8.ValidString(line))
		for _, r := range line {
			assert.True(t, unicode.IsPrint(r), "%q", line)
		}
		_ = withoutIDs(line)
	})
}

func TestFaultsMayBeReadWhileTheyCome(t *testing.T) {
	m := NewMetrics(nil)
	var all sync.WaitGroup
	for i := range 4 {
		crm := m.of([]string{"crm", "wfm"}[i%2])
		all.Go(func() {
			for range 100 {
				crm.noteAttempt(&mesh.Event{}, Retry, errors.New("broken"))
				m.Faults()
			}
		})
	}
	all.Wait()
	assert.EqualValues(t, 200, m.Faults()["crm"][0].Count)
}

func BenchmarkFault(b *testing.B) {
	crm := NewMetrics(nil).of("crm")
	err := answered(503, `{"error":"down for repair","request":"9f3c-11"}`)
	b.ReportAllocs()
	for b.Loop() {
		crm.noteAttempt(&mesh.Event{}, Retry, err)
	}
}
