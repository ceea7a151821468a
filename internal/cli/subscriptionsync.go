package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/genmesh/genmesh/genesys/cloud"
	"github.com/genmesh/genmesh/mesh"
)

const syncHelp = `Make Genesys Cloud have the subscriptions that streams.json describes: create those that are
missing and change those that differ. It shows what it would do and asks. Subscriptions that
streams.json does not name are left alone.

Exit codes: 0 nothing is left to do, 1 an error, 2 --dry-run found something to do.`

// syncFlags are those of create and sync.
type syncFlags struct {
	source string
	dryRun bool
	yes    bool
}

// newSubscriptionSync is sync, or create: which makes what is missing and changes nothing.
func newSubscriptionSync(p *program, verb string) *cobra.Command {
	f := new(syncFlags)
	cmd := &cobra.Command{
		Use:   verb,
		Short: "Make Genesys Cloud have the subscriptions of streams.json",
		Long:  syncHelp,
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.syncSubscriptions(cmd, f, verb == "create")
		},
	}
	if verb == "create" {
		cmd.Short = "Create the subscriptions of streams.json that are missing"
		cmd.Long = "Create the subscriptions of streams.json that Genesys Cloud does not have. Those that it has are left alone."
	}
	cmd.Flags().StringVar(&f.source, "source", "", "only that of the source `NAME`")
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "only show what would be done")
	cmd.Flags().BoolVarP(&f.yes, "yes", "y", false, "don't ask")
	return cmd
}

// syncStep is what one subscription needs.
type syncStep struct {
	client *cloud.Client
	have   *cloud.Subscription // nil: create it
	want   cloud.Subscription
	change []string // field by field
}

func (p *program) syncSubscriptions(cmd *cobra.Command, f *syncFlags, onlyMissing bool) error {
	t, err := p.topology(cmd)
	if err != nil {
		return err
	}
	steps, err := p.planSubscriptions(cmd.Context(), t, f.source)
	if err != nil {
		return err
	}
	if onlyMissing {
		steps = slices.DeleteFunc(steps, func(s syncStep) bool { return s.have != nil })
	}
	if len(steps) == 0 {
		say(cmd.OutOrStdout(), "nothing to do")
		return nil
	}
	for _, s := range steps {
		if s.have == nil {
			say(cmd.OutOrStdout(), "create %s", s.want.Name)
		} else {
			say(cmd.OutOrStdout(), "change %s", s.want.Name)
		}
		for _, line := range s.change {
			say(cmd.OutOrStdout(), "  %s", line)
		}
	}
	if f.dryRun {
		return exitCode(exitChanges)
	}
	if !f.yes {
		if err := p.confirm(fmt.Sprintf("make %s?", plural(len(steps), "change"))); err != nil {
			return err
		}
	}
	return applySubscriptions(cmd, steps)
}

// planSubscriptions compares streams.json with Genesys Cloud.
func (p *program) planSubscriptions(ctx context.Context, t *mesh.Topology, only string) ([]syncStep, error) {
	var steps []syncStep
	found := false
	for _, source := range t.Sources {
		if source.Subscription == nil || only != "" && source.Name != only {
			continue
		}
		found = true
		if source.API == nil {
			return nil, fmt.Errorf("source %s has a subscription but no api block", source.Name)
		}
		client, err := p.cloudClient(source)
		if err != nil {
			return nil, err
		}
		step := syncStep{client: client, want: wantedSubscription(*source.Subscription)}
		have, err := client.FindSubscription(ctx, step.want.Name)
		switch {
		case err == nil:
			step.have = &have
		case !errors.Is(err, cloud.ErrNotFound):
			return nil, err
		}
		if step.change = subscriptionChanges(step.have, step.want); len(step.change) > 0 {
			steps = append(steps, step)
		}
	}
	if !found {
		return nil, errors.New("no such source of streams.json has a subscription block")
	}
	return steps, nil
}

func wantedSubscription(s mesh.Subscription) cloud.Subscription {
	return cloud.Subscription{
		Name: s.Name, Description: s.Description, EventTypes: s.EventTypes, TargetURL: s.TargetURL, HTTPMethod: "POST",
		RetryPolicy: cloud.RetryPolicy{MaxRetries: s.RetryPolicy.MaxRetries, BackoffType: string(s.RetryPolicy.BackoffType)},
		Active:      *s.Active,
	}
}

// subscriptionChanges tells field by field what differs; all fields if there is no such subscription.
func subscriptionChanges(have *cloud.Subscription, want cloud.Subscription) []string {
	before := cloud.Subscription{}
	if have != nil {
		before = *have
	}
	var changes []string
	for _, f := range []struct{ name, have, want string }{
		{"description", before.Description, want.Description},
		{"event_types", inOrder(before.EventTypes), inOrder(want.EventTypes)},
		{"target_url", before.TargetURL, want.TargetURL},
		{"method", before.HTTPMethod, want.HTTPMethod},
		{"max_retries", strconv.Itoa(before.RetryPolicy.MaxRetries), strconv.Itoa(want.RetryPolicy.MaxRetries)},
		{"backoff_type", before.RetryPolicy.BackoffType, want.RetryPolicy.BackoffType},
		{"active", strconv.FormatBool(before.Active), strconv.FormatBool(want.Active)},
	} {
		switch {
		case f.have == f.want:
		case have == nil:
			changes = append(changes, fmt.Sprintf("%s: %s", f.name, f.want))
		default:
			changes = append(changes, fmt.Sprintf("%s: %s → %s", f.name, f.have, f.want))
		}
	}
	return changes
}

func inOrder(names []string) string { return strings.Join(slices.Sorted(slices.Values(names)), ",") }

func applySubscriptions(cmd *cobra.Command, steps []syncStep) error {
	for _, s := range steps {
		if s.have == nil {
			made, err := s.client.CreateSubscription(cmd.Context(), s.want)
			if err != nil {
				return err
			}
			say(cmd.OutOrStdout(), "created %s (%s)", made.Name, made.ID)
			continue
		}
		s.want.ID, s.want.Version = s.have.ID, s.have.Version
		if _, err := s.client.UpdateSubscription(cmd.Context(), s.want); err != nil {
			return err
		}
		say(cmd.OutOrStdout(), "changed %s", s.want.Name)
	}
	return nil
}
