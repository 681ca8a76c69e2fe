package segment

import (
	"encoding/binary"
	"errors"

	"github.com/klauspost/compress/zstd"
)

// A bundle is leaves one after the other, each after its length in two bytes, big-endian: C2SP tlog-tiles, "entry
// bundle".

var errBundle = errors.New("not an entry bundle of 256 records")

func appendEntry(bundle, leaf []byte) []byte {
	bundle = binary.BigEndian.AppendUint16(bundle, uint16(len(leaf)))
	return append(bundle, leaf...)
}

// splitBundle appends the leaves of a bundle to dst. They alias it.
func splitBundle(dst [][]byte, bundle []byte) ([][]byte, error) {
	for n := 0; n < FrameRecords; n++ {
		if len(bundle) < 2 {
			return dst, errBundle
		}
		size := int(binary.BigEndian.Uint16(bundle))
		if size == 0 || len(bundle)-2 < size {
			return dst, errBundle
		}
		dst, bundle = append(dst, bundle[2:2+size:2+size]), bundle[2+size:]
	}
	if len(bundle) > 0 {
		return dst, errBundle
	}
	return dst, nil
}

// maxBundle is the largest bundle: 256 records of 16 KiB.
const maxBundle = FrameRecords * (2 + 16<<10)

// newEncoder makes what compresses frames: one goroutine, no checksum, since a block has its own. What is left of a record
// is random (commitment, ids), so higher levels take longer and save nothing.
func newEncoder() (*zstd.Encoder, error) {
	return zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false),
		zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(1<<20))
}

func newDecoder() (*zstd.Decoder, error) {
	return zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxBundle), zstd.IgnoreChecksum(true))
}
