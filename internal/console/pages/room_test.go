package pages

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh"
)

// crowded is a scene whose timelines take as long as whoever asks for them waits, and that counts them.
type crowded struct {
	*scene
	timelines, most atomic.Int64
}

func (c *crowded) Timeline(ctx context.Context, _ mesh.InteractionSearch) (*mesh.Timeline, error) {
	c.most.Store(max(c.most.Load(), c.timelines.Add(1)))
	defer c.timelines.Add(-1)
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestManyViewersDontKeepOperatorsOutNorFillTheMemory(t *testing.T) {
	s := &crowded{scene: newScene()}
	now := today
	o := optionsOf(t, s.scene, &desk{}, &now)
	o.Viewer = s
	synctest.Test(t, func(t *testing.T) {
		h, err := New(o)
		require.NoError(t, err)
		d := &dashboard{Handler: h}
		var crowd sync.WaitGroup
		for range 2 * maxLooks {
			crowd.Go(func() {
				assert.Equal(t, http.StatusServiceUnavailable, d.get(viewer, "/interactions?id=6f1c").Code)
			})
		}
		synctest.Wait()
		assert.EqualValues(t, maxTimelines, s.most.Load())
		began := time.Now()
		assert.Equal(t, http.StatusOK, d.get(operator, "/interactions?id=6f1c").Code)
		assert.Zero(t, time.Since(began), "operators have room of their own")
		crowd.Wait()
	})
}

func TestViewersLeaveStreamsToOperators(t *testing.T) {
	now := today
	o := optionsOf(t, newScene(), &desk{}, &now)
	synctest.Test(t, func(t *testing.T) {
		h, err := New(o)
		require.NoError(t, err)
		d := &dashboard{Handler: h}
		var screens []*screen
		for range maxViewerStreams {
			screens = append(screens, d.watch(t, viewer, "/"))
		}
		synctest.Wait()
		late := d.watch(t, viewer, "/")
		<-late.ended
		assert.Equal(t, http.StatusServiceUnavailable, late.status)
		screens = append(screens, d.watch(t, operator, "/"))
		synctest.Wait()
		assert.Equal(t, http.StatusOK, screens[maxViewerStreams].status)
		for _, one := range screens {
			one.end()
			<-one.ended
		}
		again := d.watch(t, viewer, "/")
		synctest.Wait()
		assert.Equal(t, http.StatusOK, again.status, "those who leave make room")
		again.end()
		<-again.ended
		synctest.Wait()
	})
}
