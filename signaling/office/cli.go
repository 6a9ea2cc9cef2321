package office

import (
	"bufio"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"github.com/spf13/cobra"
)

// Place is where a server keeps its meetings.
type Place struct{ DatabaseURL, DataDir string }

// Commands are the commands of who installs and operates the server. find reads a
// configuration (file may be empty) with flags as serve has them.
func Commands(find func(file, dataDir string, demo bool) (Place, error)) []*cobra.Command {
	var file, dataDir string
	var demo bool
	with := func(cmd *cobra.Command, run func(cmd *cobra.Command, at Place, args []string) error) *cobra.Command {
		cmd.Flags().StringVar(&file, "config", "", "configuration `FILE`")
		cmd.Flags().StringVar(&dataDir, "data", "", "`DIRECTORY` of what is kept on disk (data_dir)")
		cmd.Flags().BoolVar(&demo, "demo", false, "those of the demonstration")
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			at, err := find(file, dataDir, demo)
			if err != nil {
				return err
			}
			return run(cmd, at, args)
		}
		return cmd
	}
	journal := &cobra.Command{Use: "journal", Short: "The journals of meetings"}
	journal.AddCommand(verifyCommand(with))
	admin := &cobra.Command{Use: "admin", Short: "Administrators and users"}
	admin.AddCommand(createCommand(with), with(&cobra.Command{
		Use: "users", Short: "List the users: login, name, unit, roles", Args: cobra.NoArgs,
	}, func(cmd *cobra.Command, at Place, _ []string) error {
		return ListUsers(cmd.Context(), at.DatabaseURL, cmd.OutOrStdout())
	}))
	return []*cobra.Command{journal, admin,
		with(&cobra.Command{
			Use: "backup FILE", Short: "Write the database to FILE, while the server runs", Args: cobra.ExactArgs(1),
			Long: "Writes a consistent picture of the database to FILE, which must not exist. The keys in the data\n" +
				"directory are not in it: keep a copy of journal.key, journal.pub, account.key and ballot.key elsewhere.",
		}, func(cmd *cobra.Command, at Place, args []string) error {
			return Backup(cmd.Context(), at.DatabaseURL, args[0], cmd.OutOrStdout())
		}),
		with(&cobra.Command{
			Use: "restore FILE", Short: "Put a backup into an empty database; the server must not run", Args: cobra.ExactArgs(1),
		}, func(cmd *cobra.Command, at Place, args []string) error {
			return Restore(cmd.Context(), args[0], at, cmd.OutOrStdout())
		}),
	}
}

type wrap func(cmd *cobra.Command, run func(cmd *cobra.Command, at Place, args []string) error) *cobra.Command

func verifyCommand(with wrap) *cobra.Command {
	var lang string
	cmd := with(&cobra.Command{
		Use: "verify", Short: "Look for entries that were changed, removed, added or cut off", Args: cobra.NoArgs,
		Long: "Checks the hash chain of every meeting's journal against itself and against its signed heads, and names the\n" +
			"first entry that is wrong. Exit status 1 if there is one. It may run beside the server.",
	}, func(cmd *cobra.Command, at Place, _ []string) error {
		return VerifyJournal(cmd.Context(), at.DatabaseURL, at.DataDir, lang, cmd.OutOrStdout())
	})
	cmd.Flags().StringVar(&lang, "lang", "vi", "language of the report: vi or en")
	return cmd
}

func createCommand(with wrap) *cobra.Command {
	var n NewAdministrator
	cmd := with(&cobra.Command{
		Use: "create --login LOGIN --name NAME", Short: "Make the first administrator; the password is read from standard input", Args: cobra.NoArgs,
	}, func(cmd *cobra.Command, at Place, _ []string) error {
		if err := os.MkdirAll(at.DataDir, 0o750); err != nil {
			return fmt.Errorf("data_dir: %w", err)
		}
		fmt.Fprintln(cmd.ErrOrStderr(), "Password, at least 10 characters, on one line:")
		line, err := bufio.NewReader(cmd.InOrStdin()).ReadString('\n')
		if n.Password = strings.TrimRight(line, "\r\n"); n.Password == "" {
			return errors.Join(errors.New("no password on standard input"), err)
		}
		log := slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))
		return CreateAdministrator(cmd.Context(), at.DatabaseURL, at.DataDir, n, log)
	})
	cmd.Flags().StringVar(&n.Login, "login", "", "`LOGIN` to sign in with")
	cmd.Flags().StringVar(&n.Name, "name", "", "full `NAME`")
	cmd.Flags().BoolVar(&n.Force, "force", false, "also if there is an administrator: for who has lost all accounts")
	for _, name := range []string{"login", "name"} {
		if err := cmd.MarkFlagRequired(name); err != nil {
			panic(err) // the flag is defined above
		}
	}
	return cmd
}
