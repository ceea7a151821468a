package mesh_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh"
)

func TestEventComesBackFromItsMessageAsItWas(t *testing.T) {
	e := mesh.Event{
		Source: "genesys", Organization: "org", Interaction: "a b\r\nNats-Msg-Id: x\x00é%41",
		ID: "1", Type: "v2.detail.{id}", Media: "call", Fingerprint: "f", Reason: "why",
		DeliveryID: " leading and trailing ", DeliveryType: "\t",
		TraceParent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", TraceState: "a=b,c=d",
		Occurred: time.Unix(1678886400, 5).UTC(), Received: time.Now().UTC(),
		Subject: "genesys.00.x", Body: []byte("  {\"raw\": \"\\u00e9\"}\n"),
	}
	m := e.Msg("id-1")
	assert.Equal(t, "id-1", m.Header.Get(nats.MsgIdHdr))
	for name, values := range m.Header {
		require.Len(t, values, 1, name)
		assert.NotRegexp(t, `[^!-~]`, values[0], "%s is one line of printable ASCII without blanks", name)
	}

	back, err := mesh.ParseEvent(m.Subject, m.Header, m.Data)
	require.NoError(t, err)
	assert.Equal(t, e, back)
}

// With the hash of its body an event can be told from one that a store has damaged.
func TestAMessageCarriesTheHashOfItsBody(t *testing.T) {
	hash := func(body string) string {
		return mesh.Event{Source: "genesys", Fingerprint: "f", Body: []byte(body)}.Msg("").Header.Get(mesh.HeaderBodyHash)
	}
	assert.Equal(t, "44136fa355b3678a1146ad16f7e8649e", hash("{}"), "the first half of sha256sum's")
	assert.Equal(t, "e3b0c44298fc1c149afbf4c8996fb924", hash(""))
	assert.NotEqual(t, hash("{}"), hash("{} "))
}

func BenchmarkEventMsg(b *testing.B) {
	e := mesh.Event{
		Source: "genesys", Interaction: "987654321", Type: "interaction", Media: "call", Fingerprint: "0123456789abcdef0123456789abcdef",
		Received: time.Now(), Subject: "genesys.00.interaction.call.987654321", Body: bytes.Repeat([]byte("x"), 1024),
	}
	b.ReportAllocs()
	for b.Loop() {
		e.Msg("987654321")
	}
}

func TestForeignMessageIsNoEvent(t *testing.T) {
	for name, header := range map[string]nats.Header{
		"no headers":      {},
		"no fingerprint":  {mesh.HeaderSource: {"genesys"}},
		"broken escape":   {mesh.HeaderSource: {"%zz"}, mesh.HeaderFingerprint: {"f"}},
		"broken time":     {mesh.HeaderSource: {"s"}, mesh.HeaderFingerprint: {"f"}, mesh.HeaderReceived: {"yesterday"}},
		"another's event": {"Ce-Id": {"1"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := mesh.ParseEvent("genesys.00.x", header, nil)
			require.ErrorIs(t, err, mesh.ErrNotEvent)
		})
	}
}

func FuzzEventMsg(f *testing.F) {
	f.Add("genesys", "987654321", "interaction", "f", []byte("{}"))
	f.Add("s", "a\x00\r\n*.>", "%25%", " x ", []byte{0xff})
	f.Fuzz(func(t *testing.T, source, interaction, kind, fingerprint string, body []byte) {
		e := mesh.Event{Source: source, Interaction: interaction, Type: kind, Fingerprint: fingerprint, Body: body, Subject: "s.x"}
		m := e.Msg("")
		back, err := mesh.ParseEvent(m.Subject, m.Header, m.Data)
		if source == "" || fingerprint == "" {
			require.ErrorIs(t, err, mesh.ErrNotEvent)
			return
		}
		require.NoError(t, err)
		require.Equal(t, e, back)
	})
}

// What ParseEvent is given may come from anybody who can publish.
func FuzzParseEvent(f *testing.F) {
	f.Add("genesys", "f", "2026-11-23T14:00:00Z")
	f.Add("%", "%4", "x")
	f.Fuzz(func(t *testing.T, source, fingerprint, received string) {
		e, err := mesh.ParseEvent("s", nats.Header{
			mesh.HeaderSource: {source}, mesh.HeaderFingerprint: {fingerprint}, mesh.HeaderReceived: {received},
		}, nil)
		if err != nil {
			require.ErrorIs(t, err, mesh.ErrNotEvent)
			return
		}
		again, err := mesh.ParseEvent("s", e.Msg("").Header, nil)
		require.NoError(t, err)
		require.True(t, e.Received.Equal(again.Received))
		again.Received = e.Received
		require.Equal(t, e, again)
	})
}

func TestTokenIsSafeReadableAndReversible(t *testing.T) {
	for value, token := range map[string]string{
		"call":                   "call",
		"987654321":              "987654321",
		"":                       "-",
		"-":                      "=2D",
		"a-b_C9":                 "a-b_C9",
		"a.b":                    "a=2Eb",
		"*":                      "=2A",
		">":                      "=3E",
		"a b\r\n":                "a=20b=0D=0A",
		"=":                      "=3D",
		"é":                      "=C3=A9",
		"v2.detail.{id}":         "v2=2Edetail=2E=7Bid=7D",
		"\x00":                   "=00",
		strings.Repeat("x", 128): strings.Repeat("x", 128),
	} {
		assert.Equal(t, token, mesh.Token(value))
		back, ok := mesh.Untoken(token)
		assert.True(t, ok, token)
		assert.Equal(t, value, back)
	}
	long := mesh.Token(strings.Repeat("x", 129))
	assert.Regexp(t, `^=h[0-9a-f]{64}$`, long)
	assert.NotEqual(t, long, mesh.Token(strings.Repeat("x", 130)))
	_, ok := mesh.Untoken(long)
	assert.False(t, ok)
}

func FuzzToken(f *testing.F) {
	f.Add("a.b*>\r\n \x00é")
	f.Add("=2D")
	f.Fuzz(func(t *testing.T, s string) {
		token := mesh.Token(s)
		require.Regexp(t, `^[A-Za-z0-9_=-]{1,128}$`, token)
		if back, ok := mesh.Untoken(token); ok {
			require.Equal(t, s, back)
		} else {
			require.True(t, strings.HasPrefix(token, "=h"))
		}
		if back, ok := mesh.Untoken(s); ok {
			require.Equal(t, s, mesh.Token(back), "one token, one value")
		}
	})
}

func TestPartitionIsStableAndSpread(t *testing.T) {
	// Stored subjects hold these; they can never change.
	assert.Equal(t, "44", mesh.Partition("987654321"))
	assert.Equal(t, "37", mesh.Partition(""))
	seen := map[string]int{}
	for i := range 6400 {
		seen[mesh.Partition(strings.Repeat("i", i%7)+string(rune('a'+i%26))+time.Unix(int64(i), 0).String())]++
	}
	assert.Len(t, seen, mesh.Partitions)
	for partition, n := range seen {
		assert.Greater(t, n, 40, partition)
		assert.Less(t, n, 200, partition)
	}
}

func TestSubjectRules(t *testing.T) {
	for _, c := range []struct {
		a, b             string
		covers, overlaps bool
	}{
		{"genesys.>", "genesys.07.interaction.call.9", true, true},
		{"genesys.>", "genesys", false, false},
		{"genesys.*", "genesys.a", true, true},
		{"genesys.*", "genesys.a.b", false, false},
		{"genesys.*.x", "genesys.>", false, true},
		{"genesys.>", "genesys.*.x", true, true},
		{"*.a", "b.*", false, true},
		{">", "a.b", true, true},
		{"a.b", "a.c", false, false},
		{"a.*", "a.*", true, true},
		{"a.b", "a.*", false, true},
	} {
		assert.Equal(t, c.covers, mesh.SubjectCovers(c.a, c.b), "%s covers %s", c.a, c.b)
		assert.Equal(t, c.overlaps, mesh.SubjectsOverlap(c.a, c.b), "%s overlaps %s", c.a, c.b)
		assert.Equal(t, c.overlaps, mesh.SubjectsOverlap(c.b, c.a), "%s overlaps %s", c.b, c.a)
	}
}
