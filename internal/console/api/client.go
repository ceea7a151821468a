package api

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/genmesh/genmesh/internal/admin"
	"github.com/genmesh/genmesh/internal/telemetry"
)

// ClientOptions say how a Client reaches a console. Only URL is needed.
type ClientOptions struct {
	// URL is where the console is, such as https://mesh.example.com:8090. It is https, but for a console on this machine.
	URL string
	// Token proves who asks; "" where the console asks nobody.
	Token string
	// CAFile names PEM certificates to trust instead of the system's; "" trusts those.
	CAFile    string
	UserAgent string
}

// Client is the admin.Operator that works through a console. Errors that a console answers with read as its detail, and are the admin
// package's, or mesh.ErrNoAudit, by errors.Is. What takes longer than a request is a task of the console: a method that acts on many waits for
// its end, and one whose context ends before says under which id the task goes on. admin.By.Who is ignored: the console knows who asks.
type Client struct {
	base, shown string // base ends before root; shown is the part of it that errors name
	token       string
	userAgent   string
	http        *http.Client
}

var _ admin.Operator = (*Client)(nil)

// The bounds of a client.
const (
	maxAnswerBytes  = 64 << 20
	maxProblemBytes = 64 << 10
	clientTimeout   = requestTimeout + answerTimeout + 5*time.Second
)

// NewClient makes a Client. It does not ask the console for anything yet.
func NewClient(o ClientOptions) (*Client, error) {
	u, err := url.Parse(o.URL)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return nil, errors.New("it is no URL such as https://mesh.example.com:8090") // which may hold a password
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("the URL of a console has no user, no query and no fragment")
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		return nil, fmt.Errorf("http://%s: a console on another machine is asked by https only", u.Host)
	case strings.ContainsFunc(o.Token, func(r rune) bool { return r <= ' ' || r > '~' }):
		return nil, errors.New("the token has characters that no token has")
	}
	transport := http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert // it is documented to be one
	transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	if o.CAFile != "" {
		if transport.TLSClientConfig.RootCAs, err = readCertificates(o.CAFile); err != nil {
			return nil, err
		}
	}
	return &Client{
		base: u.Scheme + "://" + u.Host + strings.TrimRight(u.EscapedPath(), "/"), shown: u.Scheme + "://" + u.Host,
		token: o.Token, userAgent: o.UserAgent,
		http: &http.Client{
			Transport: transport, Timeout: clientTimeout,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // the token is for this console alone
		},
	}, nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func readCertificates(file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("the console's certificates: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("the console's certificates: %s has none in PEM", file)
	}
	return pool, nil
}

// segment is text as one part of a path. Nothing on the way takes "%2E%2E" for the way up.
func segment(text string) string {
	if text == "." || text == ".." {
		return strings.ReplaceAll(text, ".", "%2E")
	}
	return url.PathEscape(text)
}

// get asks for something and decodes it.
func (c *Client) get(ctx context.Context, path string, query url.Values, into any) error {
	return c.do(ctx, http.MethodGet, path, query, nil, into)
}

// do makes a request and decodes its answer. body and into may be nil.
func (c *Client) do(ctx context.Context, method, path string, query url.Values, body, into any) error {
	request, err := c.request(ctx, method, path, query, body)
	if err != nil {
		return err
	}
	response, err := c.http.Do(request)
	if err != nil {
		return c.unreachable(ctx, err)
	}
	defer response.Body.Close() // only read
	if response.StatusCode < 200 || response.StatusCode > 299 {
		return c.refused(response)
	}
	if kind, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type")); kind != "application/json" {
		return fmt.Errorf("%s does not answer as a console does: is it the console's address?", c.shown)
	}
	data, err := readAtMost(response.Body, maxAnswerBytes)
	if err != nil {
		return c.unreachable(ctx, err)
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("the answer of %s can't be read: %w; is it of another version?", c.shown, err)
	}
	return nil
}

func (c *Client) request(ctx context.Context, method, path string, query url.Values, body any) (*http.Request, error) {
	if strings.Contains(path+"/", "//") {
		return nil, admin.Invalid("a name or an id is missing")
	}
	target := c.base + root + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	var content io.Reader = http.NoBody
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return nil, fmt.Errorf("what the console is asked for: %w", err)
		}
		content = bytes.NewReader(data)
	}
	request, err := http.NewRequestWithContext(ctx, method, target, content)
	if err != nil {
		return nil, admin.Invalid("the console can't be asked for that: it makes no address")
	}
	request.Header.Set("Accept", "application/json, application/problem+json")
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		request.Header.Set("Authorization", "Bearer "+c.token)
	}
	if c.userAgent != "" {
		request.Header.Set("User-Agent", c.userAgent)
	}
	return request, nil
}

// errTooLarge means that an answer is larger than is read.
var errTooLarge = fmt.Errorf("the answer is larger than %d MiB: ask for less, such as by a limit or without bodies", maxAnswerBytes>>20)

func readAtMost(from io.Reader, most int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(from, most+1))
	if err == nil && int64(len(data)) > most {
		err = errTooLarge
	}
	return data, err
}

// unreachable says that no whole answer came. The address of what was asked for is left out: it may name an interaction.
func (c *Client) unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("the console at %s was not waited for: %w", c.shown, context.Cause(ctx))
	}
	if errors.Is(err, errTooLarge) {
		return err
	}
	if asked := (*url.Error)(nil); errors.As(err, &asked) {
		err = asked.Err
	}
	return fmt.Errorf("the console at %s: %w", c.shown, err)
}

// ErrUnauthenticated means that a console does not know who asks: it was told no token, or one that it does not take.
var ErrUnauthenticated = errors.New("unauthenticated")

// remoteError is a problem that a console answered with.
type remoteError struct {
	detail string
	kind   error // of the admin package, or ErrUnauthenticated; nil if it is none of those
}

func (e *remoteError) Error() string { return e.detail }
func (e *remoteError) Unwrap() error { return e.kind }

// refused is the error that a problem document stands for.
func (c *Client) refused(response *http.Response) error {
	data, _ := readAtMost(response.Body, maxProblemBytes) // what is not whole is no problem document
	var p problem
	kind, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	if kind != "application/problem+json" || json.Unmarshal(data, &p) != nil || p.Detail == "" {
		err := &remoteError{detail: fmt.Sprintf("%s answers %d, which is not how a console does: is it the console's address?", c.shown, response.StatusCode)}
		if response.StatusCode == http.StatusUnauthorized {
			err.kind = ErrUnauthenticated
		}
		return err
	}
	err := &remoteError{detail: telemetry.Printable(p.Detail), kind: admin.ErrorOf(strings.TrimPrefix(p.Type, problemType))}
	switch {
	case p.Type == problemType+kindInternal:
		err.detail += " (" + telemetry.Printable(p.Instance) + ")"
	case err.kind == nil && response.StatusCode == http.StatusForbidden:
		err.kind = admin.ErrForbidden // of what stands before the API
	case err.kind == nil && response.StatusCode == http.StatusUnauthorized:
		err.kind = ErrUnauthenticated
	}
	return err
}
