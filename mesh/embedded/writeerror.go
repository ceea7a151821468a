package embedded

import (
	"fmt"
	"strings"

	"github.com/nats-io/nats-server/v2/server"
)

// writeError is a write that failed: nats-server 2.15 takes nothing more into the stream before it is started anew, answers no publish to
// it, and shows it in its full health alone.
type writeError struct{ stream, text string }

// failedWrite is one of the writes that failed since the server was started, or nil.
func (s *Server) failedWrite() *writeError {
	running := s.running.Load()
	if running == nil {
		return nil
	}
	for _, e := range running.Healthz(&server.HealthzOptions{Details: true}).Errors {
		if _, text, found := strings.Cut(e.Error, " write error: "); found {
			return &writeError{stream: e.Stream, text: text}
		}
	}
	return nil
}

const tooManyFiles = "too many open files"

// passes reports whether a new start mends it once there is enough again of what was missing. After a failed fsync or on a broken disk
// nobody knows what of the files is on the disk, and a server that reads them again could take for safe what is not.
func (e *writeError) passes() bool {
	if strings.HasPrefix(e.text, "sync ") {
		return false
	}
	for _, missing := range []string{"no space left on device", "disk quota exceeded", tooManyFiles} {
		if strings.Contains(e.text, missing) {
			return true
		}
	}
	return false
}

// Error leaves out the path, for it is shown to anybody.
func (e *writeError) Error() string {
	cause := strings.TrimSpace(e.text[strings.LastIndex(e.text, ":")+1:])
	return fmt.Sprintf("nothing is stored: %s at stream %s. %s", cause, e.stream, e.remedy())
}

func (e *writeError) remedy() string {
	switch {
	case !e.passes():
		return "Look after the disk of the data folder, then restart this process"
	case strings.Contains(e.text, tooManyFiles):
		return "Raise the limit of open files; what else needs a restart happens by itself"
	}
	return "Free space on the disk of the data folder: all else happens by itself"
}
