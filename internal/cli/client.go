package cli

import (
	"github.com/spf13/cobra"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/settings"
)

// WithClient calls do with a client of the cluster that the settings name. wrong is what else is wrong with how the command is used: it is
// said together with mistakes in the settings, before anything is connected to.
func WithClient(cmd *cobra.Command, v *settings.Values, wrong error, do func(*kafka.Client) error) error {
	return withClient(cmd, v, wrong, do)
}
