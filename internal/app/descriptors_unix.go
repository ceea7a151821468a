//go:build linux || darwin || freebsd

package app

import "syscall"

// maxConnections is how many connections senders may hold: at most half of the descriptors that this process may have, for those who come
// then shall find NATS, targets and files in order. A stream of the embedded server that finds none for its files takes nothing more. 0
// leaves it to ingress.
func maxConnections() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0
	}
	return int(min(max(uint64(limit.Cur)/2, 1), mostConnections))
}

// mostConnections is what one process serves however many descriptors there are.
const mostConnections = 8192
