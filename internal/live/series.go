package live

import "slices"

// series are the latest values of something, evenly spaced.
type series struct {
	values []float64
	slot   int // of the newest
}

// put sets the value of a slot. The slots since the newest one get the same value: that of a rate is one over all of that time.
func (s *series) put(slot int, value float64) { s.fill(slot, value, value) }

// hold does the same, but the slots between keep the value before: that of what is looked at now and then.
func (s *series) hold(slot int, value float64) {
	before := value
	if len(s.values) > 0 {
		before = s.values[len(s.values)-1]
	}
	s.fill(slot, before, value)
}

func (s *series) fill(slot int, between, value float64) {
	if len(s.values) == 0 {
		s.slot = slot - 1
	}
	for range min(slot-s.slot, MaxSeries) {
		s.values = append(s.values, between)
	}
	s.slot = max(slot, s.slot)
	s.values[len(s.values)-1] = value
	if more := len(s.values) - MaxSeries; more > 0 {
		s.values = slices.Delete(s.values, 0, more)
	}
}

func (s *series) snapshot() []float64 { return slices.Clone(s.values) }
