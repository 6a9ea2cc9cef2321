package rtc

import (
	"time"

	"golang.org/x/time/rate"
)

// What a client may send: a token bucket that holds messageBurst and fills by
// messageRate a second. A message costs one token, and one more for each
// bytesPerToken in it, since parsing is what costs us; a malformed one costs
// malformedCost. WebSocket pings and pongs cost one each.
const (
	messageRate   = 100
	messageBurst  = 500
	bytesPerToken = 8 << 10
	malformedCost = 50
)

// budget limits one client. It belongs to the read loop.
type budget struct {
	bucket *rate.Limiter
}

func newBudget() *budget {
	return &budget{bucket: rate.NewLimiter(messageRate, messageBurst)}
}

// spend takes tokens; false means that the client is over its limit.
func (b *budget) spend(tokens int) bool {
	return b.bucket.AllowN(time.Now(), tokens)
}

func messageCost(size int) int { return 1 + size/bytesPerToken }
