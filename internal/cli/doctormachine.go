package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"slices"
	"strings"

	"github.com/genmesh/genmesh/mesh"
)

// spareDescriptors are for NATS, streams.json, targets' idle connections and what else a process opens.
const spareDescriptors = 256

// descriptors compares the limit of this process with the connections that one process with all parts may have at once. A service has a limit of
// its own.
func descriptors(t *mesh.Topology) finding {
	const check = "file descriptors"
	needed := uint64(spareDescriptors)
	for _, s := range t.Sources {
		needed += uint64(s.MaxInFlight)
	}
	for _, s := range t.Subscribers {
		needed += uint64(s.MaxInFlight)
	}
	limit, known := descriptorLimit()
	switch {
	case !known:
		return good(check, "this system tells no limit")
	case limit < needed:
		return trapped(check, fmt.Sprintf("a process may open %d, and all sources and subscribers may need %d", limit, needed),
			"raise the limit (ulimit -n, LimitNOFILE), and run genmesh doctor as the service runs")
	}
	return good(check, "a process may open %d, all sources and subscribers may need %d", limit, needed)
}

// readable looks whether others on this machine may change streams.json, or read secrets.
func readable(streams string, t *mesh.Topology) []finding {
	if runtime.GOOS == "windows" { // which has no such permissions
		return nil
	}
	const check = "file permissions"
	if mode, err := modeOf(streams); err == nil && mode&0o002 != 0 {
		return []finding{trapped(check, fmt.Sprintf("%s can be written by others (%v): who can, decides where events go", streams, mode), "chmod o-w "+streams)}
	}
	for _, path := range secretFiles(t) {
		mode, err := modeOf(path)
		if errors.Is(err, fs.ErrNotExist) { // which the secret's own check tells of
			continue
		}
		if err != nil {
			return []finding{doubtful(check, err.Error(), "run genmesh doctor as the user that genmesh serve runs as")}
		}
		if mode&0o007 != 0 {
			return []finding{trapped(check, fmt.Sprintf("the secret %s is open to every user of this machine (%v)", path, mode), "chmod o= "+path)}
		}
	}
	return []finding{good(check, "streams.json and secrets are closed to others")}
}

func modeOf(path string) (fs.FileMode, error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	return info.Mode().Perm(), nil
}

// secretFiles are the files that secrets of streams.json are in.
func secretFiles(t *mesh.Topology) []string {
	var secrets []mesh.Secret
	for _, s := range t.Sources {
		secrets = append(append(secrets, s.Secret), s.Secrets...)
		if s.API != nil {
			secrets = append(secrets, s.API.ClientSecret)
		}
	}
	for _, s := range t.Subscribers {
		secrets = append(secrets, s.RedactKey)
		if s.Target == nil {
			continue
		}
		secrets = append(secrets, s.Target.SigningSecrets...)
		for _, secret := range s.Target.SecretHeaders {
			secrets = append(secrets, secret)
		}
		if a := s.Target.Auth; a != nil {
			secrets = append(secrets, a.Password, a.Token, a.ClientSecret)
		}
	}
	var files []string
	for _, secret := range secrets {
		if path, isFile := strings.CutPrefix(string(secret), "file:"); isFile {
			files = append(files, path)
		}
	}
	slices.Sort(files)
	return slices.Compact(files)
}
