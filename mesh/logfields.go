package mesh

import "github.com/sirupsen/logrus"

// LogFields are the fields by which an event is found in the log, the same wherever it is on its way: what it says of itself, where it
// was first stored, if it is, and the ids of the W3C trace context that it carries, if it does.
func (e *Event) LogFields() logrus.Fields {
	fields := logrus.Fields{"interaction": e.Interaction, "id": e.ID, "type": e.Type, "source": e.Source}
	if at := e.FirstPlace(); at.Sequence != 0 {
		fields["stream"], fields["sequence"] = at.Stream, at.Sequence
	}
	if traceID, spanID := e.TraceIDs(); traceID != "" {
		fields["trace_id"], fields["span_id"] = traceID, spanID
	}
	return fields
}
