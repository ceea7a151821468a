package api

import (
	"fmt"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/internal/admin"
	"github.com/genmesh/genmesh/internal/console/access"
	"github.com/genmesh/genmesh/internal/live"
	"github.com/genmesh/genmesh/mesh"
)

// outcome is what a step came to, as text.
func (s step) outcome(t *testing.T, o admin.Operator) string {
	t.Helper()
	result, err := s.do(t.Context(), o)
	if err != nil {
		require.NotEmpty(t, admin.KindOf(err), "%s: %v", s.name, err)
		return fmt.Sprintf("%s: %v", admin.KindOf(err), err)
	}
	text, err := encode(result)
	require.NoError(t, err)
	return string(text)
}

func TestAClientSeesWhatIsThere(t *testing.T) {
	s := newStation(t)
	s.furnish()
	s.sample(live.Snapshot{At: moment2026(0)})
	client := s.client(access.Admin)
	for _, step := range looks() {
		t.Run(step.name, func(t *testing.T) {
			want := step.outcome(t, s.direct)
			assert.Equal(t, want, step.outcome(t, client))
		})
	}
	want, err := s.direct.Event(t.Context(), "INTERACTIONS", 1)
	require.NoError(t, err)
	got, err := client.Event(t.Context(), "INTERACTIONS", 1)
	require.NoError(t, err)
	assert.Equal(t, want.Body, got.Body, "byte for byte")
}

// passing is what differs between two meshes on which the same is done.
func passing(text string) string {
	text = regexp.MustCompile(`\d{4}-\d\d-\d\dT[\d:.]+Z`).ReplaceAllString(text, "a time")
	text = regexp.MustCompile(`[0-9a-f]{32}`).ReplaceAllString(text, "a hash") // of what says when something was erased
	text = regexp.MustCompile(`replay [\w-]{8,}`).ReplaceAllString(text, "replay of some id")
	return regexp.MustCompile(`"(arrivals_per_second|measured_over|backlog|bytes|pid|next|takes|never)":("[^"]*"|[\w.+-]+)`).ReplaceAllString(text, `"$1":"some"`)
}

func TestAClientDoesWhatIsAskedFor(t *testing.T) {
	direct, through := newStation(t), newStation(t)
	direct.furnish()
	through.furnish()
	client := through.client(access.Admin)
	byHand, byClient := changes(), changes()
	for i := range byHand {
		t.Run(byHand[i].name, func(t *testing.T) {
			want := passing(byHand[i].outcome(t, direct.direct))
			assert.Equal(t, want, passing(byClient[i].outcome(t, client)))
		})
	}
}

func TestAViewerSeesNoBodiesOfASensitiveSource(t *testing.T) {
	s := newStation(t)
	s.furnish()
	viewer := admin.ForViewer(s.direct, func(source string) bool { return source == "genesys" })
	client := s.client(access.Viewer)
	for _, step := range looks() {
		t.Run(step.name, func(t *testing.T) {
			result, err := step.do(t.Context(), viewer)
			if step.name == "the plan of a replay" || step.name == "the plan of an erasure" {
				_, err := step.do(t.Context(), client)
				assert.ErrorIs(t, err, admin.ErrForbidden, "these lead to a change")
				return
			}
			if err != nil {
				t.Skip("nothing is shown")
			}
			want, err := encode(result)
			require.NoError(t, err)
			got := step.outcome(t, client)
			assert.Equal(t, string(want), got)
			assert.NotContains(t, got, "12345678901234567890", "the bodies have it")
		})
	}
}

func TestWithoutAnAuditThereIsNone(t *testing.T) {
	s := newStation(t, `"audit.>"`, `"elsewhere.>"`)
	_, err := s.client(access.Viewer).Audit(t.Context(), admin.AuditQuery{})
	require.ErrorIs(t, err, mesh.ErrNoAudit)
	_, direct := s.direct.Audit(t.Context(), admin.AuditQuery{})
	assert.EqualError(t, err, direct.Error())
}
