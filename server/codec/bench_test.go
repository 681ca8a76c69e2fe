package codec_test

import (
	"testing"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/server/codec"
)

// BenchmarkUnmarshal compares one VerifyRequest decoded by protobuf alone, by this codec, and by protobuf
// followed by a walk by reflection that looks for the same.
func BenchmarkUnmarshal(b *testing.B) {
	data := marshal(b, verifyRequest())
	b.Run("protobuf", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var m heyanv1.VerifyRequest
			if err := proto.Unmarshal(data, &m); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("codec", func(b *testing.B) {
		b.ReportAllocs()
		c := codec.New(codec.DefaultLimits())
		buffer := mem.BufferSlice{mem.SliceBuffer(data)}
		for b.Loop() {
			var m heyanv1.VerifyRequest
			if err := c.Unmarshal(buffer, &m); err != nil || codec.Finding(&m) != nil {
				b.Fatal("refused")
			}
		}
	})
	b.Run("reflection", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var m heyanv1.VerifyRequest
			if err := proto.Unmarshal(data, &m); err != nil || !known(m.ProtoReflect()) {
				b.Fatal("refused")
			}
		}
	})
	b.Run("refused", func(b *testing.B) {
		b.ReportAllocs()
		c := codec.New(codec.DefaultLimits())
		buffer := mem.BufferSlice{mem.SliceBuffer(join(data, field(2, field(7)...)))}
		for b.Loop() {
			var m heyanv1.VerifyRequest
			if err := c.Unmarshal(buffer, &m); err != nil || codec.Finding(&m) == nil {
				b.Fatal("taken")
			}
		}
	})
}
