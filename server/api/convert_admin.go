package api

import (
	"context"
	"encoding/hex"
	"maps"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/heyan-project/heyan/verifier/fault"
)

// pageOf cuts one page out of sorted ids. after says that an id stands behind a place in their order.
func pageOf(list *pages, ids []string, size int32, token string, after func(id, place string) bool) (cut []string, next string, f *fault.Fault) {
	limit, f := pageSize(size)
	if f != nil {
		return nil, "", f
	}
	place, f := list.place(token)
	if f != nil {
		return nil, "", f
	}
	if place != "" {
		begin := slices.IndexFunc(ids, func(id string) bool { return after(id, place) })
		if begin < 0 {
			begin = len(ids)
		}
		ids = ids[begin:]
	}
	if len(ids) > limit {
		return ids[:limit], list.token(ids[limit-1]), nil
	}
	return ids, "", nil
}

// ascending is the order of most lists.
func ascending(id, place string) bool { return id > place }

// sortedIDs returns the ids of what keep lets through.
func sortedIDs[T any](all map[string]T, keep func(T) bool) []string {
	ids := slices.Collect(maps.Keys(all))
	if keep != nil {
		ids = slices.DeleteFunc(ids, func(id string) bool { return !keep(all[id]) })
	}
	slices.Sort(ids)
	return ids
}

// text is one text meant for people, by the name of its member.
type text struct{ name, value string }

// texts checks several texts, the first refusal winning.
func (d *Deps) texts(ctx context.Context, all ...text) *fault.Fault {
	for _, t := range all {
		if f := d.text(ctx, t.name, t.value); f != nil {
			return f
		}
	}
	return nil
}

func malformed(name, cause string) *fault.Fault {
	return fault.New(fault.RequestMalformed).WithField(name, cause)
}

func missing(name string) *fault.Fault { return fault.New(fault.FieldMissing).WithField(name, "") }

// maxPrefixes is how many address prefixes one client or credential may have.
const maxPrefixes = 256

// prefixesOf reads a list of address prefixes. Only the canonical form is taken: bits behind the prefix are a
// typing error that would otherwise widen or narrow it silently.
func prefixesOf(name string, list []string) ([]netip.Prefix, *fault.Fault) {
	if len(list) > maxPrefixes {
		return nil, malformed(name, "AT_MOST_256")
	}
	prefixes := make([]netip.Prefix, 0, len(list))
	for _, s := range list {
		p, err := netip.ParsePrefix(s)
		if err != nil || p != p.Masked() || p.Addr().Is4In6() {
			return nil, malformed(name, "ADDRESS_PREFIX")
		}
		prefixes = append(prefixes, p)
	}
	return prefixes, nil
}

func publicPrefixes(list []netip.Prefix) []string {
	texts := make([]string, len(list))
	for i, p := range list {
		texts[i] = p.String()
	}
	return texts
}

// sha256Of reads an optional SHA-256.
func sha256Of(name string, b []byte) *fault.Fault {
	if len(b) != 0 && len(b) != 32 {
		return malformed(name, "SHA256_OF_32_BYTES")
	}
	return nil
}

// certificateOf checks how a certificate is bound: by the CA's digest and a URI or DNS name. It returns the
// digest in hexadecimal.
func (d *Deps) certificateOf(ctx context.Context, issuer []byte, name string) (string, *fault.Fault) {
	switch {
	case len(issuer) == 0:
		return "", missing("issuer_sha256")
	case name == "":
		return "", missing("subject_alt_name")
	case !validURI(name) && !validDNS(name):
		return "", malformed("subject_alt_name", "URI_OR_DNS_NAME")
	}
	if f := sha256Of("issuer_sha256", issuer); f != nil {
		return "", f
	}
	return hex.EncodeToString(issuer), d.scan(ctx, "subject_alt_name", name)
}

// maxName is the longest URI or DNS name of a certificate that is bound (RFC 1035: 253 for a DNS name).
const maxName = 253

func validURI(s string) bool {
	u, err := url.Parse(s)
	return err == nil && len(s) <= maxName && u.Scheme != "" && u.Host != "" && u.User == nil && u.RawQuery == "" &&
		u.Fragment == "" && u.String() == s
}

// validDNS reports whether s is a DNS name without wildcards.
func validDNS(s string) bool {
	if len(s) > maxName {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' ||
			strings.Trim(label, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return false
		}
	}
	return true
}

// bytesOf turns a stored hexadecimal digest back into bytes; nil for none.
func bytesOf(hexadecimal string) []byte {
	b, err := hex.DecodeString(hexadecimal)
	if err != nil || len(b) == 0 {
		return nil
	}
	return b
}

func number(n int64) string { return strconv.FormatInt(n, 10) }

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
