package api

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"

	"github.com/genmesh/genmesh/internal/admin"
	"github.com/genmesh/genmesh/internal/console/access"
	"github.com/genmesh/genmesh/mesh/meshtest"
)

// unanswered is an Operator whose overview takes as long as whoever asks for it waits.
type unanswered struct{ admin.Operator }

func (unanswered) Overview(ctx context.Context) (admin.Overview, error) {
	<-ctx.Done()
	return admin.Overview{}, ctx.Err()
}

func (unanswered) Streams(context.Context) ([]admin.Stream, error) { return nil, nil }

func TestManyViewersDontKeepOperatorsOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		handler := New(Options{Operator: unanswered{}, Viewer: unanswered{}, Tasks: admin.NewTasks(meshtest.Quiet()), Logger: meshtest.Quiet()})
		ask := func(role access.Role, path string) int {
			w := httptest.NewRecorder()
			ctx := access.With(t.Context(), access.Identity{Name: "alice", Role: role})
			handler.ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodGet, root+path, http.NoBody))
			return w.Code
		}
		var crowd sync.WaitGroup
		for range 2 * maxRequests {
			crowd.Go(func() { ask(access.Viewer, "/overview") })
		}
		synctest.Wait()
		assert.Equal(t, http.StatusOK, ask(access.Operator, "/streams"))
		crowd.Wait()
	})
}
