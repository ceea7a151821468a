package pages

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/html"

	"github.com/genmesh/genmesh/internal/live"
)

func TestNumbersAreWrittenForPeople(t *testing.T) {
	for want, got := range map[string]string{
		"0": count(0), "999": count(999), "12,400": count(uint64(12_400)), "1,024,318": count(1_024_318), "12.4 M": count(12_400_000), "120 M": count(120_000_000),
		"0 B": size(0), "95 B": size(95), "8.8 KiB": size(9000), "10 GiB": size(int64(10 << 30)), "1.5 MiB": size(3 << 19),
		"0/s": perSecond(0), "3/min": perSecond(.05), "0.1/min": perSecond(.000001), "3.2/s": perSecond(3.2), "128/s": perSecond(128.4), "12.3k/s": perSecond(12_340), "9,999/s": perSecond(9999),
		"–": seconds(0), "<1 ms": seconds(.0001), "18 ms": seconds(.018), "2.4 s": seconds(2.4), "1 min 34 s": seconds(94), "∞": seconds(1e300),
		"2 d 4 h": duration(52*time.Hour + 5*time.Minute), "3 min": duration(3 * time.Minute), "12 s": duration(12*time.Second + 1), "1 h": duration(time.Hour + time.Second), "250 ms": duration(250 * time.Millisecond),
		"3 min ago": ago(today.Add(-3*time.Minute-12*time.Second), today), "in 20 s": ago(today.Add(20*time.Second), today), "now": ago(today, today),
		"14:02:11": clock(today, today), "2026-11-19 14:02:11": clock(today.Add(-24*time.Hour), today),
		"1 event": plural(1, "event", "events"), "2,000 events": plural(2000, "event", "events"),
	} {
		assert.Equal(t, want, got)
	}
}

func TestSparksStayInTheirBox(t *testing.T) {
	assert.Nil(t, newSpark("rate", []float64{1}, time.Second, perSecond))
	flat := newSpark("rate", make([]float64, 10), time.Second, perSecond)
	assert.Equal(t, "rate: now 0/s, at most 0/s in the last 9 s", flat.Label)
	long := newSpark("rate", wave(500, -5, 100, 3), 0, perSecond)
	assert.Equal(t, live.MaxSeries, strings.Count(long.Line, " "))
	for _, point := range strings.FieldsFunc(long.Line, func(r rune) bool { return r == 'M' || r == 'L' }) {
		var x, y float64
		_, err := fmt.Sscan(point, &x, &y)
		require.NoError(t, err)
		assert.True(t, x >= 0 && x <= sparkWidth && y >= 0 && y <= sparkHeight, point)
	}
	assert.Equal(t, []float64{1, 4, 6}, sum([]float64{1, 2, 3}, []float64{2, 3}, nil))
}

func TestAHistogramLeavesOutWhatIsEmptyAtItsEnds(t *testing.T) {
	drawn := histogram([]live.Bucket{{Seconds: .001}, {Seconds: .01, Count: 50}, {Seconds: .1}, {Seconds: 1, Count: 100}, {Count: 1}, {Count: 0}})
	require.Len(t, drawn, 4)
	assert.Equal(t, bar{Name: "≤ 10 ms", Count: 50, Width: "50.0"}, drawn[0])
	assert.Equal(t, "0", drawn[1].Width)
	assert.Equal(t, bar{Name: "longer", Count: 1, Width: "1.0"}, drawn[3])
	assert.Empty(t, histogram(nil))
}

func TestWhatFlowsMoreIsThicker(t *testing.T) {
	fast, slow, none := newEdge(500, 250, 100, 100, "good"), newEdge(500, 750, 1, 100, "good"), newEdge(500, 750, 0, 100, "good")
	assert.Equal(t, "12.0", fast.Width)
	assert.Equal(t, "2.5", slow.Width, "a hundredth is still seen")
	assert.Equal(t, "1.5", none.Width)
	assert.True(t, slow.Flows() && !none.Flows())
	assert.Equal(t, "M0 500.0C50 500.0 50 250.0 100 250.0", fast.Path)
}

func TestACommandIsWhatAShellReads(t *testing.T) {
	assert.Equal(t, "genmesh dead replay --subscriber crm 12", command("dead", "replay", "--subscriber=", "crm", "--reason=", "", "12"))
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("there is no bash here that could read what is quoted")
	}
	for name, word := range hostile() {
		if word == "" || len(word) > 1000 || strings.ContainsRune(word, 0) {
			continue
		}
		written := command(word)
		assert.Negative(t, strings.IndexFunc(written, func(r rune) bool { return r < ' ' || r == '\u202e' || r == utf8.RuneError }), name)
		out, err := exec.CommandContext(t.Context(), bash, "-c", "genmesh() { printf %s \"$1\"; }; "+written).Output()
		require.NoError(t, err, written)
		assert.Equal(t, word, string(out), written)
	}
}

func FuzzBody(f *testing.F) {
	for _, word := range hostile() {
		f.Add([]byte(word), false)
		quoted, _ := json.Marshal(map[string]any{word: word, "n": 1.5, "t": []any{true, nil}})
		f.Add(quoted, true)
	}
	f.Fuzz(func(t *testing.T, raw []byte, masked bool) {
		b := newBody(raw, len(raw), false, masked)
		b.showAsItCame(raw)
		assert.False(t, masked && b.AsItCame != "")
		checkVisible(t, "the bytes", "<pre><code>"+string(b.AsItCame)+"</code></pre>")
		page, err := html.Parse(bytes.NewReader([]byte("<pre>" + string(b.HTML) + "</pre>")))
		require.NoError(t, err)
		for n := range page.Descendants() {
			if n.Type == html.ElementNode {
				assert.Contains(t, []string{"html", "head", "body", "pre", "span"}, n.Data)
			}
		}
		if b.Kind == "JSON" && !masked && !b.Cut {
			assert.True(t, json.Valid([]byte(text(page))), "what is shown is still JSON")
		}
	})
}

func FuzzOwnAddress(f *testing.F) {
	for _, address := range []string{"/", "/events?type=x", "//evil.example", `/\evil`, "/%2Fevil", "https://evil.example", "/a/../../b", "/\tevil"} {
		f.Add(address)
	}
	f.Fuzz(func(t *testing.T, address string) {
		own, err := ownAddress(address)
		if err != nil {
			return
		}
		assert.Regexp(t, `^/([^/\\]|$)`, own)
		again, err := ownAddress(own)
		require.NoError(t, err)
		assert.Equal(t, own, again)
	})
}

func FuzzMoment(f *testing.F) {
	for _, text := range []string{"2h", "7d", "-1h", "2026-11-20T08:00:00Z", "1e9h", "99999999999d", ""} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		fields := newFields(map[string][]string{"since": {text}}, today)
		if at := fields.moment("since"); fields.done() == nil && !at.IsZero() {
			_, err := time.Parse(time.RFC3339Nano, stamp(at))
			if at.Year() >= 0 && at.Year() <= 9999 {
				assert.NoError(t, err)
			}
		}
	})
}
