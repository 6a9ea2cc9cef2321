//go:build !linux

package loadtest

import "github.com/spf13/cobra"

// impairCommands are none: the network laboratory needs Linux.
func impairCommands() []*cobra.Command { return nil }
