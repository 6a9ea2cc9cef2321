// Command diemcau is a video-conference bridge: web client, signalling and SFU in
// one process. This file holds its commands and flags and wires the packages.
package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/livekit/protocol/livekit"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/spf13/cobra"

	"diemcau/client"
	"diemcau/configs"
	"diemcau/loadtest"
	"diemcau/sfu"
	"diemcau/sfu/turn"
	"diemcau/signaling"
	"diemcau/signaling/account"
	tokens "diemcau/signaling/auth"
	"diemcau/signaling/democa"
	"diemcau/signaling/office"
	"diemcau/signaling/rtc"
	"diemcau/signaling/webhook"
)

// version is set by the linker: -ldflags "-X main.version=…".
var version = ""

// shutdownTime bounds a graceful shutdown.
const shutdownTime = 5 * time.Second

// lastEventsTime is how long, of that, receivers of webhooks have to take what
// happened until the end.
const lastEventsTime = time.Second

// gcPercent is how much the heap may grow between two garbage collections, in per
// cent of what is in use, unless GOGC says otherwise. Between joins a server makes
// little garbage, so that a smaller heap costs it hardly any processor time.
const gcPercent = 25

func main() {
	root := &cobra.Command{
		Use:           "diemcau",
		Short:         "Video-conference bridge: web client, signalling and SFU in one process",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(
		serveCommand(),
		configs.Command(),
		tokens.Command(keys),
		versionCommand(),
		loadtest.Command(),
	)
	root.AddCommand(office.Commands(place)...)
	if err := root.Execute(); err != nil {
		fmt.Fprintln(os.Stderr, indent("diemcau: ", err.Error()))
		os.Exit(1)
	}
}

// indent puts prefix before the text; further lines of the text stand below on
// their own, as check-config gives them one per error.
func indent(prefix, text string) string {
	if strings.Contains(text, "\n") {
		return prefix + "\n" + text
	}
	return prefix + text
}

func serveCommand() *cobra.Command {
	var file string
	var demo bool
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the server until SIGINT or SIGTERM",
		Args:  cobra.NoArgs,
	}
	flags := cmd.Flags()
	flags.StringVar(&file, "config", "", "configuration `FILE` (YAML); see configs/reference.yaml")
	flags.BoolVar(&demo, "demo", false, "demonstration: loopback address and a public API key")
	keyOfFlag := map[string]string{"listen": "listen", "data": "data_dir", "tls-cert": "tls.cert", "tls-key": "tls.key"}
	flags.String("listen", "", "`HOST:PORT` of the web server (listen)")
	flags.String("data", "", "`DIRECTORY` of what is kept on disk (data_dir)")
	flags.String("tls-cert", "", "`FILE` with the server certificate, PEM (tls.cert)")
	flags.String("tls-key", "", "`FILE` with its private key, PEM (tls.key)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		var given []configs.Option
		for _, name := range slices.Sorted(maps.Keys(keyOfFlag)) {
			if f := flags.Lookup(name); f.Changed {
				given = append(given, configs.Flag("--"+name, keyOfFlag[name], f.Value.String()))
			}
		}
		cfg, err := configs.LoadFor(file, demo, given...)
		if err != nil {
			return err
		}
		ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		context.AfterFunc(ctx, stop) // a second signal ends the process at once
		if os.Getenv("GOGC") == "" {
			debug.SetGCPercent(gcPercent)
		}
		return boundedServe(ctx, cfg, cmd.OutOrStdout())
	}
	return cmd
}

// boundedServe runs serve, and gives up waiting for it shutdownTime after ctx ended.
func boundedServe(ctx context.Context, cfg *configs.Config, out io.Writer) error {
	done := make(chan error, 1)
	go func() { done <- serve(ctx, cfg, out) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-done:
		return err
	case <-time.After(shutdownTime):
		return fmt.Errorf("shutdown did not end within %v", shutdownTime)
	}
}

// serve wires the packages and serves until ctx ends.
func serve(ctx context.Context, cfg *configs.Config, out io.Writer) (err error) {
	log := cfg.Log.Logger(os.Stderr)
	for _, key := range cfg.Unused() {
		log.Warn("this version does not use the configured key", "key", key)
	}
	if err := os.MkdirAll(cfg.DataDir, 0o750); err != nil {
		return fmt.Errorf("data_dir: %w", err)
	}
	tlsConfig, ca, err := serverTLS(cfg)
	if err != nil {
		return err
	}
	if tlsConfig == nil && !cfg.Loopback() && !strings.HasPrefix(cfg.PublicURL, "https://") {
		log.Warn("serving plain HTTP beyond loopback: browsers give no camera or microphone unless a TLS proxy stands in front", "listen", cfg.Listen)
	}

	relay, err := turnConfig(cfg, tlsConfig)
	if err != nil {
		return err
	}
	metrics := prometheus.NewRegistry()
	metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	events, stopEvents, err := startWebhooks(cfg, log, metrics)
	if err != nil {
		return err
	}
	defer stopEvents(ctx)
	stopProfiler, err := signaling.StartProfiler(cfg.Debug.Listen, log)
	if err != nil {
		return err
	}
	defer stopProfiler()
	settings := nodeConfig(cfg)
	settings.TURN, settings.Log, settings.Metrics, settings.Events = relay, log.With("part", "sfu"), metrics, events
	node, err := sfu.NewNode(settings)
	if err != nil {
		return fmt.Errorf("media: %w", err)
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTime)
		defer cancel()
		err = errors.Join(err, node.Close(closing))
	}()

	meetings, err := openOffice(ctx, cfg, node, tlsConfig != nil, log, metrics)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, meetings.Close()) }()
	debug.FreeOSMemory() // starting takes far more of it than waiting for people

	server, err := signaling.New(serverOptions(cfg, node, meetings, tlsConfig, ca, log, metrics))
	if err != nil {
		return fmt.Errorf("signalling: %w", err)
	}
	if _, err := server.Bind(); err != nil {
		return err
	}
	if err := announce(out, cfg, tlsConfig != nil, ca); err != nil {
		return err
	}
	log.Info("serving", "listen", cfg.Listen, "tls", tlsConfig != nil, "udp_port", cfg.RTC.UDPPort, "tcp_port", cfg.RTC.TCPPort, "version", programVersion())
	return server.Serve(ctx)
}

// serverOptions are those of the web server.
func serverOptions(
	cfg *configs.Config, node *sfu.Node, meetings *office.Office, tlsConfig *tls.Config, ca *democa.Bundle, log *slog.Logger, metrics *prometheus.Registry,
) signaling.Options {
	options := signaling.Options{
		Listen:  cfg.Listen,
		TLS:     tlsConfig,
		Proxies: cfg.Proxies(),
		Keys:    cfg.Keys,
		Demo:    cfg.Demo,
		Bridge:  bridge{node, meetings},
		API:     meetings.API,
		Socket:  meetings.Socket(),
		Ready:   func() error { return meetings.Ready(context.Background()) },
		Rooms:   node,
		Client:  client.Handler(),
		Version: programVersion(),
		Log:     log.With("part", "signaling"),
		Metrics: metrics,
	}
	if cfg.Demo {
		options.DemoKey = configs.DemoKey
	}
	if ca != nil {
		options.CA = ca.CA
	}
	if node.TURN().Shares() {
		options.Share = node.TURN().Share
	}
	return options
}

// openOffice opens people and meetings.
func openOffice(ctx context.Context, cfg *configs.Config, node *sfu.Node, secure bool, log *slog.Logger, metrics prometheus.Registerer) (*office.Office, error) {
	signer, err := tokens.NewSigner(cfg.Keys)
	if err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	options := office.Options{
		DatabaseURL: cfg.DatabaseURL(), DataDir: cfg.DataDir, Demo: cfg.Demo,
		HTTPS: secure || strings.HasPrefix(cfg.PublicURL, "https://"),
		Mint:  signer, Media: office.Media(node), Log: log, Metrics: metrics,
	}
	if public := strings.TrimSuffix(cfg.PublicURL, "/"); public != "" {
		options.Origins = []string{public}
		if o := cfg.OIDC; o.Issuer != "" {
			options.OIDC, err = office.NewOIDC(public, o.RoleMap(), o.Unit, o.Administrators, account.OIDCOptions{
				Issuer: o.Issuer, ClientID: o.ClientID, ClientSecret: o.ClientSecret, UnitClaim: o.UnitClaim, RoleClaim: o.RoleClaim,
			})
			if err != nil {
				return nil, fmt.Errorf("oidc: %w", err)
			}
		}
	}
	return office.Open(ctx, options)
}

// nodeConfig is what the configuration says of the node.
func nodeConfig(cfg *configs.Config) sfu.Config {
	return sfu.Config{
		UDPPort:     cfg.RTC.UDPPort,
		TCPPort:     cfg.RTC.TCPPort,
		NodeIPs:     cfg.RTC.NodeIPs,
		UseLoopback: cfg.RTC.UseLoopback,
		PionEgress:  cfg.SFU.Egress == configs.EgressPion,
		Version:     programVersion(),
		Rooms: sfu.RoomOptions{
			CreateOnly:       !cfg.Room.AutoCreate,
			EmptyTimeout:     cfg.Room.EmptyTimeout,
			DepartureTimeout: cfg.Room.DepartureTimeout,
			MaxParticipants:  uint32(cfg.Room.MaxParticipants),
			RemoteUnmute:     cfg.Room.EnableRemoteUnmute,
			Loudest:          cfg.Room.Loudest,
		},
	}
}

// startWebhooks starts the sender of webhooks, if any are configured. It returns
// whom rooms are to tell of events, nil for nobody, and what ends it.
func startWebhooks(cfg *configs.Config, log *slog.Logger, metrics prometheus.Registerer) (events func(*livekit.WebhookEvent), stop func(context.Context), err error) {
	if len(cfg.Webhook.URLs) == 0 {
		return nil, func(context.Context) {}, nil
	}
	log = log.With("part", "webhook")
	notifier, err := webhook.New(webhook.Options{
		URLs: cfg.Webhook.URLs, APIKey: cfg.Webhook.APIKey, Secret: cfg.Keys[cfg.Webhook.APIKey], Log: log, Metrics: metrics,
	})
	if err != nil {
		return nil, nil, err
	}
	return notifier.Notify, func(ctx context.Context) {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastEventsTime)
		defer cancel()
		if err := notifier.Close(closing); err != nil {
			log.Warn("stopping", "error", err)
		}
	}, nil
}

// bridge lets signalling open sessions at the SFU node of the same process.
type bridge struct {
	node     *sfu.Node
	meetings *office.Office
}

func (b bridge) Open(ctx context.Context, start *livekit.StartSession) (rtc.Session, error) {
	if err := b.meetings.Admit(ctx, start); err != nil {
		return nil, err
	}
	session, err := b.node.Open(ctx, start)
	if err != nil {
		return nil, openError(err)
	}
	return session, nil
}

// Probe tells what Open would refuse.
func (b bridge) Probe(ctx context.Context, start *livekit.StartSession) error {
	if err := b.meetings.Admit(ctx, start); err != nil {
		return err
	}
	if err := b.node.Probe(start); err != nil {
		return openError(err)
	}
	return nil
}

// openError is what a client is told when its session does not open.
func openError(err error) error {
	switch {
	case errors.Is(err, sfu.ErrShuttingDown):
		return &rtc.OpenError{Status: http.StatusServiceUnavailable, Message: "server is shutting down"}
	case errors.Is(err, sfu.ErrBadSession):
		return &rtc.OpenError{Status: http.StatusBadRequest, Message: sfu.ErrBadSession.Error()}
	case errors.Is(err, sfu.ErrNoRoom):
		return &rtc.OpenError{Status: http.StatusNotFound, Message: sfu.ErrNoRoom.Error()}
	}
	return err
}

// serverTLS is the TLS of the web server, nil for plain HTTP: the configured
// certificate, or in a demonstration beyond loopback one of our own authority.
func serverTLS(cfg *configs.Config) (*tls.Config, *democa.Bundle, error) {
	switch {
	case cfg.TLS.Cert != "":
		cert, err := tls.LoadX509KeyPair(cfg.TLS.Cert, cfg.TLS.Key)
		if err != nil {
			return nil, nil, fmt.Errorf("tls: %w", err)
		}
		return &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{cert}}, nil, nil
	case cfg.Demo && !cfg.Loopback():
		ca, err := democa.Open(filepath.Join(cfg.DataDir, "ca"), cfg.Listen)
		if err != nil {
			return nil, nil, fmt.Errorf("demonstration certificates: %w", err)
		}
		return ca.TLS, ca, nil
	}
	return nil, nil, nil
}

// turnConfig is the TURN server's configuration: tlsConfig is that of the web
// server, whose port it may share.
func turnConfig(cfg *configs.Config, tlsConfig *tls.Config) (turn.Config, error) {
	t := cfg.TURN
	if !t.Enabled {
		return turn.Config{}, nil
	}
	c := turn.Config{
		Domain: t.Domain, UDPPort: t.UDPPort, TCPPort: t.TCPPort, TLSPort: t.TLSPort,
		ExternalTLS: t.ExternalTLS, PublicTLSPort: t.PublicTLSPort, Web: tlsConfig,
	}
	if t.ShareHTTPS && tlsConfig != nil {
		c.WebPort = cfg.ListenPort()
	}
	if t.TLSCert != "" {
		cert, err := tls.LoadX509KeyPair(t.TLSCert, t.TLSKey)
		if err != nil {
			return c, fmt.Errorf("turn.tls_cert: %w", err)
		}
		c.Certificate = &cert
	}
	return c, nil
}

// announce prints where a demonstration is found and how to join it.
func announce(out io.Writer, cfg *configs.Config, secure bool, ca *democa.Bundle) error {
	if !cfg.Demo {
		return nil
	}
	accounts := make([]string, 0, 8)
	for _, a := range office.DemoAccounts() {
		accounts = append(accounts, a.Login+" ("+a.En+")")
	}
	return democa.Announce(out, democa.Announcement{
		Version: programVersion(), Program: os.Args[0], Listen: cfg.Listen, Secure: secure, Loopback: cfg.Loopback(), CA: ca,
		Room: configs.DemoRoom, Key: configs.DemoKey, Secret: configs.DemoSecret,
		Meeting: office.DemoMeeting, Accounts: accounts, Password: office.DemoPassword,
	})
}

// keys are the API keys of a configuration, and their secrets.
func keys(file string, demo bool) (map[string]string, error) {
	cfg, err := configs.LoadFor(file, demo)
	if err != nil {
		return nil, err
	}
	return cfg.Keys, nil
}

// place is where a configuration keeps meetings.
func place(file, dataDir string, demo bool) (office.Place, error) {
	var given []configs.Option
	if dataDir != "" {
		given = append(given, configs.Flag("--data", "data_dir", dataDir))
	}
	cfg, err := configs.LoadFor(file, demo, given...)
	if err != nil {
		return office.Place{}, err
	}
	return office.Place{DatabaseURL: cfg.DatabaseURL(), DataDir: cfg.DataDir}, nil
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "diemcau %s (%s, %s/%s)\n", programVersion(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}

// programVersion is the linker's version, or that of the module if it was built
// by go install or go build alone.
func programVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}
