// Package durably makes folders that are still there after a power cut, as targets that write files need them: a file is
// on disk only with its name, and that stands in its folder (fsync(2), "Calling fsync() does not necessarily ensure that the
// entry in the directory containing the file has also reached disk").
package durably

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// MakeFolder is os.MkdirAll with the mode 0750, durable: the entry of each new folder is on disk when it returns.
func MakeFolder(path string) error {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return nil
	}
	parent := filepath.Dir(path)
	if parent != path {
		if err := MakeFolder(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(path, 0o750); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return SyncFolder(parent)
}

// SyncFolder makes what was created in a folder, and renamed within it, durable.
func SyncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
