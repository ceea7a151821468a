package deploy_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh/meshtest"
)

// TestEachRoleDoesItsWholeJob: what comes in goes out; dead letters, quarantine, pauses, replays and erasures are an operator's, at the
// console and at the command line; the layout of a subscriber changes while it is served. And the server refuses nobody anything.
func TestEachRoleDoesItsWholeJob(t *testing.T) {
	n, crm := startNode(t), newCRM(t)
	streams, mended := shippedStreams(t), shippedStreams(t, `"preset": "genesys",`, `"preset": "genesys", "event_types": {"*": {"schema": "none"}},`)
	apply := n.part("apply", streams, nil)
	code, _, problems := apply.run("plan")
	require.Equal(t, 2, code, problems)
	apply.runs("apply", "--because", "the first one")
	apply.runs("plan")

	webhooks, metrics, console, viewers := meshtest.FreeAddr(t), meshtest.FreeAddr(t), meshtest.FreeAddr(t), meshtest.FreeAddr(t)
	ingress := func() (end func()) {
		return n.part("ingress", streams, nil).serve(webhooks, "ingress", "--console=off", "--http", webhooks)
	}
	endIngress := ingress()
	targets := map[string]string{"CRM_URL": crm.URL, "COMPLIANCE_URL": "log:"}
	n.part("workers", streams, targets).serve(metrics, "workers", "--console=off", "--metrics", metrics)
	n.part("console", mended, nil).serve(console, "console", "--console", console)
	n.part("viewer", mended, nil).serve(viewers, "console", "--console", viewers)

	hook := "http://" + webhooks + "/webhooks/genesys"
	mend(t, through(t, console), crm, hook, "a")
	endIngress()
	ingress() // it reads again what came lately
	mend(t, n.part("operator", mended, nil), crm, hook, "b")

	apply.env["GENMESH_STREAMS"] = shippedStreams(t, `"max_ack_pending": 1024,`, `"max_ack_pending": 1024, "partitions": 2,`, `"max_age": "168h",`, `"max_age": "200h",`)
	apply.runs("apply", "--because", "another layout")
	require.Equal(t, http.StatusAccepted, deliver(t, hook, event("c", "i-c", `"call"`)))
	crm.eventually("c")
	abandon(t, n.connect("operator"), n.part("operator", streams, nil))

	for _, address := range []string{console, viewers} {
		for _, path := range looks {
			assert.Equal(t, http.StatusOK, status(t, "http://"+address+path), path)
		}
	}
	viewer := through(t, viewers)
	assert.Contains(t, viewer.runs("timeline", "i-c"), "crm")
	viewer.runs("subscriber", "list")
	viewer.runs("audit")
	doctor(t, n, apply.env["GENMESH_STREAMS"])
	assert.Empty(t, n.log.with("Violation"))
}

// looks are the pages that show what there is, and a part of the API.
var looks = []string{
	"/", "/subscribers", "/subscribers/crm", "/interactions?id=i-c", "/events", "/events/INTERACTIONS/1", "/dead-letters", "/dead-letters/list",
	"/quarantine", "/quarantine/list", "/streams", "/configuration", "/audit", "/processes", "/tasks", "/metrics",
	"/api/v1/overview", "/api/v1/live", "/api/v1/plan", "/api/v1/replays", "/api/v1/interactions/i-c", "/api/v1/events", "/api/v1/processes",
}

// mend is a bad hour of the CRM, and what an operator does about it. name tells it from another one.
func mend(t *testing.T, operator part, crm *crm, hook, name string) {
	t.Helper()
	one, other := "i-1-"+name, "i-2-"+name
	crm.refuses.Store(true)
	require.Equal(t, http.StatusAccepted, deliver(t, hook, event(name+"1", one, `"call"`)))
	require.Equal(t, http.StatusOK, deliver(t, hook, event(name+"1", one, `"call"`)))
	require.Equal(t, http.StatusAccepted, deliver(t, hook, event(name+"2", one, `"chat"`)), "a later event of the interaction")
	require.Equal(t, http.StatusAccepted, deliver(t, hook, event(name+"3", other, `"call"`)))
	require.Equal(t, http.StatusAccepted, deliver(t, hook, event(name+"4", other, `{}`)), "what the schema refuses")
	for _, interaction := range []string{one, one, other} {
		require.Eventually(t, func() bool { return strings.Contains(operator.runs("dead", "list"), interaction) }, time.Minute, 50*time.Millisecond)
	}
	operator.runs("subscriber", "pause", "crm", "--for", "10m", "--because", "a release of the CRM")
	crm.refuses.Store(false)
	operator.runs("subscriber", "list")
	operator.runs("subscriber", "resume", "crm")
	operator.runs("dead", "groups")
	operator.runs("dead", "discard", "--limit", "1", "--all", "--yes", "--because", "of no use")
	operator.runs("dead", "replay", "--subscriber", "crm", "--yes", "--because", "the CRM is mended")
	crm.eventually(name + "3")
	require.Contains(t, operator.runs("quarantine", "list"), "schema")
	operator.runs("quarantine", "release", "--all", "--yes", "--because", "the schema is mended")
	crm.eventually(name + "4")
	operator.runs("replay", "analytics", "--all", "--yes", "--because", "a new warehouse") // to its end
	operator.runs("replay", "crm", "--all", "--rate", "1/m", "--yes", "--detach", "--because", "another")
	var replays []struct{ Subscriber, ID string }
	require.NoError(t, json.Unmarshal([]byte(operator.runs("replay", "list", "-o", "json")), &replays))
	require.Len(t, replays, 1)
	operator.runs("replay", "cancel", "crm", replays[0].ID)
	assert.Contains(t, operator.runs("timeline", one, "--bodies"), "analytics")
	operator.runs("erase", other, "--yes", "--because", "request 4711")
	assert.Contains(t, operator.runs("audit"), "erase")
}

// doctor asks all about the mesh with the rights of a viewer, and about its nodes with those of a monitor. A node by itself is no production, but
// nothing stays in the dark.
func doctor(t *testing.T, n *node, streams string) {
	t.Helper()
	certificate, key := n.roles.signed("monitor.genmesh")
	monitor := filepath.Join(t.TempDir(), "monitor.json")
	require.NoError(t, os.WriteFile(monitor, fmt.Appendf(nil, `{"cert": %q, "key": %q, "ca": %q}`, certificate, key, n.roles.file), 0o600))
	_, out, problems := n.part("viewer", streams, nil).run("doctor", "--production", "--system-context", monitor, "-o", "json")
	assert.Empty(t, problems)
	var findings []struct{ Check, Status, Detail string }
	require.NoError(t, json.Unmarshal([]byte(out), &findings))
	told := map[string]string{}
	for _, f := range findings {
		told[f.Check] = f.Status
	}
	for _, check := range []string{"permissions", "plan", "clock", "fsync", "node health"} {
		assert.Equal(t, "ok", told[check], "%s\n%s", check, out)
	}
}

// abandon tells what the server tells of an event whose deliveries are used up, of the latest one: the workers have to bury it.
func abandon(t *testing.T, nc *nats.Conn, operator part) {
	t.Helper()
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	stream, err := js.Stream(t.Context(), "INTERACTIONS")
	require.NoError(t, err)
	advisory := fmt.Sprintf(`{"stream":"INTERACTIONS","consumer":"crm","stream_seq":%d,"deliveries":56,"timestamp":%q}`,
		stream.CachedInfo().State.LastSeq, time.Now().Format(time.RFC3339Nano))
	_, err = js.Publish(t.Context(), "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.INTERACTIONS.crm", []byte(advisory))
	require.NoError(t, err)
	require.Eventually(t, func() bool { return strings.Contains(operator.runs("dead", "list"), "abandoned") }, time.Minute, 50*time.Millisecond)
}

// crm is a target that refuses events while it is told to.
type crm struct {
	*httptest.Server
	t       *testing.T
	refuses atomic.Bool
	taken   chan string
}

func newCRM(t *testing.T) *crm {
	c := &crm{t: t, taken: make(chan string, 100)}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c.refuses.Load() {
			w.WriteHeader(http.StatusUnprocessableEntity)
			return
		}
		var body struct{ ID string }
		_ = json.NewDecoder(r.Body).Decode(&body)
		c.taken <- body.ID
	}))
	t.Cleanup(c.Close)
	return c
}

// eventually waits until an event is taken.
func (c *crm) eventually(id string) {
	c.t.Helper()
	for late := time.After(time.Minute); ; {
		select {
		case taken := <-c.taken:
			if taken == id {
				return
			}
		case <-late:
			require.Fail(c.t, "the CRM does not get event "+id)
		}
	}
}

// shippedStreams is the streams.json that ships, with a target on this machine and texts replaced, in pairs.
func shippedStreams(t *testing.T, pairs ...string) string {
	t.Helper()
	const target = `"target": {"url": "${CRM_URL:-log:}",`
	text := read(t, filepath.Join("..", "streams.json"))
	pairs = append(pairs, target, target+` "allow_networks": ["127.0.0.1"],`)
	for i := 0; i < len(pairs); i += 2 {
		require.Contains(t, text, pairs[i])
		text = strings.Replace(text, pairs[i], pairs[i+1], 1)
	}
	file := filepath.Join(t.TempDir(), "streams.json")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	return file
}

func event(id, interaction, media string) string {
	return fmt.Sprintf(`{"id":%q,"timestamp":1767225600,"eventTypeId":"interaction","data":{"id":%q,"type":%s}}`, id, interaction, media)
}

// deliver posts a webhook as Genesys Cloud signs it.
func deliver(t *testing.T, url, body string) int {
	t.Helper()
	mac := hmac.New(sha256.New, []byte(webhookSecret))
	mac.Write([]byte(body))
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	require.NoError(t, err)
	r.Header.Set("X-Genesys-Signature", hex.EncodeToString(mac.Sum(nil)))
	answer, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	_ = answer.Body.Close()
	return answer.StatusCode
}

// changes are what makes, changes or deletes streams, and what nobody but erasing and tidying deletes.
var changes = []string{
	"$JS.API.STREAM.CREATE.NEW", "$JS.API.STREAM.UPDATE.INTERACTIONS", "$JS.API.STREAM.DELETE.INTERACTIONS", "$JS.API.STREAM.PURGE.INTERACTIONS",
	"$JS.API.STREAM.RESTORE.NEW", "$JS.API.STREAM.SNAPSHOT.INTERACTIONS", "$JS.API.STREAM.PEER.REMOVE.INTERACTIONS",
	"$JS.API.STREAM.LEADER.STEPDOWN.INTERACTIONS", "$JS.API.META.LEADER.STEPDOWN", "$JS.API.SERVER.REMOVE",
	"$JS.API.STREAM.MSG.DELETE.AUDIT", "$JS.API.STREAM.MSG.DELETE.DELIVERIES", "$JS.API.STREAM.MSG.DELETE.KV_genmesh", "$JS.API.STREAM.PURGE.AUDIT",
}

// listens are what tells of what others read, take or do.
var listens = []string{">", "genesys.>", "dead.>", "_INBOX.>", "_mesh.>", "$JS.>", "$KV.>", "$SYS.>"}

// forbidden is what each role has no part in, to publish and to hear.
var forbidden = map[string]struct{ publish, subscribe []string }{
	"ingress": {
		publish: append([]string{
			"dead.crm.rejected.1", "replay.crm.genesys.p00.x.call.1", "deliveries.p00", "audit.pause", "$KV.genmesh.pause.crm", "eventbridge.p00.x.call.1",
			"$JS.ACK.INTERACTIONS.crm.1.1.1.1.0", "_mesh.deliver.INTERACTIONS.crm", "_mesh.processes",
			"$JS.API.STREAM.MSG.DELETE.INTERACTIONS", "$JS.API.STREAM.MSG.DELETE.DEAD_LETTERS",
			"$JS.API.STREAM.MSG.GET.KV_genmesh", "$JS.API.DIRECT.GET.KV_genmesh.$KV.genmesh.pause.crm", "$JS.API.STREAM.MSG.DELETE.QUARANTINE",
			"$JS.API.CONSUMER.CREATE.DEAD_LETTERS.new", "$JS.API.CONSUMER.CREATE.KV_genmesh.new", "$JS.API.CONSUMER.PAUSE.INTERACTIONS.crm",
			"$JS.API.CONSUMER.DELETE.DEAD_LETTERS.crm", "$JS.API.CONSUMER.LIST.INTERACTIONS", "$JS.API.CONSUMER.NAMES.INTERACTIONS",
			// the scrub, which processes with a console do
			"audit.scrub", "$KV.genmesh.scrub.turn", "$JS.API.DIRECT.GET.KV_genmesh.$KV.genmesh.scrub.turn", "$JS.API.DIRECT.GET.KV_genmesh.$KV.genmesh.born",
			"$JS.API.DIRECT.GET.INTERACTIONS", "$JS.API.DIRECT.GET.QUARANTINE", "$JS.API.DIRECT.GET.DEAD_LETTERS", "$JS.API.DIRECT.GET.DELIVERIES",
			"$JS.API.DIRECT.GET.AUDIT", "$JS.API.STREAM.MSG.GET.DEAD_LETTERS", "$JS.API.STREAM.MSG.GET.DELIVERIES", "$JS.API.STREAM.MSG.GET.AUDIT",
			"$JS.API.STREAM.MSG.GET.ADVISORIES", "$JS.API.CONSUMER.CREATE.AUDIT.new", "$JS.API.CONSUMER.DELETE.AUDIT.new",
			"$JS.API.CONSUMER.INFO.AUDIT.new", "$JS.API.CONSUMER.MSG.NEXT.AUDIT.new",
		}, changes...),
		subscribe: append([]string{"_INBOX_console.>", "_INBOX_workers.>", "_mesh.deliver.>"}, listens...),
	},
	"workers": {
		publish: append([]string{
			"genesys.p00.x.call.1", "quarantine.genesys.schema", "replay.crm.genesys.p00.x.call.1", "audit.pause", "_mesh.processes",
			"$JS.API.STREAM.MSG.DELETE.INTERACTIONS", "$JS.API.STREAM.MSG.DELETE.QUARANTINE", "$JS.API.STREAM.MSG.GET.QUARANTINE",
			"$JS.API.DIRECT.GET.QUARANTINE", "$JS.API.DIRECT.GET.AUDIT", "$JS.API.CONSUMER.CREATE.INTERACTIONS.new",
			"$JS.API.CONSUMER.DURABLE.CREATE.INTERACTIONS.new", "$JS.API.CONSUMER.DELETE.DEAD_LETTERS.crm",
		}, changes...),
		subscribe: append([]string{"_INBOX_console.>", "_INBOX_ingress.>"}, listens...),
	},
	"console": {
		publish: append([]string{
			"dead.crm.rejected.1", "deliveries.p00", "$JS.ACK.INTERACTIONS.crm.1.1.1.1.0", "_mesh.deliver.INTERACTIONS.crm",
			"$JS.API.CONSUMER.DELETE.ADVISORIES.undertaker", "$JS.API.CONSUMER.CREATE.ADVISORIES.undertaker",
		}, changes...),
		subscribe: append([]string{"_INBOX_viewer.>", "_mesh.deliver.>"}, listens...),
	},
	"viewer": {
		publish: append([]string{
			"genesys.p00.x.call.1", "quarantine.genesys.schema", "dead.crm.rejected.1", "replay.crm.genesys.p00.x.call.1", "deliveries.p00", "audit.pause",
			"$KV.genmesh.pause.crm", "$JS.ACK.INTERACTIONS.crm.1.1.1.1.0", "_mesh.processes.log-level", "_mesh.deliver.INTERACTIONS.crm",
			"$JS.API.STREAM.MSG.DELETE.INTERACTIONS", "$JS.API.STREAM.MSG.DELETE.DEAD_LETTERS", "$JS.API.STREAM.MSG.DELETE.QUARANTINE",
			"$JS.API.CONSUMER.PAUSE.INTERACTIONS.crm", "$JS.API.CONSUMER.RESET.INTERACTIONS.crm", "$JS.API.CONSUMER.DELETE.ADVISORIES.undertaker",
		}, changes...),
		subscribe: append([]string{"_INBOX_console.>", "_mesh.deliver.>"}, listens...),
	},
	"apply": {
		publish: []string{
			"genesys.p00.x.call.1", "quarantine.genesys.schema", "dead.crm.rejected.1", "replay.crm.genesys.p00.x.call.1", "deliveries.p00",
			"$JS.ACK.INTERACTIONS.crm.1.1.1.1.0", "_mesh.processes.log-level", "$JS.API.STREAM.MSG.DELETE.INTERACTIONS", "$JS.API.STREAM.PURGE.INTERACTIONS",
			"$JS.API.STREAM.MSG.GET.INTERACTIONS", "$JS.API.DIRECT.GET.INTERACTIONS", "$JS.API.CONSUMER.MSG.NEXT.INTERACTIONS.new", "$JS.API.SERVER.REMOVE",
		},
		subscribe: append([]string{"_INBOX_console.>", "_mesh.deliver.>"}, listens...),
	},
	"monitor": {
		publish:   []string{"$SYS.REQ.SERVER.ID.RELOAD", "$SYS.REQ.SERVER.ID.KICK", "$SYS.REQ.SERVER.ID.LDM", "$SYS.REQ.SERVER.PING.PROFILEZ", "$JS.API.SERVER.REMOVE"},
		subscribe: []string{">", "$SYS.>", "$JS.>"},
	},
}

func TestNoRoleDoesWhatIsAnothers(t *testing.T) {
	n := startNode(t)
	for role, never := range forbidden {
		t.Run(role, func(t *testing.T) {
			refused := make(chan error, 2)
			nc := n.connect(role, nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { refused <- err }))
			for _, subject := range never.publish {
				require.NoError(t, nc.PublishRequest(subject, nc.NewInbox(), nil))
				assertRefused(t, refused, `Publish to "`+subject+`"`)
			}
			for _, subject := range never.subscribe {
				_, err := nc.SubscribeSync(subject)
				require.NoError(t, err)
				assertRefused(t, refused, `Subscription to "`+subject+`"`)
			}
		})
	}
}

func assertRefused(t *testing.T, refused <-chan error, what string) {
	t.Helper()
	select {
	case err := <-refused:
		require.ErrorIs(t, err, nats.ErrPermissionViolation)
		require.Contains(t, err.Error(), what)
	case <-time.After(20 * time.Second):
		require.Fail(t, "nobody refuses it", what)
	}
}

// TestEachServiceOfTheComposeFileHearsOnItsOwnInboxes: beside each certificate stands the role that it is of.
func TestEachServiceOfTheComposeFileHearsOnItsOwnInboxes(t *testing.T) {
	file := read(t, "../docker-compose.yml")
	certificates := names(file, `\./deploy/tls/(\w+):/etc/genmesh/identity`)
	require.ElementsMatch(t, []string{"apply", "ingress", "workers", "console", "operator"}, certificates)
	var own []string
	for _, role := range certificates {
		if prefix := inboxes(t, role); prefix != "" {
			own = append(own, prefix)
		}
	}
	assert.ElementsMatch(t, own, names(file, `NATS_INBOX_PREFIX: (\S+)`))
}

func TestOperatorMayDoAllInTheMeshAndNothingToTheServers(t *testing.T) {
	n := startNode(t)
	n.part("apply", shippedStreams(t), nil).runs("apply")
	operator := n.connect("operator")
	for _, subject := range []string{"$JS.API.STREAM.PURGE.DELIVERIES", "$JS.API.STREAM.DELETE.DELIVERIES"} {
		answer, err := operator.Request(subject, nil, 20*time.Second)
		require.NoError(t, err)
		assert.Contains(t, string(answer.Data), `"success":true`)
	}
	_, err := operator.Request("$SYS.REQ.SERVER.PING.VARZ", nil, time.Second)
	require.ErrorIs(t, err, nats.ErrNoResponders, "the servers answer the system account alone")
}

func TestMonitorSeesHowTheNodesAre(t *testing.T) {
	n := startNode(t)
	monitor := n.connect("monitor")
	for request, wanted := range map[string]string{
		"$SYS.REQ.SERVER.PING": `"name":"nats-1"`, "$SYS.REQ.SERVER.PING.HEALTHZ": `"status":"ok"`, "$SYS.REQ.SERVER.PING.JSZ": `"streams"`,
	} {
		answer, err := monitor.Request(request, nil, 20*time.Second)
		require.NoError(t, err)
		assert.Contains(t, string(answer.Data), wanted)
	}
	assert.Empty(t, n.log.with("Violation"))
}
