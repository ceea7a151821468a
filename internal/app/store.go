package app

import (
	"context"
	"fmt"

	"github.com/genmesh/genmesh/ingress"
	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/mesh/embedded"
)

// store is where ingress stores.
func (a *app) store() ingress.Committer {
	if a.storage == nil {
		return a.committer
	}
	return guardedStore{Committer: a.committer, storage: a.storage}
}

// storing tells why the server in this process stores nothing now, or nil.
func (a *app) storing() error {
	if a.storage == nil {
		return nil
	}
	return context.Cause(a.storage.Storing())
}

// guardedStore takes events only while the embedded server stores them. A full disk would leave each without an answer until its sender's
// time was over; so they are told at once to come again.
type guardedStore struct {
	ingress.Committer
	storage *embedded.Server
}

func (g guardedStore) CommitAll(ctx context.Context, events []mesh.Event) ([]mesh.Receipt, error) {
	ctx, leave, err := g.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	return g.Committer.CommitAll(ctx, events)
}

func (g guardedStore) Quarantine(ctx context.Context, e mesh.Event, reason string) (mesh.Receipt, error) {
	ctx, leave, err := g.enter(ctx)
	if err != nil {
		return mesh.Receipt{}, err
	}
	defer leave()
	return g.Committer.Quarantine(ctx, e, reason)
}

// enter gives a context that ends with the storing. Whoever got it leaves.
func (g guardedStore) enter(ctx context.Context) (while context.Context, leave func(), err error) {
	storing := g.storage.Storing()
	if why := context.Cause(storing); why != nil {
		return nil, nil, fmt.Errorf("%w: %w", mesh.ErrUnavailable, why)
	}
	while, cancel := context.WithCancelCause(ctx)
	forget := context.AfterFunc(storing, func() { cancel(context.Cause(storing)) })
	return while, func() { forget(); cancel(nil) }, nil
}
