package uptrack

import (
	"slices"
	"time"

	"github.com/pion/rtcp"
)

// What of a stream was lost on the way here is asked for as soon as that shows, and again
// whenever an answer is overdue (NACK, RFC 4585 section 6.2.1).
const (
	maxMissing  = 256 // packets; of more, none is asked for: a key frame is cheaper
	mostAsked   = 10  // times, for the same packet
	askedFor    = time.Second
	firstAnswer = 50 * time.Millisecond // an answer is overdue before any was seen
	leastAnswer = 30 * time.Millisecond
	mostAnswer  = 300 * time.Millisecond
	answerSlack = 10 * time.Millisecond
)

// missing is what a stream lacks.
type missing struct {
	list []lost        // oldest first
	rtt  time.Duration // from asking to the answer, lately at least; 0: unknown
	ask  []uint16      // scratch
}

type lost struct {
	seq         uint16
	asked       int // times
	first, last time.Time
}

// gap notes that the packets between two were not there when the second came. It is
// false if they are too many.
func (m *missing) gap(from, to uint16) bool {
	n := int(to - from - 1)
	if n+len(m.list) > maxMissing {
		m.clear()
		return false
	}
	for seq := from + 1; seq != to; seq++ {
		m.list = append(m.list, lost{seq: seq})
	}
	return true
}

// came notes that a packet came after all.
func (m *missing) came(seq uint16, now time.Time) {
	l, ok := m.forget(seq)
	if !ok || l.asked == 0 {
		return
	}
	// It may answer any time it was asked for; the first, if no answer was lost.
	if took := now.Sub(l.first); m.rtt == 0 || took < m.rtt {
		m.rtt = took
	} else {
		m.rtt += (took - m.rtt) / 16
	}
}

// forget takes a packet off the list.
func (m *missing) forget(seq uint16) (l lost, ok bool) {
	i := slices.IndexFunc(m.list, func(l lost) bool { return l.seq == seq })
	if i < 0 {
		return lost{}, false
	}
	l = m.list[i]
	m.list = slices.Delete(m.list, i, i+1)
	return l, true
}

// due gives the packets that are to be asked for now. The list is valid until the next call.
func (m *missing) due(now time.Time) []uint16 {
	if len(m.list) == 0 {
		return nil
	}
	overdue := firstAnswer
	if m.rtt > 0 {
		overdue = min(max(m.rtt+answerSlack, leastAnswer), mostAnswer)
	}
	m.ask = m.ask[:0]
	m.list = slices.DeleteFunc(m.list, func(l lost) bool {
		return l.asked > 0 && (l.asked == mostAsked && now.Sub(l.last) >= overdue || now.Sub(l.first) > askedFor)
	})
	for i := range m.list {
		l := &m.list[i]
		switch {
		case l.asked == 0:
			l.first = now
		case l.asked == mostAsked || now.Sub(l.last) < overdue:
			continue
		}
		l.asked, l.last = l.asked+1, now
		m.ask = append(m.ask, l.seq)
	}
	return m.ask
}

func (m *missing) clear() { m.list = m.list[:0] }

// lack follows what is missing. prev is the packet before this one, if this is the newest.
func (l *Layer) lack(prev, seq uint16, now time.Time) {
	if ahead := int16(seq - prev); ahead <= 0 {
		l.missing.came(seq, now)
	} else if ahead > 1 && !l.missing.gap(prev, seq) && l.video {
		l.RequestKeyFrame()
	}
}

// askAgain asks for what is missing, unless nobody would get it.
func (l *Layer) askAgain(now time.Time) {
	if len(l.missing.list) == 0 {
		return
	}
	if l.idle.on.Load() {
		l.missing.clear()
		return
	}
	seqs := l.missing.due(now)
	if len(seqs) == 0 {
		return
	}
	if l.cfg.Repairs != nil && !l.repairs {
		l.repairs = l.cfg.Repairs()
	}
	if err := l.cfg.WriteRTCP([]rtcp.Packet{&rtcp.TransportLayerNack{
		SenderSSRC: l.cfg.SSRC, MediaSSRC: l.cfg.SSRC, Nacks: rtcp.NackPairsFromSequenceNumbers(seqs),
	}}); err != nil {
		l.cfg.Log.Debug("asking for lost packets", "ssrc", l.cfg.SSRC, "err", err)
	}
}
