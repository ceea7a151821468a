package access

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func basicAuth(name, password string) string {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.SetBasicAuth(name, password)
	return r.Header.Get("Authorization")
}

func TestOnlyWhoProvesWhoTheyAreGetsIn(t *testing.T) {
	s := open(t, accessFile(t, people()))
	for _, tc := range []struct {
		name, authorization string
		who                 string // name, role and via; "" is nobody
	}{
		{"token", "Bearer " + ciToken, "ci viewer token"},
		{"token, scheme in another case", "bearer " + ciToken, "ci viewer token"},
		{"argon2id password", basicAuth("ann", annPassword), "ann operator password"},
		{"bcrypt password", basicAuth("bob", bobPassword), "bob admin password"},
		{"nothing", "", ""},
		{"another token", "Bearer genmesh_0123456789abcdef0123456789abcdeg", ""},
		{"token's hash", "Bearer " + people()[2].TokenSHA256, ""},
		{"no token", "Bearer ", ""},
		{"token as a password", basicAuth("ci", ciToken), ""},
		{"another's password", basicAuth("ann", bobPassword), ""},
		{"unknown name", basicAuth("eve", annPassword), ""},
		{"hash as a password", basicAuth("bob", people()[1].PasswordHash), ""},
		{"no name", basicAuth("", annPassword), ""},
		{"another scheme", "Digest x", ""},
		{"no scheme", ciToken, ""},
		{"no base64", "Basic %%%", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var headers []string
			if tc.authorization != "" {
				headers = []string{"Authorization", tc.authorization}
			}
			got := s.ask(t, s.browser(t), http.MethodGet, "/api/v1/overview", "", headers...)
			if tc.who != "" {
				who := got.who(t)
				assert.Equal(t, tc.who, strings.Join([]string{who["name"], who["role"], who["via"]}, " "))
				assert.Equal(t, "127.0.0.1", who["address"])
				return
			}
			assert.Equal(t, http.StatusUnauthorized, got.status)
			assert.Equal(t, "application/problem+json", got.header.Get("Content-Type"))
			assert.Len(t, got.header.Values("WWW-Authenticate"), 2)
			assert.Contains(t, got.body, `"status":401`)
		})
		s.clock.pass(2 * forgetAfter) // this is not about throttling
	}
}

// TestABrowserIsSentToSignIn: only where it goes to a page, and never asked by its own password window.
func TestABrowserIsSentToSignIn(t *testing.T) {
	s := open(t, accessFile(t, people()))
	for _, tc := range []struct {
		name, method, path string
		headers            []string
		location           string // "" is 401
	}{
		{"page", http.MethodGet, "/dead?group=a%20b", []string{"Accept", "text/html,*/*"}, "/login?next=%2Fdead%3Fgroup%3Da%2520b"},
		{"front page", http.MethodGet, "/", []string{"Accept", "text/html", "Sec-Fetch-Mode", "navigate"}, "/login"},
		{"form of a session that ended", http.MethodPost, "/subscribers/crm/pause", []string{"Accept", "text/html", "Sec-Fetch-Mode", "navigate"}, "/login"},
		{"script", http.MethodGet, "/live", []string{"Accept", "text/html", "Sec-Fetch-Mode", "cors"}, ""},
		{"events", http.MethodGet, "/live", []string{"Accept", "text/event-stream", "Sec-Fetch-Mode", "cors"}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := s.ask(t, s.browser(t), tc.method, tc.path, "", tc.headers...)
			if tc.location != "" {
				assert.Equal(t, http.StatusSeeOther, got.status)
				assert.Equal(t, tc.location, got.header.Get("Location"))
				return
			}
			assert.Equal(t, http.StatusUnauthorized, got.status)
			assert.Equal(t, []string{`Bearer realm="genmesh"`}, got.header.Values("WWW-Authenticate"))
		})
	}
}

// TestEachRoleMayWhatTheOnesBeforeItMay is the whole table.
func TestEachRoleMayWhatTheOnesBeforeItMay(t *testing.T) {
	for _, tc := range []struct {
		role    Role
		allowed []Role
	}{
		{Viewer, []Role{Viewer}},
		{Operator, []Role{Viewer, Operator}},
		{Admin, []Role{Viewer, Operator, Admin}},
		{"", nil},
		{"root", nil},
		{"Admin", nil},
	} {
		for _, needed := range []Role{Viewer, Operator, Admin, "", "root"} {
			assert.Equal(t, slices.Contains(tc.allowed, needed), tc.role.May(needed), "%q may what %q may", tc.role, needed)
		}
	}
	assert.Equal(t, Identity{}, Who(httptest.NewRequest(http.MethodGet, "/", nil)))
}

func TestMetricsAreWellNamed(t *testing.T) {
	s := open(t, accessFile(t, people()))
	problems, err := testutil.GatherAndLint(s.registry)
	require.NoError(t, err)
	assert.Empty(t, problems)
}

// TestTheLogTellsOfRefusalsWithoutRepeatingThem: nor does it tell what was typed as a password, or act on what was typed as a name.
func TestTheLogTellsOfRefusalsWithoutRepeatingThem(t *testing.T) {
	s := open(t, accessFile(t, people()))
	client := s.browser(t)
	for i := range 50 {
		s.form(t, client, fmt.Sprintf("eve\x1b[2J\r\nlevel=info %s%d", strings.Repeat("x", 500), i), "hunter2-hunter2", "/")
	}
	s.ask(t, client, http.MethodGet, "/", "", "Authorization", "Bearer wrong-token-wrong-token-wrong-token")
	assert.Equal(t, http.StatusTooManyRequests, s.form(t, client, "bob", bobPassword, "/").status, "it comes from the same address")
	assert.Equal(t, 2, strings.Count(s.log.String(), "\n"), "the first wrong password and the first that was throttled: %s", s.log)
	assert.LessOrEqual(t, len(s.log.String()), 1200)

	s.clock.pass(logEvery)
	s.guard.refusals.flush(false)
	log := s.log.String()
	assert.Equal(t, 4, strings.Count(log, "\n"), log)
	for _, result := range []string{"refused", "throttled"} {
		assert.Regexp(t, `more were not let in .* addresses=1 count=\d+ latest_address=127.0.0.1 latest_user=.* result=`+result, log)
	}
	assert.LessOrEqual(t, len(log), 2400)
	for _, secret := range []string{"hunter2", "wrong-token", bobPassword, "\x1b"} {
		assert.NotContains(t, log, secret)
	}
	s.guard.refusals.flush(true)
	assert.Equal(t, log, s.log.String(), "nothing is told twice")
	assert.EqualValues(t, 52, s.logins(t, resultRefused)+s.logins(t, resultThrottled))
}

// TestNothingHarmlessHidesAnAttackInTheLog: one cross-site request, and a program with a token that has ended, are refused in the same minute.
func TestNothingHarmlessHidesAnAttackInTheLog(t *testing.T) {
	log, now := new(lines), &clock{at: time.Now()}
	logger := logrus.New()
	logger.SetOutput(log)
	n := newRefusals(now.now, logger, newMetrics(prometheus.NewRegistry(), func() float64 { return 0 }))
	note := func(result, name, address string) {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		n.note(&refusal{result: result, name: name}, r.WithContext(withAddress(r.Context(), netip.MustParseAddr(address))))
	}
	note(resultCrossOrigin, "", "192.0.2.9")
	note(resultRefused, "root", "203.0.113.1")
	for i := range 12 {
		note(resultRefused, fmt.Sprint("user", i), fmt.Sprint("203.0.113.", i%4))
		note(resultRefused, "", "192.0.2.8")
	}
	note(resultCrossOrigin, "", "192.0.2.9")
	assert.Equal(t, 2, strings.Count(log.String(), "\n"), log)
	assert.Regexp(t, `address=203\.0\.113\.1 result=refused user=root`, log)

	now.pass(logEvery)
	n.flush(false)
	assert.Regexp(t, `addresses=5 count=24 latest_address=203\.0\.113\.3 latest_user=user11 result=refused`, log)
	assert.Regexp(t, `addresses=1 count=1 latest_address=192\.0\.2\.9 result=cross_origin`, log)

	for i := range 3 * maxHeldAddresses {
		note(resultRefused, strings.Repeat("x", 1000), netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}).String())
	}
	assert.Len(t, n.byResult[resultRefused].addresses, maxHeldAddresses)
	n.flush(true)
	assert.Regexp(t, `addresses="1000 or more" count=2999 latest_address=10\.0\.11\.183 latest_user=x{200} `, log)
	assert.Equal(t, 6, strings.Count(log.String(), "\n"), log)
}

// TestRunSeesAChangeByItself, and says once what is wrong with the file, however long it stays so.
func TestRunSeesAChangeByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file, log := filepath.Join(t.TempDir(), "access.json"), new(lines)
		write(t, file, accessFile(t, people()))
		logger := logrus.New()
		logger.SetOutput(log)
		g, err := New(Options{File: file, Secure: true, Logger: logger, Registerer: prometheus.NewRegistry()})
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { assert.NoError(t, g.Run(ctx)) }()

		write(t, file, "{}")
		time.Sleep(5 * reloadEvery)
		assert.Equal(t, 1, strings.Count(log.String(), "is not in force as it is now"), log)
		assert.Contains(t, log.String(), "nobody could sign in")
		assert.Len(t, g.settings.Load().accounts, 3)

		write(t, file, accessFile(t, people()[:1]))
		time.Sleep(reloadEvery + time.Second)
		assert.Len(t, g.settings.Load().accounts, 1)
		cancel()
		synctest.Wait()
	})
}
