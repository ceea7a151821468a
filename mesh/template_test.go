package mesh

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func addressed(t *testing.T, e Event, edits ...string) Event {
	t.Helper()
	topology, err := ParseTopology([]byte(editedFile(t, edits...)), parseOptions(nil))
	require.NoError(t, err)
	topology.Sources[0].address(&e)
	return e
}

func TestAddressByDefault(t *testing.T) {
	e := addressed(t, Event{Source: "genesys", Type: "interaction", Media: "call", Interaction: "987654321"})
	require.Equal(t, "genesys."+Partition("987654321")+".interaction.call.987654321", e.Subject)
	require.Equal(t, "987654321", e.Key)
	require.Equal(t, "INTERACTIONS", e.Stream)
}

func TestAddressByTemplate(t *testing.T) {
	e := addressed(t, Event{Source: "genesys", Type: "a.b", Organization: "*", ID: "7", Interaction: "x"},
		inSource, inSource+`"subject": "{source}.{partition}.v1.{type}.{organization}.{media}", "dedupe_key": "k:{source}/{interaction}#{id}",`)
	require.Equal(t, "genesys."+Partition("x")+".v1.a=2Eb.=2A.-", e.Subject)
	require.Equal(t, "k:genesys/x#7", e.Key)
}

func TestAddressBoundsValuesFirst(t *testing.T) {
	long := strings.Repeat("x", 1000)
	e := addressed(t, Event{Source: "genesys", Type: long, Interaction: long})
	require.Equal(t, hashed(long), e.Interaction)
	require.Equal(t, e.Interaction, e.Key)
	require.Len(t, e.Type, MaxValueBytes)
	require.Len(t, strings.Split(e.Subject, "."), 5)
}

func TestAddressNeedsNoParser(t *testing.T) {
	source := Source{Name: "genesys", Stream: "S", DedupeKey: "{id}"}
	e := Event{Source: "genesys", ID: "7", Interaction: "x"}
	source.address(&e)
	require.Equal(t, "genesys."+Partition("x")+".-.-.x", e.Subject)
	require.Equal(t, "7", e.Key)
	require.Panics(t, func() { (&Source{Subject: "{nonsense}"}).address(&e) })
}

func TestPatternCoversWhatIsRendered(t *testing.T) {
	source := Source{Name: "a-b", Subject: "{source}.{partition}.v1.{type}"}
	require.Equal(t, "a-b.*.v1.*", source.pattern())
	e := Event{Source: "a-b", Type: "*.>", Interaction: "x"}
	source.address(&e)
	require.True(t, SubjectCovers(source.pattern(), e.Subject), e.Subject)
}

func FuzzTemplates(f *testing.F) {
	f.Add("{source}.{partition}.{type}", "{id}:{interaction}", "call")
	f.Add("{source}.{partition}.x{", "}{", "*.>")
	f.Fuzz(func(t *testing.T, subject, key, value string) {
		s := Source{Name: "s", Subject: Template(subject), DedupeKey: Template(key)}
		if _, err := s.compile(); err != nil {
			return
		}
		e := Event{Source: "s", Type: value, Media: value, Interaction: value, Organization: value, ID: value}
		s.address(&e)
		require.True(t, SubjectCovers(s.pattern(), e.Subject), "%s %s", s.pattern(), e.Subject)
	})
}

func TestDurations(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"24h": 24 * time.Hour, "7d": 168 * time.Hour, "1d12h": 36 * time.Hour, "1h30m": 90 * time.Minute, "0": 0, "100ms": 100 * time.Millisecond,
	} {
		d, err := ParseDuration(text)
		require.NoError(t, err, text)
		require.Equal(t, Duration(want), d, text)
	}
	for _, text := range []string{"", "d", "7", "1.5d", "-1d", "1d-1h", "1d25h", "week", "999999999d", "1dd"} {
		_, err := ParseDuration(text)
		require.Error(t, err, text)
	}
	for want, d := range map[string]time.Duration{"168h": 168 * time.Hour, "1h30m": 90 * time.Minute, "1m": time.Minute, "1m5s": 65 * time.Second, "0s": 0, "10m": 10 * time.Minute, "20h": 20 * time.Hour} {
		require.Equal(t, want, Duration(d).String())
	}
}

func FuzzParseDuration(f *testing.F) {
	f.Add("1d12h")
	f.Add("-3.5s")
	f.Fuzz(func(t *testing.T, text string) {
		d, err := ParseDuration(text)
		if err != nil {
			return
		}
		again, err := ParseDuration(d.String())
		require.NoError(t, err, text)
		require.Equal(t, d, again)
	})
}

func TestRates(t *testing.T) {
	for _, text := range []string{"500/s", "30/m", "1000/h"} {
		r, err := parseRate(text)
		require.NoError(t, err)
		require.Equal(t, text, r.String())
	}
	for _, text := range []string{"", "500", "0/s", "-1/s", "1/d", "1/s/s", "10000000/s"} {
		_, err := parseRate(text)
		require.Error(t, err, text)
	}
}
