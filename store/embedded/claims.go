package embedded

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/heyan-project/heyan/verifier/digest"
	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/ledger"
	"github.com/heyan-project/heyan/verifier/subject"
)

const claimShards = 64 // a power of two

// claims are the requests that were begun and have not ended. They are in memory only: a crash releases them.
type claims struct {
	last   atomic.Uint64 // token numbers
	shards [claimShards]claimShard

	// earliest is the first lease to end, in Unix nanoseconds, or earlier: no sweep is needed before.
	earliest atomic.Int64
}

type claimShard struct {
	sync.Mutex
	byKey   map[requestKey]*claim
	byToken map[ledger.Token]*claim
}

// requestKey is a request_id of a client.
type requestKey struct {
	client  string
	request digest.Digest
}

// claim is one request from Begin to its end.
type claim struct {
	key                 requestKey
	credential, product string

	token    ledger.Token
	expires  time.Time
	counters []*counter

	content      digest.Digest
	handles      []subject.Handle
	restrictions []subject.Handle
	consent      ledger.ID // on file
	evidence     digest.Digest
	notice       string
	absent       bool       // nothing stands under evidence and notice
	others       []standing // what stands under the evidence for other notices
	version      uint64     // of the evidence's lock when that was read

	struck fault.Reason // guarded by acts: why it cannot commit any more

	// Guarded by the shard.
	committing bool
	ended      chan struct{} // made when somebody waits
}

// open draws the first token, so that one of an earlier process is no open claim of this one.
func (c *claims) open() {
	c.last.Store(rand.Uint64() / (2 * claimShards))
	for i := range c.shards {
		c.shards[i].byKey = make(map[requestKey]*claim)
		c.shards[i].byToken = make(map[ledger.Token]*claim)
	}
}

func (c *claims) shard(key *requestKey) *claimShard { return &c.shards[key.request[0]%claimShards] }

// twin is another claim of the same request: when it ends at the latest, and a channel that is closed when it
// does. A commit on its way ends when it is durable, whatever its lease: its expires is zero.
type twin struct {
	expires time.Time
	ended   <-chan struct{}
}

// put claims a request, or returns the twin that has it. A twin whose lease is over at now is dropped.
func (c *claims) put(cl *claim, now time.Time) *twin {
	shard := c.shard(&cl.key)
	shard.Lock()
	defer shard.Unlock()
	if old := shard.byKey[cl.key]; old != nil {
		if old.committing || now.Before(old.expires) {
			if old.ended == nil {
				old.ended = make(chan struct{})
			}
			if old.committing {
				return &twin{ended: old.ended}
			}
			return &twin{old.expires, old.ended}
		}
		shard.remove(old)
		old.giveBack()
	}
	cl.token = ledger.Token(c.last.Add(1)*claimShards | uint64(cl.key.request[0]%claimShards))
	shard.byKey[cl.key] = cl
	shard.byToken[cl.token] = cl
	for ends := cl.expires.UnixNano(); ; {
		earliest := c.earliest.Load()
		if earliest != 0 && earliest <= ends || c.earliest.CompareAndSwap(earliest, ends) {
			break
		}
	}
	return nil
}

// remove forgets a claim and wakes those who wait for its end. The caller holds the shard.
func (s *claimShard) remove(cl *claim) {
	delete(s.byKey, cl.key)
	delete(s.byToken, cl.token)
	if cl.ended != nil {
		close(cl.ended)
	}
}

// begin takes the claim of a token for committing; from then on neither its lease nor a release ends it.
// Nil where the token is not an open claim.
func (c *claims) begin(token ledger.Token, now time.Time) *claim {
	shard := &c.shards[uint64(token)%claimShards]
	shard.Lock()
	defer shard.Unlock()
	cl := shard.byToken[token]
	if cl == nil || cl.committing || !now.Before(cl.expires) {
		return nil
	}
	cl.committing = true
	return cl
}

// hold gives a claim what was reserved for it, unless its lease ended meanwhile.
func (c *claims) hold(cl *claim, counters []*counter) bool {
	shard := c.shard(&cl.key)
	shard.Lock()
	defer shard.Unlock()
	if shard.byToken[cl.token] != cl {
		return false
	}
	cl.counters = counters
	return true
}

// end forgets a claim that committed.
func (c *claims) end(cl *claim) {
	shard := c.shard(&cl.key)
	shard.Lock()
	defer shard.Unlock()
	if shard.byToken[cl.token] == cl {
		shard.remove(cl)
	}
}

// drop ends a claim without a commit and gives back what it reserved.
func (c *claims) drop(cl *claim) {
	shard := c.shard(&cl.key)
	shard.Lock()
	defer shard.Unlock()
	if shard.byToken[cl.token] == cl {
		shard.remove(cl)
		cl.giveBack()
	}
}

// release drops the open claim of a token, if there is one.
func (c *claims) release(token ledger.Token) {
	shard := &c.shards[uint64(token)%claimShards]
	shard.Lock()
	defer shard.Unlock()
	if cl := shard.byToken[token]; cl != nil && !cl.committing {
		shard.remove(cl)
		cl.giveBack()
	}
}

func (cl *claim) giveBack() {
	for _, counter := range cl.counters {
		counter.giveBack()
		counter.unpin()
	}
	cl.counters = nil
}

// sweep drops claims whose lease is over, so that what they reserve is free. It looks at most once a lease.
func (c *claims) sweep(now time.Time) {
	earliest := c.earliest.Load()
	if earliest == 0 || now.UnixNano() < earliest || !c.earliest.CompareAndSwap(earliest, 0) {
		return
	}
	next := int64(0)
	c.each(func(shard *claimShard, cl *claim) {
		if cl.committing {
			return
		}
		if !now.Before(cl.expires) {
			shard.remove(cl)
			cl.giveBack()
		} else if ends := cl.expires.UnixNano(); next == 0 || ends < next {
			next = ends
		}
	})
	for next != 0 {
		earliest := c.earliest.Load()
		if earliest != 0 && earliest <= next || c.earliest.CompareAndSwap(earliest, next) {
			return
		}
	}
}

// strike marks claims that an act concerns. The caller holds acts for writing.
func (c *claims) strike(why fault.Reason, concerns func(*claim) bool) {
	c.each(func(_ *claimShard, cl *claim) {
		if cl.struck == 0 && concerns(cl) {
			cl.struck = why
		}
	})
}

// Claims returns how many requests are claimed and not yet settled.
func (s *Store) Claims() int {
	n := 0
	for i := range s.claims.shards {
		shard := &s.claims.shards[i]
		shard.Lock()
		n += len(shard.byToken)
		shard.Unlock()
	}
	return n
}

func (c *claims) each(f func(*claimShard, *claim)) {
	for i := range c.shards {
		shard := &c.shards[i]
		shard.Lock()
		for _, cl := range shard.byToken {
			f(shard, cl)
		}
		shard.Unlock()
	}
}

const evidenceStripes = 4096

// evidenceLocks let one at a time change what stands under an evidence, and tell whether anybody did.
type evidenceLocks [evidenceStripes]evidenceLock

type evidenceLock struct {
	sync.Mutex
	version atomic.Uint64
}

// Unlock lets the next one in. What its holder changed can be read by now, so a claim that read before that finds another
// version at its commit; one that reads from here on reads the change. The version must not be raised earlier: a claim
// could read it, and then not yet the change.
func (l *evidenceLock) Unlock() {
	l.version.Add(1)
	l.Mutex.Unlock()
}

func (l *evidenceLocks) of(evidence digest.Digest) int {
	return (int(evidence[0])<<8 | int(evidence[1])) % evidenceStripes
}
