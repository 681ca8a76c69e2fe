package server_test

import (
	"context"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/fieldmaskpb"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/server/servertest"
	"github.com/heyan-project/heyan/store"
	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/verifier/account"
	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/source"
)

// TestStopBindsWhatIsUnderWay (ME-1-stop-misuse): a call whose authority was already asked when its client is suspended
// or closed, its credential revoked or its product taken away, stores nothing and answers nothing.
func TestStopBindsWhatIsUnderWay(t *testing.T) {
	for _, c := range []struct {
		name   string
		stop   func(w *world) error
		reason fault.Reason
	}{
		{"suspended", func(w *world) error {
			_, err := heyanv1.NewAdminServiceClient(w.security).UpdateClient(t.Context(), &heyanv1.UpdateClientRequest{
				Client: &heyanv1.Client{Id: "bank", State: heyanv1.Client_STATE_SUSPENDED}, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"state"}}, Reason: "misuse"})
			return err
		}, fault.ClientSuspended},
		{"closed", func(w *world) error {
			_, err := heyanv1.NewAdminServiceClient(w.system).CloseClient(t.Context(), &heyanv1.CloseClientRequest{Id: "bank", Reason: "left"})
			return err
		}, fault.CredentialInvalid},
		{"credential revoked", func(w *world) error {
			id, _, err := account.ParseKey(w.bank.Key)
			must(t, err)
			_, err = heyanv1.NewAdminServiceClient(w.system).RevokeCredential(t.Context(), &heyanv1.RevokeCredentialRequest{Id: id.String(), Reason: "lost"})
			return err
		}, fault.CredentialInvalid},
		{"entitlement revoked", func(w *world) error {
			_, err := heyanv1.NewAccessServiceClient(w.security).RevokeEntitlement(t.Context(), &heyanv1.RevokeEntitlementRequest{Client: "bank", Product: "id2", Reason: "not paid"})
			return err
		}, fault.ProductNotEntitled},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, a := withAuthority(t, servertest.Options{})
			from := w.Log.Size()
			a.before(func(context.Context, *source.Query) error { return c.stop(w) })
			seen, answered := verify(w.bank.Conn, w.Request("r", 1))
			if seen.Err == nil || answered.messages > 0 {
				t.Fatalf("it was answered: %v", seen)
			}
			if c.reason == fault.ProductNotEntitled && seen.Reason != c.reason.String() { // the others close the connection, too
				t.Errorf("refused with %v", seen.Err)
			}
			voided := eventuallyOne(t, w, from, record.VerificationVoided)
			if voided.Outcome.Reason != c.reason.String() {
				t.Errorf("the record says %v", voided.Outcome)
			}
			list, _, _, err := w.Store.ListVerifications(t.Context(), "bank", store.VerificationFilter{Limit: 10})
			if err != nil || len(list) > 0 {
				t.Errorf("stored: %v %v", list, err)
			}
		})
	}
}

// eventuallyOne waits for a record of an event from an index on.
func eventuallyOne(t *testing.T, w *world, from uint64, event record.Event) record.Record {
	t.Helper()
	for range 2000 {
		for _, r := range w.Calls(from) {
			if r.Event == event {
				return r
			}
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("no %v in %q", event, servertest.Brief(w.Calls(from)))
	return record.Record{}
}
