package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/heyan-project/heyan/deploy/bench/internal/groupcommit"
	"github.com/heyan-project/heyan/store/netlog"
	"github.com/heyan-project/heyan/store/netlog/record"
)

// logRound is one round: the log against bare group commit.
type logRound struct {
	LogPerSecond  float64 `json:"log_per_second"`  // 64 writers
	BarePerSecond float64 `json:"bare_per_second"` // 64 writers
	LogP50        float64 `json:"log_p50_ms"`      // one writer
	BareP50       float64 `json:"bare_p50_ms"`     // one writer
}

const writers = 64

// verification is a record as an ordinary verification leaves it.
func verification() *record.Record {
	return &record.Record{
		Time: time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC), Event: record.VerificationVerify,
		Clock:   record.Clock{State: record.ClockSynchronised, Offset: 1500},
		Actor:   record.Actor{Kind: record.ActorClient, ID: "bench", Role: "client", Credential: "k7f3a9b2e11c", AuthMethod: "mtls"},
		Session: "c-7f3a9b2e11", Action: "/heyan.v1.VerificationService/Verify",
		Object:  record.Object{Type: "verification", ID: "0195f3c0-7b1a-7c3e-9a51-2f8e6d4c3b2a"},
		Outcome: record.Outcome{Kind: record.Success}, Traffic: record.Traffic{BytesIn: 212, BytesOut: 340, Duration: 812345},
		Processing: &record.Processing{Product: "id2", Purpose: "ACCOUNT_OPENING", Fields: []string{"name", "id_number"},
			ConsentUse: "0195f3c0-7b1a-7c3e-9a51-2f8e6d4c3b2b", Verdict: "MATCH", Source: "registry", Dataset: "people/1", Billing: "BILLED"},
		Commitment: [32]byte{1},
	}
}

func leaf() ([]byte, error) { return record.Append(nil, verification()) }

// compareLogs runs log and bare group commit in turn.
func compareLogs(dir string, seconds float64, rounds int) ([]logRound, error) {
	body, err := leaf()
	if err != nil {
		return nil, err
	}
	bare, err := groupcommit.Open(dir)
	if err != nil {
		return nil, err
	}
	seed, seal := make([]byte, ed25519.SeedSize), make([]byte, 32)
	for _, key := range [][]byte{seed, seal} {
		if _, err := rand.Read(key); err != nil {
			return nil, err
		}
	}
	l, err := netlog.Create(netlog.Options{
		Dir: filepath.Join(dir, "log"), Node: "bench", Now: time.Now, SigningKey: ed25519.NewKeyFromSeed(seed), SealKey: seal,
	}, "benchmark")
	if err != nil {
		return nil, err
	}
	opening, content := make([]byte, record.OpeningSize), make([]byte, 80)
	appendToLog := func() error {
		record.Commit(opening, content)
		ticket, err := l.Append(body)
		if err != nil {
			return err
		}
		return ticket.Wait(context.Background())
	}
	appendBare := func() error { return bare.Append(body) }
	each := time.Duration(seconds / 4 * float64(time.Second))
	var results []logRound
	for range rounds {
		var r logRound
		for _, one := range []struct {
			writers int
			append  func() error
			rate    *float64
			p50     *float64
		}{{writers, appendBare, &r.BarePerSecond, nil}, {writers, appendToLog, &r.LogPerSecond, nil},
			{1, appendBare, nil, &r.BareP50}, {1, appendToLog, nil, &r.LogP50}} {
			rate, p50, err := hammer(one.writers, each, one.append)
			if err != nil {
				return nil, err
			}
			if one.rate != nil {
				*one.rate = rate
			} else {
				*one.p50 = p50
			}
		}
		results = append(results, r)
	}
	if err := l.Close(); err != nil {
		return nil, err
	}
	return results, bare.Close()
}

// hammer lets writers append for a time, each waiting for its own, and returns appends a second and the median latency
// in milliseconds.
func hammer(writers int, d time.Duration, appendOne func() error) (rate, p50 float64, err error) {
	latencies, errs := make([][]time.Duration, writers), make([]error, writers)
	began := time.Now()
	var group sync.WaitGroup
	for w := range writers {
		group.Go(func() {
			for at := time.Now(); at.Sub(began) < d; {
				if errs[w] = appendOne(); errs[w] != nil {
					return
				}
				now := time.Now()
				latencies[w] = append(latencies[w], now.Sub(at))
				at = now
			}
		})
	}
	group.Wait()
	elapsed := time.Since(began)
	all := slices.Concat(latencies...)
	for _, failed := range errs {
		if failed != nil {
			return 0, 0, failed
		}
	}
	slices.Sort(all)
	return float64(len(all)) / elapsed.Seconds(), all[len(all)/2].Seconds() * 1000, nil
}
