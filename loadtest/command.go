package loadtest

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/livekit/protocol/logger"
	lksdk "github.com/livekit/server-sdk-go/v2"
	"github.com/spf13/cobra"
)

// Command returns the command "loadtest" with one subcommand per scenario.
func Command() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "loadtest",
		Short: "Load a running server with real participants and measure it",
		Args:  cobra.NoArgs,
	}
	cmd.AddCommand(plenaryCommand(), hallCommand(), captureCommand())
	cmd.AddCommand(impairCommands()...)
	return cmd
}

func plenaryCommand() *cobra.Command {
	var (
		o        PlenaryOptions
		jsonFile string
		strict   bool
	)
	cmd := o.command("plenary", "One speaker in 720p simulcast, many who watch", `One participant publishes a looped clip (VP8, 320×180, 640×360 and 1280×720) in
real time; --subscribers others watch it for --duration. They do not decode, but
account for every packet: lost after repair, late, pauses a viewer would see.`,
		func(ctx context.Context, cmd *cobra.Command) error {
			ctx, cancel := context.WithTimeout(ctx, bound(o))
			defer cancel()
			report, err := Plenary(ctx, o)
			o.line.end()
			if err != nil {
				return err
			}
			return tell(cmd, report, jsonFile, strict)
		})
	f := cmd.Flags()
	f.IntVar(&o.Subscribers, "subscribers", 50, "how many watch")
	f.DurationVar(&o.Duration, "duration", time.Minute, "how long they watch")
	f.BoolVar(&o.OnePeerConnection, "one-pc", false, "use one peer connection instead of two")
	f.IntVar(&o.PID, "pid", 0, "process `ID` of a server on this machine, to read its processor time and memory")
	f.StringVar(&o.MetricsURL, "metrics", "", "Prometheus page `URL` (default: /metrics of the server)")
	f.StringVar(&jsonFile, "json", "", "write the report to `FILE` too")
	f.BoolVar(&strict, "strict", false, "fail on loss after repair, a freeze, or goroutines that stay")
	return cmd
}

func hallCommand() *cobra.Command {
	var o HallOptions
	cmd := o.command("hall", "Many points that publish, and speak when they are called", `--points participants publish a small simulcast picture and sound, and receive
nothing. Orders are read from the standard input, one a line: {"speak": 3} has
point-3 speak and the others be silent, {"speak": -1} all. Each is answered on the
standard output with the time at which the first packet left. The hall ends with its
input.`,
		func(ctx context.Context, cmd *cobra.Command) error {
			return Hall(ctx, o, cmd.InOrStdin(), cmd.OutOrStdout())
		})
	cmd.Flags().IntVar(&o.Points, "points", 215, "how many publish")
	return cmd
}

// command makes the command of a scenario with the flags that all have. run is given a
// context that ends when the process is asked to.
func (o *Options) command(use, short, long string, run func(context.Context, *cobra.Command) error) *cobra.Command {
	cmd := &cobra.Command{
		Use:   use,
		Short: short,
		Long: long + `

The secret may also be given as DIEMCAU_SECRET. A server on another machine is
refused unless --allow-remote is given. Needs ffmpeg.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if o.Secret = cmp.Or(o.Secret, os.Getenv("DIEMCAU_SECRET")); o.Secret == "" {
				return errors.New("no API secret: use --secret or DIEMCAU_SECRET")
			}
			o.Room = cmp.Or(o.Room, fmt.Sprintf("loadtest-%d", time.Now().UnixMilli()))
			if o.ClipDir == "" {
				if o.ClipDir, err = os.MkdirTemp("", "diemcau-clip-"); err != nil {
					return err
				}
				defer func() { _ = os.RemoveAll(o.ClipDir) }() // a temporary directory may stay
			}
			lksdk.SetLogger(logger.GetDiscardLogger())
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			o.line = &progressLine{w: cmd.ErrOrStderr()}
			o.Progress = o.line.show
			defer o.line.end()
			return run(ctx, cmd)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.URL, "url", "http://127.0.0.1:7880", "server `URL`, http(s) or ws(s)")
	f.StringVar(&o.Key, "key", "devkey", "API `KEY`")
	f.StringVar(&o.Secret, "secret", "", "API `SECRET`")
	f.StringVar(&o.Room, "room", "", "`ROOM` to fill (default: a new one)")
	f.IntVar(&o.JoinParallel, "join-parallel", 4, "how many join at the same time")
	f.StringVar(&o.ClipDir, "clips", "", "keep the encoded clips in `DIRECTORY` for the next run")
	f.BoolVar(&o.AllowRemote, "allow-remote", false, "permit a server on another machine")
	return cmd
}

// tell prints the report, writes it to a file if one is named, and fails on its faults
// if it is to be strict.
func tell(cmd *cobra.Command, report *Report, jsonFile string, strict bool) error {
	if err := report.WriteTable(cmd.OutOrStdout()); err != nil {
		return err
	}
	if jsonFile != "" {
		b, err := json.MarshalIndent(report, "", "  ")
		if err != nil {
			return err
		}
		if err := os.WriteFile(jsonFile, append(b, '\n'), 0o644); err != nil {
			return err
		}
	}
	if faults := report.Faults(); strict && len(faults) > 0 {
		return errors.New(faultString(faults))
	}
	return nil
}

// bound is when a run is given up: every phase in its longest form.
func bound(o PlenaryOptions) time.Duration {
	return time.Minute + time.Duration(o.Subscribers)*time.Second + o.Duration + settleTimeout
}

// progressLine shows one line that is written over and over on a terminal,
// and one line per message elsewhere.
type progressLine struct {
	w     io.Writer
	mu    sync.Mutex
	shown bool // guarded by mu
}

func (p *progressLine) show(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !isTerminal(p.w) {
		fmt.Fprintln(p.w, line)
		return
	}
	p.shown = true
	fmt.Fprintf(p.w, "\r\x1b[2K%s", line)
}

func (p *progressLine) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.shown {
		p.shown = false
		fmt.Fprintln(p.w)
	}
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
