package configs

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
)

// LoadFor is Load for a command: with the environment of this process, and as
// serve --demo uses it if demo is set. An error is of type Errors.
func LoadFor(file string, demo bool, flags ...Option) (*Config, error) {
	if demo {
		flags = append(flags, Demo())
	}
	return Load(file, os.Environ(), flags...)
}

// Command is check-config.
func Command() *cobra.Command {
	var demo bool
	cmd := &cobra.Command{
		Use:   "check-config FILE",
		Short: "Print every error in a configuration file, with its line",
		Long:  "Loads FILE with the environment as serve would, and prints every error with its line. Exit status 1 if there is one.",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := LoadFor(args[0], demo); err != nil {
				return err
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s: OK\n", args[0])
			return err
		},
	}
	cmd.Flags().BoolVar(&demo, "demo", false, "check it as serve --demo would use it")
	return cmd
}
