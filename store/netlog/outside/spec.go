package outside

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
)

// Kind is what sort of place a target is.
type Kind string

// The kinds of target.
const (
	File   Kind = "file"
	Syslog Kind = "syslog"
	HTTP   Kind = "http"
)

// Spec is where a target is, as a line of the configuration says it.
type Spec struct {
	Kind Kind
	Path string // File: absolute

	address             string // Syslog: host:port
	host                string
	url                 string // HTTP, without our options
	ca, cert, key, auth string // paths of files, absolute; empty = none
}

// Parse reads one line. Paths of files that it names are relative to dir. Errors say what is wrong with the line and never
// repeat it.
func Parse(line, dir string) (Spec, error) {
	u, err := url.Parse(line)
	switch {
	case err != nil:
		return Spec{}, errors.New("not a URL")
	case u.Opaque != "":
		return Spec{}, errors.New("wants // behind the scheme")
	case u.User != nil:
		return Spec{}, errors.New("a user or password does not stand in a URL; token=FILE names a bearer token")
	case u.Fragment != "":
		return Spec{}, errors.New("a fragment is not sent to anybody")
	}
	s := Spec{host: u.Hostname()}
	switch u.Scheme {
	case "file":
		err = s.file(u)
	case "syslog+tls":
		s.Kind = Syslog
		if err = s.options(u, dir, "ca", "cert", "key"); err == nil {
			err = s.syslog(u)
		}
	case "https":
		s.Kind = HTTP
		if err = s.options(u, dir, "ca", "cert", "key", "token"); err == nil {
			err = s.web(u)
		}
	case "http":
		s.Kind = HTTP
		if !loopback(s.host) {
			return Spec{}, errors.New("http:// only to this machine itself; anywhere else https://")
		}
		if err = s.options(u, dir, "token"); err == nil {
			err = s.web(u)
		}
	case "syslog", "syslog+tcp", "syslog+udp":
		err = errors.New("syslog goes over TLS only: syslog+tls://host:6514")
	default:
		err = errors.New("file://, syslog+tls:// or https://")
	}
	if err != nil {
		return Spec{}, err
	}
	return s, nil
}

// loopback reports whether only this machine is reached by a host.
func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func (s *Spec) file(u *url.URL) error {
	path := filepath.FromSlash(u.Path)
	switch {
	case u.Host != "" && u.Host != "localhost", !filepath.IsAbs(path):
		return errors.New("a file is file:// and an absolute path, so three slashes")
	case u.RawQuery != "" || u.ForceQuery:
		return errors.New("a file has no options")
	case path[len(path)-1] == filepath.Separator:
		return errors.New("names a folder, not a file")
	}
	s.Kind, s.Path = File, filepath.Clean(path)
	return nil
}

func (s *Spec) syslog(u *url.URL) error {
	if s.host == "" || u.Path != "" && u.Path != "/" {
		return errors.New("syslog+tls://host:port and nothing behind but options")
	}
	port := u.Port()
	if port == "" {
		port = "6514" // RFC 5425, section 4.1
	}
	if err := checkPort(port); err != nil {
		return err
	}
	s.address = net.JoinHostPort(s.host, port)
	return nil
}

func (s *Spec) web(u *url.URL) error {
	if s.host == "" {
		return errors.New("names no host")
	}
	if port := u.Port(); port != "" {
		if err := checkPort(port); err != nil {
			return err
		}
	}
	bare := *u
	bare.RawQuery, bare.ForceQuery = "", false
	s.url = bare.String()
	return nil
}

func checkPort(port string) error {
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return errors.New("a port is 1 to 65535")
	}
	return nil
}

// options reads what stands behind the question mark. It is ours, and not sent.
func (s *Spec) options(u *url.URL, dir string, allowed ...string) error {
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return errors.New("malformed options")
	}
	to := map[string]*string{"ca": &s.ca, "cert": &s.cert, "key": &s.key, "token": &s.auth}
	for name, values := range query {
		if !slices.Contains(allowed, name) {
			return fmt.Errorf("an option that is none here; there are %v", allowed)
		}
		if len(values) != 1 || values[0] == "" {
			return fmt.Errorf("%s: one path of a file", name)
		}
		path := values[0]
		if !filepath.IsAbs(path) {
			path = filepath.Join(dir, path)
		}
		*to[name] = path
	}
	if (s.cert == "") != (s.key == "") {
		return errors.New("cert and key go together")
	}
	return nil
}

// tls reads the certificates that the spec names.
func (s Spec) tls() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: s.host}
	if s.ca != "" {
		text, err := os.ReadFile(s.ca)
		if err != nil {
			return nil, err
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("%s: no certificate in PEM form", s.ca)
		}
	}
	if s.cert != "" {
		pair, err := tls.LoadX509KeyPair(s.cert, s.key)
		if err != nil {
			return nil, err
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}
