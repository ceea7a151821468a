package access

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"time"

	"github.com/genmesh/genmesh/mesh"
)

// maxFileBytes bounds an access file, maxUsers the users in it.
const (
	maxFileBytes = 1 << 20
	maxUsers     = 1000
)

// file is what an access file says, with its defaults filled in.
type file struct {
	Users   []User
	OIDC    *oidcSettings
	Session sessionSettings
	// TrustedProxies are addresses or networks whose X-Forwarded-For is believed.
	TrustedProxies []string
}

// User is one of the users of an access file.
type User struct {
	// Name has 1 to 100 bytes, none of them a colon: HTTP Basic could not carry it.
	Name string `json:"name"`
	Role Role   `json:"role"`
	// PasswordHash is an argon2id or bcrypt hash. A user has either this or TokenSHA256.
	PasswordHash string `json:"password_hash,omitempty"`
	// TokenSHA256 is the SHA-256 of an API token, in hex.
	TokenSHA256 string `json:"token_sha256,omitempty"`
}

// oidcSettings are about the identity provider.
type oidcSettings struct {
	Issuer       string      `json:"issuer"`
	ClientID     string      `json:"client_id"`
	ClientSecret mesh.Secret `json:"client_secret"`
	// RedirectURL is /auth/oidc/callback of the console as browsers reach it; "" is that of its public URL.
	RedirectURL string   `json:"redirect_url"`
	Scopes      []string `json:"scopes"`
	NameClaim   string   `json:"name_claim"`
	// RolesClaim is the name of a claim, or the path to one within others: "resource_access.console.roles".
	RolesClaim string          `json:"roles_claim"`
	Roles      map[string]Role `json:"roles"`
	// DefaultRole is that of whoever has none of Roles; "" is none, and no way in.
	DefaultRole Role `json:"default_role"`

	secret string
}

// sessionSettings are how long somebody stays signed in.
type sessionSettings struct {
	// Idle is how long without a request, Max how long at all.
	Idle mesh.Duration `json:"idle"`
	Max  mesh.Duration `json:"max"`
}

const (
	defaultIdle    = mesh.Duration(time.Hour)
	defaultMax     = mesh.Duration(12 * time.Hour)
	leastSession   = mesh.Duration(time.Minute)
	longestSession = mesh.Duration(7 * 24 * time.Hour)
)

// readFile reads an access file that only its owner may write, and nobody but owner and group may read: whoever could write it could make
// themselves an admin, and its hashes are something to guess passwords with.
func readFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close() // only read
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if err := checkMode(name, info.Mode()); err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	if err == nil && len(data) > maxFileBytes {
		err = fmt.Errorf("%s is larger than %d bytes", name, maxFileBytes)
	}
	return data, err
}

func checkMode(name string, mode fs.FileMode) error {
	if !mode.IsRegular() {
		return fmt.Errorf("%s is no regular file", name)
	}
	if runtime.GOOS == "windows" {
		return nil // it has no such bits
	}
	switch {
	case mode&0o022 != 0:
		return fmt.Errorf("%s has mode %04o: others than its owner may write it and so make themselves admins; chmod 600 it", name, mode.Perm())
	case mode&0o004 != 0:
		return fmt.Errorf("%s has mode %04o: everybody may read the hashes in it; chmod 640 it (a mounted secret: mode 0440)", name, mode.Perm())
	}
	return nil
}
