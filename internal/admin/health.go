package admin

import (
	"fmt"
	"strings"
	"time"

	"github.com/genmesh/genmesh/internal/live"
	"github.com/genmesh/genmesh/mesh"
)

// The bounds of the rules by which something is slow or failing.
const (
	// oldestWaits is for how long an event may wait at least before its subscriber is slow; patientFor is for how many of its ack_wait,
	// where that is longer.
	oldestWaits = time.Minute
	patientFor  = 10
	// lately is how new an error is that counts; what is taken again without one for as long as mended is well again.
	lately = time.Minute
	mended = 10 * time.Second
	// leastForged is how many refused signatures in a minute mean something.
	leastForged = 3
	// leastLag and lagGrows are when a growing lag is slow: above so many events, and so many times what it was at first.
	leastLag = 100
	lagGrows = 2
	// leastSeries is how many values a series must have before it shows a trend.
	leastSeries = 12
	// nearlyFull and full are of a stream's nearest bound, 0 to 1.
	nearlyFull = 0.8
	full       = 0.99
	// muchQuarantined is which part of what comes in may go to quarantine.
	muchQuarantined = 0.1
)

// subscriberHealth says how a subscriber stands and why, by the first rule that holds:
//
//	unknown  it was not applied, or can't be read
//	paused   somebody paused it, or the server holds all of its consumers back
//	failing  its breaker is open; it waits for its target; nobody serves it while something waits; most attempts fail
//	slow     the oldest event that waits is too old; what waits becomes more and more
//	stuck    it has dead letters, which nobody but a person gets rid of
//	good     else
//
// What follows ": " in the reason are words of the target's.
func subscriberHealth(now time.Time, wanted mesh.Subscriber, s Subscriber, unread error) (Health, string) {
	waiting := s.Waiting + s.InHand
	switch isApplied, heldUntil := heldBack(s.Consumers); {
	case unread != nil:
		return HealthUnknown, "it can't be read: " + firstLine(unread)
	case !isApplied:
		return HealthUnknown, "not applied: the server has no consumer of it"
	case s.Pause != nil:
		return HealthPaused, pauseWords(*s.Pause, now)
	case heldUntil.After(now):
		return HealthPaused, "the server holds it back until " + clock(heldUntil, now)
	case s.Breaker != nil && s.Breaker.Open:
		return HealthFailing, withWords("breaker open since "+clock(s.Breaker.Since, now), s.Breaker.Error)
	case s.Wait != nil:
		return HealthFailing, withWords("waits for its target since "+clock(s.Wait.Since, now), s.Wait.Reason)
	case !s.Served && waiting > 0:
		return HealthFailing, fmt.Sprintf("nobody serves it, and %s", events(waiting, "waits", "wait"))
	}
	if why, fails := attemptsFail(now, s.Flow); fails {
		return HealthFailing, why
	}
	if s.Oldest != nil && now.Sub(s.Oldest.Stored) > max(oldestWaits, patientFor*time.Duration(wanted.AckWait)) {
		return HealthSlow, "the oldest event waits since " + clock(s.Oldest.Stored, now)
	}
	if s.Flow != nil && grows(s.Flow.LagSeries) {
		return HealthSlow, fmt.Sprintf("falls behind, %s, and it becomes more", events(waiting, "waits", "wait"))
	}
	if s.DeadLetters > 0 {
		return HealthStuck, counted(s.DeadLetters, "dead letter waits", "dead letters wait") + " for somebody"
	}
	return HealthGood, ""
}

// heldBack reports whether there are consumers of the subscriber's own stream, and until when the server holds back all of them; zero if it
// does not.
func heldBack(consumers []mesh.ConsumerState) (isApplied bool, until time.Time) {
	for _, c := range consumers {
		switch {
		case c.Replays:
		case !isApplied:
			isApplied, until = true, c.PausedUntil
		case c.PausedUntil.Before(until):
			until = c.PausedUntil
		}
	}
	return isApplied, until
}

func pauseWords(p mesh.Pause, now time.Time) string {
	text := "paused since " + clock(p.Since, now)
	if !p.Until.IsZero() {
		text += " until " + clock(p.Until, now)
	}
	if p.By != "" {
		text += " by " + p.By
	}
	return withWords(text, p.Reason)
}

// attemptsFail reports whether more attempts of the last minute failed than succeeded, unless the target is well again since.
func attemptsFail(now time.Time, flow *live.SubscriberFlow) (string, bool) {
	if flow == nil || len(flow.Errors) == 0 || now.Sub(flow.Errors[0].Last) > lately {
		return "", false
	}
	minute := flow.LastMinute
	failed := minute["failed"] + minute["rejected"]
	if failed <= minute["delivered"] || flow.Out > 0 && now.Sub(flow.Errors[0].Last) > mended {
		return "", false
	}
	return withWords("most attempts fail", flow.Errors[0].Text), true
}

func mean(values []float64) float64 {
	sum := 0.0
	for _, value := range values {
		sum += value
	}
	return sum / float64(max(len(values), 1))
}

// grows reports whether a lag is much and much more than it was: its last third against its first.
func grows(lag []float64) bool {
	if len(lag) < leastSeries {
		return false
	}
	third := len(lag) / 3
	first, last := mean(lag[:third]), mean(lag[len(lag)-third:])
	return last > leastLag && last > lagGrows*first && lag[len(lag)-1] >= last/lagGrows
}

// streamHealth says how a stream stands and why, by the first rule that holds:
//
//	failing  it can't be read; the server has none; it has no leader; most replicas are offline; it is full and refuses what comes
//	stuck    a scrub found a damage of it that nobody has accepted
//	slow     a replica is offline or behind; it is nearly full and will refuse what comes
//	good     else
//
// A stream that deletes the oldest is full every day.
func streamHealth(s Stream, unread error) (Health, string) {
	switch {
	case unread != nil:
		return HealthFailing, "it can't be read: " + firstLine(unread)
	case !s.Applied:
		return HealthFailing, "the server has no such stream; apply streams.json"
	case s.Replicas > 1 && s.Leader == "":
		return HealthFailing, "it has no leader"
	}
	offline, behind := 0, ""
	for _, r := range s.Followers {
		switch {
		case r.Offline:
			offline++
		case !r.Current:
			behind = fmt.Sprintf("its replica on %s is %d behind", r.Name, r.Lag)
		}
	}
	refuses := s.Discard == "new"
	used := fmt.Sprintf("%.0f %% of its space is used", 100*s.Fill)
	switch lost := fmt.Sprintf("%d of %d replicas are offline", offline, s.Replicas); {
	case 2*offline >= s.Replicas && offline > 0:
		return HealthFailing, lost
	case refuses && s.Fill >= full:
		return HealthFailing, used + ": it refuses what comes"
	case len(s.Findings) > 0:
		return HealthStuck, foundWords(s.Findings)
	case offline > 0:
		return HealthSlow, lost
	case refuses && s.Fill > nearlyFull:
		return HealthSlow, used + ": when it is full it refuses what comes"
	case behind != "":
		return HealthSlow, behind
	}
	return HealthGood, ""
}

// foundWords says what scrubs found, the newest in words.
func foundWords(found []mesh.ScrubFinding) string {
	text := found[0].String()
	if more := len(found) - 1; more > 0 {
		text += fmt.Sprintf(", and %d more findings", more)
	}
	return text + "; genmesh scrub tells what to do"
}

// sourceHealth says how a source stands and why, by the first rule that holds:
//
//	failing  its stream does; in the last minute more requests were refused, for their signature or for want of NATS, than deliveries taken
//	slow     requests were answered 503, 500 or 429 in the last minute; more than a tenth of what comes in now goes to quarantine
//	stuck    something of it is in quarantine
//	good     else; a source may be quiet
func sourceHealth(stream Stream, flow *live.SourceFlow, quarantined uint64) (Health, string) {
	if stream.Health == HealthFailing {
		return HealthFailing, fmt.Sprintf("its stream %s: %s", stream.Name, stream.Why)
	}
	if flow == nil {
		return quarantineHealth(quarantined)
	}
	if health, why := refusals(flow.LastMinute); health != HealthGood {
		return health, why
	}
	all := flow.Accepted + flow.Duplicate + flow.Quarantined
	if flow.Quarantined > muchQuarantined*all {
		return HealthSlow, fmt.Sprintf("%.0f %% of what comes in goes to quarantine", 100*flow.Quarantined/all)
	}
	return quarantineHealth(quarantined)
}

// refusals judge what was refused in the last minute, which counts requests by outcome as the ingress names them. A few refused
// signatures are no sign of anything: strangers try, too.
func refusals(minute map[string]uint64) (Health, string) {
	taken := minute["accepted"] + minute["duplicate"] + minute["quarantined"]
	forged, limited := minute["unauthorized"], minute["rate_limited"]+minute["too_many_in_flight"]
	unstored := minute["unavailable"] + minute["keys_unavailable"] + minute["internal"]
	switch {
	case forged >= leastForged && forged > taken:
		return HealthFailing, fmt.Sprintf("%s in the last minute, and %s; is the secret right?",
			counted(forged, "signature was refused", "signatures were refused"), counted(taken, "delivery was taken", "deliveries were taken"))
	case unstored > taken:
		return HealthFailing, counted(unstored, "request was", "requests were") + " answered 503 in the last minute; NATS is away, full or slow, or keys can't be had"
	case unstored > 0:
		return HealthSlow, counted(unstored, "request was", "requests were") + " answered 503 in the last minute"
	case limited > 0:
		return HealthSlow, counted(limited, "request was", "requests were") + " above its limits in the last minute, and answered 429"
	}
	return HealthGood, ""
}

func counted(n uint64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

func quarantineHealth(quarantined uint64) (Health, string) {
	if quarantined == 0 {
		return HealthGood, ""
	}
	return HealthStuck, events(quarantined, "of it is", "of it are") + " in quarantine"
}

// firstLine is what an error begins with: what it is joined with says no more to who looks.
func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

// withWords adds somebody's words, if there are any.
func withWords(text, words string) string {
	if words = strings.TrimSpace(words); words == "" {
		return text
	}
	return text + ": " + words
}

// clock is a time for people: that of the day, unless it is of another day.
func clock(at, now time.Time) string {
	at, now = at.UTC(), now.UTC()
	if at.Year() == now.Year() && at.YearDay() == now.YearDay() {
		return at.Format("15:04 UTC")
	}
	return at.Format(time.RFC3339)
}

func events(n uint64, one, many string) string {
	return counted(n, "event "+one, "events "+many)
}
