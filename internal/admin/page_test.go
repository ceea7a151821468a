package admin

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func FuzzParseMark(f *testing.F) {
	for _, text := range []string{"", "0.0", "1767225600000000000.7", "-1.1", "1", ".", "1.-1", "9223372036854775807.18446744073709551615"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		m, err := parseMark(text)
		if err != nil {
			require.ErrorIs(t, err, ErrInvalid)
			return
		}
		if text == "" {
			require.Zero(t, m)
			return
		}
		again, err := parseMark(m.String())
		require.NoError(t, err)
		require.Equal(t, m, again)
	})
}
