package export

import (
	"encoding/hex"
	"encoding/json"
	"time"

	"github.com/heyan-project/heyan/store/netlog/record"
)

// detail is what few records have, as one cell of JSON. Its members are named as in heyan.log.v1.Record.
type detail struct {
	Source      *peer      `json:"source,omitempty"`
	Destination *peer      `json:"destination,omitempty"`
	Via         *peer      `json:"via,omitempty"`
	Digests     []digest   `json:"digests,omitempty"`
	Birth       *birth     `json:"birth,omitempty"`
	Recovery    *recovery  `json:"recovery,omitempty"`
	LogAccess   *logAccess `json:"log_access,omitempty"`
	Status      *status    `json:"status,omitempty"`
	Purge       *purge     `json:"purge,omitempty"`
	Totals      *total     `json:"totals,omitempty"`
}

// peer is what has no column of its own.
type peer struct {
	PrefixBits  uint8  `json:"prefix_bits,omitempty"`
	Name        string `json:"name,omitempty"`
	Certificate string `json:"certificate,omitempty"`
}

type digest struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type birth struct {
	Origin          string `json:"origin,omitempty"`
	Cause           string `json:"cause,omitempty"`
	Predecessor     string `json:"predecessor,omitempty"`
	PredecessorSize uint64 `json:"predecessor_size,omitempty"`
	PredecessorRoot string `json:"predecessor_root,omitempty"`
}

type recovery struct {
	File     string `json:"file,omitempty"`
	Offset   uint64 `json:"offset"`
	CutBytes uint64 `json:"cut_bytes"`
	Size     uint64 `json:"size"`
}

type logAccess struct {
	From    uint64   `json:"from"`
	To      uint64   `json:"to"`
	Count   uint64   `json:"count"`
	Filters []string `json:"filters,omitempty"`
}

type purge struct {
	From      uint64     `json:"from"`
	To        uint64     `json:"to"`
	Segments  uint64     `json:"segments"`
	Bytes     uint64     `json:"bytes"`
	Latest    *time.Time `json:"latest,omitempty"`
	Period    string     `json:"period,omitempty"`
	GraceDays uint64     `json:"grace_days"`
	Kept      uint64     `json:"kept"`
}

type status struct {
	Uptime     time.Duration `json:"uptime_nanos"`
	LoadMilli  uint64        `json:"load_milli"`
	Calls      uint64        `json:"calls"`
	Failures   uint64        `json:"failures"`
	DiskFree   uint64        `json:"disk_free_bytes"`
	DiskTotal  uint64        `json:"disk_total_bytes"`
	Sources    []health      `json:"sources,omitempty"`
	Peers      []treeHead    `json:"peers,omitempty"`
	LedgerMark uint64        `json:"ledger_mark,omitempty"`
}

type health struct {
	Name  string `json:"name"`
	State string `json:"state"`
}

type treeHead struct {
	Origin string `json:"origin"`
	Size   uint64 `json:"size"`
	Root   string `json:"root"`
}

type total struct {
	From   uint64  `json:"from"`
	To     uint64  `json:"to"`
	Begin  uint64  `json:"begin"`
	Part   uint32  `json:"part"`
	Parts  uint32  `json:"parts"`
	Groups []group `json:"groups"`
}

type group struct {
	Hour    uint64 `json:"hour"` // since 1970-01-01 00:00 UTC
	Kind    string `json:"actor_kind,omitempty"`
	Actor   string `json:"actor,omitempty"`
	Action  string `json:"action,omitempty"`
	Outcome string `json:"outcome"`
	Count   uint64 `json:"count"`
}

// appendDetail writes nothing for a record that has none of it.
func appendDetail(b []byte, r *row) []byte {
	var d detail
	some := d.peers(&r.record)
	if c := r.record.Change; c != nil && len(c.Digests) > 0 {
		some = true
		for _, g := range c.Digests {
			d.Digests = append(d.Digests, digest{g.Name, g.Value})
		}
	}
	if v := r.record.Birth; v != nil {
		some = true
		d.Birth = &birth{v.Origin, v.Cause, v.Predecessor, v.PredecessorSize, string(appendHex(nil, v.PredecessorRoot[:]))}
	}
	if v := r.record.Recovery; v != nil {
		some = true
		d.Recovery = &recovery{v.File, v.Offset, v.CutBytes, v.Size}
	}
	if v := r.record.LogAccess; v != nil {
		some = true
		d.LogAccess = &logAccess{v.From, v.To, v.Count, v.Filters}
	}
	if v := r.record.Status; v != nil {
		some = true
		d.Status = statusOf(v)
	}
	if v := r.record.Purge; v != nil {
		some = true
		d.Purge = &purge{From: v.From, To: v.To, Segments: v.Segments, Bytes: v.Bytes, Period: v.Period, GraceDays: v.GraceDays, Kept: v.Kept}
		if !v.Latest.IsZero() {
			d.Purge.Latest = &v.Latest
		}
	}
	if v := r.record.Totals; v != nil {
		some = true
		d.Totals = totalOf(v)
	}
	if !some {
		return b
	}
	cell, err := json.Marshal(d)
	if err != nil {
		return b // there is nothing in it that JSON cannot say
	}
	return append(b, cell...)
}

// peers fills what the columns of addresses leave out.
func (d *detail) peers(r *record.Record) (some bool) {
	rest := func(p record.Peer) *peer {
		if p.PrefixBits == 0 && p.Name == "" && p.Certificate == "" {
			return nil
		}
		some = true
		return &peer{p.PrefixBits, p.Name, p.Certificate}
	}
	d.Source = rest(record.Peer{Name: r.Source.Name, Certificate: r.Source.Certificate})
	d.Destination = rest(record.Peer{PrefixBits: r.Destination.PrefixBits})
	d.Via = rest(r.Via)
	return some
}

func statusOf(s *record.Status) *status {
	out := &status{Uptime: s.Uptime, LoadMilli: s.LoadMilli, Calls: s.Calls, Failures: s.Failures,
		DiskFree: s.DiskFree, DiskTotal: s.DiskTotal, LedgerMark: s.LedgerMark}
	for _, h := range s.Sources {
		out.Sources = append(out.Sources, health{h.Name, h.State})
	}
	for _, p := range s.Peers {
		out.Peers = append(out.Peers, treeHead{p.Origin, p.Size, hex.EncodeToString(p.Root[:])})
	}
	return out
}

func totalOf(t *record.Totals) *total {
	out := &total{From: t.From, To: t.To, Begin: t.Begin, Part: t.Part, Parts: t.Parts, Groups: make([]group, len(t.Groups))}
	for i, g := range t.Groups {
		out.Groups[i] = group{Hour: g.Hour, Actor: g.Actor, Action: g.Action, Outcome: g.Outcome.String(), Count: g.Count}
		if g.Kind != 0 {
			out.Groups[i].Kind = g.Kind.String()
		}
	}
	return out
}
