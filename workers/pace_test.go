package workers

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestNotePaceTellsWhoeverMadeItsContextAndNobodyElse(t *testing.T) {
	type hint struct {
		remaining int
		reset     time.Duration
	}
	var noted []hint
	ctx := withPace(t.Context(), func(remaining int, reset time.Duration) {
		noted = append(noted, hint{remaining, reset})
	})
	within, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	NotePace(within, 50, 30*time.Second)
	NotePace(t.Context(), 1, time.Second)
	assert.Equal(t, []hint{{50, 30 * time.Second}}, noted)
}
