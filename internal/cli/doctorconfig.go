package cli

import (
	"github.com/nats-io/nats.go/jetstream"

	"github.com/genmesh/genmesh/mesh"
)

// boundFindings looks for streams that could fill the disk. A server whose disk ran full stays
// broken after space is freed, until it is restarted; a full stream answers at once.
func boundFindings(t *mesh.Topology) []finding {
	var findings []finding
	for _, s := range t.Streams {
		if s.MaxBytes <= 0 && s.Storage == jetstream.FileStorage {
			findings = append(findings, trapped("stream "+s.Name, "has no max_bytes, so it can fill the disk",
				"set max_bytes below the free space"))
		}
	}
	return findings
}

// storedBytes is what the file streams may come to on one server, or on all with their replicas.
func storedBytes(t *mesh.Topology, replicas bool) int64 {
	var sum int64
	for _, s := range t.Streams {
		if s.Storage != jetstream.FileStorage || s.MaxBytes <= 0 {
			continue
		}
		copies := int64(1)
		if replicas {
			copies = int64(max(s.Replicas, 1))
		}
		sum += s.MaxBytes * copies
	}
	return sum
}
