package api

import (
	"bytes"
	"context"
	"errors"
	"slices"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/server/journal"
	"github.com/heyan-project/heyan/store"
	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/verifier/dataset"
	"github.com/heyan-project/heyan/verifier/digest"
	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/field"
	"github.com/heyan-project/heyan/verifier/role"
)

// maxSubjects is how many persons one DeleteRecords may name.
const maxSubjects = 1000

// dataset returns what is on file of one with its revision, or a new one with revision 0.
func (d *Deps) dataset(id string) (dataset.Dataset, int64) {
	if entry, ok := d.Directory.Now().Datasets[id]; ok {
		return entry.Value, entry.Revision
	}
	return dataset.Dataset{ID: id}, 0
}

// datasetOnFile is dataset for a call that needs it to be there. It notes the object of the call.
func (d *Deps) datasetOnFile(ctx context.Context, id string) (dataset.Dataset, int64, *fault.Fault) {
	v, revision := d.dataset(id)
	if revision == 0 {
		return v, 0, notFound()
	}
	journal.From(ctx).SetObject("dataset", id)
	return v, revision, nil
}

// putDataset stores an act on a dataset. change works on a copy of the generations.
func (d *Deps) putDataset(ctx context.Context, before *dataset.Dataset, revision int64, change func(*dataset.Dataset)) (*dataset.Dataset, error) {
	after := *before
	after.Generations = slices.Clone(before.Generations)
	change(&after)
	if _, err := d.Directory.PutDataset(ctx, after, revision); err != nil {
		return nil, storeFault(err)
	}
	changed(ctx, before, &after)
	return &after, nil
}

// ListDatasets lists datasets, sorted by id.
func (a *Admin) ListDatasets(context.Context, *heyanv1.ListDatasetsRequest) (*heyanv1.ListDatasetsResponse, error) {
	all := a.d.Directory.Now().Datasets
	response := &heyanv1.ListDatasetsResponse{}
	for _, id := range sortedIDs(all, nil) {
		response.Datasets = append(response.Datasets, publicDataset(&all[id].Value))
	}
	return response, nil
}

// DeleteRecords deletes from the active generation, and from those that wait to take its place, at once. A failure may
// leave a part deleted: what was deleted is counted on file, and repeating the call deletes the rest. An import that is
// under way meanwhile is a later delivery.
func (a *Admin) DeleteRecords(ctx context.Context, req *heyanv1.DeleteRecordsRequest) (*heyanv1.DeleteRecordsResponse, error) {
	if f := a.d.text(ctx, "reason", req.GetReason()); f != nil {
		return nil, f
	}
	subjects, f := a.subjects(req.GetSubjects())
	if f != nil {
		return nil, f
	}
	a.deleting.Lock()
	defer a.deleting.Unlock()
	v, _, f := a.d.datasetOnFile(ctx, req.GetDataset())
	if f != nil {
		return nil, f
	}
	active, ok := v.Active()
	if !ok {
		return nil, fault.New(fault.DatasetNotActive).WithHint("No generation is active.")
	}
	response := &heyanv1.DeleteRecordsResponse{}
	for _, g := range v.Generations {
		if g.State == dataset.Replaced {
			continue
		}
		deleted, err := a.deleteFrom(ctx, v.ID, g.Number, subjects, req.GetReason())
		if err != nil {
			return nil, err
		}
		if g.Number == active.Number {
			response.Deleted = deleted
		}
	}
	return response, nil
}

// deleteFrom deletes from one generation, and notes on file how much that was.
func (a *Admin) deleteFrom(ctx context.Context, id string, generation int64, subjects [][]field.Value, reason string) (deleted int64, failed error) {
	for _, values := range subjects {
		n, err := a.deleteSubject(ctx, id, generation, values)
		if deleted += n; err != nil {
			failed = storeFault(err)
			break
		}
	}
	if deleted > 0 {
		act := dataset.Deletion{Time: a.d.Now(), By: caller(ctx).ID, Records: deleted, Reason: reason}
		if err := a.noteDeletion(context.WithoutCancel(ctx), id, generation, act); failed == nil {
			failed = err
		}
	}
	return deleted, failed
}

// noteDeletion notes on file how many records went, and why.
func (a *Admin) noteDeletion(ctx context.Context, id string, generation int64, act dataset.Deletion) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return againOnConflict(func() error {
		v, revision := a.d.dataset(id)
		_, err := a.d.putDataset(ctx, &v, revision, func(v *dataset.Dataset) {
			if g, ok := v.Find(generation); ok {
				g.Delete(act)
			}
		})
		return err
	})
}

// againOnConflict repeats a change of a dataset's document that an activation, which is written beside mu, came before.
func againOnConflict(change func() error) (err error) {
	for range 10 {
		if err = change(); !errors.Is(err, store.ErrConflict) && !fault.Is(err, fault.RevisionConflict) {
			break
		}
	}
	return err
}

// Rewritten notes on file what a generation's file holds since deleted records went out of it, and returns the
// change for the log: nil where the generation is not on file any more.
func (a *Admin) Rewritten(ctx context.Context, id string, generation int64, done store.Compaction) (change *record.Change, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	err = againOnConflict(func() error {
		before, revision := a.d.dataset(id)
		after := before
		after.Generations = slices.Clone(before.Generations)
		g, ok := after.Find(generation)
		if !ok {
			return nil
		}
		g.Anchors, g.Bytes = done.Anchors, done.Bytes
		_, err := a.d.Directory.PutDataset(ctx, after, revision)
		if err == nil {
			change = changeOf(&before, &after)
		}
		return err
	})
	return change, err
}

// subjects reads whose records are deleted: each a name with at least one number.
func (a *Admin) subjects(list []*heyanv1.Fields) ([][]field.Value, *fault.Fault) {
	switch {
	case len(list) == 0:
		return nil, missing("subjects")
	case len(list) > maxSubjects:
		return nil, fault.New(fault.RequestTooLarge).WithField("subjects", "AT_MOST_1000")
	}
	subjects := make([][]field.Value, len(list))
	for i, fields := range list {
		for j, text := range cells(fields) {
			if text == nil {
				continue
			}
			value, err := a.d.Rules.Parse(field.Kind(j+1), *text, a.d.Now())
			if err != nil {
				return nil, fault.Of(err).With("subject", number(int64(i+1)))
			}
			subjects[i] = append(subjects[i], value)
		}
		if len(subjects[i]) < 2 || subjects[i][0].Kind() != field.Name {
			return nil, missing("subjects").With("subject", number(int64(i+1))).
				WithHint("Each needs a name and at least one number.")
		}
	}
	return subjects, nil
}

// deleteSubject deletes every record of any anchor among values that holds the name, which comes first. Others
// under the anchor stay: a number may be shared.
func (a *Admin) deleteSubject(ctx context.Context, id string, generation int64, values []field.Value) (deleted int64, err error) {
	shape := dataset.Shape(a.d.Catalogue.Shape())
	for _, v := range values[1:] {
		if !shape[v.Kind()].Has(field.Name) {
			continue
		}
		anchor, name := dataset.Anchor(a.d.Keys, v), dataset.LinkOf(a.d.Keys, v, values[0])
		doomed, err := a.holding(ctx, id, generation, anchor, name)
		if err != nil {
			return deleted, err
		}
		for _, record := range doomed {
			there, err := a.d.Store.DeleteRecord(ctx, id, generation, anchor, record, a.d.Now())
			if err != nil {
				return deleted, err
			}
			if there {
				deleted++
			}
		}
	}
	return deleted, nil
}

// holding returns the records of an anchor that hold a link.
func (a *Admin) holding(ctx context.Context, id string, generation int64, anchor digest.Digest, want dataset.Link) ([][]byte, error) {
	var found [][]byte
	var parsed dataset.Record
	_, err := a.d.Store.Lookup(ctx, id, generation, anchor, func(record []byte) error {
		if err := dataset.ParseRecord(record, &parsed); err != nil {
			return fault.New(fault.StoreUnavailable).WithCause(err)
		}
		if have, ok := parsed.Get(want.Kind); ok && have == want.Digest {
			found = append(found, bytes.Clone(record))
		}
		return nil
	})
	return found, err
}

// DeleteDataset deletes the file of one generation that is not active, or of all. The document stays with the
// generations as REPLACED, so that their numbers are never given again and who imported and activated what can
// still be read; look-ups end before the files go. Deleting twice is the same.
func (a *Admin) DeleteDataset(ctx context.Context, req *heyanv1.DeleteDatasetRequest) (*heyanv1.DeleteDatasetResponse, error) {
	if f := a.d.text(ctx, "reason", req.GetReason()); f != nil {
		return nil, f
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	v, revision, f := a.d.datasetOnFile(ctx, req.GetDataset())
	if f != nil {
		return nil, f
	}
	if a.importing[v.ID] {
		return nil, fault.New(fault.RevisionConflict).WithHint("An import into this dataset is running.")
	}
	if n := req.GetGeneration(); n != 0 {
		generation, ok := v.Find(n)
		switch {
		case !ok:
			return nil, notFound()
		case generation.State == dataset.Active:
			return nil, fault.New(fault.DatasetNotActive).
				WithHint("The active generation goes when another one is activated, or with the whole dataset.")
		}
	}
	after, err := a.d.putDataset(ctx, &v, revision, func(v *dataset.Dataset) {
		for i := range v.Generations {
			g := &v.Generations[i]
			if g.State != dataset.Replaced && (req.GetGeneration() == 0 || g.Number == req.GetGeneration()) {
				g.State, g.Reason = dataset.Replaced, req.GetReason()
			}
		}
	})
	if err != nil {
		return nil, err
	}
	if err := a.d.dropReplaced(ctx, after); err != nil {
		return nil, err
	}
	return &heyanv1.DeleteDatasetResponse{}, nil
}

// dropReplaced removes the files of replaced generations, also those that an earlier call could not remove.
func (d *Deps) dropReplaced(ctx context.Context, v *dataset.Dataset) error {
	for i := range v.Generations {
		if g := &v.Generations[i]; g.State == dataset.Replaced {
			if err := d.Store.DropGeneration(context.WithoutCancel(ctx), v.ID, g.Number); err != nil {
				return storeFault(err)
			}
		}
	}
	return nil
}

// ActivateDataset makes a staged generation answer calls, in place of the active one, whose file goes. Importer
// and activator have to be two persons. Activating the active one again only removes what is left of others.
func (a *Access) ActivateDataset(ctx context.Context, req *heyanv1.ActivateDatasetRequest) (*heyanv1.Dataset, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	v, revision, f := a.d.datasetOnFile(ctx, req.GetDataset())
	if f != nil {
		return nil, f
	}
	generation, ok := v.Find(req.GetGeneration())
	if !ok {
		return nil, notFound()
	}
	if !role.CountAsTwo(a.d.importer(generation), binding(ctx), a.d.Now()) {
		return nil, fault.New(fault.SeparationOfDuties).
			WithHint("A second person activates; somebody whom the importer bound counts only after 30 days.")
	}
	if generation.State == dataset.Replaced {
		return nil, fault.New(fault.DatasetNotActive).WithHint("Its file is gone: import it again.")
	}
	if generation.State == dataset.Staged {
		// A file that cannot be read must not take the place of one that can.
		if _, err := a.d.Store.Lookup(ctx, v.ID, generation.Number, digest.Digest{}, func([]byte) error { return nil }); err != nil {
			return nil, storeFault(err)
		}
		after, err := a.d.putDataset(ctx, &v, revision, func(v *dataset.Dataset) {
			if old, ok := v.Active(); ok {
				old.State = dataset.Replaced
			}
			g, _ := v.Find(req.GetGeneration())
			g.State, g.ActivatedBy, g.ActivateTime = dataset.Active, caller(ctx).ID, a.d.Now()
		})
		if err != nil {
			return nil, err
		}
		v = *after
	}
	if err := a.d.dropReplaced(ctx, &v); err != nil {
		return nil, err
	}
	return publicDataset(&v), nil
}

// importer returns the binding of who imported a generation, or of the bare person where the operator's id is
// somebody else's by now.
func (d *Deps) importer(g *dataset.Generation) role.Binding {
	if entry, ok := d.Directory.Now().Operators[g.ImportedBy]; ok && entry.Value.Person == g.ImportPerson {
		return entry.Value.Binding
	}
	return role.Binding{Person: g.ImportPerson}
}

func publicDataset(v *dataset.Dataset) *heyanv1.Dataset {
	p := &heyanv1.Dataset{Id: v.ID}
	for i := range v.Generations {
		g := &v.Generations[i]
		generation := &heyanv1.Dataset_Generation{
			Number: g.Number, State: datasetStateEnum.public(g.State), AsOf: stamp(g.AsOf), Description: g.Description,
			Rows: g.Rows, Anchors: g.Anchors, Bytes: g.Bytes, ImportedBy: g.ImportedBy, ActivatedBy: g.ActivatedBy,
			ImportTime: stamp(g.ImportTime), ActivateTime: stamp(g.ActivateTime), DeletedRecords: g.Deleted, Suite: g.Suite,
			Reason: g.Reason,
		}
		for _, d := range g.Deletions {
			generation.Deletions = append(generation.Deletions,
				&heyanv1.Dataset_Deletion{Time: stamp(d.Time), DeletedBy: d.By, Records: d.Records, Reason: d.Reason})
		}
		p.Generations = append(p.Generations, generation)
	}
	return p
}
