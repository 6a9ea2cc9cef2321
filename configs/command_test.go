package configs

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCheckConfig(t *testing.T) {
	check := func(args ...string) (string, error) {
		var out strings.Builder
		cmd := Command()
		cmd.SilenceUsage, cmd.SilenceErrors = true, true
		cmd.SetOut(&out)
		cmd.SetArgs(args)
		err := cmd.Execute()
		return out.String(), err
	}
	t.Setenv("DIEMCAU_LOG__LEVEL", "debug")
	good := write(t, "listen: 127.0.0.1:1000\n")
	out, err := check(good, "--demo")
	require.NoError(t, err)
	require.Equal(t, good+": OK\n", out)

	out, err = check(good)
	require.ErrorContains(t, err, "keys: at least one API key", "only a demonstration has a key of its own")
	require.Empty(t, out)

	t.Setenv("DIEMCAU_LOG__LEVEL", "loud")
	_, err = check(good, "--demo")
	require.ErrorContains(t, err, "DIEMCAU_LOG__LEVEL")

	cfg, err := LoadFor("", true, Flag("--log", "log.level", "warn"))
	require.NoError(t, err, "a flag is over the environment")
	require.True(t, cfg.Demo)
	require.Equal(t, "warn", cfg.Log.Level)
}
