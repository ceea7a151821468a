package broker

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// query reads the parameters of a URL and remembers which it was asked for.
type query struct {
	values url.Values
	asked  []string
}

func (q *query) text(name string) string {
	q.asked = append(q.asked, name)
	return q.values.Get(name)
}

// boolean does not quote what it can't read: a secret may stand in the wrong place.
func (q *query) boolean(name string, byDefault bool) (bool, error) {
	text := q.text(name)
	if text == "" {
		return byDefault, nil
	}
	value, err := strconv.ParseBool(text)
	if err != nil {
		return false, fmt.Errorf("the parameter %q of the url is neither true nor false", name)
	}
	return value, nil
}

// rest refuses parameters that nobody asked for: a typing error must not turn something off.
func (q *query) rest() error {
	for _, name := range slices.Sorted(maps.Keys(q.values)) {
		if !slices.Contains(q.asked, name) {
			return fmt.Errorf("the url has an unknown parameter; known are %s", strings.Join(q.asked, ", "))
		}
	}
	return nil
}
