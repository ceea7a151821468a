package ndjson

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"
	"github.com/sirupsen/logrus"

	"github.com/genmesh/genmesh/workers/durably"
)

// file is a file of whole lines: what append returned nil for is on disk, and nothing else
// stays in it but, after a failure, whole lines that will come again. It is not safe for
// concurrent use.
type file struct {
	path        string
	rotateBytes int64
	log         logrus.FieldLogger
	lock        *flock.Flock

	open   func(path string) (handle, error)
	handle handle // nil while the file is not open
	size   int64  // where the last line ends that is on disk
}

// handle is what file needs of an *os.File.
type handle interface {
	io.Writer
	io.ReaderAt
	io.Closer
	Stat() (fs.FileInfo, error)
	Truncate(size int64) error
	Sync() error
}

var errLocked = errors.New("another process or subscriber writes it; give each subscriber a file of its own")

func newFile(path string, rotateBytes int64, log logrus.FieldLogger) *file {
	return &file{
		path: path, rotateBytes: rotateBytes, log: log,
		lock: flock.New(path + ".lock"),
		open: openRegular,
	}
}

// append writes the lines and fsyncs them. After a failure the file is cut back to what was on
// disk and opened anew by the next call: the state of a file whose fsync failed is unknown.
func (f *file) append(lines []byte) error {
	if err := f.ready(); err != nil {
		return err
	}
	if f.size > 0 && f.size+int64(len(lines)) > f.rotateBytes {
		if err := f.rotate(); err != nil {
			return err
		}
	}
	_, err := f.handle.Write(lines)
	if err == nil {
		err = f.handle.Sync()
	}
	if err != nil {
		return fmt.Errorf("write to %s: %w", f.path, errors.Join(err, f.undo()))
	}
	f.size += int64(len(lines))
	return nil
}

// undo cuts off what the failed write left and closes the file. Where even that fails, the next
// ready cuts off the torn line.
func (f *file) undo() error {
	defer f.closeHandle() //nolint:errcheck // the write's own failure is reported
	info, err := f.handle.Stat()
	if err != nil {
		return err
	}
	if info.Size() <= f.size { // or else Truncate would fill up with zeros
		return nil
	}
	return f.handle.Truncate(f.size)
}

// ready takes the lock and opens the file, as far as that isn't done.
func (f *file) ready() error {
	if f.handle != nil {
		return nil
	}
	if err := durably.MakeFolder(filepath.Dir(f.path)); err != nil {
		return fmt.Errorf("make the folder of %s: %w", f.path, err)
	}
	if locked, err := f.lock.TryLock(); err != nil {
		return fmt.Errorf("lock %s: %w", f.path, err)
	} else if !locked {
		return fmt.Errorf("lock %s: %w", f.path, errLocked)
	}
	h, err := f.open(f.path)
	if err != nil {
		return fmt.Errorf("open %s: %w", f.path, err)
	}
	size, err := f.cutTornLine(h)
	if err == nil {
		err = durably.SyncFolder(filepath.Dir(f.path))
	}
	if err != nil {
		return fmt.Errorf("open %s: %w", f.path, errors.Join(err, h.Close()))
	}
	f.handle, f.size = h, size
	return nil
}

// cutTornLine cuts off what follows the last line feed and returns the size that is left.
func (f *file) cutTornLine(h handle) (int64, error) {
	info, err := h.Stat()
	if err != nil {
		return 0, err
	}
	end, err := lastLineEnd(h, info.Size())
	if err != nil || end == info.Size() {
		return end, err
	}
	f.log.WithField("bytes", info.Size()-end).Warn("cut off a torn last line, which was never acknowledged")
	if err := h.Truncate(end); err != nil {
		return 0, err
	}
	return end, h.Sync()
}

// lastLineEnd is where the last whole line of the first size bytes ends.
func lastLineEnd(r io.ReaderAt, size int64) (int64, error) {
	buffer := make([]byte, 64<<10)
	for end := size; end > 0; {
		start := max(0, end-int64(len(buffer)))
		chunk := buffer[:end-start]
		if _, err := r.ReadAt(chunk, start); err != nil && err != io.EOF {
			return 0, err
		}
		if i := bytes.LastIndexByte(chunk, '\n'); i >= 0 {
			return start + int64(i) + 1, nil
		}
		end = start
	}
	return 0, nil
}

// rotate moves the file out of the way and starts a new one. The names of moved files sort by
// time: "events.ndjson" becomes "events-20261123T141500.000Z-000.ndjson".
func (f *file) rotate() error {
	name, err := f.rotatedName(time.Now())
	if err != nil {
		return fmt.Errorf("rotate %s: %w", f.path, err)
	}
	if err := os.Rename(f.path, name); err != nil && !errors.Is(err, fs.ErrNotExist) { // already moved away
		return fmt.Errorf("rotate: %w", err)
	}
	return f.reopen()
}

// maxRotations bounds the files that are moved away in one millisecond.
const maxRotations = 1000

// rotatedName is a name that no file has. The lock keeps it free.
func (f *file) rotatedName(now time.Time) (string, error) {
	extension := filepath.Ext(f.path)
	stem := strings.TrimSuffix(f.path, extension) + now.UTC().Format("-20060102T150405.000Z")
	for n := range maxRotations {
		name := fmt.Sprintf("%s-%03d%s", stem, n, extension)
		if _, err := os.Lstat(name); errors.Is(err, fs.ErrNotExist) {
			return name, nil
		} else if err != nil {
			return "", err
		}
	}
	return "", fmt.Errorf("all names from %s-000 on are taken", stem)
}

func (f *file) reopen() error {
	if err := f.closeHandle(); err != nil {
		return err
	}
	return f.ready()
}

func (f *file) close() error {
	return errors.Join(f.closeHandle(), f.lock.Unlock())
}

func (f *file) closeHandle() error {
	if f.handle == nil {
		return nil
	}
	h := f.handle
	f.handle = nil
	return h.Close()
}
