// Package bootstrap lays out the folder of a first start: keys, certificates and a minimal configuration.
//
//	DIR/heyan.yaml   the configuration
//	DIR/keys/        secrets, 0600, outside the data directory
//	DIR/certs/       a CA of Heyan's own, the server's certificate, one for each person
//	DIR/data/        the data directory, made by whoever opens it
//
// A file that exists is never overwritten: a second run on the same folder is an error. Nothing is written before
// everything was checked, and what was made is removed again where a later step fails ([Laid.Undo]); only a process that
// is killed in between leaves a folder that has to be moved away.
package bootstrap

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"text/template"
	"time"

	"github.com/heyan-project/heyan/cmd/heyan/internal/config"
	"github.com/heyan-project/heyan/cmd/heyan/internal/keyfile"
	"github.com/heyan-project/heyan/server/pki"
	"github.com/heyan-project/heyan/verifier/role"
)

// Person is one of the first people.
type Person struct {
	ID    string // the operator's slug
	Roles role.Set
}

// URI returns the name in the person's certificate.
func (p Person) URI() string { return "spiffe://heyan/operator/" + p.ID }

// Options says what to lay out.
type Options struct {
	Dir          string
	Node         string
	Region       string
	Hosts        []string // names and addresses of the server
	Listen       string
	StatusListen string
	Production   bool
	Reflection   bool
	People       []Person
	Life         time.Duration // of certificates
	Now          time.Time
	Random       io.Reader
}

// names are what a first start makes in the folder, the configuration last.
var names = []string{"keys", "certs", "data", "profiles.yaml", "heyan.yaml"}

// ErrExists means that the folder holds a configuration already.
var ErrExists = errors.New("this folder holds a configuration already: nothing was changed")

// Laid is what was laid out.
type Laid struct {
	Config string
	CA     *pki.Authority
	CAFile string
	dir    string
	now    time.Time
	life   time.Duration
	made   []string // what was not there before: to remove where a later step fails
	within []string // empty folders that were there before: to empty again
}

var configText = template.Must(template.New("config").Parse(`# Heyan's configuration. Every member: deploy/config/heyan.yaml.
node: {{printf "%q" .Node}}
region: {{printf "%q" .Region}}
production: {{.Production}}
listen: {{printf "%q" .Listen}}
status_listen: {{printf "%q" .StatusListen}}
data_dir: data
tls:
  certificate: certs/server.pem
  key: certs/server.key
  client_ca: [certs/ca.pem]
keys:
  digest: keys/digest.key
  subject: keys/subject.key
  business: keys/business.key
  registry: keys/registry.key
  log_seal: keys/log-seal.key
  log_sign: keys/log-sign.key
reflection: {{.Reflection}}
`))

// Lay lays out the folder, whole or not at all.
func Lay(o Options) (*Laid, error) {
	var text bytes.Buffer
	if err := configText.Execute(&text, o); err != nil {
		return nil, err
	}
	if _, err := config.Parse(text.Bytes(), o.Dir); err != nil {
		return nil, err
	}
	l := &Laid{Config: filepath.Join(o.Dir, "heyan.yaml"), CAFile: filepath.Join(o.Dir, "certs", "ca.pem"), dir: o.Dir, now: o.Now, life: o.Life}
	if err := l.survey(); err != nil {
		return nil, err
	}
	err := l.keys(o)
	if err == nil {
		err = l.certificates(o)
	}
	if err == nil {
		// The configuration comes last: where it stands, everything else does.
		err = keyfile.Write(l.Config, text.Bytes())
	}
	if err != nil {
		return nil, errors.Join(err, l.Undo())
	}
	return l, nil
}

// survey refuses a folder that holds something of a first start, and notes what is there, which is never removed.
func (l *Laid) survey() error {
	if _, err := os.Lstat(l.Config); err == nil {
		return fmt.Errorf("%s: %w", l.dir, ErrExists)
	}
	for _, name := range names {
		path := filepath.Join(l.dir, name)
		inside, err := os.ReadDir(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			l.made = append(l.made, path)
		case err == nil && len(inside) == 0:
			l.within = append(l.within, path)
		default:
			return fmt.Errorf("%s is there already, without a configuration: nothing was changed; choose another folder, or move it away if it is left over from a first start that was cut off", path)
		}
	}
	for path := filepath.Clean(l.dir); ; path = filepath.Dir(path) {
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		l.made = append(l.made, path)
	}
}

// Undo removes what was made, after a later step of a first start failed.
func (l *Laid) Undo() error {
	var errs []error
	for _, folder := range l.within {
		inside, err := os.ReadDir(folder)
		errs = append(errs, err)
		for _, entry := range inside {
			errs = append(errs, os.RemoveAll(filepath.Join(folder, entry.Name())))
		}
	}
	for _, path := range l.made {
		errs = append(errs, os.RemoveAll(path))
	}
	return errors.Join(errs...)
}

func (l *Laid) keys(o Options) error {
	path := func(name string) string { return filepath.Join(o.Dir, "keys", name+".key") }
	if err := keyfile.GenerateDigest(path("digest"), o.Random, o.Now); err != nil {
		return err
	}
	for name, kind := range map[string]keyfile.Kind{
		"subject": keyfile.SubjectSeal, "business": keyfile.BusinessSeal, "registry": keyfile.RegistrySeal,
		"log-seal": keyfile.LogSeal, "log-sign": keyfile.LogSign,
	} {
		if err := keyfile.Generate(path(name), kind, o.Random); err != nil {
			return err
		}
	}
	return nil
}

func (l *Laid) certificates(o Options) (err error) {
	if l.CA, err = pki.New("Heyan first-start CA", o.Now, o.Random); err != nil {
		return err
	}
	certificate, key, err := l.CA.PEM()
	if err != nil {
		return err
	}
	if err := l.write("ca", pki.Issued{Certificate: certificate, Key: key}); err != nil {
		return err
	}
	if err := l.Issue("server", pki.Leaf{Name: o.Node, Hosts: o.Hosts}); err != nil {
		return err
	}
	for _, p := range o.People {
		if err := l.Issue(p.ID, pki.Leaf{Name: p.ID, URI: p.URI()}); err != nil {
			return err
		}
	}
	return nil
}

// Issue makes a certificate and writes it to certs/NAME.pem and certs/NAME.key.
func (l *Laid) Issue(name string, leaf pki.Leaf) error {
	leaf.NotBefore, leaf.NotAfter = l.now, l.now.Add(l.life)
	issued, err := l.CA.Issue(leaf)
	if err != nil {
		return err
	}
	return l.write(name, issued)
}

func (l *Laid) write(name string, issued pki.Issued) error {
	if err := keyfile.Write(l.File(name+".key"), issued.Key); err != nil {
		return err
	}
	return keyfile.Write(l.File(name+".pem"), issued.Certificate)
}

// File returns the path of a file below certs/.
func (l *Laid) File(name string) string { return filepath.Join(l.dir, "certs", name) }
