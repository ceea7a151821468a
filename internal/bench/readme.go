package main

import (
	"fmt"
	"os"
	"strings"
)

// The lines between which the report stands in a Markdown file.
const (
	beginMarker = "<!-- bench:begin -->"
	endMarker   = "<!-- bench:end -->"
)

// checkFile tells whether the report can be put into a file.
func checkFile(file string) error {
	document, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if _, err := replaceReport(string(document), ""); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return nil
}

// replaceInFile puts the report between the markers of a file.
func replaceInFile(file, report string) error {
	info, err := os.Stat(file)
	if err != nil {
		return err
	}
	document, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	replaced, err := replaceReport(string(document), report)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return os.WriteFile(file, []byte(replaced), info.Mode().Perm())
}

// replaceReport puts the report between the two marker lines, which must each be there once.
func replaceReport(document, report string) (string, error) {
	lines := strings.SplitAfter(document, "\n")
	begin, err := findMarker(lines, beginMarker)
	if err != nil {
		return "", err
	}
	end, err := findMarker(lines, endMarker)
	if err != nil {
		return "", err
	}
	if end < begin {
		return "", fmt.Errorf("the line %s comes before %s", endMarker, beginMarker)
	}
	before, after := strings.Join(lines[:begin+1], ""), strings.Join(lines[end:], "")
	return before + "\n" + strings.TrimSpace(report) + "\n\n" + after, nil
}

func findMarker(lines []string, marker string) (int, error) {
	found := -1
	for i, line := range lines {
		if strings.TrimSpace(line) != marker {
			continue
		}
		if found >= 0 {
			return 0, fmt.Errorf("the line %s is there twice", marker)
		}
		found = i
	}
	if found < 0 {
		return 0, fmt.Errorf("there is no line %s", marker)
	}
	return found, nil
}
