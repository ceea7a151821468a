package keyring

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// key is what is known of a key.
type key struct {
	since          time.Time
	local, fetched bool // where it came from, be it there still or not
	previous       bool
	gone           time.Time // when it was missed first
}

// refresh looks at the local keys and at the time; the caller holds the lock.
func (k *Keyring) refresh(now time.Time) {
	before := k.local
	k.readLocal()
	if k.state.Previous == 0 && sameKeys(before, k.local) {
		return
	}
	if err := k.merge(now); err != nil {
		k.log.WithError(err).Error("the keys can't be used")
	}
}

// readLocal reads the local keys. What can't be read leaves all as it is.
func (k *Keyring) readLocal() {
	if k.options.Local == nil {
		return
	}
	keys, err := k.options.Local()
	if err == nil && len(keys) > 0 {
		_, err = k.options.Verifier(keys)
	}
	if err != nil {
		if !k.unreadable {
			k.log.WithError(err).Warn("the secrets can't be read; those that are known stay valid")
		}
		k.unreadable = true
		return
	}
	k.local, k.unreadable = keys, false
}

// merge makes the verifier of the keys that are valid now; the caller holds the lock.
func (k *Keyring) merge(now time.Time) error {
	for _, text := range k.local {
		k.have(text, now).local = true
	}
	for _, text := range k.fetched {
		k.have(text, now).fetched = true
	}
	for text, known := range k.known {
		if slices.Contains(k.local, text) || slices.Contains(k.fetched, text) {
			continue
		}
		if !known.previous {
			known.previous, known.gone = true, now
			k.log.WithField("valid_for", k.options.Overlap.String()).Info("a key is no longer at its origin")
		}
		if now.Sub(known.gone) >= k.options.Overlap {
			delete(k.known, text)
			k.log.Info("a previous key is no longer valid")
		}
	}
	k.boundPrevious()
	return k.rebuild()
}

// have notes that an origin has a key.
func (k *Keyring) have(text string, now time.Time) *key {
	if k.known[text] == nil {
		k.known[text] = &key{since: now}
		if !k.state.Newest.IsZero() {
			k.log.Info("there is a new key")
		}
	}
	k.known[text].previous = false
	return k.known[text]
}

// boundPrevious forgets the previous keys that went first, where there are too many: an origin with
// other keys each time would fill the memory, and each forgery is tried with each key.
func (k *Keyring) boundPrevious() {
	var previous []string
	for text, known := range k.known {
		if known.previous {
			previous = append(previous, text)
		}
	}
	if len(previous) <= maxPrevious {
		return
	}
	slices.SortFunc(previous, func(a, b string) int {
		return cmp.Or(k.known[b].gone.Compare(k.known[a].gone), strings.Compare(a, b))
	})
	for _, text := range previous[maxPrevious:] {
		delete(k.known, text)
	}
	k.log.Warnf("more than %d keys were replaced within %s: the oldest of them is no longer valid", maxPrevious, k.options.Overlap)
}

func (k *Keyring) rebuild() error {
	texts := make([]string, 0, len(k.known))
	k.state.Current, k.state.Previous, k.state.Newest = 0, 0, time.Time{}
	for text, known := range k.known {
		texts = append(texts, text)
		if known.previous {
			k.state.Previous++
		} else {
			k.state.Current++
		}
		if known.since.After(k.state.Newest) {
			k.state.Newest = known.since
		}
	}
	k.options.Metrics.keys(k.options.Source, k.state)
	if len(texts) == 0 {
		k.current.Store(nil)
		return nil
	}
	// The newest first: nearly all deliveries are signed with it.
	slices.SortFunc(texts, func(a, b string) int {
		return cmp.Or(k.known[b].since.Compare(k.known[a].since), strings.Compare(a, b))
	})
	v, err := k.options.Verifier(texts)
	if err != nil {
		return err
	}
	k.current.Store(v)
	return nil
}

func sameKeys(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}
