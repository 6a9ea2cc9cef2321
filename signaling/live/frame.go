package live

import (
	"bytes"
	"encoding/json"
	"slices"
	"time"

	"diemcau/signaling/meeting"
)

// Frame is one message to a watcher, JSON, in parts that follow each other. Parts are
// shared by those who are sent the same and may not be changed. Types:
//
//	snapshot  {"type","seq","at","state"}: the meeting as the viewer may see it
//	events    {"type","seq","at","events"}: what happened since, up to seq
//	progress  {"type","seq","vote","cast"}: how many ballots are cast; twice a second at most
type Frame [][]byte

// Bytes is the whole message.
func (f Frame) Bytes() []byte { return bytes.Join(f, nil) }

// Last tells whether no other frame follows: the meeting is no longer for the viewer.
func (f Frame) Last() bool { return len(f) == 1 && bytes.HasSuffix(f[0], []byte(`"state":null}`)) }

// views makes the snapshots of one state. What viewers of one standing see alike is
// copied and encoded once, for as long as the state is the same.
type views struct {
	seq    uint64
	shared map[string]*meeting.Shared // by standing
	used   bool                       // since the last rest
}

// sight is a copy of what a viewer sees, of which a frame is to be made.
type sight struct {
	seq    uint64
	at     time.Time
	shared *meeting.Shared
	own    *meeting.Own
	alone  *meeting.State // where shared is nil; nil too for who may not see the meeting
}

// of copies what a viewer sees of s. It is quick, for who waits for the loop meanwhile.
func (x *views) of(s *meeting.State, v meeting.Viewer) sight {
	g := sight{seq: s.Seq, at: s.At}
	x.used = true
	if x.shared == nil || x.seq != s.Seq {
		x.seq, x.shared = s.Seq, make(map[string]*meeting.Shared)
	}
	standing := meeting.Standing(s, v)
	if g.shared = x.shared[standing]; g.shared == nil {
		if g.shared = meeting.Share(s, v); g.shared == nil {
			g.alone = meeting.Snapshot(s, v)
			return g
		}
		x.shared[standing] = g.shared
	}
	g.own = g.shared.Own(s, v)
	return g
}

// rest forgets what nobody has asked for since the last time.
func (x *views) rest() {
	if !x.used {
		x.shared = nil
	}
	x.used = false
}

// frame may be called outside of the loop.
func (g sight) frame() Frame {
	if g.shared == nil {
		return snapshotFrame(g.alone, g.seq, g.at)
	}
	state, err := g.shared.JSON(g.own)
	if err != nil {
		panic("live: " + err.Error()) // as encode
	}
	head, tail, _ := bytes.Cut(snapshotFrame(nil, g.seq, g.at)[0], []byte("null"))
	return slices.Concat(Frame{head}, Frame(state), Frame{tail})
}

// snapshotFrame has a view as of event seq at at, nil for who may not see the meeting.
func snapshotFrame(view *meeting.State, seq uint64, at time.Time) Frame {
	return Frame{encode(struct {
		Type  string         `json:"type"`
		Seq   uint64         `json:"seq"`
		At    time.Time      `json:"at"`
		State *meeting.State `json:"state"`
	}{"snapshot", seq, at, view})}
}

// encode cannot fail for what this package sends: types without cycles or channels.
func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("live: " + err.Error())
	}
	return b
}
