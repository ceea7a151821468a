package admin

import (
	"errors"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/genmesh/genmesh/mesh"
)

// leftOut stands for what is left out of a streams.json.
const leftOut = "…"

var (
	// urlUser and urlParameter are who calls, and each parameter, in a URL: streams.json lets a key stand there.
	urlUser      = regexp.MustCompile(`://[^/?#\s]*@`)
	urlParameter = regexp.MustCompile(`[?&][^&#\s]*`)
	// references are "${NAME}" and "${NAME:-}", alone or several joined by colons: their values are elsewhere.
	references = regexp.MustCompile(`^(\$\{\w+(:-)?\}:?)+$`)
)

// withoutSecrets is a part of a streams.json without what may be a key although no field for secrets holds it: the values of headers, and of
// URLs the user and the values of parameters. References stay, and so do all lines.
func withoutSecrets(text string) string {
	d := jsontext.NewDecoder(strings.NewReader(text), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	var b strings.Builder
	written := 0
	var err error
	for err == nil {
		if d.PeekKind() != '"' {
			_, err = d.ReadToken()
			continue
		}
		var raw jsontext.Value
		if raw, err = d.ReadValue(); err != nil {
			break
		}
		if shown, changed := shownValue(d, raw); changed {
			end := int(d.InputOffset())
			b.WriteString(text[written : end-len(raw)])
			b.Write(shown)
			written = end
		}
	}
	b.WriteString(text[written:])
	if !errors.Is(err, io.EOF) {
		return urlWithoutSecrets(b.String()) // it is no JSON
	}
	return b.String()
}

// shownValue is the string that was read last, and whether it is another one now. Names stay.
func shownValue(d *jsontext.Decoder, raw jsontext.Value) (jsontext.Value, bool) {
	if kind, read := d.StackIndex(d.StackDepth()); kind == '{' && read%2 == 1 {
		return nil, false
	}
	value, err := jsontext.AppendUnquote(nil, raw)
	if err != nil {
		return nil, false
	}
	shown := urlWithoutSecrets(string(value))
	if d.StackPointer().Parent().LastToken() == "headers" && !references.Match(value) {
		shown = leftOut
	}
	if shown == string(value) {
		return nil, false
	}
	quoted, err := jsontext.AppendQuote(nil, shown)
	return quoted, err == nil
}

func urlWithoutSecrets(text string) string {
	if !strings.Contains(text, "://") {
		return text
	}
	text = urlUser.ReplaceAllStringFunc(text, func(user string) string {
		if references.MatchString(user[len("://") : len(user)-1]) {
			return user
		}
		return "://" + leftOut + "@"
	})
	return urlParameter.ReplaceAllStringFunc(text, func(parameter string) string {
		name, value, named := strings.Cut(parameter, "=")
		switch {
		case !named:
			return parameter[:1] + leftOut
		case references.MatchString(value):
			return parameter
		}
		return name + "=" + leftOut
	})
}

// stepsWithoutSecrets are steps that change what withoutSecrets shows of it.
func stepsWithoutSecrets(steps []mesh.Step) []mesh.Step {
	steps = slices.Clone(steps)
	for i := range steps {
		changes := slices.Clone(steps[i].Changes)
		for j, c := range changes {
			changes[j].From, changes[j].To = withoutSecrets(c.From), withoutSecrets(c.To)
		}
		steps[i].Changes = changes
	}
	return steps
}
