package mesh

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestSelectorsAsPeopleWriteThem(t *testing.T) {
	for text, want := range map[string][]SelectorPart{
		"data.id":                      {{Path: "data.id"}},
		"data.entities.0.entity.id":    {{Path: "data.entities.0.entity.id"}},
		"detail-type":                  {{Path: "detail-type"}},
		"@.conversationId":             {{Path: "conversationId", InContent: true}},
		"header:X-Event-Type":          {{Header: "X-Event-Type"}},
		"=interaction":                 {{Literal: "interaction"}},
		"pattern:detail-type":          {{Path: "detail-type", Form: FormPattern}},
		"newest:@":                     {{InContent: true, Form: FormNewest}},
		"newest:@.participants":        {{Path: "participants", InContent: true, Form: FormNewest}},
		"nonce:":                       {{Form: FormNonce}},
		"{channel.id}:{channel.to.id}": {{Path: "channel.id"}, {Literal: ":"}, {Path: "channel.to.id"}},
		"Receipt.{status}":             {{Literal: "Receipt."}, {Path: "status"}},
	} {
		parts, err := Selector(text).Parse()
		require.NoError(t, err, text)
		assert.Equal(t, want, parts, text)
	}
}

func TestSelectorTakesAGroupOutOfAValue(t *testing.T) {
	parts, err := Selector(`source ~ ^aws\.partner/[^/]+/cloud/([^/]{36})`).Parse()
	require.NoError(t, err)
	require.Len(t, parts, 1)
	assert.Equal(t, "source", parts[0].Path)
	match := parts[0].Group.FindStringSubmatch("aws.partner/genesys.com/cloud/0d4f5a9e-1b7c-4d9e-8f0a-2c3b4a5d6e7f/mesh")
	require.Len(t, match, 2)
	assert.Equal(t, "0d4f5a9e-1b7c-4d9e-8f0a-2c3b4a5d6e7f", match[1])
}

func TestSelectorsThatAreRefused(t *testing.T) {
	for text, problem := range map[string]string{
		"":                             "empty",
		"data.#.id":                    "plain path",
		"data..id":                     "plain path",
		"@":                            "plain path",
		"@reverse":                     "plain path",
		"data|@tostr":                  "plain path",
		"header:X Sig":                 "HTTP header",
		"header:":                      "HTTP header",
		"source ~ (":                   "regular expression",
		"source ~ no-group":            "regular expression",
		"source ~ (a)(b)":              "regular expression",
		"{data.id":                     `"{" without "}"`,
		strings.Repeat("a", 257):       "257 bytes",
		strings.Repeat("{a}", 17):      "17 parts",
		strings.Repeat("a.", 16) + "a": "plain path",
		"{data.#(x==1)}":               "plain path",
	} {
		_, err := Selector(text).Parse()
		assert.ErrorContains(t, err, problem, text)
	}
}

func FuzzSelector(f *testing.F) {
	for _, s := range []string{"data.id", "@.a", "header:X", "{a}:{b}", "a ~ (b)", "newest:@", "=x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		parts, err := Selector(text).Parse()
		if err != nil {
			return
		}
		require.NotEmpty(t, parts)
		for _, p := range parts {
			if p.Path != "" {
				require.True(t, isPlainPath(p.Path), "nothing but a plain path reaches the JSON reader")
			}
		}
	})
}

func TestPatternsOfEventTypes(t *testing.T) {
	s := Source{EventTypes: map[string]EventType{
		"*":           {Schema: "all"},
		"v2.audits.*": {Schema: "audits"},
		"v2.*.{id}.*": {Schema: "ids"},
		"interaction": {Schema: "exact"},
	}}
	for eventType, want := range map[string]string{
		"interaction":                 "exact",
		"interaction2":                "all",
		"v2.audits.entitytype.{id}":   "audits",
		"v2.users.{id}.presence":      "ids",
		"v2.audits.entitytype.{id}.x": "ids", // as long as the other, first by name
		"":                            "all",
	} {
		_, got := s.TypeOf(eventType)
		assert.Equal(t, want, got.Schema, eventType)
	}
	pattern, none := (&Source{}).TypeOf("interaction")
	assert.Empty(t, pattern)
	assert.Zero(t, none)
}

func TestMatchesPattern(t *testing.T) {
	for _, c := range []struct {
		pattern, text string
		want          bool
	}{
		{"a", "a", true}, {"a", "ab", false}, {"a*", "a", true}, {"*a", "ba", true}, {"*a*", "xay", true},
		{"a*b*c", "a1b2c", true}, {"a*b*c", "acb", false}, {"*", "", true}, {"a*a", "a", false}, {"**", "x", true},
		{"a*ab", "aab", true}, {"a*ab", "aabx", false}, {"*.end", "v2.user.end", true}, {"*.end", "v2.user.ended", false},
	} {
		assert.Equal(t, c.want, MatchesType(c.pattern, c.text), "%s on %s", c.pattern, c.text)
	}
}

func TestDottedTypesBecomePartsOfTheSubject(t *testing.T) {
	s := Source{Name: "bus", Stream: "BUS", Subject: "{source}.{partition}.{interaction}.{media}.{type...}", DedupeKey: "{organization}:{type}:{fingerprint}"}
	e := Event{Source: "bus", Interaction: "c1", Media: "VOICE", Type: "v2.detail.events.conversation.{id}.customer.end", Fingerprint: "f"}
	s.address(&e)
	assert.Equal(t, "bus."+Partition("c1")+".c1.VOICE.v2.detail.events.conversation.=7Bid=7D.customer.end", e.Subject)
	assert.Equal(t, ":v2.detail.events.conversation.{id}.customer.end:f", e.Key)
	assert.Equal(t, "bus.*.*.*.>", s.pattern())

	long := Event{Source: "bus", Type: strings.Repeat("a.", 40), Fingerprint: "f"}
	s.address(&long)
	assert.LessOrEqual(t, strings.Count(long.Subject, "."), maxSubjectTokens+maxTypeTokens)

	_, err := Template("{source}.{partition}.{type...}.{media}").compileSubject()
	require.ErrorContains(t, err, "last part")
	_, err = Template("{type...}:{id}").compileKey()
	require.ErrorContains(t, err, "{type}")
}

func TestEventTypeMayHaveItsOwnKey(t *testing.T) {
	s := Source{
		Name: "bus", Stream: "BUS", DedupeKey: "{type}:{fingerprint}",
		EventTypes: map[string]EventType{"v2.audits.*": {DedupeKey: "{type}:{id}"}, "*": {Schema: "none"}},
	}
	key := func(e Event) string {
		e.Source, e.Fingerprint = "bus", "print"
		s.address(&e)
		return e.Key
	}
	assert.Equal(t, "v2.audits.x:a1", key(Event{Type: "v2.audits.x", ID: "a1"}))
	assert.Equal(t, "bus:v2.audits.x:print", key(Event{Type: "v2.audits.x"}), "without the id, its content names it")
	assert.Equal(t, "v2.users.x:print", key(Event{Type: "v2.users.x", ID: "a1"}))
}

func TestEventsWithoutAnInteractionSpreadOverThePartitions(t *testing.T) {
	s := Source{Name: "bus", Stream: "BUS"}
	partitions := map[string]bool{}
	for _, print := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
		e := Event{Source: "bus", Type: "presence", Fingerprint: print}
		s.address(&e)
		partitions[strings.Split(e.Subject, ".")[1]] = true
	}
	assert.Greater(t, len(partitions), 2)
}
