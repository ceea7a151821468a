package main

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestOnlyCalledFunctionsCountAndModulesBeforeGoItself(t *testing.T) {
	const (
		module   = `{"finding":{"osv":"GO-1","fixed_version":"v1.2.0","trace":[{"module":"example.com/m","version":"v1.1.0","function":"F"}]}}`
		standard = `{"finding":{"osv":"GO-2","trace":[{"module":"stdlib","version":"v1.26.0","function":"F"}]}}`
		linked   = `{"finding":{"osv":"GO-3","trace":[{"module":"example.com/m","version":"v1.1.0"}]}}`
	)
	for name, test := range map[string]struct {
		says string
		code int
	}{
		"nothing":            {`{"config":{}}`, 0},
		"linked, not called": {linked, 0},
		"Go itself":          {standard + linked, 4},
		"a module":           {module + standard, 3},
	} {
		t.Run(name, func(t *testing.T) {
			err := sumUp(strings.NewReader(test.says), io.Discard)
			if test.code == 0 {
				require.NoError(t, err)
				return
			}
			var found *findingsError
			require.True(t, errors.As(err, &found))
			assert.Equal(t, test.code, found.code)
		})
	}
	assert.Error(t, sumUp(strings.NewReader("not JSON"), io.Discard))
}
