package admin

import (
	"errors"

	"github.com/genmesh/genmesh/mesh"
)

// kinds are the errors that callers tell apart, under names that go over the wire.
var kinds = []struct {
	name string
	err  error
}{
	{"no-audit", mesh.ErrNoAudit},
	{"not-found", ErrNotFound},
	{"invalid", ErrInvalid},
	{"conflict", ErrConflict},
	{"forbidden", ErrForbidden},
}

// KindOf names which of the errors that callers tell apart an error is: "not-found", "invalid", "conflict", "forbidden", or "no-audit" for
// mesh.ErrNoAudit. It is "" for all else. The names are stable.
func KindOf(err error) string {
	for _, kind := range kinds {
		if errors.Is(err, kind.err) {
			return kind.name
		}
	}
	return ""
}

// ErrorOf is the error that KindOf names so; nil for any other name.
func ErrorOf(kind string) error {
	for _, known := range kinds {
		if known.name == kind {
			return known.err
		}
	}
	return nil
}

// Check tells what is wrong with a selection, as an ErrInvalid, before anything is looked for.
func (s DeadSelection) Check() error { return s.check() }

// Check tells what is wrong with a selection, as an ErrInvalid, before anything is looked for.
func (s QuarantineSelection) Check() error { return s.check() }
