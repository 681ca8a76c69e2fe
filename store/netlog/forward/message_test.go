package forward

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/store/netlog/syslog"
)

var moment = time.Date(2026, 3, 31, 16, 0, 0, 123456789, time.UTC)

func TestMessage(t *testing.T) {
	r := record.Record{
		Time: moment, Category: record.CategoryAccess, Event: record.VerificationVerify, Severity: record.Info,
		Actor:   record.Actor{Kind: record.ActorClient, ID: `a"c\m]e`},
		Source:  record.Peer{IP: netip.MustParseAddr("2001:db8::7"), Port: 40000},
		Action:  "/heyan.v1.VerificationService/Verify",
		Outcome: record.Outcome{Kind: record.Denied},
	}
	got := string(appendRecord(nil, "node-1", "node-1-5f3a", 7, &r, []byte(`{"x":1}`)))
	want := `<110>1 2026-03-31T16:00:00.123456Z node-1 heyan - verification.verify [heyan@32473 origin="node-1-5f3a" index="7" ` +
		`category="ACCESS" actor_kind="CLIENT" actor="a\"c\\m\]e" outcome="DENIED" source="[2001:db8::7\]:40000" ` +
		`action="/heyan.v1.VerificationService/Verify"] {"x":1}`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	m, err := parse(got)
	if err != nil {
		t.Fatal(err)
	}
	if m.data["heyan@32473"]["actor"] != r.Actor.ID || m.data["heyan@32473"]["source"] != "[2001:db8::7]:40000" {
		t.Errorf("read back as %v", m.data)
	}
}

// A record says nothing that is not in it: absent members are left out.
func TestMessageOfLittle(t *testing.T) {
	r := record.Record{Time: moment, Category: record.CategorySystem, Event: record.SystemRecovered, Severity: record.Critical,
		Outcome: record.Outcome{Kind: record.Success}}
	got := string(appendRecord(nil, "n", "n-1", 0, &r, []byte(`{}`)))
	if want := `<106>1 2026-03-31T16:00:00.123456Z n heyan - system.recovered [heyan@32473 origin="n-1" index="0" category="SYSTEM" outcome="SUCCESS"] {}`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestGapMessage(t *testing.T) {
	got := string(appendGap(nil, "n", "n-1", moment, gap{3, 9}))
	if want := `<108>1 2026-03-31T16:00:00.123456Z n heyan - forward.gap [heyan-gap@32473 origin="n-1" from="3" to="9"] {"origin":"n-1","gap":{"from":3,"to":9}}`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if _, err := parse(got); err != nil {
		t.Error(err)
	}
}

func TestPriorities(t *testing.T) {
	for s, want := range map[record.Severity]int{record.Info: 110, record.Notice: 109, record.Warning: 108, record.Error: 107, record.Critical: 106} {
		if got := string(syslog.AppendHeader(nil, severity(s), moment, "n", "x")); !strings.HasPrefix(got, fmt.Sprintf("<%d>1 ", want)) {
			t.Errorf("%v: %s, want %d", s, got, want)
		}
	}
}

// The name of every event fits MSGID, and none is that of a gap.
func TestEventsFit(t *testing.T) {
	for _, e := range record.Events() {
		if name := e.String(); len(name) > syslog.MaxMessageID || name == gapEvent {
			t.Errorf("%s does not fit", name)
		}
	}
}

func TestAddress(t *testing.T) {
	ip := netip.MustParseAddr("192.0.2.0")
	for want, p := range map[string]record.Peer{
		"": {Port: 7}, "192.0.2.0": {IP: ip}, "192.0.2.0:7": {IP: ip, Port: 7}, "192.0.2.0/24": {IP: ip, PrefixBits: 24},
	} {
		if got := address(&p); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func FuzzParam(f *testing.F) {
	f.Add(`a"b\c]d`)
	f.Add("\xff")
	f.Fuzz(func(t *testing.T, value string) {
		b := syslog.AppendHeader(nil, syslog.Info, moment, "n", "x.y")
		b = append(b, "[heyan@32473"...)
		b = append(syslog.AppendParam(b, "actor", value), "] m"...)
		m, err := parse(string(b))
		if err != nil {
			t.Fatal(err)
		}
		if want := strings.ToValidUTF8(value, "\uFFFD"); m.data["heyan@32473"]["actor"] != want || m.text != "m" {
			t.Errorf("%q came back as %q", want, m.data["heyan@32473"]["actor"])
		}
	})
}
