package main

import (
	"context"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/heyan-project/heyan/cmd/heyan/internal/people"
	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
)

const (
	crashClient  = "crash-bank"
	crashPeople  = 400
	crashCallers = 32
	crashPrice   = 35
	// scarce is a product whose quota runs out under the load.
	scarce         = "plate2"
	scarceARound   = 12
	unscarce       = 1_000_000
	smallestWindow = 50 * time.Millisecond // of load before a kill
	largestWindow  = time.Second
)

var crashProducts = []string{"id2", "phone2", "phone3", "card4", "driver2", scarce}

// TestKilledUnderLoad kills the server as it ships, again and again, while 32 callers verify, replay and withdraw, and
// compares after each restart what was acknowledged with ledger, log, usage, quota and consents.
//
// HEYAN_CRASH_ROUNDS is how often (2 if unset), HEYAN_CRASH_SEED repeats the choices of an earlier run.
func TestKilledUnderLoad(t *testing.T) {
	if testing.Short() {
		t.Skip("kills processes for some seconds: not in short mode")
	}
	rounds := number(t, "HEYAN_CRASH_ROUNDS", 2)
	seed := uint64(number(t, "HEYAN_CRASH_SEED", int(time.Now().UnixNano()&0x7fffffff)))
	t.Logf("seed %d", seed)
	c := newCrash(t, rounds, seed)
	for round := range rounds {
		c.loadAndKill(round)
		c.proveDirectory()
		c.restart()
		c.check(round == rounds-1)
		if t.Failed() {
			t.Fatalf("round %d of %d, seed %d", round+1, rounds, seed)
		}
	}
	c.exhaust()
	c.process.stop()
	c.proveDirectory()
	if cores := coreFiles(t, c.home); len(cores) > 0 {
		t.Errorf("core files: %v", cores)
	}
	t.Logf("%d kills: %s", rounds, c.tally.String())
}

func number(t *testing.T, name string, otherwise int) int {
	t.Helper()
	text, set := os.LookupEnv(name)
	if !set {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s: a number from 1 on", name)
	}
	return n
}

// crash is a folder, the server that runs on it now, and all that was said and heard since the first start.
type crash struct {
	t       *testing.T
	home    string
	key     string // API key
	quota   int64  // of the scarce product
	process *process
	crew    *crew
	clients []heyanv1.VerificationServiceClient
	consent heyanv1.ConsentServiceClient

	people []people.Person
	absent people.Person
	seed   uint64
	next   atomic.Int64
	killed atomic.Bool // the server of now was killed: callers may fail as they like

	mu       sync.Mutex
	sent     []*sent  // every new request that may have been answered
	answered []*sent  // those with an answer
	anchor   [][]byte // checkpoints that were given out
	replays  int      // sent, whether answered or not
	spent    atomic.Bool

	from  time.Time // when this round began
	log   logBook
	tally tally
}

// sent is a request under a request_id of its own, and what was heard of it.
type sent struct {
	request *heyanv1.VerifyRequest
	want    heyanv1.Verdict
	consent *consentOf
	round   int

	mu   sync.Mutex
	id   string
	acks []ack
}

// ack is one acknowledged answer: the first, or a replay.
type ack struct {
	entry   *heyanv1.LogPosition
	opening []byte
	reused  bool
	checked bool
}

// consentOf is a consent and how far its withdrawal has come.
type consentOf struct {
	evidence string
	id       atomic.Pointer[string]
	asked    atomic.Bool // a withdrawal was sent
	done     atomic.Bool // and acknowledged
}

// tally is what all rounds did.
type tally struct {
	answers, unanswered, replays, withdrawals, voided, recovered, undone, torn int
	records                                                                    uint64
}

func (n *tally) String() string {
	return fmt.Sprintf("%d answers acknowledged (%d of them replays), %d requests in flight, %d withdrawals, %d records in the log; "+
		"%d voided, %d recovered, %d rows undone, %d torn tails",
		n.answers, n.replays, n.unanswered, n.withdrawals, n.records, n.voided, n.recovered, n.undone, n.torn)
}

// newCrash lays out the folder and furnishes client, entitlements, people and notice.
func newCrash(t *testing.T, rounds int, seed uint64) *crash {
	t.Helper()
	a, home := laid(t)
	c := &crash{t: t, home: home, seed: seed, quota: int64(rounds * scarceARound)}
	c.invent()
	c.process = startProcess(t, home)
	c.crew = crewOf(t, home, c.process.serving.Address)
	ctx := t.Context()
	tenant := tenant{id: crashClient, products: crashProducts, detail: true, priceFen: crashPrice}
	var err error
	if c.key, err = tenant.furnish(ctx, c.crew); err != nil {
		t.Fatal(err)
	}
	c.setQuota(scarce, c.quota)
	c.setQuota("id2", unscarce)
	// The import's own connection comes from the profiles of the folder.
	if err := devProfiles(home, c.process.serving.Address); err != nil {
		t.Fatal(err)
	}
	d := developmentServer{people: crashPeople}
	if err := d.load(ctx, a, home, c.crew); err != nil {
		t.Fatal(err)
	}
	c.connect()
	if _, err := c.consent.CreateNotice(ctx, fullNotice(devNotice, false)); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *crash) setQuota(product string, quota int64) {
	c.t.Helper()
	price := int64(crashPrice)
	if _, err := heyanv1.NewAccessServiceClient(c.crew.security).SetEntitlement(c.t.Context(), &heyanv1.SetEntitlementRequest{
		Entitlement: &heyanv1.Entitlement{
			Client: crashClient, Product: product, Purposes: []heyanv1.Purpose{heyanv1.Purpose_PURPOSE_ACCOUNT_OPENING},
			Quota: &quota, QuotaPeriod: heyanv1.QuotaPeriod_QUOTA_PERIOD_TOTAL, PriceFen: &price, Detail: true,
			HandlerRole: heyanv1.Entitlement_HANDLER_ROLE_HANDLER, ContractRef: "C-1", ExpireTime: timestamppb.New(time.Now().AddDate(1, 0, 0)),
		}}); err != nil {
		c.t.Fatal(err)
	}
}

// invent picks people who have a value in every field.
func (c *crash) invent() {
	generator, err := people.New(devSeed, crashPeople)
	if err != nil {
		c.t.Fatal(err)
	}
	cases, err := generator.Cases()
	if err != nil {
		c.t.Fatal(err)
	}
	c.absent = cases.Absent
	for i := range crashPeople {
		p := generator.At(i)
		row := p.Rows()[0]
		if row.Phone != "" && row.Card != "" && row.Plate != "" && row.Licence != "" && p.Birth.Year() < 2005 {
			c.people = append(c.people, p)
		}
	}
	if len(c.people) < 20 {
		c.t.Fatalf("%d of %d people have everything", len(c.people), crashPeople)
	}
}

// connect connects callers to the server of now: a few connections, as backends have.
func (c *crash) connect() {
	c.clients = nil
	var conn *grpc.ClientConn
	for range 4 {
		conn = dialPlain(c.t, c.home, c.process.serving.Address, c.key)
		c.clients = append(c.clients, heyanv1.NewVerificationServiceClient(conn))
	}
	c.consent = heyanv1.NewConsentServiceClient(conn)
}

// loadAndKill runs the callers and kills the server at a moment of chance while they are at it.
func (c *crash) loadAndKill(round int) {
	chance := seeded(c.seed + uint64(round))
	c.spent.Store(false)
	c.from = time.Now()
	c.checkpoint()
	ctx, cancel := context.WithCancel(c.t.Context())
	var callers sync.WaitGroup
	var first sync.Once
	under := make(chan struct{}) // load has begun to be answered
	for n := range crashCallers {
		callers.Go(func() {
			caller := &caller{crash: c, round: round, client: c.clients[n%len(c.clients)], chance: seeded(c.seed<<16 + uint64(round*crashCallers+n))}
			for ctx.Err() == nil {
				caller.act(ctx)
				first.Do(func() { close(under) })
			}
		})
	}
	<-under
	window := smallestWindow + time.Duration(chance.Int64N(int64(largestWindow-smallestWindow)))
	time.Sleep(window / 2)
	c.checkpoint() // given out under load, so it has to be found afterwards
	time.Sleep(window / 2)
	c.killed.Store(true)
	c.process.kill()
	cancel()
	callers.Wait()
}

// checkpoint takes a checkpoint to safety, as an auditor would.
func (c *crash) checkpoint() {
	given, err := heyanv1.NewLogServiceClient(c.crew.audit).GetCheckpoint(c.t.Context(), &heyanv1.GetCheckpointRequest{})
	if err != nil {
		c.t.Fatal(err)
	}
	c.anchor = append(c.anchor, given.GetNote())
}

// restart starts the server on what the crash left.
func (c *crash) restart() {
	c.crew.close()
	c.process = startProcess(c.t, c.home)
	said := &c.process.serving
	c.tally.voided += said.Voided
	c.tally.recovered += said.Recovered
	c.tally.undone += said.Undone
	if said.Bytes > 0 {
		c.tally.torn++
	}
	c.tally.records = said.Records
	c.crew = crewOf(c.t, c.home, said.Address)
	c.connect()
	c.killed.Store(false)
}

// caller is one of the 32.
type caller struct {
	*crash
	round  int
	client heyanv1.VerificationServiceClient
	chance *mathrand.Rand
}

// act makes one call.
func (c *caller) act(ctx context.Context) {
	switch n := c.chance.IntN(100); {
	case n < 55:
		c.one(ctx, c.fresh())
	case n < 70:
		c.batch(ctx)
	case n < 88:
		if s := c.pick(); s != nil {
			c.countReplay()
			c.one(ctx, s)
		}
	case n < 97:
		c.withdraw(ctx)
	default:
		c.refused(ctx)
	}
}

// fresh makes a request that was never sent, mostly with an inline consent, at times under one that is on file.
func (c *caller) fresh() *sent {
	p := c.people[c.chance.IntN(len(c.people))]
	product := crashProducts[c.chance.IntN(len(crashProducts))]
	if product == scarce && c.spent.Load() {
		product = "id2"
	}
	s := &sent{want: heyanv1.Verdict_VERDICT_MATCH, round: c.round, consent: &consentOf{evidence: fmt.Sprintf("e-%d", c.next.Add(1))}}
	fields := fieldsOf(product, p)
	switch c.chance.IntN(10) {
	case 0:
		fields.Name, s.want = &c.absent.Name, heyanv1.Verdict_VERDICT_MISMATCH
	case 1:
		fields, s.want = fieldsOf(product, c.absent), heyanv1.Verdict_VERDICT_NO_RECORD
	}
	s.request = &heyanv1.VerifyRequest{
		Product: product, Fields: fields, RequestId: fmt.Sprintf("r-%d", c.next.Add(1)),
		Ground: &heyanv1.VerifyRequest_Consent_{Consent: &heyanv1.VerifyRequest_Consent{
			Notice: devNotice, ObtainTime: timestamppb.New(time.Now().Add(-time.Hour)), EvidenceRef: s.consent.evidence}},
	}
	if fields.IdNumber == nil && fields.DriverLicenseNumber == nil {
		s.request.AgeDeclaration = heyanv1.AgeDeclaration_AGE_DECLARATION_FOURTEEN_OR_OVER
	}
	if c.chance.IntN(5) == 0 {
		c.share(s)
	}
	c.crash.mu.Lock()
	c.sent = append(c.sent, s)
	c.crash.mu.Unlock()
	return s
}

// share puts a request under the consent of an earlier one, about the same person.
func (c *caller) share(s *sent) {
	earlier := c.pick()
	if earlier == nil || earlier.consent.asked.Load() || earlier.request.GetProduct() == scarce {
		return
	}
	id := earlier.consent.id.Load()
	if id == nil {
		return
	}
	request := proto.CloneOf(earlier.request)
	request.RequestId = s.request.GetRequestId()
	request.Ground = &heyanv1.VerifyRequest_ConsentId{ConsentId: *id}
	s.request, s.want, s.consent = request, earlier.want, earlier.consent
}

// pick picks a request that was answered.
func (c *caller) pick() *sent {
	c.crash.mu.Lock()
	defer c.crash.mu.Unlock()
	if len(c.answered) == 0 {
		return nil
	}
	return c.answered[c.chance.IntN(len(c.answered))]
}

func (c *crash) countReplay() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.replays++
}

// one sends one request and notes what came of it.
func (c *caller) one(ctx context.Context, s *sent) {
	gone := s.consent.done.Load()
	answer, err := c.client.Verify(ctx, s.request)
	c.heard(s, gone, answer.GetVerification(), err)
}

func (c *caller) batch(ctx context.Context) {
	request := &heyanv1.BatchVerifyRequest{}
	list := make([]*sent, 2+c.chance.IntN(7))
	gone := make([]bool, len(list))
	for i := range list {
		list[i] = c.fresh()
		gone[i] = list[i].consent.done.Load()
		request.Requests = append(request.Requests, list[i].request)
	}
	answer, err := c.client.BatchVerify(ctx, request)
	for i, s := range list {
		if err != nil {
			c.heard(s, gone[i], nil, err)
			continue
		}
		item := answer.GetItems()[i]
		var refused error
		if item.GetStatus() != nil {
			refused = status.ErrorProto(item.GetStatus())
		}
		c.heard(s, gone[i], item.GetResponse().GetVerification(), refused)
	}
}

// heard notes an answer. gone says that the withdrawal of the consent was acknowledged before the request was sent.
func (c *crash) heard(s *sent, gone bool, v *heyanv1.Verification, err error) {
	if err != nil {
		c.refusedAs(s, err)
		return
	}
	switch {
	case gone:
		c.t.Errorf("%s was answered under a consent whose withdrawal was acknowledged", s.request.GetRequestId())
	case v.GetVerdict() != s.want:
		c.t.Errorf("%s: %s, want %s", s.request.GetRequestId(), v.GetVerdict(), s.want)
	}
	id := v.GetConsent()
	s.consent.id.Store(&id)
	s.mu.Lock()
	first := s.id == ""
	if first {
		s.id = v.GetId()
	} else if s.id != v.GetId() {
		c.t.Errorf("%s was answered as %s and as %s", s.request.GetRequestId(), s.id, v.GetId())
	}
	s.acks = append(s.acks, ack{entry: v.GetLogEntry(), opening: v.GetOpening(), reused: v.GetReused()})
	s.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	if first {
		c.answered = append(c.answered, s)
	}
	c.tally.answers++
	if v.GetReused() {
		c.tally.replays++
	}
}

// refusedAs checks that a refusal is one that may be.
func (c *crash) refusedAs(s *sent, err error) {
	reason, _ := reasonAndFact(err, "")
	switch {
	case reason == "" && c.killed.Load(): // the connection broke
	case reason == "CONSENT_WITHDRAWN" && s.consent.asked.Load():
	case reason == "QUOTA_EXCEEDED" && s.request.GetProduct() == scarce:
		c.spent.Store(true)
	default:
		c.t.Errorf("%s: %s %v", s.request.GetRequestId(), reason, err)
	}
}

// withdraw withdraws a consent, by its id or by its evidence.
func (c *caller) withdraw(ctx context.Context) {
	s := c.pick()
	// A consent that many requests share is worth more alive.
	if s == nil || c.chance.IntN(3) > 0 || s.consent.asked.Swap(true) {
		return
	}
	request := &heyanv1.WithdrawConsentRequest{Target: &heyanv1.WithdrawConsentRequest_Evidence{
		Evidence: &heyanv1.Evidence{Notice: devNotice, EvidenceRef: s.consent.evidence}}}
	if id := s.consent.id.Load(); id != nil && c.chance.IntN(2) == 0 {
		request.Target = &heyanv1.WithdrawConsentRequest_Id{Id: *id}
	}
	if _, err := c.consent.WithdrawConsent(ctx, request); err != nil {
		if !c.killed.Load() {
			c.t.Errorf("withdrawing: %v", err)
		}
		return
	}
	s.consent.done.Store(true)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tally.withdrawals++
}

// refused sends a wrong check digit: refusals are under load too, and leave no row.
func (c *caller) refused(ctx context.Context) {
	p := c.people[c.chance.IntN(len(c.people))]
	wrong := spoil(p.ID)
	_, err := c.client.Verify(ctx, &heyanv1.VerifyRequest{
		Product: "id2", Fields: &heyanv1.Fields{Name: &p.Name, IdNumber: &wrong}, RequestId: fmt.Sprintf("x-%d", c.next.Add(1)),
		Ground: &heyanv1.VerifyRequest_Consent_{Consent: &heyanv1.VerifyRequest_Consent{
			Notice: devNotice, ObtainTime: timestamppb.Now(), EvidenceRef: fmt.Sprintf("e-%d", c.next.Add(1))}}})
	if reason, _ := reasonAndFact(err, ""); reason != "FIELD_MALFORMED" && !c.killed.Load() {
		c.t.Errorf("a wrong check digit: %v", err)
	}
}

// proveDirectory verifies the log offline, by its directory, as it lies there after the crash, against every checkpoint
// that was ever given out.
func (c *crash) proveDirectory() {
	c.t.Helper()
	base := c.t.TempDir()
	args := []string{"log", "verify", "--dir", filepath.Join(c.home, "data", "log"),
		"--key", c.process.serving.LogKey, "--seal-key", filepath.Join(c.home, "keys", "log-seal.key")}
	for i, note := range c.anchor {
		path := filepath.Join(base, fmt.Sprintf("%d.checkpoint", i))
		if err := os.WriteFile(path, note, 0o600); err != nil {
			c.t.Fatal(err)
		}
		args = append(args, "--checkpoint", path)
	}
	code, text := runOffline(c.t, args...)
	if want := fmt.Sprintf("%d of %d outside checkpoint", len(c.anchor), len(c.anchor)); code != exitOK || !strings.Contains(text, want) {
		c.t.Errorf("the log after the crash: exit code %d\n%s", code, text)
	}
}

// atOnce calls do for each of a list, 16 at a time.
func atOnce[T any](list []T, do func(T)) {
	var workers sync.WaitGroup
	var next atomic.Int64
	for range 16 {
		workers.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(list) {
					return
				}
				do(list[i])
			}
		})
	}
	workers.Wait()
}

// sample returns at most n of a list, by chance.
func sample[T any](chance *mathrand.Rand, list []T, n int) []T {
	list = slices.Clone(list)
	chance.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list[:min(n, len(list))]
}
