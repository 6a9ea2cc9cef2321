package sfu

import (
	"testing"

	"go.uber.org/goleak"
)

// Every goroutine of a node, and of the peers it talks to, has ended when its
// node is closed.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
