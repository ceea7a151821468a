package mesh

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzParseSkip: what a consumer's metadata says of those before it is read as it was written, or refused.
func FuzzParseSkip(f *testing.F) {
	for _, text := range []string{"", "1", "1,2,3;4", ";", ",", "18446744073709551615", "18446744073709551616", "-1", "1;;2", "01", "+1"} {
		f.Add(text, uint64(5))
	}
	f.Fuzz(func(t *testing.T, text string, sequence uint64) {
		s, err := parseSkip(text)
		if err != nil {
			require.NotEmpty(t, text)
			return
		}
		again, err := parseSkip(s.String())
		require.NoError(t, err)
		require.Equal(t, s, again)
		for partition := range Partitions {
			subject := fmt.Sprintf("s.%02d.x", partition)
			if s.Has(subject, sequence) && sequence > 0 {
				require.True(t, s.Has(subject, sequence-1), "what came before was delivered, too")
			}
			if behind := s.start() > 0 && sequence >= s.start(); behind && len(s) == 1 && len(s[0]) == 1 {
				require.False(t, s.Has(subject, sequence), "what came behind was not")
			}
		}
	})
}
