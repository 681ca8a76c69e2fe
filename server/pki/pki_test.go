package pki_test

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"testing"
	"time"

	"github.com/heyan-project/heyan/server/pki"
)

var now = time.Date(2026, 11, 22, 4, 0, 0, 0, time.UTC)

// TestLeaves: what an authority issues verifies against it, for its use and in its time only.
func TestLeaves(t *testing.T) {
	ca, other := authority(t), authority(t)
	for _, c := range []struct {
		name  string
		leaf  pki.Leaf
		roots *x509.CertPool
		host  string
		use   x509.ExtKeyUsage
		at    time.Time
		good  bool
	}{
		{"a server by name", pki.Leaf{Name: "s", Hosts: []string{"heyan.example", "192.0.2.1"}}, ca.Pool(), "heyan.example", x509.ExtKeyUsageServerAuth, now, true},
		{"a server by address", pki.Leaf{Name: "s", Hosts: []string{"heyan.example", "192.0.2.1"}}, ca.Pool(), "192.0.2.1", x509.ExtKeyUsageServerAuth, now, true},
		{"a server by another name", pki.Leaf{Name: "s", Hosts: []string{"heyan.example"}}, ca.Pool(), "example.org", x509.ExtKeyUsageServerAuth, now, false},
		{"a server as a caller", pki.Leaf{Name: "s", Hosts: []string{"heyan.example"}}, ca.Pool(), "", x509.ExtKeyUsageClientAuth, now, false},
		{"a caller", pki.Leaf{Name: "c", URI: "spiffe://heyan/operator/li-wei"}, ca.Pool(), "", x509.ExtKeyUsageClientAuth, now, true},
		{"a caller as a server", pki.Leaf{Name: "c", URI: "spiffe://heyan/operator/li-wei"}, ca.Pool(), "", x509.ExtKeyUsageServerAuth, now, false},
		{"a caller of another authority", pki.Leaf{Name: "c", URI: "spiffe://heyan/operator/li-wei"}, other.Pool(), "", x509.ExtKeyUsageClientAuth, now, false},
		{"too late", pki.Leaf{Name: "c", URI: "spiffe://heyan/operator/li-wei"}, ca.Pool(), "", x509.ExtKeyUsageClientAuth, now.Add(2 * time.Hour), false},
		{"too early", pki.Leaf{Name: "c", URI: "spiffe://heyan/operator/li-wei"}, ca.Pool(), "", x509.ExtKeyUsageClientAuth, now.Add(-time.Hour), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.leaf.NotBefore, c.leaf.NotAfter = now, now.Add(time.Hour)
			issued, err := ca.Issue(c.leaf)
			must(t, err)
			pair, err := issued.TLS()
			must(t, err)
			_, err = pair.Leaf.Verify(x509.VerifyOptions{Roots: c.roots, DNSName: c.host, CurrentTime: c.at, KeyUsages: []x509.ExtKeyUsage{c.use}})
			if (err == nil) != c.good {
				t.Errorf("verifies: %v, want %v", err, c.good)
			}
			if c.leaf.URI != "" && (len(pair.Leaf.URIs) != 1 || pair.Leaf.URIs[0].String() != c.leaf.URI) {
				t.Errorf("names %v", pair.Leaf.URIs)
			}
			if pair.Leaf.IsCA || pair.Leaf.SerialNumber.Sign() <= 0 {
				t.Errorf("CA %v, serial number %v", pair.Leaf.IsCA, pair.Leaf.SerialNumber)
			}
		})
	}
	if _, err := ca.Issue(pki.Leaf{Name: "c", URI: "spiffe://%zz", NotBefore: now, NotAfter: now.Add(time.Hour)}); err == nil || bytes.Contains([]byte(err.Error()), []byte("zz")) {
		t.Errorf("a URI that is none: %v", err)
	}
}

// TestLoad: an authority that was written is the same when read; a leaf is none, nor is another's key.
func TestLoad(t *testing.T) {
	ca := authority(t)
	certificate, key, err := ca.PEM()
	must(t, err)
	read, err := pki.Load(certificate, key, rand.Reader)
	must(t, err)
	again, keyAgain, err := read.PEM()
	must(t, err)
	if !bytes.Equal(again, certificate) || !bytes.Equal(keyAgain, key) || read.SHA256() != ca.SHA256() || len(ca.SHA256()) != 64 {
		t.Error("read back differently")
	}
	issued, err := read.Issue(pki.Leaf{Name: "c", URI: "spiffe://x", NotBefore: now, NotAfter: now.Add(time.Hour)})
	must(t, err)
	pair, err := issued.TLS()
	must(t, err)
	if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: ca.Pool(), CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
		t.Error(err)
	}
	_, otherKey, err := authority(t).PEM()
	must(t, err)
	for name, pems := range map[string][2][]byte{
		"a leaf": {issued.Certificate, issued.Key}, "another's key": {certificate, otherKey}, "no PEM": {[]byte("x"), key}, "nothing": {nil, nil},
	} {
		if _, err := pki.Load(pems[0], pems[1], rand.Reader); err == nil {
			t.Errorf("%s is taken for an authority", name)
		}
	}
}

func authority(t *testing.T) *pki.Authority {
	t.Helper()
	ca, err := pki.New("test", now.Add(-24*time.Hour), rand.Reader)
	must(t, err)
	return ca
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
