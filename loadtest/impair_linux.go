package loadtest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"diemcau/loadtest/impair"
)

// impairCommands are the network laboratory, for tests of this project.
func impairCommands() []*cobra.Command {
	var (
		file  string
		check bool
	)
	cmd := &cobra.Command{
		Use:   "impair --spec FILE [-- COMMAND...]",
		Short: "Put a program behind a bad network",
		Long: `Makes a network namespace behind links that delay, lose and queue packets as the
specification FILE (YAML or JSON, - for standard input) says. Needs Linux, root and iproute2.

With COMMAND it is run there, and time runs from its start. It finds the machine's
address in IMPAIR_HOST (and IMPAIR_HOST6); its exit status becomes that of this program.

Without COMMAND the network stays until standard input ends. Commands are read there,
one a line: start (lets time run), stats. Standard output has one JSON object a line:
ready (with the namespace, for nsenter --net=PATH COMMAND), phase, stats, error.`,
		Hidden: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			spec, err := impair.ReadSpec(file)
			if err != nil || check {
				return err
			}
			if err := dieWithParent(); err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			if len(args) == 0 {
				return holdNetwork(ctx, spec, file != "-", cmd.InOrStdin(), cmd.OutOrStdout())
			}
			return runBehind(ctx, spec, args)
		},
	}
	cmd.Flags().StringVar(&file, "spec", "", "specification `FILE`")
	cmd.Flags().BoolVar(&check, "check", false, "only check the specification")
	if err := cmd.MarkFlagRequired("spec"); err != nil {
		panic(err) // the flag is defined above
	}
	return []*cobra.Command{cmd}
}

// dieWithParent makes the end of the program that started this one end this one too.
func dieWithParent() error {
	parent := os.Getppid()
	failed := make(chan error)
	go func() {
		runtime.LockOSThread() // the signal is asked for by a thread, which must stay
		failed <- unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(syscall.SIGTERM), 0, 0, 0)
		select {}
	}()
	if err := <-failed; err != nil {
		return fmt.Errorf("prctl: %w", err)
	}
	if os.Getppid() != parent {
		return errors.New("the program that started this one has ended")
	}
	return nil
}

// runBehind runs a program behind the network and ends with its exit status.
func runBehind(ctx context.Context, spec *impair.Spec, args []string) error {
	runtime.GOMAXPROCS(runtime.NumCPU() + 2*len(spec.Links)) // see impair.New
	lab, err := impair.New(spec, nil)
	if err != nil {
		return err
	}
	program := exec.Command(args[0], args[1:]...)
	program.Stdin, program.Stdout, program.Stderr = os.Stdin, os.Stdout, os.Stderr
	program.Env = os.Environ()
	for name, host := range map[string]fmt.Stringer{"IMPAIR_HOST": lab.Host4, "IMPAIR_HOST6": lab.Host6} {
		if host.String() != "invalid IP" {
			program.Env = append(program.Env, name+"="+host.String())
		}
	}
	err = errors.Join(lab.StartCommand(program), lab.Start())
	if program.Process != nil {
		stop := context.AfterFunc(ctx, func() { _ = program.Process.Signal(syscall.SIGTERM) }) // it may have ended already
		err = errors.Join(err, program.Wait())
		stop()
	}
	closing := lab.Close()
	var exit *exec.ExitError
	if errors.As(err, &exit) && closing == nil && exit.ExitCode() > 0 {
		os.Exit(exit.ExitCode())
	}
	return errors.Join(err, closing)
}

// reportLines writes one JSON object a line.
type reportLines struct {
	mu sync.Mutex
	w  io.Writer // guarded by mu
}

func (r *reportLines) write(fields map[string]any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	// Who reads this and is gone has closed standard input too, which ends the lab.
	_ = json.NewEncoder(r.w).Encode(fields)
}

// holdNetwork makes a network and does what in says, until that or ctx ends.
func holdNetwork(ctx context.Context, spec *impair.Spec, commands bool, in io.Reader, out io.Writer) error {
	reports := &reportLines{w: out}
	runtime.GOMAXPROCS(runtime.NumCPU() + 2*len(spec.Links)) // see impair.New
	lab, err := impair.New(spec, func(e impair.Event) {
		reports.write(map[string]any{
			"event": "phase", "link": e.Link, "phase": e.Phase, "index": e.Index,
			"at": float64(e.At.UnixNano()) / float64(time.Millisecond),
		})
	})
	if err != nil {
		return err
	}
	ready := map[string]any{"event": "ready", "namespace": lab.Path(), "network": lab.Network}
	if lab.Host4.IsValid() {
		ready["host4"] = lab.Host4.String()
	}
	if lab.Host6.IsValid() {
		ready["host6"] = lab.Host6.String()
	}
	reports.write(ready)
	if !commands { // the specification was all there is
		<-ctx.Done()
		return lab.Close()
	}
	ended := make(chan error, 1)
	go func() { // ends with standard input, at the latest with the process
		lines := bufio.NewScanner(in)
		for lines.Scan() {
			if err := obeyLine(lab, reports, lines.Text()); err != nil {
				reports.write(map[string]any{"event": "error", "message": err.Error()})
			}
		}
		ended <- lines.Err()
	}()
	select {
	case err = <-ended:
	case <-ctx.Done():
	}
	return errors.Join(err, lab.Close())
}

func obeyLine(lab *impair.Lab, reports *reportLines, line string) error {
	switch line {
	case "start":
		return lab.Start()
	case "stats":
		reports.write(map[string]any{"event": "stats", "links": lab.Stats()})
		return nil
	}
	return fmt.Errorf("no command %q: start or stats", line)
}
