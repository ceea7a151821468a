// Package processes lets the processes of a mesh tell each other about themselves over core NATS: who they are, what they count,
// which errors they met last, and how much they log. Nothing is stored.
//
// Each process has a Member, which answers. Who wants to know has an Asker: it asks all at once, and waits until those that it knows have
// answered, or for Patience.
package processes

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/encoding/protodelim"

	"github.com/genmesh/genmesh/internal/admin"
	"github.com/genmesh/genmesh/internal/live"
	"github.com/genmesh/genmesh/mesh"
)

// The subjects of the questions. They lie below one that no stream of streams.json may take.
const (
	subjectAsk   = "_mesh.processes"
	subjectLevel = "_mesh.processes.log-level"
)

// question is what a Member is asked; it may be empty.
type question struct {
	// Counts asks for Families and Errors, too.
	Counts bool `json:"counts,omitempty"`
	// UnderWay asks what becomes of the events that were stored there.
	UnderWay []mesh.Place `json:"under_way,omitempty"`
}

// levelChange asks a Member to log at another level.
type levelChange struct {
	// Process is its id; "" is all.
	Process string `json:"process,omitempty"`
	Level   string `json:"level"`
	// For is after how long the level goes back; 0 is never. It is no time, because clocks differ.
	For mesh.Duration `json:"for,omitempty"`
}

// answer is what a Member says.
type answer struct {
	admin.Process
	Up mesh.Duration `json:"up"`
	// Families are metric families: each as protobuf behind its length, all of them compressed by gzip.
	Families []byte `json:"families,omitempty"`
	// Errors are those of live.Report as JSON, compressed by gzip.
	Errors []byte `json:"errors,omitempty"`
	// UnderWay is what was asked for.
	UnderWay []mesh.UnderWay `json:"under_way,omitempty"`
}

// metricPrefix begins the names of the metrics that are told.
const metricPrefix = "genmesh_"

// pack makes of metric families what answers carry.
func pack(families []*dto.MetricFamily) ([]byte, error) {
	return zipped(func(to io.Writer) error {
		for _, family := range families {
			if !strings.HasPrefix(family.GetName(), metricPrefix) {
				continue
			}
			if _, err := protodelim.MarshalTo(to, family); err != nil {
				return fmt.Errorf("metric %s: %w", family.GetName(), err)
			}
		}
		return nil
	})
}

// packErrors does the same with errors, at most so many of each subscriber.
func packErrors(of map[string][]live.Error, most int) ([]byte, error) {
	some := make(map[string][]live.Error, len(of))
	for subscriber, list := range of {
		some[subscriber] = list[:min(len(list), most)]
	}
	return zipped(func(to io.Writer) error { return json.NewEncoder(to).Encode(some) })
}

func zipped(write func(to io.Writer) error) ([]byte, error) {
	var packed bytes.Buffer
	zipper, err := gzip.NewWriterLevel(&packed, gzip.BestSpeed)
	if err != nil {
		return nil, err
	}
	if err := write(zipper); err != nil {
		return nil, err
	}
	if err := zipper.Close(); err != nil {
		return nil, err
	}
	return packed.Bytes(), nil
}

const (
	// maxUnpackedBytes bounds the metrics of one process; those of a hundred subscribers take about 300 KB.
	maxUnpackedBytes = 32 << 20
	maxFamilyBytes   = 8 << 20
	maxFamilies      = 1000
)

func unpack(packed []byte) ([]*dto.MetricFamily, error) {
	if len(packed) == 0 {
		return nil, nil
	}
	unzipped, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	var families []*dto.MetricFamily
	for r := bufio.NewReader(io.LimitReader(unzipped, maxUnpackedBytes)); ; {
		family := new(dto.MetricFamily)
		err := (protodelim.UnmarshalOptions{MaxSize: maxFamilyBytes}).UnmarshalFrom(r, family)
		if errors.Is(err, io.EOF) {
			return families, nil
		}
		if err != nil {
			return nil, err
		}
		if len(families) == maxFamilies {
			return nil, fmt.Errorf("more than %d metrics", maxFamilies)
		}
		families = append(families, family)
	}
}

func unpackErrors(packed []byte) (map[string][]live.Error, error) {
	if len(packed) == 0 {
		return nil, nil
	}
	unzipped, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	var of map[string][]live.Error
	if err := json.NewDecoder(io.LimitReader(unzipped, maxUnpackedBytes)).Decode(&of); err != nil {
		return nil, err
	}
	return of, nil
}

// report is what the answer says of what its process counts.
func (a answer) report() (live.Report, error) {
	families, err := unpack(a.Families)
	if err != nil {
		return live.Report{}, fmt.Errorf("the metrics of process %q on %q can't be read: %w", a.ID, a.Host, err)
	}
	errs, err := unpackErrors(a.Errors)
	if err != nil {
		return live.Report{}, fmt.Errorf("the errors of process %q on %q can't be read: %w", a.ID, a.Host, err)
	}
	return live.Report{Process: a.ID, Up: time.Duration(a.Up), Families: families, Errors: errs}, nil
}

// maxIDBytes bounds the id of a process.
const maxIDBytes = 64

// parseAnswer reads what came as an answer.
func parseAnswer(data []byte) (answer, error) {
	var a answer
	if err := json.Unmarshal(data, &a); err != nil {
		return answer{}, fmt.Errorf("no answer of a process: %w", err)
	}
	if a.ID == "" || len(a.ID) > maxIDBytes {
		return answer{}, errors.New("no answer of a process: it has no id")
	}
	return a, nil
}
