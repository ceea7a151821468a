package simulator

import (
	"errors"
	"fmt"
	"time"
)

// Faults are what goes wrong, each in percent of the events unless it says otherwise. The zero value
// is a Genesys Cloud on its best day.
type Faults struct {
	// Duplicates are delivered once more, byte for byte, after they were answered.
	Duplicates float64 `json:"duplicate_percent"`
	// Reordered change places with the next event of their interaction.
	Reordered float64 `json:"reorder_percent"`
	// LostAnswers count as timed out, whatever the answer was, and are delivered again.
	LostAnswers float64 `json:"lost_answer_percent"`
	// Truncated, Forged and Unreadable come beside good events: cut off on their way, signed by
	// nobody we know, and signed well but no JSON.
	Truncated  float64 `json:"truncate_percent"`
	Forged     float64 `json:"forge_percent"`
	Unreadable float64 `json:"unreadable_percent"`
	// Burst sends so many events at once and then waits until the rate is kept again. 0 and 1 are
	// no bursts.
	Burst int `json:"burst"`
	// SkewSeconds is what is added to the time of events.
	SkewSeconds int `json:"skew_seconds"`
	// APIDown answers 503 to whoever asks the API; APIRateLimited, in percent of the calls, 429.
	APIDown        bool    `json:"api_down"`
	APIRateLimited float64 `json:"api_rate_limit_percent"`
}

// maxBurst bounds a burst.
const maxBurst = 10_000

// Check finds out whether the faults make sense.
func (f Faults) Check() error {
	for _, p := range []struct {
		name  string
		value float64
	}{
		{"duplicate_percent", f.Duplicates}, {"reorder_percent", f.Reordered}, {"lost_answer_percent", f.LostAnswers},
		{"truncate_percent", f.Truncated}, {"forge_percent", f.Forged}, {"unreadable_percent", f.Unreadable},
		{"api_rate_limit_percent", f.APIRateLimited},
	} {
		if !(p.value >= 0 && p.value <= 100) {
			return fmt.Errorf("%s must be 0 to 100", p.name)
		}
	}
	if f.LostAnswers > 90 {
		return errors.New("lost_answer_percent must be at most 90, or nothing ever gets through")
	}
	if f.Burst < 0 || f.Burst > maxBurst {
		return fmt.Errorf("burst must be 0 to %d", maxBurst)
	}
	if f.SkewSeconds < -366*86400 || f.SkewSeconds > 366*86400 {
		return errors.New("skew_seconds must be within a year")
	}
	return nil
}

func (f Faults) skew() time.Duration { return time.Duration(f.SkewSeconds) * time.Second }
