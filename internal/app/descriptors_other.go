//go:build !(linux || darwin || freebsd)

package app

// maxConnections leaves it to ingress how many connections senders may hold.
func maxConnections() int { return 0 }
