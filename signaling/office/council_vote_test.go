package office

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/stretchr/testify/require"

	"diemcau/signaling/ballot"
)

// voters are those who vote in the open vote: who came in time, the chair, and who was
// given a vote.
func (c *council) voters() []*member {
	return append(append([]*member{}, c.present...), c.chair, c.holder)
}

// decide is the second item: a named vote over the voters' own sockets.
func (c *council) decide() {
	t := c.t
	c.give(c.chair, "agenda.start", fields{"item": c.items[1]})
	c.clock.pass(25 * time.Minute)
	vote := c.votes["open"]
	c.mayNot(c.secretary, http.StatusUnprocessableEntity, "bad_value", "vote.open", fields{"vote": vote, "ballotKey": strings.Repeat("k", 392)})
	c.mayNot(c.present[0], http.StatusForbidden, "forbidden", "vote.open", fields{"vote": vote})
	opened := c.give(c.chair, "vote.open", fields{"vote": vote})
	voters := c.voters()
	require.Len(t, voters, 87)
	for _, m := range voters {
		whose := m.identity
		if m == c.holder {
			whose = c.users[delegateLogin].identity
		}
		if m.rank < inner {
			require.Equal(t, map[string]string{m.identity: whose}, c.entitled(m, opened))
		}
	}
	late := c.users[lateLogin]
	require.Empty(t, c.entitled(late, opened), "not here yet")
	for _, m := range []*member{late, c.secretary, c.operator, c.guest, c.points[0]} {
		c.mayNotTell(m, "not_entitled", "ballot.give", fields{"vote": vote, "choices": []string{"yes"}})
	}
	want := map[string][]string{}
	for i, m := range voters {
		choice := "yes"
		switch {
		case i == 84:
			continue // has not made up the mind
		case i%20 == 7:
			choice = "no"
		case i%29 == 11:
			choice = "other"
		}
		want[m.identity] = []string{choice}
		c.tells(m, "ballot.give", fields{"vote": vote, "choices": []string{choice}})
	}
	// One changes the mind, by POST. What is sent again, because its answer was late,
	// changes nothing a second time.
	c.give(voters[0], "ballot.give", fields{"vote": vote, "choices": []string{"no"}})
	first := c.giveAs(voters[0], "mot-lan", "ballot.give", fields{"vote": vote, "choices": []string{"yes"}})
	c.give(voters[0], "ballot.give", fields{"vote": vote, "choices": []string{"other"}})
	require.Equal(t, first, c.giveAs(voters[0], "mot-lan", "ballot.give", fields{"vote": vote, "choices": []string{"yes"}}))
	c.give(voters[0], "ballot.give", fields{"vote": vote, "choices": []string{"yes"}})
	c.mayNotTell(voters[1], "bad_choice", "ballot.give", fields{"vote": vote, "choices": []string{"maybe"}})
	c.mayNotTell(voters[1], "bad_choice", "ballot.give", fields{"vote": vote, "choices": []string{"yes", "no"}})
	c.mayNot(c.chair, http.StatusConflict, "vote_is_open", "meeting.pause", fields{})
	c.clock.pass(time.Minute)
	c.give(c.chair, "vote.close", fields{"vote": vote})
	c.mayNotTell(voters[84], "vote_closed", "ballot.give", fields{"vote": vote, "choices": []string{"no"}})
	require.Nil(t, c.state(voters[0]).Votes[vote].Result, "the result is not published yet")
	require.Equal(t, want, c.state(c.secretary).Votes[vote].Ballots)
	published := c.give(c.chair, "vote.publish", fields{"vote": vote})
	c.allSee("vote.published", published-1)
	r := c.state(voters[0]).Votes[vote]
	require.Equal(t, map[string]int{"yes": 79, "no": 4, "other": 3}, r.totals(t))
	require.Equal(t, []int{90, 46, 87, 86}, []int{r.Result.Base, r.Result.Needed, r.Result.Entitled, r.Result.Cast})
	require.True(t, r.Result.Passed)
	require.Equal(t, map[string][]string{voters[0].identity: {"yes"}}, r.Ballots, "the others' are not to be published")
	c.give(c.chair, "agenda.finish", fields{"item": c.items[1]})
}

// entitled is whose votes somebody was told that they may cast.
func (c *council) entitled(m *member, opened uint64) map[string]string {
	c.t.Helper()
	var b struct{ Voters map[string]string }
	require.NoError(c.t, json.Unmarshal(m.socket.at(opened).Body, &b))
	return b.Voters
}

// slip is a voter's secret ballot.
type slip struct {
	vote  ballot.Vote
	token ballot.Token
	sig   []byte
}

func (c *council) cast(s slip, revision int, choices ...string) []byte {
	c.t.Helper()
	raw, err := ballot.CastRequest{Vote: s.vote, Token: s.token, Signature: s.sig, Choices: choices, Revision: revision}.Marshal()
	require.NoError(c.t, err)
	return raw
}

// fetch gets somebody's ballot as the client does: it draws a token, has it signed
// blindly, and unblinds the signature. Asked again, the server signs the same.
func (c *council) fetch(m *member, v ballot.Vote, opened uint64) slip {
	t := c.t
	public := c.publicKey(m, opened)
	token, err := ballot.NewToken(nil)
	require.NoError(t, err)
	id, err := token.ID(v)
	require.NoError(t, err)
	c.secrets.keep(id.String(), nobody)
	blinding, err := public.Blind(nil, v, token)
	require.NoError(t, err)
	where, body := c.path("/votes/"+v.ID+"/ballot"), fields{"blinded": ballot.EncodeBlob(blinding.Message)}
	signature := m.expect(http.StatusOK, "", "POST", where, body).text(t, "signature")
	require.Equal(t, signature, m.expect(http.StatusOK, "", "POST", where, body).text(t, "signature"))
	raw, err := ballot.DecodeBlob(signature)
	require.NoError(t, err)
	sig, err := blinding.Finalize(raw)
	require.NoError(t, err)
	return slip{v, token, sig}
}

// publicKey is the key of a vote as somebody's own socket told it.
func (c *council) publicKey(m *member, opened uint64) *ballot.Public {
	c.t.Helper()
	var b struct{ BallotKey string }
	require.NoError(c.t, json.Unmarshal(m.socket.at(opened).Body, &b))
	der, err := base64.RawURLEncoding.DecodeString(b.BallotKey)
	require.NoError(c.t, err)
	public, err := ballot.ParsePublic(der)
	require.NoError(c.t, err)
	return public
}

// drop puts a ballot into the box: with no cookie, from nobody.
func (c *council) drop(body []byte) (status int, code string, size int, err error) {
	request, err := http.NewRequest("POST", "http://"+c.host+"/api/v1/ballots", bytes.NewReader(body))
	if err != nil {
		return 0, "", 0, err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := (&http.Client{Transport: c.web, Timeout: time.Minute}).Do(request)
	if err != nil {
		return 0, "", 0, err
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	var p struct{ Code string }
	_ = json.Unmarshal(raw, &p)
	if response.Header.Get("Set-Cookie") != "" {
		p.Code = "a cookie was set"
	}
	return response.StatusCode, p.Code, len(raw), err
}

// dropping is a ballot and how it must be answered.
type dropping struct {
	status int
	code   string
	body   []byte
}

// dropped are ballots that come at the same time: each waits for its batch.
func (c *council) dropped(all ...dropping) {
	c.t.Helper()
	var wait sync.WaitGroup
	for _, d := range all {
		wait.Add(1)
		go func() {
			defer wait.Done()
			if status, code, _, err := c.drop(d.body); err != nil || status != d.status || code != d.code {
				c.t.Errorf("%d %q %v where %d %q was due", status, code, err, d.status, d.code)
			}
		}()
	}
	wait.Wait()
}

// elect is the third item: a secret vote. In the middle of it the server is restarted.
func (c *council) elect() {
	t := c.t
	c.give(c.chair, "agenda.start", fields{"item": c.items[2]})
	c.clock.pass(5 * time.Minute)
	v := ballot.Vote{Meeting: c.id, ID: c.votes["secret"]}
	opened := c.give(c.chair, "vote.open", fields{"vote": v.ID})
	voters := append(c.voters(), c.users[lateLogin])
	var slips []slip
	for _, m := range voters {
		slips = append(slips, c.fetch(m, v, opened))
	}
	where := c.path("/votes/" + v.ID + "/ballot")
	blinding, err := c.publicKey(voters[5], opened).Blind(nil, v, slips[0].token)
	require.NoError(t, err)
	second := fields{"blinded": ballot.EncodeBlob(blinding.Message)}
	voters[5].expect(http.StatusConflict, "already_issued", "POST", where, second)
	for _, m := range []*member{c.secretary, c.guest, c.observer, c.points[0]} {
		m.expect(http.StatusForbidden, "not_entitled", "POST", where, second)
	}
	c.mayNotTell(voters[1], "vote_secret", "ballot.give", fields{"vote": v.ID, "choices": []string{"yes"}})
	c.mayNotTell(voters[1], "forbidden", "ballot.cast", fields{"vote": v.ID})
	c.restart()
	c.castAll(slips[:87]) // the 88th keeps the slip
	change := dropping{http.StatusOK, "", c.cast(slips[0], 3, "no")}
	c.dropped(change, change)
	forged, elsewhere := slips[2], slips[2]
	forged.token[0]++
	elsewhere.vote.ID = c.votes["open"]
	c.dropped(dropping{http.StatusConflict, "ballot_stale", c.cast(slips[0], 2, "yes")},
		dropping{http.StatusUnprocessableEntity, "bad_choice", c.cast(slips[1], 2, "maybe")},
		dropping{http.StatusForbidden, "ballot_invalid", c.cast(forged, 2, "yes")},
		dropping{http.StatusForbidden, "ballot_invalid", c.cast(elsewhere, 2, "yes")},
		dropping{http.StatusBadRequest, "bad_json", []byte("{}")})
	c.dropped(change, dropping{http.StatusForbidden, "ballot_invalid", c.cast(forged, 3, "no")})
	c.dropped(dropping{http.StatusConflict, "ballot_conflict", c.cast(slips[0], 3, "yes")})
	c.clock.pass(3 * time.Minute)
	c.mayNotTell(voters[0], "forbidden", "vote.close", fields{"vote": v.ID})
	c.give(c.chair, "vote.close", fields{"vote": v.ID})
	c.dropped(dropping{http.StatusConflict, "vote_closed", c.cast(slips[87], 1, "yes")})
	published := c.give(c.chair, "vote.publish", fields{"vote": v.ID})
	c.allSee("vote.published", published-1)
	c.secretResult(v.ID)
	c.give(c.chair, "agenda.finish", fields{"item": c.items[2]})
}

// castAll has ballots cast at the same time, and checks that no receipt tells itself
// apart.
func (c *council) castAll(slips []slip) {
	bodies := make([][]byte, len(slips))
	for i, s := range slips {
		choice := "yes"
		if i%10 == 3 {
			choice = "no"
		}
		bodies[i] = c.cast(s, 1, choice)
	}
	var all sync.WaitGroup
	sizes := make([]int, len(slips))
	for i, body := range bodies {
		all.Add(1)
		go func() {
			defer all.Done()
			status, code, size, err := c.drop(body)
			if sizes[i] = size; err != nil || status != http.StatusOK || code != "" {
				c.t.Errorf("%d %s %v", status, code, err)
			}
		}()
	}
	all.Wait()
	for _, size := range sizes {
		require.Equal(c.t, sizes[0], size)
	}
}

// secretResult checks the counts of the secret vote, and that nobody sees more.
func (c *council) secretResult(vote string) {
	t := c.t
	for _, m := range []*member{c.secretary, c.chair, c.operator, c.present[0], c.guest} {
		r := c.state(m).Votes[vote]
		require.Equal(t, map[string]int{"yes": 77, "no": 10}, r.totals(t))
		require.Equal(t, []int{90, 60, 88, 88, 87}, []int{r.Result.Base, r.Result.Needed, r.Result.Entitled, r.Result.Issued, r.Result.Cast})
		require.True(t, r.Result.Passed)
		require.Nil(t, r.Casts)
		require.Empty(t, r.Ballots)
	}
}
