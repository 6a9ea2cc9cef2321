package loadtest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
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
	cmd.AddCommand(scenarioCommands()...)
	cmd.AddCommand(hallCommand(), captureCommand(), meetingCommandLine())
	cmd.AddCommand(impairCommands()...)
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
refused unless --allow-remote is given. What publishes an encoded clip needs ffmpeg.`,
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

// sometimes is show, but leaves out what comes sooner than every after a line before
// that said the same with other numbers.
func (p *progressLine) sometimes(every time.Duration) func(line string) {
	var mu sync.Mutex
	var shown time.Time
	var kind string
	return func(line string) {
		words := strings.Map(func(r rune) rune {
			if r >= '0' && r <= '9' {
				return -1
			}
			return r
		}, line)
		mu.Lock()
		late := words != kind || time.Since(shown) >= every
		if late {
			shown, kind = time.Now(), words
		}
		mu.Unlock()
		if late {
			p.show(line)
		}
	}
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
