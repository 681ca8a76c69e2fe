package netlog

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/heyan-project/heyan/store/netlog/disk"
	"github.com/heyan-project/heyan/store/netlog/wal"
)

// BenchmarkAhead measures the median flush of 1 KiB writes at the end of a file, in turn within one run: as it is ("bare"),
// in a file whose room was taken ahead ("taken"), in one that is filled with zeros ahead ("paved"), and both. The last is
// what the log does with a reserve. Metrics are microseconds.
func BenchmarkAhead(b *testing.B) {
	const writes, size = 200, 1 << 10
	type way struct {
		name        string
		taken, pave bool
	}
	ways := []way{{"bare", false, false}, {"taken", true, false}, {"paved", false, true}, {"both", true, true}}
	all := make([][]time.Duration, len(ways))
	for round := 0; b.Loop(); round++ {
		for i, w := range ways {
			f, err := disk.OS().OpenFile(filepath.Join(b.TempDir(), fmt.Sprint(w.name, round)), true)
			if err != nil {
				b.Fatal(err)
			}
			if w.taken {
				if _, err := disk.Allocate(f, 64<<20); err != nil {
					b.Fatal(err)
				}
			}
			paved := int64(0)
			for n := range int64(writes) {
				out := make([]byte, size, size+wal.Pave)
				out[0] = 1
				if end := n*size + size; w.pave && end > paved {
					out = out[:size+wal.Pave]
					paved = end + wal.Pave
				}
				began := time.Now()
				if _, err := f.WriteAt(out, n*size); err != nil {
					b.Fatal(err)
				}
				if err := f.Sync(); err != nil {
					b.Fatal(err)
				}
				all[i] = append(all[i], time.Since(began))
			}
			if err := f.Close(); err != nil {
				b.Fatal(err)
			}
		}
	}
	for i, w := range ways {
		b.ReportMetric(float64(median(all[i]).Microseconds()), w.name+"-us")
	}
	b.ReportMetric(0, "ns/op")
}
