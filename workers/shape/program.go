package shape

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/itchyny/gojq"
)

const (
	maxProgramBytes = 8 << 10
	maxResultBytes  = 1 << 20
	maxErrorBytes   = 240
	fieldTransform  = "transform"

	// maxInstructions bounds a run whatever the machine is busy with. A program that builds an object of ten fields takes some two hundred.
	maxInstructions = 500_000
	// maxRunTime bounds what the instructions do, such as sorting. It is looked at between instructions, and within a search.
	maxRunTime = 250 * time.Millisecond
)

// program is a compiled Transform.
type program struct {
	code *gojq.Code
	// limit is maxRunTime.
	limit time.Duration
}

// The variables that a program has. The second is ours: the program can't name it.
const (
	variableEvent = "$event"
	variableRun   = "$__run"
)

func compileProgram(source string) (*program, Mistakes) {
	wrong := func(problem, hint string) (*program, Mistakes) {
		return nil, Mistakes{{Field: fieldTransform, Problem: problem, Hint: hint}}
	}
	if len(source) > maxProgramBytes {
		return wrong(fmt.Sprintf("it has %d bytes; at most %d are allowed", len(source), maxProgramBytes),
			"let a program that serves the subscriber transform")
	}
	if !utf8.ValidString(source) {
		return wrong("it is not valid UTF-8", "")
	}
	query, err := gojq.Parse(source)
	if err != nil {
		return nil, Mistakes{unparsedProgram(source, err)}
	}
	g := guard{source: source, patterns: patterns{}}
	g.program(query)
	if len(g.mistakes) > 0 {
		return nil, g.mistakes
	}
	code, err := gojq.Compile(query, g.options()...)
	if err != nil {
		return wrong(bounded(err.Error()), "")
	}
	return &program{code, maxRunTime}, nil
}

func unparsedProgram(source string, err error) Mistake {
	m := Mistake{Field: fieldTransform, Problem: bounded(err.Error()), Hint: "it has to be a jq program, such as {id: .data.id, at: $event.occurred}"}
	var syntaxError *gojq.ParseError
	if errors.As(err, &syntaxError) {
		m.Line, m.Column = place(source, syntaxError.Offset-len(syntaxError.Token))
	}
	return m
}

// run is the program's one result; false if it has none, which passes the event by. Its error shows no value of the event; x, if not nil, is
// told the whole of it.
func (p *program) run(parent context.Context, input any, event map[string]any, x *Explanation) (body []byte, goesOn bool, err error) {
	if err := parent.Err(); err != nil {
		return nil, false, err
	}
	timed, cancel := context.WithTimeout(parent, p.limit)
	defer cancel()
	metered := &meter{Context: timed, limit: p.limit, instructions: maxInstructions, memory: maxMemory}
	results := p.code.RunWithContext(metered, input, event, metered)
	first, any := results.Next()
	if err := metered.failure(parent, first, x); err != nil || !any {
		return nil, false, err
	}
	body, err = encode(first)
	if err != nil {
		return nil, false, err
	}
	second, more := results.Next()
	if err := metered.failure(parent, second, x); err != nil {
		return nil, false, err
	}
	if more {
		return nil, false, errors.New("the program has more than one result; write first(…), or […] for a list of them")
	}
	return body, true, nil
}

// encode is compact JSON with the members by name.
func encode(v any) ([]byte, error) {
	if weight(v, maxWeight) > maxWeight {
		return nil, errResult
	}
	body, err := gojq.Marshal(v)
	if err != nil {
		return nil, errors.New("the result can't be written as JSON") // what the library says of it may show it
	}
	if len(body) > maxResultBytes {
		return nil, errResult
	}
	return body, nil
}

var errResult = fmt.Errorf("the result has more than %d bytes, or is nested deeper than %d levels", maxResultBytes, maxDepth)

// meter ends a program: gojq looks at its context before each instruction. It belongs to one run, in one goroutine.
type meter struct {
	context.Context
	limit        time.Duration // which the context has
	instructions int
	memory       int
	exceeded     error
}

var (
	errInstructions = fmt.Errorf("the program takes more than %d instructions for this event", maxInstructions)
	ended           = closedChannel()
)

func closedChannel() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}

// Done counts an instruction.
func (m *meter) Done() <-chan struct{} {
	if m.instructions--; m.instructions < 0 && m.exceeded == nil {
		m.exceeded = errInstructions
	}
	if m.exceeded != nil {
		return ended
	}
	return m.Context.Done()
}

// Err is why the run ended.
func (m *meter) Err() error {
	if m.exceeded != nil {
		return m.exceeded
	}
	return m.Context.Err()
}

// failure is the error that a result is, without any value of the event. x, if not nil, is told the whole of it.
func (m *meter) failure(parent context.Context, result any, x *Explanation) error {
	err, failed := result.(error)
	switch {
	case m.exceeded != nil: // whatever the program made of it
		return m.exceeded
	case parent.Err() != nil:
		return parent.Err()
	case m.Context.Err() != nil:
		return fmt.Errorf("the program took too long: %w is %s", ErrTimeLimit, m.limit)
	case !failed:
		return nil
	}
	shown := bounded(withoutValues(err))
	if whole := bounded(err.Error()); x != nil && whole != shown {
		x.Whole = whole
	}
	return errors.New(shown)
}

// bounded is a message on one line and of bounded length.
func bounded(message string) string {
	message = strings.Join(strings.Fields(strings.ToValidUTF8(message, "�")), " ")
	if len(message) > maxErrorBytes {
		message = strings.ToValidUTF8(message[:maxErrorBytes], "") + "…"
	}
	return message
}
