//go:build sizing

package main

import (
	"testing"
	"time"

	"github.com/genmesh/genmesh/internal/shipped"
)

// secret is what the senders sign with.
const secret = "a secret of the sizing tests"

// newProcess is a program that is not started yet, and is ready once a URL answers 200.
func newProcess(t testing.TB, name, ready string, argv ...string) *shipped.Process {
	t.Helper()
	p := shipped.New(t, name, argv...)
	p.Ready, p.Env = ready, append(p.Env, "SECRET="+secret)
	return p
}

// micros is processor time of one of n, in microseconds.
func micros(cpu time.Duration, n int) float64 { return cpu.Seconds() * 1e6 / float64(n) }
