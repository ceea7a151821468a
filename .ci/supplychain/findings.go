package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// finding is what govulncheck says of one way on which a program reaches a vulnerability. The first step of the trace
// is in the vulnerable module; without a function it says no more than that the module or the package is there.
type finding struct {
	OSV   string `json:"osv"`
	Fixed string `json:"fixed_version"`
	Trace []struct {
		Module   string `json:"module"`
		Version  string `json:"version"`
		Function string `json:"function"`
	} `json:"trace"`
}

// findingsError carries the exit code: 3, as govulncheck's own, if a module is to be updated, and 4 if nothing but Go itself is.
type findingsError struct {
	code int
	text string
}

func (e *findingsError) Error() string { return e.text }

// sumUp lists the vulnerabilities whose functions are called, and fails if there are any.
func sumUp(in io.Reader, out io.Writer) error {
	modules, std := map[string]string{}, map[string]string{}
	for decoder := json.NewDecoder(in); ; {
		var message struct{ Finding *finding }
		err := decoder.Decode(&message)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("read what govulncheck says: %w", err)
		}
		f := message.Finding
		if f == nil || len(f.Trace) == 0 || f.Trace[0].Function == "" {
			continue
		}
		at := f.Trace[0]
		line := fmt.Sprintf("%s: %s %s, fixed in %s", f.OSV, at.Module, at.Version, orNone(f.Fixed))
		if at.Module == "stdlib" {
			std[f.OSV] = line
		} else {
			modules[f.OSV] = line
		}
	}
	if _, err := io.WriteString(out, lines(modules)+lines(std)); err != nil {
		return err
	}
	switch {
	case len(modules) > 0:
		return &findingsError{3, fmt.Sprintf("%d vulnerabilities in modules, %d in Go's standard library", len(modules), len(std))}
	case len(std) > 0:
		return &findingsError{4, fmt.Sprintf("%d vulnerabilities in Go's standard library", len(std))}
	}
	return nil
}

func orNone(version string) string {
	if version == "" {
		return "no version yet"
	}
	return version
}

func lines(found map[string]string) string {
	var all []string
	for _, line := range found {
		all = append(all, line+"\n")
	}
	slices.Sort(all)
	return strings.Join(all, "")
}
