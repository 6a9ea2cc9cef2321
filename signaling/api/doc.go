// Package api is the HTTP API at /api/v1: one huma API on a chi router, with the
// routes of the directory and of the audit log; other packages register theirs.
//
// The path of a request, behind account.Authenticate. The guard refuses who may
// not come in at all, before the body is read: see below. huma reads the body,
// of bounded size and time, and checks it against the type of the operation,
// refusing members it does not know. The handler loads what the request is about,
// asks the directory for the permission in the unit concerned, acts, and writes the
// audit record; only then is the answer sent. An error of any package
// becomes problem+json by package problem.
//
// # What a registered operation says about itself
//
// An operation is for whoever is signed in: a user, a room device, a guest. A user
// who must change the password first comes in only if Metadata has "mustChange":
// true. An operation with an empty and not nil Security is open to everybody. What
// kinds and permissions it needs beyond, and whether a guest who still waits in a
// lobby may have it, is the handler's to check; those here are for users only.
//
// # Versions
//
// What can be changed carries a version. A PUT names in its body the version it
// was made from, a DELETE in its query; a stale one is answered 409 "conflict" and
// changes nothing.
//
// # Who may see what of the directory
//
// Units and positions are seen by who holds directory.read in any unit: they are
// the names of public bodies. Points and users come with telephone numbers and are
// seen in the units in which one holds it; a list over all units needs it at the
// root. What is answered to who may not see a thing does not depend on whether
// the thing is there.
package api
