package conference

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"diemcau/signaling/problem"
)

// metrics are what is counted; labels come from fixed lists only.
type metrics struct {
	commands *prometheus.CounterVec
	casts    *prometheus.CounterVec
	sockets  prometheus.Gauge
	closed   *prometheus.CounterVec
	permits  *prometheus.CounterVec
}

func newMetrics(to prometheus.Registerer) (*metrics, error) {
	counter := func(name, help, label string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{label})
	}
	m := &metrics{
		commands: counter("diemcau_meeting_commands_total", "Commands of clients, by result.", "result"),
		casts:    counter("diemcau_secret_ballots_total", "Secret ballots received, by result.", "result"),
		closed:   counter("diemcau_meeting_sockets_closed_total", "Sockets closed by the server, by reason.", "reason"),
		permits:  counter("diemcau_media_permits_total", "Grants set in the media, by result.", "result"),
		sockets:  prometheus.NewGauge(prometheus.GaugeOpts{Name: "diemcau_meeting_sockets", Help: "Open sockets."}),
	}
	if to == nil {
		return m, nil
	}
	var errs []error
	for _, c := range []prometheus.Collector{m.commands, m.casts, m.closed, m.permits, m.sockets} {
		errs = append(errs, to.Register(c))
	}
	return m, errors.Join(errs...)
}

// codeOf is the code of an error, or ok.
func codeOf(err error) string {
	if err == nil {
		return resultOK
	}
	return problem.Of(err, true).Code
}

const resultOK = "ok"
