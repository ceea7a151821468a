package shape

import "time"

// Unhurried is s with a minute for each run: whether a program keeps the other bounds must not depend on what else the machine is busy with.
func (s *Shape) Unhurried() *Shape {
	if s.transform != nil {
		s.transform.limit = time.Minute
	}
	return s
}
