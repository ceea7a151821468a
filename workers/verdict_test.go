package workers

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestReturnedErrorIsTheFate(t *testing.T) {
	cause := errors.New("cause")
	for _, c := range []struct {
		err  error
		fate Fate
		wait time.Duration
	}{
		{nil, Done, 0},
		{cause, Retry, 0},
		{&Failure{Status: 500, Err: cause}, Retry, 0},
		{Permanent(cause), Refuse, 0},
		{fmt.Errorf("target: %w", Permanent(cause)), Refuse, 0},
		{RetryAfter(time.Second, cause), Wait, time.Second},
		{fmt.Errorf("target: %w", RetryAfter(0, cause)), Wait, 0},
	} {
		fate, wait := FateOf(c.err)
		assert.Equal(t, c.fate, fate, c.err)
		assert.Equal(t, c.wait, wait, c.err)
		if c.err != nil {
			assert.ErrorIs(t, c.err, cause, "what went wrong stays known")
		}
	}
}
