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
	"github.com/spf13/pflag"
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
		o            PlenaryOptions
		out          output
		participants string
	)
	cmd := o.command("plenary", "Some speakers in 720p simulcast, many who watch", `--speakers participants publish a simulcast picture (320×180, 640×360 and 1280×720)
in real time; --subscribers others watch them for --duration. They do not decode, but
account for every packet: lost after repair, late, pauses a viewer would see.
With --participants sdk all are made of the LiveKit server SDK, which costs several
times as much and measures no delay; one of them publishes an encoded clip.`,
		func(ctx context.Context, cmd *cobra.Command) error {
			switch participants {
			case "light", "sdk":
				o.SDK = participants == "sdk"
			default:
				return fmt.Errorf("--participants %q: want light or sdk", participants)
			}
			ctx, cancel := context.WithTimeout(ctx, bound(o.Subscribers, o.Duration))
			defer cancel()
			report, err := Plenary(ctx, o)
			o.line.end()
			if err != nil {
				return err
			}
			return out.tell(cmd, report)
		})
	f := cmd.Flags()
	f.IntVar(&o.Speakers, "speakers", 1, "how many publish, 1 to 4")
	f.IntVar(&o.Subscribers, "subscribers", 50, "how many watch")
	f.BoolVar(&o.Sound, "sound", false, "the speakers talk, too")
	f.StringVar(&participants, "participants", "light", "what participants are made of, light or sdk")
	f.BoolVar(&o.OnePeerConnection, "one-pc", false, "participants of the SDK use one peer connection instead of two; light ones do anyway")
	o.Watching.flags(f, time.Minute)
	o.Cast.flags(f)
	out.flags(f)
	return cmd
}

// flags are those of every scenario that watches a server.
func (w *Watching) flags(f *pflag.FlagSet, duration time.Duration) {
	f.DurationVar(&w.Duration, "duration", duration, "how long they watch")
	f.IntVar(&w.PID, "pid", 0, "process `ID` of a server on this machine, to read its processor time and memory")
	f.StringVar(&w.MetricsURL, "metrics", "", "Prometheus page `URL` (default: /metrics of the server)")
	f.DurationVar(&w.After, "after", memoryAfter, "when to read the server's memory after the last has left")
}

// flags are those of every scenario with light participants.
func (c *Cast) flags(f *pflag.FlagSet) {
	f.BoolVar(&c.TwoPeerConnections, "two-pc", false, "light participants use two peer connections (/rtc) instead of one (/rtc/v1)")
	f.IntVar(&c.Samples, "samples", 10, "how many subscribers decrypt all, measure the delay and look into the payloads")
	f.StringVar(&c.Codec, "codec", "VP8", "of pictures: VP8, VP9 or H264")
	f.StringVar(&c.Packets, "packets", shapeChromium, "as recorded from chromium, the same made even, or of an encoded clip")
}

// output is where a report goes.
type output struct {
	json   string
	strict bool
}

func (w *output) flags(f *pflag.FlagSet) {
	f.StringVar(&w.json, "json", "", "write the report to `FILE` too")
	f.BoolVar(&w.strict, "strict", false, "fail on loss after repair, a freeze, or goroutines that stay")
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

// tell prints the report, writes it to the files that are named, and fails on its
// faults if it is to be strict.
func (w *output) tell(cmd *cobra.Command, report *Report) error {
	if err := report.WriteTable(cmd.OutOrStdout()); err != nil {
		return err
	}
	if w.json != "" {
		b, err := json.MarshalIndent(report, "", "  ")
		if err != nil {
			return err
		}
		if err := os.WriteFile(w.json, append(b, '\n'), 0o644); err != nil {
			return err
		}
	}
	if faults := report.Faults(); w.strict && len(faults) > 0 {
		return errors.New(faultString(faults))
	}
	return nil
}

// bound is when a run of so many participants is given up: every phase in its longest
// form.
func bound(participants int, duration time.Duration) time.Duration {
	return time.Minute + time.Duration(participants)*time.Second + duration + settleTimeout
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
