package cli

import (
	"fmt"
	"time"

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
