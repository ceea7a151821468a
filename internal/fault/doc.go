// Package fault breaks the machine under a mesh, and holds what the mesh did against a ledger that is not its own: see
// docs/PROMISES.md for what is promised, and which of these tests proves it.
//
// The tests need the build tag fault, Linux, root, and strace, iproute2 and e2fsprogs. What is missing makes them fail: a fault that was
// not tried proves nothing. All of it runs in a network, a mount and a process namespace of its own, so nothing is left behind, and no load
// leaves it.
//
//	go test -tags fault -short ./internal/fault    # a round or two of each fault, as in CI
//	go test -tags fault -timeout 6h ./internal/fault
//
// The programs under test are the real ones, in processes of their own: genmesh as it ships, and the nats-server of go.mod.
package fault
