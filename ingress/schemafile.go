package ingress

import (
	"fmt"
	"io"
	"os"
)

// maxSchemaBytes bounds a schema file.
const maxSchemaBytes = 1 << 20

// readSchema reads a schema that streams.json names by its file.
func readSchema(name string) ([]byte, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close() // only read
	data, err := io.ReadAll(io.LimitReader(file, maxSchemaBytes+1))
	if err == nil && len(data) > maxSchemaBytes {
		err = fmt.Errorf("%s is larger than %d bytes", name, maxSchemaBytes)
	}
	return data, err
}
