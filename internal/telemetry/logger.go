package telemetry

import (
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/sirupsen/logrus"
)

// The log formats.
const (
	// FormatAuto is text in a terminal and JSON elsewhere.
	FormatAuto = "auto"
	FormatText = "text"
	FormatJSON = "json"
)

// NewLogger makes a logger that writes to w at the given level ("debug", "info", "warn",
// "error" ...) and in one of the formats above. Text is coloured if w is a terminal. No value
// that is logged can forge a line or reach the terminal with control characters.
//
// Warnings and errors that repeat within ten seconds are counted and not repeated: see FlushLog.
func NewLogger(w io.Writer, level, format string, isTerminal bool) (*logrus.Logger, error) {
	parsed, err := logrus.ParseLevel(level)
	if err != nil {
		return nil, fmt.Errorf("log level %q: write debug, info, warn or error", level)
	}
	formatter, err := newFormatter(format, isTerminal)
	if err != nil {
		return nil, err
	}
	log := logrus.New()
	log.SetOutput(w)
	log.SetLevel(parsed)
	log.SetFormatter(newRepeats(log, formatter))
	return log, nil
}

func newFormatter(format string, isTerminal bool) (logrus.Formatter, error) {
	switch {
	case format == FormatJSON, format == FormatAuto && !isTerminal:
		return printableJSON{&logrus.JSONFormatter{TimestampFormat: time.RFC3339Nano, DisableHTMLEscape: true}}, nil
	case format == FormatText, format == FormatAuto:
		return printableMessage{&logrus.TextFormatter{
			FullTimestamp:   true,
			TimestampFormat: "15:04:05.000",
			ForceColors:     isTerminal,
			DisableColors:   !isTerminal,
		}}, nil
	}
	return nil, fmt.Errorf("log format %q: write %s, %s or %s", format, FormatAuto, FormatText, FormatJSON)
}

// printableMessage escapes messages. logrus quotes the fields' values, but the message of a
// coloured line goes out as it is.
type printableMessage struct{ logrus.Formatter }

func (f printableMessage) Format(entry *logrus.Entry) ([]byte, error) {
	entry.Message = Printable(entry.Message)
	return f.Formatter.Format(entry)
}

// printableJSON escapes what JSON leaves as it is and a terminal that shows the log acts on.
type printableJSON struct{ logrus.Formatter }

func (f printableJSON) Format(entry *logrus.Entry) ([]byte, error) {
	line, err := f.Formatter.Format(entry)
	if err != nil || isASCII(line) {
		return line, err
	}
	return []byte(PrintableJSON(string(line))), nil
}

// isASCII is true of nearly all lines; JSON has escaped what ASCII has of control characters but DEL.
func isASCII(line []byte) bool {
	return !slices.ContainsFunc(line, func(b byte) bool { return b >= 0x7f })
}
