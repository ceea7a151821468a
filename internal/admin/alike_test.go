package admin

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh"
)

func TestErrorsThatSayTheSameOfDifferentEventsAreAlike(t *testing.T) {
	for want, texts := range map[string][]string{
		"crm answered #: contact # unknown":  {"crm answered 422: contact 4711 unknown", "crm answered 422: contact 12 unknown", "crm answered 422: contact c-99 unknown"},
		`no contact "…"`:                     {`no contact "Alice"`, `no contact "Bob \"the\" Builder"`, `no contact "cut off`},
		"no contact '…' here":                {"no contact 'Alice' here", "no contact 'Bob' here"},
		"can't reach it":                     {"can't reach it"},
		"call # not found":                   {"call 3e2f1a00-0000-4000-8000-00000000abcd not found", "call deadbeefcafe not found", "call 0xDEADBEEF not found"},
		"at # it was #":                      {"at 2026-01-02T14:02:00Z it was 12.5ms", "at 2026-01-02T14:02:00.123+01:00 it was 9s", "at 14:02 it was 1m3.5s"},
		"dial tcp #: connection refused":     {"dial tcp 10.0.0.1:443: connection refused", "dial tcp 10.0.0.2:80: connection refused"},
		"get https://crm.example/contacts":   {"get https://crm.example/contacts?id=4711&key=x", "get https://crm.example/contacts?q=Alice"},
		"get https://crm.example/contacts/#": {"get https://crm.example/contacts/4711", "get https://crm.example/contacts/4711?x=y"},
		"mail to # bounced":                  {"mail to alice@example.com bounced", "mail to bob.b+x@mail.example.org bounced"},
		`{"…":"…","…":#}`:                    {`{"error":"invalid","phone":4930123456}`, `{"error":"invalid","phone":49}`},
		"why? because":                       {"why? because"},
		"":                                   {"", "  ", "\xff"},
		"token # is wrong":                   {"token " + strings.Repeat("abc", 20) + " is wrong", "token xyz123 is wrong"},
		"#":                                  {"42", "٣", "1, 2; 3"},
	} {
		for _, text := range texts {
			assert.Equal(t, want, alike(text), text)
		}
	}
}

func otherDigit(r rune) rune {
	if r >= '0' && r <= '9' {
		return '0' + (r-'0'+3)%10
	}
	return r
}

func FuzzAlike(f *testing.F) {
	for _, text := range []string{
		"crm answered 422: contact 4711 unknown", `"a\"b`, "'", "it's 5 o'clock", "https://a/b?c=d#e", "a@b.c", "#1#", "…", "\xff1", "1.2.3.", "`x`'",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > maxAlike/4 {
			text = text[:maxAlike/4]
		}
		once := alike(text)
		require.True(t, utf8.ValidString(once))
		require.False(t, strings.ContainsFunc(once, unicode.IsNumber), "%q", once)
		require.LessOrEqual(t, len(once), 3*len(text)+8)
		require.Equal(t, once, alike(strings.Map(otherDigit, strings.ToValidUTF8(text, ""))), "whatever the numbers are")
	})
}

func TestACauseIsOfASubscriberAReasonAStatusAndAnError(t *testing.T) {
	letter := mesh.DeadLetter{Subscriber: "crm", Reason: mesh.DeadRejected, Status: 422, Error: "contact 4711 unknown"}
	cause := causeOf(letter)
	assert.Regexp(t, "^[0-9a-f]{16}$", cause)
	same := letter
	same.Error, same.Attempts, same.Number = "contact 12 unknown", 3, 9
	assert.Equal(t, cause, causeOf(same))
	for _, other := range []mesh.DeadLetter{
		{Subscriber: "erp", Reason: letter.Reason, Status: 422, Error: letter.Error},
		{Subscriber: "crm", Reason: mesh.DeadExhausted, Status: 422, Error: letter.Error},
		{Subscriber: "crm", Reason: letter.Reason, Status: 404, Error: letter.Error},
		{Subscriber: "crm", Reason: letter.Reason, Status: 422, Error: "contact 4711 is locked"},
	} {
		assert.NotEqual(t, cause, causeOf(other))
	}
}
