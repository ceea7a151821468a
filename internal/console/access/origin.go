package access

import (
	"fmt"
	"net/http"
	"strings"
)

// origins refuses what another site makes a browser do.
type origins struct {
	protection *http.CrossOriginProtection
	public     string // the origin of the public URL; "" if there is none
	scheme     string
}

func newOrigins(public publicURL, secure bool) (*origins, error) {
	o := &origins{protection: http.NewCrossOriginProtection(), scheme: "http"}
	if secure {
		o.scheme = "https"
	}
	if public.URL == nil {
		return o, nil
	}
	o.public = public.origin()
	if err := o.protection.AddTrustedOrigin(o.public); err != nil {
		return nil, fmt.Errorf("the console's public URL: %w", err)
	}
	return o, nil
}

// check looks where a request comes from that may change something. A bearer token is put into a request on purpose; all else a browser adds by
// itself.
func (o *origins) check(r *http.Request, by carrier) *refusal {
	if by == byBearer || isSafe(r.Method) {
		return nil
	}
	refused := &refusal{status: http.StatusForbidden, result: resultCrossOrigin, detail: "The request comes from another site, or does not say that it doesn't."}
	if err := o.protection.Check(r); err != nil {
		refused.cause = err
		return refused
	}
	if r.Header.Get("Sec-Fetch-Site") != "" {
		return nil
	}
	// No browser of today leaves out both headers. Only with a cookie is it sure that a browser is at work.
	origin := r.Header.Get("Origin")
	if origin == "" && by != byCookie || o.isOwn(origin, r.Host) {
		return nil
	}
	refused.cause = fmt.Errorf("the Origin %q is not the console's", cut(origin))
	return refused
}

// isOwn compares the scheme as well, which the protection does not.
func (o *origins) isOwn(origin, host string) bool {
	return origin != "" && (origin == o.public || strings.EqualFold(origin, o.scheme+"://"+host))
}

func isSafe(method string) bool {
	return method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions
}
