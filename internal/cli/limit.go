package cli

import (
	"errors"

	"github.com/genmesh/genmesh/internal/admin"
)

func checkLimit(limit int) error {
	if limit < 0 {
		return errors.New("--limit must not be below zero")
	}
	return nil
}

// readPages calls take for each that the pages hold, up to the limit or the first error; 0 is no limit.
func readPages[T any](limit int, read func(limit int, cursor string) (page []T, next string, err error), take func(T)) error {
	taken, cursor := 0, ""
	for {
		most := admin.MaxPage
		if limit > 0 {
			most = min(most, limit-taken)
		}
		page, next, err := read(most, cursor)
		if err != nil {
			return err
		}
		for _, one := range page {
			take(one)
		}
		taken += len(page)
		if next == "" || limit > 0 && taken >= limit {
			return nil
		}
		cursor = next
	}
}
