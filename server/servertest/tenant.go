package servertest

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
)

// Notice is the notice of a furnished client: it covers every field and has no age gate.
const Notice = "onboarding-v1"

// Dataset is the dataset that Publish makes.
const Dataset = "people"

// Client is a customer that may verify.
type Client struct {
	ID   string
	Key  string // its API key
	Conn *grpc.ClientConn

	s *Server
}

// Furnish registers a client over RPC, issues its first API key, sells it products and registers [Notice].
func (s *Server) Furnish(id string, products ...string) *Client {
	s.t.Helper()
	ctx := context.Background()
	system, security := s.As(System), s.As(Security)
	admin, access := heyanv1.NewAdminServiceClient(system), heyanv1.NewAccessServiceClient(security)
	_, err := admin.CreateClient(ctx, &heyanv1.CreateClientRequest{
		Client: &heyanv1.Client{Id: id, DisplayName: "Client " + id, Establishment: "CN"}})
	check(s.t, err)
	issued, err := admin.IssueCredential(ctx, &heyanv1.IssueCredentialRequest{Client: id, Kind: heyanv1.Credential_KIND_API_KEY, Label: "first key"})
	check(s.t, err)
	for _, product := range products {
		_, err := access.SetEntitlement(ctx, &heyanv1.SetEntitlementRequest{Entitlement: s.Entitlement(id, product)})
		check(s.t, err)
	}
	c := &Client{ID: id, Key: issued.GetApiKey(), Conn: s.WithKey(issued.GetApiKey()), s: s}
	_, err = heyanv1.NewConsentServiceClient(c.Conn).CreateNotice(ctx, &heyanv1.CreateNoticeRequest{Notice: NoticeOf(Notice)})
	check(s.t, err)
	check(s.t, system.Close())
	check(s.t, security.Close())
	return c
}

// Entitlement is one that nothing refuses, for account opening and a year, without a quota.
func (s *Server) Entitlement(client, product string) *heyanv1.Entitlement {
	return &heyanv1.Entitlement{
		Client: client, Product: product, Purposes: []heyanv1.Purpose{heyanv1.Purpose_PURPOSE_ACCOUNT_OPENING},
		HandlerRole: heyanv1.Entitlement_HANDLER_ROLE_HANDLER, ContractRef: "C-1", ExpireTime: timestamppb.New(s.Clock.Now().AddDate(1, 0, 0)),
	}
}

// NoticeOf is a notice that covers every field.
func NoticeOf(id string) *heyanv1.Notice {
	text := sha256.Sum256([]byte("invented notice " + id))
	return &heyanv1.Notice{
		Id: id, TextSha256: text[:], Version: "1", LifetimeDays: 365,
		Fields: []heyanv1.Field{heyanv1.Field_FIELD_NAME, heyanv1.Field_FIELD_ID_NUMBER, heyanv1.Field_FIELD_PHONE_NUMBER,
			heyanv1.Field_FIELD_BANK_CARD_NUMBER, heyanv1.Field_FIELD_LICENSE_PLATE_NUMBER, heyanv1.Field_FIELD_DRIVER_LICENSE_NUMBER},
		Purposes: []heyanv1.Purpose{heyanv1.Purpose_PURPOSE_ACCOUNT_OPENING},
		SeparateConsents: []heyanv1.SeparateConsent{heyanv1.SeparateConsent_SEPARATE_CONSENT_PROVIDE_TO_HANDLER,
			heyanv1.SeparateConsent_SEPARATE_CONSENT_SENSITIVE_PI},
	}
}

// Person returns an invented person, another one for each n below 1000: an adult with a name, an ID number and
// a phone number.
func Person(n int) *heyanv1.Fields {
	given := []rune("伟芳娜敏静丽强磊军洋")
	name := string([]rune{'王', given[n/100%10], given[n/10%10], given[n%10]})
	if n/100%10 == 0 {
		name = string([]rune{'李', given[n/10%10], given[n%10]})
	}
	return &heyanv1.Fields{
		Name: &name, IdNumber: proto.String(identity(fmt.Sprintf("11010519491231%03d", n))), PhoneNumber: proto.String(fmt.Sprintf("13800138%03d", n)),
	}
}

// identity completes 17 digits by the check character of GB 11643-1999 (ISO 7064 MOD 11-2).
func identity(digits string) string {
	sum := 0
	for _, c := range digits {
		sum = (sum + int(c-'0')) * 2
	}
	return digits + string("10X98765432"[sum%11])
}

// Request is a request for id2 about Person(n) that nothing refuses. id is its request_id.
func (s *Server) Request(id string, n int) *heyanv1.VerifyRequest {
	person := Person(n)
	return &heyanv1.VerifyRequest{
		Product: "id2", Fields: &heyanv1.Fields{Name: person.Name, IdNumber: person.IdNumber}, RequestId: id,
		Ground: &heyanv1.VerifyRequest_Consent_{Consent: &heyanv1.VerifyRequest_Consent{
			Notice: Notice, ObtainTime: timestamppb.New(s.Clock.Now().Add(-time.Hour)), EvidenceRef: fmt.Sprintf("agr-%d", n)}},
	}
}

// ImportHeader begins an import of [Dataset].
func (s *Server) ImportHeader() *heyanv1.ImportRecordsRequest {
	return &heyanv1.ImportRecordsRequest{Part: &heyanv1.ImportRecordsRequest_Header{Header: &heyanv1.ImportHeader{
		Dataset: Dataset, AsOf: timestamppb.New(s.Clock.Now().AddDate(0, -1, 0)), Description: "invented people"}}}
}

// ImportRows is the persons from first to last as one message of an import.
func ImportRows(first, last int) *heyanv1.ImportRecordsRequest {
	rows := &heyanv1.ImportRows{FirstRow: uint64(first) + 1}
	for n := first; n <= last; n++ {
		rows.Rows = append(rows.Rows, &heyanv1.ImportRows_Row{Fields: Person(n)})
	}
	return &heyanv1.ImportRecordsRequest{Part: &heyanv1.ImportRecordsRequest_Rows{Rows: rows}}
}

// Publish imports the persons 0 to last and has a second person activate them.
func (s *Server) Publish(last int) {
	s.t.Helper()
	ctx := context.Background()
	system, security := s.As(System), s.As(Security)
	stream, err := heyanv1.NewAdminServiceClient(system).ImportRecords(ctx)
	check(s.t, err)
	check(s.t, stream.Send(s.ImportHeader()))
	check(s.t, stream.Send(ImportRows(0, last)))
	imported, err := stream.CloseAndRecv()
	check(s.t, err)
	if imported.GetRejectedRows() > 0 {
		s.t.Fatalf("%d rows of the invented people were rejected: %v", imported.GetRejectedRows(), imported.GetRejects()[0].GetCause())
	}
	_, err = heyanv1.NewAccessServiceClient(security).ActivateDataset(ctx, &heyanv1.ActivateDatasetRequest{Dataset: Dataset, Generation: imported.GetGeneration()})
	check(s.t, err)
	check(s.t, system.Close())
	check(s.t, security.Close())
}
