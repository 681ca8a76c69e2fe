package transport

import (
	"net/netip"
	"sync"
)

// strangers counts the connections on which nobody with an identity has called yet.
type strangers struct {
	most, mostFromOne int

	mu   sync.Mutex
	all  int
	from map[netip.Prefix]int // an IPv4 address, or a /64
}

// enter counts one in, where there is room. forget, to be called once, counts it out; where there was none it does
// nothing. Connections that have no address are told apart from no other.
func (s *strangers) enter(address netip.Addr) (forget func(), ok bool) {
	bits := address.BitLen()
	if address.Is6() {
		bits = 64
	}
	from, _ := address.Prefix(bits)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all >= s.most || s.from[from] >= s.mostFromOne {
		return func() {}, false
	}
	s.all++
	s.from[from]++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.all--
		if s.from[from]--; s.from[from] == 0 {
			delete(s.from, from)
		}
	}, true
}
