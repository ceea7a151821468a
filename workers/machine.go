package workers

import (
	"errors"
	"os"
	"strings"
	"syscall"
)

// machine names the set of processes in which a process id means this process: one boot of one kernel,
// and one namespace of process ids in it, for two containers may share a host's name. It is "" where
// that can't be told, as everywhere but on Linux.
func machine() string {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	namespace, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(boot)) + " " + namespace
}

// isGone reports whether there surely is no process of that id on this machine.
func isGone(pid int) bool {
	process, err := os.FindProcess(pid)
	if err != nil {
		return false
	}
	err = process.Signal(syscall.Signal(0))
	return errors.Is(err, os.ErrProcessDone) || errors.Is(err, syscall.ESRCH)
}
