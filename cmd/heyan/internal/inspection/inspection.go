// Package inspection is what an inspector is handed: the printable pages of a bundle and the list of its files.
//
// A bundle is a directory that `heyan log bundle` makes:
//
//   - index.zh-CN.html, index.en.html: the same facts in two languages, to be read or printed. [Page] writes them.
//   - jsonl/ and csv/: exports of package export, with manifest and proof.
//   - newest.checkpoint, and what was kept outside: outside-N.checkpoint, receipt-N.json.
//   - log.vkey: the log's verifier key. The fingerprint on the cover is the SHA-256 of this file.
//   - accounts.json, coverage.json: what the server answered, as the pages show it.
//   - verification.txt, verification.json: what verifying the export said where the bundle was made.
//   - README.txt: how to verify it. SHA256SUMS: the sum of every other file, in the form of sha256sum.
//
// # Guaranteed
//
//   - A page is one file: no script, nothing loaded from elsewhere. Whatever a name or a record holds is shown as text:
//     html/template escapes it, and characters that control a terminal or turn the direction of reading are replaced.
//   - A [Collector] holds a bounded number of rows whatever the size of the log, and of each client one count a day; the
//     page says how many there were. What is left out of a page is in the export.
//   - [CheckSums] tells a changed, a missing and an extra file.
//
// # Not guaranteed
//
//   - That the pages are right. They are a reading of the export and of the server's answers, made by the program; only
//     the export is proven. SHA256SUMS shows a mishap, not a forger: whoever can change a file can change the list.
//   - Anything about the law. References stand there as they are on file.
//
// Read next: collect.go for what is read from records, sections.go for what the pages show, words.go for both languages.
package inspection

import (
	"time"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
)

// Names of the files of a bundle.
const (
	JSONLDir         = "jsonl"
	CSVDir           = "csv"
	SumsFile         = "SHA256SUMS"
	KeyFile          = "log.vkey"
	ReadmeFile       = "README.txt"
	CheckpointFile   = "newest.checkpoint"
	AccountsFile     = "accounts.json"
	CoverageFile     = "coverage.json"
	VerificationText = "verification.txt"
	VerificationJSON = "verification.json"
)

// OutsideFile is the name of the nth checkpoint that was kept outside, ReceiptFile that of the nth receipt.
const (
	OutsideFile = "outside-%d.checkpoint"
	ReceiptFile = "receipt-%d.json"
)

// Facts is what the pages say.
type Facts struct {
	Made      time.Time
	Requester string
	Node      string
	Region    string
	Origin    string
	Program   string
	From, To  time.Time // asked for; zero: open

	Key         string // verifier key
	Fingerprint string // SHA-256 of [KeyFile], hexadecimal
	KeyCompared bool   // with one that was given
	Size        uint64 // of the signed tree
	Root        []byte
	FirstIndex  uint64 // of the range
	EndIndex    uint64

	Proof     Proof
	Accounts  Accounts
	Coverage  *heyanv1.LogCoverage
	Origins   []*heyanv1.Origin
	Gaps      []string
	Retention string
	Log       *Log
}

// Proof is what verifying the export said.
type Proof struct {
	Whole        bool
	Rows         uint64
	Members      bool
	Complete     bool // no record of the range is left out
	Anchored     int
	Given        int
	Findings     []string
	ServerWhole  bool // what the server said of its whole log
	ServerCount  uint64
	ServerReport []string
}

// Accounts is who may do what.
type Accounts struct {
	Operators    []*heyanv1.Operator
	Clients      []*heyanv1.Client
	Credentials  []*heyanv1.Credential
	Entitlements []*heyanv1.Entitlement
	Approvals    []*heyanv1.Approval
}

// China is the zone of the pages. The law's calendar has no other, and no daylight saving time.
var China = time.FixedZone("+08:00", 8*60*60)
