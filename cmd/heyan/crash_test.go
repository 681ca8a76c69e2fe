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
	broken atomic.Bool // and a caller has seen it

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

	refused atomic.Bool // for its quota or its consent

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
	return fmt.Sprintf("%d answers acknowledged (%d of them replays), %d requests cut off, %d withdrawals, %d records in the log; "+
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
			for ctx.Err() == nil && !c.broken.Load() {
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
	c.broken.Store(false)
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
