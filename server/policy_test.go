package server_test

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/server"
	"github.com/heyan-project/heyan/server/servertest"
	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/verifier/role"
)

// TestPolicyIsComplete: every registered method has a row, every row a method and an event.
func TestPolicyIsComplete(t *testing.T) {
	w := newWorld(t, servertest.Options{})
	policy, pinned := server.Policy(), pinnedRoles(t)
	registered := map[string]bool{}
	for service, info := range w.GRPC() {
		for _, m := range info.Methods {
			method := "/" + service + "/" + m.Name
			registered[method] = true
			r, ok := policy[method]
			if !ok || !r.Event.Valid() || r.Roles == 0 && !r.Anonymous {
				t.Errorf("%s has no whole row in the policy: %+v", method, r)
			}
			if stream := m.IsClientStream || m.IsServerStream; stream != r.Stream {
				t.Errorf("%s is a stream: %v, by the policy: %v", method, stream, r.Stream)
			}
			if _, ok := pinned[method]; !ok {
				t.Errorf("%s has no row in testdata/roles.txt", method)
			}
		}
	}
	for method := range policy {
		if !registered[method] {
			t.Errorf("%s is in the policy and not registered", method)
		}
	}
	for method := range pinned {
		if !registered[method] {
			t.Errorf("%s is in testdata/roles.txt and not registered", method)
		}
	}
}

// pinnedRoles reads testdata/roles.txt: method → column → may call.
func pinnedRoles(t *testing.T) map[string]map[string]bool {
	t.Helper()
	text, err := os.ReadFile("testdata/roles.txt")
	must(t, err)
	table := map[string]map[string]bool{}
	for line := range strings.Lines(string(text)) {
		cells := strings.Fields(line)
		if len(cells) == 0 || cells[0] == "#" || cells[0] == "method" {
			continue
		}
		row := map[string]bool{}
		for i, column := range callers {
			switch cells[1+i] {
			case "x", ".":
				row[column] = cells[1+i] == "x"
			default:
				t.Fatalf("%s: a cell is neither x nor a dot", cells[0])
			}
		}
		table[cells[0]] = row
	}
	return table
}

// callers are the columns of testdata/roles.txt.
var callers = []string{"client", "system_admin", "security_admin", "audit_admin", "privacy_officer", "inspector", "nobody"}

// whole are requests of methods that refuse an empty one with ROLE_REQUIRED of their own: which role may do
// more than stop something, the handler decides.
func whole(method string) proto.Message {
	if method == heyanv1.AdminService_UpdateClient_FullMethodName {
		return &heyanv1.UpdateClientRequest{Client: &heyanv1.Client{Id: "nobody-of-that-name", State: heyanv1.Client_STATE_SUSPENDED},
			UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"state"}}, Reason: "test"}
	}
	return &emptypb.Empty{}
}

// invoke calls any method, and reads of a stream what comes until it ends or is silent.
func invoke(conn *grpc.ClientConn, method string, stream bool) servertest.Seen {
	return servertest.See(func(ctx context.Context, options ...grpc.CallOption) error {
		if !stream {
			return conn.Invoke(ctx, method, whole(method), &emptypb.Empty{}, options...)
		}
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		s, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, method, options...)
		if err != nil {
			return err
		}
		_ = s.SendMsg(whole(method))
		_ = s.CloseSend()
		err = s.RecvMsg(&emptypb.Empty{})
		endless := err == nil && strings.HasSuffix(method, "/Watch")
		if endless {
			cancel()
		}
		for err == nil { // to its end, which is when gRPC writes the trailer
			err = s.RecvMsg(&emptypb.Empty{})
		}
		if endless || errors.Is(err, io.EOF) {
			return nil
		}
		return err
	})
}

// TestRoles calls every method as every role: what is not granted is ROLE_REQUIRED and one DENIED record, what
// is granted leaves a record with the method's event.
func TestRoles(t *testing.T) {
	w := newWorld(t, servertest.Options{})
	conns := map[string]*grpc.ClientConn{"client": w.bank.Conn, "nobody": w.anonymous}
	ids := map[string]string{"client": "bank"}
	for _, r := range []role.Role{role.SystemAdmin, role.SecurityAdmin, role.AuditAdmin, role.PrivacyOfficer} {
		id := "pure-" + strings.ReplaceAll(r.String(), "_", "-")
		w.Bind(role.Operator{ID: id, Binding: role.Binding{Roles: role.Of(r)}})
		conns[r.String()], ids[r.String()] = w.As(id), id
	}
	w.Bind(role.Operator{ID: inspector, ReadOnly: true, ExpireTime: w.Clock.Now().Add(24 * time.Hour), Binding: role.Binding{Roles: role.Of(role.AuditAdmin)}})
	conns["inspector"], ids["inspector"] = w.As(inspector), inspector

	policy := server.Policy()
	for method, row := range pinnedRoles(t) {
		for _, caller := range callers {
			t.Run("SO-2.1-roles-audit"+method+"/"+caller, func(t *testing.T) {
				from := w.Log.Size()
				seen := invoke(conns[caller], method, policy[method].Stream)
				records := w.Calls(from)
				switch {
				case caller == "nobody":
					checkNobody(t, seen, records, row[caller])
				case row[caller]:
					checkGranted(t, seen, records, policy[method], ids[caller])
				default:
					checkDenied(t, seen, records, method, ids[caller])
				}
			})
		}
	}
}

func checkNobody(t *testing.T, seen servertest.Seen, records []record.Record, granted bool) {
	t.Helper()
	if refused := seen.Code == codes.Unauthenticated && seen.Reason == "CREDENTIAL_MISSING"; refused == granted {
		t.Errorf("answered %v %q", seen.Code, seen.Reason)
	}
	if len(records) > 0 || seen.Entry != "" {
		t.Errorf("nobody left %q, trailer %q", servertest.Brief(records), seen.Entry)
	}
}

func checkDenied(t *testing.T, seen servertest.Seen, records []record.Record, method, id string) {
	t.Helper()
	if seen.Code != codes.PermissionDenied || seen.Reason != "ROLE_REQUIRED" || seen.Entry == "" {
		t.Errorf("answered %v %q, trailer %q", seen.Code, seen.Reason, seen.Entry)
	}
	if len(records) != 1 {
		t.Fatalf("records %q, want one", servertest.Brief(records))
	}
	r := records[0]
	if r.Event != record.RPCDenied || r.Outcome.Kind != record.Denied || r.Outcome.Code != uint32(codes.PermissionDenied) || r.Action != method || r.Actor.ID != id {
		t.Errorf("recorded %v %v %d, %q calling %q", r.Event, r.Outcome.Kind, r.Outcome.Code, r.Actor.ID, r.Action)
	}
}

func checkGranted(t *testing.T, seen servertest.Seen, records []record.Record, rule server.Rule, id string) {
	t.Helper()
	if seen.Reason == "ROLE_REQUIRED" || seen.Code == codes.Unauthenticated || seen.Code == codes.Unimplemented || seen.Code == codes.Internal {
		t.Errorf("answered %v %q: %v", seen.Code, seen.Reason, seen.Err)
	}
	if rule.Quiet {
		if len(records) > 0 || seen.Entry != "" {
			t.Errorf("a quiet method left %q, trailer %q", servertest.Brief(records), seen.Entry)
		}
		return
	}
	if rule.Stream {
		if len(records) == 0 || records[0].Event != record.StreamOpened {
			t.Fatalf("records %q do not begin with the stream's opening", servertest.Brief(records))
		}
		records = records[1:]
	}
	if len(records) != 1 || records[0].Actor.ID != id {
		t.Fatalf("records %q, want one", servertest.Brief(records))
	}
	want := rule.Event
	if want == record.ClientUpdated {
		want = record.ClientSuspended // which is what was asked for
	}
	if records[0].Event != want {
		t.Errorf("recorded %v, want %v", records[0].Event, want)
	}
}
