package admin

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/genmesh/genmesh/mesh"
)

// place is where an event in quarantine stands among the others.
type place struct {
	came, number uint64
	lane         lane
	chosen       bool
}

// maxPlaces bounds what a release looks at, and so its memory: 160 MB.
const maxPlaces = 4 << 20

// places lists the chosen events, and all that came before the last of them, in the order in which they
// came: what is not released holds back what came after it. It passes the quarantine once, without the
// bodies. The numbers are sorted; those that are not there are missing.
func (w ward) places(ctx context.Context, numbers []uint64) (places []place, missing []uint64, err error) {
	found := make([]bool, len(numbers))
	last := numbers[len(numbers)-1]
	for q, err := range w.Find(ctx, mesh.QuarantineFilter{WithoutBodies: true}) {
		if err != nil {
			return nil, nil, err
		}
		i, chosen := slices.BinarySearch(numbers, q.Number)
		if q.Came() > last {
			continue
		}
		if len(places) == maxPlaces {
			return nil, nil, fmt.Errorf("more than %d events in quarantine came before the last chosen one; choose fewer, such as with --limit", maxPlaces)
		}
		if chosen {
			found[i] = true
		}
		places = append(places, place{q.Came(), q.Number, laneOf(q.Event), chosen})
	}
	slices.SortFunc(places, func(a, b place) int { return cmp.Or(cmp.Compare(a.came, b.came), cmp.Compare(a.number, b.number)) })
	for i, number := range numbers {
		if !found[i] {
			missing = append(missing, number)
		}
	}
	return places, missing, nil
}

// held are the interactions of which an event stays in quarantine.
type held struct {
	lanes map[lane]bool
	all   bool // it is not known which, or they are too many: nothing may pass any more
}

func newHeld() *held { return &held{lanes: make(map[lane]bool)} }

func (h *held) add(l lane) {
	switch {
	case l == lane{}: // no order to keep
	case len(h.lanes) == maxPlaces:
		h.all = true
	default:
		h.lanes[l] = true
	}
}

func (h *held) has(l lane) bool { return l != lane{} && (h.all || h.lanes[l]) }
