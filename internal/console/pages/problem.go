package pages

import (
	"errors"
	"net/http"

	"github.com/genmesh/genmesh/internal/admin"
	"github.com/genmesh/genmesh/internal/telemetry"
	"github.com/genmesh/genmesh/mesh"
)

// problemView says why there is no such page, and what to do.
type problemView struct {
	Status     int
	Text, Todo string
}

func (s *site) problem(v *visit, err error) *page {
	view := problemView{Status: http.StatusServiceUnavailable, Text: v.words(err.Error())}
	title := "This can't be shown now"
	switch {
	case errors.Is(err, admin.ErrNotFound):
		view.Status, title = http.StatusNotFound, "Not found"
		view.Todo = "It may have been deleted, or have come to the end of its stream's max_age, since the page was made that led here."
	case errors.Is(err, admin.ErrInvalid):
		view.Status, title = http.StatusBadRequest, "Something is missing, or wrong"
		view.Todo = "Nothing was changed. Go back and correct it."
	case errors.Is(err, admin.ErrConflict):
		view.Status, title = http.StatusConflict, "This can't be done as things stand"
		view.Todo = "Look at how things stand now, then try again."
	case errors.Is(err, admin.ErrForbidden):
		view.Status, title = http.StatusForbidden, "You may not do this"
		view.Todo = "Nothing was changed. Ask somebody who has the role, or sign in as somebody else."
	default:
		view.Todo = "NATS may be out of reach, or too slow to answer. Reload the page; genmesh doctor says more. What was asked for may have been done all the same: look before you try again."
		s.o.Logger.WithError(err).WithField("page", v.URL.Path).Warn("The dashboard could not answer")
	}
	return &page{Title: title, template: "problem", status: view.Status, View: view}
}

// asProblem is the text of an error that whoever filled in a form can cure there; "" for others, and for none.
func asProblem(err error) string {
	for _, kind := range []error{admin.ErrInvalid, admin.ErrNotFound, admin.ErrConflict, mesh.ErrNothingToReplay} {
		if errors.Is(err, kind) {
			return cut(telemetry.Printable(err.Error()), maxWords)
		}
	}
	return ""
}
