package rtc

import "github.com/prometheus/client_golang/prometheus"

// Why a session's socket was closed: labels of the closed metric.
const (
	closedByClient   = "client"
	closedByNode     = "node"
	closedByShutdown = "shutdown"
	closedDead       = "dead_peer"
	closedSlow       = "slow_reader"
	closedFlood      = "flood"
	closedOversize   = "oversize"
	closedOverrun    = "overrun"
)

type metrics struct {
	open     prometheus.Gauge
	opened   *prometheus.CounterVec
	closed   *prometheus.CounterVec
	refused  *prometheus.CounterVec
	messages *prometheus.CounterVec
	bytes    *prometheus.CounterVec
}

// newMetrics makes the package's metrics and registers them at reg unless that
// is nil.
func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "diemcau", Subsystem: "signal", Name: name, Help: help,
		}, labels)
	}
	m := &metrics{
		open: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: "diemcau", Subsystem: "signal", Name: "sessions",
			Help: "Signal sessions that are open now.",
		}),
		opened:   counter("sessions_opened_total", "Signal sessions opened.", "protocol", "kind"),
		closed:   counter("sessions_closed_total", "Signal sessions closed, by who or what ended them.", "reason"),
		refused:  counter("refusals_total", "Requests for a session refused before the upgrade.", "reason"),
		messages: counter("messages_total", "Signal messages.", "direction"),
		bytes:    counter("bytes_total", "Bytes of signal messages, without framing.", "direction"),
	}
	if reg == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.open, m.opened, m.closed, m.refused, m.messages, m.bytes} {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}
