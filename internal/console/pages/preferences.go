package pages

import (
	"crypto/rand"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/genmesh/genmesh/internal/admin"
)

// The cookies that remember how somebody looks at the pages. They hold words of closed sets and decide nothing but that.
const (
	themeCookie = "genmesh_theme"
	maskCookie  = "genmesh_mask"
	viewLasts   = 365 * 24 * time.Hour
)

// The themes; automatic is what the system prefers.
const (
	themeAuto  = "auto"
	themeLight = "light"
	themeDark  = "dark"
)

// viewOf is how the sender of a request wants pages to look.
func viewOf(r *http.Request) (theme string, masked bool) {
	theme = themeAuto
	if cookie, err := r.Cookie(themeCookie); err == nil && (cookie.Value == themeLight || cookie.Value == themeDark) {
		theme = cookie.Value
	}
	cookie, err := r.Cookie(maskCookie)
	return theme, err == nil && cookie.Value == "on"
}

// nextTheme is what the button that changes the theme changes it to.
func nextTheme(theme string) string {
	return map[string]string{themeAuto: themeDark, themeDark: themeLight, themeLight: themeAuto}[theme]
}

// setView remembers a theme, or whether values are masked, and goes back to where it was asked for.
func (s *site) setView(v *visit) (string, error) {
	theme := v.fields.choice("theme", themeAuto, themeLight, themeDark)
	mask := v.fields.choice("mask", "on", "off")
	back := v.fields.text("back", maxAddressBytes)
	if err := v.fields.done(); err != nil {
		return "", err
	}
	next, err := ownAddress(back)
	if err != nil {
		return "", err
	}
	v.remember(themeCookie, theme)
	v.remember(maskCookie, mask)
	return next, nil
}

// remember makes the answer set a cookie, if there is a value for it.
func (v *visit) remember(name, value string) {
	if value == "" {
		return
	}
	v.toRemember = append(v.toRemember, &http.Cookie{
		Name: name, Value: value, Path: "/", MaxAge: int(viewLasts.Seconds()), HttpOnly: true,
		SameSite: http.SameSiteLaxMode, Secure: v.TLS != nil,
	})
}

// maxAddressBytes bounds an address of ours within another one.
const maxAddressBytes = 4 << 10

// ownAddress is a path of this site with its query, without anything that leads to another one.
func ownAddress(text string) (string, error) {
	address, err := url.Parse(text)
	if err == nil && address.Scheme == "" && address.Host == "" && !strings.Contains(address.Path, `\`) {
		own := (&url.URL{Path: address.Path, RawPath: address.RawPath, RawQuery: address.RawQuery}).String()
		if strings.HasPrefix(own, "/") && !strings.HasPrefix(own, "//") {
			return own, nil
		}
	}
	return "", admin.Invalid("this is no address of this site")
}

// noticeField is the field of an address that names what a page shows once about what was just done.
const noticeField = "notice"

// notify is the address of a page that says what came of a change. What it says is kept in memory, for a while.
func (s *site) notify(address, text string) string {
	id := rand.Text()
	s.notices.Add(id, text)
	return address + "?" + noticeField + "=" + id
}

func (s *site) notice(r *http.Request) string {
	text, _ := s.notices.Get(r.URL.Query().Get(noticeField))
	return text
}
