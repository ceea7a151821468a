package admin

import (
	"fmt"
	"slices"
	"strings"
)

// maxRangesBytes bounds the numbers that a record names.
const maxRangesBytes = 1024

// ranges writes sorted numbers as "3, 7-12", cut where they are many.
func ranges(numbers []uint64) string {
	var b strings.Builder
	for i := 0; i < len(numbers); {
		last := i
		for last+1 < len(numbers) && numbers[last+1] == numbers[last]+1 {
			last++
		}
		if b.Len() > maxRangesBytes {
			return b.String() + ", …"
		}
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprint(&b, numbers[i])
		if last > i {
			fmt.Fprintf(&b, "-%d", numbers[last])
		}
		i = last + 1
	}
	return b.String()
}

// sortedNumbers are numbers that somebody chose: in order, each once, and at most limit of them if that is above zero.
func sortedNumbers(numbers []uint64, limit int) ([]uint64, error) {
	if len(numbers) > MaxNumbers {
		return nil, Invalid(fmt.Sprintf("%d numbers: at most %d can be given; choose them otherwise", len(numbers), MaxNumbers))
	}
	numbers = slices.Compact(slices.Sorted(slices.Values(numbers)))
	if numbers[0] == 0 {
		return nil, Invalid("0 is no number: the first is 1")
	}
	if limit > 0 && len(numbers) > limit {
		numbers = numbers[:limit]
	}
	return numbers, nil
}
