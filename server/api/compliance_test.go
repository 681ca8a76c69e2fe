package api

import (
	"crypto/sha256"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/verifier/fault"
)

func (o *office) publish(change func(*heyanv1.Policy)) outcome[*heyanv1.Policy] {
	o.t.Helper()
	p := &heyanv1.Policy{
		Version: "2026-11", Title: "隐私政策", Text: "联系电话 13800138000", EffectiveTime: timestamppb.New(o.Now()), ChangeSummary: []string{"first"},
		Contact: "个人信息保护负责人 13800138000", Language: "zh-CN",
	}
	change(p)
	return does(o, "anna", "ComplianceService/PublishPolicy", record.PolicyPublished, o.compliance.PublishPolicy, &heyanv1.PublishPolicyRequest{Policy: p})
}

func TestPublishPolicy(t *testing.T) {
	tests := []struct {
		name   string
		change func(*heyanv1.Policy)
		want   wants
	}{
		{"nothing", func(p *heyanv1.Policy) { proto.Reset(p) }, refusal(fault.FieldMissing, "policy.version")},
		{"missing members", func(p *heyanv1.Policy) {
			p.Title, p.Text, p.Contact, p.Language, p.EffectiveTime, p.ChangeSummary = "", "", "", "", nil, nil
		},
			refusal(fault.FieldMissing, "policy.title", "policy.text", "policy.contact", "policy.language", "policy.effective_time", "policy.change_summary")},
		{"too long", func(p *heyanv1.Policy) { p.Text = strings.Repeat("长", 512<<10/3+1) }, refusal(fault.RequestMalformed, "policy.text UTF8_OF_524288_BYTES")},
		{"PII in the title", func(p *heyanv1.Policy) { p.Title = "13800138000" }, refusal(fault.FreeTextCarriesPII, "policy.title")},
		{"PII in the summary", func(p *heyanv1.Policy) { p.ChangeSummary = []string{"a", "13800138000"} }, refusal(fault.FreeTextCarriesPII, "policy.change_summary")},
		{"language", func(p *heyanv1.Policy) { p.Language = "zh_CN" }, refusal(fault.RequestMalformed, "policy.language BCP_47")},
		{"change 0", func(p *heyanv1.Policy) { p.MaterialChanges = []heyanv1.MaterialChange{0} }, refusal(fault.RequestMalformed, "policy.material_changes UNSPECIFIED")},
		{"backdated", func(p *heyanv1.Policy) { p.EffectiveTime = timestamppb.New(start.Add(-time.Hour)) }, refusal(fault.RequestMalformed, "policy.effective_time BEFORE_PUBLISH_TIME")},
		{"well", func(p *heyanv1.Policy) { p.EffectiveTime = timestamppb.New(start.Add(-time.Second)) }, wants{}},
		{"MV-8-publish", func(p *heyanv1.Policy) { p.Text = "another" }, refusal(fault.ResourceExists, "policy.version")},
		{"MV-8-material-5", func(p *heyanv1.Policy) { p.Version, p.Contact = "2026-12", "somebody else" }, refusal(fault.RequestMalformed, "policy.material_changes CONTACT")},
		{"the contact changes, and it says so", func(p *heyanv1.Policy) {
			p.Version, p.Contact, p.MaterialChanges = "2026-12", "somebody else", []heyanv1.MaterialChange{heyanv1.MaterialChange_MATERIAL_CHANGE_CONTACT}
		}, wants{}},
	}
	o := newOffice(t)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { ends(t, o.publish(test.change), test.want) })
	}
	first := o.Directory.Now().Policies["2026-11"].Value
	if first.TextSHA256 != sha256.Sum256([]byte(first.Text)) || first.Text != "联系电话 13800138000" || !first.PublishTime.Equal(start) || !first.EffectiveTime.Equal(start) {
		t.Errorf("on file: %+v", first)
	}
}

func TestPublishingTellsOfOddities(t *testing.T) {
	o := newOffice(t)
	p := accepted(t, o.publish(func(p *heyanv1.Policy) { p.EffectiveTime, p.ReducesRights = inYears(1), true }))
	if strings.Join(p.GetLint(), " ") != "EFFECTIVE_LONG_AFTER_PUBLISH REDUCES_RIGHTS_WITHOUT_RECONSENT" || p.GetInForce() || p.GetText() != "" {
		t.Errorf("published %v", p)
	}
}
