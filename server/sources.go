package server

import (
	"net/netip"
	"strings"
	"sync"
	"time"
)

// Behind a load balancer that nobody told Heyan of, all log-ins come from one address: the balancer's. Then the network
// log traces nobody, and limits by address bind everybody at once. At least manyLogins log-ins in an hour, of which at
// least mostOfThem per cent come from one address, are said to the operator and in the heartbeat.
const (
	manyLogins   = 1000
	mostOfThem   = 95
	sourcesOver  = time.Hour
	sourcesKnown = 4096 // addresses that are told apart
)

// oneSource is the rule that a heartbeat names then.
const oneSource = "ONE_SOURCE"

// sources counts an hour's log-ins by address. It is nil where trusted proxies are configured, and then counts nothing.
type sources struct {
	mu    sync.Mutex
	from  map[netip.Addr]int
	all   int
	begun time.Time
	said  bool    // in this hour
	found sharing // in this hour, or in the one before while this one has few log-ins
}

// sharing is what a look found: whether count, of all log-ins, came from one address, and whether that is to be said.
type sharing struct {
	shared, news bool
	address      netip.Addr
	count, all   int
}

func newSources(now time.Time) *sources {
	return &sources{from: map[netip.Addr]int{}, begun: now}
}

// count counts one log-in.
func (s *sources) count(from netip.Addr) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all++
	if _, known := s.from[from]; known || len(s.from) < sourcesKnown {
		s.from[from]++
	}
}

// look judges the hour so far, once it has many log-ins or is over, and then begins a new one. It is news once an hour.
func (s *sources) look(now time.Time) sharing {
	if s == nil {
		return sharing{}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	enough, over := s.all >= manyLogins, now.Sub(s.begun).Abs() >= sourcesOver // a clock that was set back ends the hour too
	if !enough && !over {
		return s.found
	}
	found := sharing{all: s.all}
	for address, count := range s.from {
		if count > found.count {
			found.address, found.count = address, count
		}
	}
	found.shared = enough && found.count*100 >= s.all*mostOfThem
	s.found = found
	found.news = found.shared && !s.said
	s.said = s.said || found.news
	if over {
		s.from, s.all, s.begun, s.said = map[netip.Addr]int{}, 0, now, false
	}
	return found
}

// lookAtSources says where nearly all log-ins come from one address.
func (s *Server) lookAtSources() sharing {
	found := s.sources.look(s.now())
	s.metrics.SourcesShared(found.shared)
	if found.news {
		s.logger.Warn("nearly all log-ins come from one address, and the network log shows no other: if it is a load balancer's, "+
			"name it in trusted_proxies and have it send PROXY protocol version 2",
			"address", found.address.String(), "sessions", found.count, "of", found.all)
	}
	return found
}

// statedProxies is what the log says of whose word on addresses it takes: a reader of its sources has to know.
func statedProxies(trusted []netip.Prefix) string {
	if len(trusted) == 0 {
		return ""
	}
	names := make([]string, len(trusted))
	for i, prefix := range trusted {
		names[i] = prefix.String()
	}
	return "trusted_proxies=" + strings.Join(names, ",")
}
