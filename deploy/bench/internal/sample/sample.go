// Package sample invents a day of a busy server's network log: verifications of many clients, as the server writes them.
//
// What is random in a real record is random here: the ids of verification and consent use (UUIDs of version 7), trace,
// commitment, times and durations. What repeats there repeats here: clients differ in how much they call, each calls
// from a few addresses over connections that last, and one call in fifty is refused. The same seed gives the same
// records.
package sample

import (
	"encoding/hex"
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/heyan-project/heyan/store/netlog/record"
)

// Start is when the day begins: midnight in China.
var Start = time.Date(2026, 3, 2, 0, 0, 0, 0, time.FixedZone("+08:00", 8*3600))

// Day invents records. Its methods are not safe for concurrent use.
type Day struct {
	source  *rand.ChaCha8
	random  *rand.Rand
	now     time.Time
	gap     float64 // mean, in nanoseconds
	clients []client
	shares  []float64 // cumulated
}

// client is who calls, and from where.
type client struct {
	id, credential, product string
	addresses               []netip.Addr
	lasts                   time.Duration // a connection, on average
	connections             []connection
}

// connection is one log-in: its calls have one session, address and port.
type connection struct {
	session string
	source  record.Peer
	until   time.Time
}

const (
	clients     = 60
	connections = 4    // of a busy client at a time; the others have fewer
	branches    = 2000 // addresses of every tenth client, which calls from many places
)

// New begins a day with so many records.
func New(seed byte, records int) *Day {
	source := rand.NewChaCha8([32]byte{seed})
	d := &Day{source: source, random: rand.New(source), now: Start, gap: float64(24*time.Hour) / float64(records+records/50)}
	total := 0.0
	for i := range clients {
		c := client{id: fmt.Sprintf("client-%03d", i), credential: d.hex(32), product: []string{"id2", "phone3", "id2", "bank4"}[i%4]}
		c.lasts, c.connections = 40*time.Minute, make([]connection, 1+(clients-1-i)*connections/clients)
		places := 2 + i%3
		if i%10 == 9 {
			c.lasts, places = time.Minute, branches
		}
		for k := range places {
			c.addresses = append(c.addresses, netip.AddrFrom4([4]byte{byte(100 + i), byte(k >> 8), byte(k), byte(d.random.IntN(256))}))
		}
		d.clients = append(d.clients, c)
		total += 1 / math.Pow(float64(i+1), 0.8) // the first calls 26 times as often as the last
		d.shares = append(d.shares, total)
	}
	return d
}

func (d *Day) bytes(b []byte) []byte {
	_, _ = d.source.Read(b) // never fails
	return b
}

func (d *Day) hex(n int) string { return hex.EncodeToString(d.bytes(make([]byte, n))) }

// id draws a UUID of version 7.
func (d *Day) id() string {
	var b [16]byte
	d.bytes(b[6:])
	for i, at := 5, d.now.UnixMilli(); i >= 0; i, at = i-1, at>>8 {
		b[i] = byte(at)
	}
	b[6], b[8] = b[6]&0x0f|0x70, b[8]&0x3f|0x80
	s := hex.EncodeToString(b[:])
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}

// Now is the time of the last record.
func (d *Day) Now() time.Time { return d.now }

// Next returns the next record.
func (d *Day) Next() *record.Record {
	d.now = d.now.Add(time.Duration(1 + d.random.ExpFloat64()*d.gap))
	c := d.caller()
	conn := &c.connections[d.random.IntN(len(c.connections))]
	if !d.now.Before(conn.until) {
		*conn = connection{session: d.hex(16), until: d.now.Add(time.Duration(d.random.ExpFloat64() * float64(c.lasts))),
			source: record.Peer{IP: c.addresses[d.random.IntN(len(c.addresses))], Port: uint16(32768 + d.random.IntN(28000))}}
	}
	r := &record.Record{
		Time: d.now, Clock: record.Clock{State: record.ClockSynchronised, Offset: time.Duration(d.random.NormFloat64() * float64(20*time.Microsecond))},
		Event: record.VerificationVerify, Session: conn.session, Source: conn.source,
		Actor:       record.Actor{Kind: record.ActorClient, ID: c.id, Role: "client", Credential: c.credential, AuthMethod: "mtls"},
		Destination: record.Peer{IP: netip.AddrFrom4([4]byte{10, 0, 0, 5}), Port: 8443},
		Protocol:    record.Protocol{TLSVersion: "TLSv1.3", Cipher: "TLS_AES_128_GCM_SHA256", ServerName: "heyan.example.com", UserAgent: "grpc-go"},
		Action:      "/heyan.v1.VerificationService/Verify",
		Traffic:     record.Traffic{BytesIn: 180 + d.random.Uint64N(60), MessagesIn: 1, Duration: 250*time.Microsecond + time.Duration(d.random.ExpFloat64()*float64(300*time.Microsecond))},
	}
	d.bytes(r.TraceID[:])
	if d.random.IntN(50) == 0 {
		r.Outcome = record.Outcome{Kind: record.Denied, Code: 3, Reason: "FIELD_MALFORMED"}
		return r
	}
	r.Outcome = record.Outcome{Kind: record.Success}
	r.Object = record.Object{Type: "verification", ID: d.id()}
	r.Processing = &record.Processing{Product: c.product, Purpose: "ACCOUNT_OPENING", Fields: []string{"name", "id_number"}, ConsentUse: d.id(),
		Verdict: []string{"MATCH", "MATCH", "MATCH", "MISMATCH"}[d.random.IntN(4)], Source: "registry", AsOf: Start.AddDate(0, -1, 0), Dataset: "people/3", Billing: "BILLED"}
	d.bytes(r.Commitment[:])
	return r
}

// caller draws who calls, by the clients' shares.
func (d *Day) caller() *client {
	at := d.random.Float64() * d.shares[len(d.shares)-1]
	low, high := 0, len(d.shares)-1
	for low < high {
		if middle := (low + high) / 2; d.shares[middle] < at {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return &d.clients[low]
}
