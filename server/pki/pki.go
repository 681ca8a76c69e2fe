// Package pki is a small certificate authority for a first start, development and tests.
//
// It makes ECDSA P-256 certificates: one CA, and below it leaves for servers (DNS names and addresses) and for
// callers (a URI name such as spiffe://heyan/operator/li-wei). An organisation that has a CA of its own uses that
// one instead: Heyan only needs the CA's certificate and the names.
//
// Not guaranteed: revocation lists. A binding is revoked in Heyan, by the name, and binds the next call.
package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"net/url"
	"time"
)

// Authority is a CA with its key.
type Authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	random      io.Reader
}

// caLife is how long a CA made here lasts.
const caLife = 10 * 365 * 24 * time.Hour

// New makes a CA.
func New(name string, now time.Time, random io.Reader) (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), random)
	if err != nil {
		return nil, err
	}
	template, err := template(name, now, now.Add(caLife), random)
	if err != nil {
		return nil, err
	}
	template.IsCA, template.BasicConstraintsValid, template.MaxPathLenZero = true, true, true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	der, err := x509.CreateCertificate(random, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &Authority{certificate: certificate, key: key, random: random}, nil
}

// Load reads a CA from PEM.
func Load(certificatePEM, keyPEM []byte, random io.Reader) (*Authority, error) {
	pair, err := tls.X509KeyPair(certificatePEM, keyPEM)
	if err != nil {
		return nil, err
	}
	key, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !ok || pair.Leaf == nil || !pair.Leaf.IsCA {
		return nil, errors.New("pki: not a CA made by Heyan")
	}
	return &Authority{certificate: pair.Leaf, key: key, random: random}, nil
}

// PEM returns the CA's certificate and key.
func (a *Authority) PEM() (certificate, key []byte, err error) {
	key, err = keyPEM(a.key)
	return pemOf("CERTIFICATE", a.certificate.Raw), key, err
}

// SHA256 returns the digest of the CA's certificate, hexadecimal, by which bindings name it.
func (a *Authority) SHA256() string { return SHA256(a.certificate) }

// SHA256 returns the digest of a certificate, hexadecimal.
func SHA256(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return hex.EncodeToString(sum[:])
}

// Pool returns a pool with the CA.
func (a *Authority) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.certificate)
	return pool
}

// Leaf describes a certificate to issue. One of Hosts and URI is set.
type Leaf struct {
	Name      string
	Hosts     []string // of a server: DNS names and addresses
	URI       string   // of a caller
	NotBefore time.Time
	NotAfter  time.Time
}

// Issued is a certificate with its key, as PEM.
type Issued struct{ Certificate, Key []byte }

// TLS returns the pair for package tls.
func (i Issued) TLS() (tls.Certificate, error) { return tls.X509KeyPair(i.Certificate, i.Key) }

// Issue makes a leaf.
func (a *Authority) Issue(leaf Leaf) (Issued, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), a.random)
	if err != nil {
		return Issued{}, err
	}
	template, err := template(leaf.Name, leaf.NotBefore, leaf.NotAfter, a.random)
	if err != nil {
		return Issued{}, err
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	for _, host := range leaf.Hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	if leaf.URI != "" {
		uri, err := url.Parse(leaf.URI)
		if err != nil {
			return Issued{}, errors.New("pki: not a URI")
		}
		template.URIs = []*url.URL{uri}
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	}
	der, err := x509.CreateCertificate(a.random, template, a.certificate, &key.PublicKey, a.key)
	if err != nil {
		return Issued{}, err
	}
	keyText, err := keyPEM(key)
	return Issued{Certificate: pemOf("CERTIFICATE", der), Key: keyText}, err
}

func template(name string, from, to time.Time, random io.Reader) (*x509.Certificate, error) {
	var serial [16]byte
	if _, err := io.ReadFull(random, serial[:]); err != nil {
		return nil, err
	}
	serial[0] &= 0x7f // a serial number is positive
	return &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(serial[:]), Subject: pkix.Name{CommonName: name, Organization: []string{"Heyan"}},
		NotBefore: from.Add(-time.Minute), NotAfter: to,
	}, nil
}

func keyPEM(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pemOf("PRIVATE KEY", der), nil
}

func pemOf(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
