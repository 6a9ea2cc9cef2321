package sfu

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/livekit/protocol/livekit"
	"github.com/livekit/protocol/utils"
	"github.com/livekit/psrpc"
	"google.golang.org/protobuf/proto"

	"diemcau/sfu/transport"
)

// Bounds of calls from the server to a participant's client.
const (
	maxCalls    = 256 // under way in one room
	callAckTime = 7 * time.Second
	maxCallTime = 60 * time.Second
)

// rpcCall is a call of the server's to a participant, made over data packets. The
// room's loop owns it.
type rpcCall struct {
	p     *participant
	acked bool
	ack   chan struct{}  // closed when the client has got the request
	reply chan rpcResult // one place, for the only reply
}

type rpcResult struct {
	payload string
	err     error
}

// PerformRpc calls a method at a participant's client and returns its answer.
// Errors carry the code that LiveKit gives an RpcError.
func (n *Node) PerformRpc(ctx context.Context, req *livekit.PerformRpcRequest) (string, error) {
	timeout := time.Duration(req.ResponseTimeoutMs) * time.Millisecond
	if timeout == 0 {
		timeout = utils.DataChannelRpcDefaultResponseTimeout
	}
	timeout = min(timeout, maxCallTime)
	if len(req.Payload) > utils.DataChannelRpcMaxPayloadBytes {
		return "", rpcError(utils.DataChannelRpcRequestPayloadTooLarge)
	}
	room, err := n.find(req.Room)
	if err != nil {
		return "", err
	}
	id := uuid.NewString()
	call, err := ask(ctx, room, func() (*rpcCall, error) { return room.startCall(id, req, timeout) })
	if err != nil {
		return "", err
	}
	defer room.post(func() { delete(room.admin.calls, id) })
	deadline, acked := time.NewTimer(timeout), time.NewTimer(callAckTime)
	defer deadline.Stop()
	defer acked.Stop()
	ack := call.ack
	for {
		select {
		case r := <-call.reply:
			return r.payload, r.err
		case <-ack:
			ack = nil
			acked.Stop()
		case <-acked.C:
			return "", rpcError(utils.DataChannelRpcConnectionTimeout)
		case <-deadline.C:
			return "", rpcError(utils.DataChannelRpcResponseTimeout)
		case <-ctx.Done():
			return "", ctx.Err()
		case <-room.done:
			return "", rpcError(utils.DataChannelRpcRecipientDisconnected)
		}
	}
}

func rpcError(code utils.DataChannelRpcErrorCode) error {
	return utils.DataChannelRpcErrorFromBuiltInCodes(code, "").PsrpcError()
}

// startCall sends the request. The call's id stands for the caller's identity,
// so that the answer comes back to it and to nobody else.
func (r *Room) startCall(id string, req *livekit.PerformRpcRequest, timeout time.Duration) (*rpcCall, error) {
	p := r.participants[req.DestinationIdentity]
	switch {
	case p == nil:
		return nil, errNoParticipant
	case p.guest != nil:
		return nil, errForwarded
	case len(r.admin.calls) >= maxCalls:
		return nil, psrpc.NewErrorf(psrpc.ResourceExhausted, "too many calls under way in the room")
	}
	body, err := proto.Marshal(&livekit.DataPacket{
		Kind: livekit.DataPacket_RELIABLE, ParticipantIdentity: id,
		Value: &livekit.DataPacket_RpcRequest{RpcRequest: &livekit.RpcRequest{
			Id: id, Method: req.Method, Payload: req.Payload, ResponseTimeoutMs: uint32(timeout.Milliseconds()), Version: 1,
		}},
	})
	if err != nil {
		return nil, psrpc.NewError(psrpc.InvalidArgument, err)
	}
	p.sendData(transport.Reliable, body)
	if p.closed {
		return nil, rpcError(utils.DataChannelRpcSendFailed)
	}
	call := &rpcCall{p: p, ack: make(chan struct{}), reply: make(chan rpcResult, 1)}
	if r.admin.calls == nil {
		r.admin.calls = make(map[string]*rpcCall)
	}
	r.admin.calls[id] = call
	return call, nil
}

// answeredCall takes a data packet of p's that answers a call of the server's;
// false if it answers none.
func (r *Room) answeredCall(p *participant, pkt *livekit.DataPacket) bool {
	id := pkt.GetRpcAck().GetRequestId()
	if res := pkt.GetRpcResponse(); res != nil {
		id = res.RequestId
	}
	call := r.admin.calls[id]
	if call == nil || call.p != p {
		return false
	}
	res := pkt.GetRpcResponse()
	if res == nil {
		if !call.acked {
			call.acked = true
			close(call.ack)
		}
		return true
	}
	delete(r.admin.calls, id)
	result := rpcResult{payload: res.GetPayload()}
	if e := res.GetError(); e != nil {
		result.err = (&utils.DataChannelRpcError{
			Code: utils.DataChannelRpcErrorCode(e.Code), Message: e.Message, Data: e.Data,
		}).PsrpcError()
	}
	call.reply <- result
	return true
}

// dropCalls ends the calls to a participant that has left.
func (r *Room) dropCalls(p *participant) {
	for id, call := range r.admin.calls {
		if call.p == p {
			delete(r.admin.calls, id)
			call.reply <- rpcResult{err: rpcError(utils.DataChannelRpcRecipientDisconnected)}
		}
	}
}
