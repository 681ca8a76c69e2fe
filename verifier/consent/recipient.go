package consent

import (
	"time"

	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/field"
	"github.com/heyan-project/heyan/verifier/product"
)

// RecipientBasis is on what ground values are passed. Numbers are those of heyan.v1.Recipient.Basis.
type RecipientBasis uint8

// The grounds. The zero RecipientBasis is invalid (ME-2-no-provide).
const (
	RecipientSeparateConsent RecipientBasis = iota + 1
	RecipientLaw
	RecipientSubjectInstruction
	RecipientEntrusted
	lastRecipientBasis
)

// Recipient is a party that values may be passed to (PIPL art. 23).
type Recipient struct {
	ID             string
	DisplayName    string
	Nature         string
	Use            string
	Contact        string
	Fields         field.Set
	Purposes       product.Purposes
	Basis          RecipientBasis
	ContractSHA256 []byte
	ContractExpire time.Time
	Region         string
	Endpoint       string
	PinsSHA256     [][]byte
	Enabled        bool
	PolicyVersion  string
	UpdateTime     time.Time
}

// regions is the closed list of mainland regions, by the names that the large clouds share. Hong Kong is in
// none of them: for PIPL ch. III it is abroad (MV-3.2-region).
var regions = map[string]bool{
	"cn": true, "cn-beijing": true, "cn-zhangjiakou": true, "cn-huhehaote": true, "cn-wulanchabu": true, "cn-hangzhou": true,
	"cn-shanghai": true, "cn-nanjing": true, "cn-fuzhou": true, "cn-shenzhen": true, "cn-heyuan": true, "cn-guangzhou": true,
	"cn-chengdu": true, "cn-qingdao": true, "cn-wuhan": true, "cn-guiyang": true, "cn-chongqing": true, "cn-xian": true, "cn-tianjin": true,
}

// ValidRegion reports whether s is a mainland region of the closed list.
func ValidRegion(s string) bool { return regions[s] }

// Check is what a recipient needs to be registered (FR-3.3-third-party, SO-1.3-entrust-contract).
func (r *Recipient) Check(now time.Time) *fault.Fault {
	missing := fault.New(fault.FieldMissing)
	for _, m := range []struct {
		name  string
		empty bool
	}{
		{"recipient.display_name", r.DisplayName == ""}, {"recipient.nature", r.Nature == ""}, {"recipient.use", r.Use == ""},
		{"recipient.contact", r.Contact == ""}, {"recipient.fields", r.Fields.Len() == 0},
		{"recipient.purposes", len(r.Purposes.List()) == 0}, {"recipient.basis", r.Basis == 0 || r.Basis >= lastRecipientBasis},
		{"recipient.region", r.Region == ""},
	} {
		if m.empty {
			missing.WithField(m.name, "")
		}
	}
	if len(missing.Violations) > 0 {
		return missing
	}
	if !ValidRegion(r.Region) {
		return fault.New(fault.RegionForbidden).WithField("recipient.region", "NOT_A_MAINLAND_REGION")
	}
	if r.Enabled && (len(r.ContractSHA256) != 32 || !now.Before(r.ContractExpire)) {
		return fault.New(fault.ContractMissing).WithField("recipient.contract_sha256", "NOT_IN_FORCE")
	}
	return nil
}
