package main

import (
	"errors"
	"time"

	"golang.org/x/mod/sumdb/tlog"
	"google.golang.org/protobuf/types/known/timestamppb"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/store/netlog/tree"
)

// ReadHashes is tlog.HashReader.
func (l *fakeLog) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	hashes := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		if x >= int64(len(l.hashes)) {
			return nil, errors.New("no such hash")
		}
		hashes[i] = l.hashes[x]
	}
	return hashes, nil
}

// ExportLog answers by the filter's client: what is no name of a trouble is a filter.
func (f *fake) ExportLog(r *heyanv1.ExportLogRequest, stream heyanv1.LogService_ExportLogServer) error {
	trouble := r.GetFilter().GetClient()
	head := f.log.checkpoint()
	end := head.GetSize()
	if r.GetEndIndex() > 0 {
		end = min(end, r.GetEndIndex())
	}
	send := func(m *heyanv1.ExportLogResponse) error { return stream.Send(m) }
	begin := &heyanv1.ExportLogResponse_Begin{Origin: fakeOrigin, StartIndex: r.GetStartIndex(), EndIndex: end, Size: head.GetSize()}
	if err := send(&heyanv1.ExportLogResponse{Part: &heyanv1.ExportLogResponse_Begin_{Begin: begin}}); err != nil {
		return err
	}
	proof := tree.NewBatchProof(head.GetSize(), f.log, func(h tree.Hash) error {
		return send(&heyanv1.ExportLogResponse{Part: &heyanv1.ExportLogResponse_ProofHashes{ProofHashes: h[:]}})
	})
	last := &heyanv1.ExportLogResponse_End{
		Checkpoint: head, RetentionStatement: "six calendar months", Requester: "zhao-min", Region: "cn-shanghai",
		MakeTime: timestamppb.New(time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)),
	}
	for index := r.GetStartIndex(); index < end && trouble != "outside"; index++ {
		leaf := f.log.leaves[index]
		if parsed, err := record.Parse(leaf); err != nil || r.GetFilter().GetEvent() != "" && parsed.Event.String() != r.GetFilter().GetEvent() {
			continue
		}
		if err := proof.Add(index, tree.LeafHash(leaf)); err != nil {
			return err
		}
		if trouble == "forged" && index == 1 {
			leaf = f.log.leaves[0]
		}
		entries := &heyanv1.ExportLogResponse_Entries{Entries: []*heyanv1.ExportLogResponse_Entry{{Index: index, Leaf: leaf}}, NextIndex: index + 1}
		if err := send(&heyanv1.ExportLogResponse{Part: &heyanv1.ExportLogResponse_Entries_{Entries: entries}}); err != nil {
			return err
		}
		last.Count++
	}
	if err := proof.Finish(tree.Hash(head.GetRoot())); err != nil {
		return err
	}
	for _, size := range r.GetAnchorSizes() {
		hashes, err := tlog.ProveTree(int64(head.GetSize()), int64(size), f.log)
		if err != nil {
			return err
		}
		c := &heyanv1.ConsistencyProof{Size: size}
		for _, h := range hashes {
			c.Hashes = append(c.Hashes, h[:])
		}
		last.Consistency = append(last.Consistency, c)
	}
	switch trouble {
	case "cut":
		return nil
	case "short":
		last.Count++
	case "outside":
		last.OutsideCoverage = true
		last.Gaps = []*heyanv1.LogGap{{EndTime: timestamppb.New(time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)), Reason: "BEFORE_FIRST_RECORD"}}
	}
	return send(&heyanv1.ExportLogResponse{Part: &heyanv1.ExportLogResponse_End_{End: last}})
}
