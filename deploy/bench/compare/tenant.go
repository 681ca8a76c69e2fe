package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/heyan-project/heyan/deploy/bench/internal/job"
	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/server/pki"
)

// The people who run the measured server, and its only client.
const (
	system    = "system"
	security  = "security"
	auditor   = "auditor"
	client    = "bench"
	clientURI = "spiffe://heyan/client/bench"
	notice    = "onboarding"
	dataset   = "people"
	productID = "id2"
)

const purpose = heyanv1.Purpose_PURPOSE_ACCOUNT_OPENING

// dial connects to the measured server as the holder of a certificate.
func (h *heyan) dial(name string, options ...grpc.DialOption) (*grpc.ClientConn, error) {
	c := h.credentials(name)
	pair, err := tls.LoadX509KeyPair(c.Certificate, c.Key)
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(c.CA)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, errors.New("no certificate of a CA")
	}
	creds := credentials.NewTLS(&tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{pair}, RootCAs: pool})
	return grpc.NewClient(h.address, append(options, grpc.WithTransportCredentials(creds))...)
}

// credentials are the files of a certificate below certs/.
func (h *heyan) credentials(name string) job.Credentials {
	file := func(name string) string { return filepath.Join(h.home, "certs", name) }
	return job.Credentials{CA: file("ca.pem"), Certificate: file(name + ".pem"), Key: file(name + ".key")}
}

// issue makes the client's certificate, and returns the digest of its CA.
func (h *heyan) issue() ([]byte, error) {
	files := h.credentials(client)
	certificate, err := os.ReadFile(files.CA)
	if err != nil {
		return nil, err
	}
	key, err := os.ReadFile(h.credentials("ca").Key)
	if err != nil {
		return nil, err
	}
	ca, err := pki.Load(certificate, key, rand.Reader)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	issued, err := ca.Issue(pki.Leaf{Name: client, URI: clientURI, NotBefore: now, NotAfter: now.Add(24 * time.Hour)})
	if err != nil {
		return nil, err
	}
	if err := errors.Join(os.WriteFile(files.Certificate, issued.Certificate, 0o600), os.WriteFile(files.Key, issued.Key, 0o600)); err != nil {
		return nil, err
	}
	return hex.DecodeString(ca.SHA256())
}

// furnish registers the client with its certificate, sells it the product, and registers its notice.
func (h *heyan) furnish(ctx context.Context) error {
	issuer, err := h.issue()
	if err != nil {
		return err
	}
	var conns [3]*grpc.ClientConn
	for i, name := range []string{system, security, client} {
		if conns[i], err = h.dial(name); err != nil {
			return err
		}
		defer conns[i].Close()
	}
	admin, access, consents := heyanv1.NewAdminServiceClient(conns[0]), heyanv1.NewAccessServiceClient(conns[1]), heyanv1.NewConsentServiceClient(conns[2])
	text := sha256.Sum256([]byte("a notice of invented people"))
	for _, act := range []func() error{
		func() error {
			_, err := admin.CreateClient(ctx, &heyanv1.CreateClientRequest{
				Client: &heyanv1.Client{Id: client, DisplayName: "Benchmark", Establishment: "CN"}}, grpc.WaitForReady(true))
			return err
		},
		func() error {
			_, err := admin.IssueCredential(ctx, &heyanv1.IssueCredentialRequest{Client: client, Label: "load generator",
				Kind: heyanv1.Credential_KIND_CERTIFICATE, IssuerSha256: issuer, SubjectAltName: clientURI})
			return err
		},
		func() error {
			_, err := access.SetEntitlement(ctx, &heyanv1.SetEntitlementRequest{Entitlement: &heyanv1.Entitlement{
				Client: client, Product: productID, Purposes: []heyanv1.Purpose{purpose}, Detail: true, ContractRef: "C-1",
				HandlerRole: heyanv1.Entitlement_HANDLER_ROLE_HANDLER, ExpireTime: timestamppb.New(time.Now().AddDate(1, 0, 0))}})
			return err
		},
		func() error {
			_, err := consents.CreateNotice(ctx, &heyanv1.CreateNoticeRequest{Notice: &heyanv1.Notice{
				Id: notice, TextSha256: text[:], Version: "1", LifetimeDays: 365, Purposes: []heyanv1.Purpose{purpose},
				Fields: []heyanv1.Field{heyanv1.Field_FIELD_NAME, heyanv1.Field_FIELD_ID_NUMBER},
				SeparateConsents: []heyanv1.SeparateConsent{heyanv1.SeparateConsent_SEPARATE_CONSENT_PROVIDE_TO_HANDLER,
					heyanv1.SeparateConsent_SEPARATE_CONSENT_SENSITIVE_PI}}})
			return err
		},
	} {
		if err := act(); err != nil {
			return err
		}
	}
	return nil
}
