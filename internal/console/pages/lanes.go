package pages

import (
	"slices"
	"strconv"
	"time"

	"github.com/genmesh/genmesh/internal/telemetry"
	"github.com/genmesh/genmesh/mesh"
)

// lanes draw an interaction over time: when its events were stored, and below, one lane for each subscriber, when they were
// delivered. The same is in the list of events, in words.
type lanes struct {
	Lanes       []lane
	First, Last time.Time
	Took        time.Duration
	Height      int
	Label       string
}

type lane struct {
	Name  string
	Y     int
	Marks []mark
}

// Middle and Top are where the lane's line and marks are.
func (l lane) Middle() int { return l.Y + laneHeight/2 }
func (l lane) Top() int    { return l.Middle() - 7 }

// mark is a moment, or a time, on a lane.
type mark struct {
	X, Width, Class, Label string
	// Attempt is true for an attempt, which is drawn within the mark of its delivery.
	Attempt bool
}

const (
	laneWidth  = 1000.0
	laneHeight = 26
	// leastMark is how wide a mark is at least, so that it can be seen.
	leastMark = 6.0
	// maxLanes and maxMarks bound the drawing; what is beyond is in the list alone.
	maxLanes = 12
	maxMarks = 400
)

// lanesOf draws the timeline as it is now; nil where there is nothing to draw. What is under way reaches to now.
func lanesOf(line *mesh.Timeline, now time.Time) *lanes {
	if len(line.Events) == 0 {
		return nil
	}
	l := &lanes{First: line.Events[0].Stored, Last: line.Events[len(line.Events)-1].Stored, Lanes: []lane{{Name: "stored"}}}
	for _, e := range line.Events {
		for _, d := range e.Deliveries {
			if _, ended := during(e, d, now); ended.After(l.Last) {
				l.Last = ended
			}
		}
	}
	l.Took = l.Last.Sub(l.First)
	marks := 0
	for _, e := range line.Events {
		if marks++; marks > maxMarks {
			break
		}
		l.Lanes[0].Marks = append(l.Lanes[0].Marks, l.mark(e.Stored, e.Stored, "event", e.Type+" stored"))
		for _, d := range e.Deliveries {
			began, ended := during(e, d, now)
			if at := l.laneOf(d.Subscriber, began); at > 0 {
				label := e.Type + " " + string(d.State) + " at " + d.Subscriber
				l.Lanes[at].Marks = append(l.Lanes[at].Marks, l.mark(began, ended, deliveryClass(d), label))
				marks++
				for _, attempt := range d.EachAttempt {
					l.Lanes[at].Marks = append(l.Lanes[at].Marks, l.attempt(attempt, label))
					marks++
				}
			}
		}
	}
	for i := range l.Lanes {
		l.Lanes[i].Y = i * laneHeight
	}
	l.Height = len(l.Lanes) * laneHeight
	l.Label = plural(len(line.Events), "event", "events") + " stored over " + duration(l.Took) + ", and their deliveries to " +
		plural(len(l.Lanes)-1, "subscriber", "subscribers") + "; the list below has each"
	return l
}

// during is when a delivery began and ended; zero if that is not known, and up to now if it is under way.
func during(e mesh.TimelineEvent, d mesh.TimelineDelivery, now time.Time) (began, ended time.Time) {
	switch {
	case d.IsUnderWay() && now.After(e.Stored):
		return e.Stored, now
	case d.Began.IsZero() || d.Ended.IsZero():
		return time.Time{}, time.Time{}
	}
	return d.Began, d.Ended
}

// laneOf is the lane that a delivery is drawn on, or 0 if it has no time or there are too many lanes.
func (l *lanes) laneOf(subscriber string, began time.Time) int {
	if began.IsZero() {
		return 0
	}
	i := slices.IndexFunc(l.Lanes[1:], func(l lane) bool { return l.Name == subscriber })
	if i >= 0 {
		return i + 1
	}
	if len(l.Lanes) > maxLanes {
		return 0
	}
	l.Lanes = append(l.Lanes, lane{Name: subscriber})
	return len(l.Lanes) - 1
}

// attempt is one within the mark of its delivery.
func (l *lanes) attempt(a mesh.Attempt, delivery string) mark {
	m := l.mark(a.At, a.At.Add(time.Duration(a.Took)), attemptClass(a.Outcome), "attempt: "+a.Outcome+", of "+delivery)
	m.Attempt = true
	return m
}

func (l *lanes) mark(from, to time.Time, class, label string) mark {
	place := func(at time.Time) float64 {
		if l.Took <= 0 {
			return 0
		}
		return min(max(float64(at.Sub(l.First))/float64(l.Took), 0), 1) * (laneWidth - leastMark)
	}
	x, end := place(from), place(to)
	return mark{
		X: strconv.FormatFloat(x, 'f', 1, 64), Width: strconv.FormatFloat(max(end-x, leastMark), 'f', 1, 64), Class: class, Label: telemetry.Printable(label),
	}
}
