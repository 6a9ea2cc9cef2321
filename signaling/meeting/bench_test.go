package meeting

import (
	"encoding/json"
	"fmt"
	"runtime"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// BenchmarkBallot decides and evolves one ballot among 2,000 voters.
func BenchmarkBallot(b *testing.B) {
	tb, v := crowd(b, 2000)
	ids := byAge(tb.s.Votes[v].Voters)
	slices.Sort(ids)
	body, err := json.Marshal(pick(v, "yes"))
	require.NoError(b, err)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		c := Command{ID: fmt.Sprintf("b%d", i), Type: "ballot.give", Actor: Actor{ID: ids[i%len(ids)]}, Body: body}
		evs, err := Decide(tb.s, c, tb.now)
		if err != nil {
			b.Fatal(err)
		}
		if err := Evolve(tb.s, evs[0], tb.now); err != nil {
			b.Fatal(err)
		}
		i++
	}
}

// BenchmarkVisible filters one ballot for one of 2,000 viewers.
func BenchmarkVisible(b *testing.B) {
	tb, v := crowd(b, 2000)
	e := Event{Type: "ballot.given", By: "user:x", Body: &BallotGiven{Vote: v, Voter: "user:x", Choices: []string{"yes"}}}
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := Visible(tb.s, e, Viewer{ID: "user:chair"}); !ok {
			b.Fatal("not seen")
		}
	}
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var ms runtime.MemStats
	runtime.ReadMemStats(&ms)
	return int64(ms.HeapAlloc)
}

// TestMemory holds the size of a meeting of 2,000 people who all voted and all
// fill their memory of command ids.
func TestMemory(t *testing.T) {
	base := heap()
	tb, v := crowd(t, 2000)
	for id := range tb.s.Votes[v].Voters {
		for i := range rememberedIDs {
			e := Event{Seq: tb.s.Seq + 1, Type: "ballot.given", By: id, Cmd: fmt.Sprintf("0199c0de-0000-7000-8000-%012d", i), Sum: fmt.Sprintf("%016d", i),
				Body: &BallotGiven{Vote: v, Voter: id, Choices: []string{"yes"}}}
			require.NoError(t, Evolve(tb.s, e, tb.now))
		}
	}
	tb.entries = nil
	per := (heap() - base) / 2000
	t.Logf("%d bytes a person, of which most are %d remembered command ids", per, rememberedIDs)
	require.Less(t, per, int64(8<<10))
	runtime.KeepAlive(tb)
}

// TestManyBallots: a ballot among many voters copies nothing of the others'. The
// memory it takes tells so on a busy machine too, where time does not.
func TestManyBallots(t *testing.T) {
	tb, v := crowd(t, 2000)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for id := range tb.s.Votes[v].Voters {
		evs, err := Decide(tb.s, tb.command(who4(id), "ballot.give", pick(v, "yes")), tb.now)
		require.NoError(t, err)
		for _, e := range evs {
			require.NoError(t, Evolve(tb.s, e, tb.now))
		}
	}
	runtime.ReadMemStats(&after)
	require.Less(t, (after.TotalAlloc-before.TotalAlloc)/2000, uint64(8<<10))
	evs, err := Decide(tb.s, tb.command(chair, "vote.close", m{"vote": v}), tb.now)
	require.NoError(t, err)
	require.NoError(t, Evolve(tb.s, evs[0], tb.now))
	require.Equal(t, 2000, tb.s.Votes[v].Result.Counts[0].Total)
}

// FuzzDecide: whatever the body, Decide answers with events that evolve, or a
// problem, and leaves the state alone.
func FuzzDecide(f *testing.F) {
	tb := running(f)
	tb.ok(chair, "speak.open", m{})
	tb.ok(an, "speak.request", m{})
	v := lastID(tb.ok(sec, "vote.draft", m{"title": "A"}))
	tb.ok(chair, "vote.open", m{"vote": v})
	before := dump(f, tb.s)
	types := CommandTypes()
	for i, c := range types {
		raw, err := json.Marshal(c.Body)
		require.NoError(f, err)
		f.Add(uint8(i), uint8(i%6), raw)
	}
	f.Add(uint8(0), uint8(0), []byte(`{"text":"\u202e"}`))
	f.Add(uint8(9), uint8(1), []byte(`{"vote":"`+v+`","choices":["yes"]}`))
	actors := []Actor{chair, sec, tech, an, room, office, {}, server}
	f.Fuzz(func(t *testing.T, typ, who uint8, body []byte) {
		c := Command{ID: "fuzz", Type: types[int(typ)%len(types)].Type, Actor: actors[int(who)%len(actors)], Body: body}
		evs, err := Decide(tb.s, c, tb.now)
		require.Equal(t, before, dump(t, tb.s))
		if err != nil {
			requireCode(t, codeOf(err), err)
			return
		}
		var s State
		require.NoError(t, json.Unmarshal([]byte(before), &s))
		for _, e := range evs {
			require.NoError(t, Evolve(&s, throughJSON(t, e), tb.now))
		}
	})
}
