package inspection

import (
	"fmt"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// accounts shows who may do what.
func (b builder) accounts() section {
	people := table{Title: b.say("a.operators"), Heading: b.heading("id", "person", "roles", "state", "readonly", "expires", "bound", "boundby")}
	for _, o := range b.Accounts.Operators {
		people.Rows = append(people.Rows, []string{o.GetId(), o.GetPersonId(), enums(o.GetRoles()), why(enum(o.GetState()), o.GetReason()),
			b.mark(o.GetReadOnly()), b.end(o.GetExpireTime()), moment(o.GetBindTime()), both(o.GetBoundBy(), o.GetApprovedBy())})
	}
	clients := table{Title: b.say("a.clients"), Heading: b.heading("id", "name", "state", "since", "addresses")}
	for _, c := range b.Accounts.Clients {
		clients.Rows = append(clients.Rows, []string{c.GetId(), c.GetDisplayName(), why(enum(c.GetState()), c.GetReason()), moment(c.GetCreateTime()),
			strings.Join(c.GetAllowedSources(), ", ")})
	}
	credentials := table{Title: b.say("a.credentials"), Heading: b.heading("client", "id", "kind", "test", "state", "since", "expires", "used")}
	for _, c := range b.Accounts.Credentials {
		credentials.Rows = append(credentials.Rows, []string{c.GetClient(), c.GetId(), enum(c.GetKind()), b.mark(c.GetTest()),
			why(enum(c.GetState()), c.GetReason()), moment(c.GetCreateTime()), b.end(c.GetExpireTime()), moment(c.GetLastUsedTime())})
	}
	sold := table{Title: b.say("a.sold"), Heading: b.heading("client", "product", "purposes", "quota", "expires", "state")}
	for _, e := range b.Accounts.Entitlements {
		state := "ACTIVE"
		if e.GetRevoked() {
			state = why("REVOKED", e.GetReason())
		}
		quota := b.say("open")
		if e.Quota != nil {
			quota = fmt.Sprintf("%s / %s", count(uint64(e.GetQuota())), enum(e.GetQuotaPeriod()))
		}
		sold.Rows = append(sold.Rows, []string{e.GetClient(), e.GetProduct(), enums(e.GetPurposes()), quota, b.end(e.GetExpireTime()), state})
	}
	return section{"accounts", b.say("a"), []string{b.say("a.note")}, []table{people, clients, credentials, sold}}
}

// samples shows some records whole.
func (b builder) samples() (section, error) {
	lang := exportLang(b.Lang)
	names, err := columnNames(lang)
	if err != nil {
		return section{}, err
	}
	s := section{ID: "samples", Title: b.say("p"), Notes: []string{b.say("p.note")}}
	for _, sample := range b.Log.Samples {
		t := table{Title: fmt.Sprintf("%s · %s %d", sample.Event, b.say("h.index"), sample.Index), Pairs: true}
		for _, cell := range sample.Cells {
			t.Rows = append(t.Rows, []string{names[cell.Name], cell.Value})
		}
		s.Tables = append(s.Tables, t)
	}
	return s, nil
}

// end is when something expires.
func (b builder) end(t *timestamppb.Timestamp) string {
	if t == nil {
		return b.say("never")
	}
	return moment(t)
}

// why adds a reason to a state.
func why(state, reason string) string {
	if reason == "" {
		return state
	}
	return state + ": " + reason
}

// both joins two names.
func both(a, b string) string {
	if a == "" && b == "" {
		return "–"
	}
	return a + " / " + b
}

// enum is a value's name without what all names of its type begin with.
func enum[E interface {
	protoreflect.Enum
	String() string
}](e E) string {
	zero := e.Descriptor().Values().ByNumber(0)
	return strings.TrimPrefix(e.String(), strings.TrimSuffix(string(zero.Name()), "UNSPECIFIED"))
}

func enums[E interface {
	protoreflect.Enum
	String() string
}](all []E) string {
	names := make([]string, len(all))
	for i, e := range all {
		names[i] = enum(e)
	}
	return strings.Join(names, ", ")
}
