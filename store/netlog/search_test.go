package netlog

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/heyan-project/heyan/store/netlog/disk/disktest"
	"github.com/heyan-project/heyan/store/netlog/record"
)

// varied is record n of a log with many kinds of records.
func varied(random *rand.Rand, n int) *record.Record {
	r := &record.Record{Time: moment.Add(time.Duration(n) * time.Second), Event: record.VerificationVerify, Session: fmt.Sprintf("session-%d", n/40),
		Actor:  record.Actor{Kind: record.ActorClient, ID: fmt.Sprintf("client-%d", random.IntN(30))},
		Action: "/heyan.v1.VerificationService/Verify", Outcome: record.Outcome{Kind: record.Success},
		Source: record.Peer{IP: netip.AddrFrom4([4]byte{203, 0, byte(random.IntN(20)), byte(random.IntN(256))}), Port: 4000}}
	switch n { // what is rare
	case 100, 4001:
		r.Source.IP = netip.AddrFrom4([4]byte{192, 0, 2, byte(n)})
		return r
	case 4000:
		r.Actor = record.Actor{Kind: record.ActorOperator, ID: "cai", OnBehalfOf: "client-99"}
		return r
	}
	switch random.IntN(12) {
	case 0:
		r.Outcome = record.Outcome{Kind: record.Denied, Code: 3, Reason: []string{"FIELD_MALFORMED", "CONSENT_MISSING"}[random.IntN(2)]}
	case 1:
		r.Actor = record.Actor{Kind: record.ActorOperator, ID: "cai", OnBehalfOf: fmt.Sprintf("client-%d", random.IntN(30))}
		r.Event, r.Action = record.ClientCreated, "/heyan.v1.AdminService/CreateClient"
	case 2:
		r.Event, r.Actor = record.AuthFailed, record.Actor{Kind: record.ActorStranger}
		r.Source.PrefixBits, r.Tally = []uint8{24, 28, 16}[random.IntN(3)], &record.Tally{Count: 3}
		r.Source.IP = netip.PrefixFrom(r.Source.IP, int(r.Source.PrefixBits)).Masked().Addr()
	case 3:
		var b [16]byte
		b[0], b[5], b[15] = 0x24, byte(random.IntN(8)), byte(n)
		r.Source.IP = netip.AddrFrom16(b)
	default:
		r.Object = record.Object{Type: "verification", ID: fmt.Sprintf("v-%d", n)}
		r.Processing = &record.Processing{Product: []string{"id2", "phone3"}[random.IntN(2)]}
	}
	return r
}

// TestSearch gives for every filter the records that pass it, sealed and live ones, and reads few frames for rare ones.
func TestSearch(t *testing.T) {
	opt := options(filepath.Join(t.TempDir(), "log"))
	opt.FS, opt.SegmentRecords = disktest.NoSync(), 2048
	l := create(t, opt)
	random := rand.New(rand.NewPCG(3, 4))
	records := []*record.Record{nil}
	var last Ticket
	for n := 1; n < 5500; n++ {
		r := varied(random, n)
		b, err := record.Append(nil, r)
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := record.Parse(b)
		if err != nil {
			t.Fatal(err)
		}
		records = append(records, &parsed)
		if last, err = l.Append(b); err != nil {
			t.Fatal(err)
		}
	}
	if err := last.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	seal(t, l)
	if l.sealedEnd() != 5376 || len(l.sealed) != 3 {
		t.Fatalf("sealed to %d in %d", l.sealedEnd(), len(l.sealed))
	}
	at := func(n int) time.Time { return moment.Add(time.Duration(n) * time.Second) }
	for name, q := range map[string]Query{
		"everything":               {},
		"client":                   {Client: "client-7"},
		"actor":                    {Actor: "client-7"},
		"on behalf":                {Actor: "client-99"},
		"a rare address":           {Source: netip.MustParsePrefix("192.0.2.100/32")},
		"a rare network":           {Source: netip.MustParsePrefix("192.0.2.0/24")},
		"operator":                 {Actor: "cai"},
		"an operator is no client": {Client: "cai"},
		"source":                   {Source: netip.MustParsePrefix("203.0.5.77/32")},
		"source network":           {Source: netip.MustParsePrefix("203.0.5.0/24")},
		"part of a network":        {Source: netip.MustParsePrefix("203.0.5.64/27")},
		"wide source":              {Source: netip.MustParsePrefix("203.0.0.0/20")},
		"IPv6":                     {Source: netip.MustParsePrefix("2400:0:5::9/128")},
		"IPv6 network":             {Source: netip.MustParsePrefix("2400::/16")},
		"nowhere":                  {Source: netip.MustParsePrefix("198.51.100.1/32")},
		"method":                   {Method: "/heyan.v1.AdminService/CreateClient"},
		"event":                    {Event: record.AuthFailed},
		"category":                 {Category: record.CategoryAuthentication},
		"outcome":                  {Outcome: record.Denied},
		"reason":                   {Reason: "CONSENT_MISSING"},
		"product":                  {Product: "phone3"},
		"verification":             {Verification: "v-3000"},
		"live verification":        {Verification: "v-5450"},
		"session":                  {Session: "session-20"},
		"time":                     {From: at(1000), To: at(1100)},
		"client within time":       {Client: "client-7", From: at(2000), To: at(4000)},
		"many":                     {Client: "client-7", Outcome: record.Denied, Reason: "FIELD_MALFORMED", Source: netip.MustParsePrefix("203.0.0.0/16")},
		"nothing":                  {Client: "client-7", Session: "session-9999"},
		"before":                   {To: at(0)},
		"after":                    {From: at(9999)},
	} {
		t.Run(name, func(t *testing.T) {
			for _, span := range [][2]uint64{{0, 1 << 40}, {300, 5400}, {2047, 2049}, {5376, 5377}, {7, 7}} {
				var want, got []uint64
				for n := max(1, int(span[0])); n < min(len(records), int(span[1])); n++ {
					if q.Match(records[n]) {
						want = append(want, uint64(n))
					}
				}
				err := l.Search(t.Context(), &q, span[0], span[1], func(index uint64, leaf []byte, r *record.Record) error {
					if index > 0 {
						got = append(got, index)
						if again, err := record.Append(nil, r); err != nil || string(again) != string(leaf) || !r.Time.Equal(records[index].Time) {
							t.Fatalf("record %d is another", index)
						}
					}
					return nil
				})
				if err != nil || !slices.Equal(got, want) {
					t.Fatalf("[%d, %d): %d found, %d wanted, %v", span[0], span[1], len(got), len(want), err)
				}
			}
		})
	}
	for _, q := range []Query{{Verification: "v-3000"}, {Session: "session-20"}, {Source: netip.MustParsePrefix("198.51.100.1/32")},
		{Source: netip.MustParsePrefix("192.0.2.100/32"), To: at(200)}, {Source: netip.MustParsePrefix("192.0.2.161/32"), From: at(200)}} {
		frames := 0
		for _, s := range l.sealed {
			f, err := l.segments.acquire(s.path)
			if err != nil {
				t.Fatal(err)
			}
			some, err := f.Candidates(q.tokens())
			l.segments.release(s.path)
			if err != nil {
				t.Fatal(err)
			}
			frames += len(some)
		}
		if frames > 3 {
			t.Errorf("%v reads %d of 21 frames", q.Fields(), frames)
		}
	}
	stop := errors.New("enough")
	if err := l.Search(t.Context(), &Query{Client: "client-7"}, 0, 1<<40, func(uint64, []byte, *record.Record) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("ended with %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Search(ctx, &Query{}, 0, 1<<40, func(uint64, []byte, *record.Record) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
}
