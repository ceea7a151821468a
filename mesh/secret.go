package mesh

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// maxSecretBytes bounds the file that a secret is read from.
const maxSecretBytes = 4096

// Resolve reads the secret that s refers to: an environment variable, or a file of at most
// 4 KiB without its last newline. It is "" if a "${NAME:-}" is unset. An error names the
// reference and never the value. A nil lookup is os.LookupEnv.
func (s Secret) Resolve(lookup func(string) (string, bool)) (string, error) {
	if lookup == nil {
		lookup = os.LookupEnv
	}
	if path, ok := s.file(); ok {
		value, err := readSecretFile(path)
		if err != nil {
			return "", fmt.Errorf("the secret %s: %w", s, err)
		}
		return value, nil
	}
	name, optional, ok := s.variable()
	if !ok {
		return "", errors.New(`a secret is not a reference; write "${ENV_NAME}" or "file:/path"`)
	}
	value, set := lookup(name)
	if value == "" && !optional {
		return "", fmt.Errorf("the secret %s: the environment variable is %s", s, unsetOrEmpty(set))
	}
	return value, nil
}

func unsetOrEmpty(set bool) string {
	if set {
		return "empty"
	}
	return "not set"
}

// String is the reference. What is no reference could be a secret and is not shown.
func (s Secret) String() string {
	if s != "" && !s.isReference() {
		return "(not a reference)"
	}
	return string(s)
}

// GoString is String, for %#v.
func (s Secret) GoString() string { return s.String() }

// ResolveSecrets reads all secrets of the source, in order, without those whose "${NAME:-}" is
// unset. A file may hold several, one in a line, so that one can be added before the other goes.
// It fails if one can't be read, or if none is left and none comes from a subscription.
func (s Source) ResolveSecrets(lookup func(string) (string, bool)) ([]string, error) {
	var values []string
	for _, secret := range s.secrets() {
		value, err := secret.Resolve(lookup)
		if err != nil {
			return nil, fmt.Errorf("source %s: %w", s.Name, err)
		}
		for line := range strings.Lines(value) {
			if line = strings.TrimRight(line, "\r\n"); line != "" {
				values = append(values, line)
			}
		}
	}
	if len(values) == 0 && !s.FetchesKeys() {
		return nil, fmt.Errorf("source %s: none of its secrets is set; nothing could be verified", s.Name)
	}
	return values, nil
}

// SigningKey is the first of the source's secrets: what genmesh signs with where it is a sender itself.
// It fails if there is none.
func (s Source) SigningKey(lookup func(string) (string, bool)) (string, error) {
	keys, err := s.ResolveSecrets(lookup)
	if err != nil {
		return "", err
	}
	if len(keys) == 0 {
		return "", fmt.Errorf("source %s: it has no secret of its own to sign with, only the keys of its subscription", s.Name)
	}
	return keys[0], nil
}

func (s Source) secrets() []Secret {
	if s.Secret == "" {
		return s.Secrets
	}
	return append([]Secret{s.Secret}, s.Secrets...)
}

// isReference reports whether s is a reference and not, by mistake, a secret.
func (s Secret) isReference() bool {
	if path, ok := s.file(); ok {
		return filepath.IsAbs(path)
	}
	_, _, ok := s.variable()
	return ok
}

func (s Secret) file() (path string, ok bool) { return strings.CutPrefix(string(s), "file:") }

func (s Secret) variable() (name string, optional, ok bool) {
	inner, ok := strings.CutPrefix(string(s), "${")
	inner, closed := strings.CutSuffix(inner, "}")
	name, optional = strings.CutSuffix(inner, ":-")
	return name, optional, ok && closed && isEnvName(name)
}

// readSecretFile reads a bounded file. It refuses an empty one: an empty key verifies anything
// that was signed with one.
func readSecretFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close() // only read
	data, err := io.ReadAll(io.LimitReader(f, maxSecretBytes+1))
	if err != nil {
		return "", err
	}
	if len(data) > maxSecretBytes {
		return "", fmt.Errorf("the file is larger than %d bytes", maxSecretBytes)
	}
	value := strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r")
	if value == "" {
		return "", errors.New("the file is empty")
	}
	return value, nil
}
