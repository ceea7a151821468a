package cli

import (
	"errors"
	"iter"
)

func checkLimit(limit int) error {
	if limit < 0 {
		return errors.New("--limit must not be below zero")
	}
	return nil
}

// takeUpTo calls take for each of all, up to the limit or the first error; 0 is no limit.
func takeUpTo[T any](limit int, all iter.Seq2[T, error], take func(T)) error {
	taken := 0
	for one, err := range all {
		if err != nil {
			return err
		}
		take(one)
		if taken++; taken == limit {
			return nil
		}
	}
	return nil
}
