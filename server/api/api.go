// Package api translates between protobuf messages and the domain, one file a service, and does nothing else:
// no gate of a verification stands here.
//
// Rules that every method keeps:
//
//   - What a call acts on enters its log record (journal.Call.SetObject) only once it is on file or Heyan's own id.
//   - Text meant for people is at most 500 bytes and is refused where it holds a whole valid value of a field
//     (Deps.text); ids that people choose are slugs and scanned alike (Deps.slug).
//   - Another client's resource is NOT_FOUND.
//   - An administrative change notes digests before and after, and the names of what changed (Deps.changed).
package api

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/heyan-project/heyan/server/authn"
	"github.com/heyan-project/heyan/server/journal"
	"github.com/heyan-project/heyan/server/retain"
	"github.com/heyan-project/heyan/store"
	"github.com/heyan-project/heyan/store/directory"
	"github.com/heyan-project/heyan/store/netlog"
	"github.com/heyan-project/heyan/store/netlog/origins"
	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/verifier"
	"github.com/heyan-project/heyan/verifier/digest"
	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/field"
	"github.com/heyan-project/heyan/verifier/ledger"
	"github.com/heyan-project/heyan/verifier/product"
	"github.com/heyan-project/heyan/verifier/role"
)

// Deps is what the services are made of. Every member is required that does not say otherwise.
type Deps struct {
	Verifier  *verifier.Verifier
	Store     store.Store
	Directory *directory.Directory
	Log       *netlog.Log
	Keeper    *retain.Keeper
	Journal   *journal.Journal
	Keys      *digest.Keyring
	Rules     *field.Rules
	Catalogue *product.Catalogue
	Now       func() time.Time
	Random    io.Reader
	// CloseSessions closes every open connection of a client or an operator: a revocation binds at once.
	CloseSessions func(kind authn.Kind, id string)
	// LastUsed says when a credential was last used; zero for never.
	LastUsed func(credential string) time.Time
	// Production demands what a development server does not: an address list for API keys.
	Production bool
	// CountLog writes a total of all that is in the log by now, so that an export can be held against it. A log that takes
	// no records is exported all the same, and the export says what nothing counts: it has no error.
	CountLog func(ctx context.Context)
	// Region is where the data lies, e.g. "cn-shanghai".
	Region string
	// Archive is the closed origins that can be read from here beside Log. Nil = none.
	Archive *origins.Archive
}

// strike makes a suspension or revocation, which the directory holds by now, bind what is past its gates.
func (d *Deps) strike(ctx context.Context, scope ledger.Scope, why fault.Reason) error {
	return storeFault(d.Store.Strike(ctx, scope, why))
}

// maxText is the longest text meant for people, in bytes.
const maxText = 500

// text checks a text meant for people.
func (d *Deps) text(ctx context.Context, name, value string) *fault.Fault {
	if len(value) > maxText || !utf8.ValidString(value) || strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\n' }) {
		return fault.New(fault.RequestMalformed).WithField(name, "TEXT_OF_500_BYTES")
	}
	return d.scan(ctx, name, value)
}

func (d *Deps) scan(ctx context.Context, name, value string) *fault.Fault {
	if !d.Rules.CarriesValue(value, d.Now()) {
		return nil
	}
	call := journal.From(ctx)
	call.Event = record.TextCarriesPII
	call.SetSecurity(&record.Security{Attack: fault.FreeTextCarriesPII.String(), Target: call.Method, Rule: name, Count: 1})
	return fault.New(fault.FreeTextCarriesPII).WithField(name, "")
}

// slug checks an id that people choose.
func (d *Deps) slug(ctx context.Context, name, value string) *fault.Fault {
	switch {
	case value == "":
		return fault.New(fault.FieldMissing).WithField(name, "")
	case !product.ValidSlug(value):
		return fault.New(fault.RequestMalformed).WithField(name, "SLUG")
	}
	return d.scan(ctx, name, value)
}

// notFound is the answer for what is not there and for what belongs to somebody else.
func notFound() *fault.Fault { return fault.New(fault.ResourceNotFound) }

// storeFault turns the store's errors into refusals.
func storeFault(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, store.ErrNotFound):
		return notFound()
	case errors.Is(err, store.ErrConflict):
		return fault.New(fault.RevisionConflict)
	}
	var f *fault.Fault
	if errors.As(err, &f) {
		return f
	}
	return fault.New(fault.StoreUnavailable).WithCause(err).WithRetryAfter(time.Second)
}

// changed notes an administrative change on the call's record. before may be nil.
func changed(ctx context.Context, before, after any) {
	journal.From(ctx).SetChange(changeOf(before, after))
}

// changeOf is a change as the log has it: digests, and the names of what differs.
func changeOf(before, after any) *record.Change {
	change := &record.Change{After: digestOf(after)}
	if before != nil {
		change.Before = digestOf(before)
	}
	change.Diff = strings.Join(differing(before, after), " ")
	return change
}

func digestOf(v any) string {
	encoded, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(encoded)
	return journal.Hex(sum[:])
}

// differing lists the names of members that differ, never what they hold.
func differing(before, after any) []string {
	a, b := members(before), members(after)
	var names []string
	for name, value := range b {
		if string(a[name]) != string(value) {
			names = append(names, name)
		}
	}
	for name := range a {
		if _, ok := b[name]; !ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func members(v any) map[string]json.RawMessage {
	if v == nil {
		return nil
	}
	encoded, err := json.Marshal(v)
	if err != nil {
		return nil
	}
	var m map[string]json.RawMessage
	if json.Unmarshal(encoded, &m) != nil {
		return nil
	}
	return m
}

// caller returns who calls.
func caller(ctx context.Context) *authn.Principal { return &journal.From(ctx).Principal }

// binding returns what separation of duties needs of the calling operator.
func binding(ctx context.Context) role.Binding {
	if p := caller(ctx); p.Operator != nil {
		return p.Operator.Binding
	}
	return role.Binding{}
}

// pageSize reads a page_size: 1–1000, 0 = 100.
func pageSize(n int32) (int, *fault.Fault) {
	switch {
	case n == 0:
		return 100, nil
	case n < 0 || n > 1000:
		return 0, fault.New(fault.RequestMalformed).WithField("page_size", "1_TO_1000")
	}
	return int(n), nil
}

// instant reads a timestamp; absent is the zero time.
func instant(name string, t *timestamppb.Timestamp) (time.Time, *fault.Fault) {
	if t == nil {
		return time.Time{}, nil
	}
	if err := t.CheckValid(); err != nil {
		return time.Time{}, fault.New(fault.RequestMalformed).WithField(name, "TIMESTAMP")
	}
	return t.AsTime(), nil
}

// stamp writes a timestamp; the zero time is absent.
func stamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}
