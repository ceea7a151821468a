package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/genmesh/genmesh/mesh"
)

const (
	readyTimeout = 2 * time.Second
	flushTimeout = 2 * time.Second
	// settleTime lets an editor finish: many write a file in several steps.
	settleTime = 200 * time.Millisecond
	// pollInterval finds edits where the file system reports none, such as mounted
	// configuration volumes.
	pollInterval = 10 * time.Second
	applyTimeout = 30 * time.Second
)

// streamsFile reads a streams.json and knows what it read last.
type streamsFile struct {
	StreamsFile
	lookup     func(string) (string, bool)
	inCode     func(subscriber string) bool // see Parser
	noneServed bool
	last       []byte // what is in force, or was refused for good
	next       []byte // what was read
	onDisk     bool   // next came from the file
	away       bool   // it could not be opened at the latest look
}

func newStreamsFile(f StreamsFile, lookup func(string) (string, bool), inCode func(string) bool, noneServed bool) *streamsFile {
	return &streamsFile{StreamsFile: f, lookup: lookup, inCode: inCode, noneServed: noneServed}
}

// BuiltInName is what mistakes call a StreamsFile.Fallback.
const BuiltInName = "(built-in) streams.json"

// read parses the file. Whoever adopts what it says, or finds that it never can be adopted, calls
// settle; until then the file counts as changed and is tried again.
func (s *streamsFile) read() (*mesh.Topology, error) {
	data, err := s.bytes()
	if err != nil {
		return nil, err
	}
	s.next = data
	parser := Parser{Name: s.name(), LookupEnv: s.lookup, InCode: s.inCode, NoneServed: s.noneServed}
	t, err := parser.Parse(data)
	if err == nil && s.onDisk {
		s.Fallback = nil // a file that goes away later is a mistake and no wish for the built-in one
	}
	return t, err
}

// name is what to call what was read last.
func (s *streamsFile) name() string {
	if s.onDisk {
		return s.Path
	}
	return BuiltInName
}

func (s *streamsFile) settle() { s.last = s.next }

func (s *streamsFile) bytes() ([]byte, error) {
	file, err := os.Open(s.Path)
	s.onDisk = err == nil
	if errors.Is(err, fs.ErrNotExist) && s.Fallback != nil {
		return s.Fallback, nil
	}
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, mesh.MaxTopologyBytes+1))
	if err != nil {
		return nil, fmt.Errorf("configuration %s: %w", s.Path, err)
	}
	return data, nil
}

// isDue reports whether the file has to be read: it differs from what was settled last, or could not be opened when this was asked the
// last time. So one that is away for a moment, as while an editor renames, is no mistake, and one that stays away is.
func (s *streamsFile) isDue() bool {
	wasAway := s.away
	data, err := s.bytes()
	s.away = err != nil
	return wasAway || err == nil && !bytes.Equal(data, s.last)
}

// followStreams applies the edits of streams.json until ctx ends. A wrong edit changes nothing.
func (a *app) followStreams(ctx context.Context) error {
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watch %s: %w", a.streams.Path, err)
	}
	defer watcher.Close()
	// The folder and not the file: editors replace a file by renaming another.
	if err := watcher.Add(filepath.Dir(a.streams.Path)); err != nil {
		a.Logger.WithError(err).Warn("edits of streams.json are noticed late: its folder can't be watched")
	}
	poll := time.NewTicker(pollInterval)
	defer poll.Stop()
	var settled <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case event := <-watcher.Events:
			if filepath.Base(event.Name) == filepath.Base(a.streams.Path) {
				settled = time.After(settleTime)
			}
		case err := <-watcher.Errors:
			a.Logger.WithError(err).Warn("watching streams.json reports an error")
		case <-poll.C:
			a.reloadIfChanged(ctx)
			a.applyRest(ctx)
		case <-settled:
			settled = nil
			a.reloadIfChanged(ctx)
		case <-a.Reload:
			a.reopen()
			a.reload(ctx)
		}
	}
}

// reopen looks again at files other than streams.json.
func (a *app) reopen() {
	if a.fleet != nil {
		a.fleet.Reopen()
	}
	if a.guard == nil {
		return
	}
	if err := a.guard.Reload(); err != nil {
		a.Logger.WithError(err).Error("the access file is not in force as it is now; what it said before still is")
	}
}

// applyRest goes on with what had to wait, for NATS or for events under way.
func (a *app) applyRest(ctx context.Context) {
	if !a.unfinished || !a.js.Conn().IsConnected() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	if err := a.apply(ctx, a.inForce.current(), 0, "what of streams.json had to wait"); err != nil {
		a.Logger.WithError(err).Warn("what of streams.json had to wait can't be applied; trying again")
	}
}

func (a *app) reloadIfChanged(ctx context.Context) {
	if a.streams.isDue() {
		a.reload(ctx)
	}
}

// reload takes streams.json over as it is now, or leaves everything as it was.
func (a *app) reload(ctx context.Context) {
	log := a.Logger.WithField("file", a.streams.Path)
	topology, err := a.streams.read()
	if err == nil {
		err = a.check(topology)
	}
	if err == nil {
		err = a.adopt(ctx, topology)
	}
	var mistakes mesh.Mistakes
	if err == nil || errors.As(err, &mistakes) {
		a.streams.settle()
	}
	if err != nil {
		a.inForce.refuse(err)
		a.reloads.refused()
		log.WithError(err).Error("the new streams.json is refused; the old one stays in force")
		return
	}
	a.reloads.applied()
	log.Info("streams.json is in force")
}

// adopt makes t the configuration in force: first what can fail, then the switch.
func (a *app) adopt(ctx context.Context, t *mesh.Topology) error {
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	if err := a.apply(ctx, t, 0, "streams.json was changed"); err != nil {
		return err
	}
	if err := a.hasStreams(ctx, t); err != nil {
		return err
	}
	if a.ingress != nil {
		if err := a.committer.Update(t); err != nil {
			return err
		}
		if err := a.keyrings.Update(t.Sources); err != nil {
			return err
		}
		if err := a.watchers.Update(t.Sources); err != nil {
			return err
		}
		if err := a.ingress.Update(t.Sources); err != nil {
			return err
		}
	}
	if a.bridges != nil {
		if err := a.bridges.Update(t.Sources); err != nil {
			return err
		}
	}
	if a.fleet != nil {
		a.fleet.Update(t)
	}
	a.setInForce(t)
	return nil
}

// hasStreams finds what t stores and the server would not take: to switch to it would answer 503
// where events are stored now.
func (a *app) hasStreams(ctx context.Context, t *mesh.Topology) error {
	if a.js == nil {
		return nil // nothing is stored here
	}
	for _, s := range t.Streams {
		stream, err := a.js.Stream(ctx, s.Name)
		if err != nil {
			return fmt.Errorf("stream %s: %w; make it with genmesh apply", s.Name, err)
		}
		has := stream.CachedInfo().Config.Subjects
		for _, subject := range s.Config().Subjects {
			covers := func(own string) bool { return mesh.SubjectCovers(own, subject) }
			if !slices.ContainsFunc(has, covers) {
				return fmt.Errorf("stream %s does not take %s on the server; run genmesh apply", s.Name, subject)
			}
		}
	}
	return nil
}
