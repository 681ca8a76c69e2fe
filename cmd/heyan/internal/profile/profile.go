// Package profile says where a Heyan server is and with which credential it is called.
//
// # Files
//
// Profiles stand in a YAML file, profiles.yaml:
//
//	default: acme
//	profiles:
//	  acme:
//	    address: heyan.example:9443
//	    ca_file: ca.pem
//	    api_key_file: acme.key
//	  audit:
//	    address: heyan.example:9443
//	    ca_file: ca.pem
//	    cert_file: wang-fang.pem
//	    key_file: wang-fang-key.pem
//
// Paths are relative to the file that names them. Secrets are named by the path of a file, never written into a
// profile. An unknown key is an error. [Find] looks in
//
//  1. $HEYAN_CONFIG_HOME/profiles.yaml, and nowhere else, where that variable is set;
//  2. heyan/profiles.yaml below the user's configuration directory ([os.UserConfigDir]);
//  3. ./heyan-data/profiles.yaml, which `heyan serve --dev` writes.
//
// A name in an earlier file hides the same name in a later one. A profile of ./heyan-data may name only a loopback
// address: a file in the current directory, which somebody else may have put there, cannot send data elsewhere.
//
// # Precedence
//
// Flags win over environment, environment wins over profile, member by member; but the credential (certificate with
// key, or API key) is taken whole from the first of the three that states any part of one, and never mixed.
// [Resolve] does this.
//
// Not guaranteed: that the files named exist or hold what they should. Package dial reads them.
package profile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"

	"go.yaml.in/yaml/v3"
)

// FileName is the name of a file of profiles.
const FileName = "profiles.yaml"

// DevDir is the directory of a development server, relative to the current one.
const DevDir = "heyan-data"

// Profile is one server and one credential. Every member may be empty.
type Profile struct {
	Address    string `yaml:"address,omitempty"`      // host:port
	CAFile     string `yaml:"ca_file,omitempty"`      // PEM; empty: the system's authorities
	CertFile   string `yaml:"cert_file,omitempty"`    // PEM
	KeyFile    string `yaml:"key_file,omitempty"`     // PEM, not readable by others
	APIKeyFile string `yaml:"api_key_file,omitempty"` // one line, not readable by others
	ServerName string `yaml:"server_name,omitempty"`  // name in the server's certificate; empty: the address's host
}

// File is the content of a file of profiles.
type File struct {
	Default  string             `yaml:"default,omitempty"`
	Profiles map[string]Profile `yaml:"profiles"`

	dir string
	dev bool
}

// Load reads a file of profiles. An error that [errors.Is] fs.ErrNotExist says that there is none.
func Load(path string) (*File, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	file := &File{dir: filepath.Dir(path)}
	decoder := yaml.NewDecoder(bytes.NewReader(raw))
	decoder.KnownFields(true)
	if err := decoder.Decode(file); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return file, nil
}

// Save writes a file of profiles, readable by its owner only, by way of a temporary file: a reader sees the old or
// the new content. It makes the directory where there is none.
func Save(path string, file *File) error {
	var buffer bytes.Buffer
	encoder := yaml.NewEncoder(&buffer)
	encoder.SetIndent(2)
	if err := encoder.Encode(file); err != nil {
		return err
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	temporary, err := os.CreateTemp(dir, ".profiles-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(temporary.Name()) }() // fails, as it should, once renamed
	if _, err := temporary.Write(buffer.Bytes()); err != nil {
		return errors.Join(err, temporary.Close())
	}
	if err := temporary.Close(); err != nil {
		return err
	}
	return os.Rename(temporary.Name(), path)
}

// Paths returns the files of profiles that are looked at, first one first. lookup is [os.LookupEnv] or the like.
func Paths(lookup func(string) (string, bool)) []string {
	if home, ok := lookup("HEYAN_CONFIG_HOME"); ok && home != "" {
		return []string{filepath.Join(home, FileName)}
	}
	var paths []string
	if dir, err := os.UserConfigDir(); err == nil {
		paths = append(paths, filepath.Join(dir, "heyan", FileName))
	}
	return append(paths, filepath.Join(DevDir, FileName))
}

// ErrUnknown says that no file has the profile asked for.
var ErrUnknown = errors.New("no such profile")

// Find returns the profile of a name, its paths made absolute or relative to the current directory, and the
// directory of its file. An empty name asks for the first default of any file; where none is stated, it returns a
// zero Profile and no error.
func Find(name string, lookup func(string) (string, bool)) (Profile, string, error) {
	files, err := loadAll(lookup)
	if err != nil {
		return Profile{}, "", err
	}
	for _, file := range files {
		wanted := name
		if wanted == "" {
			wanted = file.Default
		}
		if wanted == "" {
			continue
		}
		found, ok := file.Profiles[wanted]
		if !ok {
			if name == "" {
				return Profile{}, "", fmt.Errorf("%s: default %q: %w", filepath.Join(file.dir, FileName), wanted, ErrUnknown)
			}
			continue
		}
		if file.dev && !Loopback(found.Address) {
			return Profile{}, "", fmt.Errorf("%s: profile %q names an address that is not loopback; move it to the user's own file of profiles",
				filepath.Join(file.dir, FileName), wanted)
		}
		return found.in(file.dir), file.dir, nil
	}
	if name == "" {
		return Profile{}, "", nil
	}
	return Profile{}, "", fmt.Errorf("profile %q: %w", name, ErrUnknown)
}

// Names returns the names of all profiles that [Find] finds, for completion.
func Names(lookup func(string) (string, bool)) []string {
	files, err := loadAll(lookup)
	if err != nil {
		return nil
	}
	var names []string
	for _, file := range files {
		for name := range file.Profiles {
			names = append(names, name)
		}
	}
	return names
}

func loadAll(lookup func(string) (string, bool)) ([]*File, error) {
	var files []*File
	for _, path := range Paths(lookup) {
		file, err := Load(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		file.dev = path == filepath.Join(DevDir, FileName)
		files = append(files, file)
	}
	return files, nil
}

// in makes the profile's paths relative to dir.
func (p Profile) in(dir string) Profile {
	for _, path := range []*string{&p.CAFile, &p.CertFile, &p.KeyFile, &p.APIKeyFile} {
		if *path != "" && !filepath.IsAbs(*path) {
			*path = filepath.Join(dir, *path)
		}
	}
	return p
}

// Loopback reports whether an address host:port is of this machine only.
func Loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}
