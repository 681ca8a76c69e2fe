package inspection

import (
	"bytes"
	"flag"
	"html"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/store/netlog/record"
)

var update = flag.Bool("update", false, "write testdata anew")

// noon is a time in the afternoon of China.
var noon = time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// reading is a collector and the index of its next record.
type reading struct {
	*Collector
	next uint64
}

// add reads a record that is so many seconds after noon.
func (r *reading) add(t *testing.T, seconds int, rec record.Record) {
	t.Helper()
	rec.Time = noon.Add(time.Duration(seconds) * time.Second)
	if rec.Outcome.Kind == 0 {
		rec.Outcome.Kind = record.Success
	}
	leaf, err := record.Append(nil, &rec)
	must(t, err)
	must(t, r.Add(r.next, leaf))
	r.next++
}

func auditor() record.Actor {
	return record.Actor{Kind: record.ActorOperator, ID: "zhao-min", Role: "audit_admin", AuthMethod: "mtls"}
}

// small is the facts of a log of few records.
func small(t *testing.T) *Facts {
	t.Helper()
	r := &reading{Collector: NewCollector(10, 1)}
	from := record.Peer{IP: netip.MustParseAddr("203.0.113.7"), Port: 50123}
	r.add(t, 0, record.Record{Event: record.OriginBorn, Birth: &record.Birth{Origin: "node1-5f3a9c0d1e2f3a4b", Cause: "init"}})
	r.add(t, 1, record.Record{Event: record.ConfigLoaded, Change: &record.Change{Before: "sha256:aa", After: "sha256:bb", Diff: "rate\n<b>",
		Digests: []record.Digest{{Name: "binary", Value: "sha256:cc"}}}})
	r.add(t, 2, record.Record{Event: record.SessionOpened, Session: "s1", Actor: auditor(), Source: from})
	r.add(t, 3, record.Record{Event: record.LogExported, Actor: auditor(), Source: from, LogAccess: &record.LogAccess{To: 3, Count: 3, Filters: []string{"client"}}})
	r.add(t, 4, record.Record{Event: record.SessionClosed, Session: "s1", Actor: auditor(), Source: from})
	r.add(t, 5, record.Record{Event: record.AuthFailed, Source: from, Outcome: record.Outcome{Kind: record.Denied, Code: 16, Reason: "CREDENTIAL_INVALID"}})
	r.add(t, 6, record.Record{Event: record.RateLimited, Actor: record.Actor{Kind: record.ActorClient, ID: "acme"},
		Outcome: record.Outcome{Kind: record.Denied, Code: 8, Reason: "RATE_LIMITED"}, Security: &record.Security{Attack: "rate", Count: 9, Limit: 5, Window: time.Second}})
	r.add(t, 7, record.Record{Event: record.OperatorSet, Actor: record.Actor{Kind: record.ActorOperator, ID: "wang-fang", Role: "security_admin"},
		Object: record.Object{Type: "operator", ID: "inspector-7"}})
	beat := record.Record{Event: record.SystemHeartbeat, Clock: record.Clock{State: record.ClockSynchronised}, Status: &record.Status{Calls: 5, DiskFree: 1 << 30, DiskTotal: 2 << 30}}
	r.add(t, 60, beat)
	r.add(t, 400, beat)
	return &Facts{
		Made: noon.Add(time.Hour), Requester: "zhao-min", Node: "node1", Region: "cn-shanghai", Origin: "node1-5f3a9c0d1e2f3a4b", Program: "heyan v1",
		Key: "node1-5f3a9c0d1e2f3a4b+00000000+AAAA", Fingerprint: strings.Repeat("0123456789abcdef", 4), Size: 10, Root: bytes.Repeat([]byte{7}, 32), EndIndex: 10,
		Proof: Proof{Whole: true, Rows: 10, Members: true, Complete: true, ServerWhole: true, ServerCount: 10},
		Accounts: Accounts{
			Operators: []*heyanv1.Operator{{Id: "zhao-min", PersonId: "zhao-min", Roles: []heyanv1.Role{heyanv1.Role_ROLE_AUDIT_ADMIN},
				State: heyanv1.Operator_STATE_ACTIVE, ExpireTime: timestamppb.New(noon), ReadOnly: true}},
			Clients:     []*heyanv1.Client{{Id: "acme", DisplayName: "ACME", State: heyanv1.Client_STATE_SUSPENDED, Reason: "unpaid"}},
			Credentials: []*heyanv1.Credential{{Id: "0190", Client: "acme", Kind: heyanv1.Credential_KIND_API_KEY, State: heyanv1.Credential_STATE_ACTIVE}},
			Entitlements: []*heyanv1.Entitlement{{Client: "acme", Product: "id2", Purposes: []heyanv1.Purpose{heyanv1.Purpose_PURPOSE_ACCOUNT_OPENING},
				Quota: new(int64(1000)), QuotaPeriod: heyanv1.QuotaPeriod_QUOTA_PERIOD_MONTH, Revoked: true}},
			Approvals: []*heyanv1.Approval{{Method: "/heyan.v1.AccessService/SetOperator", Summary: []string{"operator inspector-7"}, RequestedBy: "wang-fang",
				State: heyanv1.Approval_STATE_WAITING}},
		},
		Coverage:  &heyanv1.LogCoverage{RequiredFrom: "2026-05-22", ShortfallDays: 2, MissingOrigins: []string{"node0-00"}},
		Origins:   []*heyanv1.Origin{{Id: "node1-5f3a9c0d1e2f3a4b", Node: "node1", Readable: true, Cause: "init"}},
		Retention: "six calendar months", Log: r.Done(),
	}
}

func pageOf(t *testing.T, f *Facts, l Lang) string {
	t.Helper()
	var out bytes.Buffer
	must(t, Page(&out, f, l))
	return out.String()
}

// TestPages compares the pages with those that lie in testdata. They are written anew by -update, and then to be looked at.
func TestPages(t *testing.T) {
	for _, l := range []Lang{Chinese, English} {
		got := pageOf(t, small(t), l)
		path := filepath.Join("testdata", PageFile(l))
		if *update {
			must(t, os.WriteFile(path, []byte(got), 0o644))
		}
		want, err := os.ReadFile(path)
		must(t, err)
		if got != string(want) {
			t.Errorf("%s is another page: run this test with -update, and look at the difference", path)
		}
	}
}

// TestPageLoadsNothing: a page is one file. What it links to is the other page and itself.
func TestPageLoadsNothing(t *testing.T) {
	page := pageOf(t, small(t), English)
	for _, never := range []string{"<script", "<img", "<link", "<iframe", "@import", "url(", "src=", "http://", "https://", "ZgotmplZ"} {
		if strings.Contains(page, never) {
			t.Errorf("the page has %q", never)
		}
	}
	for _, link := range regexp.MustCompile(`href="([^"]*)"`).FindAllStringSubmatch(page, -1) {
		if !strings.HasPrefix(link[1], "#") && link[1] != PageFile(Chinese) {
			t.Errorf("the page links to %q", link[1])
		}
	}
	for _, of := range []string{"@page", "size: A4", "@media print", "break-before: page", "counter(page)"} {
		if !strings.Contains(page, of) {
			t.Errorf("the page is not made to be printed: no %q", of)
		}
	}
}

// TestWhatIsShownIsText: no name gets out of its cell, whatever it holds.
func TestWhatIsShownIsText(t *testing.T) {
	const name = "<script>alert(1)</script>\" onclick=\x1b[31m\u202e=1+1"
	f := small(t)
	f.Accounts.Clients[0].DisplayName, f.Node, f.Origin, f.Region, f.Requester, f.Retention = name, name, name, name, name, name
	f.Gaps, f.Proof.Findings, f.Coverage.MissingOrigins = []string{name}, []string{name}, []string{name}
	f.Accounts.Approvals[0].Summary[0] = name + "</style>"
	f.Log.Config.Rows[0].Detail, f.Log.Samples[0].Cells[0].Value = name, name
	page := pageOf(t, f, Chinese)
	if n := strings.Count(page, "alert(1)"); n < 10 {
		t.Errorf("the name is shown %d times", n)
	}
	if strings.Contains(page, "<script") || strings.Contains(page, "onclick=\x1b") || strings.ContainsAny(page, "\x1b\u202e") {
		t.Error("the name is more than text")
	}
	if n := strings.Count(page, "</style>"); n != 1 {
		t.Errorf("the style ends %d times", n)
	}
}

// TestWords: every text has both languages, takes the same values in both, and is used.
func TestWords(t *testing.T) {
	var code strings.Builder
	files, err := filepath.Glob("*.go")
	must(t, err)
	for _, file := range files {
		if file != "words.go" && !strings.HasSuffix(file, "_test.go") {
			text, err := os.ReadFile(file)
			must(t, err)
			code.Write(text)
		}
	}
	verbs := regexp.MustCompile(`%[a-z]`)
	for key, both := range words {
		if both[0] == "" || both[1] == "" {
			t.Errorf("%s lacks a language", key)
		}
		if a, b := verbs.FindAllString(both[0], -1), verbs.FindAllString(both[1], -1); strings.Join(a, "") != strings.Join(b, "") {
			t.Errorf("%s: %v and %v", key, a, b)
		}
		if !strings.Contains(code.String(), `"`+strings.TrimPrefix(key, "h.")+`"`) && strings.ToUpper(key) != key {
			t.Errorf("%s is used nowhere", key)
		}
	}
	for c := record.CategoryAccess; c <= record.CategorySystem; c++ {
		Chinese.say(c.String()) // or it panics
	}
}

// TestVerdicts: the page says what is proven and what is not, in words.
func TestVerdicts(t *testing.T) {
	f := small(t)
	f.From = noon
	f.Proof = Proof{Members: true, Given: 3, Anchored: 2, Findings: []string{"TAMPERED: row 7"}, ServerReport: []string{"MISSING: wal-2"}}
	page := pageOf(t, f, English)
	for _, said := range []string{"The export is NOT whole", "Every row is proven", "It is NOT proven that nothing is left out", "The range was found by the server", "Of 3 pieces of outside evidence", "2 agree",
		"The server says of its log: NOT whole", "TAMPERED: row 7", "MISSING: wal-2", `class="verdict broken"`} {
		if !strings.Contains(page, said) {
			t.Errorf("the page does not say %q", said)
		}
	}
	page = html.UnescapeString(pageOf(t, small(t), English))
	for _, said := range []string{"The export is whole", "no record of the range is left out", "not anchored outside", `class="verdict whole"`,
		"0123 4567 89ab cdef", "What this bundle does not prove", "2026-11-22 17:00:00 +08:00 (2026-11-22T09:00:00Z)"} {
		if !strings.Contains(page, said) {
			t.Errorf("the page does not say %q", said)
		}
	}
}
