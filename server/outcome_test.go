package server_test

import (
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/proto"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/server/servertest"
	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/verifier/role"
)

const inspector = "d-inspector"

// cell is one outcome of one kind of call: what its caller sees and what the log holds of it.
type cell struct {
	cause, kind string
	by          string // actor of the records; empty = a stranger, who has none
	call        func(w *world) (servertest.Seen, reply)

	code             codes.Code
	reason, handling string
	own              string   // the record that the trailer names; empty = no trailer
	records          []string // every new record, in order, but those of sessions
	items            []string // of a batch: reasons, "" = answered
}

// Kinds of calls, as full methods.
const (
	unary  = heyanv1.VerificationService_Verify_FullMethodName
	many   = heyanv1.VerificationService_BatchVerify_FullMethodName
	upload = heyanv1.AdminService_ImportRecords_FullMethodName
	tail   = heyanv1.LogService_ListLogEntries_FullMethodName
	export = heyanv1.LogService_ExportLog_FullMethodName
)

// Requests that something is wrong with. n keeps their request_ids apart.
func spoilt(w *world, id string) *heyanv1.VerifyRequest {
	r := w.Request(id, 1)
	r.Fields.IdNumber = misread(r.Fields.GetIdNumber())
	return r
}

// misread is an ID number with a wrong check character.
func misread(id string) *string {
	check := "0"
	if id[len(id)-1] == '0' {
		check = "1"
	}
	return proto.String(id[:len(id)-1] + check)
}

func unbought(w *world, id string) *heyanv1.VerifyRequest {
	r := w.Request(id, 1)
	r.Product, r.Fields = "phone2", &heyanv1.Fields{Name: r.Fields.Name, PhoneNumber: servertest.Person(1).PhoneNumber}
	return r
}

func groundless(w *world, id string) *heyanv1.VerifyRequest {
	r := w.Request(id, 1)
	r.Ground = nil
	return r
}

// down makes a call while the store fails.
func down(call func(w *world) (servertest.Seen, reply)) func(w *world) (servertest.Seen, reply) {
	return func(w *world) (servertest.Seen, reply) {
		w.store.Down()
		defer w.store.Hook(nil)
		return call(w)
	}
}

// Calls that differ by who makes them or by what is broken around them.
func verifyAs(conn func(*world) *grpc.ClientConn, id string) func(*world) (servertest.Seen, reply) {
	return func(w *world) (servertest.Seen, reply) { return verify(conn(w), w.Request(id, 1)) }
}

func batchAs(conn func(*world) *grpc.ClientConn, id string) func(*world) (servertest.Seen, reply) {
	return func(w *world) (servertest.Seen, reply) { return batch(conn(w), w.Request(id, 1)) }
}

func importAs(conn func(*world) *grpc.ClientConn) func(*world) (servertest.Seen, reply) {
	return func(w *world) (servertest.Seen, reply) {
		return importing(conn(w), w.ImportHeader(), servertest.ImportRows(0, 3))
	}
}

func listAs(conn func(*world) *grpc.ClientConn) func(*world) (servertest.Seen, reply) {
	return func(w *world) (servertest.Seen, reply) {
		return list(conn(w), &heyanv1.ListLogEntriesRequest{Limit: 2})
	}
}

func exportAs(conn func(*world) *grpc.ClientConn) func(*world) (servertest.Seen, reply) {
	return func(w *world) (servertest.Seen, reply) {
		return exporting(conn(w), &heyanv1.ExportLogRequest{EndIndex: 2})
	}
}

func anonymous(w *world) *grpc.ClientConn { return w.anonymous }
func bank(w *world) *grpc.ClientConn      { return w.bank.Conn }
func system(w *world) *grpc.ClientConn    { return w.system }
func audit(w *world) *grpc.ClientConn     { return w.audit }

// Of the streams none is a client's, so none needs a consent; what corresponds to an entitlement is an
// operator's binding.
var cells = []cell{
	{cause: "anonymous", kind: unary, call: verifyAs(anonymous, "a"), code: codes.Unauthenticated, reason: "CREDENTIAL_MISSING", handling: "FIX_REQUEST"},
	{cause: "anonymous", kind: many, call: batchAs(anonymous, "a"), code: codes.Unauthenticated, reason: "CREDENTIAL_MISSING", handling: "FIX_REQUEST"},
	{cause: "anonymous", kind: upload, call: importAs(anonymous), code: codes.Unauthenticated, reason: "CREDENTIAL_MISSING", handling: "FIX_REQUEST"},
	{cause: "anonymous", kind: tail, call: listAs(anonymous), code: codes.Unauthenticated, reason: "CREDENTIAL_MISSING", handling: "FIX_REQUEST"},
	{cause: "anonymous", kind: export, call: exportAs(anonymous), code: codes.Unauthenticated, reason: "CREDENTIAL_MISSING", handling: "FIX_REQUEST"},

	{cause: "wrong role", kind: unary, by: servertest.Audit, call: verifyAs(audit, "a"), code: codes.PermissionDenied, reason: "ROLE_REQUIRED", handling: "ASK_OPERATOR",
		own: "rpc.denied DENIED ROLE_REQUIRED", records: []string{"rpc.denied DENIED ROLE_REQUIRED"}},
	{cause: "wrong role", kind: many, by: servertest.System, call: batchAs(system, "a"), code: codes.PermissionDenied, reason: "ROLE_REQUIRED", handling: "ASK_OPERATOR",
		own: "rpc.denied DENIED ROLE_REQUIRED", records: []string{"rpc.denied DENIED ROLE_REQUIRED"}},
	{cause: "wrong role", kind: upload, by: "bank", call: importAs(bank), code: codes.PermissionDenied, reason: "ROLE_REQUIRED", handling: "ASK_OPERATOR",
		own: "rpc.denied DENIED ROLE_REQUIRED", records: []string{"rpc.denied DENIED ROLE_REQUIRED"}},
	{cause: "wrong role", kind: tail, by: servertest.System, call: listAs(system), code: codes.PermissionDenied, reason: "ROLE_REQUIRED", handling: "ASK_OPERATOR",
		own: "rpc.denied DENIED ROLE_REQUIRED", records: []string{"rpc.denied DENIED ROLE_REQUIRED"}},
	{cause: "wrong role", kind: export, by: servertest.System, call: exportAs(system), code: codes.PermissionDenied, reason: "ROLE_REQUIRED", handling: "ASK_OPERATOR",
		own: "rpc.denied DENIED ROLE_REQUIRED", records: []string{"rpc.denied DENIED ROLE_REQUIRED"}},

	{cause: "not entitled", kind: unary, by: "bank", call: func(w *world) (servertest.Seen, reply) { return verify(w.bank.Conn, unbought(w, "b")) },
		code: codes.PermissionDenied, reason: "PRODUCT_NOT_ENTITLED", handling: "ASK_OPERATOR",
		own: "verification.verify DENIED PRODUCT_NOT_ENTITLED", records: []string{"verification.verify DENIED PRODUCT_NOT_ENTITLED"}},
	{cause: "not entitled", kind: many, by: "bank", call: func(w *world) (servertest.Seen, reply) { return batch(w.bank.Conn, unbought(w, "b")) },
		own: "verification.batch SUCCESS", records: []string{"verification.batch_item DENIED PRODUCT_NOT_ENTITLED", "verification.batch SUCCESS"},
		items: []string{"PRODUCT_NOT_ENTITLED"}},
	{cause: "not entitled", kind: upload, by: inspector, call: importAs(lapsed), code: codes.Unauthenticated, reason: "CREDENTIAL_EXPIRED", handling: "ASK_OPERATOR",
		own: "auth.failed DENIED CREDENTIAL_EXPIRED", records: []string{"auth.failed DENIED CREDENTIAL_EXPIRED"}},
	{cause: "not entitled", kind: tail, by: inspector, call: listAs(lapsed), code: codes.Unauthenticated, reason: "CREDENTIAL_EXPIRED", handling: "ASK_OPERATOR",
		own: "auth.failed DENIED CREDENTIAL_EXPIRED", records: []string{"auth.failed DENIED CREDENTIAL_EXPIRED"}},
	{cause: "not entitled", kind: export, by: inspector, call: exportAs(lapsed), code: codes.Unauthenticated, reason: "CREDENTIAL_EXPIRED", handling: "ASK_OPERATOR",
		own: "auth.failed DENIED CREDENTIAL_EXPIRED", records: []string{"auth.failed DENIED CREDENTIAL_EXPIRED"}},

	{cause: "bad field", kind: unary, by: "bank", call: func(w *world) (servertest.Seen, reply) { return verify(w.bank.Conn, spoilt(w, "c")) },
		code: codes.InvalidArgument, reason: "FIELD_MALFORMED", handling: "FIX_REQUEST",
		own: "verification.verify DENIED FIELD_MALFORMED", records: []string{"verification.verify DENIED FIELD_MALFORMED"}},
	{cause: "bad field", kind: many, by: "bank", call: func(w *world) (servertest.Seen, reply) { return batch(w.bank.Conn, spoilt(w, "c")) },
		own: "verification.batch SUCCESS", records: []string{"verification.batch_item DENIED FIELD_MALFORMED", "verification.batch SUCCESS"},
		items: []string{"FIELD_MALFORMED"}},
	{cause: "bad field", kind: upload, by: servertest.System, call: func(w *world) (servertest.Seen, reply) {
		header, rows := w.ImportHeader(), servertest.ImportRows(0, 3)
		header.GetHeader().Strict = true
		fields := rows.GetRows().GetRows()[2].GetFields()
		fields.IdNumber = misread(fields.GetIdNumber())
		return importing(w.system, header, rows)
	}, code: codes.InvalidArgument, reason: "FIELD_MALFORMED", handling: "FIX_REQUEST",
		own: "dataset.imported DENIED FIELD_MALFORMED", records: []string{"stream.opened SUCCESS", "dataset.imported DENIED FIELD_MALFORMED"}},
	{cause: "bad field", kind: tail, by: servertest.Audit, call: func(w *world) (servertest.Seen, reply) {
		return list(w.audit, &heyanv1.ListLogEntriesRequest{Filter: &heyanv1.LogFilter{Event: "no.such_event"}})
	}, code: codes.InvalidArgument, reason: "REQUEST_MALFORMED", handling: "FIX_REQUEST",
		own: "log.listed DENIED REQUEST_MALFORMED", records: []string{"stream.opened SUCCESS", "log.listed DENIED REQUEST_MALFORMED"}},
	{cause: "bad field", kind: export, by: servertest.Audit, call: func(w *world) (servertest.Seen, reply) {
		return exporting(w.audit, &heyanv1.ExportLogRequest{Filter: &heyanv1.LogFilter{Event: "no.such_event"}})
	}, code: codes.InvalidArgument, reason: "REQUEST_MALFORMED", handling: "FIX_REQUEST",
		own: "log.exported DENIED REQUEST_MALFORMED", records: []string{"stream.opened SUCCESS", "log.exported DENIED REQUEST_MALFORMED"}},

	{cause: "no consent", kind: unary, by: "bank", call: func(w *world) (servertest.Seen, reply) { return verify(w.bank.Conn, groundless(w, "d")) },
		code: codes.FailedPrecondition, reason: "CONSENT_MISSING", handling: "FIX_CONSENT",
		own: "verification.verify DENIED CONSENT_MISSING", records: []string{"verification.verify DENIED CONSENT_MISSING"}},
	{cause: "no consent", kind: many, by: "bank", call: func(w *world) (servertest.Seen, reply) { return batch(w.bank.Conn, groundless(w, "d")) },
		own: "verification.batch SUCCESS", records: []string{"verification.batch_item DENIED CONSENT_MISSING", "verification.batch SUCCESS"},
		items: []string{"CONSENT_MISSING"}},

	{cause: "store down", kind: unary, by: "bank", call: down(verifyAs(bank, "e")), code: codes.Unavailable, reason: "STORE_UNAVAILABLE", handling: "RETRY_SAME_ID",
		own: "verification.verify FAILED STORE_UNAVAILABLE", records: []string{"verification.verify FAILED STORE_UNAVAILABLE"}},
	{cause: "store down at the commit", kind: unary, by: "bank", call: atCommit(verifyAs(bank, "f")), code: codes.Unavailable, reason: "STORE_UNAVAILABLE", handling: "RETRY_SAME_ID",
		own:     "verification.voided DENIED STORE_UNAVAILABLE",
		records: []string{"verification.verify SUCCESS", "verification.voided DENIED STORE_UNAVAILABLE"}},
	{cause: "store down", kind: many, by: "bank", call: down(batchAs(bank, "g")),
		own: "verification.batch SUCCESS", records: []string{"verification.batch_item FAILED STORE_UNAVAILABLE", "verification.batch SUCCESS"},
		items: []string{"STORE_UNAVAILABLE"}},
	{cause: "store down at the commit", kind: many, by: "bank", call: atCommit(batchAs(bank, "h")),
		own:     "verification.batch SUCCESS",
		records: []string{"verification.batch_item SUCCESS", "verification.voided DENIED STORE_UNAVAILABLE", "verification.batch SUCCESS"},
		items:   []string{"STORE_UNAVAILABLE"}},
	{cause: "store down", kind: upload, by: servertest.System, call: down(importAs(system)), code: codes.Unavailable, reason: "STORE_UNAVAILABLE", handling: "RETRY_SAME_ID",
		own: "dataset.imported FAILED STORE_UNAVAILABLE", records: []string{"stream.opened SUCCESS", "dataset.imported FAILED STORE_UNAVAILABLE"}},
	{cause: "store down", kind: tail, by: servertest.Audit, call: down(listAs(audit)), code: codes.Unavailable, reason: "STORE_UNAVAILABLE", handling: "RETRY_SAME_ID",
		own: "log.listed FAILED STORE_UNAVAILABLE", records: []string{"stream.opened SUCCESS", "log.listed FAILED STORE_UNAVAILABLE"}},
	{cause: "store down", kind: export, by: servertest.Audit, call: down(exportAs(audit)), code: codes.Unavailable, reason: "STORE_UNAVAILABLE", handling: "RETRY_SAME_ID",
		own: "log.exported FAILED STORE_UNAVAILABLE", records: []string{"stream.opened SUCCESS", "log.exported FAILED STORE_UNAVAILABLE"}},

	{cause: "log down", kind: unary, call: verifyAs(bank, "i"), code: codes.Unavailable, reason: "LOG_UNAVAILABLE", handling: "RETRY_SAME_ID"},
	{cause: "log down", kind: many, call: batchAs(bank, "i"), code: codes.Unavailable, reason: "LOG_UNAVAILABLE", handling: "RETRY_SAME_ID"},
	{cause: "log down", kind: upload, call: importAs(system), code: codes.Unavailable, reason: "LOG_UNAVAILABLE", handling: "RETRY_SAME_ID"},
	{cause: "log down", kind: tail, call: listAs(audit), code: codes.Unavailable, reason: "LOG_UNAVAILABLE", handling: "RETRY_SAME_ID"},
	{cause: "log down", kind: export, call: exportAs(audit), code: codes.Unavailable, reason: "LOG_UNAVAILABLE", handling: "RETRY_SAME_ID"},

	{cause: "ok", kind: unary, by: "bank", call: verifyAs(bank, "k"),
		own: "verification.verify SUCCESS", records: []string{"verification.verify SUCCESS"}},
	{cause: "ok", kind: many, by: "bank", call: batchAs(bank, "l"),
		own: "verification.batch SUCCESS", records: []string{"verification.batch_item SUCCESS", "verification.batch SUCCESS"}, items: []string{""}},
	{cause: "ok", kind: upload, by: servertest.System, call: importAs(system),
		own: "dataset.imported SUCCESS", records: []string{"stream.opened SUCCESS", "dataset.imported SUCCESS"}},
	{cause: "ok", kind: tail, by: servertest.Audit, call: listAs(audit),
		own: "log.listed SUCCESS", records: []string{"stream.opened SUCCESS", "log.listed SUCCESS"}},
	{cause: "ok", kind: export, by: servertest.Audit, call: exportAs(audit),
		own: "log.exported SUCCESS", records: []string{"stream.opened SUCCESS", "log.exported SUCCESS"}},
}

// atCommit makes a call whose answer the store does not take.
func atCommit(call func(w *world) (servertest.Seen, reply)) func(w *world) (servertest.Seen, reply) {
	return func(w *world) (servertest.Seen, reply) {
		w.store.Hook(func(method string) error {
			if method == "Commit" {
				return servertest.ErrDown()
			}
			return nil
		})
		defer w.store.Hook(nil)
		return call(w)
	}
}

// lapsed connects as an inspector whose binding has ended.
func lapsed(w *world) *grpc.ClientConn { return w.As(inspector) }

// TestOutcomes is the table of outcomes: every cell by one call.
func TestOutcomes(t *testing.T) {
	shared := newWorld(t, servertest.Options{})
	shared.Bind(role.Operator{ID: inspector, ReadOnly: true, ExpireTime: shared.Clock.Now(), Binding: role.Binding{Roles: role.Of(role.AuditAdmin)}})
	for _, c := range cells {
		t.Run(c.cause+c.kind, func(t *testing.T) {
			w := shared
			if c.cause == "log down" {
				w = newWorld(t, servertest.Options{})
				w.logDown()
			}
			c.check(t, w)
		})
	}
}

func (c *cell) check(t *testing.T, w *world) {
	from := w.Log.Size()
	seen, reply := c.call(w)
	if seen.Code != c.code || seen.Reason != c.reason || seen.Handling != c.handling {
		t.Errorf("answered %v %q %q, want %v %q %q: %v", seen.Code, seen.Reason, seen.Handling, c.code, c.reason, c.handling, seen.Err)
	}
	if refused := c.code != codes.OK; refused != (reply.messages == 0) {
		t.Errorf("%d messages left with %v", reply.messages, seen.Code)
	}
	if c.reason != "" && seen.Domain != "heyan" {
		t.Errorf("domain %q", seen.Domain)
	}
	c.checkItems(t, w, reply.items)
	records := w.Calls(from)
	if got := servertest.Brief(records); !slices.Equal(got, c.records) {
		t.Errorf("records:\n%q, want\n%q", got, c.records)
	}
	for _, r := range records {
		if r.Actor.ID != c.by || r.Action != c.kind || r.Session == "" || !r.Source.IP.IsLoopback() || r.Source.Port == 0 {
			t.Errorf("%v is of %q calling %q, from %v", r.Event, r.Actor.ID, r.Action, r.Source)
		}
	}
	if (seen.Entry != "") != (c.own != "") {
		t.Fatalf("trailer %q, want one: %v", seen.Entry, c.own != "")
	}
	if c.own != "" {
		own := w.Open(seen.Entry)
		if got := servertest.Brief([]record.Record{own})[0]; got != c.own || own.Actor.ID != c.by || own.Action != c.kind || own.Outcome.Code != uint32(c.code) {
			t.Errorf("the trailer names %q of %q calling %q with code %d, want %q", got, own.Actor.ID, own.Action, own.Outcome.Code, c.own)
		}
	}
	if c.cause == "log down" {
		checkLogDown(t, w, reply)
	}
}

// checkItems compares the items of a batch: each refusal names its record.
func (c *cell) checkItems(t *testing.T, w *world, items []*heyanv1.BatchVerifyResponse_Item) {
	t.Helper()
	if len(items) != len(c.items) {
		t.Fatalf("%d items, want %d", len(items), len(c.items))
	}
	for i, item := range items {
		reason, entry := itemRefusal(item)
		if reason != c.items[i] {
			t.Errorf("item %d: %q, want %q", i, reason, c.items[i])
		}
		if reason == "" {
			p := item.GetResponse().GetVerification().GetLogEntry()
			entry = servertest.Entry(p)
		}
		own := w.Open(entry)
		if own.Outcome.Reason != reason || own.Actor.ID != c.by {
			t.Errorf("item %d names a record %v %q of %q", i, own.Event, own.Outcome.Reason, own.Actor.ID)
		}
	}
}

// checkLogDown: nothing left, nothing will, and health says so.
func checkLogDown(t *testing.T, w *world, r reply) {
	t.Helper()
	if len(r.header.Get("content-type")) > 0 && r.messages > 0 {
		t.Error("a response left")
	}
	// Health is set by a goroutine that waits for the log's end.
	for deadline := time.Now().Add(10 * time.Second); serving(t, w.anonymous) != healthv1.HealthCheckResponse_NOT_SERVING; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("health still says SERVING")
		}
	}
	fresh := w.As(servertest.Security) // a connection that was not seen before
	if got := serving(t, fresh); got != healthv1.HealthCheckResponse_NOT_SERVING {
		t.Errorf("health to an operator: %v", got)
	}
	for name, again := range map[string]func(*world) (servertest.Seen, reply){
		"client": verifyAs(bank, "z"), "auditor": listAs(audit), "policies for anybody": policies,
	} {
		seen, reply := again(w)
		if seen.Code != codes.Unavailable || seen.Reason != "LOG_UNAVAILABLE" || seen.Entry != "" || reply.messages > 0 {
			t.Errorf("%s: %v %q with trailer %q and %d messages", name, seen.Code, seen.Reason, seen.Entry, reply.messages)
		}
	}
	if w.Log.Healthy() == nil {
		t.Error("the log says that it works")
	}
}
