// Package webhook tells other servers what happens in the rooms: it sends
// LiveKit's webhook events, signed as LiveKit signs them.
//
// A [Notifier] has a bounded queue for each URL, split into lanes by room: the
// events of one room arrive in their order, and a room whose event has to be
// sent again holds up only the rooms of its lane. An event that finds its lane
// full is dropped, and so is one that could not be delivered in time; both are
// counted.
package webhook
