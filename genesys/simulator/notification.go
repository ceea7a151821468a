package simulator

import (
	"cmp"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/genmesh/genmesh/genesys/cloud"
)

const (
	channelsPath     = "/api/v2/notifications/channels"
	socketsPath      = "/channels/" // as in the addresses of the real service: the id of the channel follows
	maxChannels      = 20
	maxTopicsBytes   = 1 << 20
	defaultLifetime  = 24 * time.Hour
	defaultHeartbeat = 30 * time.Second
)

// notifications is the notification service: channels, their topics and their sockets.
type notifications struct {
	lifetime, heartbeat time.Duration

	mu            sync.Mutex
	channels      map[string]*channel // by id
	conversations conversations
	closed        bool
	sockets       sync.WaitGroup
}

// channel is one with its socket.
type channel struct {
	id      string
	expires time.Time
	used    time.Time
	topics  []topic
	socket  *socket // nil while there is none
	sent    int
}

// ChannelState is what may be known of a channel: never its id, which is all that its address keeps
// secret.
type ChannelState struct {
	Expires   time.Time `json:"expires"`
	Topics    int       `json:"topics"`
	Connected bool      `json:"connected"`
	// Sent are the frames that were sent through it, without heartbeats and notices.
	Sent int `json:"sent"`
}

func newNotifications(lifetime, heartbeat time.Duration) *notifications {
	return &notifications{
		lifetime: cmp.Or(lifetime, defaultLifetime), heartbeat: cmp.Or(heartbeat, defaultHeartbeat),
		channels: make(map[string]*channel), conversations: make(conversations),
	}
}

// register adds the service to a mux. handle adds what needs a token.
func (n *notifications) register(mux *http.ServeMux, handle func(pattern string, h func(http.ResponseWriter, *http.Request))) {
	handle("POST "+channelsPath, n.create)
	handle("GET "+channelsPath+"/{id}/subscriptions", n.getTopics)
	handle("PUT "+channelsPath+"/{id}/subscriptions", n.putTopics)
	mux.HandleFunc("GET "+socketsPath+"{id}", n.connect)
}

func (n *notifications) create(w http.ResponseWriter, r *http.Request) {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := time.Now()
	n.forget(now)
	c := &channel{id: "streaming-" + rand.Text(), expires: now.Add(n.lifetime), used: now}
	n.channels[c.id] = c
	write(w, map[string]any{"id": c.id, "connectUri": "ws://" + r.Host + socketsPath + c.id, "expires": c.expires.UTC()})
}

// forget makes room for a channel: without those that have ended, and without the one that was used
// least lately, of those without a socket if there are any. The caller holds the lock.
func (n *notifications) forget(now time.Time) {
	var oldest *channel
	for _, c := range n.channels {
		if !now.Before(c.expires) {
			n.remove(c)
		} else if oldest == nil || c.before(oldest) {
			oldest = c
		}
	}
	if len(n.channels) >= maxChannels {
		n.remove(oldest)
	}
}

// before reports whether c makes room sooner than other.
func (c *channel) before(other *channel) bool {
	if (c.socket == nil) != (other.socket == nil) {
		return c.socket == nil
	}
	return c.used.Before(other.used)
}

func (n *notifications) remove(c *channel) {
	delete(n.channels, c.id)
	if c.socket != nil {
		c.socket.end(websocket.StatusNormalClosure)
	}
}

func (n *notifications) getTopics(w http.ResponseWriter, r *http.Request) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if c := n.find(w, r); c != nil {
		c.writeTopics(w)
	}
}

func (n *notifications) putTopics(w http.ResponseWriter, r *http.Request) {
	var wanted []struct {
		ID string `json:"id"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxTopicsBytes)).Decode(&wanted); err != nil {
		fail(w, http.StatusBadRequest, "bad.request", "The request is not a list of topics.")
		return
	}
	if len(wanted) > cloud.MaxChannelTopics {
		fail(w, http.StatusBadRequest, "notification.topic.limit.exceeded", fmt.Sprintf("A channel has at most %d topics.", cloud.MaxChannelTopics))
		return
	}
	var topics []topic
	for _, t := range wanted {
		parsed := parseTopic(t.ID)
		if !slices.ContainsFunc(topics, func(had topic) bool { return had.name == t.ID }) {
			topics = append(topics, parsed)
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if c := n.find(w, r); c != nil {
		c.topics, c.used = topics, time.Now()
		c.writeTopics(w)
	}
}

// find finds the channel that a request names; the caller holds the lock.
func (n *notifications) find(w http.ResponseWriter, r *http.Request) *channel {
	c := n.channels[r.PathValue("id")]
	if c == nil || !time.Now().Before(c.expires) {
		fail(w, http.StatusNotFound, "not.found", "The channel was not found.")
		return nil
	}
	return c
}

func (c *channel) writeTopics(w http.ResponseWriter) {
	entities := make([]map[string]string, len(c.topics))
	for i, t := range c.topics {
		entities[i] = map[string]string{"id": t.name}
	}
	write(w, map[string]any{"entities": entities})
}

// connect is a WebSocket handshake. The channel's address is all that it asks for.
func (n *notifications) connect(w http.ResponseWriter, r *http.Request) {
	n.mu.Lock()
	c := n.find(w, r)
	closed := n.closed
	if c != nil && !closed {
		n.sockets.Add(1)
		defer n.sockets.Done()
	}
	n.mu.Unlock()
	if c == nil || closed {
		return
	}
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return // it has been answered
	}
	s := newSocket(conn)
	if n.attach(c, s) {
		s.run(n.heartbeat, c.expires)
	}
	_ = conn.CloseNow()
	n.detach(c, s)
}

// attach makes s the socket of a channel, instead of the one before. It is false if it is too late.
func (n *notifications) attach(c *channel, s *socket) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed || n.channels[c.id] != c {
		return false
	}
	if c.socket != nil {
		c.socket.end(websocket.StatusPolicyViolation)
	}
	c.socket, c.used = s, time.Now()
	return true
}

func (n *notifications) detach(c *channel, s *socket) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if c.socket == s {
		c.socket, c.used = nil, time.Now()
	}
}

// tell sends the conversation of an event, as it is now, to all whose topics it concerns. One that
// began before there was a channel is known from then on.
func (n *notifications) tell(e Event) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.channels) == 0 {
		clear(n.conversations)
		return
	}
	c := n.conversations.follow(e)
	body := json.RawMessage(nil)
	for _, ch := range n.channels {
		for _, t := range ch.topics {
			if ch.socket == nil || !t.concerns(c) {
				continue // nobody keeps it
			}
			if body == nil {
				body = c.snapshot()
			}
			if ch.socket.send(t.frame(body, c.correlation())) {
				ch.sent++
			}
		}
	}
}

// state lists the channels.
func (n *notifications) state() []ChannelState {
	n.mu.Lock()
	defer n.mu.Unlock()
	all := make([]ChannelState, 0, len(n.channels))
	for _, c := range n.channels {
		all = append(all, ChannelState{Expires: c.expires, Topics: len(c.topics), Connected: c.socket != nil, Sent: c.sent})
	}
	slices.SortFunc(all, func(a, b ChannelState) int { return a.Expires.Compare(b.Expires) })
	return all
}

// eachSocket does something with every socket.
func (n *notifications) eachSocket(do func(*socket)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range n.channels {
		if c.socket != nil {
			do(c.socket)
		}
	}
}

// expire ends all channels.
func (n *notifications) expire() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range n.channels {
		n.remove(c)
	}
}

// close ends all sockets and waits for them.
func (n *notifications) close() {
	n.mu.Lock()
	n.closed = true
	for _, c := range n.channels {
		if c.socket != nil {
			c.socket.drop()
		}
	}
	n.mu.Unlock()
	n.sockets.Wait()
}

// maxAnnouncement bounds how long before its end a socket is told of it.
const maxAnnouncement = time.Hour

// steerNotifications serves the steering of the service under /simulator.
func (s *Simulator) steerNotifications(mux *http.ServeMux) {
	mux.HandleFunc("GET /simulator/channels", func(w http.ResponseWriter, _ *http.Request) { write(w, s.Channels()) })
	mux.HandleFunc("POST /simulator/channels/expire", steer(func(*struct{}) error { s.ExpireChannels(); return nil }))
	mux.HandleFunc("POST /simulator/sockets/drop", steer(func(*struct{}) error { s.DropSockets(); return nil }))
	mux.HandleFunc("POST /simulator/sockets/announce", steer(func(a *struct {
		CloseAfterSeconds int `json:"close_after_seconds"`
	}) error {
		if a.CloseAfterSeconds < 0 || a.CloseAfterSeconds > int(maxAnnouncement.Seconds()) {
			return fmt.Errorf("close_after_seconds must be 0 to %d", int(maxAnnouncement.Seconds()))
		}
		s.AnnounceClosing(time.Duration(a.CloseAfterSeconds) * time.Second)
		return nil
	}))
}

// DropSockets cuts every socket of the notification service off, without a word.
func (s *Simulator) DropSockets() { s.notifications.eachSocket((*socket).drop) }

// AnnounceClosing tells every socket that it will be ended, as before maintenance, and ends it after
// that time.
func (s *Simulator) AnnounceClosing(after time.Duration) {
	s.notifications.eachSocket(func(s *socket) { s.announce(after) })
}

// ExpireChannels ends every channel as if its time was over.
func (s *Simulator) ExpireChannels() { s.notifications.expire() }

// Channels are those of the notification service, the next to expire first.
func (s *Simulator) Channels() []ChannelState { return s.notifications.state() }
