package cli

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/genmesh/genmesh/genesys/cloud"
)

// subscriptionJSON is a subscription without its key.
type subscriptionJSON struct {
	ID          string   `json:"id"`
	Name        string   `json:"name"`
	Description string   `json:"description,omitempty"`
	EventTypes  []string `json:"event_types"`
	TargetURL   string   `json:"target_url"`
	MaxRetries  int      `json:"max_retries"`
	BackoffType string   `json:"backoff_type"`
	Active      bool     `json:"active"`
	Version     int      `json:"version"`
	HasKey      bool     `json:"has_key"`
}

func withoutKey(s cloud.Subscription) subscriptionJSON {
	return subscriptionJSON{
		ID: s.ID, Name: s.Name, Description: s.Description, EventTypes: s.EventTypes, TargetURL: s.TargetURL,
		MaxRetries: s.RetryPolicy.MaxRetries, BackoffType: s.RetryPolicy.BackoffType, Active: s.Active, Version: s.Version,
		HasKey: len(s.Keys()) > 0,
	}
}

func newSubscriptionList(p *program) *cobra.Command {
	source := ""
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the webhook subscriptions of an organization",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := p.platformOf(cmd, source)
			if err != nil {
				return err
			}
			listed := []subscriptionJSON{}
			for s, err := range client.Subscriptions(cmd.Context()) {
				if err != nil {
					return err
				}
				listed = append(listed, withoutKey(s))
			}
			if p.wantsJSON() {
				return writeJSON(cmd.OutOrStdout(), listed)
			}
			if len(listed) == 0 {
				say(cmd.OutOrStdout(), "no subscriptions")
				return nil
			}
			var t table
			t.row("ID", "NAME", "EVENTS", "TARGET", "RETRIES", "ACTIVE")
			for _, s := range listed {
				t.row(s.ID, s.Name, strings.Join(s.EventTypes, ","), s.TargetURL,
					fmt.Sprintf("%d %s", s.MaxRetries, s.BackoffType), strconv.FormatBool(s.Active))
			}
			return t.write(cmd.OutOrStdout())
		},
	}
	sourceFlag(cmd, &source)
	p.outputFlag(cmd)
	return cmd
}

func sourceFlag(cmd *cobra.Command, source *string) {
	cmd.Flags().StringVar(source, "source", "", "the source `NAME` whose api block is used; the only one that has one does without")
}

func newSubscriptionShow(p *program) *cobra.Command {
	source := ""
	cmd := &cobra.Command{
		Use:   "show NAME|ID",
		Short: "Show one subscription; its key is never shown",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			_, found, err := p.subscriptionOf(cmd, source, args[0])
			if err != nil {
				return err
			}
			s := withoutKey(found)
			if p.wantsJSON() {
				return writeJSON(cmd.OutOrStdout(), s)
			}
			key := "none"
			if s.HasKey {
				key = "present"
			}
			var t table
			for _, row := range [][2]string{
				{"id", s.ID}, {"name", s.Name}, {"description", cmp.Or(s.Description, "-")}, {"events", strings.Join(s.EventTypes, ", ")},
				{"target", s.TargetURL}, {"retries", fmt.Sprintf("%d, %s", s.MaxRetries, s.BackoffType)},
				{"active", strconv.FormatBool(s.Active)}, {"version", strconv.Itoa(s.Version)}, {"key", key},
			} {
				t.row(row[0], row[1])
			}
			return t.write(cmd.OutOrStdout())
		},
	}
	sourceFlag(cmd, &source)
	p.outputFlag(cmd)
	return cmd
}

func newSubscriptionDelete(p *program) *cobra.Command {
	source, yes := "", false
	cmd := &cobra.Command{
		Use:   "delete NAME|ID",
		Short: "Delete one subscription: Genesys Cloud sends nothing more for it",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, found, err := p.subscriptionOf(cmd, source, args[0])
			if err != nil {
				return err
			}
			if !yes {
				if err := p.confirm(fmt.Sprintf("delete the subscription %q, which posts to %s?", found.Name, found.TargetURL)); err != nil {
					return err
				}
			}
			if err := client.DeleteSubscription(cmd.Context(), found.ID); err != nil {
				return err
			}
			say(cmd.OutOrStdout(), "deleted %s", found.Name)
			return nil
		},
	}
	sourceFlag(cmd, &source)
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "don't ask")
	return cmd
}
