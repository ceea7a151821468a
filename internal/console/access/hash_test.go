package access

import (
	"strings"
	"testing"

	"github.com/alexedwards/argon2id"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/bcrypt"
)

// TestAHashCanNotUseUpTheProcess: nor be one that does not slow guessing down.
func TestAHashCanNotUseUpTheProcess(t *testing.T) {
	argon := func(parameters string) string {
		return "$argon2id$" + parameters + "$c29tZXNhbHRzb21lc2FsdA$RdescudvJCsgt3ub+b+dWRWJTmaaJObGRdescudvJCs"
	}
	own, err := argon2id.CreateHash(annPassword, &ownHash)
	require.NoError(t, err)
	cheap, err := bcrypt.GenerateFromPassword([]byte(annPassword), bcrypt.MinCost)
	require.NoError(t, err)
	for _, tc := range []struct{ hash, want string }{
		{own, ""},
		{argon("v=19$m=65536,t=3,p=4"), ""},
		{argon("v=19$m=262144,t=4,p=16"), ""},
		{people()[1].PasswordHash, ""},
		{"$2y$" + people()[1].PasswordHash[4:], ""},
		{argon("v=19$m=4194304,t=1,p=1"), "too much"},
		{argon("v=19$m=262145,t=1,p=1"), "too much"},
		{argon("v=19$m=262144,t=5,p=1"), "too much"},
		{argon("v=19$m=65536,t=9999,p=1"), "too much"},
		{argon("v=19$m=65536,t=3,p=99"), "too much"},
		{argon("v=19$m=8,t=1,p=1"), "too little"},
		{argon("v=19$m=7168,t=1,p=1"), "too little"},
		{argon("v=19$m=65536,t=0,p=1"), "is no argon2id"},
		{argon("v=19$m=65536,t=3,p=0"), "is no argon2id"},
		{argon("v=19$m=65536,t=3,p=256"), "is no argon2id"},
		{argon("v=19$m=99999999999,t=3,p=1"), "is no argon2id"},
		{argon("v=16$m=65536,t=3,p=1"), "is no argon2id"},
		{argon("v=19$m=65536,t=3,p=1,x=1"), "is no argon2id"},
		{argon("v=19$m=65536,t=3"), "is no argon2id"},
		{"$argon2i$v=19$m=65536,t=3,p=1$c29tZXNhbHRzb21lc2FsdA$RdescudvJCsgt3ub+b+dWRWJTmaaJObG", "is no argon2id"},
		{"$argon2id$v=19$m=65536,t=3,p=1$" + strings.Repeat("A", 500) + "$" + strings.Repeat("A", 43), "is no argon2id"},
		{"$argon2id$v=19$m=65536,t=3,p=1$c29tZXNhbHRzb21lc2FsdA$" + strings.Repeat("A", 1<<16), "is no argon2id"},
		{"$argon2id$v=19$m=65536,t=3,p=1$c29tZXNhbHRzb21lc2FsdB$" + strings.Repeat("A", 42) + "B", "not base64"},
		{string(cheap), "bcrypt cost"},
		{"$2a$31$" + people()[1].PasswordHash[7:], "bcrypt cost"},
		{"$2a$15$" + people()[1].PasswordHash[7:], "bcrypt cost"},
		{"$2x$12$" + people()[1].PasswordHash[7:], "is no argon2id"},
		{"$1$abc$def", "is no argon2id"},
		{annPassword, "is no argon2id"},
		{"", "is no argon2id"},
	} {
		err := checkHash(tc.hash)
		if tc.want == "" {
			assert.NoError(t, err, tc.hash)
		} else {
			assert.ErrorContains(t, err, tc.want, "%.80s", tc.hash)
		}
	}
	assert.True(t, matches(own, annPassword))
	assert.False(t, matches(own, annPassword+" "))
	assert.False(t, matches(own, ""))
}

// FuzzCheckHash: what is taken for a hash can be checked against without a panic; the work for it is bounded.
func FuzzCheckHash(f *testing.F) {
	f.Add("$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$RdescudvJCsgt3ub+b+dWRWJTmaaJObGRdescudvJCs")
	f.Add("$argon2id$v=19$m=4194304,t=1,p=1$c29tZXNhbHRzb21lc2FsdA$RdescudvJCsgt3ub+b+dWRWJTmaaJObG")
	f.Add(people()[1].PasswordHash)
	f.Add("$2a$10$")
	f.Fuzz(func(t *testing.T, hash string) {
		if checkHash(hash) != nil {
			return
		}
		if strings.HasPrefix(hash, "$2") {
			cost, err := bcrypt.Cost([]byte(hash))
			require.NoError(t, err)
			require.LessOrEqual(t, cost, maxBcryptCost)
			return
		}
		params, salt, key, err := argon2id.DecodeHash(hash)
		require.NoError(t, err)
		require.LessOrEqual(t, params.Memory*params.Iterations, uint32(maxArgonWork))
		require.NotZero(t, params.Iterations)
		require.NotZero(t, params.Parallelism)
		require.LessOrEqual(t, len(salt), 64)
		require.LessOrEqual(t, len(key), 64)
	})
}
