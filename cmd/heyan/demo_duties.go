package main

import (
	"context"
	"encoding/hex"
	"path/filepath"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/heyan-project/heyan/cmd/heyan/internal/bootstrap"
	"github.com/heyan-project/heyan/cmd/heyan/internal/dial"
	"github.com/heyan-project/heyan/cmd/heyan/internal/keyfile"
	"github.com/heyan-project/heyan/cmd/heyan/internal/profile"
	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/server/pki"
)

// devMover is a person who changes from one duty to the other.
const devMover = "dev-mover"

// duties is what keeps importing data and activating it in two hands: nobody holds both roles, and who has held the one
// cannot use the other on their own data.
func (d *demo) duties(ctx context.Context) error {
	access := heyanv1.NewAccessServiceClient(d.crew.security)
	both := &heyanv1.Operator{Id: devSystem, PersonId: devSystem, Roles: []heyanv1.Role{heyanv1.Role_ROLE_SYSTEM_ADMIN, heyanv1.Role_ROLE_SECURITY_ADMIN}}
	_, err := access.SetOperator(ctx, &heyanv1.SetOperatorRequest{Operator: both})
	d.refused("duties", "who imports is to activate as well: both roles in one hand", "SEPARATION_OF_DUTIES", err, d.crew.security)

	issuer, err := d.certify(devMover)
	if err != nil {
		return err
	}
	mover, err := dial.Open(profile.Layer{Profile: certificateProfile(d.home, d.address, devMover)}, buildVersion())
	if err != nil {
		return err
	}
	defer mover.Close()
	if err := d.bind(ctx, issuer, heyanv1.Role_ROLE_SYSTEM_ADMIN); err != nil {
		return err
	}
	activate, err := d.importOne(ctx, mover)
	if err != nil {
		return err
	}
	if err := d.bind(ctx, issuer, heyanv1.Role_ROLE_SECURITY_ADMIN); err != nil {
		return err
	}
	_, err = heyanv1.NewAccessServiceClient(mover).ActivateDataset(ctx, activate)
	d.refused("duties", "activated by its importer, who has changed roles since", "SEPARATION_OF_DUTIES", err, mover)
	_, err = access.RevokeOperator(ctx, &heyanv1.RevokeOperatorRequest{Id: devMover, Reason: "end of the demonstration"})
	return err
}

// certify issues a certificate for one more person, and returns the SHA-256 of its issuer.
func (d *demo) certify(id string) (issuer []byte, err error) {
	ca, err := d.own()
	if err != nil {
		return nil, err
	}
	issued, err := ca.Issue(pki.Leaf{Name: id, URI: bootstrap.Person{ID: id}.URI(), NotBefore: d.Now().Add(-time.Hour), NotAfter: d.Now().Add(24 * time.Hour)})
	if err != nil {
		return nil, err
	}
	for name, content := range map[string][]byte{id + ".pem": issued.Certificate, id + ".key": issued.Key} {
		if err := keyfile.Write(filepath.Join(d.home, "certs", name), content); err != nil {
			return nil, err
		}
	}
	return hex.DecodeString(ca.SHA256())
}

// bind binds the mover to a role: one person asks, another approves.
func (d *demo) bind(ctx context.Context, issuer []byte, to heyanv1.Role) error {
	access := heyanv1.NewAccessServiceClient(d.crew.security)
	request := &heyanv1.SetOperatorRequest{Operator: &heyanv1.Operator{
		Id: devMover, PersonId: devMover, Roles: []heyanv1.Role{to}, IssuerSha256: issuer, SubjectAltName: bootstrap.Person{ID: devMover}.URI()}}
	_, err := access.SetOperator(ctx, request)
	if _, request.Approval = reasonAndFact(err, "approval"); request.Approval == "" {
		return err
	}
	if err := approve(ctx, d.crew.system, request.Approval); err != nil {
		return err
	}
	_, err = access.SetOperator(ctx, request)
	return err
}

// importOne imports one person, and returns what would activate them.
func (d *demo) importOne(ctx context.Context, as *dial.Connection) (*heyanv1.ActivateDatasetRequest, error) {
	stream, err := heyanv1.NewAdminServiceClient(as).ImportRecords(ctx)
	if err != nil {
		return nil, err
	}
	row := d.cases.Everything.Rows()[0]
	header := &heyanv1.ImportHeader{Dataset: "second", AsOf: timestamppb.New(d.Now()), Description: "invented people"}
	for _, part := range []*heyanv1.ImportRecordsRequest{
		{Part: &heyanv1.ImportRecordsRequest_Header{Header: header}},
		{Part: &heyanv1.ImportRecordsRequest_Rows{Rows: &heyanv1.ImportRows{FirstRow: 1, Rows: []*heyanv1.ImportRows_Row{
			{Fields: &heyanv1.Fields{Name: &row.Name, IdNumber: &row.ID}}}}}},
	} {
		if err := stream.Send(part); err != nil {
			break // why comes with the answer
		}
	}
	imported, err := stream.CloseAndRecv()
	return &heyanv1.ActivateDatasetRequest{Dataset: imported.GetDataset(), Generation: imported.GetGeneration()}, err
}
