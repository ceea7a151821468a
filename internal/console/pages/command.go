package pages

import (
	"fmt"
	"strings"

	"github.com/genmesh/genmesh/internal/telemetry"
)

// command is how the command line does the same, ready to be pasted into bash or zsh. An option without a value is left out, with
// its name.
func command(parts ...string) string {
	var b strings.Builder
	b.WriteString("genmesh")
	for i := 0; i < len(parts); i++ {
		part := parts[i]
		if strings.HasPrefix(part, "--") && strings.HasSuffix(part, "=") {
			i++
			if i < len(parts) && parts[i] != "" {
				b.WriteString(" " + strings.TrimSuffix(part, "=") + " " + quoted(parts[i]))
			}
			continue
		}
		if part != "" {
			b.WriteString(" " + quoted(part))
		}
	}
	return b.String()
}

// quoted is a word that a shell takes as it is. What can't be printed is written as $'…' has it, so that nothing is hidden.
func quoted(word string) string {
	if word != "" && strings.IndexFunc(word, func(r rune) bool { return !plain(r) }) < 0 {
		return word
	}
	if telemetry.Printable(word) == word {
		return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
	}
	var b strings.Builder
	b.WriteString("$'")
	for _, c := range []byte(word) {
		if c < 0x80 && plain(rune(c)) || c == ' ' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, `\x%02x`, c)
		}
	}
	return b.String() + "'"
}

func plain(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:,@%+=", r)
}
