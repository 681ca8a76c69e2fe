package storetest

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/heyan-project/heyan/store"
	"github.com/heyan-project/heyan/verifier/consent"
	"github.com/heyan-project/heyan/verifier/digest"
	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/ledger"
	"github.com/heyan-project/heyan/verifier/subject"
	"github.com/heyan-project/heyan/verifier/usage"
	"github.com/heyan-project/heyan/verifier/workday"
)

// memory is the contract in its plainest form: everything in maps, one lock. It can be broken in one way, by
// name, and is then what each case must notice.
type memory struct {
	*disk
	bug    string
	mu     *sync.Mutex
	wake   chan struct{} // closed and made anew whenever a claim ends
	claims map[ledger.Token]*held
	closed bool
	gone   chan struct{}
}

// disk is what outlives an engine in memory.
type disk struct {
	bug           string
	token         ledger.Token
	verifications map[string]*row // by client and id
	consents      map[ledger.ID]*file
	tombstones    map[string]bool // evidence and notice
	used          map[string]int64
	usage         map[usage.Key]usage.Counts
	restrictions  map[subject.Handle]map[store.Restriction]time.Time
	documents     map[string]store.Document
	generations   map[string]map[digest.Digest][]string
	deleted       map[string]deletion // by generation, anchor and record
	marks         map[string]uint64
	stuck         map[string]bool // requests that a broken engine never frees
}

type row struct {
	ledger.Verification
	content  digest.Digest
	key      usage.Key
	counts   usage.Counts
	counters []string
	created  ledger.ID // consent
	durable  bool
}

// deletion is one deleted record.
type deletion struct {
	store.Deletions
	anchor digest.Digest
	record string
}

type file struct {
	consent.Consent
	evidence  digest.Digest
	handles   []subject.Handle
	uses      []subject.Handle // those of calls under it
	revisions []consent.Consent
}

type held struct {
	*ledger.Begin
	expires  time.Time
	consent  ledger.ID
	struck   fault.Reason
	counters []string
	settling bool
}

func newDisk(bug string) *disk {
	return &disk{bug: bug, verifications: map[string]*row{}, consents: map[ledger.ID]*file{}, tombstones: map[string]bool{},
		used: map[string]int64{}, usage: map[usage.Key]usage.Counts{}, documents: map[string]store.Document{},
		restrictions: map[subject.Handle]map[store.Restriction]time.Time{}, generations: map[string]map[digest.Digest][]string{},
		deleted: map[string]deletion{}, marks: map[string]uint64{}, stuck: map[string]bool{}}
}

func (d *disk) open() (store.Store, error) {
	m := &memory{disk: d, bug: d.bug, mu: new(sync.Mutex), wake: make(chan struct{}), claims: map[ledger.Token]*held{}, gone: make(chan struct{})}
	if m.is("verifications are not durable") {
		clear(d.verifications)
	}
	if m.is("totals are not durable") {
		clear(d.used)
	}
	if m.is("restrictions are not durable") {
		clear(d.restrictions)
	}
	for key, of := range d.deleted {
		if of.Since = time.Now().UTC(); m.is("deletions are dated anew at a start") {
			d.deleted[key] = of
		}
	}
	if m.is("withdrawals are not durable") {
		for _, f := range d.consents {
			f.Status = consent.Active
		}
	}
	return m, nil
}

func (m *memory) is(bug string) bool { return m.bug == bug }

// fold is what broken engines do to texts.
func (m *memory) fold(bug, text string) string {
	if m.is(bug) {
		return strings.ToLower(text)
	}
	return text
}

// lock is how each method begins; it fails once the engine is closed.
func (m *memory) lock() (unlock func(), err error) {
	m.mu.Lock()
	if m.closed && !m.is("a closed engine answers") {
		m.mu.Unlock()
		return nil, fault.New(fault.StoreUnavailable)
	}
	return m.mu.Unlock, nil
}

func (m *memory) Healthy() error {
	unlock, err := m.lock()
	if err == nil {
		unlock()
	}
	return err
}

func (m *memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.closed {
		close(m.gone)
	}
	m.closed = true
	return nil
}

func (m *memory) Stopped() <-chan struct{} { return m.gone }

func (m *memory) ended() {
	close(m.wake)
	m.wake = make(chan struct{})
}

func (m *memory) Begin(ctx context.Context, b *ledger.Begin) (ledger.Begun, error) {
	for now := b.Now; ; now = time.Now() {
		begun, wake, until, err := m.tryBegin(b, now)
		if wake == nil {
			return begun, err
		}
		select {
		case <-wake:
		case <-time.After(time.Until(until)):
		case <-ctx.Done():
			return begun, fault.New(fault.RequestInProgress).WithRetryAfter(time.Second)
		}
	}
}

func (m *memory) tryBegin(b *ledger.Begin, now time.Time) (begun ledger.Begun, wake chan struct{}, until time.Time, err error) {
	unlock, err := m.lock()
	if err != nil {
		return begun, nil, until, err
	}
	defer unlock()
	m.sweep(now)
	if m.anyRestriction(b.Restrictions, now) && !m.is("Begin ignores restrictions") {
		return begun, nil, until, fault.New(fault.SubjectUnavailable)
	}
	h := &held{Begin: b, expires: now.Add(b.Lease)}
	gates := []func() error{
		func() error { return m.beginConsent(b, now, h, &begun) },
		func() error { wake, until, err = m.beginRequest(b, &begun); return err },
	}
	if m.is("the request comes before the consent") {
		gates[0], gates[1] = gates[1], gates[0]
	}
	for _, gate := range gates {
		if err := gate(); err != nil || wake != nil {
			return ledger.Begun{}, wake, until, err
		}
	}
	if begun.Replay != nil && !m.is("a replay takes quota") {
		return begun, nil, until, nil
	}
	for _, r := range b.Reserves {
		limit := r.Limit
		if m.is("limits are off by one") && limit > 0 {
			limit++
		}
		used, reserved := m.count(r.Key)
		if (limit >= 0 || m.is("no limit is a limit of zero")) && used+reserved+m.in(h.counters, r.Key) >= max(limit, 0) {
			if m.is("reserves of a refused request stay") {
				m.claims[m.nextToken()] = h
			}
			return ledger.Begun{}, nil, until, fault.New(r.Reason).WithQuota(r.Name)
		}
		h.counters = append(h.counters, m.counterKey(r.Key))
	}
	if begun.Replay == nil {
		begun.Token = m.nextToken()
		m.claims[begun.Token] = h
		if m.is("claims outlive a restart") {
			m.stuck[b.Client+b.Request.Hex()] = true
		}
	}
	return begun, nil, until, nil
}

func (m *memory) nextToken() ledger.Token {
	m.token++
	return m.token
}

func (m *memory) in(list []string, key string) (n int64) {
	for _, have := range list {
		if have == m.counterKey(key) {
			n++
		}
	}
	return n
}

func (m *memory) sweep(now time.Time) {
	for token, h := range m.claims {
		if (!h.settling || m.is("leases end commits")) && !now.Before(h.expires) && !m.is("leases never end") {
			if m.is("leases keep what they reserved") {
				for _, key := range h.counters {
					m.used[key]++
				}
			}
			delete(m.claims, token)
			m.ended()
		}
	}
}

func (m *memory) anyRestriction(handles []subject.Handle, now time.Time) bool {
	for _, h := range handles {
		for _, until := range m.restrictions[h] {
			if until.IsZero() || now.Before(until) {
				return true
			}
		}
	}
	return false
}

func (m *memory) beginConsent(b *ledger.Begin, now time.Time, h *held, begun *ledger.Begun) error {
	var f *file
	var err error
	switch {
	case !b.Consent.ID.IsZero():
		f = m.consents[b.Consent.ID]
		if f == nil || f.Client != b.Client && !m.is("consents of all clients are one's own") {
			return fault.New(fault.ConsentMissing)
		}
	case !b.Consent.Evidence.IsZero():
		if f, err = m.standing(b.Consent.Evidence, b.Consent.Notice, b.Handles); err != nil || f == nil {
			return err
		}
		if m.is("consents are not found by evidence") {
			return nil
		}
	default:
		return nil
	}
	if bad := f.Check(now, b.Renewal); bad != nil && !(m.is("only withdrawn consents are refused") && bad.Reason != fault.ConsentWithdrawn) {
		return bad
	}
	if !subject.Common(f.handles, b.Handles) && !m.is("a consent is anybody's") {
		return fault.New(fault.ConsentSubjectMismatch)
	}
	h.consent = idOf(&f.Consent)
	found := f.Consent
	begun.Consent = &found
	return nil
}

func (m *memory) standing(evidence digest.Digest, notice string, handles []subject.Handle) (*file, error) {
	if m.tombstones[evidence.Hex()+notice] {
		return nil, fault.New(fault.ConsentWithdrawn)
	}
	var other *file
	for _, f := range m.consents {
		if f.evidence != evidence {
			continue
		}
		if m.fold("notices are folded", f.Notice) == m.fold("notices are folded", notice) {
			return f, nil
		}
		other = f
	}
	if other != nil && !subject.Common(other.handles, handles) && !m.is("an evidence serves many people") {
		return nil, fault.New(fault.ConsentSubjectMismatch)
	}
	return nil, nil
}

func (m *memory) beginRequest(b *ledger.Begin, begun *ledger.Begun) (wake chan struct{}, until time.Time, err error) {
	one := func(client string, request digest.Digest) bool {
		return request == b.Request && (client == b.Client || m.is("request ids of all clients are one's own"))
	}
	if m.stuck[b.Client+b.Request.Hex()] {
		return m.wake, time.Now().Add(time.Hour), nil
	}
	for _, h := range m.claims {
		if one(h.Client, h.Request) && !m.is("twins do not wait") && !(h.settling && m.is("twins see what is not durable")) {
			return m.wake, h.expires, nil
		}
	}
	for _, r := range m.verifications {
		if !one(r.Client, r.Request) {
			continue
		}
		if (r.content != b.Content || r.State == ledger.Deleted) && !m.is("contents are not compared") {
			return nil, until, fault.New(fault.RequestIDReused)
		}
		v := r.Verification
		begun.Replay = &v
	}
	return nil, until, nil
}

func (m *memory) Commit(_ context.Context, c *ledger.Commit) (ledger.Wait, error) {
	unlock, err := m.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	m.sweep(c.Now)
	h := m.claims[c.Token]
	if h == nil && m.is("any token commits") {
		h = &held{Begin: &ledger.Begin{}}
	}
	if h == nil || h.settling {
		return nil, fault.New(fault.RequestInProgress)
	}
	r := &row{Verification: *c.Verification, content: h.Content, key: c.UsageKey, counts: c.Usage, counters: h.counters}
	if err := m.check(h, c, r); err != nil {
		delete(m.claims, c.Token)
		m.ended()
		return nil, err
	}
	if m.is("remarks are forgotten") {
		r.Remarks = nil
	}
	r.Verification = *stored(&r.Verification)
	if f := m.consents[r.Consent]; f != nil && !m.is("later handles are forgotten") {
		f.uses = append(f.uses, c.Handles...)
	}
	m.verifications[m.verificationKey(r.Client, r.ID)] = r
	row := m.usage[c.UsageKey]
	row.Add(c.Usage)
	m.usage[c.UsageKey] = row
	if h.settling = true; m.is("twins see what is not durable") {
		m.ended()
	}
	settle := func() {
		r.durable = true
		delete(m.claims, c.Token)
		m.ended()
		if r.State != ledger.Pending || m.is("pending units are used") {
			for _, key := range h.counters {
				m.used[key]++
			}
		}
	}
	if m.is("units are used before they are durable") {
		settle()
		settle = func() {}
	}
	return func() error {
		unlock, err := m.lock()
		if err != nil {
			return err
		}
		defer unlock()
		settle()
		return nil
	}, nil
}

// check is what a commit is conditional on.
func (m *memory) check(h *held, c *ledger.Commit, r *row) error {
	if h.struck != 0 {
		return fault.New(h.struck)
	}
	if m.is("a legal basis creates a consent") && c.NewConsent == nil {
		m.consents[r.ID] = &file{Consent: consent.Consent{ID: r.ID.String(), Client: r.Client}}
	}
	if c.NewConsent == nil {
		return nil
	}
	f, err := m.standing(c.Evidence, c.NewConsent.Notice, c.Handles)
	if err != nil && !m.is("Commit ignores tombstones") {
		return err
	}
	if f != nil && !m.is("equal consents are put on file twice") {
		if bad := f.Check(c.Now, c.Renewal); bad != nil {
			return bad
		}
		if !subject.Common(f.handles, c.Handles) && !m.is("evidence is not looked at again") {
			return fault.New(fault.ConsentSubjectMismatch)
		}
		r.Consent = idOf(&f.Consent)
		c.Verification.Consent = r.Consent
		return nil
	}
	r.created = idOf(c.NewConsent)
	m.file(c.NewConsent, c.Evidence, c.Handles)
	return nil
}

func (m *memory) file(c *consent.Consent, evidence digest.Digest, handles []subject.Handle) {
	f := &file{Consent: *c, evidence: evidence, handles: handles}
	if m.is("guardians are forgotten") {
		f.Guardian = false
	}
	m.consents[idOf(c)] = f
}

func (m *memory) Strike(_ context.Context, scope ledger.Scope, why fault.Reason) error {
	unlock, err := m.lock()
	if err != nil {
		return err
	}
	defer unlock()
	if m.is("a credential is struck for all") {
		scope.Credential = ""
	}
	m.strike(why, func(h *held) bool { return scope.Holds(h.Client, h.Credential, h.Product) })
	return nil
}

func (m *memory) Release(token ledger.Token) {
	m.mu.Lock()
	defer m.mu.Unlock()
	h := m.claims[token]
	if h == nil || h.settling {
		return
	}
	if m.is("a release keeps what it reserved") {
		for _, key := range h.counters {
			m.used[key]++
		}
	}
	delete(m.claims, token)
	if !m.is("a release wakes nobody") {
		m.ended()
	}
}

func (m *memory) counterKey(key string) string {
	return m.fold("counters are folded", key)
}

func (m *memory) count(key string) (used, reserved int64) {
	key = m.counterKey(key)
	for _, h := range m.claims {
		if !h.settling {
			reserved += m.in(h.counters, key)
		}
	}
	for _, r := range m.verifications {
		if r.State == ledger.Pending && r.durable && !m.is("pending units are used") || !r.durable {
			reserved += m.in(r.counters, key)
		}
	}
	return m.used[key], reserved
}

func (m *memory) Counter(_ context.Context, key string) (used, reserved int64, err error) {
	unlock, err := m.lock()
	if err != nil {
		return 0, 0, err
	}
	defer unlock()
	m.sweep(time.Now())
	if m.is("unknown counters are not found") && m.used[key] == 0 {
		return 0, 0, store.ErrNotFound
	}
	used, reserved = m.count(key)
	return used, reserved, nil
}

func (m *memory) Usage(_ context.Context, client string, from, to workday.Date) (rows []usage.Row, err error) {
	unlock, err := m.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	for key, counts := range m.usage {
		if (client == "" || client == key.Client) && !key.Day.Before(from) && !key.Day.After(to) {
			rows = append(rows, usage.Row{Key: key, Counts: counts})
		}
	}
	if !m.is("rows of usage are not sorted") {
		sortUsage(rows)
	}
	return rows, nil
}

func (m *memory) CountReplay(_ context.Context, key usage.Key) error {
	unlock, err := m.lock()
	if err != nil {
		return err
	}
	defer unlock()
	row := m.usage[key]
	if row.Replayed == 0 || !m.is("one replay is counted") {
		row.Replayed++
	}
	m.usage[key] = row
	return nil
}

func (m *memory) strike(why fault.Reason, concerns func(*held) bool) {
	for _, h := range m.claims {
		if h.struck == 0 && concerns(h) {
			h.struck = why
		}
	}
}
