package office

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestADirectoryKeepsItsName: what starts again on it is no other process to the leases.
func TestADirectoryKeepsItsName(t *testing.T) {
	dir := t.TempDir()
	first, err := ownerName(dir)
	require.NoError(t, err)
	again, err := ownerName(dir)
	require.NoError(t, err)
	require.Equal(t, first, again)
	other, err := ownerName(t.TempDir())
	require.NoError(t, err)
	require.NotEqual(t, first, other)
}
