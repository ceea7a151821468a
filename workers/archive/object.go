package archive

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/genmesh/genmesh/mesh"
)

// object is the lines of one hour.
type object struct {
	partition string
	writes    []*write // by sequence
}

// partition is the folder of the event: that of the hour, in UTC, in which it was stored.
func partition(e mesh.Event) string {
	at := e.Stored
	if at.IsZero() {
		at = e.Received
	}
	at = at.UTC()
	return fmt.Sprintf("%s/year=%04d/month=%02d/day=%02d/hour=%02d", folderName(e.Stream), at.Year(), at.Month(), at.Day(), at.Hour())
}

// folderName leaves nothing in a name that means something in a path.
func folderName(s string) string {
	if s == "" {
		return "_"
	}
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' {
			return r
		}
		return '_'
	}, s)
}

// objects divides the writes that nobody withdrew.
func objects(writes []*write) []object {
	byPartition := map[string]*object{}
	var found []*object
	for _, w := range writes {
		if w.withdrawn {
			continue
		}
		o := byPartition[w.partition]
		if o == nil {
			o = &object{partition: w.partition}
			byPartition[w.partition] = o
			found = append(found, o)
		}
		o.writes = append(o.writes, w)
	}
	all := make([]object, len(found))
	for i, o := range found {
		slices.SortStableFunc(o.writes, bySequence)
		all[i] = *o
	}
	return all
}

func bySequence(a, b *write) int {
	switch {
	case a.sequence < b.sequence:
		return -1
	case a.sequence > b.sequence:
		return 1
	}
	return 0
}

// hashBytes is how much of the hash stands in the name: enough that two objects of the same sequences never share it.
const hashBytes = 8

// encode is the object's content and its name. Both depend on the lines alone: the header of the gzip holds no time.
func (o object) encode() (content []byte, name string, err error) {
	hash := sha256.New()
	var buffer bytes.Buffer
	zip := gzip.NewWriter(&buffer)
	for _, w := range o.writes {
		_, _ = hash.Write(w.line) // a hash never fails
		if _, err := zip.Write(w.line); err != nil {
			return nil, "", err
		}
	}
	if err := zip.Close(); err != nil {
		return nil, "", err
	}
	first, last := o.writes[0].sequence, o.writes[len(o.writes)-1].sequence
	name = fmt.Sprintf("%s/%012d-%012d-%s.ndjson.gz", o.partition, first, last, hex.EncodeToString(hash.Sum(nil)[:hashBytes]))
	return buffer.Bytes(), name, nil
}
