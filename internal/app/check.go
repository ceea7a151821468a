package app

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/sirupsen/logrus"

	"github.com/genmesh/genmesh/genesys"
	"github.com/genmesh/genmesh/genesys/cloud"
	"github.com/genmesh/genmesh/ingress"
	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/workers/forward"
	"github.com/genmesh/genmesh/workers/shape"
)

// ParseStreams parses a streams.json with all that genmesh can serve, and finds everything that is wrong in it
// on any machine. What it names on this one is left to those who use it: secrets, certificates, schemas in files.
func ParseStreams(data []byte, lookup func(string) (string, bool)) (*mesh.Topology, error) {
	return Parser{LookupEnv: lookup}.Parse(data)
}

// Parser is ParseStreams with more to say about the file and the process.
type Parser struct {
	// Name is what mistakes call the file; "" is streams.json.
	Name string
	// LookupEnv reads the environment; nil means os.LookupEnv.
	LookupEnv func(string) (string, bool)
	// SchemaFiles is for those who have the schemas in files at hand, as an ingress has: they are read, too.
	SchemaFiles bool
	// InCode reports whether a handler in code serves the subscriber of a name, so that it needs no target. nil is none.
	InCode func(subscriber string) bool
	// NoneServed is for a process without workers: what is wrong with how a subscriber is to be served is left to those that serve
	// it, for no mistake of a subscriber's shall keep events from coming in.
	NoneServed bool
}

// Parse fails with mesh.Mistakes.
func (p Parser) Parse(data []byte) (*mesh.Topology, error) {
	checkSubscriber := p.checkSubscriber
	if p.NoneServed {
		checkSubscriber = nil
	}
	return mesh.ParseTopology(data, mesh.ParseOptions{
		Name: p.Name, Presets: genesys.SourceDefaults(), TargetSchemes: TargetSchemes(), UnbuiltTarget: unbuilt, LookupEnv: p.LookupEnv,
		CheckSource:     func(_ *mesh.Topology, s mesh.Source) error { return checkSource(s, p.SchemaFiles) },
		CheckSubscriber: checkSubscriber,
	})
}

// checkSource finds what is wrong with a source beyond what mesh can tell: a region that does not exist, a schema that
// can't be used. Those in files are read only if files is true.
func checkSource(s mesh.Source, files bool) error {
	bare := s
	bare.EventTypes = nil
	_, err := ingress.NewReader(bare)
	mistakes := []error{err}
	for _, pattern := range slices.Sorted(maps.Keys(s.EventTypes)) {
		one := s.EventTypes[pattern]
		if inFile := one.Schema != "" && one.Schema != "none" && !strings.HasPrefix(one.Schema, "builtin:"); inFile && !files {
			one.Schema = ""
		}
		bare.EventTypes = map[string]mesh.EventType{pattern: one}
		if _, err := ingress.NewReader(bare); err != nil {
			mistakes = append(mistakes, mesh.Within("event_types."+pattern, err))
		}
	}
	if s.API != nil && s.API.Region != "" {
		_, err := cloud.FindRegion(s.API.Region)
		mistakes = append(mistakes, mesh.Within("api.region", err))
	}
	return errors.Join(mistakes...)
}

// checkSubscriber finds what is wrong with a subscriber beyond what mesh can tell: an expression that does not compile, a
// target that could never be opened. It knows the sources, whose headers a target passes on.
func (p Parser) checkSubscriber(t *mesh.Topology, s mesh.Subscriber) error {
	mistakes := []error{shape.Check(s)}
	if s.Target != nil {
		if k, ok := kindOf(*s.Target); ok { // or else mesh has said so
			mistakes = append(mistakes, mesh.Within("target", k.check(t, s)))
		}
	} else if p.InCode == nil || !p.InCode(s.Name) {
		mistakes = append(mistakes, &mesh.FieldError{Field: "target", Problem: "missing", Hint: `add such as "target": {"url": "https://crm.example.com/events"}`})
	}
	return errors.Join(mistakes...)
}

// CheckMachine finds out whether what a subscriber needs of this machine can be had: the key of its hashes, the secrets
// and the certificates of its target. It connects to nothing, writes nothing and shows no secret. lookup reads the
// environment.
func CheckMachine(t *mesh.Topology, s mesh.Subscriber, lookup func(string) (string, bool)) error {
	_, err := shape.New(s, lookup)
	return errors.Join(err, openAndClose(t, s, lookup))
}

func openAndClose(t *mesh.Topology, s mesh.Subscriber, lookup func(string) (string, bool)) error {
	if s.Target == nil {
		return nil
	}
	k, ok := kindOf(*s.Target)
	if !ok || k.touches {
		return nil
	}
	quiet := logrus.New()
	quiet.SetOutput(io.Discard)
	h, err := k.open(targetMaker{
		topology: func() *mesh.Topology { return t }, log: quiet, options: forward.Options{LookupEnv: lookup, Logger: quiet},
	}, s)
	if err != nil {
		return err
	}
	if c, ok := h.(io.Closer); ok {
		if err := c.Close(); err != nil {
			return fmt.Errorf("close the target of subscriber %s: %w", s.Name, err)
		}
	}
	return nil
}
