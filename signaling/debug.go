package signaling

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"time"
)

// StartProfiler serves the Go profiler under /debug/pprof/ at an address that only
// this machine reaches, until stop is called, which waits for it. It does nothing for
// an empty address.
func StartProfiler(listen string, log *slog.Logger) (stop func(), err error) {
	if listen == "" {
		return func() {}, nil
	}
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return nil, fmt.Errorf("debug.listen: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			log.Warn("profiler ended", "err", err)
		}
	}()
	log.Info("profiler", "listen", l.Addr())
	return func() {
		_ = server.Close() // running profiles are of no use any more
		<-done
	}, nil
}
