package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/genmesh/genmesh/internal/app"
	"github.com/genmesh/genmesh/mesh"
)

// hints is what genmesh dev prints once it runs: what to try next.
type hints struct {
	topology  *mesh.Topology
	addresses app.Addresses
	streams   string
	data      string
}

func (h hints) write(w io.Writer) {
	var b strings.Builder
	b.WriteString("\ngenmesh is running. Ctrl-C ends it.\n\n")
	for _, s := range h.topology.Sources {
		fmt.Fprintf(&b, "  webhooks    http://%s%s\n", h.addresses.Ingress, s.Path)
	}
	if h.addresses.Console != "" {
		fmt.Fprintf(&b, "  console     %s\n", h.addresses.ConsoleURL())
	}
	if h.addresses.NATS != "" {
		fmt.Fprintf(&b, "  NATS        %s\n", h.addresses.NATS)
	}
	fmt.Fprintf(&b, "  data        %s\n", h.data)
	for _, s := range h.topology.Subscribers {
		fmt.Fprintf(&b, "  subscriber  %s → %s\n", s.Name, s.Target.Display())
	}
	h.tryOut(&b)
	fmt.Fprintf(&b, "\nTo add a subscriber, edit %s and save it: the running mesh takes it up.\n\n", h.streams)
	writeLines(w, b.String())
}

// tryOut shows how to send an event to the first source that the commands can speak to, and how
// to see what became of it.
func (h hints) tryOut(b *strings.Builder) {
	for _, s := range h.topology.Sources {
		if s.Preset != genesysPreset || s.FetchesKeys() {
			continue
		}
		url := "http://" + h.addresses.Ingress + s.Path
		fmt.Fprintf(b, "\nSend an event, signed as Genesys Cloud signs it (bash; with the same %s, if it is set):\n\n%s\n",
			secretVariable, curlLines(url, s.Verification.Header))
		fmt.Fprintf(b, "\nAgain, it is a duplicate. Or let genmesh make events up:\n\n  go run . send%s\n",
			unlessDefault(" --url ", url, defaultSendURL))
		break
	}
	if h.addresses.NATS != "" {
		fmt.Fprintf(b, "\nSee what a subscriber could not take:\n\n  go run . dead list%s\n",
			unlessDefault(" --server ", h.addresses.NATS, defaultServer))
	}
}

func unlessDefault(flag, value, fallback string) string {
	if value == fallback {
		return ""
	}
	return flag + value
}

// curlLines are shell commands that sign and send one event. The secret is not in them.
func curlLines(url, header string) string {
	return fmt.Sprintf(`  body='{"id":"4f1c2f6e-5d0b-4a7e-9d57-0f6f3a1f7c11","timestamp":1767225600,"eventTypeId":"interaction","data":{"id":"987654321","contactId":"c-12345","type":"call"}}'
  signature=$(printf %%s "$body" | openssl dgst -sha256 -hmac "${%s:-%s}" | sed 's/^.* //')
  curl -i -H 'Content-Type: application/json' -H "%s: $signature" --data-binary "$body" '%s'`,
		secretVariable, devSecret, header, url)
}
