package server_test

import (
	"context"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/server/servertest"
	"github.com/heyan-project/heyan/store/netlog/record"
)

// raw sends bytes as they are.
type raw struct{}

func (raw) Name() string { return "proto" }

func (raw) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(v.([]byte))}, nil
}

func (raw) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*[]byte) = data.Materialize()
	return nil
}

// send makes a unary call with bytes for a request.
func send(conn *grpc.ClientConn, method string, body []byte, options ...grpc.CallOption) servertest.Seen {
	return servertest.See(func(ctx context.Context, o ...grpc.CallOption) error {
		var answer []byte
		return conn.Invoke(ctx, method, body, &answer, append(append(o, options...), grpc.ForceCodecV2(raw{}))...)
	})
}

// Bytes that are no request of Verify.
var (
	seventh    = protowire.AppendBytes(protowire.AppendTag(nil, 2, protowire.BytesType), protowire.AppendString(protowire.AppendTag(nil, 7, protowire.BytesType), "x@example.cn"))
	enumBeyond = protowire.AppendVarint(protowire.AppendTag(nil, 7, protowire.VarintType), 4711)
	notUTF8    = protowire.AppendBytes(protowire.AppendTag(nil, 3, protowire.BytesType), []byte{0xff, 0xfe})
	broken     = []byte{0x0a, 0xff}
	oversized  = protowire.AppendBytes(protowire.AppendTag(nil, 3, protowire.BytesType), make([]byte, 10<<20))
)

// TestChainOrder: of two gates that would both refuse, the earlier one answers, and what is known by then is on
// the record.
func TestChainOrder(t *testing.T) {
	w := newWorld(t, servertest.Options{})
	draining := func(call func() servertest.Seen) func() servertest.Seen {
		return func() servertest.Seen {
			w.SetDraining(true)
			defer w.SetDraining(false)
			return call()
		}
	}
	for _, c := range []struct {
		name, actor string
		call        func() servertest.Seen
		code        codes.Code
		reason      string
		record      string // empty: counted, not recorded
	}{
		{"identity before message", "", func() servertest.Seen { return send(w.anonymous, unary, broken) },
			codes.Unauthenticated, "CREDENTIAL_MISSING", ""},
		{"message before role", servertest.Audit, func() servertest.Seen { return send(w.audit, unary, broken) },
			codes.InvalidArgument, "REQUEST_MALFORMED", "rpc.malformed DENIED REQUEST_MALFORMED"},
		{"unknown field before role", servertest.Audit, func() servertest.Seen { return send(w.audit, unary, seventh) },
			codes.InvalidArgument, "FIELD_OUTSIDE_CEILING", "rpc.unknown_field DENIED FIELD_OUTSIDE_CEILING"},
		{"MV-1.1-ceiling", "bank", func() servertest.Seen { return send(w.bank.Conn, unary, seventh) },
			codes.InvalidArgument, "FIELD_OUTSIDE_CEILING", "rpc.unknown_field DENIED FIELD_OUTSIDE_CEILING"},
		{"unknown enum number", "bank", func() servertest.Seen { return send(w.bank.Conn, unary, enumBeyond) },
			codes.InvalidArgument, "FIELD_OUTSIDE_CEILING", "rpc.unknown_field DENIED FIELD_OUTSIDE_CEILING"},
		{"no UTF-8", "bank", func() servertest.Seen { return send(w.bank.Conn, unary, notUTF8) },
			codes.InvalidArgument, "REQUEST_MALFORMED", "rpc.malformed DENIED REQUEST_MALFORMED"},
		{"ten MiB", "bank", func() servertest.Seen { return send(w.bank.Conn, unary, oversized) },
			codes.InvalidArgument, "REQUEST_TOO_LARGE", "rpc.oversized DENIED REQUEST_TOO_LARGE"},
		{"method before message", "bank", func() servertest.Seen { return send(w.bank.Conn, "/heyan.v1.VerificationService/Guess", broken) },
			codes.Unimplemented, "METHOD_UNKNOWN", "rpc.unknown_method FAILED METHOD_UNKNOWN"},
		{"service unknown", servertest.System, func() servertest.Seen { return send(w.system, "/secret.Service/13800138000", nil) },
			codes.Unimplemented, "METHOD_UNKNOWN", "rpc.unknown_method FAILED METHOD_UNKNOWN"},
		{"method before identity", "", func() servertest.Seen { return send(w.anonymous, "/heyan.v1.VerificationService/Guess", nil) },
			codes.Unimplemented, "METHOD_UNKNOWN", ""},
		{"draining before message and role", servertest.Audit, draining(func() servertest.Seen { return send(w.audit, unary, broken) }),
			codes.Unavailable, "SHUTTING_DOWN", "verification.verify FAILED SHUTTING_DOWN"},
		{"draining refuses streams", servertest.Audit, draining(func() servertest.Seen { s, _ := list(w.audit, nil); return s }),
			codes.Unavailable, "SHUTTING_DOWN", "log.listed FAILED SHUTTING_DOWN"},
		{"draining leaves health", "", draining(func() servertest.Seen { return invoke(w.anonymous, "/grpc.health.v1.Health/Check", false) }), codes.OK, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			from := w.Log.Size()
			seen := c.call()
			if seen.Code != c.code || seen.Reason != c.reason {
				t.Errorf("answered %v %q, want %v %q: %v", seen.Code, seen.Reason, c.code, c.reason, seen.Err)
			}
			records := w.Calls(from)
			if c.record == "" {
				if len(records) > 0 || seen.Entry != "" {
					t.Errorf("recorded %q, trailer %q", servertest.Brief(records), seen.Entry)
				}
				return
			}
			if got := servertest.Brief(records); len(got) != 1 || got[0] != c.record {
				t.Fatalf("recorded %q, want %q", got, c.record)
			}
			if own := w.Open(seen.Entry); own.Actor.ID != c.actor || own.Outcome.Code != uint32(c.code) {
				t.Errorf("the trailer names a record of %q with code %d", own.Actor.ID, own.Outcome.Code)
			}
			if records[0].Event == record.RPCUnknownMethod && records[0].Action != "" {
				t.Errorf("a name that the caller made up is on record: %q", records[0].Action)
			}
		})
	}
}

// TestMessageInAStream: a message of a stream is checked like any other, and the stream's record says so.
func TestMessageInAStream(t *testing.T) {
	w := newWorld(t, servertest.Options{})
	from := w.Log.Size()
	seen := servertest.See(func(ctx context.Context, options ...grpc.CallOption) error {
		stream, err := w.system.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true}, upload, append(options, grpc.ForceCodecV2(raw{}))...)
		must(t, err)
		header, err := proto.Marshal(w.ImportHeader())
		must(t, err)
		must(t, stream.SendMsg(header))
		must(t, stream.SendMsg(protowire.AppendVarint(protowire.AppendTag(nil, 99, protowire.VarintType), 1)))
		var answer []byte
		return stream.RecvMsg(&answer)
	})
	if seen.Reason != "FIELD_OUTSIDE_CEILING" {
		t.Errorf("answered %v %q", seen.Code, seen.Reason)
	}
	if got := servertest.Brief(w.Calls(from)); len(got) != 2 || got[1] != "rpc.unknown_field DENIED FIELD_OUTSIDE_CEILING" {
		t.Errorf("recorded %q", got)
	}
}

// TestCredentials: what a caller presents, and whom that makes it.
func TestCredentials(t *testing.T) {
	w := newWorld(t, servertest.Options{})
	shop := w.Furnish("shop", "id2")
	bearer := func(keys ...string) metadata.MD {
		md := metadata.MD{}
		for _, key := range keys {
			md.Append("authorization", "Bearer "+key)
		}
		return md
	}
	certificate := w.WithCertificate("spiffe://heyan/operator/" + servertest.System)
	stranger := w.WithCertificate("spiffe://heyan/operator/nobody")
	for _, c := range []struct {
		name         string
		conn         *grpc.ClientConn
		md           metadata.MD
		reason, know string // know: whom the record names; empty = a stranger, who is counted
	}{
		{"a key", w.anonymous, bearer(shop.Key), "", "shop"},
		{"a certificate of one and a key of another", certificate, bearer(shop.Key), "CREDENTIAL_INVALID", ""},
		{"two keys", w.anonymous, bearer(shop.Key, w.bank.Key), "CREDENTIAL_INVALID", ""},
		{"the same key twice", w.anonymous, bearer(shop.Key, shop.Key), "CREDENTIAL_INVALID", ""},
		{"a key with a wrong character", w.anonymous, bearer(shop.Key[:len(shop.Key)-3] + "AAA"), "CREDENTIAL_INVALID", ""},
		{"a certificate that nobody is bound to", stranger, nil, "CREDENTIAL_INVALID", ""},
		{"such a certificate beside a key", stranger, bearer(shop.Key), "", "shop"},
		{"basic authentication", w.anonymous, metadata.Pairs("authorization", "Basic "+shop.Key), "CREDENTIAL_INVALID", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			from := w.Log.Size()
			seen := servertest.See(func(ctx context.Context, options ...grpc.CallOption) error {
				ctx = metadata.NewOutgoingContext(ctx, c.md)
				_, err := heyanv1.NewCatalogServiceClient(c.conn).GetAccount(ctx, &heyanv1.GetAccountRequest{}, options...)
				return err
			})
			records := w.Calls(from)
			if seen.Reason != c.reason || (seen.Entry != "") != (c.know != "") {
				t.Errorf("answered %v %q, trailer %q", seen.Code, seen.Reason, seen.Entry)
			}
			switch {
			case c.know == "" && len(records) > 0:
				t.Errorf("recorded %q", servertest.Brief(records))
			case c.know != "" && (len(records) != 1 || records[0].Actor.ID != c.know):
				t.Errorf("recorded %q", servertest.Brief(records))
			}
		})
	}
	t.Run("an expired key", func(t *testing.T) {
		w.Clock.Set(w.Clock.Now().AddDate(2, 0, 0))
		from := w.Log.Size()
		seen, _ := verify(w.bank.Conn, w.Request("late", 1))
		if seen.Code != codes.Unauthenticated || seen.Reason != "CREDENTIAL_EXPIRED" {
			t.Errorf("answered %v %q", seen.Code, seen.Reason)
		}
		if got := servertest.Brief(w.Calls(from)); len(got) != 1 || got[0] != "auth.failed DENIED CREDENTIAL_EXPIRED" || w.Open(seen.Entry).Actor.ID != "bank" {
			t.Errorf("recorded %q", got)
		}
	})
}

// TestRateLimit: a client's calls a second are bounded, and each refusal says when to come back.
func TestRateLimit(t *testing.T) {
	w := newWorld(t, servertest.Options{Rate: 5})
	stopped := w.Clock.Freeze() // no token comes back while the calls are made
	defer stopped()
	reasons := map[string]int{}
	var refused servertest.Seen
	for range 30 {
		seen, _ := verify(w.bank.Conn, spoilt(w, "r"))
		if reasons[seen.Reason]++; seen.Reason == "RATE_LIMITED" {
			refused = seen
		}
	}
	if reasons["RATE_LIMITED"] < 20 || reasons["FIELD_MALFORMED"] == 0 || len(reasons) != 2 {
		t.Errorf("answers %v", reasons)
	}
	if own := w.Open(refused.Entry); refused.Code != codes.ResourceExhausted || own.Event != record.RateLimited || own.Actor.ID != "bank" {
		t.Errorf("refused with %v, recorded %v of %q", refused.Code, own.Event, own.Actor.ID)
	}
	if seen := invoke(w.system, heyanv1.AdminService_ListClients_FullMethodName, false); seen.Code != codes.OK {
		t.Errorf("an operator is limited too: %v", seen.Err)
	}
	stopped()
	w.Clock.Set(w.Clock.Now().Add(time.Second))
	if seen, _ := verify(w.bank.Conn, w.Request("after", 1)); seen.Code != codes.OK {
		t.Errorf("a second later: %v", seen.Err)
	}
}
