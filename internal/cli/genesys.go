package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/genmesh/genmesh/genesys/cloud"
	"github.com/genmesh/genmesh/internal/app"
	"github.com/genmesh/genmesh/mesh"
)

const genesysHelp = `Speak to the Genesys Cloud Platform API, as the OAuth client of a source's api block.`

const subscriptionsHelp = `Look at the webhook subscriptions of Genesys Cloud, and make them what the subscription blocks of
streams.json say.

The OAuth client (grant: client credentials) needs read access to eventstreams, and to change
something the permission integrations:webhooks:edit.`

func newGenesys(p *program) *cobra.Command {
	subscriptions := &cobra.Command{
		Use:   "subscriptions",
		Short: "Look at webhook subscriptions and make them what streams.json says",
		Long:  subscriptionsHelp,
		Args:  cobra.NoArgs,
		RunE:  showHelp,
	}
	subscriptions.AddCommand(newSubscriptionList(p), newSubscriptionShow(p), newSubscriptionSync(p, "create"), newSubscriptionSync(p, "sync"),
		newSubscriptionDelete(p))
	cmd := &cobra.Command{Use: "genesys", Short: "Speak to the Genesys Cloud API", Long: genesysHelp, Args: cobra.NoArgs, RunE: showHelp}
	cmd.AddCommand(subscriptions)
	return cmd
}

// platformOf is the API of a source: of the named one, or of the only one that has an api block.
func (p *program) platformOf(cmd *cobra.Command, source string) (*cloud.Client, error) {
	t, err := p.topology(cmd)
	if err != nil {
		return nil, err
	}
	s, err := apiSource(t, source)
	if err != nil {
		return nil, err
	}
	return p.cloudClient(s)
}

func (p *program) cloudClient(s mesh.Source) (*cloud.Client, error) {
	client, err := app.CloudClient(*s.API, p.LookupEnv, "genmesh/"+p.Version)
	if err != nil {
		return nil, fmt.Errorf("source %s: %w", s.Name, err)
	}
	return client, nil
}

func apiSource(t *mesh.Topology, name string) (mesh.Source, error) {
	var with []mesh.Source
	var names []string
	for _, s := range t.Sources {
		if s.API != nil && (name == "" || s.Name == name) {
			with, names = append(with, s), append(names, s.Name)
		}
	}
	switch {
	case len(with) == 1:
		return with[0], nil
	case len(with) > 1:
		return mesh.Source{}, fmt.Errorf("several sources have an api block: choose one of %s with --source", strings.Join(names, ", "))
	case name != "":
		return mesh.Source{}, fmt.Errorf("streams.json has no source %q with an api block", name)
	}
	return mesh.Source{}, errors.New("no source of streams.json has an api block: it says where Genesys Cloud is and which OAuth client to use")
}

// subscriptionOf finds one by its name or its id.
func (p *program) subscriptionOf(cmd *cobra.Command, source, nameOrID string) (*cloud.Client, cloud.Subscription, error) {
	client, err := p.platformOf(cmd, source)
	if err != nil {
		return nil, cloud.Subscription{}, err
	}
	found, err := client.FindSubscription(cmd.Context(), nameOrID)
	if errors.Is(err, cloud.ErrNotFound) {
		if byID, idErr := client.Subscription(cmd.Context(), nameOrID); idErr == nil {
			return client, byID, nil
		}
	}
	return client, found, err
}
