package mesh

import "time"

// UnderWay is a delivery that has not ended, as the process tells that has the event in hand. It is kept nowhere: once it ends, a Delivery is.
type UnderWay struct {
	// Place is where the event was stored first.
	Place
	Subscriber string `json:"subscriber"`
	// Replay is true for a dead letter or a part of the history that is replayed.
	Replay bool `json:"replay,omitempty"`
	// Attempts is how often the target was tried, by this process and those before it.
	Attempts int       `json:"attempts,omitempty"`
	Began    time.Time `json:"began"` // when the event came into the hands of the process
	// NextAttempt is when the target is tried again, if it was to wait for that after the last attempt: by then the subscriber may wait as a whole.
	NextAttempt time.Time `json:"next_attempt,omitzero"`
	// EachAttempt tells the latest attempts of the process, at most MaxEachAttempt, the oldest first.
	EachAttempt []Attempt `json:"each_attempt,omitempty"`
}

// IsUnderWay reports whether it has not ended.
func (d TimelineDelivery) IsUnderWay() bool { return d.State == StateWaiting || d.State == StateInHand }

// Tell adds what is known of those deliveries of the event that are under way; what is of other events is left out. One that the server takes
// for waiting is in hand if a process says so.
func (e *TimelineEvent) Tell(known []UnderWay) {
	for _, u := range known {
		if u.Stream != e.Stream || u.Sequence != e.Sequence || !u.Stored.Equal(e.Stored) {
			continue
		}
		for i := range e.Deliveries {
			if d := &e.Deliveries[i]; d.IsUnderWay() && d.Began.IsZero() && d.Subscriber == u.Subscriber && d.Replay == u.Replay {
				d.State, d.Attempts, d.Began, d.NextAttempt, d.EachAttempt = StateInHand, u.Attempts, u.Began, u.NextAttempt, u.EachAttempt
				break
			}
		}
	}
}
