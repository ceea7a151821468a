package main

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestArguments(t *testing.T) {
	s, file, err := parse([]string{"-quick", "-write", "README.md"})
	require.NoError(t, err)
	assert.Equal(t, settings{rounds: 2, duration: 300 * time.Millisecond}, s)
	assert.Equal(t, "README.md", file)

	for _, wrong := range [][]string{{"-rounds", "0"}, {"-duration", "1ms"}, {"-duration", "2h"}, {"README.md"}} {
		_, _, err := parse(wrong)
		require.Error(t, err, wrong)
	}
}

func TestWholeRunMeasuresEverythingAndLeavesNothingBehind(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	folder := t.TempDir()
	t.Setenv("TMPDIR", folder)
	report, err := measure(t.Context(), settings{rounds: 1, duration: 50 * time.Millisecond, log: logrus.New()})
	require.NoError(t, err)
	assert.NotContains(t, report, "**0.00**", "something was not measured")
	assert.NotContains(t, report, "NaN")
	assert.Empty(t, folderEntries(t, folder))
}

func TestInterruptedRunLeavesNothingBehind(t *testing.T) {
	folder := t.TempDir()
	t.Setenv("TMPDIR", folder)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err := measure(ctx, settings{rounds: 100, duration: time.Minute, log: logrus.New()})
	require.ErrorIs(t, err, context.DeadlineExceeded)
	assert.Empty(t, folderEntries(t, folder))
}

func folderEntries(t *testing.T, folder string) []os.DirEntry {
	t.Helper()
	entries, err := os.ReadDir(folder)
	require.NoError(t, err)
	return entries
}
