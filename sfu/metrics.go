package sfu

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	rooms, tracks, subscriptions, forwards prometheus.Gauge

	refused *prometheus.CounterVec
	data    *prometheus.CounterVec
}

// newMetrics registers them, and what the node counts.
func newMetrics(reg *prometheus.Registry, n *Node) *metrics {
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "diemcau", Subsystem: "sfu", Name: name, Help: help})
	}
	m := &metrics{
		rooms:         gauge("rooms", "Rooms open on this node."),
		tracks:        gauge("published_tracks", "Tracks published in all rooms."),
		subscriptions: gauge("subscriptions", "Tracks being sent to subscribers."),
		forwards:      gauge("forwards", "Participants forwarded into another room. There they and their tracks are not counted again."),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "diemcau", Subsystem: "sfu", Name: "refused_requests_total",
			Help: "Signal requests of clients that were refused, by kind.",
		}, []string{"request"}),
		data: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "diemcau", Subsystem: "sfu", Name: "refused_data_total",
			Help: "Data packets of participants that were not passed on, by reason.",
		}, []string{"reason"}),
	}
	if reg == nil {
		return m
	}
	counter := func(name, help string, count *atomic.Uint64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{
			Namespace: "diemcau", Subsystem: "sfu", Name: name, Help: help,
		}, func() float64 { return float64(count.Load()) })
	}
	reg.MustRegister(m.rooms, m.tracks, m.subscriptions, m.forwards, m.refused, m.data,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Namespace: "diemcau", Subsystem: "sfu", Name: "participants", Help: "Participants in all rooms.",
		}, func() float64 { return float64(n.crowd.Load()) }),
		counter("fanout_dropped_total", "Packets dropped because a fan-out worker was too far behind.", &n.fan.Dropped),
		counter("fanout_late_total", "Packets overwritten before a fan-out worker came to them.", &n.fan.Late),
		counter("egress_packets_total", "Media packets sealed and handed to a socket.", &n.sent.Packets),
		counter("egress_trains_total", "Entries of system calls that carried them: packets for one destination leave together.", &n.sent.Trains),
		counter("egress_dropped_total", "Media packets that could not be sent, each for one subscriber.", &n.sent.Dropped))
	return m
}
