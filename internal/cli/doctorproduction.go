package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"github.com/genmesh/genmesh/mesh"
)

// productionProbes look for what works well on a laptop and loses events, or opens the mesh to others, in production.
func (p *program) productionProbes(cmd *cobra.Command, f *doctorFlags, t *mesh.Topology) []probe {
	return []probe{
		found(replicated(t), descriptors(t)),
		found(transports(t)...),
		found(readable(p.streamsFile(cmd).Path, t)...),
		p.liveProbe(f, t),
	}
}

// liveProbe asks NATS: the connection, the streams as they are, and the nodes.
func (p *program) liveProbe(f *doctorFlags, t *mesh.Topology) probe {
	return func(ctx context.Context) []finding {
		nodes, err := p.askNodes(ctx, f)
		findings := nodeFindings(nodes, err, t, time.Now())
		nc, js, err := p.connect(&f.cluster)
		if err != nil { // which the probe of the cluster tells of
			return findings
		}
		defer nc.Close()
		findings = append(findings, embeddedServer(nc), authentication(nc), encryption(nc), permissions(ctx, nc), payload(nc, t))
		return append(findings, storedFindings(ctx, js, t, leastMemory(nodes))...)
	}
}

// onLoopback reports whether a host is this machine, as far as its name tells.
func onLoopback(host string) bool {
	address := net.ParseIP(host)
	return host == "localhost" || address != nil && address.IsLoopback()
}

func embeddedServer(nc *nats.Conn) finding {
	const check = "server"
	if nc.ConnectedServerName() == embeddedName {
		return trapped(check, "is the one within genmesh dev, on one disk", "run a cluster of nats-servers, and genmesh serve against it")
	}
	return good(check, "is a nats-server of its own")
}

func authentication(nc *nats.Conn) finding {
	const check = "authentication"
	_, err := nc.TLSConnectionState()
	if !nc.AuthRequired() && err != nil {
		return trapped(check, "the server asks nobody who they are", "give each role a user (deploy/nats/roles.conf)")
	}
	return good(check, "the server asks who we are")
}

// encryption also looks when the certificate of the node that answers ends.
func encryption(nc *nats.Conn) finding {
	const check = "encryption"
	state, err := nc.TLSConnectionState()
	if err == nil {
		return expiry(check, state.PeerCertificates[0], time.Now())
	}
	u, err := url.Parse(nc.ConnectedUrlRedacted())
	if err != nil || !onLoopback(u.Hostname()) {
		return trapped(check, "the connection is not encrypted: events and passwords can be read on the way", "give the server a tls block, and --tlsca")
	}
	return good(check, "not needed on loopback")
}

// userInfo is what nats-server tells a user about itself on $SYS.REQ.USER.INFO.
type userInfo struct {
	Data struct {
		User        string
		Permissions *struct {
			Publish *struct {
				Allow []string
				Deny  []string
			}
		}
	}
}

// permissions asks what this user may do. Who is not even allowed to ask is restricted.
func permissions(ctx context.Context, nc *nats.Conn) finding {
	const check = "permissions"
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	answer, err := nc.RequestWithContext(ctx, "$SYS.REQ.USER.INFO", nil)
	if err != nil && errors.Is(nc.LastError(), nats.ErrPermissionViolation) {
		return good(check, "this user is restricted: it may not ask what it may")
	}
	var info userInfo
	if err == nil {
		err = json.Unmarshal(answer.Data, &info)
	}
	if err != nil {
		return doubtful(check, "what this user may do is not known: "+plainly(err), "let it publish $SYS.REQ.USER.INFO")
	}
	may := info.Data.Permissions
	if may == nil || may.Publish == nil || len(may.Publish.Allow) == 0 || slices.Contains(may.Publish.Allow, ">") {
		return trapped(check, fmt.Sprintf("the user %s may publish on every subject: read, forge and delete all that is stored", orNone(info.Data.User)),
			"give each process the user of its role (deploy/nats/roles.conf), and run genmesh doctor as that")
	}
	return good(check, "the user %s may publish on %s and no other", orNone(info.Data.User), plural(len(may.Publish.Allow), "subject"))
}

// maxHeaderBytes is what NATS takes of headers: they count to a message's size.
const maxHeaderBytes = 64 << 10

func payload(nc *nats.Conn, t *mesh.Topology) finding {
	const check = "message size"
	for _, s := range t.Sources {
		if int64(s.MaxBodyBytes)+maxHeaderBytes > nc.MaxPayload() {
			return trapped(check, fmt.Sprintf("source %s takes bodies up to %s, and NATS messages up to %s with up to %s of headers",
				s.Name, bytesText(int64(s.MaxBodyBytes)), bytesText(nc.MaxPayload()), bytesText(maxHeaderBytes)),
				"lower max_body_bytes, or raise max_payload of each node")
		}
	}
	return good(check, "NATS takes up to %s", bytesText(nc.MaxPayload()))
}

// replicated looks at the copies that streams.json asks for.
func replicated(t *mesh.Topology) finding {
	const check = "replicas"
	var few, even []string
	for _, s := range t.Streams {
		switch {
		case s.Replicas < leastNodes:
			few = append(few, s.Name)
		case s.Replicas%2 == 0:
			even = append(even, s.Name)
		}
	}
	switch {
	case len(few) > 0:
		return trapped(check, "fewer than three: "+strings.Join(few, ", "), `set "num_replicas": 3 (NATS_REPLICAS=3 with the file that ships), and run genmesh apply`)
	case len(even) > 0:
		return trapped(check, "an even number survives the loss of no more nodes than one less: "+strings.Join(even, ", "), `set "num_replicas": 3 or 5`)
	}
	return good(check, "each stream has at least three")
}

// transports looks for targets that events are not safe on the way to, or that keep nothing.
func transports(t *mesh.Topology) []finding {
	var findings []finding
	for _, s := range t.Subscribers {
		if s.Target == nil {
			continue
		}
		u, err := url.Parse(s.Target.URL)
		if err != nil { // which the target's probe tells of
			continue
		}
		check := "way to " + s.Name
		switch {
		case u.Scheme == "log":
			findings = append(findings, trapped(check, "its events are only logged, and count as delivered", "give it a target, or take it out"))
		case goesPlain(*s.Target, u) && !onLoopback(u.Hostname()):
			findings = append(findings, trapped(check, u.Scheme+" without TLS: events can be read and changed on the way", "use TLS"))
		}
	}
	return findings
}

// goesPlain reports whether a target surely takes events unencrypted.
func goesPlain(t mesh.Target, u *url.URL) bool {
	switch u.Scheme {
	case "http":
		return true
	case "kafka", "rabbit":
		encrypted, err := strconv.ParseBool(u.Query().Get("tls"))
		return err == nil && !encrypted || err != nil && t.TLS == nil
	case "postgres", "postgresql":
		return u.Query().Get("sslmode") == "disable"
	}
	return false
}

// leastMemory is the lowest memory limit (GOMEMLIMIT) that a node was told; 0 where none was.
func leastMemory(nodes []node) int64 {
	var least int64
	for _, n := range nodes {
		if n.MemoryLimit > 0 && (least == 0 || n.MemoryLimit < least) {
			least = n.MemoryLimit
		}
	}
	return least
}

// storedFindings judge the streams and consumers as they are on the server.
func storedFindings(ctx context.Context, js jetstream.JetStream, t *mesh.Topology, memory int64) []finding {
	var findings []finding
	for _, s := range t.Streams {
		stream, err := js.Stream(ctx, s.Name)
		if err != nil { // which the plan tells of
			continue
		}
		info := stream.CachedInfo()
		findings = append(findings, keeping(info, s))
		if s.Duplicates > 0 && feeds(t, s.Name) {
			findings = append(findings, windowMemory(info, memory))
		}
		findings = append(findings, inHand(info, t)...)
	}
	return findings
}

// feeds reports whether a source stores in the stream.
func feeds(t *mesh.Topology, stream string) bool {
	for _, s := range t.Sources {
		if s.Stream == stream {
			return true
		}
	}
	return false
}

// keeping looks whether a stream keeps what it took. wanted is the stream of streams.json, which was checked.
func keeping(info *jetstream.StreamInfo, wanted mesh.Stream) finding {
	check := "storing " + wanted.Name
	is := info.Config
	var problem string
	switch {
	case is.Storage != jetstream.FileStorage:
		problem = "it is in memory: a restart of the nodes takes all of it"
	case is.PersistMode == jetstream.AsyncPersistMode:
		problem = "persist_mode async acknowledges before it writes"
	case is.NoAck:
		problem = "no_ack: nobody hears what is stored"
	case is.Retention != wanted.Retention:
		problem = fmt.Sprintf("its retention is %s: what is delivered is deleted, and its ids are forgotten at a restart", is.Retention)
	case is.Discard != wanted.Discard:
		problem = fmt.Sprintf("discard is %s: when it is full, it deletes its oldest events, delivered or not", is.Discard)
	}
	if problem != "" {
		return trapped(check, problem, "make it as streams.json says: genmesh plan, genmesh apply")
	}
	if info.Cluster == nil {
		return good(check, "on disk, on one server")
	}
	for _, r := range info.Cluster.Replicas {
		if r.Offline || !r.Current {
			return trapped(check, fmt.Sprintf("its copy on %s is not up to date", r.Name), "see that this node runs, and wait until it has caught up")
		}
	}
	return good(check, "on disk, %s up to date", plural(len(info.Cluster.Replicas)+1, "replica"))
}

const (
	// idBytes is what a nats-server grows by for an id that it remembers: 175 bytes live, and 1.84 of memory to one that is live (docs/SIZING.md).
	idBytes = 320
	// manyIDBytes is what is much for ids where no node has a memory limit to compare with.
	manyIDBytes = 1 << 30
)

// windowMemory estimates what the duplicate window of a stream costs each node: as many ids as the stream took on average, over all that it
// holds, within the time of the window. A burst costs more.
func windowMemory(info *jetstream.StreamInfo, memory int64) finding {
	check := "window " + info.Config.Name
	window := info.Config.Duplicates
	state := info.State
	if state.Msgs == 0 {
		return good(check, "nothing is stored yet; a million events within %s cost %s of memory on each node", mesh.Duration(window), bytesText(1_000_000*idBytes))
	}
	ids := float64(state.Msgs)
	if span := state.LastTime.Sub(state.FirstTime); span > window {
		ids *= window.Seconds() / span.Seconds()
	}
	cost, limit := int64(ids)*idBytes, int64(manyIDBytes)
	if memory > 0 {
		limit = memory / 4
	}
	detail := fmt.Sprintf("%s remember about %.0f ids on average, %s of memory on each node", mesh.Duration(window), ids, bytesText(cost))
	if cost > limit {
		return trapped(check, detail+", above "+bytesText(limit), "shorten duplicate_window, or give the nodes more memory (GOMEMLIMIT)")
	}
	return good(check, "%s", detail)
}

// clientBuffer is what the NATS client holds of a subscription before it drops messages: 64 MB.
const clientBuffer = 64 << 20

// inHand looks for subscribers that may be handed more at once than a client holds. What it drops comes again after ack_wait.
func inHand(info *jetstream.StreamInfo, t *mesh.Topology) []finding {
	if info.State.Msgs == 0 {
		return nil
	}
	mean := info.State.Bytes / info.State.Msgs
	var findings []finding
	for _, s := range t.Subscribers {
		if s.Stream != info.Config.Name || uint64(s.MaxAckPending)*mean <= clientBuffer {
			continue
		}
		findings = append(findings, trapped("in hand "+s.Name,
			fmt.Sprintf("%d events of %s on average are more than the %s that a client holds", s.MaxAckPending, bytesText(int64(mean)), bytesText(clientBuffer)),
			"lower max_ack_pending"))
	}
	return findings
}
