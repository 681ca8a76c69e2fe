package api

import (
	"context"
	"io"
	"strings"
	"time"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/server/authn"
	"github.com/heyan-project/heyan/server/journal"
	"github.com/heyan-project/heyan/store/directory"
	"github.com/heyan-project/heyan/verifier/account"
	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/ledger"
)

// Life of a credential, in days. 825 is what CAs kept to for certificates before they shortened it.
const (
	defaultLifetime = 365
	maxLifetime     = 825
)

// IssueCredential issues a certificate binding or an API key. A client that already has a way in, or something
// to reach, needs two persons: one administrator alone could otherwise call in its name.
func (a *Admin) IssueCredential(ctx context.Context, req *heyanv1.IssueCredentialRequest) (*heyanv1.IssueCredentialResponse, error) {
	credential, f := a.newCredential(ctx, req)
	if f != nil {
		return nil, f
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	entry, f := a.d.client(ctx, req.GetClient())
	if f != nil {
		return nil, f
	}
	client, s := &entry.Value, a.d.Directory.Now()
	if client.State != account.Active {
		return nil, fault.New(fault.ClientSuspended)
	}
	if credential.Kind == account.Certificate {
		if f := freeCertificate(s, credential.IssuerSHA256, credential.SubjectAltName, credential.Client, ""); f != nil {
			return nil, f
		}
	} else if a.d.Production && len(credential.AllowedSources) == 0 && len(client.AllowedSources) == 0 {
		return nil, missing("allowed_sources").WithHint("An API key is used from listed addresses only.")
	}
	var p *permit
	if existingClient(s, client.ID) {
		var err error
		if p, err = a.d.permit(ctx, act{request: req, summary: issueSummary(credential, req)}); err != nil {
			return nil, err
		}
	}
	id, key, err := a.fillCredential(credential, lifetime(req))
	if err == nil {
		_, err = a.d.Directory.PutCredential(ctx, *credential, 0)
	}
	if err != nil {
		return nil, p.unused(ctx, storeFault(err))
	}
	journal.From(ctx).SetObject("credential", id.String())
	changed(ctx, nil, credential)
	return &heyanv1.IssueCredentialResponse{Credential: publicCredential(credential, credential.CreateTime), ApiKey: key}, nil
}

// newCredential reads what is asked for.
func (a *Admin) newCredential(ctx context.Context, req *heyanv1.IssueCredentialRequest) (*account.Credential, *fault.Fault) {
	prefixes, f := prefixesOf("allowed_sources", req.GetAllowedSources())
	if f != nil {
		return nil, f
	}
	if f := a.d.text(ctx, "label", req.GetLabel()); f != nil {
		return nil, f
	}
	c := &account.Credential{
		Client: req.GetClient(), Kind: credentialKindEnum.domain(req.GetKind()), Test: req.GetTest(),
		State: account.CredentialActive, AllowedSources: prefixes, Label: req.GetLabel(), IssuedBy: caller(ctx).Person,
	}
	if days := req.GetLifetimeDays(); days < 0 || days > maxLifetime {
		return nil, malformed("lifetime_days", "1_TO_825")
	}
	switch c.Kind {
	case account.Certificate:
		c.SubjectAltName = req.GetSubjectAltName()
		c.IssuerSHA256, f = a.d.certificateOf(ctx, req.GetIssuerSha256(), req.GetSubjectAltName())
		return c, f
	case account.APIKey:
		if len(req.GetIssuerSha256()) > 0 || req.GetSubjectAltName() != "" {
			return nil, malformed("issuer_sha256", "ONLY_FOR_A_CERTIFICATE")
		}
		return c, nil
	}
	return nil, missing("kind")
}

func lifetime(req *heyanv1.IssueCredentialRequest) int {
	if days := req.GetLifetimeDays(); days > 0 {
		return int(days)
	}
	return defaultLifetime
}

// fillCredential draws id and secret. The key leaves in the reply alone; what stays is its keyed digest.
func (a *Admin) fillCredential(c *account.Credential, days int) (id ledger.ID, key string, err error) {
	now := a.d.Now()
	if id, err = ledger.NewID(now, a.d.Random); err != nil {
		return id, "", err
	}
	c.ID, c.CreateTime, c.ExpireTime = id.String(), now, now.Add(time.Duration(days)*24*time.Hour)
	if c.Kind != account.APIKey {
		return id, "", nil
	}
	var secret [32]byte
	if _, err := io.ReadFull(a.d.Random, secret[:]); err != nil {
		return id, "", err
	}
	c.KeyDigest = account.KeyDigest(a.d.Keys, id, secret)
	return id, account.FormatKey(id, secret, c.Test), nil
}

// existingClient reports whether a client has a credential that is not revoked, or any entitlement.
func existingClient(s *directory.Snapshot, client string) bool {
	for _, c := range s.Credentials {
		if c.Value.Client == client && c.Value.State != account.CredentialRevoked {
			return true
		}
	}
	return len(directory.Under(s.Entitlements, client)) > 0
}

// freeCertificate refuses a certificate that somebody else is bound to: a client may renew its own credential, an operator
// keep its binding.
func freeCertificate(s *directory.Snapshot, issuer, name, client, operator string) *fault.Fault {
	key := directory.CertificateKey(issuer, name)
	credential, bound := s.ClientByCertificate(key)
	holder, held := s.OperatorByCertificate(key)
	if bound && s.Credentials[credential].Value.Client != client || held && holder != operator {
		return fault.New(fault.ResourceExists).WithField("subject_alt_name", "BOUND_ALREADY").
			WithHint("One issuer and name stand for one client or operator.")
	}
	return nil
}

func issueSummary(c *account.Credential, req *heyanv1.IssueCredentialRequest) []string {
	return lines(
		line("client", c.Client), line("kind", strings.TrimPrefix(req.GetKind().String(), "KIND_")), line("test", yes(c.Test)),
		line("issuer_sha256", c.IssuerSHA256), line("subject_alt_name", c.SubjectAltName),
		line("lifetime_days", number(int64(lifetime(req)))), line("allowed_sources", strings.Join(req.GetAllowedSources(), ", ")),
	)
}

// ListCredentials lists them, oldest first.
func (a *Admin) ListCredentials(ctx context.Context, req *heyanv1.ListCredentialsRequest) (*heyanv1.ListCredentialsResponse, error) {
	if req.GetClient() != "" {
		if _, f := a.d.client(ctx, req.GetClient()); f != nil {
			return nil, f
		}
	}
	all := a.d.Directory.Now().Credentials
	ids := sortedIDs(all, func(e *directory.Entry[account.Credential]) bool {
		return req.GetClient() == "" || e.Value.Client == req.GetClient()
	})
	list := a.d.pages(caller(ctx).ID, "ListCredentials", req.GetClient())
	cut, next, f := pageOf(list, ids, req.GetPageSize(), req.GetPageToken(), ascending)
	if f != nil {
		return nil, f
	}
	response := &heyanv1.ListCredentialsResponse{NextPageToken: next}
	for _, id := range cut {
		credential := publicCredential(&all[id].Value, a.d.Now())
		credential.LastUsedTime = stamp(a.d.LastUsed(id))
		response.Credentials = append(response.Credentials, credential)
	}
	return response, nil
}

// credential finds one on file and notes it as the object of the call.
func (d *Deps) credential(ctx context.Context, id string) (*directory.Entry[account.Credential], *fault.Fault) {
	entry, ok := d.Directory.Now().Credentials[id]
	if !ok {
		return nil, notFound()
	}
	journal.From(ctx).SetObject("credential", id)
	return entry, nil
}

// RevokeCredential revokes at once, and closes the client's connections: which of them used this credential is
// not kept, and those under another one come back.
func (a *Admin) RevokeCredential(ctx context.Context, req *heyanv1.RevokeCredentialRequest) (*heyanv1.Credential, error) {
	if f := a.d.text(ctx, "reason", req.GetReason()); f != nil {
		return nil, f
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	entry, f := a.d.credential(ctx, req.GetId())
	if f != nil {
		return nil, f
	}
	before, after := entry.Value, entry.Value
	if after.State != account.CredentialRevoked {
		after.State, after.Reason = account.CredentialRevoked, req.GetReason()
		if _, err := a.d.Directory.PutCredential(ctx, after, entry.Revision); err != nil {
			return nil, storeFault(err)
		}
	}
	if err := a.d.strike(ctx, ledger.Scope{Client: after.Client, Credential: after.ID}, fault.CredentialInvalid); err != nil {
		return nil, err
	}
	a.d.CloseSessions(authn.Client, after.Client)
	changed(ctx, &before, &after)
	return publicCredential(&after, a.d.Now()), nil
}

// UnlockCredential lets a locked credential work again.
func (a *Access) UnlockCredential(ctx context.Context, req *heyanv1.UnlockCredentialRequest) (*heyanv1.Credential, error) {
	if f := a.d.text(ctx, "reason", req.GetReason()); f != nil {
		return nil, f
	}
	entry, f := a.d.credential(ctx, req.GetId())
	if f != nil {
		return nil, f
	}
	before, after := entry.Value, entry.Value
	switch before.State {
	case account.CredentialRevoked:
		return nil, malformed("id", "REVOKED").WithHint("A revoked credential never works again: issue another one.")
	case account.CredentialLocked:
		after.State, after.Reason = account.CredentialActive, req.GetReason()
		if _, err := a.d.Directory.PutCredential(ctx, after, entry.Revision); err != nil {
			return nil, storeFault(err)
		}
	}
	changed(ctx, &before, &after)
	return publicCredential(&after, a.d.Now()), nil
}

func publicCredential(c *account.Credential, now time.Time) *heyanv1.Credential {
	return &heyanv1.Credential{
		Id: c.ID, Client: c.Client, Kind: credentialKindEnum.public(c.Kind), Test: c.Test, IssuerSha256: bytesOf(c.IssuerSHA256),
		SubjectAltName: c.SubjectAltName, State: credentialStateEnum.public(c.StateAt(now)), ExpireTime: stamp(c.ExpireTime),
		CreateTime: stamp(c.CreateTime), AllowedSources: publicPrefixes(c.AllowedSources), Label: c.Label, Reason: c.Reason,
	}
}
