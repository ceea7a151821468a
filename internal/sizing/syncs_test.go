//go:build sizing

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestHowOftenANodeSyncs counts the fsyncs of each node at more and more senders. Counting slows the node down, so nothing else is measured here.
func TestHowOftenANodeSyncs(t *testing.T) {
	_, err := exec.LookPath("strace")
	require.NoError(t, err, "strace counts the fsyncs")
	all := []int{1, 16, 64, 256, 1024}
	table := []string{"| nodes | senders: " + joined(all, strconv.Itoa) + " |", "|--:|--:|--:|--:|--:|--:|"}
	for _, nodes := range []int{1, 3} {
		calls := filepath.Join(t.TempDir(), "fsyncs")
		traced := startNodes(t, nodes, syncs, "strace", "--follow-forks", "--seccomp-bpf", "--quiet=all", "--signal=none", "--trace=fsync,fdatasync",
			"--output-append-mode", "--output="+calls)
		dir, _ := traced.apply(configuration(nodes, 1))
		_, url := startIngress(t, dir, traced.url)
		var per []float64 // of 100 events
		for _, senders := range all {
			before := synced(t, calls)
			s := send(t, []string{url + sourceName(0)}, senders, 1024, 4*time.Second)
			per = append(per, float64(synced(t, calls)-before)/float64(nodes)/float64(s.events)*100)
		}
		table = append(table, fmt.Sprintf("| %d | %s |", nodes, joined(per, short)))
	}
	tabulate(t, "syncs", table...)
}

// synced counts the calls that strace has written down. One that another thread's interrupted has a second line.
func synced(t testing.TB, calls string) int {
	t.Helper()
	raw, err := os.ReadFile(calls)
	require.NoError(t, err)
	return strings.Count(string(raw), "\n") - strings.Count(string(raw), " resumed>")
}
