package loadtest

import (
	"cmp"
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

func meetingCommandLine() *cobra.Command {
	var (
		o   MeetingOptions
		out output
	)
	cmd := &cobra.Command{
		Use:   "meeting",
		Short: "Many users in one meeting without media: events, a vote, the API",
		Long: `An administrator imports --users delegates into a unit of their own, gives them
passwords and signs them in; a secretary makes a meeting of all of them. Each has a
socket. Measured is how long it takes until all know of an event, until ballots that
all give within two seconds are acknowledged, how the HTTP API answers meanwhile, what
memory one who is connected takes, and how long it takes until all are back who were cut
off together. Whether each ballot is counted once and each event comes once is checked.

Each password is hashed four times by the server before its user is signed in, some
50 ms each. --sessions keeps who is signed in for the next run; the file is as secret as
a password. The password may also be given as DIEMCAU_PASSWORD. The users stay on the
server. A server on another machine is refused unless --allow-remote is given.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Password = cmp.Or(o.Password, os.Getenv("DIEMCAU_PASSWORD"))
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			ctx, cancel := context.WithTimeout(ctx, 10*time.Minute+time.Duration(o.Users)*time.Second+o.Duration)
			defer cancel()
			line := &progressLine{w: cmd.ErrOrStderr()}
			defer line.end()
			o.Progress = line.sometimes(time.Second / 2)
			report, err := Meeting(ctx, o)
			line.end()
			if err != nil {
				return err
			}
			return out.tell(cmd, report)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.URL, "url", "http://127.0.0.1:7880", "server `URL`, http(s) or ws(s)")
	f.StringVar(&o.Login, "login", "quantri", "`LOGIN` of an administrator")
	f.StringVar(&o.Password, "password", "", "`PASSWORD` of the administrator")
	f.IntVar(&o.Users, "users", 2000, "how many delegates take part")
	f.DurationVar(&o.Duration, "duration", 20*time.Second, "how long the HTTP API is asked")
	f.DurationVar(&o.After, "after", memoryAfter, "how long the server rests before its memory is read")
	f.StringVar(&o.Sessions, "sessions", "", "keep who is signed in in `FILE` for the next run")
	f.BoolVar(&o.OnlySignIn, "sign-in-only", false, "end when all are signed in")
	f.IntVar(&o.PID, "pid", 0, "process `ID` of a server on this machine, to read its processor time and memory")
	f.StringVar(&o.MetricsURL, "metrics", "", "Prometheus page `URL` (default: /metrics of the server)")
	f.BoolVar(&o.AllowRemote, "allow-remote", false, "permit a server on another machine")
	out.flags(f)
	f.Lookup("strict").Usage = "fail when a ballot or an event is lost or comes twice, or an aim is missed"
	return cmd
}
