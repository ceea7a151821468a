//go:build fault

package fault

import (
	"testing"

	"github.com/genmesh/genmesh/internal/shipped"
)

// secret is what the senders of these tests sign with.
const secret = "a secret of the fault tests"

// newProcess is a program that is not started yet and works in dir.
func newProcess(t testing.TB, name, dir string, argv ...string) *shipped.Process {
	t.Helper()
	p := shipped.New(t, name, argv...)
	p.Dir, p.Env = dir, append(p.Env, "SECRET="+secret)
	return p
}

// genmesh is a genmesh process with a console at addr.
func genmesh(t testing.TB, name, dir, console string, args ...string) *shipped.Process {
	t.Helper()
	p := newProcess(t, name, dir, append(append([]string{program("genmesh")}, args...), "--console", console)...)
	p.Ready = "http://" + console + "/readyz"
	return p
}
