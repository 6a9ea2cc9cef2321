package loadtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// scenarioCommands are those that measure a server and make a report.
func scenarioCommands() []*cobra.Command {
	return []*cobra.Command{plenaryCommand(), bridgeCommand(), gridCommand(), audioCommand(), stormCommand(),
		churnCommand(), soakCommand(), costCommand()}
}

// scenario makes the command of a scenario with light participants: the flags that all
// have, and what happens to its report. size is how many take part at most, to know when
// to give up; 0: run knows itself.
func scenario(o *Options, w *Watching, c *Cast, use, short, long string, duration time.Duration, size func() int,
	run func(context.Context) (*Report, error)) *cobra.Command {
	var out output
	cmd := o.command(use, short, long, func(ctx context.Context, cmd *cobra.Command) error {
		if n := size(); n > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, bound(n, w.Duration))
			defer cancel()
		}
		report, err := run(ctx)
		o.line.end()
		if err != nil {
			return err
		}
		return out.tell(cmd, report)
	})
	w.flags(cmd.Flags(), duration)
	c.flags(cmd.Flags())
	out.flags(cmd.Flags())
	return cmd
}

func plenaryCommand() *cobra.Command {
	var (
		o            PlenaryOptions
		participants string
	)
	cmd := scenario(&o.Options, &o.Watching, &o.Cast, "plenary", "Some speakers in 720p simulcast, many who watch", `--speakers participants publish a simulcast picture (320×180, 640×360 and 1280×720)
in real time; --subscribers others watch them for --duration. They do not decode, but
account for every packet: lost after repair, late, pauses a viewer would see.
With --participants sdk all are made of the LiveKit server SDK, which costs several
times as much and measures no delay; one of them publishes an encoded clip.`,
		time.Minute, func() int { return o.Subscribers }, func(ctx context.Context) (*Report, error) {
			switch participants {
			case "light", "sdk":
				o.SDK = participants == "sdk"
			default:
				return nil, fmt.Errorf("--participants %q: want light or sdk", participants)
			}
			return Plenary(ctx, o)
		})
	f := cmd.Flags()
	f.IntVar(&o.Speakers, "speakers", 1, "how many publish, 1 to 4")
	f.IntVar(&o.Subscribers, "subscribers", 50, "how many watch")
	f.BoolVar(&o.Sound, "sound", false, "the speakers talk, too")
	f.StringVar(&participants, "participants", "light", "what participants are made of, light or sdk")
	f.BoolVar(&o.OnePeerConnection, "one-pc", false, "participants of the SDK use one peer connection instead of two; light ones do anyway")
	return cmd
}

func bridgeCommand() *cobra.Command {
	var o BridgeOptions
	cmd := scenario(&o.Options, &o.Watching, &o.Cast, "bridge", "Many points that all publish, and take the floor in turn",
		`--points participants publish a simulcast picture and sound, and are muted but for
the one who has the floor, which goes round. Each sees --videos pictures: the speaker,
a shared screen, and tiles in the smallest size. Measured is, too, how long after a
call all see the point that was called. Layers that nobody wants are not sent.`,
		time.Minute, func() int { return o.Points }, func(ctx context.Context) (*Report, error) { return Bridge(ctx, o) })
	f := cmd.Flags()
	f.IntVar(&o.Points, "points", 50, "how many there are")
	f.IntVar(&o.Videos, "videos", 5, "how many pictures each sees")
	f.DurationVar(&o.Turn, "turn", 5*time.Second, "how long one has the floor")
	f.IntVar(&o.Low, "low", 60_000, "bit/s of the smallest layer of a camera")
	f.IntVar(&o.Middle, "middle", 200_000, "bit/s of the middle layer")
	f.IntVar(&o.High, "high", 800_000, "bit/s of the largest layer")
	f.IntVar(&o.Share, "share", 400_000, "bit/s of the shared screen")
	return cmd
}

func gridCommand() *cobra.Command {
	var o GridOptions
	cmd := scenario(&o.Options, &o.Watching, &o.Cast, "grid", "Points that see many small pictures of each other",
		`--points participants publish a picture of two layers; each sees the smaller one of
--tiles others. Layers that nobody wants are not sent.`,
		time.Minute, func() int { return o.Points }, func(ctx context.Context) (*Report, error) { return Grid(ctx, o) })
	f := cmd.Flags()
	f.IntVar(&o.Points, "points", 49, "how many publish")
	f.IntVar(&o.Tiles, "tiles", 25, "how many pictures each sees")
	f.IntVar(&o.Low, "low", 120_000, "bit/s of the smaller layer of a camera")
	f.IntVar(&o.High, "high", 300_000, "bit/s of the larger layer")
	return cmd
}

func audioCommand() *cobra.Command {
	var o AudioOptions
	cmd := scenario(&o.Options, &o.Watching, &o.Cast, "audio", "Points that talk and listen",
		`--points participants publish sound and hear all others, as far as the server sends
them all. --talkers of them talk, the others are silent with DTX.`,
		time.Minute, func() int { return o.Points }, func(ctx context.Context) (*Report, error) { return Audio(ctx, o) })
	cmd.Flags().IntVar(&o.Points, "points", 20, "how many listen")
	cmd.Flags().IntVar(&o.Talkers, "talkers", 0, "how many of them talk (0: all)")
	return cmd
}

func stormCommand() *cobra.Command {
	var o StormOptions
	cmd := scenario(&o.Options, &o.Watching, &o.Cast, "join-storm", "Many points that join at the same time",
		`--points participants join within --within, to watch one speaker. Measured is how
long it takes each until media can flow, and until the first picture is whole; then
they watch for --duration.`,
		10*time.Second, func() int { return o.Points }, func(ctx context.Context) (*Report, error) { return JoinStorm(ctx, o) })
	cmd.Flags().IntVar(&o.Points, "points", 215, "how many join")
	cmd.Flags().DurationVar(&o.Within, "within", 5*time.Second, "over how long they come")
	return cmd
}

func (o *ChurnOptions) churnFlags(f *pflag.FlagSet) {
	f.IntVar(&o.Subscribers, "subscribers", 50, "how many stay and watch")
	f.IntVar(&o.Churners, "churners", 10, "how many come and go at the same time")
	f.DurationVar(&o.Stay, "stay", 4*time.Second, "how long one of them stays at most")
}

func churnCommand() *cobra.Command {
	var o ChurnOptions
	cmd := scenario(&o.Options, &o.Watching, &o.Cast, "churn", "A plenary in which some come and go, and the others must not notice",
		`--subscribers participants watch one speaker, and lose nothing and see no freeze
while --churners others join, stay, resume with another signal connection, and leave.`,
		time.Minute, func() int { return o.Subscribers + o.Churners }, func(ctx context.Context) (*Report, error) { return Churn(ctx, o) })
	o.churnFlags(cmd.Flags())
	return cmd
}

func soakCommand() *cobra.Command {
	var o ChurnOptions
	cmd := scenario(&o.Options, &o.Watching, &o.Cast, "soak", "A churn for a long time, with the trend of memory",
		`As churn, for longer, with the trend of the server's memory and goroutines behind the
first quarter of the time.`,
		time.Hour, func() int { return o.Subscribers + o.Churners }, func(ctx context.Context) (*Report, error) { return Soak(ctx, o) })
	o.churnFlags(cmd.Flags())
	return cmd
}

func costCommand() *cobra.Command {
	var o CostOptions
	cmd := scenario(&o.Options, &o.Watching, &o.Cast, "cost", "What plenaries of several sizes cost the server",
		`Plenaries of --sizes subscribers, one after the other on one server, for --duration
each. A straight line through the processor times tells what a subscriber costs, and
what is fixed.`,
		20*time.Second, func() int { return 0 }, func(ctx context.Context) (*Report, error) { return Cost(ctx, o) })
	f := cmd.Flags()
	f.IntSliceVar(&o.Sizes, "sizes", []int{20, 60, 120, 215, 400}, "how many watch in each")
	f.IntVar(&o.Speakers, "speakers", 1, "how many publish, 1 to 4")
	f.BoolVar(&o.Sound, "sound", false, "the speakers talk, too")
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
	json, html string
	strict     bool
}

func (w *output) flags(f *pflag.FlagSet) {
	f.StringVar(&w.json, "json", "", "write the report to `FILE` too")
	f.StringVar(&w.html, "html", "", "write the report as a page with plots to `FILE` too")
	f.BoolVar(&w.strict, "strict", false, "fail on loss after repair, a freeze, or goroutines that stay")
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
	if w.html != "" {
		f, err := os.Create(w.html)
		if err != nil {
			return err
		}
		if err := errors.Join(report.WriteHTML(f), f.Close()); err != nil {
			return err
		}
	}
	for _, doubt := range report.Doubts() {
		fmt.Fprintln(cmd.ErrOrStderr(), "to be doubted:", doubt)
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
