package servertest_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/server/servertest"
)

// BenchmarkVerify is a whole Verify over TLS on loopback, client included, at 64 callers: what the parts add up to.
// deploy/bench compares it with a bare echo in one run.
func BenchmarkVerify(b *testing.B) {
	ctx := context.Background()
	s := servertest.Start(b, servertest.Options{})
	admin, access := heyanv1.NewAdminServiceClient(s.As(servertest.System)), heyanv1.NewAccessServiceClient(s.As(servertest.Security))
	check := func(err error) {
		b.Helper()
		if err != nil {
			b.Fatal(err)
		}
	}
	_, err := admin.CreateClient(ctx, &heyanv1.CreateClientRequest{Client: &heyanv1.Client{Id: "bench", DisplayName: "Bench", Establishment: "CN"}})
	check(err)
	key, err := admin.IssueCredential(ctx, &heyanv1.IssueCredentialRequest{Client: "bench", Kind: heyanv1.Credential_KIND_API_KEY, Label: "bench"})
	check(err)
	purposes := []heyanv1.Purpose{heyanv1.Purpose_PURPOSE_ACCOUNT_OPENING}
	_, err = access.SetEntitlement(ctx, &heyanv1.SetEntitlementRequest{Entitlement: &heyanv1.Entitlement{
		Client: "bench", Product: "id2", Purposes: purposes, HandlerRole: heyanv1.Entitlement_HANDLER_ROLE_HANDLER, ContractRef: "C-1",
		ExpireTime: timestamppb.New(s.Clock.Now().Add(1000 * time.Hour))}})
	check(err)
	name, id := "王小明", "11010519491231002X"
	stream, err := admin.ImportRecords(ctx)
	check(err)
	check(stream.Send(&heyanv1.ImportRecordsRequest{Part: &heyanv1.ImportRecordsRequest_Header{Header: &heyanv1.ImportHeader{
		Dataset: "people", AsOf: timestamppb.New(s.Clock.Now().Add(-time.Hour)), Description: "one person"}}}))
	check(stream.Send(&heyanv1.ImportRecordsRequest{Part: &heyanv1.ImportRecordsRequest_Rows{Rows: &heyanv1.ImportRows{
		FirstRow: 1, Rows: []*heyanv1.ImportRows_Row{{Fields: &heyanv1.Fields{Name: &name, IdNumber: &id}}}}}}))
	imported, err := stream.CloseAndRecv()
	check(err)
	_, err = access.ActivateDataset(ctx, &heyanv1.ActivateDatasetRequest{Dataset: "people", Generation: imported.GetGeneration()})
	check(err)
	conn := s.WithKey(key.GetApiKey())
	text := sha256.Sum256([]byte("notice"))
	_, err = heyanv1.NewConsentServiceClient(conn).CreateNotice(ctx, &heyanv1.CreateNoticeRequest{Notice: &heyanv1.Notice{
		Id: "n", TextSha256: text[:], Version: "1", LifetimeDays: 365, Purposes: purposes,
		Fields:           []heyanv1.Field{heyanv1.Field_FIELD_NAME, heyanv1.Field_FIELD_ID_NUMBER},
		SeparateConsents: []heyanv1.SeparateConsent{heyanv1.SeparateConsent_SEPARATE_CONSENT_PROVIDE_TO_HANDLER, heyanv1.SeparateConsent_SEPARATE_CONSENT_SENSITIVE_PI}}})
	check(err)
	client := heyanv1.NewVerificationServiceClient(conn)
	obtained := timestamppb.New(s.Clock.Now().Add(-time.Hour))
	var n atomic.Int64
	b.SetParallelism(32)
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			i := n.Add(1)
			answer, err := client.Verify(ctx, &heyanv1.VerifyRequest{
				Product: "id2", Fields: &heyanv1.Fields{Name: &name, IdNumber: &id}, RequestId: fmt.Sprintf("r-%d", i),
				Ground: &heyanv1.VerifyRequest_Consent_{Consent: &heyanv1.VerifyRequest_Consent{
					Notice: "n", ObtainTime: obtained, EvidenceRef: fmt.Sprintf("e-%d", i)}}})
			if err != nil || answer.GetVerification().GetVerdict() != heyanv1.Verdict_VERDICT_MATCH {
				b.Error(answer.GetVerification().GetVerdict(), err)
				return
			}
		}
	})
}
