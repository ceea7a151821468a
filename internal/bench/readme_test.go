package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestReplaceReport(t *testing.T) {
	const begin, end = beginMarker + "\n", endMarker + "\n"
	for name, tc := range map[string]struct {
		document string
		want     string
		err      string
	}{
		"empty":           {"a\n" + begin + end + "b\n", "a\n" + begin + "\nnew\n\n" + end + "b\n", ""},
		"old report":      {begin + "\nold\n\nold\n" + end + "b", begin + "\nnew\n\n" + end + "b", ""},
		"no last newline": {begin + endMarker, begin + "\nnew\n\n" + endMarker, ""},
		"CRLF":            {beginMarker + "\r\nold\r\n" + endMarker + "\r\n", beginMarker + "\r\n\nnew\n\n" + endMarker + "\r\n", ""},
		"mentioned":       {"put " + beginMarker + " on a line\n" + begin + end, "put " + beginMarker + " on a line\n" + begin + "\nnew\n\n" + end, ""},
		"no begin":        {"a\n" + end, "", "there is no line " + beginMarker},
		"no end":          {begin + "a\n", "", "there is no line " + endMarker},
		"twice":           {begin + begin + end, "", "is there twice"},
		"wrong order":     {end + begin, "", "comes before"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := replaceReport(tc.document, "\nnew\n")
			if tc.err != "" {
				require.ErrorContains(t, err, tc.err)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, tc.want, got)
			again, err := replaceReport(got, "new")
			require.NoError(t, err)
			assert.Equal(t, got, again, "the same report changes nothing")
		})
	}
}

func TestFileIsCheckedBeforeItIsMeasuredFor(t *testing.T) {
	file := filepath.Join(t.TempDir(), "README.md")
	require.ErrorIs(t, run(t.Context(), []string{"-write", file}), os.ErrNotExist)
	require.NoError(t, os.WriteFile(file, []byte("no markers\n"), 0o600))
	require.ErrorContains(t, run(t.Context(), []string{"-write", file}), "there is no line")

	require.NoError(t, os.WriteFile(file, []byte(beginMarker+"\nold\n"+endMarker+"\n"), 0o600))
	require.NoError(t, checkFile(file))
	require.NoError(t, replaceInFile(file, "new"))
	got, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, beginMarker+"\n\nnew\n\n"+endMarker+"\n", string(got))
}
