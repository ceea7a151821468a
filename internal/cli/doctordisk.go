package cli

import (
	"context"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/mesh/embedded/disk"
)

// diskProbe looks whether the streams fit on the disk of a data folder; "" is none.
func diskProbe(folder string, t *mesh.Topology) probe {
	const check = "disk"
	return func(ctx context.Context) []finding {
		if folder == "" {
			return nil
		}
		used, err := folderBytes(ctx, folder)
		if err != nil {
			return []finding{broken(check, err, "name the data folder with --data")}
		}
		space, err := disk.Read(folder)
		if err != nil {
			return []finding{doubtful(check, err.Error(), "compare the free space with max_bytes yourself")}
		}
		wanted := storedBytes(t, false) - used
		if space.Free < wanted {
			return []finding{trapped(check, fmt.Sprintf("the streams may grow by %s, %s is free", bytesText(wanted), bytesText(space.Free)),
				"lower max_bytes, or free space: a full disk stops the server")}
		}
		return []finding{good(check, "%s is free, the streams may grow by %s", bytesText(space.Free), bytesText(max(wanted, 0)))}
	}
}

// folderBytes is the size of the files in a folder.
func folderBytes(ctx context.Context, folder string) (int64, error) {
	var sum int64
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil && path == folder:
			return err
		case err != nil || entry.IsDir():
			return nil // a running server removes files meanwhile
		}
		if info, err := entry.Info(); err == nil {
			sum += info.Size()
		}
		return nil
	})
	return sum, err
}
