package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/spf13/pflag"

	"github.com/genmesh/genmesh/mesh"
)

// nodeFlags say how to ask the nodes of NATS about themselves. No user of the mesh's own account may.
type nodeFlags struct {
	systemContext string
	monitors      []string
}

func (f *nodeFlags) add(flags *pflag.FlagSet) {
	flags.StringVar(&f.systemContext, "system-context", "", "a context of the nats command line, by `NAME` or absolute path, whose user is of the system account")
	flags.StringSliceVar(&f.monitors, "monitor", nil, "the monitoring `URL` of a node, such as http://127.0.0.1:8222; give it for each node")
}

// node is what a nats-server tells about itself: of varz of nats-server 2.15 what traps are told by, and of healthz.
type node struct {
	Name         string    `json:"server_name"`
	Version      string    `json:"version"`
	Host         string    `json:"host"`
	AuthRequired bool      `json:"auth_required"`
	TLSRequired  bool      `json:"tls_required"`
	HTTPHost     string    `json:"http_host"`
	HTTPPort     int       `json:"http_port"`
	HTTPSPort    int       `json:"https_port"`
	MemoryLimit  int64     `json:"gomemlimit"`
	CertEnds     time.Time `json:"tls_cert_not_after"`
	Cluster      struct {
		Host        string    `json:"addr"`
		Port        int       `json:"cluster_port"`
		TLSRequired bool      `json:"tls_required"`
		CertEnds    time.Time `json:"tls_cert_not_after"`
	} `json:"cluster"`
	Leaf struct {
		nodePort
		TLSVerify bool      `json:"tls_verify"`
		CertEnds  time.Time `json:"tls_cert_not_after"`
	} `json:"leaf"`
	MQTT      nodePort `json:"mqtt"`
	Websocket nodePort `json:"websocket"`
	JetStream struct {
		Config *struct {
			MaxStore   int64  `json:"max_storage"`
			StoreDir   string `json:"store_dir"`
			SyncAlways bool   `json:"sync_always"`
		} `json:"config"`
		Meta *struct {
			Size int `json:"cluster_size"`
		} `json:"meta"`
	} `json:"jetstream"`

	// unwell is what healthz says; "" is well.
	unwell string
}

type nodePort struct {
	Port int `json:"port"`
}

// healthz is a node's own judgement, with all its streams and consumers.
type healthz struct {
	Status string `json:"status"`
	Error  string `json:"error"`
}

func (h healthz) unwell() string {
	if h.Status == "ok" {
		return ""
	}
	return strings.TrimSpace(h.Status + " " + h.Error)
}

// errNotAsked means that nobody said how to ask the nodes.
var errNotAsked = errors.New("the nodes can't be asked over a client's connection")

// askNodes asks each node about itself.
func (p *program) askNodes(ctx context.Context, f *doctorFlags) ([]node, error) {
	switch {
	case len(f.nodes.monitors) > 0:
		return askMonitors(ctx, f.nodes.monitors)
	case f.nodes.systemContext != "":
		system := clusterFlags{server: f.cluster.server, context: f.nodes.systemContext, tlsCA: f.cluster.tlsCA}
		nc, _, err := p.connect(&system)
		if err != nil {
			return nil, err
		}
		defer nc.Close()
		return askSystem(ctx, nc)
	}
	return nil, errNotAsked
}

const (
	// maxNodes bounds whom askSystem listens to, and maxNodeBytes what one node tells.
	maxNodes     = 100
	maxNodeBytes = 1 << 20
	// firstAnswer and nextAnswer are how long askSystem waits: nobody knows how many nodes there are.
	firstAnswer = 3 * time.Second
	nextAnswer  = time.Second
)

// askSystem asks all nodes at once, as a user of the system account may.
func askSystem(ctx context.Context, nc *nats.Conn) ([]node, error) {
	var nodes []node
	places := map[string]int{}
	err := eachAnswer(ctx, nc, "VARZ", func(name string, data []byte) error {
		var n node
		err := json.Unmarshal(data, &n)
		places[name] = len(nodes)
		nodes = append(nodes, n)
		return err
	})
	if err != nil {
		return nil, err
	}
	err = eachAnswer(ctx, nc, "HEALTHZ", func(name string, data []byte) error {
		var h healthz
		if err := json.Unmarshal(data, &h); err != nil {
			return err
		}
		if i, known := places[name]; known {
			nodes[i].unwell = h.unwell()
		}
		return nil
	})
	return nodes, err
}

// eachAnswer asks all nodes for one thing.
func eachAnswer(ctx context.Context, nc *nats.Conn, thing string, take func(name string, data []byte) error) error {
	subject := "$SYS.REQ.SERVER.PING." + thing
	answers, err := nc.SubscribeSync(nc.NewInbox())
	if err != nil {
		return err
	}
	defer func() { _ = answers.Unsubscribe() }() // the connection ends soon
	if err := nc.PublishRequest(subject, answers.Subject, nil); err != nil {
		return err
	}
	wait := firstAnswer
	for range maxNodes {
		waiting, cancel := context.WithTimeout(ctx, wait)
		m, err := answers.NextMsgWithContext(waiting)
		cancel()
		switch {
		case err != nil && wait == nextAnswer:
			return nil // all have answered
		case err != nil:
			return fmt.Errorf("nobody answers %s (%w): is the user of the system account, and may it publish that?", subject, err)
		}
		wait = nextAnswer
		var answer struct {
			Server struct{ Name string }
			Data   json.RawMessage
		}
		if err := json.Unmarshal(m.Data, &answer); err != nil {
			return fmt.Errorf("%s: %w", subject, err)
		}
		if err := take(answer.Server.Name, answer.Data); err != nil {
			return fmt.Errorf("%s: %w", subject, err)
		}
	}
	return nil
}

// askMonitors asks one node after another at its monitoring port.
func askMonitors(ctx context.Context, urls []string) ([]node, error) {
	client := &http.Client{Timeout: dialTimeout}
	defer client.CloseIdleConnections()
	var nodes []node
	for _, url := range urls {
		url = strings.TrimSuffix(url, "/")
		var n node
		if err := getJSON(ctx, client, url+"/varz", &n); err != nil {
			return nil, err
		}
		var h healthz
		if err := getJSON(ctx, client, url+"/healthz", &h); err != nil {
			return nil, err
		}
		n.unwell = h.unwell()
		nodes = append(nodes, n)
	}
	return nodes, nil
}

// getJSON reads an answer whatever its status: a node that is not well says so with a 503.
func getJSON(ctx context.Context, client *http.Client, url string, into any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close() // only read
	data, err := io.ReadAll(io.LimitReader(response.Body, maxNodeBytes))
	if err != nil {
		return fmt.Errorf("%s: %w", url, err)
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("%s does not answer as the monitoring of nats-server does: %w", url, err)
	}
	return nil
}

// nodeFindings judges what the nodes told, or that they told nothing.
func nodeFindings(nodes []node, err error, t *mesh.Topology, now time.Time) []finding {
	const check, remedy = "nodes", "give --system-context with a user of the system account, or --monitor for each node"
	switch {
	case errors.Is(err, errNotAsked):
		return []finding{trapped(check, "not checked: fsync, versions, storage limits, listeners and certificates of the nodes can't be seen over a client's connection", remedy)}
	case err != nil:
		return []finding{broken(check, err, remedy)}
	}
	return []finding{
		counted(nodes), nodeVersions(nodes), fsync(nodes), storage(nodes, t), storeFolders(nodes), wellness(nodes),
		nodeAccess(nodes), routes(nodes), monitoring(nodes), listeners(nodes), nodeCertificates(nodes, now),
	}
}

// where names the nodes for which something is true.
func where(nodes []node, is func(node) bool) string {
	var names []string
	for _, n := range nodes {
		if is(n) {
			names = append(names, n.Name)
		}
	}
	return strings.Join(names, ", ")
}

// leastNodes is how many nodes survive the loss of one.
const leastNodes = 3

func counted(nodes []node) finding {
	const check = "nodes"
	size := len(nodes)
	for _, n := range nodes {
		if n.JetStream.Meta != nil {
			size = max(size, n.JetStream.Meta.Size)
		}
	}
	switch {
	case len(nodes) < size:
		return trapped(check, fmt.Sprintf("%d of %d answered: %s", len(nodes), size, where(nodes, func(node) bool { return true })),
			"see that the others run; with --monitor name each of them")
	case size < leastNodes:
		return trapped(check, fmt.Sprintf("there is %s: what is on a node's disk is lost with it", plural(size, "node")),
			"run three, in three failure domains")
	case size%2 == 0:
		return trapped(check, fmt.Sprintf("%d nodes survive the loss of no more than %d do", size, size-1), "add one, or take one away")
	}
	return good(check, "%d answer", size)
}

func nodeVersions(nodes []node) finding {
	const check = "node versions"
	if old := where(nodes, func(n node) bool { return version(n.Version).Status != healthOK }); old != "" {
		return trapped(check, old+": lacks fixes against the loss of acknowledged messages", upgradeServer)
	}
	if other := where(nodes, func(n node) bool { return n.Version != nodes[0].Version }); other != "" {
		return trapped(check, fmt.Sprintf("%s: another version than %s of %s", other, nodes[0].Version, nodes[0].Name), "bring all to the same version")
	}
	return good(check, "%s", nodes[0].Version)
}

func fsync(nodes []node) finding {
	const check = "fsync"
	lazy := where(nodes, func(n node) bool { return n.JetStream.Config != nil && !n.JetStream.Config.SyncAlways })
	if lazy != "" {
		return trapped(check, lazy+": acknowledges before it fsyncs, so a power cut takes what was answered 202",
			"set sync_interval: always in the jetstream block of its configuration, and restart it")
	}
	return good(check, "before each acknowledgement")
}

// storage compares what a node may store with its share of what the streams may come to.
func storage(nodes []node, t *mesh.Topology) finding {
	const check = "node storage"
	share := (storedBytes(t, true) + int64(len(nodes)) - 1) / int64(len(nodes))
	small := where(nodes, func(n node) bool {
		return n.JetStream.Config != nil && n.JetStream.Config.MaxStore > 0 && n.JetStream.Config.MaxStore < share
	})
	if small != "" {
		return trapped(check, fmt.Sprintf("%s: max_file_store is below %s, a node's share of all max_bytes", small, bytesText(share)),
			"lower max_bytes, or raise max_file_store if the disk has room")
	}
	return good(check, "each node may hold its share of all max_bytes, %s; its disk genmesh doctor --data sees on its machine alone", bytesText(share))
}

func storeFolders(nodes []node) finding {
	const check = "store folders"
	passing := where(nodes, func(n node) bool {
		c := n.JetStream.Config
		return c != nil && (c.StoreDir == "" || strings.HasPrefix(c.StoreDir, "/tmp/nats/") || strings.HasPrefix(c.StoreDir, "/var/tmp/") || strings.HasPrefix(c.StoreDir, "/dev/shm/"))
	})
	if passing != "" {
		return trapped(check, passing+": keeps the streams in a folder for temporary files", "set store_dir, on a disk of its own")
	}
	return good(check, "none is a temporary one")
}

// wellness is the only place where a stream shows that lost its disk: the short health checks pass.
func wellness(nodes []node) finding {
	const check = "node health"
	for _, n := range nodes {
		if n.unwell != "" {
			return broken(check, fmt.Errorf("%s: %s", n.Name, n.unwell), "look at its log; a node whose disk was full has to be restarted once there is space")
		}
	}
	return good(check, "all streams and consumers are well on each node")
}

func nodeAccess(nodes []node) finding {
	const check = "node access"
	if open := where(nodes, func(n node) bool { return !n.AuthRequired && !n.TLSRequired }); open != "" {
		return trapped(check, open+": takes clients without asking who they are", "give each role a user (deploy/nats/roles.conf)")
	}
	if plain := where(nodes, func(n node) bool { return !n.TLSRequired && !onLoopback(n.Host) }); plain != "" {
		return trapped(check, plain+": takes clients without TLS", "add a tls block to its configuration")
	}
	return good(check, "clients are asked who they are, over TLS or on loopback")
}

func routes(nodes []node) finding {
	const check = "routes"
	plain := where(nodes, func(n node) bool { return n.Cluster.Port != 0 && !n.Cluster.TLSRequired && !onLoopback(n.Cluster.Host) })
	if plain != "" {
		return trapped(check, plain+": takes other nodes without TLS, and whoever opens a route may do everything",
			"add a tls block with verify to its cluster block")
	}
	return good(check, "over TLS or on loopback")
}

func monitoring(nodes []node) finding {
	const check = "monitoring ports"
	open := where(nodes, func(n node) bool { return (n.HTTPPort != 0 || n.HTTPSPort != 0) && !onLoopback(n.HTTPHost) })
	if open != "" {
		return trapped(check, open+": tells everybody about connections, users and subjects", "set http: 127.0.0.1:8222, or none")
	}
	return good(check, "closed to other machines")
}

func listeners(nodes []node) finding {
	const check = "listeners"
	for _, kind := range []struct {
		name string
		port func(node) int
	}{
		{"websocket", func(n node) int { return n.Websocket.Port }},
		{"mqtt", func(n node) int { return n.MQTT.Port }},
	} {
		if open := where(nodes, func(n node) bool { return kind.port(n) != 0 }); open != "" {
			return trapped(check, fmt.Sprintf("%s: listens for %s, which the mesh does not use and most holes were in", open, kind.name),
				"remove the "+kind.name+" block from its configuration")
		}
	}
	if open := where(nodes, func(n node) bool { return n.Leaf.Port != 0 && !n.Leaf.TLSVerify }); open != "" {
		return trapped(check, open+": listens for leafnodes without asking who they are, and each of them is let into the mesh's subjects",
			"remove the leafnodes block from its configuration, or make it as docs/second-site.md says: a tls block with verify_and_map")
	}
	if where(nodes, func(n node) bool { return n.Leaf.Port != 0 }) != "" {
		return good(check, "clients, routes and a second site only")
	}
	return good(check, "clients and routes only")
}

func nodeCertificates(nodes []node, now time.Time) finding {
	const check = "node certificates"
	seen := false
	for _, n := range nodes {
		for _, ends := range []time.Time{n.CertEnds, n.Cluster.CertEnds, n.Leaf.CertEnds} {
			seen = seen || !ends.IsZero()
			if !ends.IsZero() && ends.Sub(now) < expirySoon {
				return trapped(check, fmt.Sprintf("%s: a certificate ends %s", n.Name, ends.Format(time.DateOnly)), "renew it, and reload the node")
			}
		}
	}
	if !seen {
		return good(check, "none")
	}
	return good(check, "none ends within %d days", int(expirySoon/(24*time.Hour)))
}
