package embedded

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
)

// What the health of nats-server 2.15 says, behind its own words about the stream.
func TestOnlyAShortageIsMendedByANewStart(t *testing.T) {
	for text, want := range map[string]struct {
		passes bool
		says   string
	}{
		"write /data/S/msgs/3.blk: no space left on device":                           {true, "no space left on device at stream S. Free space on"},
		"write /data/S/msgs/3.blk: disk quota exceeded":                               {true, "disk quota exceeded at stream S. Free space on"},
		"Error creating msg block file: open /data/S/msgs/4.blk: too many open files": {true, "too many open files at stream S. Raise the limit"},
		"sync /data/S/msgs/3.blk: no space left on device":                            {false, "no space left on device at stream S. Look after the disk"},
		"sync /data/S/msgs/3.blk: input/output error":                                 {false, "input/output error at stream S. Look after the disk"},
		"write /data/S/msgs/3.blk: read-only file system":                             {false, "read-only file system at stream S. Look after the disk"},
		"Error creating msg block file: open /data/S/msgs/4.blk: input/output error":  {false, "input/output error at stream S. Look after the disk"},
	} {
		e := &writeError{stream: "S", text: text}
		assert.Equal(t, want.passes, e.passes(), text)
		assert.Contains(t, e.Error(), "nothing is stored: "+want.says, text)
		assert.NotContains(t, e.Error(), "/data", "anybody may read it")
	}
}

func TestRestartsAreKeptApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r restarts
		assert.True(t, r.isDue())
		r.note()
		time.Sleep(restartWait - time.Millisecond)
		assert.False(t, r.isDue())
		time.Sleep(time.Millisecond)
		assert.True(t, r.isDue())

		r.note()
		time.Sleep(restartWait)
		assert.False(t, r.isDue(), "the one before did not last")
		time.Sleep(lastingRestart)
		r.note()
		time.Sleep(restartWait)
		assert.True(t, r.isDue(), "that failure was a new one")
	})
}
