package cli

import (
	"testing"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestOnlyOffServesNoConsole where the environment says it: compose files set what nobody gave to nothing.
func TestOnlyOffServesNoConsole(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		env  string
		want string
	}{
		"nobody says anything":        {nil, "", "127.0.0.1:8090"},
		"the environment says off":    {nil, off, ""},
		"a flag says off":             {[]string{"--console", off}, "127.0.0.1:9000", ""},
		"a flag says nothing":         {[]string{"--console="}, "127.0.0.1:9000", ""},
		"the environment says where":  {nil, "127.0.0.1:9000", "127.0.0.1:9000"},
		"a flag wins over off beside": {[]string{"--console", "127.0.0.1:9000"}, off, "127.0.0.1:9000"},
	} {
		t.Run(name, func(t *testing.T) {
			var f consoleFlags
			flags := pflag.NewFlagSet("", pflag.ContinueOnError)
			f.add(flags)
			require.NoError(t, flags.Parse(c.args))
			require.NoError(t, fromEnvironment(flags, func(variable string) (string, bool) { return c.env, variable == "GENMESH_CONSOLE" }))
			console, err := f.console()
			require.NoError(t, err)
			if c.want == "" {
				assert.Nil(t, console)
			} else if assert.NotNil(t, console) {
				assert.Equal(t, c.want, console.Addr)
			}
			assert.Equal(t, c.want, f.listens()[0].addr)
		})
	}
}
