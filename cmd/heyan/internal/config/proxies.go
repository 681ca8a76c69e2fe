package config

import "net/netip"

// maxProxies is how many prefixes of load balancers there may be: they stand in one record of the network log.
const maxProxies = 64

// widest is the shortest prefix that may be trusted in production: shorter ones are most of all addresses, whose word would
// then count for whoever calls.
const widest = 7

// Proxies returns the prefixes of trusted load balancers.
func (c *Config) Proxies() []netip.Prefix {
	var list []netip.Prefix
	for _, text := range c.TrustedProxies {
		if p, ok := proxy(text); ok { // checked before
			list = append(list, p)
		}
	}
	return list
}

// proxy reads a prefix, or an address alone.
func proxy(text string) (netip.Prefix, bool) {
	if a, err := netip.ParseAddr(text); err == nil {
		return netip.PrefixFrom(a, a.BitLen()), !a.Is4In6() && a.Zone() == ""
	}
	p, err := netip.ParsePrefix(text)
	return p, err == nil && p == p.Masked() && !p.Addr().Is4In6()
}

func (c *Config) checkProxies(require func(bool, string, ...any)) {
	require(len(c.TrustedProxies) <= maxProxies, "trusted_proxies: at most %d", maxProxies)
	seen := map[netip.Prefix]bool{}
	for i, text := range c.TrustedProxies {
		p, ok := proxy(text)
		require(ok, "trusted_proxies: entry %d is no address and no prefix such as 10.1.2.0/24", i+1)
		require(!ok || !seen[p], "trusted_proxies: entry %d stands there twice", i+1)
		require(!ok || !c.Production || p.Bits() >= widest, "trusted_proxies: entry %d trusts most of the world: anybody could then claim any address", i+1)
		seen[p] = ok
	}
}
