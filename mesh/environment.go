package mesh

import (
	"fmt"
	"strings"
)

// expand replaces the references ${NAME} and ${NAME:-default} in text by what they stand for;
// "$${" is a literal "${". As in a shell, a default also stands in for an empty variable.
// It reports whether there was a reference; the error names what can't be expanded, never a
// value.
func expand(text string, lookup func(string) (string, bool)) (expanded string, referenced bool, err error) {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(text, "${")
		if !found {
			b.WriteString(text)
			return b.String(), referenced, nil
		}
		if literal, ok := strings.CutSuffix(before, "$"); ok {
			b.WriteString(literal + "${")
			text = rest
			continue
		}
		reference, after, closed := strings.Cut(rest, "}")
		if !closed {
			return "", true, fmt.Errorf(`a reference begins with "${" but has no "}"`)
		}
		value, err := lookUp(reference, lookup)
		if err != nil {
			return "", true, err
		}
		b.WriteString(before + value)
		text, referenced = after, true
	}
}

// lookUp is the value of "NAME" or "NAME:-default".
func lookUp(reference string, lookup func(string) (string, bool)) (string, error) {
	name, fallback, hasFallback := strings.Cut(reference, ":-")
	if !isEnvName(name) {
		return "", fmt.Errorf(`"${" must be followed by the name of an environment variable, such as ${CRM_URL}`)
	}
	value, set := lookup(name)
	switch {
	case value == "" && hasFallback:
		return fallback, nil
	case !set:
		return "", fmt.Errorf("the environment variable %s is not set and has no default", name)
	}
	return value, nil
}

// escapeReferences is text as expand would give it back.
func escapeReferences(text string) string { return strings.ReplaceAll(text, "${", "$${") }

func isEnvName(name string) bool {
	for i := 0; i < len(name); i++ {
		c := name[i]
		letter := c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return name != ""
}
