package record

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"net/netip"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
)

var moment = time.Date(2026, 3, 31, 16, 0, 0, 123456789, time.UTC)

// small is the least that is a record.
func small() Record {
	return Record{Time: moment, Event: SystemStarted, Category: CategorySystem, Severity: Notice, Outcome: Outcome{Kind: Success}}
}

// verify is a record as an ordinary verification leaves it.
func verify() Record {
	return Record{
		Time: moment, Clock: Clock{State: ClockSynchronised, Offset: -1500},
		Category: CategoryAccess, Event: VerificationVerify, Severity: Info,
		Actor:   Actor{Kind: ActorClient, ID: "shop-backend", Role: "client", Credential: "sha256:1f2e3d4c5b6a", AuthMethod: "mtls"},
		Session: "c-7f3a9b2e11", TraceID: [16]byte{1, 2, 3, 15: 9},
		Source:      Peer{IP: netip.MustParseAddr("203.0.113.7"), Port: 50123},
		Destination: Peer{IP: netip.MustParseAddr("192.0.2.1"), Port: 9443},
		Protocol:    Protocol{TLSVersion: "1.3", Cipher: "TLS_AES_128_GCM_SHA256", ServerName: "heyan.example", UserAgent: "grpc-go"},
		Action:      "/heyan.v1.VerificationService/Verify",
		Object:      Object{"verification", "0195f3c0-7b1a-7c3e-9a51-2f8e6d4c3b2a"},
		Outcome:     Outcome{Kind: Success},
		Traffic:     Traffic{BytesIn: 212, BytesOut: 340, MessagesIn: 1, MessagesOut: 1, Duration: 812345},
		Processing: &Processing{Product: "id2", Purpose: "onboarding", Fields: []string{"name", "id_number"}, ConsentUse: "cu-91d2",
			PolicyVersion: "2026-01", Verdict: "MATCH", Source: "registry", AsOf: moment.Add(-24 * time.Hour), Dataset: "people/7", Billing: "BILLED"},
		Commitment: [32]byte{0xaa, 31: 0xbb},
	}
}

// full has every part, so that every field number is exercised.
func full() Record {
	r := verify()
	r.Actor.OnBehalfOf = "branch-2"
	r.Source.PrefixBits, r.Source.Name, r.Source.Certificate = 24, "unicom", "sha256:00"
	r.Via = Peer{IP: netip.MustParseAddr("2001:db8::1"), Port: 1}
	r.Outcome = Outcome{Denied, 7, "CONSENT_WITHDRAWN"}
	r.Processing.LegalBasis, r.Processing.Reused, r.Processing.Test = "aml-kyc", true, true
	r.Change = &Change{"sha256:00", "sha256:01", "-a: 1\n+a: 2\n\t核", []Digest{{"binary", "sha256:02"}, {"rules", "sha256:03"}}}
	r.Security = &Security{"enumeration", "phone2", "guard-3", 12, 10, time.Minute}
	r.Tally = &Tally{40, moment, moment.Add(time.Second), 1000, 65535}
	r.Birth = &Birth{"node-1-ab", "restore", "node-1-aa", 99, [32]byte{1}}
	r.Recovery = &Recovery{"wal/00.wal", 4096, 17, 55}
	r.LogAccess = &LogAccess{1, 1000, 20, []string{"client", "source_ip"}}
	r.Status = &Status{time.Hour, 250, 1000, 1, 1 << 40, 1 << 41, []Health{{"registry", "up"}, {"remote", "down"}},
		[]TreeHead{{"node-2-cd", 12, [32]byte{2}}}, 55}
	r.Purge = &Purge{256, 512, 1, 4096, moment, "P6M", 15, 3}
	r.Totals = totals()
	return r
}

// totals is the second of two parts.
func totals() *Totals {
	return &Totals{7, 19, 3, 2, 2, []Group{{497_000, ActorClient, "acme", "/heyan.v1.CatalogService/GetAccount", Success, 4},
		{497_000, ActorClient, "acme", "/heyan.v1.CatalogService/GetAccount", Denied, 1}}}
}

func mustAppend(t testing.TB, r Record) []byte {
	t.Helper()
	b, err := Append(nil, &r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestRoundTrip(t *testing.T) {
	long := small()
	long.Change = &Change{Diff: strings.Repeat("x", MaxDiff)} // a length of two bytes, twice nested
	for name, r := range map[string]Record{"small": small(), "verify": verify(), "full": full(), "long": long} {
		t.Run(name, func(t *testing.T) {
			b := mustAppend(t, r)
			got, err := Parse(b)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, r) {
				t.Errorf("got  %+v\nwant %+v", got, r)
			}
		})
	}
}

// TestFullSetsEverything keeps full() honest when a field is added: no field of any part may be zero in it.
func TestFullSetsEverything(t *testing.T) {
	var walk func(path string, v reflect.Value)
	walk = func(path string, v reflect.Value) {
		switch {
		case v.Type() == reflect.TypeFor[time.Time]() || v.Type() == reflect.TypeFor[netip.Addr]():
		case v.Kind() == reflect.Pointer && !v.IsNil():
			walk(path, v.Elem())
			return
		case v.Kind() == reflect.Slice && v.Len() > 0:
			walk(path, v.Index(0))
			return
		case v.Kind() == reflect.Struct:
			for i := range v.NumField() {
				name := v.Type().Field(i).Name
				if path == ".Destination" || path == ".Via" {
					continue // the same type as Source
				}
				walk(path+"."+name, v.Field(i))
			}
			return
		}
		if v.IsZero() {
			t.Errorf("%s is zero", path)
		}
	}
	r := full()
	walk("", reflect.ValueOf(r))
}

func TestDefaultsComeFromTheEvent(t *testing.T) {
	r := small()
	r.Category, r.Severity = 0, 0
	got, err := Parse(mustAppend(t, r))
	if err != nil {
		t.Fatal(err)
	}
	if got.Category != CategorySystem || got.Severity != Notice {
		t.Errorf("got %v, %v", got.Category, got.Severity)
	}
}

func TestAppendRefuses(t *testing.T) {
	cases := map[string]func(*Record){
		"time":                      func(r *Record) { r.Time = time.Time{} },
		"event":                     func(r *Record) { r.Event = 0; r.Category = CategorySystem; r.Severity = Info },
		"outcome.kind":              func(r *Record) { r.Outcome.Kind = 0 },
		"outcome.code":              func(r *Record) { r.Outcome.Code = 17 },
		"outcome.reason":            func(r *Record) { r.Outcome.Reason = "has space" },
		"actor.kind":                func(r *Record) { r.Actor.Kind = ActorNode + 1 },
		"actor.id":                  func(r *Record) { r.Actor.ID = "张三" },
		"session":                   func(r *Record) { r.Session = strings.Repeat("a", MaxText+1) },
		"action":                    func(r *Record) { r.Action = "a\x00b" },
		"category":                  func(r *Record) { r.Category = CategorySystem + 1 },
		"severity":                  func(r *Record) { r.Severity = Critical + 1 },
		"traffic.duration":          func(r *Record) { r.Traffic.Duration = -1 },
		"totals.range":              func(r *Record) { r.Totals = totals(); r.Totals.To = r.Totals.From },
		"totals.part":               func(r *Record) { r.Totals = totals(); r.Totals.Part = 3 },
		"totals.groups":             func(r *Record) { r.Totals = totals(); r.Totals.Groups = nil },
		"totals.groups.hour":        func(r *Record) { r.Totals = totals(); r.Totals.Groups[1].Hour = 1 << 50 },
		"totals.groups.actor_kind":  func(r *Record) { r.Totals = totals(); r.Totals.Groups[1].Kind = ActorNode + 1 },
		"totals.groups.actor":       func(r *Record) { r.Totals = totals(); r.Totals.Groups[0].Actor = "a b" },
		"totals.groups.action":      func(r *Record) { r.Totals = totals(); r.Totals.Groups[1].Action = "a b" },
		"totals.groups.outcome":     func(r *Record) { r.Totals = totals(); r.Totals.Groups[1].Outcome = 0 },
		"totals.groups.count":       func(r *Record) { r.Totals = totals(); r.Totals.Groups[1].Count = 0 },
		"totals.groups order":       func(r *Record) { r.Totals = totals(); r.Totals.Groups[1] = r.Totals.Groups[0] },
		"totals.groups sum":         func(r *Record) { r.Totals = totals(); r.Totals.Groups[1].Count = 9 },
		"change.diff":               func(r *Record) { r.Change = &Change{Diff: "\x1b[31m"} },
		"processing.fields":         func(r *Record) { r.Processing = &Processing{Fields: []string{""}} },
		"processing.as_of":          func(r *Record) { r.Processing = &Processing{AsOf: time.Unix(-1, 0)} },
		"log_access.filters":        func(r *Record) { r.LogAccess = &LogAccess{Filters: make([]string, MaxList+1)} },
		"status.peers.origin":       func(r *Record) { r.Status = &Status{Peers: []TreeHead{{Origin: "a b"}}} },
		"change.digests.value":      func(r *Record) { r.Change = &Change{Digests: []Digest{{"a", "\n"}}} },
		"security.window":           func(r *Record) { r.Security = &Security{Window: -1} },
		"destination":               func(r *Record) { r.Destination.Name = "a b" },
		"protocol.user_agent":       func(r *Record) { r.Protocol.UserAgent = "curl 8" },
		"tally.last":                func(r *Record) { r.Tally = &Tally{Last: time.Unix(1<<40, 0)} },
		"purge.period":              func(r *Record) { r.Purge = &Purge{Period: "six months"} },
		"purge.latest":              func(r *Record) { r.Purge = &Purge{Latest: time.Unix(-1, 0)} },
		"recovery.file":             func(r *Record) { r.Recovery = &Recovery{File: "a b"} },
		"birth.cause":               func(r *Record) { r.Birth = &Birth{Cause: "because of"} },
		"status.sources.state":      func(r *Record) { r.Status = &Status{Sources: []Health{{State: "\t"}}} },
		"change.digests":            func(r *Record) { r.Change = &Change{Digests: make([]Digest, MaxList+1)} },
		"clock.state":               func(r *Record) { r.Clock.State = ClockUnsynchronised + 1 },
		"processing.verdict":        func(r *Record) { r.Processing = &Processing{Verdict: "é"} },
		"processing.legal_basis":    func(r *Record) { r.Processing = &Processing{LegalBasis: "a b"} },
		"processing.consent_use":    func(r *Record) { r.Processing = &Processing{ConsentUse: "a b"} },
		"processing.policy_version": func(r *Record) { r.Processing = &Processing{PolicyVersion: "a b"} },
	}
	for part, breakIt := range cases {
		t.Run(part, func(t *testing.T) {
			r := small()
			breakIt(&r)
			dst := []byte("kept")
			got, err := Append(dst, &r)
			if !errors.Is(err, ErrInvalid) || !strings.HasSuffix(err.Error(), ": "+part) {
				t.Errorf("error %v", err)
			}
			if string(got) != "kept" {
				t.Errorf("dst changed to %q", got)
			}
		})
	}
}

func TestAppendTooLarge(t *testing.T) {
	r := small()
	r.Change = &Change{Diff: strings.Repeat("x", MaxDiff)}
	r.LogAccess = &LogAccess{}
	for range MaxList {
		r.LogAccess.Filters = append(r.LogAccess.Filters, strings.Repeat("f", MaxText))
	}
	if _, err := Append(nil, &r); !errors.Is(err, ErrTooLarge) {
		t.Errorf("error %v", err)
	}
	if _, err := Parse(make([]byte, MaxSize+1)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("error %v", err)
	}
}

// vectors calls f for each line of a file of vectors: a name and bytes in hexadecimal. alone tells of a "=" before them.
func vectors(t *testing.T, path string, least int, f func(t *testing.T, b []byte, alone bool)) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	n := 0
	for lines := bufio.NewScanner(file); lines.Scan(); {
		name, text, ok := strings.Cut(lines.Text(), " ")
		if !ok || name == "#" {
			continue
		}
		text, alone := strings.CutPrefix(text, "=")
		b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
		if err != nil {
			t.Fatal(name, err)
		}
		n++
		t.Run(name, func(t *testing.T) { f(t, b, alone) })
	}
	if n < least {
		t.Errorf("only %d vectors", n)
	}
}

// TestParseRefuses reads vectors: bytes to put behind the bytes of small(), or, after "=", to parse alone.
func TestParseRefuses(t *testing.T) {
	base := mustAppend(t, small())
	vectors(t, "testdata/refused.txt", 10, func(t *testing.T, b []byte, alone bool) {
		if !alone {
			b = append(bytes.Clone(base), b...)
		}
		if r, err := Parse(b); !errors.Is(err, ErrInvalid) {
			t.Errorf("got %+v, %v", r, err)
		}
	})
}

// TestOldRecordsStayReadable: what an earlier version wrote is read, and is the same bytes when it is written again.
func TestOldRecordsStayReadable(t *testing.T) {
	vectors(t, "testdata/kept.txt", 3, func(t *testing.T, b []byte, _ bool) {
		r, err := Parse(b)
		if err != nil {
			t.Fatal(err)
		}
		if again := mustAppend(t, r); !bytes.Equal(again, b) {
			t.Errorf("written again as %x", again)
		}
	})
}

func TestEveryPrefixIsRefused(t *testing.T) {
	b := mustAppend(t, verify())
	for n := range b {
		if r, err := Parse(b[:n]); err == nil {
			// A cut between two optional fields leaves a shorter record; it must still be canonical.
			if again := mustAppend(t, r); !bytes.Equal(again, b[:n]) {
				t.Errorf("prefix of %d bytes parses to another record", n)
			}
		}
	}
}

func TestEvents(t *testing.T) {
	pattern := regexp.MustCompile(`^[a-z][a-z_]*\.[a-z][a-z_]*$`)
	seen := map[string]bool{}
	for _, e := range Events() {
		name := e.String()
		if !pattern.MatchString(name) || seen[name] {
			t.Errorf("event %d has the name %q", e, name)
		}
		seen[name] = true
		if got, ok := ParseEvent(name); !ok || got != e {
			t.Errorf("%s does not parse back", name)
		}
		if e.Category() == 0 || e.Severity() == 0 {
			t.Errorf("%s lacks category or severity", name)
		}
	}
	for _, e := range []Event{0, eventCount, eventCount + 1} {
		if e.Valid() || e.Category() != 0 || e.Severity() != 0 || e.String() != "invalid" {
			t.Errorf("event %d passes for valid", e)
		}
	}
	if _, ok := ParseEvent(""); ok {
		t.Error("the empty name is an event")
	}
}

func TestEnumNames(t *testing.T) {
	for n := range 12 {
		if got, ok := ParseCategory(Category(n).String()); ok != (n >= 1 && n <= 9) || ok && got != Category(n) {
			t.Errorf("category %d", n)
		}
		if got, ok := ParseSeverity(Severity(n).String()); ok != (n >= 1 && n <= 5) || ok && got != Severity(n) {
			t.Errorf("severity %d", n)
		}
		if got, ok := ParseOutcomeKind(OutcomeKind(n).String()); ok != (n >= 1 && n <= 4) || ok && got != OutcomeKind(n) {
			t.Errorf("outcome %d", n)
		}
		if got, ok := ParseActorKind(ActorKind(n).String()); ok != (n >= 1 && n <= 6) || ok && got != ActorKind(n) {
			t.Errorf("actor %d", n)
		}
	}
}

// TestCommitment holds the published layout: the expected bytes are written out by hand, the HMAC is from an
// independent program (openssl dgst -sha256 -mac HMAC).
func TestCommitment(t *testing.T) {
	fields := []CommittedField{{2, 1, []byte("11010519491231002X")}, {1, 3, []byte("测试")}}
	content := Committed("id2", fields)
	want := "00000003" + "696432" +
		"00000004" + "00000001" + "00000004" + "00000003" + "00000006" + "e6b58be8af95" +
		"00000004" + "00000002" + "00000004" + "00000001" + "00000012" + hex.EncodeToString([]byte("11010519491231002X"))
	if hex.EncodeToString(content) != want {
		t.Errorf("content %x", content)
	}
	if fields[0].Number != 2 {
		t.Error("the caller's fields were reordered")
	}
	opening := bytes.Repeat([]byte{7}, OpeningSize)
	sum := Commit(opening, content)
	if got := hex.EncodeToString(sum[:]); got != commitmentVector {
		t.Errorf("commitment %s", got)
	}
	other := bytes.Clone(opening)
	other[0]++
	for name, ok := range map[string]bool{
		"right":         Opens(sum, opening, content),
		"other opening": !Opens(sum, other, content),
		"other content": !Opens(sum, opening, Committed("id2", fields[:1])),
		"short opening": !Opens(Commit(opening[:31], content), opening[:31], content),
		"absent":        !Opens([32]byte{}, opening, content),
	} {
		if !ok {
			t.Error(name)
		}
	}
}

const commitmentVector = "9a404c0b4df444fd3d53a71928f74fae74f4c753ec7c1ef7d80884e8470f86be"

func FuzzParse(f *testing.F) {
	for _, r := range []Record{small(), verify(), full()} {
		f.Add(mustAppend(f, r))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := Parse(b)
		if err != nil {
			return
		}
		again, err := Append(nil, &r)
		if err != nil {
			t.Fatalf("parsed, but cannot be written: %v", err)
		}
		if !bytes.Equal(again, b) {
			t.Fatalf("not canonical:\n%x\n%x", b, again)
		}
	})
}

func TestAppendDoesNotAllocate(t *testing.T) {
	r, buf := verify(), make([]byte, 0, MaxSize)
	if n := testing.AllocsPerRun(100, func() {
		if _, err := Append(buf, &r); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkAppend(b *testing.B) {
	r, buf := verify(), make([]byte, 0, MaxSize)
	out, _ := Append(buf, &r)
	b.SetBytes(int64(len(out)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Append(buf, &r); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	leaf := mustAppend(b, verify())
	b.SetBytes(int64(len(leaf)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(leaf); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCommit(b *testing.B) {
	opening, content := make([]byte, OpeningSize), Committed("id2", []CommittedField{{1, 1, []byte("测试")}, {2, 1, []byte("11010519491231002X")}})
	b.ReportAllocs()
	for b.Loop() {
		Commit(opening, content)
	}
}
