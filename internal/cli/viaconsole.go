package cli

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"github.com/genmesh/genmesh/internal/admin"
	"github.com/genmesh/genmesh/internal/console/api"
)

// tokenVariable gives the console's token where no file does. There is no flag for it: others on the machine see flags.
const tokenVariable = "GENMESH_CONSOLE_TOKEN"

// throughConsole reports whether a console is to be used. Who types where NATS is means it, whatever the environment says of a console.
func (f *operatorFlags) throughConsole(flags *pflag.FlagSet) (bool, error) {
	typedNATS := isTyped(flags, "server") || isTyped(flags, "context")
	if isTyped(flags, "console-url") && typedNATS {
		return false, errors.New("--console-url and --server (or --context) are two ways to the mesh: give one")
	}
	return f.consoleURL != "" && !typedNATS, nil
}

func (p *program) consoleClient(f *operatorFlags) (admin.Operator, error) {
	token, err := f.token(p.LookupEnv)
	if err != nil {
		return nil, err
	}
	client, err := api.NewClient(api.ClientOptions{URL: f.consoleURL, Token: token, CAFile: f.consoleCA, UserAgent: "genmesh/" + p.Version})
	if err != nil {
		return nil, fmt.Errorf("--console-url: %w", err)
	}
	return client, nil
}

// remedied adds to an error of a console which flag or variable it can be helped with.
func (f *operatorFlags) remedied(err error, lookup func(string) (string, bool)) error {
	switch {
	case isUntrusted(err) && f.consoleCA == "":
		return fmt.Errorf("%w; name the authority that signed the console's certificate with --console-ca", err)
	case isUntrusted(err):
		return fmt.Errorf("%w; none of the certificates in --console-ca %s vouches for it", err, f.consoleCA)
	case !errors.Is(err, api.ErrUnauthenticated):
		return err
	}
	token, _ := lookup(tokenVariable)
	switch {
	case f.tokenFile != "":
		return fmt.Errorf("%w (the console does not take the token of --console-token-file %s, which goes before the one in %s)", err, f.tokenFile, tokenVariable)
	case strings.TrimSpace(token) != "":
		return fmt.Errorf("%w (the console does not take the token in the environment variable %s)", err, tokenVariable)
	}
	return fmt.Errorf("%w (put a token into the environment variable %s, or name a file with --console-token-file)", err, tokenVariable)
}

// isUntrusted reports whether a console's certificate is nobody's who is trusted. One that has expired or has another name is not helped by
// an authority.
func isUntrusted(err error) bool {
	var unverified *tls.CertificateVerificationError
	var invalid x509.CertificateInvalidError
	var otherName x509.HostnameError
	return errors.As(err, &unverified) && !errors.As(err, &invalid) && !errors.As(err, &otherName)
}

// maxTokenBytes bounds the file of a token.
const maxTokenBytes = 16 << 10

// token is the bearer token for the console; "" where the console asks nobody who they are.
func (f *operatorFlags) token(lookup func(string) (string, bool)) (string, error) {
	if f.tokenFile == "" {
		token, _ := lookup(tokenVariable)
		return strings.TrimSpace(token), nil
	}
	file, err := os.Open(f.tokenFile)
	if err != nil {
		return "", fmt.Errorf("--console-token-file: %w", err)
	}
	defer file.Close() // only read
	raw, err := io.ReadAll(io.LimitReader(file, maxTokenBytes+1))
	token := strings.TrimSpace(string(raw))
	switch {
	case err != nil:
		return "", fmt.Errorf("--console-token-file %s: %w", f.tokenFile, err)
	case token == "" || len(raw) > maxTokenBytes || strings.ContainsAny(token, "\r\n"):
		return "", fmt.Errorf("--console-token-file %s holds no token: it is one line", f.tokenFile)
	}
	return token, nil
}
