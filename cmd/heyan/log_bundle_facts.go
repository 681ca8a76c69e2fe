package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"google.golang.org/protobuf/proto"

	"github.com/heyan-project/heyan/cmd/heyan/internal/dial"
	"github.com/heyan-project/heyan/cmd/heyan/internal/inspection"
	"github.com/heyan-project/heyan/cmd/heyan/internal/output"
	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/store/netlog/export"
	"github.com/heyan-project/heyan/store/netlog/tree"
)

// ask reads from the server what is not in the log itself.
func (b *bundling) ask(ctx context.Context, kept []keptFile) error {
	return b.withStream(ctx, func(ctx context.Context, conn *dial.Connection) (err error) {
		log := heyanv1.NewLogServiceClient(conn)
		newest, err := log.GetCheckpoint(ctx, &heyanv1.GetCheckpointRequest{})
		if err != nil {
			return err
		}
		if err := b.compareKey(newest); err != nil {
			return err
		}
		f := &b.facts
		if f.Coverage, err = log.GetLogCoverage(ctx, &heyanv1.GetLogCoverageRequest{}); err != nil {
			return err
		}
		origins, err := log.ListOrigins(ctx, &heyanv1.ListOriginsRequest{})
		if err != nil {
			return err
		}
		f.Origins = origins.GetOrigins()
		for _, o := range f.Origins {
			if o.GetId() == f.Origin {
				f.Node = o.GetNode()
			}
		}
		verdict, err := log.VerifyLog(ctx, &heyanv1.VerifyLogRequest{Checkpoints: spread(b.evidence(kept, f.Origin), maxAsked)})
		if err != nil {
			return err
		}
		f.Proof.ServerWhole, f.Proof.ServerCount = verdict.GetWhole(), verdict.GetRecords()
		for _, v := range verdict.GetFindings() {
			f.Proof.ServerReport = append(f.Proof.ServerReport, fmt.Sprintf("%s: %s, index %d: %s", v.GetKind(), v.GetFile(), v.GetIndex(), v.GetText()))
		}
		if err := b.locate(ctx, log); err != nil {
			return err
		}
		return b.readAccounts(ctx, conn)
	})
}

// locate finds the records of the period, so that they can be exported without a filter: only of such an export it is
// proven that no record is left out.
func (b *bundling) locate(ctx context.Context, log heyanv1.LogServiceClient) error {
	if b.filter.StartTime == nil && b.filter.EndTime == nil {
		return nil
	}
	first, err := position(ctx, log, &heyanv1.ListLogEntriesRequest{Origin: b.facts.Origin, Filter: b.filter, Limit: 1})
	if err != nil {
		return err
	}
	last, err := position(ctx, log, &heyanv1.ListLogEntriesRequest{Origin: b.facts.Origin, Filter: b.filter, Last: 1})
	if err != nil {
		return err
	}
	if first == nil || last == nil {
		return &exitError{exitNo, "the log holds nothing of this period: there is no bundle", "see what it holds: heyan log coverage"}
	}
	b.first, b.behind = first.GetIndex(), last.GetIndex()+1
	return nil
}

// position is where the first record of a listing stands; nil where there is none.
func position(ctx context.Context, log heyanv1.LogServiceClient, request *heyanv1.ListLogEntriesRequest) (*heyanv1.LogPosition, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := log.ListLogEntries(ctx, request)
	if err != nil {
		return nil, err
	}
	m, err := stream.Recv()
	return m.GetPosition(), err
}

// compareKey takes the server's key, and compares it with the one that was given.
func (b *bundling) compareKey(newest *heyanv1.Checkpoint) error {
	f := &b.facts
	f.Origin, f.Key = newest.GetOrigin(), newest.GetVerifierKey()
	f.Fingerprint = fingerprint(f.Key)
	if b.key == "" {
		return nil
	}
	given, err := verifierKey(b.key)
	if err != nil {
		return err
	}
	if given.Key() != f.Key {
		return &exitError{exitNo, "the server's log is signed by another key than --key gives: there is no bundle", "see: heyan log origins"}
	}
	f.KeyCompared = true
	return nil
}

// readAccounts reads who may do what.
func (b *bundling) readAccounts(ctx context.Context, conn *dial.Connection) (err error) {
	admin, access := heyanv1.NewAdminServiceClient(conn), heyanv1.NewAccessServiceClient(conn)
	all := &b.facts.Accounts
	if all.Operators, err = pages(func(token string) ([]*heyanv1.Operator, string, error) {
		page, err := access.ListOperators(ctx, &heyanv1.ListOperatorsRequest{PageSize: pageSize, PageToken: token})
		return page.GetOperators(), page.GetNextPageToken(), err
	}); err != nil {
		return err
	}
	if all.Clients, err = pages(func(token string) ([]*heyanv1.Client, string, error) {
		page, err := admin.ListClients(ctx, &heyanv1.ListClientsRequest{PageSize: pageSize, PageToken: token})
		return page.GetClients(), page.GetNextPageToken(), err
	}); err != nil {
		return err
	}
	if all.Credentials, err = pages(func(token string) ([]*heyanv1.Credential, string, error) {
		page, err := admin.ListCredentials(ctx, &heyanv1.ListCredentialsRequest{PageSize: pageSize, PageToken: token})
		return page.GetCredentials(), page.GetNextPageToken(), err
	}); err != nil {
		return err
	}
	if all.Entitlements, err = pages(func(token string) ([]*heyanv1.Entitlement, string, error) {
		page, err := access.ListEntitlements(ctx, &heyanv1.ListEntitlementsRequest{PageSize: pageSize, PageToken: token})
		return page.GetEntitlements(), page.GetNextPageToken(), err
	}); err != nil {
		return err
	}
	all.Approvals, err = pages(func(token string) ([]*heyanv1.Approval, string, error) {
		page, err := heyanv1.NewComplianceServiceClient(conn).ListApprovals(ctx, &heyanv1.ListApprovalsRequest{PageSize: pageSize, PageToken: token})
		return page.GetApprovals(), page.GetNextPageToken(), err
	})
	return err
}

// export writes the records twice, in both forms, and reads them for the pages. The second export is of the range that
// the first one had.
func (b *bundling) export(ctx context.Context, kept []keptFile) error {
	collector := inspection.NewCollector(b.rows, b.samples)
	first, err := b.exporter(kept, inspection.JSONLDir, export.JSONL, export.English)
	if err != nil {
		return err
	}
	first.seen = collector.Add
	m, err := first.write(ctx)
	if err != nil {
		return err
	}
	second, err := b.exporter(kept, inspection.CSVDir, export.CSV, export.Lang(b.lang))
	if err != nil {
		return err
	}
	second.request.EndIndex = m.Range.ToIndex // the log has grown
	if _, err := second.write(ctx); err != nil {
		return err
	}
	b.take(m)
	b.facts.Log = collector.Done()
	return b.file(inspection.CheckpointFile, []byte(m.Tree.Checkpoint))
}

func (b *bundling) exporter(kept []keptFile, name string, format export.Format, lang export.Lang) (*exporting, error) {
	e := &exporting{app: b.app, out: filepath.Join(b.dir.Path(), name), format: string(format), lang: string(lang), bom: format == export.CSV,
		request: &heyanv1.ExportLogRequest{StartIndex: b.first, EndIndex: b.behind}}
	for _, note := range spread(b.evidence(kept, b.facts.Origin), maxAsked) {
		c, err := claimed(note)
		if err != nil {
			return nil, usageError("--checkpoint: a file holds no checkpoint", "heyan log checkpoint prints one")
		}
		e.request.AnchorSizes = append(e.request.AnchorSizes, c.Size)
		e.checkpoints = append(e.checkpoints, "a checkpoint")
	}
	return e, nil
}

// claimed is what a signed note says, before its signature is looked at.
func claimed(note []byte) (tree.Checkpoint, error) {
	text, _, _ := bytes.Cut(note, []byte("\n\n"))
	return tree.ParseCheckpoint(string(text) + "\n")
}

// take keeps what the manifest says.
func (b *bundling) take(m *export.Manifest) {
	f := &b.facts
	f.Requester, f.Region, f.Retention, f.Program = m.Requester, m.Region, m.RetentionStatement, "heyan "+buildVersion()
	f.Size, f.Root, f.FirstIndex, f.EndIndex = m.Tree.Size, m.Tree.Root, m.Range.FromIndex, m.Range.ToIndex
	f.Made = b.Now()
	if t := b.filter.GetStartTime(); t != nil {
		f.From = t.AsTime()
	}
	if t := b.filter.GetEndTime(); t != nil {
		f.To = t.AsTime()
	}
	if oldest := f.Coverage.GetOldestTime(); !f.From.IsZero() && oldest != nil && f.From.Before(oldest.AsTime()) {
		f.Gaps = append(f.Gaps, when(b.filter.GetStartTime())+" — "+when(oldest))
	}
	if newest := f.Coverage.GetNewestTime(); !f.To.IsZero() && newest != nil && f.To.After(newest.AsTime()) {
		f.Gaps = append(f.Gaps, when(newest)+" — "+when(b.filter.GetEndTime()))
	}
}

// verify proves the export as it lies there, by the key and what was kept outside.
func (b *bundling) verify(ctx context.Context, kept []keptFile) error {
	key, err := tree.NewVerifier(b.facts.Key)
	if err != nil {
		return err
	}
	evidence, err := b.outside(&proving{receipts: b.receipts}, kept, key.Origin())
	if err != nil {
		return err
	}
	bar := output.NewProgress(b.progressOut(), b.Now, "verified", 0, output.Bytes)
	report, err := export.Verify(ctx, filepath.Join(b.dir.Path(), inspection.JSONLDir), export.Options{Key: key, Outside: evidence, Read: bar.Add})
	bar.Done()
	if err != nil {
		return err
	}
	b.proof = exportProofOf(&report, key.Origin())
	p := &b.facts.Proof
	p.Whole, p.Rows, p.Members, p.Complete = report.Whole(), report.Rows, report.Members, report.Complete
	p.Anchored, p.Given = report.Anchors, report.Given
	for _, finding := range report.Findings {
		p.Findings = append(p.Findings, finding.String())
	}
	var text, answer bytes.Buffer
	if err := exportTable(&text, b.proof); err != nil {
		return err
	}
	if err := output.Value(&answer, b.proof); err != nil {
		return err
	}
	if err := b.file(inspection.VerificationText, text.Bytes()); err != nil {
		return err
	}
	return b.file(inspection.VerificationJSON, answer.Bytes())
}

// copyEvidence copies what was kept outside, as it is.
func (b *bundling) copyEvidence() error {
	for form, paths := range map[string][]string{inspection.OutsideFile: b.checkpoints, inspection.ReceiptFile: b.receipts} {
		for i, path := range paths {
			if err := b.copy(fmt.Sprintf(form, i+1), path); err != nil {
				return err
			}
		}
	}
	return b.file(inspection.KeyFile, []byte(b.facts.Key+"\n"))
}

func (b *bundling) copy(name, path string) error {
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := b.dir.Create(name)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		return joinClose(err, out)
	}
	return out.Finish()
}

// writeAnswers writes what the server answered.
func (b *bundling) writeAnswers() error {
	f := &b.facts
	for name, answers := range map[string]map[string]proto.Message{
		inspection.AccountsFile: {
			"operators": &heyanv1.ListOperatorsResponse{Operators: f.Accounts.Operators}, "clients": &heyanv1.ListClientsResponse{Clients: f.Accounts.Clients},
			"credentials":  &heyanv1.ListCredentialsResponse{Credentials: f.Accounts.Credentials},
			"entitlements": &heyanv1.ListEntitlementsResponse{Entitlements: f.Accounts.Entitlements},
			"approvals":    &heyanv1.ListApprovalsResponse{Approvals: f.Accounts.Approvals},
		},
		inspection.CoverageFile: {"coverage": f.Coverage, "origins": &heyanv1.ListOriginsResponse{Origins: f.Origins}},
	} {
		members := map[string]json.RawMessage{}
		for member, answer := range answers {
			raw, err := output.Sparse(answer)
			if err != nil {
				return err
			}
			members[member] = raw
		}
		var text bytes.Buffer
		if err := output.Value(&text, members); err != nil {
			return err
		}
		if err := b.file(name, text.Bytes()); err != nil {
			return err
		}
	}
	return nil
}

// writePages writes what people read.
func (b *bundling) writePages() error {
	for _, lang := range []inspection.Lang{inspection.Chinese, inspection.English} {
		var page bytes.Buffer
		if err := inspection.Page(&page, &b.facts, lang); err != nil {
			return err
		}
		if err := b.file(inspection.PageFile(lang), page.Bytes()); err != nil {
			return err
		}
	}
	return b.file(inspection.ReadmeFile, []byte(inspection.Readme(&b.facts)))
}
