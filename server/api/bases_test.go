package api

import (
	"testing"

	"google.golang.org/protobuf/types/known/timestamppb"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/verifier/fault"
)

func TestCreateLegalBasisRefuses(t *testing.T) {
	tests := []struct {
		name   string
		change func(*heyanv1.LegalBasis)
		want   wants
	}{
		{"MV-1.3-exempt-09", func(b *heyanv1.LegalBasis) { b.Kind = heyanv1.LegalBasis_KIND_SERVICE_SAFETY }, refusal(fault.LegalBasisUnsupported, "legal_basis.kind NEVER_A_CLIENTS")},
		{"no kind", func(b *heyanv1.LegalBasis) { b.Kind = 0 }, refusal(fault.FieldMissing, "legal_basis.kind")},
		{"no citation", func(b *heyanv1.LegalBasis) { b.Citation = "" }, refusal(fault.FieldMissing, "legal_basis.citation")},
		{"PII in the citation", func(b *heyanv1.LegalBasis) { b.Citation = "身份证 11010519491231002X" }, refusal(fault.FreeTextCarriesPII, "legal_basis.citation")},
		{"no cap", func(b *heyanv1.LegalBasis) { b.DailyCap = 0 }, refusal(fault.FieldMissing, "legal_basis.daily_cap")},
		{"ended", func(b *heyanv1.LegalBasis) { b.ExpireTime = timestamppb.New(start) }, refusal(fault.RequestMalformed, "legal_basis.expire_time NOT_IN_THE_FUTURE")},
		{"no purpose", func(b *heyanv1.LegalBasis) { b.Purposes = nil }, refusal(fault.FieldMissing, "legal_basis.purposes")},
		{"no product", func(b *heyanv1.LegalBasis) { b.Products = []string{"id9"} }, refusal(fault.ResourceNotFound, "legal_basis.products NOT_IN_THE_CATALOGUE")},
		{"nobody", func(b *heyanv1.LegalBasis) { b.Client = "nobody" }, refusal(fault.ResourceNotFound, "legal_basis.client")},
		{"short digest", func(b *heyanv1.LegalBasis) { b.DocumentSha256 = []byte{1} }, refusal(fault.RequestMalformed, "legal_basis.document_sha256 SHA256_OF_32_BYTES")},
		{"there already", func(b *heyanv1.LegalBasis) { b.Id = "aml-kyc" }, refusal(fault.ResourceExists, "legal_basis.id")},
	}
	o := newOffice(t)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			request := basisRequest("police", "")
			test.change(request.LegalBasis)
			ends(t, o.createBasis("bo", request), test.want)
		})
	}
}

// MV-1.3-exempt-02, -03, -04, -11 and -12 need two persons, the others one.
func TestWhichLegalBasesNeedTwoPersons(t *testing.T) {
	two := map[heyanv1.LegalBasis_Kind]bool{
		heyanv1.LegalBasis_KIND_NATIONAL_SECURITY: true, heyanv1.LegalBasis_KIND_PUBLIC_SAFETY_HEALTH: true,
		heyanv1.LegalBasis_KIND_CRIMINAL_JUSTICE: true, heyanv1.LegalBasis_KIND_ACADEMIC: true, heyanv1.LegalBasis_KIND_OTHER_LAW: true,
	}
	o := newOffice(t)
	for kind := heyanv1.LegalBasis_KIND_LEGAL_OBLIGATION; kind <= heyanv1.LegalBasis_KIND_OTHER_LAW; kind++ {
		if kind == heyanv1.LegalBasis_KIND_SERVICE_SAFETY {
			continue
		}
		t.Run(kind.String(), func(t *testing.T) {
			request := basisRequest("basis-"+number(int64(kind)), "")
			request.LegalBasis.Kind = kind
			end := o.createBasis("bo", request)
			if two[kind] {
				refusedFor(t, end.refused, fault.ApprovalRequired)
				return
			}
			if b := accepted(t, end); b.GetCreatedBy() != "bo" || b.GetApprovedBy() != "" {
				t.Errorf("registered %v", b)
			}
		})
	}
	list := accepted(t, does(o, "cai", "AccessService/ListLegalBases", record.LegalBasisListed, o.access.ListLegalBases, &heyanv1.ListLegalBasesRequest{}))
	if len(list.GetLegalBases()) != 7 { // six of one person, and the world's own
		t.Errorf("listed %d", len(list.GetLegalBases()))
	}
}
