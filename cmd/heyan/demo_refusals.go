package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/heyan-project/heyan/cmd/heyan/internal/dial"
	"github.com/heyan-project/heyan/cmd/heyan/internal/profile"
	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/server/pki"
)

// refusals are requests that are wrong in themselves.
func (d *demo) refusals(ctx context.Context) error {
	everything := d.cases.Everything
	row := everything.Rows()[0]
	change := func(what, want string, edit func(*heyanv1.VerifyRequest)) {
		r := d.request("id2", everything)
		edit(r)
		d.expectVerify("refusals", what, want, r)
	}
	change("a field that the product does not use", "FIELD_NOT_IN_PRODUCT", func(r *heyanv1.VerifyRequest) { r.Fields.PhoneNumber = &row.Phone })
	change("a missing field", "FIELD_MISSING", func(r *heyanv1.VerifyRequest) { r.Fields.IdNumber = nil })
	change("an empty field", "FIELD_MISSING", func(r *heyanv1.VerifyRequest) { r.Fields.IdNumber = proto.String("") })
	change("a wrong check digit", "FIELD_MALFORMED", func(r *heyanv1.VerifyRequest) { r.Fields.IdNumber = proto.String(spoil(row.ID)) })
	change("a product that is not in the catalogue", "PRODUCT_NOT_ENTITLED", func(r *heyanv1.VerifyRequest) { r.Product = "face2" })
	change("a purpose that was not bought", "PURPOSE_NOT_ENTITLED", func(r *heyanv1.VerifyRequest) { r.Purpose = heyanv1.Purpose_PURPOSE_PAYMENT })
	change("no request_id", "FIELD_MISSING", func(r *heyanv1.VerifyRequest) { r.RequestId = "" })
	change("a request_id with spaces", "REQUEST_MALFORMED", func(r *heyanv1.VerifyRequest) { r.RequestId = "a b" })
	change("a value of 10 MiB", "REQUEST_TOO_LARGE", func(r *heyanv1.VerifyRequest) { r.Fields.Name = proto.String(strings.Repeat("王", 10<<20/3)) })
	d.rawRefusals(ctx)

	shop := heyanv1.NewVerificationServiceClient(d.other)
	_, err := shop.Verify(ctx, d.request("phone2", everything))
	d.refused("refusals", "a product that this client did not buy", "PRODUCT_NOT_ENTITLED", err, d.other)
	own, err := d.verify(d.request("id2", everything))
	if err != nil {
		return err
	}
	_, err = shop.GetVerification(ctx, &heyanv1.GetVerificationRequest{Id: own.GetId()})
	d.refused("refusals", "another client's verification, by its API key", "RESOURCE_NOT_FOUND", err, d.other)
	_, err = heyanv1.NewVerificationServiceClient(d.client).BatchVerify(ctx, &heyanv1.BatchVerifyRequest{Requests: make([]*heyanv1.VerifyRequest, 1001)})
	d.refused("refusals", "a batch of 1001", "REQUEST_TOO_LARGE", err, d.client)
	return nil
}

// spoil changes the check character of an ID number.
func spoil(id string) string {
	last := byte('0')
	if id[len(id)-1] == '0' {
		last = '1'
	}
	return id[:len(id)-1] + string(last)
}

// rawRefusals sends bytes that no generated client would send.
func (d *demo) rawRefusals(ctx context.Context) {
	good, err := proto.Marshal(d.request("id2", d.cases.Everything))
	if err != nil {
		return
	}
	seventh := protowire.AppendString(protowire.AppendTag(nil, 7, protowire.BytesType), "x@example.cn")
	nested := protowire.AppendBytes(protowire.AppendTag(nil, 2, protowire.BytesType), seventh)
	enum := protowire.AppendVarint(protowire.AppendTag(nil, 7, protowire.VarintType), 4711)
	invalid := protowire.AppendBytes(protowire.AppendTag(nil, 3, protowire.BytesType), []byte{0xff, 0xfe})
	for _, c := range []struct {
		what, want string
		extra      []byte
	}{
		{"a seventh field, smuggled in", "FIELD_OUTSIDE_CEILING", nested},
		{"an unknown enum number", "FIELD_OUTSIDE_CEILING", enum},
		{"an unknown member", "FIELD_OUTSIDE_CEILING", protowire.AppendVarint(protowire.AppendTag(nil, 99, protowire.VarintType), 1)},
		{"invalid UTF-8", "REQUEST_MALFORMED", invalid},
		{"bytes that are no message", "REQUEST_MALFORMED", []byte{0x0a, 0xff}},
	} {
		var reply []byte
		body := append(append([]byte{}, good...), c.extra...)
		err := d.client.Invoke(ctx, heyanv1.VerificationService_Verify_FullMethodName, body, &reply, grpc.ForceCodecV2(rawCodec{}))
		d.refused("refusals", c.what, c.want, err, d.client)
	}
}

// rawCodec sends bytes as they are.
type rawCodec struct{}

func (rawCodec) Name() string { return "proto" }

func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(v.([]byte))}, nil
}

func (rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*[]byte) = data.Materialize()
	return nil
}

// transportRefusals are callers that prove nothing.
func (d *demo) transportRefusals(ctx context.Context) error {
	ca := filepath.Join(d.home, "certs", "ca.pem")
	anonymous, err := dial.Open(profile.Layer{Profile: profile.Profile{Address: d.address, CAFile: ca}}, buildVersion())
	if err != nil {
		return err
	}
	defer anonymous.Close()
	_, err = heyanv1.NewVerificationServiceClient(anonymous).Verify(ctx, d.request("id2", d.cases.Everything))
	d.refused("callers", "no credential", "CREDENTIAL_MISSING", err, anonymous)
	_, err = heyanv1.NewCatalogServiceClient(anonymous).ListPolicies(ctx, &heyanv1.ListPoliciesRequest{})
	d.add("callers", "policies are public", "OK", status.Code(err).String(), "")

	forged, err := dial.Open(profile.Layer{Profile: profile.Profile{Address: d.address, CAFile: ca}, APIKey: "heyan_live_" + strings.Repeat("A", 70)}, buildVersion())
	if err != nil {
		return err
	}
	defer forged.Close()
	_, err = heyanv1.NewVerificationServiceClient(forged).Verify(ctx, d.request("id2", d.cases.Everything))
	d.refused("callers", "an API key that was never issued", "CREDENTIAL_INVALID", err, forged)

	_, err = heyanv1.NewLogServiceClient(d.crew.system).GetCheckpoint(ctx, &heyanv1.GetCheckpointRequest{})
	d.refused("callers", "the system administrator reads the log", "ROLE_REQUIRED", err, d.crew.system)
	_, err = heyanv1.NewVerificationServiceClient(d.crew.audit).Verify(ctx, d.request("id2", d.cases.Everything))
	d.refused("callers", "the auditor verifies", "ROLE_REQUIRED", err, d.crew.audit)
	d.add("callers", "a certificate of another CA", "closed", d.handshake(ctx, d.foreign, 24*time.Hour), "")
	d.add("callers", "an expired certificate", "closed", d.handshake(ctx, d.own, -time.Hour), "")
	d.add("callers", "a plaintext dial", "closed", d.plaintext(), "")
	return nil
}

func (d *demo) foreign() (*pki.Authority, error) { return pki.New("somebody else", d.Now(), d.Rand) }

func (d *demo) own() (*pki.Authority, error) {
	certificate, err := os.ReadFile(filepath.Join(d.home, "certs", "ca.pem"))
	if err != nil {
		return nil, err
	}
	key, err := os.ReadFile(filepath.Join(d.home, "certs", "ca.key"))
	if err != nil {
		return nil, err
	}
	return pki.Load(certificate, key, d.Rand)
}

// handshake presents a certificate that has to be refused, and says what came of it.
func (d *demo) handshake(ctx context.Context, authority func() (*pki.Authority, error), life time.Duration) string {
	ca, err := authority()
	if err != nil {
		return err.Error()
	}
	own, err := d.own()
	if err != nil {
		return err.Error()
	}
	issued, err := ca.Issue(pki.Leaf{Name: "mallory", URI: "spiffe://heyan/operator/" + devAudit, NotBefore: d.Now().Add(-48 * time.Hour), NotAfter: d.Now().Add(life)})
	if err != nil {
		return err.Error()
	}
	pair, err := issued.TLS()
	if err != nil {
		return err.Error()
	}
	// Presented whatever CAs the server names: a polite client would keep a certificate of another one back.
	present := func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	config := &tls.Config{RootCAs: own.Pool(), GetClientCertificate: present, MinVersion: tls.VersionTLS13, NextProtos: []string{"h2"}}
	conn, err := (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", d.address)
	if err != nil {
		return "closed"
	}
	defer conn.Close()
	// Under TLS 1.3 the client learns of a refused certificate with its first read.
	_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := conn.Read(make([]byte, 1)); err != nil {
		return "closed"
	}
	return "open"
}

// plaintext speaks HTTP to the TLS port.
func (d *demo) plaintext() string {
	conn, err := net.DialTimeout("tcp", d.address, 5*time.Second)
	if err != nil {
		return err.Error()
	}
	defer conn.Close()
	fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: heyan\r\n\r\n")
	_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	answer := make([]byte, 64)
	for {
		n, err := conn.Read(answer)
		if err != nil {
			return "closed"
		}
		if strings.HasPrefix(string(answer[:n]), "HTTP/1.1 200") {
			return "answered"
		}
	}
}

// adminRefusals are what administrators may not do.
func (d *demo) adminRefusals(ctx context.Context) error {
	admin := heyanv1.NewAdminServiceClient(d.crew.system)
	row := d.cases.Everything.Rows()[0]
	_, err := admin.CloseClient(ctx, &heyanv1.CloseClientRequest{Id: "demo-shop", Reason: "complaint of " + row.Phone})
	d.refused("operators", "a phone number in a reason", "FREE_TEXT_CARRIES_PII", err, d.crew.system)
	issue := &heyanv1.IssueCredentialRequest{Client: "demo-shop", Kind: heyanv1.Credential_KIND_API_KEY, Test: true, Label: "second key"}
	_, err = admin.IssueCredential(ctx, issue)
	reason, approval := reasonAndFact(err, "approval")
	d.add("operators", "a second credential, by one person", "APPROVAL_REQUIRED", reason, d.crew.system.LogEntry())
	err = approve(ctx, d.crew.system, approval)
	d.refused("operators", "approved by who asked", "SEPARATION_OF_DUTIES", err, d.crew.system)
	if err := approve(ctx, d.crew.security, approval); err != nil {
		return err
	}
	issue.Approval = approval
	_, err = admin.IssueCredential(ctx, issue)
	d.add("operators", "approved by a second person, then carried out", "OK", status.Code(err).String(), d.crew.system.LogEntry())
	if status.Code(err) != codes.OK {
		return nil
	}
	return d.badRows(ctx)
}

// badRows imports a file of which some rows are wrong.
func (d *demo) badRows(ctx context.Context) error {
	row := d.cases.Everything.Rows()[0]
	path := filepath.Join(d.home, "bad.csv")
	text := "name,id_number\n" + row.Name + "," + row.ID + "\n" + row.Name + "," + spoil(row.ID) + "\n" + row.Name + ",\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return err
	}
	var out, errs strings.Builder
	rejects := filepath.Join(d.home, "rejects.csv")
	d.within(ctx, d.home, nil, &out, &errs, "dataset", "import", "--profile", "system", "--dataset", "bad-rows", "--rejects", rejects, "-o", "json", path)
	written, err := os.ReadFile(rejects)
	if err != nil {
		return err
	}
	got := fmt.Sprintf("%d rejects", strings.Count(string(written), "\n")-1)
	if strings.Contains(string(written), row.Name) || strings.Contains(string(written), row.ID) {
		got = "values in the reject file"
	}
	d.add("operators", "a CSV with two bad rows", "2 rejects", got, "")
	return nil
}
