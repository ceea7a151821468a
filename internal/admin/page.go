package admin

import (
	"cmp"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"time"
)

// pageLimit is how many a page may have.
func pageLimit(limit int) (int, error) {
	if limit < 0 || limit > MaxPage {
		return 0, Invalid(fmt.Sprintf("a page of %d: write a limit of 1 to %d", limit, MaxPage))
	}
	return cmp.Or(limit, DefaultPage), nil
}

// The years whose every nanosecond the server can tell. What is outside it takes for another time: one after the last for one before all, so
// that everything would be chosen.
const firstYear, lastYear = 1678, 2261

// checkSpan refuses a time that ends before it begins, or that the server can't tell.
func checkSpan(since, until time.Time) error {
	for _, at := range []time.Time{since, until} {
		if year := at.UTC().Year(); !at.IsZero() && (year < firstYear || year > lastYear) {
			return Invalid(fmt.Sprintf("a time in the year %d: write one of %d to %d", year, firstYear, lastYear))
		}
	}
	if !since.IsZero() && !until.IsZero() && until.Before(since) {
		return Invalid("until is before since: nothing can be in that time")
	}
	return nil
}

// mark is where a page of what lies in the order of storing ended. Its text is a cursor.
type mark struct {
	at     time.Time
	number uint64
}

func (m mark) String() string { return fmt.Sprintf("%d.%d", m.at.UnixNano(), m.number) }

// parseMark reads a cursor; "" is the zero mark, which nothing is at or before.
func parseMark(cursor string) (mark, error) {
	if cursor == "" {
		return mark{}, nil
	}
	at, number, _ := strings.Cut(cursor, ".")
	nanoseconds, err := strconv.ParseInt(at, 10, 64)
	if err != nil || nanoseconds < 0 {
		return mark{}, Invalid("the cursor is none that a page had")
	}
	n, err := strconv.ParseUint(number, 10, 64)
	if err != nil {
		return mark{}, Invalid("the cursor is none that a page had")
	}
	return mark{time.Unix(0, nanoseconds).UTC(), n}, nil
}

// maxLooked bounds how many are looked at for one page, where what is asked for is among others.
const maxLooked = 100_000

// take calls add for each that comes behind the mark and is wanted, up to the limit, and returns the cursor of what follows: "" if
// nothing does.
func take[T any](all iter.Seq2[T, error], behind mark, limit int, place func(T) mark, add func(T) bool) (string, error) {
	last, taken, looked := behind, 0, 0
	for one, err := range all {
		if err != nil {
			return "", err
		}
		at := place(one)
		if at.number <= behind.number {
			continue
		}
		if taken == limit || looked == maxLooked {
			return last.String(), nil
		}
		if looked++; add(one) {
			taken++
		}
		last = at
	}
	return "", nil
}
