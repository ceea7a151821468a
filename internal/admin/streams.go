package admin

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/genmesh/genmesh/internal/live"
	"github.com/genmesh/genmesh/mesh"
)

// Streams are the streams of streams.json as the server has them, in its order.
func (d *Direct) Streams(ctx context.Context) ([]Stream, error) {
	t := d.o.Topology()
	surveyed, err := t.SurveyStreams(ctx, d.o.JetStream)
	if err != nil {
		return nil, err
	}
	return describeStreams(t, surveyed, d.flows(), d.findings(ctx)), nil
}

func describeStreams(t *mesh.Topology, surveyed []mesh.SurveyedStream, flows live.Snapshot, found []mesh.ScrubFinding) []Stream {
	streams := []Stream{}
	for i, s := range t.Streams {
		stream := plannedStream(s)
		if info := surveyed[i].Info; info != nil {
			stream.read(info)
			stream.InWindow = surveyed[i].InWindow
		}
		stream.Flow, stream.Findings = flowOf(flows.Streams, s.Name), findingsOf(found, s.Name)
		stream.Health, stream.Why = streamHealth(stream, surveyed[i].Err)
		streams = append(streams, stream)
	}
	return streams
}

// plannedStream is a stream of which only streams.json tells.
func plannedStream(s mesh.Stream) Stream {
	return Stream{Name: s.Name, Description: s.Description, Subjects: listed(s.Subjects), MaxBytes: -1, MaxMessages: -1}
}

// listed is never nil, which JSON would show as null.
func listed(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

// read takes in what the server says.
func (s *Stream) read(info *jetstream.StreamInfo) {
	config, state := info.Config, info.State
	s.Applied, s.Description, s.Subjects = true, config.Description, listed(config.Subjects)
	s.Storage, s.Retention, s.Discard = word(config.Storage), word(config.Retention), word(config.Discard)
	s.Messages, s.Bytes, s.FirstSeq, s.LastSeq = state.Msgs, state.Bytes, state.FirstSeq, state.LastSeq
	if state.Msgs > 0 {
		s.First, s.Last = state.FirstTime, state.LastTime
	}
	s.MaxAge, s.Window = mesh.Duration(config.MaxAge), mesh.Duration(config.Duplicates)
	s.Fill = max(s.fillOf(&s.MaxBytes, config.MaxBytes, state.Bytes), s.fillOf(&s.MaxMessages, config.MaxMsgs, state.Msgs))
	s.Replicas, s.Consumers = config.Replicas, state.Consumers
	if info.Cluster == nil {
		return
	}
	s.Leader = info.Cluster.Leader
	for _, peer := range info.Cluster.Replicas {
		s.Followers = append(s.Followers, Replica{Name: peer.Name, Current: peer.Current, Offline: peer.Offline, Lag: peer.Lag})
	}
}

// fillOf notes a bound, if it is one, and tells how much of it is used.
func (s *Stream) fillOf(noted *int64, bound int64, used uint64) float64 {
	if bound <= 0 {
		return 0
	}
	*noted = bound
	return min(float64(used)/float64(bound), 1)
}

// word is how streams.json writes a setting.
func word(setting json.Marshaler) string {
	raw, _ := setting.MarshalJSON() // what can't be written has no word
	return strings.Trim(string(raw), `"`)
}
