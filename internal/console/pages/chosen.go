package pages

import (
	"strconv"
	"time"
)

// reasonField is the field of a filter by reason: "reason" says why somebody does something.
const reasonField = "reason_is"

// chosenFacts say in words how something was chosen by a filter, given as its fields and their values. A cause, whose value is a hash, is
// told by the words of it.
func chosenFacts(pairs []string, cause string) []fact {
	var facts []fact
	for i := 0; i+1 < len(pairs); i += 2 {
		name, value := pairs[i], pairs[i+1]
		if value == "" {
			continue
		}
		switch name {
		case reasonField:
			name = "reason"
		case "cause":
			if value = cause; value == "" {
				value = "one alone"
			}
		case "since", "until":
			if at, err := time.Parse(time.RFC3339Nano, value); err == nil {
				value = at.UTC().Format("2006-01-02 15:04:05 UTC")
			}
		}
		facts = append(facts, fact{name, value})
	}
	return facts
}

// chosenText says what was chosen, in a few words: by number, or by a filter.
func chosenText(numbers []uint64, pairs []string) string {
	text := ""
	for i, n := range numbers {
		if i == 3 {
			return text[1:] + " and " + count(len(numbers)-i) + " more"
		}
		text += " " + strconv.FormatUint(n, 10)
	}
	if len(numbers) == 0 {
		for i, f := range chosenFacts(pairs, "") {
			if i > 0 {
				text += ","
			}
			text += " " + f.Name + " " + cut(f.Value, 48)
		}
	}
	if text == "" {
		return "all"
	}
	return text[1:]
}
