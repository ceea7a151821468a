package telemetry

import (
	"fmt"
	"io"
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
	log.SetFormatter(formatter)
	return log, nil
}

func newFormatter(format string, isTerminal bool) (logrus.Formatter, error) {
	switch {
	case format == FormatJSON, format == FormatAuto && !isTerminal:
		return &logrus.JSONFormatter{TimestampFormat: time.RFC3339Nano, DisableHTMLEscape: true}, nil
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
