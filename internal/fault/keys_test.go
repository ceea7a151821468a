//go:build fault

package fault

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/genesys/cloud"
	"github.com/genmesh/genmesh/genesys/simulator"
	"github.com/genmesh/genmesh/internal/fault/ledger"
)

// keyService is the API that tells a source its keys, behind a proxy that can be told to misbehave.
type keyService struct {
	*simulator.Simulator
	t      testing.TB
	url    string
	client *cloud.Client
	id     string

	asked       atomic.Int64
	misbehaving atomic.Pointer[http.HandlerFunc]
}

func startKeyService(t testing.TB) *keyService {
	t.Helper()
	log := logrus.New()
	log.SetLevel(logrus.PanicLevel)
	s, err := simulator.New(simulator.Options{Addr: "127.0.0.1:0", Seed: 1, Rate: 1, Logger: log})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = s.Run(ctx)
	}()
	k := &keyService{Simulator: s, t: t}
	upstream := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: s.Addr()})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		k.asked.Add(1)
		if misbehave := k.misbehaving.Load(); misbehave != nil {
			(*misbehave)(w, r)
			return
		}
		upstream.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
		cancel()
		<-ended
	})
	k.url = server.URL
	k.client, err = cloud.New(cloud.Options{URL: server.URL, ClientID: "simulator", ClientSecret: "simulator"})
	require.NoError(t, err)
	made, err := k.client.CreateSubscription(t.Context(), cloud.Subscription{
		Name: "mesh", EventTypes: []string{"interaction"}, TargetURL: "https://mesh.example.com", HTTPMethod: "POST",
		RetryPolicy: cloud.RetryPolicy{MaxRetries: 5, BackoffType: "EXPONENTIAL"},
	})
	require.NoError(t, err)
	k.id = made.ID
	return k
}

// key is what Genesys Cloud signs with now, whatever the proxy says.
func (k *keyService) key() string {
	k.t.Helper()
	direct, err := cloud.New(cloud.Options{URL: "http://" + k.Addr(), ClientID: "simulator", ClientSecret: "simulator"})
	require.NoError(k.t, err)
	s, err := direct.Subscription(k.t.Context(), k.id)
	require.NoError(k.t, err)
	return s.Keys()[0]
}

// misbehave makes the service answer as f does from now on; nil is all is well.
func (k *keyService) misbehave(f http.HandlerFunc) {
	if f == nil {
		k.misbehaving.Store(nil)
		return
	}
	k.misbehaving.Store(&f)
}

// untruths are what a key service says when it is not well.
var untruths = map[string]http.HandlerFunc{
	"is down": func(w http.ResponseWriter, _ *http.Request) { raw(w, "") },
	"hangs": func(_ http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
	},
	"fails":  func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "oops", http.StatusInternalServerError) },
	"limits": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTooManyRequests) },
	"babbles": func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(bytes.Repeat([]byte(`{"entities":[`), 100_000))
	},
	"knows nothing": func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"entities":[],"access_token":"x","expires_in":3600}`))
	},
}

// TestAKeyServiceThatIsDownOrLies in the middle of a rotation: what is signed with the key of before goes on, what is signed with the new one is told to
// come again, never refused, and is taken once the service can be asked.
func TestAKeyServiceThatIsDownOrLies(t *testing.T) {
	for how, untruth := range untruths {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			service := startKeyService(t)
			l := ledger.New()
			crm := subscribe(t, l, "crm")
			config := bytes.Replace(configuration(1, crm.entry("")), []byte(`"secret": "${SECRET}",`), fmt.Appendf(nil, `
			  "api": {"url": %q, "client_id": "simulator", "client_secret": "${SECRET}"},
			  "subscription": {"name": "mesh", "event_types": ["interaction"], "target_url": "https://mesh.example.com/webhooks/genesys"},`, service.url), 1)
			mesh := newDev(t, writeConfiguration(t, config), t.TempDir())
			mesh.Env = append(mesh.Env, "SECRET=simulator")
			mesh.Start()
			load := sendSigned(t, l, "keys", 4, 5*time.Millisecond, service.key(), mesh.ingress)
			load.more(50, time.Minute)

			service.misbehave(untruth)
			load.more(50, time.Minute) // signed with what is known
			service.Rotate(0)
			load.secret.Store(new(service.key()))
			pause(t.Context(), 3*time.Second)
			asked := service.asked.Load()
			service.misbehave(nil)
			load.more(50, 3*time.Minute) // the next look at the service may be a minute away
			load.stop()
			settled(t, l, connect(t, mesh.nats), time.Minute, crm)
			assert.Zero(t, load.strange.Load(), "no valid event is refused for good")
			assert.Less(t, asked, int64(30), "a service that is not well is not run down")
		})
	}
}
