// A room of more points than a browser is given: whoever is called is seen and heard soon,
// as who it is, in few media sections. The figures of 215 points: npm run bench -- hall.
import assert from 'node:assert/strict';
import test from 'node:test';

import { callInTurn, limits } from '../bench/hall.mjs';
import { fixture } from '../lib/fixture.mjs';

const the = fixture();

for (const singlePeerConnection of [false, true]) {
  test(`40 points, ${singlePeerConnection ? 'one peer connection' : 'two peer connections'}`, { timeout: 120_000 }, async (t) => {
    await the.peers(['chromium'], async ({ tab }) => {
      const { picture, called, state } = await callInTurn({ tab, server: the.server, count: 40, calls: 5, singlePeerConnection });
      t.diagnostic(JSON.stringify({ picture, called, state }));
      assert.ok(picture <= limits.picture, `first picture after ${picture} ms`);
      assert.ok(state.sections <= limits.sections, `${state.sections} media sections`);
      assert.ok(state.pictures < 40 && state.sounds < 40, 'not everything is received');
      for (const { point, seen, heard, own } of called) {
        assert.ok(seen <= limits.seen, `point ${point} is seen after ${seen} ms`);
        assert.ok(heard <= limits.heard, `point ${point} is heard after ${heard} ms`);
        assert.ok(own <= limits.own, `what is heard is known to be point ${point} after ${own} ms`);
      }
    });
  });
}
