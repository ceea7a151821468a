// Package e2e holds the tests of the whole path: a signed request in, events at their targets
// out, with real servers, real processes and real faults. It has no code of its own.
package e2e
