package cli

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/genmesh/genmesh/internal/app"
	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/workers/forward"
)

const (
	dialTimeout = 3 * time.Second
	// expirySoon is when a certificate should have been renewed: automatic renewal is due weeks
	// before the end.
	expirySoon = 14 * 24 * time.Hour
)

// credentialsProbe looks whether the secrets and certificates that a subscriber names can be read here. What needs none has
// no finding.
func (p *program) credentialsProbe(t *mesh.Topology, s mesh.Subscriber) probe {
	return func(context.Context) []finding {
		check := "credentials " + s.Name
		if err := app.CheckMachine(t, s, p.LookupEnv); err != nil {
			return []finding{broken(check, err, "set it, or correct the file, where genmesh serve runs; and run genmesh doctor there")}
		}
		if !namesCredentials(s) {
			return nil
		}
		return []finding{good(check, "its secrets and certificates can be read")}
	}
}

func namesCredentials(s mesh.Subscriber) bool {
	t := s.Target
	return s.RedactKey != "" || t != nil && (len(t.SecretHeaders) > 0 || t.Auth != nil || len(t.SigningSecrets) > 0 || t.TLS != nil)
}

// targetProbe looks whether a subscriber's target could be reached. It sends no event.
func targetProbe(s mesh.Subscriber) probe {
	return func(ctx context.Context) []finding {
		check := "target " + s.Name
		u, err := url.Parse(s.Target.URL)
		if err != nil {
			return []finding{broken(check, errors.New("is not a URL"), "correct it in streams.json")}
		}
		ctx, cancel := context.WithTimeout(ctx, dialTimeout)
		defer cancel()
		switch u.Scheme {
		case "http", "https":
			return httpTarget(ctx, check, *s.Target, u)
		case "nats":
			if u.Host != "" {
				return []finding{dialled(ctx, check, s.Target.Display(), hostPort(u, "4222"))}
			}
		case "file":
			return []finding{writable(check, u)}
		case "archive+file":
			return []finding{writableIn(check, cmp.Or(u.Opaque, u.Path), filepath.FromSlash(cmp.Or(u.Opaque, u.Path)))}
		case "log":
		default:
			return []finding{serverTarget(ctx, check, *s.Target, u)}
		}
		return []finding{good(check, "%s", s.Target.Display())}
	}
}

// httpTarget looks whether an HTTP target could be reached, and whether genmesh serve would go there. One
// behind a proxy is the proxy's to reach.
func httpTarget(ctx context.Context, check string, t mesh.Target, u *url.URL) []finding {
	if t.Proxy != "" {
		proxy, err := url.Parse(t.Proxy)
		if err != nil {
			return []finding{broken(check, errors.New("its proxy is not a URL"), "correct it in streams.json")}
		}
		return []finding{dialled(ctx, check, "the proxy of "+t.Display(), hostPort(proxy, defaultPort(proxy)))}
	}
	found := reached(ctx, check, t, u)
	addresses, err := net.DefaultResolver.LookupNetIP(ctx, "ip", u.Hostname())
	if err != nil || found.Status != healthOK {
		return []finding{found}
	}
	for _, address := range addresses {
		if err := forward.Allowed(t, address); err != nil {
			return []finding{trapped(check, fmt.Sprintf("it takes connections, but genmesh serve would refuse it: %v", err),
				"nothing to do for genmesh dev, which goes there; for genmesh serve name its network in allow_networks")}
		}
	}
	return []finding{found}
}

func reached(ctx context.Context, check string, t mesh.Target, u *url.URL) finding {
	if u.Scheme == "http" {
		return dialled(ctx, check, t.Display(), hostPort(u, "80"))
	}
	config := tlsTo(u)
	if t.TLS != nil && t.TLS.ServerName != "" {
		config.ServerName = t.TLS.ServerName
	}
	if t.TLS != nil && t.TLS.CAFile != "" {
		pem, err := os.ReadFile(t.TLS.CAFile)
		if err != nil {
			return broken(check, err, "correct ca_file of the target")
		}
		config.RootCAs = x509.NewCertPool()
		config.RootCAs.AppendCertsFromPEM(pem)
	}
	return dialledTLS(ctx, check, t.Display(), hostPort(u, "443"), config)
}

func tlsTo(u *url.URL) *tls.Config {
	return &tls.Config{ServerName: u.Hostname(), MinVersion: tls.VersionTLS12}
}

// defaultPort is that of an HTTP URL without one.
func defaultPort(u *url.URL) string {
	if u.Scheme == "https" {
		return "443"
	}
	return "80"
}

func hostPort(u *url.URL, port string) string {
	if u.Port() != "" {
		port = u.Port()
	}
	return net.JoinHostPort(u.Hostname(), port)
}

const reachRemedy = "check the URL, DNS, the firewall and whether the target runs"

func dialled(ctx context.Context, check, shown, address string) finding {
	if err := knock(ctx, address); err != nil {
		return broken(check, fmt.Errorf("%s: %w", shown, err), reachRemedy)
	}
	return good(check, "%s takes connections", shown)
}

// knock connects and sends nothing.
func knock(ctx context.Context, address string) error {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	_ = conn.Close() // nothing was sent
	return nil
}

func dialledTLS(ctx context.Context, check, shown, address string, config *tls.Config) finding {
	dialer := tls.Dialer{Config: config}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return broken(check, fmt.Errorf("%s: %w", shown, err), reachRemedy)
	}
	defer conn.Close() // nothing was sent
	peers := conn.(*tls.Conn).ConnectionState().PeerCertificates
	if f := expiry(check, peers[0], time.Now()); f.Status != healthOK {
		return f
	}
	return good(check, "%s takes connections; its certificate ends %s", shown, peers[0].NotAfter.Format(time.DateOnly))
}

func expiry(check string, certificate *x509.Certificate, now time.Time) finding {
	end := certificate.NotAfter.Format(time.DateOnly)
	switch left := certificate.NotAfter.Sub(now); {
	case now.Before(certificate.NotBefore):
		return broken(check, fmt.Errorf("the certificate is valid only from %s", certificate.NotBefore.Format(time.RFC3339)),
			"check the clock, or use another certificate")
	case left <= 0:
		return broken(check, fmt.Errorf("the certificate ended %s", end), "renew it")
	case left < expirySoon:
		return doubtful(check, fmt.Sprintf("the certificate ends %s", end), "renew it")
	}
	return good(check, "the certificate ends %s", end)
}

// writable looks whether a file could be made in the folder of a file target.
func writable(check string, u *url.URL) finding {
	path := cmp.Or(u.Opaque, u.Path)
	return writableIn(check, path, filepath.Dir(filepath.FromSlash(path)))
}

// writableIn looks whether a file could be made in a folder, or in the nearest one above that exists. path is what is shown.
func writableIn(check, path, folder string) finding {
	for !exists(folder) && filepath.Dir(folder) != folder {
		folder = filepath.Dir(folder)
	}
	file, err := os.CreateTemp(folder, ".genmesh-doctor-*")
	if err != nil {
		return broken(check, fmt.Errorf("%s: %w", path, err), "let this user write there, or choose another file")
	}
	err = errors.Join(file.Close(), os.Remove(file.Name()))
	if err != nil {
		return broken(check, fmt.Errorf("%s: %w", path, err), "let this user write there, or choose another file")
	}
	return good(check, "%s can be written", path)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// certificateProbe looks at the certificate of the webhook server; "" is none.
func certificateProbe(file string) probe {
	const check = "certificate"
	return func(context.Context) []finding {
		if file == "" {
			return nil
		}
		data, err := os.ReadFile(file)
		if err != nil {
			return []finding{broken(check, err, "name the file with --tls-cert")}
		}
		block, _ := pem.Decode(data)
		if block == nil || block.Type != "CERTIFICATE" {
			return []finding{broken(check, fmt.Errorf("%s does not begin with a PEM certificate", file), "name the certificate, and not the key")}
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return []finding{broken(check, fmt.Errorf("%s: %w", file, err), "make the certificate anew")}
		}
		return []finding{expiry(check, certificate, time.Now())}
	}
}
