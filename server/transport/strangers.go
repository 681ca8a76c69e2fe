package transport

import (
	"container/list"
	"net/netip"
	"sync"
	"time"
)

// strangers are connections on which nobody with an identity has called yet, with a call open, or idle. An idle one has had its chance: it is closed after a while, and makes room at once where there is no other.
type strangers struct {
	most, mostFromOne int
	patience          time.Duration // how long one may be idle

	mu   sync.Mutex
	from map[netip.Prefix]int // by an IPv4 address, or a /64
	all  int
	idle list.List // of *stranger, the longest idle first
}

// stranger is one of them. Its members are guarded by strangers.mu.
type stranger struct {
	of     *strangers
	source netip.Prefix
	named  bool          // it counts for its source
	gone   bool          // it counts no longer
	place  *list.Element // among the idle ones
	timer  *time.Timer
	close  func() // of an idle one
}

// enter counts one in, where there is room or an idle one to put out. Connections that have no address are told apart
// from no other.
func (s *strangers) enter(address netip.Addr) (n *stranger, ok bool) {
	source := sourceOf(address)
	s.mu.Lock()
	var out *stranger
	if s.from[source] >= s.mostFromOne {
		out = s.longestIdle(func(n *stranger) bool { return n.source == source })
	} else if s.all >= s.most {
		out = s.longestIdle(func(*stranger) bool { return true })
	} else {
		ok = true
	}
	if out != nil {
		s.drop(out)
		ok = true
	}
	if ok {
		n = &stranger{of: s}
		s.all++
		s.name(n, source)
	}
	s.mu.Unlock()
	if out != nil {
		go out.close() // which says goodbye to a peer that may not listen
	}
	return n, ok
}

func sourceOf(address netip.Addr) netip.Prefix {
	bits := address.BitLen()
	if address.Is6() {
		bits = 64
	}
	source, _ := address.Prefix(bits)
	return source
}

// name counts one for its source. The caller holds mu.
func (s *strangers) name(n *stranger, source netip.Prefix) {
	n.source, n.named = source, true
	s.from[source]++
}

// arrive counts one in whose source is not known yet: whoever a proxy passes on is told by its header, and the proxy's own
// address is everybody's.
func (s *strangers) arrive() (n *stranger, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all >= s.most {
		return nil, false
	}
	s.all++
	return &stranger{of: s}, true
}

// take counts one for its source, unless that has too many.
func (n *stranger) take(address netip.Addr) bool {
	source := sourceOf(address)
	n.of.mu.Lock()
	defer n.of.mu.Unlock()
	if n.of.from[source] >= n.of.mostFromOne {
		return false
	}
	n.of.name(n, source)
	return true
}

func (s *strangers) longestIdle(which func(*stranger) bool) *stranger {
	for at := s.idle.Front(); at != nil; at = at.Next() {
		if n := at.Value.(*stranger); which(n) {
			return n
		}
	}
	return nil
}

// drop counts one out. The caller holds mu.
func (s *strangers) drop(n *stranger) {
	s.busy(n)
	if n.gone {
		return
	}
	n.gone = true
	s.all--
	if !n.named {
		return
	}
	if s.from[n.source]--; s.from[n.source] == 0 {
		delete(s.from, n.source)
	}
}

// busy takes one from the idle ones. The caller holds mu.
func (s *strangers) busy(n *stranger) {
	if n.place != nil {
		s.idle.Remove(n.place)
		n.timer.Stop()
		n.place = nil
	}
}

// forget counts it out: it has an identity, or is closed. Again it does nothing; a nil stranger is none.
func (n *stranger) forget() {
	if n == nil {
		return
	}
	n.of.mu.Lock()
	defer n.of.mu.Unlock()
	n.of.drop(n)
}

// rest says that it has no call open. close ends it, from whatever goroutine.
func (n *stranger) rest(close func()) {
	if n == nil {
		return
	}
	n.of.mu.Lock()
	defer n.of.mu.Unlock()
	if n.gone || n.place != nil {
		return
	}
	n.close = close
	n.place = n.of.idle.PushBack(n)
	n.timer = time.AfterFunc(n.of.patience, func() { n.tire(close) })
}

// tire closes one that is idle still.
func (n *stranger) tire(close func()) {
	n.of.mu.Lock()
	idle := n.place != nil
	if idle {
		n.of.drop(n)
	}
	n.of.mu.Unlock()
	if idle {
		close()
	}
}

// stir says that it has a call open.
func (n *stranger) stir() {
	if n == nil {
		return
	}
	n.of.mu.Lock()
	defer n.of.mu.Unlock()
	n.of.busy(n)
}
