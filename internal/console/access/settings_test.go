package access

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestAChangeOfTheFileSignsOutWhomItConcerns, at once, and nobody else.
func TestAChangeOfTheFileSignsOutWhomItConcerns(t *testing.T) {
	ann, bob, ci := people()[0], people()[1], people()[2]
	newRole, newHash, asToken := ann, ann, ann
	newRole.Role = Viewer
	other, err := NewUser("ann", Operator, "four white storks")
	require.NoError(t, err)
	newHash.PasswordHash = other.PasswordHash
	asToken.PasswordHash, asToken.TokenSHA256 = "", strings.Repeat("ab", 32)
	for _, tc := range []struct {
		name  string
		users []User
		again int // what ann's name and password come to then
	}{
		{"gone", []User{bob, ci}, http.StatusUnauthorized},
		{"another role", []User{newRole, bob, ci}, http.StatusOK},
		{"another password", []User{newHash, bob, ci}, http.StatusUnauthorized},
		{"a token instead", []User{asToken, bob, ci}, http.StatusUnauthorized},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := open(t, accessFile(t, people()))
			concerned, other := s.signedIn(t, "ann", annPassword), s.signedIn(t, "bob", bobPassword)
			basic := []string{"Authorization", basicAuth("ann", annPassword)}
			require.Equal(t, http.StatusOK, s.ask(t, s.browser(t), http.MethodGet, "/", "", basic...).status)

			write(t, s.file, accessFile(t, tc.users))
			require.NoError(t, s.guard.Reload())
			assert.Equal(t, http.StatusUnauthorized, s.ask(t, concerned, http.MethodGet, "/", "").status)
			assert.Equal(t, http.StatusOK, s.ask(t, other, http.MethodGet, "/", "").status)
			assert.Equal(t, "ci", s.ask(t, s.browser(t), http.MethodGet, "/", "", "Authorization", "Bearer "+ciToken).who(t)["name"])
			again := s.ask(t, s.browser(t), http.MethodGet, "/", "", basic...)
			assert.Equal(t, tc.again, again.status, "what was right a moment ago is looked at again")
			assert.Equal(t, tc.again == http.StatusOK, strings.Contains(again.body, string(tc.users[0].Role)))
			assert.Contains(t, s.log.String(), "the access file has changed")
		})
	}
}

func TestAWrongFileChangesNothing(t *testing.T) {
	s := open(t, accessFile(t, people()))
	client := s.signedIn(t, "ann", annPassword)
	for _, text := range []string{"", "{", "{}", `{"users":[]}`, accessFile(t, []User{{Name: "ann", Role: "root"}})} {
		write(t, s.file, text)
		assert.Error(t, s.guard.Reload(), text)
		assert.Equal(t, http.StatusOK, s.ask(t, client, http.MethodGet, "/", "").status)
	}
	require.NoError(t, os.Remove(s.file))
	assert.ErrorContains(t, s.guard.Reload(), "no such file")
	assert.Equal(t, http.StatusOK, s.ask(t, client, http.MethodGet, "/", "").status)

	write(t, s.file, accessFile(t, people()))
	require.NoError(t, s.guard.Reload())
	assert.Equal(t, http.StatusOK, s.ask(t, client, http.MethodGet, "/", "").status, "the same file signs nobody out")
	assert.NotContains(t, s.log.String(), "has changed")
}

func TestAFileThatOthersCanReachIsRefused(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("files have no mode there")
	}
	s := open(t, accessFile(t, people()))
	for mode, want := range map[os.FileMode]string{
		0o600: "", 0o640: "", 0o400: "", 0o440: "",
		0o644: "everybody may read", 0o604: "everybody may read", 0o620: "others than its owner may write", 0o602: "others than its owner may write",
		0o666: "others than its owner may write",
	} {
		require.NoError(t, os.Chmod(s.file, mode))
		err := s.guard.Reload()
		if want == "" {
			assert.NoError(t, err, "%o", mode)
		} else {
			assert.ErrorContains(t, err, want, "%o", mode)
			assert.ErrorContains(t, err, "chmod", "%o", mode)
		}
	}
	_, err := readFile(t.TempDir())
	assert.ErrorContains(t, err, "no regular file")
	require.NoError(t, os.Chmod(s.file, 0o600))
	write(t, s.file, strings.Repeat(" ", maxFileBytes+1))
	assert.ErrorContains(t, s.guard.Reload(), "is larger than")
}

// TestAShortTokenLetsNobodyIn: its hash tells nothing of its length, so the token itself is looked at.
func TestAShortTokenLetsNobodyIn(t *testing.T) {
	const short = "hunter2"
	sum := sha256.Sum256([]byte(short))
	s := open(t, accessFile(t, []User{{Name: "ci", Role: Admin, TokenSHA256: hex.EncodeToString(sum[:])}}))
	assert.Equal(t, http.StatusUnauthorized, s.ask(t, s.browser(t), http.MethodGet, "/", "", "Authorization", "Bearer "+short).status)
}

func TestAUserThatIsMadeHereIsGoodHere(t *testing.T) {
	user, token, err := NewTokenUser("ci", Viewer)
	require.NoError(t, err)
	s := open(t, accessFile(t, []User{user}))
	assert.Equal(t, "ci", s.ask(t, s.browser(t), http.MethodGet, "/", "", "Authorization", "Bearer "+token).who(t)["name"])
	page := s.ask(t, s.browser(t), http.MethodGet, "/login", "")
	assert.Contains(t, page.body, "Nobody signs in here by hand")
	assert.Equal(t, http.StatusUnauthorized, s.form(t, s.browser(t), "ci", token, "/").status)
}
