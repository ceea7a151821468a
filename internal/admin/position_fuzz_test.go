package admin

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// FuzzParsePosition: a cursor is one that a page had, of this stream, or it is refused.
func FuzzParsePosition(f *testing.F) {
	created := time.Unix(1767225600, 123)
	for _, cursor := range []string{"", position(7, created), position(7, created.Add(1)), position(0, created), "MA", "%", "MS4x=="} {
		f.Add(cursor)
	}
	f.Fuzz(func(t *testing.T, cursor string) {
		before, err := parsePosition(cursor, created)
		if err != nil {
			require.ErrorIs(t, err, ErrInvalid)
			return
		}
		require.Equal(t, cursor == "", before == 0)
		if before > 0 {
			again, err := parsePosition(position(before, created), created)
			require.NoError(t, err)
			require.Equal(t, before, again)
		}
	})
}
