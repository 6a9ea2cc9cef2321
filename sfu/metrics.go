package sfu

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"diemcau/sfu/fanout"
)

type metrics struct {
	rooms, tracks, subscriptions, forwards prometheus.Gauge

	refused *prometheus.CounterVec
	data    *prometheus.CounterVec
}

// newMetrics registers them. crowd counts the participants in all rooms.
func newMetrics(reg *prometheus.Registry, fan *fanout.Pool, crowd *atomic.Int64) *metrics {
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
	reg.MustRegister(m.rooms, m.tracks, m.subscriptions, m.forwards, m.refused, m.data,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Namespace: "diemcau", Subsystem: "sfu", Name: "participants", Help: "Participants in all rooms.",
		}, func() float64 { return float64(crowd.Load()) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Namespace: "diemcau", Subsystem: "sfu", Name: "fanout_dropped_total",
			Help: "Packets dropped because a fan-out worker was too far behind.",
		}, func() float64 { return float64(fan.Dropped.Load()) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Namespace: "diemcau", Subsystem: "sfu", Name: "fanout_late_total",
			Help: "Packets overwritten before a fan-out worker came to them.",
		}, func() float64 { return float64(fan.Late.Load()) }))
	return m
}
