package access

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/crypto/bcrypt"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The people of the tests: ann has an argon2id hash, bob one of bcrypt, and ci a token.
const (
	annPassword = "nine brown otters"
	bobPassword = "seven grey herons"
	ciToken     = "genmesh_0123456789abcdef0123456789abcdef"
)

// people makes the users once: their hashes are slow on purpose.
var people = sync.OnceValue(func() []User {
	ann, err := NewUser("ann", Operator, annPassword)
	if err != nil {
		panic(err)
	}
	bob, err := bcrypt.GenerateFromPassword([]byte(bobPassword), minBcryptCost)
	if err != nil {
		panic(err)
	}
	sum := sha256.Sum256([]byte(ciToken))
	return []User{ann, {Name: "bob", Role: Admin, PasswordHash: string(bob)}, {Name: "ci", Role: Viewer, TokenSHA256: hex.EncodeToString(sum[:])}}
})

// clock stands still until it is told to go on.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.at }

func (c *clock) pass(d time.Duration) { c.mu.Lock(); defer c.mu.Unlock(); c.at = c.at.Add(d) }

// lines are what was logged.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) { l.mu.Lock(); defer l.mu.Unlock(); return l.buf.Write(p) }

func (l *lines) String() string { l.mu.Lock(); defer l.mu.Unlock(); return l.buf.String() }

// site is a console behind a guard, served by TLS.
type site struct {
	*httptest.Server
	guard    *Guard
	file     string
	clock    *clock
	log      *lines
	registry *prometheus.Registry
}

// accessFile is one of the people and of what more is to be in it.
func accessFile(t testing.TB, users []User, more ...string) string {
	t.Helper()
	text, err := json.Marshal(users)
	require.NoError(t, err)
	parts := append([]string{`"users":` + string(text)}, more...)
	return "{" + strings.Join(parts, ",") + "}"
}

func write(t testing.TB, path, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
}

// open starts a console with an access file. What it serves says who asks; /wait answers once the request's context has ended.
func open(t *testing.T, text string, change ...func(*Options)) *site {
	t.Helper()
	s := &site{file: filepath.Join(t.TempDir(), "access.json"), clock: &clock{at: time.Now()}, log: new(lines), registry: prometheus.NewRegistry()}
	write(t, s.file, text)
	log := logrus.New()
	log.SetOutput(s.log)
	options := Options{File: s.file, Secure: true, Logger: log, Registerer: s.registry, PublicURL: "https://mesh.example.com", Version: "v1"}
	for _, c := range change {
		c(&options)
	}
	var err error
	s.guard, err = New(options)
	require.NoError(t, err)
	s.guard.now = s.clock.now
	s.Server = httptest.NewTLSServer(s.guard.Handler(http.HandlerFunc(tellWho)))
	t.Cleanup(func() {
		s.Close()
		s.guard.close()
	})
	return s
}

func tellWho(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/wait" {
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		return
	}
	who := Who(r)
	_ = json.NewEncoder(w).Encode(map[string]string{"name": who.Name, "role": string(who.Role), "via": who.Via, "address": Address(r)})
}

// browser keeps cookies and shows where it is sent to instead of going there.
func (s *site) browser(t testing.TB) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	transport := s.Client().Transport.(*http.Transport).Clone()
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{
		Jar: jar, Transport: transport, Timeout: 30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// answer is a response that was read.
type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) who(t testing.TB) map[string]string {
	t.Helper()
	require.Equal(t, http.StatusOK, a.status, a.body)
	var who map[string]string
	require.NoError(t, json.Unmarshal([]byte(a.body), &who))
	return who
}

// ask sends a request; headers come in pairs.
func (s *site) ask(t testing.TB, client *http.Client, method, path, body string, headers ...string) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, s.URL+path, strings.NewReader(body))
	require.NoError(t, err)
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			r.Host = headers[i+1]
			continue
		}
		r.Header.Add(headers[i], headers[i+1])
	}
	response, err := client.Do(r)
	require.NoError(t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return answer{response.StatusCode, response.Header, string(text)}
}

// form sends the sign-in form as a browser does.
func (s *site) form(t testing.TB, client *http.Client, name, password, next string) answer {
	t.Helper()
	fields := url.Values{"name": {name}, "password": {password}, "next": {next}}
	return s.ask(t, client, http.MethodPost, "/login", fields.Encode(),
		"Content-Type", "application/x-www-form-urlencoded", "Origin", s.URL, "Sec-Fetch-Site", "same-origin")
}

// signedIn is a browser of somebody who has signed in with the form.
func (s *site) signedIn(t testing.TB, name, password string) *http.Client {
	t.Helper()
	client := s.browser(t)
	require.Equal(t, http.StatusSeeOther, s.form(t, client, name, password, "/").status)
	return client
}

// cookie is the value that a browser keeps.
func (s *site) cookie(t testing.TB, client *http.Client, name string) string {
	t.Helper()
	at, err := url.Parse(s.URL)
	require.NoError(t, err)
	for _, c := range client.Jar.Cookies(at) {
		if c.Name == name {
			return c.Value
		}
	}
	return ""
}

func (s *site) logins(t testing.TB, result string) float64 {
	t.Helper()
	return testutil.ToFloat64(s.guard.metrics.logins.WithLabelValues(result))
}
