package journal

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"diemcau/signaling/store/storetest"
)

// BenchmarkAppend is a ballot each: n callers of one meeting.
func BenchmarkAppend(b *testing.B) {
	for name, url := range map[string]func(testing.TB) string{"sqlite": storetest.SQLite, "postgres": storetest.Postgres} {
		for _, callers := range []int{1, 100, 2000} {
			b.Run(fmt.Sprintf("%s/%d", name, callers), func(b *testing.B) {
				j, _ := startJournal(b, storetest.Open(b, url(b)), Options{})
				w := open(b, j, "m", "n")
				var next atomic.Int64
				var failed atomic.Pointer[error]
				var wg sync.WaitGroup
				b.ResetTimer()
				for range callers {
					wg.Go(func() {
						for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
							d := Draft{Command: fmt.Sprint("c", i), Author: fmt.Sprint("user:", i), Body: []byte(`{"type":"ballotCast","vote":"0198f0a2","choice":"agree"}`)}
							if _, err := w.Append(ctx, d); err != nil {
								failed.Store(&err)
							}
						}
					})
				}
				wg.Wait()
				b.StopTimer()
				require.Nil(b, failed.Load())
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "appends/s")
			})
		}
	}
}
