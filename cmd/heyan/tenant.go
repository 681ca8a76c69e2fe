package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/heyan-project/heyan/cmd/heyan/internal/dial"
	"github.com/heyan-project/heyan/cmd/heyan/internal/profile"
	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
)

// The people of a development server, a demo and a test server.
const (
	devSystem   = "dev-system"
	devSecurity = "dev-security"
	devAudit    = "dev-audit"
)

// crew is connections of the people who run a server.
type crew struct {
	system, security, audit *dial.Connection
}

// openCrew connects as the three people whose certificates lie below home/certs.
func openCrew(home, address string) (*crew, error) {
	c := &crew{}
	for id, to := range map[string]**dial.Connection{devSystem: &c.system, devSecurity: &c.security, devAudit: &c.audit} {
		conn, err := dial.Open(profile.Layer{Profile: certificateProfile(home, address, id)}, buildVersion())
		if err != nil {
			return nil, err
		}
		*to = conn
	}
	return c, nil
}

func (c *crew) close() {
	for _, conn := range []*dial.Connection{c.system, c.security, c.audit} {
		if conn != nil {
			_ = conn.Close()
		}
	}
}

// tenant is a client to set up with everything that it needs to verify.
type tenant struct {
	id       string
	test     bool // test credentials: answers from the simulator
	priceFen int64
	detail   bool
	bases    []string
	quota    *int64
	products []string // empty = every product
}

// furnish registers the client, issues its first API key and sells it the products. It is done by two people,
// each doing what their role may.
func (t *tenant) furnish(ctx context.Context, c *crew) (apiKey string, err error) {
	admin, access := heyanv1.NewAdminServiceClient(c.system), heyanv1.NewAccessServiceClient(c.security)
	if _, err := admin.CreateClient(ctx, &heyanv1.CreateClientRequest{
		Client: &heyanv1.Client{Id: t.id, DisplayName: "Client " + t.id, Establishment: "CN"}}); err != nil {
		return "", err
	}
	// The first credential of a new client needs one person only.
	key, err := admin.IssueCredential(ctx, &heyanv1.IssueCredentialRequest{
		Client: t.id, Kind: heyanv1.Credential_KIND_API_KEY, Test: t.test, Label: "first key"})
	if err != nil {
		return "", err
	}
	products := t.products
	if len(products) == 0 {
		products = allProducts
	}
	for _, product := range products {
		e := &heyanv1.Entitlement{
			Client: t.id, Product: product, Purposes: []heyanv1.Purpose{heyanv1.Purpose_PURPOSE_ACCOUNT_OPENING}, Quota: t.quota,
			Detail: t.detail, LegalBases: t.bases, HandlerRole: heyanv1.Entitlement_HANDLER_ROLE_HANDLER, ContractRef: "C-" + t.id,
			ExpireTime: timestamppb.New(time.Now().AddDate(1, 0, 0)),
		}
		if t.quota != nil {
			e.QuotaPeriod = heyanv1.QuotaPeriod_QUOTA_PERIOD_DAY
		}
		if t.priceFen > 0 {
			e.PriceFen = &t.priceFen
		}
		if _, err := access.SetEntitlement(ctx, &heyanv1.SetEntitlementRequest{Entitlement: e}); err != nil {
			return "", err
		}
	}
	return key.GetApiKey(), nil
}

// allProducts are the ids of the built-in catalogue.
var allProducts = []string{"id2", "phone2", "phone3", "card2", "card3", "card4", "plate2", "plate3", "driver2", "driver3"}

// devNotice is the notice of a furnished client.
const devNotice = "onboarding-v1"

// fullNotice is a notice that covers every field.
func fullNotice(id string, ageGate bool) *heyanv1.CreateNoticeRequest {
	text := sha256.Sum256([]byte("invented notice " + id))
	return &heyanv1.CreateNoticeRequest{Notice: &heyanv1.Notice{
		Id: id, TextSha256: text[:], Version: "1", LifetimeDays: 365, AgeGate: ageGate,
		Fields: []heyanv1.Field{heyanv1.Field_FIELD_NAME, heyanv1.Field_FIELD_ID_NUMBER, heyanv1.Field_FIELD_PHONE_NUMBER,
			heyanv1.Field_FIELD_BANK_CARD_NUMBER, heyanv1.Field_FIELD_LICENSE_PLATE_NUMBER, heyanv1.Field_FIELD_DRIVER_LICENSE_NUMBER},
		Purposes:         []heyanv1.Purpose{heyanv1.Purpose_PURPOSE_ACCOUNT_OPENING},
		SeparateConsents: []heyanv1.SeparateConsent{heyanv1.SeparateConsent_SEPARATE_CONSENT_PROVIDE_TO_HANDLER, heyanv1.SeparateConsent_SEPARATE_CONSENT_SENSITIVE_PI},
	}}
}

// reasonAndFact reads the reason of a refusal and one fact of its metadata.
func reasonAndFact(err error, fact string) (reason, value string) {
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			return info.GetReason(), info.GetMetadata()[fact]
		}
	}
	return "", ""
}

// approve approves an act as a second person, as it was asked for.
func approve(ctx context.Context, as *dial.Connection, id string) error {
	compliance := heyanv1.NewComplianceServiceClient(as)
	waiting, err := compliance.ListApprovals(ctx, &heyanv1.ListApprovalsRequest{State: heyanv1.Approval_STATE_WAITING})
	if err != nil {
		return err
	}
	for _, w := range waiting.GetApprovals() {
		if w.GetId() == id {
			_, err := compliance.Approve(ctx, &heyanv1.ApproveRequest{Id: id, RequestSha256: w.GetRequestSha256()})
			return err
		}
	}
	return fmt.Errorf("approval %s does not wait", id)
}
