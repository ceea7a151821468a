package forward

import (
	"os"
	"strings"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/genmesh/genmesh/mesh"
)

// checkFilesEvery bounds how often the uses of a value look at its files.
const checkFilesEvery = time.Second

// reloaded is a value made from files, and made again when they change. New files that can't be
// used, such as a half-written pair, leave the old value in place. A value without files stays what
// it was. It is safe for concurrent use.
type reloaded[T any] struct {
	what  string // for the log; it names no secret
	files []string
	load  func() (T, error)
	log   logrus.FieldLogger

	mu      sync.Mutex
	checked time.Time
	seen    []os.FileInfo
	value   T
	failing bool // the last check failed and that was told
}

func newReloaded[T any](what string, files []string, log logrus.FieldLogger, load func() (T, error)) (*reloaded[T], error) {
	r := &reloaded[T]{what: what, files: files, log: log, load: load, checked: time.Now()}
	return r, r.reload()
}

// newSecret reads what a secret stands for and makes of it what is used: parse must not quote the
// secret in its errors.
func newSecret[T any](what string, ref mesh.Secret, o Options, parse func(string) (T, error)) (*reloaded[T], error) {
	var files []string
	if path, ok := strings.CutPrefix(string(ref), "file:"); ok {
		files = []string{path}
	}
	return newReloaded(what, files, o.Logger, func() (T, error) {
		text, err := ref.Resolve(o.LookupEnv)
		if err != nil {
			var none T
			return none, err
		}
		return parse(text)
	})
}

func (r *reloaded[T]) get() T {
	if len(r.files) == 0 {
		return r.value
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if now := time.Now(); now.Sub(r.checked) >= checkFilesEvery {
		r.checked = now
		r.tell(r.reload())
	}
	return r.value
}

// tell logs the first failure of a row.
func (r *reloaded[T]) tell(err error) {
	if err != nil && !r.failing {
		r.log.WithError(err).Warnf("%s can't be read again; what was read before stays in use", r.what)
	}
	r.failing = err != nil
}

// reload makes the value again if the files are not those that it was made from.
func (r *reloaded[T]) reload() error {
	var found []os.FileInfo // before they are read: a change in between is seen the next time
	for _, file := range r.files {
		info, err := os.Stat(file)
		if err != nil {
			return err
		}
		found = append(found, info)
	}
	if r.seen != nil && sameFiles(r.seen, found) {
		return nil
	}
	value, err := r.load()
	if err != nil {
		return err
	}
	r.value, r.seen = value, found
	return nil
}

// sameFiles compares inodes too: secrets that are mounted change by a link to other files.
func sameFiles(a, b []os.FileInfo) bool {
	for i := range a {
		if a[i].Size() != b[i].Size() || !a[i].ModTime().Equal(b[i].ModTime()) || !os.SameFile(a[i], b[i]) {
			return false
		}
	}
	return true
}
