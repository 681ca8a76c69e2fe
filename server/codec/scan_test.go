package codec

import (
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
)

// BenchmarkScan is the look at the bytes alone.
func BenchmarkScan(b *testing.B) {
	data, err := proto.Marshal(&heyanv1.VerifyRequest{
		Product:   "id2",
		Fields:    &heyanv1.Fields{Name: proto.String("张三"), IdNumber: proto.String("11010519491231002X")},
		RequestId: "order-20261122-0001",
		Ground: &heyanv1.VerifyRequest_Consent_{Consent: &heyanv1.VerifyRequest_Consent{
			Notice: "onboarding-v3", ObtainTime: &timestamppb.Timestamp{Seconds: 1795334400}, EvidenceRef: "agr-8841",
		}},
		Purpose: heyanv1.Purpose_PURPOSE_ACCOUNT_OPENING,
	})
	if err != nil {
		b.Fatal(err)
	}
	s := compile((&heyanv1.VerifyRequest{}).ProtoReflect().Descriptor())
	b.ReportAllocs()
	for b.Loop() {
		if scan(s, data).reason != 0 {
			b.Fatal("refused")
		}
	}
}

// A clean message must not cost an allocation beyond what protobuf needs.
func TestScanAllocatesNothing(t *testing.T) {
	data, err := proto.Marshal(&heyanv1.BatchVerifyRequest{Requests: []*heyanv1.VerifyRequest{
		{Product: "id2", Fields: &heyanv1.Fields{Name: proto.String("张三")}}, {Purpose: heyanv1.Purpose_PURPOSE_CONTRACT},
	}})
	if err != nil {
		t.Fatal(err)
	}
	s := compile((&heyanv1.BatchVerifyRequest{}).ProtoReflect().Descriptor())
	if n := testing.AllocsPerRun(100, func() { scan(s, data) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
