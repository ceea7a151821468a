package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"github.com/genmesh/genmesh/mesh"
)

const subscriberHelp = `How the subscribers of streams.json stand, and how to keep events from one of them for a while.`

func newSubscriber(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "subscriber",
		Short: "Look at subscribers, pause and resume them",
		Long:  subscriberHelp,
		Args:  cobra.NoArgs,
		RunE:  showHelp,
	}
	cmd.AddCommand(newSubscriberList(p), newSubscriberShow(p), newSubscriberPause(p), newSubscriberResume(p))
	return cmd
}

// subscribed is what a command on subscribers works with.
type subscribed struct {
	t  *mesh.Topology
	js jetstream.JetStream
	nc *nats.Conn
	mesh.Subscriber
}

// withSubscriber runs a command on one subscriber, or on all if name is "".
func (p *program) withSubscriber(cmd *cobra.Command, cluster *clusterFlags, name string, run func(context.Context, subscribed) error) error {
	t, err := p.topology(cmd)
	if err != nil {
		return err
	}
	on := subscribed{t: t}
	if name != "" {
		if on.Subscriber, err = findSubscriber(t, name); err != nil {
			return err
		}
	}
	if on.nc, on.js, err = p.connect(cluster); err != nil {
		return err
	}
	defer on.nc.Close()
	return run(cmd.Context(), on)
}

func findSubscriber(t *mesh.Topology, name string) (mesh.Subscriber, error) {
	var names []string
	for _, s := range t.Subscribers {
		if s.Name == name {
			return s, nil
		}
		names = append(names, s.Name)
	}
	if len(names) == 0 {
		return mesh.Subscriber{}, fmt.Errorf("there is no subscriber %q: streams.json has none", name)
	}
	return mesh.Subscriber{}, fmt.Errorf("there is no subscriber %q in streams.json; there are %s", name, strings.Join(names, ", "))
}

// operator is who runs the command, for people.
func operator() string {
	name := "unknown"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if host, err := os.Hostname(); err == nil {
		name += "@" + host
	}
	return name
}

func checkReason(reason string) error {
	if len(reason) > mesh.MaxReasonBytes {
		return fmt.Errorf("--reason has %d bytes; at most %d are kept", len(reason), mesh.MaxReasonBytes)
	}
	return nil
}

// audit keeps a record of what was done to the subscriber, where streams.json has a stream for that. It was done: a
// record that can't be kept is a warning.
func (p *program) audit(ctx context.Context, on subscribed, action, reason string) {
	a := &auditor{p: p, js: on.js, t: on.t, about: mesh.Audit{Who: actorOf(on.nc), Action: action, Subscriber: on.Name, Reason: reason}}
	if _, err := a.record(ctx, mesh.AuditDone, nil, nil); err != nil && !errors.Is(err, mesh.ErrNoAudit) {
		say(p.Err, "warning: this is not audited: %v", err)
	}
}

// roughly is a duration as people say it.
func roughly(d time.Duration) string {
	switch {
	case d < 0:
		return "0s"
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Hour:
		return mesh.Duration(d.Round(time.Second)).String()
	case d < 48*time.Hour:
		return mesh.Duration(d.Round(time.Minute)).String()
	}
	return fmt.Sprintf("%dd", int(d.Round(time.Hour).Hours()/24))
}
