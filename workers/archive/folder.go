package archive

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	"github.com/genmesh/genmesh/workers/durably"
)

// folder keeps objects as files. What put returned nil for is on disk: the file, its name and its folders.
type folder struct{ path string }

func newFolder(p place) (store, error) {
	path := p.url.Path
	if p.url.Opaque != "" {
		var err error
		if path, err = url.PathUnescape(p.url.Opaque); err != nil {
			return nil, fmt.Errorf("the path of the url: %w", err)
		}
	}
	if p.url.Host != "" || p.url.User != nil || p.url.RawQuery != "" || p.url.Fragment != "" || path == "" || path == "/" {
		return nil, errors.New(`the url is not of the form "archive+file:///var/lib/genmesh/archive"`)
	}
	return folder{filepath.Clean(path)}, nil
}

// put does not look at ctx once it writes: no call on a file can be told to end.
func (f folder) put(ctx context.Context, name string, content []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	path := filepath.Join(f.path, filepath.FromSlash(name))
	if err := durably.MakeFolder(filepath.Dir(path)); err != nil {
		return fmt.Errorf("make its folder: %w", err)
	}
	temporary, err := writeTemporary(filepath.Dir(path), content)
	if err != nil {
		return err
	}
	if err := os.Rename(temporary, path); err != nil {
		return errors.Join(err, os.Remove(temporary))
	}
	return durably.SyncFolder(filepath.Dir(path))
}

func (f folder) close() error { return nil }

// writeTemporary writes a file that is on disk under a name that no reader takes for an object. One that a crash left may be deleted.
func writeTemporary(folder string, content []byte) (path string, err error) {
	file, err := os.CreateTemp(folder, ".unfinished-*") // for its owner alone
	if err != nil {
		return "", err
	}
	if _, err = file.Write(content); err == nil {
		err = file.Sync()
	}
	err = errors.Join(err, file.Close())
	if err != nil {
		return "", errors.Join(err, os.Remove(file.Name()))
	}
	return file.Name(), nil
}
