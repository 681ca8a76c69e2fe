package api

import (
	"crypto/sha256"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/server/authn"
	"github.com/heyan-project/heyan/store/directory"
	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/policy"
	"github.com/heyan-project/heyan/verifier/product"
	"github.com/heyan-project/heyan/verifier/role"
)

// publish puts a policy version on file that applies from a time.
func (w *world) publish(id string, effective time.Time) {
	w.t.Helper()
	_, err := w.Directory.PutPolicy(w.t.Context(), policy.Version{
		ID: id, Title: "隐私政策", Text: "text of " + id, TextSHA256: sha256.Sum256([]byte("text of " + id)), PublishTime: w.Now(),
		EffectiveTime: effective, ChangeSummary: []string{"first"}, MaterialChanges: []policy.MaterialChange{policy.Rights},
		Contact: "个人信息保护部", Language: "zh-CN", Lint: []string{policy.LintLongAfter}, RequiresReconsent: true}, 0)
	must(w.t, err)
	w.pass(time.Minute)
}

// MV-8-archive: every version stays readable, to anybody.
func TestPoliciesAreReadByStrangers(t *testing.T) {
	w := newWorld(t)
	catalog, stranger := NewCatalog(w.Deps), authn.Principal{}
	refusedFor(t, run(w, stranger, catalog.GetPolicy, &heyanv1.GetPolicyRequest{}).refused, fault.ResourceNotFound)
	w.publish("2026-01", start.AddDate(0, -2, 0))
	w.publish("2026-11", start.AddDate(0, -1, 0))
	w.publish("2027-01", start.AddDate(0, 2, 0))

	got := accepted(t, run(w, stranger, catalog.GetPolicy, &heyanv1.GetPolicyRequest{}))
	sum := sha256.Sum256([]byte("text of 2026-11"))
	if got.GetVersion() != "2026-11" || got.GetText() != "text of 2026-11" || string(got.GetTextSha256()) != string(sum[:]) || !got.GetInForce() ||
		got.GetMaterialChanges()[0] != heyanv1.MaterialChange_MATERIAL_CHANGE_RIGHTS || !got.GetRequiresReconsent() || got.GetContact() == "" ||
		got.GetLint()[0] != policy.LintLongAfter || got.GetLanguage() != "zh-CN" || len(got.GetChangeSummary()) != 1 ||
		!got.GetEffectiveTime().AsTime().Equal(start.AddDate(0, -1, 0)) {
		t.Errorf("got %v", got)
	}
	end := run(w, stranger, catalog.GetPolicy, &heyanv1.GetPolicyRequest{Version: "2026-01"})
	if got := accepted(t, end); got.GetVersion() != "2026-01" || got.GetInForce() || end.record.Object.ID != "2026-01" {
		t.Errorf("got %v, object %+v", got, end.record.Object)
	}
	end = run(w, stranger, catalog.GetPolicy, &heyanv1.GetPolicyRequest{Version: marked})
	refusedFor(t, end.refused, fault.ResourceNotFound)
	if end.record.Object.ID != "" {
		t.Errorf("object %+v", end.record.Object)
	}

	var listed []string
	request := &heyanv1.ListPoliciesRequest{PageSize: 2}
	for {
		page := accepted(t, run(w, stranger, catalog.ListPolicies, request))
		for _, p := range page.GetPolicies() {
			listed = append(listed, p.GetVersion())
			if p.GetText() != "" || len(p.GetTextSha256()) != 32 || p.GetInForce() != (p.GetVersion() == "2026-11") {
				t.Errorf("listed %v", p)
			}
		}
		if request.PageToken = page.GetNextPageToken(); request.PageToken == "" {
			break
		}
		w.publish("late-"+page.GetPolicies()[0].GetVersion(), start.AddDate(1, 0, 0)) // shifts no page
	}
	if strings.Join(listed, " ") != "2027-01 2026-11 2026-01" {
		t.Errorf("listed %v", listed)
	}
	refusedFor(t, run(w, stranger, catalog.ListPolicies, &heyanv1.ListPoliciesRequest{PageSize: 1001}).refused, fault.RequestMalformed, "page_size 1_TO_1000")
	refusedFor(t, run(w, stranger, catalog.ListPolicies, &heyanv1.ListPoliciesRequest{PageToken: "x"}).refused, fault.RequestMalformed, "page_token NOT_OF_THIS_LIST")
}

func TestAPolicyIsAcknowledgedOnce(t *testing.T) {
	w := newWorld(t)
	catalog, acme := NewCatalog(w.Deps), w.client("acme")
	w.publish("2026-11", start.AddDate(0, -1, 0))
	if a := accepted(t, run(w, acme, catalog.GetAccount, &heyanv1.GetAccountRequest{})); a.GetPolicyVersion() != "2026-11" || a.GetPolicyAcknowledged() {
		t.Errorf("before: %v", a)
	}
	acknowledge := func(version string) outcome[*heyanv1.AcknowledgePolicyResponse] {
		return run(w, acme, catalog.AcknowledgePolicy, &heyanv1.AcknowledgePolicyRequest{Version: version})
	}
	refusedFor(t, acknowledge("").refused, fault.FieldMissing, "version")
	refusedFor(t, acknowledge(marked).refused, fault.ResourceNotFound, "version NOT_ON_FILE")
	var twins sync.WaitGroup
	for range 4 {
		twins.Go(func() {
			if end := acknowledge("2026-11"); end.refused != nil || end.record.Object.ID != "2026-11" {
				t.Errorf("got %v, object %+v", end.refused, end.record.Object)
			}
		})
	}
	twins.Wait()
	ack := w.Directory.Now().Acks[directory.AckID("acme", "2026-11")]
	if ack == nil || ack.Revision != 1 || ack.Value.Client != "acme" {
		t.Fatalf("on file: %+v", ack)
	}
	if a := accepted(t, run(w, acme, catalog.GetAccount, &heyanv1.GetAccountRequest{})); !a.GetPolicyAcknowledged() {
		t.Errorf("after: %v", a)
	}
	if a := accepted(t, run(w, w.client("other"), catalog.GetAccount, &heyanv1.GetAccountRequest{})); a.GetPolicyAcknowledged() {
		t.Errorf("another client: %v", a)
	}
}

func TestProducts(t *testing.T) {
	w := newWorld(t)
	w.entitle(product.Entitlement{Client: "acme", Product: "phone2", Revision: 1, Revoked: true})
	catalog := NewCatalog(w.Deps)
	get := func(p authn.Principal, id string) outcome[*heyanv1.Product] {
		return run(w, p, catalog.GetProduct, &heyanv1.GetProductRequest{Id: id})
	}
	both := []heyanv1.SeparateConsent{heyanv1.SeparateConsent_SEPARATE_CONSENT_PROVIDE_TO_HANDLER, heyanv1.SeparateConsent_SEPARATE_CONSENT_SENSITIVE_PI}
	end := get(w.client("acme"), "id2")
	got := accepted(t, end)
	if got.GetId() != "id2" || got.GetTitle() != "身份证二要素" || !slices.Equal(got.GetFields(), []heyanv1.Field{1, 2}) ||
		got.GetAnchor() != heyanv1.Field_FIELD_ID_NUMBER || got.PriceFen == nil || got.GetPriceFen() != 50 || got.GetRecipients() != nil ||
		!slices.Equal(got.GetSeparateConsents(), both) || !got.GetEntitled() || !got.GetDetail() || len(got.GetReplaces()) != 2 {
		t.Errorf("got %v", got)
	}
	if end.record.Object.ID != "id2" {
		t.Errorf("object %+v", end.record.Object)
	}
	if got := accepted(t, get(w.client("acme"), "card2")); !slices.Equal(got.GetRecipients(), []string{"bank-network"}) || got.GetDetail() {
		t.Errorf("card2: %v", got)
	}
	for who, p := range map[string]authn.Principal{"an operator": operator(role.SystemAdmin), "who did not buy": w.client("acme")} {
		id := "id2"
		if p.Kind == authn.Client {
			id = "phone2" // revoked
		}
		if got := accepted(t, get(p, id)); got.GetEntitled() || got.PriceFen != nil || got.GetDetail() || len(got.GetSeparateConsents()) == 0 {
			t.Errorf("%s sees %v", who, got)
		}
	}
	refusedFor(t, get(w.client("acme"), "").refused, fault.FieldMissing, "id")
	refusedFor(t, get(w.client("acme"), marked).refused, fault.ResourceNotFound)

	list := accepted(t, run(w, w.client("acme"), catalog.ListProducts, &heyanv1.ListProductsRequest{})).GetProducts()
	var ids, entitled []string
	for _, p := range list {
		ids = append(ids, p.GetId())
		if p.GetEntitled() {
			entitled = append(entitled, p.GetId())
		}
	}
	if strings.Join(ids, " ") != "id2 phone2 phone3 card2 card3 card4 plate2 plate3 driver2 driver3" || strings.Join(entitled, " ") != "id2 card2" {
		t.Errorf("listed %v, entitled %v", ids, entitled)
	}
	w.pass(366 * 24 * time.Hour)
	if got := accepted(t, get(w.client("acme"), "id2")); got.GetEntitled() || got.PriceFen != nil {
		t.Errorf("after its end: %v", got)
	}
}

func TestAccountOfAClient(t *testing.T) {
	w := newWorld(t)
	catalog, acme := NewCatalog(w.Deps), w.client("acme")
	w.entitle(product.Entitlement{Client: "acme", Product: "card2", Revision: 1, Revoked: true})
	w.entitle(product.Entitlement{Client: "acme", Product: "phone2", Revision: 1, Quota: product.Unlimited})
	w.entitle(product.Entitlement{Client: "acme", Product: "id2", Detail: true, Revision: 1, Quota: product.Quota{Limit: 5, Period: product.Monthly}})
	made(w, acme, verifyRequest(1, "测试一致"))
	made(w, acme, verifyRequest(1, "测试一致")) // a replay takes nothing
	made(w, acme, verifyRequest(2, "测试未知")) // pending: held

	got := accepted(t, run(w, acme, catalog.GetAccount, &heyanv1.GetAccountRequest{}))
	if got.GetClient() != "acme" || got.GetDisplayName() != "ACME" || got.GetCredential() != acme.Credential || got.GetTest() ||
		!got.GetCredentialExpireTime().AsTime().Equal(acme.Expire) || strings.Join(got.GetNotices(), " ") != "onboarding-v3" ||
		!slices.Equal(got.GetRoles(), []heyanv1.Role{heyanv1.Role_ROLE_CLIENT}) || got.GetOperator() != "" || got.GetPersonId() != "" || len(got.GetLines()) != 2 {
		t.Fatalf("got %v", got)
	}
	id2, phone2 := got.GetLines()[0], got.GetLines()[1]
	if id2.GetProduct() != "id2" || id2.GetQuota() != 5 || id2.GetQuotaLeft() != 3 || id2.GetQuotaPeriod() != heyanv1.QuotaPeriod_QUOTA_PERIOD_MONTH ||
		!id2.GetDetail() || strings.Join(id2.GetLegalBases(), " ") != "aml-kyc" || id2.GetExpireTime() == nil ||
		!slices.Equal(id2.GetPurposes(), []heyanv1.Purpose{heyanv1.Purpose_PURPOSE_ACCOUNT_OPENING}) {
		t.Errorf("id2: %v", id2)
	}
	if phone2.GetProduct() != "phone2" || phone2.Quota != nil || phone2.QuotaLeft != nil {
		t.Errorf("phone2: %v", phone2)
	}
	w.entitle(product.Entitlement{Client: "acme", Product: "id2", Revision: 2, Quota: product.Quota{Limit: 1, Period: product.Monthly}})
	if left := accepted(t, run(w, acme, catalog.GetAccount, &heyanv1.GetAccountRequest{})).GetLines()[0].GetQuotaLeft(); left != 0 {
		t.Errorf("left of a lowered quota: %d", left)
	}
	sandbox := acme
	sandbox.Test = true
	test := accepted(t, run(w, sandbox, catalog.GetAccount, &heyanv1.GetAccountRequest{}))
	if !test.GetTest() || test.GetLines()[0].GetQuotaLeft() != product.TestQuotaDefault || test.GetLines()[0].GetQuotaPeriod() != heyanv1.QuotaPeriod_QUOTA_PERIOD_DAY {
		t.Errorf("a test credential: %v", test)
	}
}

func TestAccountOfAnOperatorShowsNoClient(t *testing.T) {
	w := newWorld(t)
	got := accepted(t, run(w, operator(role.AuditAdmin), NewCatalog(w.Deps).GetAccount, &heyanv1.GetAccountRequest{}))
	want := &heyanv1.Account{Operator: "op-audit-admin", PersonId: "person-1", Roles: []heyanv1.Role{heyanv1.Role_ROLE_AUDIT_ADMIN}}
	if !proto.Equal(got, want) {
		t.Errorf("got %v", got)
	}
}

func TestUsage(t *testing.T) {
	w := newWorld(t)
	catalog, acme := NewCatalog(w.Deps), w.client("acme")
	for i, name := range []string{"测试一致", "测试不一致", "测试无记录", "测试不可核", "测试已冻结", "测试未知", "测试一致"} {
		made(w, acme, verifyRequest(i, name))
	}
	made(w, acme, verifyRequest(0, "测试一致"))
	sandbox := acme
	sandbox.Test = true
	made(w, sandbox, verifyRequest(20, "测试一致"))
	made(w, w.client("other"), verifyRequest(0, "测试一致"))
	w.pass(17 * time.Hour) // the next day at +08:00
	made(w, acme, verifyRequest(30, "测试无记录"))

	get := func(p authn.Principal, m *heyanv1.GetUsageRequest) outcome[*heyanv1.GetUsageResponse] {
		return run(w, p, catalog.GetUsage, m)
	}
	rows := accepted(t, get(acme, &heyanv1.GetUsageRequest{})).GetRows()
	if len(rows) != 3 {
		t.Fatalf("got %v", rows)
	}
	want := &heyanv1.UsageRow{Date: "2026-11-22", Client: "acme", Product: "id2", Match: 2, Mismatch: 1, NoRecord: 1, NotVerifiable: 1,
		InstrumentBlocked: 1, Pending: 1, Billed: 3, AmountFen: 150, Replayed: 1}
	if !proto.Equal(rows[0], want) {
		t.Errorf("got  %v\nwant %v", rows[0], want)
	}
	if !rows[1].GetTest() || rows[1].GetMatch() != 1 || rows[1].GetBilled() != 0 || rows[1].GetAmountFen() != 0 {
		t.Errorf("of test credentials: %v", rows[1])
	}
	if rows[2].GetDate() != "2026-11-23" || rows[2].GetNoRecord() != 1 {
		t.Errorf("of the second day: %v", rows[2])
	}
	auditor := operator(role.AuditAdmin)
	for name, c := range map[string]struct {
		caller  authn.Principal
		request *heyanv1.GetUsageRequest
		want    int
		object  string
	}{
		"own by name":  {acme, &heyanv1.GetUsageRequest{Client: "acme"}, 3, ""},
		"first day":    {acme, &heyanv1.GetUsageRequest{StartDate: "2026-11-22", EndDate: "2026-11-22"}, 2, ""},
		"before":       {acme, &heyanv1.GetUsageRequest{StartDate: "2025-01-01", EndDate: "2025-12-31"}, 0, ""},
		"400 days":     {acme, &heyanv1.GetUsageRequest{StartDate: "2025-11-22", EndDate: "2026-12-26"}, 3, ""},
		"everybody's":  {auditor, &heyanv1.GetUsageRequest{}, 4, ""},
		"one client's": {auditor, &heyanv1.GetUsageRequest{Client: "other"}, 1, "other"},
		"from a day":   {acme, &heyanv1.GetUsageRequest{StartDate: "2026-11-23"}, 1, ""},
		"until a day":  {acme, &heyanv1.GetUsageRequest{EndDate: "2026-11-22"}, 2, ""},
	} {
		end := get(c.caller, c.request)
		if rows := accepted(t, end).GetRows(); len(rows) != c.want || end.record.Object.ID != c.object {
			t.Errorf("%s: %d rows, want %d; object %+v", name, len(rows), c.want, end.record.Object)
		}
	}
	refusedFor(t, get(acme, &heyanv1.GetUsageRequest{Client: "other"}).refused, fault.ResourceNotFound)
	refusedFor(t, get(auditor, &heyanv1.GetUsageRequest{Client: marked}).refused, fault.ResourceNotFound, "client NOT_ON_FILE")
	refusedFor(t, get(acme, &heyanv1.GetUsageRequest{StartDate: "22.11.2026"}).refused, fault.RequestMalformed, "start_date YYYY-MM-DD")
	refusedFor(t, get(acme, &heyanv1.GetUsageRequest{EndDate: "2026-02-30"}).refused, fault.RequestMalformed, "end_date YYYY-MM-DD")
	refusedFor(t, get(acme, &heyanv1.GetUsageRequest{StartDate: "2026-11-24"}).refused, fault.RequestMalformed, "end_date BEFORE_START_DATE")
	refusedFor(t, get(acme, &heyanv1.GetUsageRequest{StartDate: "2025-11-22", EndDate: "2026-12-27"}).refused, fault.RequestMalformed, "end_date MORE_THAN_400_DAYS")
}
