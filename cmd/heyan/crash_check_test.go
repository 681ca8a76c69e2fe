package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/verifier/field"
)

// logBook is what the log says of verifications, by id, read on from where the last round stopped.
type logBook struct {
	size    uint64
	answers map[string]logged // the newest record that stands for a row: of the answer, or of its recovery
	voided  map[string]uint64
	leaves  map[uint64]record.Record // records of answers, replays too
	amended map[uint64]string
}

type logged struct {
	index   uint64
	verdict string
}

// check compares everything that was acknowledged with what is there. all reads the whole ledger, else what is of this
// round.
func (c *crash) check(all bool) {
	c.t.Helper()
	c.readLog()
	c.ledgerAgainstLog(all)
	var mine, unheard []*sent
	for _, s := range c.sent {
		switch {
		case s.round < c.round():
		case s.id == "" && s.refused.Load():
		case s.id == "":
			unheard = append(unheard, s)
		default:
			mine = append(mine, s)
		}
	}
	c.tally.unanswered += len(unheard)
	atOnce(c.answered, c.inLog)
	atOnce(mine, c.inLedger)
	chance := seeded(c.seed ^ uint64(c.round()))
	var withdrawn []*sent
	for _, s := range mine {
		if s.consent.done.Load() {
			withdrawn = append(withdrawn, s)
		}
	}
	atOnce(append(sample(chance, withdrawn, 100), sample(chance, mine, 150)...), c.replay)
	// Nothing of a request whose answer was lost blocks it: it is answered now, once.
	atOnce(sample(chance, unheard, 150), c.replay)
	c.readLog()
	c.usageAgainstLedger(c.ledgerAgainstLog(all), all)
}

func (c *crash) round() int { return c.sent[len(c.sent)-1].round }

// readLog reads on.
func (c *crash) readLog() {
	c.t.Helper()
	b := &c.log
	if b.answers == nil {
		b.answers, b.voided, b.leaves, b.amended = map[string]logged{}, map[string]uint64{}, map[uint64]record.Record{}, map[uint64]string{}
	}
	ctx, cancel := context.WithTimeout(c.t.Context(), time.Minute)
	defer cancel()
	stream, err := heyanv1.NewLogServiceClient(c.crew.audit).ListLogEntries(ctx, &heyanv1.ListLogEntriesRequest{StartIndex: b.size})
	if err != nil {
		c.t.Fatal(err)
	}
	for {
		entry, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			c.t.Fatal(err)
		}
		if entry.GetPosition() == nil {
			continue // the end of the listing
		}
		if entry.GetPosition().GetIndex() != b.size {
			c.t.Fatalf("record %d follows %d", entry.GetPosition().GetIndex(), b.size)
		}
		b.size++
		if err := b.note(entry); err != nil {
			c.t.Fatalf("record %d: %v", entry.GetPosition().GetIndex(), err)
		}
	}
}

func (b *logBook) note(entry *heyanv1.ListLogEntriesResponse) error {
	r, err := record.Parse(entry.GetLeaf())
	if err != nil {
		return err
	}
	if r.Object.Type != "verification" || r.Processing == nil {
		return nil
	}
	index, id := entry.GetPosition().GetIndex(), r.Object.ID
	if by := entry.GetAmendedBy(); by != "" {
		b.amended[index] = by
	}
	switch r.Event {
	case record.VerificationVerify, record.VerificationBatchItem:
		if r.Outcome.Kind != record.Success {
			return nil
		}
		b.leaves[index] = r
		if !r.Processing.Reused {
			b.answers[id] = logged{index, r.Processing.Verdict}
		}
	case record.VerificationRecovered:
		b.answers[id] = logged{index, r.Processing.Verdict}
	case record.VerificationVoided:
		b.voided[id] = index
	case record.VerificationLost:
		return errors.New("a crash has lost an answer")
	}
	return nil
}

// ledgerAgainstLog reads the ledger page by page and compares it with the log: a row for each answer that was not
// voided, a record for each row. It returns the rows.
func (c *crash) ledgerAgainstLog(all bool) []*heyanv1.Verification {
	c.t.Helper()
	request := &heyanv1.ListVerificationsRequest{PageSize: 1000}
	if !all {
		request.StartTime = timestamppb.New(c.from)
	}
	var rows []*heyanv1.Verification
	for {
		page, err := c.clients[0].ListVerifications(c.t.Context(), request)
		if err != nil {
			c.t.Fatal(err)
		}
		rows = append(rows, page.GetVerifications()...)
		if request.PageToken = page.GetNextPageToken(); request.PageToken == "" {
			break
		}
	}
	have := map[string]bool{}
	for _, row := range rows {
		in, ok := c.log.answers[row.GetId()]
		switch {
		case have[row.GetId()]:
			c.t.Errorf("%s is listed twice", row.GetId())
		case !ok:
			c.t.Errorf("row %s has no record", row.GetId())
		case c.isVoided(row.GetId()):
			c.t.Errorf("row %s is there, and its record was voided", row.GetId())
		case in.index != row.GetLogEntry().GetIndex() || row.GetLogEntry().GetOrigin() != c.process.serving.Origin:
			c.t.Errorf("row %s names record %d, the log has it at %d", row.GetId(), row.GetLogEntry().GetIndex(), in.index)
		case in.verdict != strings.TrimPrefix(row.GetVerdict().String(), "VERDICT_"):
			c.t.Errorf("row %s says %s, the log %s", row.GetId(), row.GetVerdict(), in.verdict)
		}
		have[row.GetId()] = true
	}
	for id, in := range c.log.answers {
		leaf, ofRound := c.log.leaves[in.index]
		if !all && ofRound && leaf.Time.Before(c.from) {
			continue
		}
		switch by := c.log.amended[in.index]; {
		case c.isVoided(id):
			if by != "verification.voided" {
				c.t.Errorf("record %d was voided, and is listed as %q", in.index, by)
			}
		case !have[id] && (all || ofRound):
			c.t.Errorf("record %d of %s has no row and was not voided", in.index, id)
		}
	}
	return rows
}

func (c *crash) isVoided(id string) bool {
	_, voided := c.log.voided[id]
	return voided
}

// inLog checks that every acknowledged answer, replays too, is at its place in the log, with its id and verdict, and that
// its commitment opens with the opening that was given out, and not with another.
func (c *crash) inLog(s *sent) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.isVoided(s.id) {
		c.t.Errorf("%s was acknowledged, and then voided", s.id)
	}
	for i := range s.acks {
		a := &s.acks[i]
		if a.checked {
			continue
		}
		a.checked = true
		r, ok := c.log.leaves[a.entry.GetIndex()]
		switch {
		case !ok:
			c.t.Errorf("%s was acknowledged at %d, where the log has no answer", s.id, a.entry.GetIndex())
		case r.Object.ID != s.id || "VERDICT_"+r.Processing.Verdict != s.want.String() || r.Processing.Reused != a.reused:
			c.t.Errorf("%s was acknowledged at %d, where the log has %s of %s", s.id, a.entry.GetIndex(), r.Processing.Verdict, r.Object.ID)
		case !opens(c.t, r.Commitment, a.opening, s.request):
			c.t.Errorf("%s: its commitment does not open", s.id)
		}
	}
}

// opens reports whether a commitment opens with an opening and the values of a request, and with nothing else.
func opens(t testing.TB, commitment [32]byte, opening []byte, request *heyanv1.VerifyRequest) bool {
	t.Helper()
	var rules *field.Rules
	var committed []record.CommittedField
	for _, kind := range field.Kinds() {
		value := getField(request.GetFields(), kind)
		if value == nil {
			continue
		}
		parsed, err := rules.Parse(kind, *value, time.Now())
		if err != nil {
			t.Errorf("an invented value is refused: %v", err)
			return false
		}
		committed = append(committed, record.CommittedField{
			Number: uint32(kind), Form: uint32(parsed.Form()), Canonical: []byte(parsed.Canonical().Reveal())})
	}
	content := record.Committed(request.GetProduct(), committed)
	another := append([]byte{opening[0] ^ 1}, opening[1:]...)
	return record.Opens(commitment, opening, content) && !record.Opens(commitment, another, content)
}

// inLedger checks that an acknowledged verification is found under its id.
func (c *crash) inLedger(s *sent) {
	v, err := c.clients[0].GetVerification(c.t.Context(), &heyanv1.GetVerificationRequest{Id: s.id})
	switch {
	case err != nil:
		c.t.Errorf("%s was acknowledged: %v", s.id, err)
	case v.GetId() != s.id || v.GetVerdict() != s.want || v.GetProduct() != s.request.GetProduct():
		c.t.Errorf("%s was acknowledged with %s, and is %s of %s", s.id, s.want, v.GetVerdict(), v.GetProduct())
	}
	if !s.consent.done.Load() {
		return
	}
	consent, err := c.consent.GetConsent(c.t.Context(), &heyanv1.GetConsentRequest{Id: *s.consent.id.Load()})
	if err != nil || consent.GetState() != heyanv1.Consent_STATE_WITHDRAWN {
		c.t.Errorf("consent %s: its withdrawal was acknowledged, and it is %s, %v", *s.consent.id.Load(), consent.GetState(), err)
	}
}

// replay sends a request again: the same answer, or that the consent is withdrawn. One that was never answered is
// answered now.
func (c *crash) replay(s *sent) {
	s.mu.Lock()
	known := s.id != ""
	s.mu.Unlock()
	if known {
		c.countReplay()
	}
	ctx, cancel := context.WithTimeout(c.t.Context(), 20*time.Second)
	defer cancel()
	gone := s.consent.done.Load()
	answer, err := c.clients[0].Verify(ctx, s.request)
	if gone && err == nil {
		c.t.Errorf("%s: replayed under a withdrawn consent", s.id)
	}
	if known && err == nil && !answer.GetVerification().GetReused() {
		c.t.Errorf("%s was answered anew", s.id)
	}
	if err == nil && answer.GetVerification().GetReused() && !known {
		c.countReplay()
	}
	c.heard(s, gone, answer.GetVerification(), err)
}

// usageAgainstLedger compares what is billed and what is left of the quota with the rows.
func (c *crash) usageAgainstLedger(rows []*heyanv1.Verification, all bool) {
	c.t.Helper()
	today := time.Now().In(beijing)
	usage, err := heyanv1.NewCatalogServiceClient(c.crew.system).GetUsage(c.t.Context(), &heyanv1.GetUsageRequest{
		Client: crashClient, StartDate: today.AddDate(0, 0, -1).Format(time.DateOnly), EndDate: today.AddDate(0, 0, 1).Format(time.DateOnly)})
	if err != nil {
		c.t.Fatal(err)
	}
	counted := map[string]int64{}
	var replayed, billed, amount, used int64
	for _, row := range usage.GetRows() {
		counted[row.GetProduct()+" MATCH"] += row.GetMatch()
		counted[row.GetProduct()+" MISMATCH"] += row.GetMismatch()
		counted[row.GetProduct()+" NO_RECORD"] += row.GetNoRecord()
		replayed += row.GetReplayed()
		billed += row.GetBilled()
		amount += row.GetAmountFen()
		if other := row.GetPending() + row.GetNotVerifiable() + row.GetInstrumentBlocked(); other != 0 {
			c.t.Errorf("usage counts %d answers that nobody was given", other)
		}
	}
	if amount != billed*crashPrice {
		c.t.Errorf("%d billed, and %d fen", billed, amount)
	}
	if replayed < int64(c.tally.replays) || replayed > int64(c.replays) {
		c.t.Errorf("%d replays counted, %d acknowledged, %d sent", replayed, c.tally.replays, c.replays)
	}
	if !all {
		return
	}
	for _, row := range rows {
		counted[row.GetProduct()+" "+strings.TrimPrefix(row.GetVerdict().String(), "VERDICT_")]--
		if row.GetBilling() == heyanv1.Billing_BILLING_BILLED {
			billed--
		}
		if row.GetProduct() == scarce {
			used++
		}
	}
	for name, difference := range counted {
		if difference != 0 {
			c.t.Errorf("usage counts %+d of %s against the ledger", difference, name)
		}
	}
	if billed != 0 {
		c.t.Errorf("usage bills %+d against the ledger", billed)
	}
	if left := c.quotaLeft(); left != c.quota-used {
		c.t.Errorf("quota %d, %d rows, %d left", c.quota, used, left)
	}
}

func (c *crash) quotaLeft() int64 {
	c.t.Helper()
	account, err := heyanv1.NewCatalogServiceClient(dialPlain(c.t, c.home, c.process.serving.Address, c.key)).GetAccount(c.t.Context(), &heyanv1.GetAccountRequest{})
	if err != nil {
		c.t.Fatal(err)
	}
	for _, line := range account.GetLines() {
		if line.GetProduct() == scarce {
			return line.GetQuotaLeft()
		}
	}
	c.t.Fatalf("no quota of %s", scarce)
	return 0
}

// exhaust takes what is left of the quota: exactly as many answers as were sold, and not one more.
func (c *crash) exhaust() {
	c.t.Helper()
	caller := &caller{crash: c, round: c.round(), client: c.clients[0], chance: seeded(c.seed)}
	c.spent.Store(false)
	for range c.quota + 1 {
		s := caller.fresh()
		s.request.Product, s.want = scarce, heyanv1.Verdict_VERDICT_MATCH
		s.consent = &consentOf{evidence: fmt.Sprintf("q-%d", c.next.Add(1))}
		s.request.Fields = fieldsOf(scarce, c.people[0])
		s.request.AgeDeclaration = heyanv1.AgeDeclaration_AGE_DECLARATION_FOURTEEN_OR_OVER
		s.request.Ground = &heyanv1.VerifyRequest_Consent_{Consent: &heyanv1.VerifyRequest_Consent{
			Notice: devNotice, ObtainTime: timestamppb.New(time.Now().Add(-time.Hour)), EvidenceRef: s.consent.evidence}}
		caller.one(c.t.Context(), s)
		if c.spent.Load() {
			break
		}
	}
	if !c.spent.Load() {
		c.t.Errorf("more than %d answers of %s", c.quota, scarce)
	}
	c.readLog()
	rows := c.ledgerAgainstLog(true)
	c.usageAgainstLedger(rows, true)
	if left := c.quotaLeft(); left != 0 {
		c.t.Errorf("%d left after the last", left)
	}
}

// runOffline runs a command line that calls nobody.
func runOffline(t testing.TB, args ...string) (code int, text string) {
	t.Helper()
	var out strings.Builder
	s := streams{In: strings.NewReader(""), Out: &out, Err: &out, Env: func(string) (string, bool) { return "", false }, Now: time.Now}
	return run(t.Context(), args, s), out.String()
}
