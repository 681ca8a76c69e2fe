// Package config is the server's configuration: one strict YAML file.
//
// An unknown or repeated member is an error, secrets stand in files of their own, and unsafe combinations refuse to
// load: there is no member for a plaintext listener, none to turn the network log off, none to keep it shorter than
// the law asks. [Default] is what a missing member means; [Load] returns everything that is wrong at once.
package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/heyan-project/heyan/store/netlog/retention"
	"github.com/heyan-project/heyan/verifier/consent"
	"github.com/heyan-project/heyan/verifier/field"
	"github.com/heyan-project/heyan/verifier/product"
)

// Config is the whole configuration. Paths are relative to the file's folder.
type Config struct {
	Node         string `yaml:"node"`          // this machine's name, a slug
	Region       string `yaml:"region"`        // a mainland region, e.g. cn-shanghai
	Production   bool   `yaml:"production"`    // refuse what is only fit for development
	Listen       string `yaml:"listen"`        // gRPC over TLS
	StatusListen string `yaml:"status_listen"` // metrics and probes, plain HTTP
	// TrustedProxies are prefixes of load balancers that say by PROXY protocol version 2 whose connection they pass on.
	TrustedProxies []string  `yaml:"trusted_proxies"`
	DataDir        string    `yaml:"data_dir"`
	TLS            TLS       `yaml:"tls"`
	Keys           Keys      `yaml:"keys"`
	Log            Log       `yaml:"log"`
	Limits         Limits    `yaml:"limits"`
	Catalogue      []Product `yaml:"catalogue"`     // in place of the ten built-in products
	CardPrefixes   []string  `yaml:"card_prefixes"` // BIN prefixes exempt from the Luhn check
	Reflection     bool      `yaml:"reflection"`    // gRPC server reflection
	Runtime        Runtime   `yaml:"runtime"`

	dir string
}

// TLS is how the server and its callers prove who they are.
type TLS struct {
	Certificate string   `yaml:"certificate"`
	Key         string   `yaml:"key"`
	ClientCA    []string `yaml:"client_ca"`    // PEM files of the CAs that issue callers' certificates
	MinVersion  string   `yaml:"min_version"`  // "1.3" or "1.2"
	ServerNames []string `yaml:"server_names"` // names that the log shows; others are "other"
}

// Keys are paths of key files, outside the data directory.
type Keys struct {
	Digest   string `yaml:"digest"`
	Subject  string `yaml:"subject"`
	Business string `yaml:"business"`
	Registry string `yaml:"registry"`
	LogSeal  string `yaml:"log_seal"`
	LogSign  string `yaml:"log_sign"`
}

// Log is the network log.
type Log struct {
	FileSize      int64         `yaml:"file_size"`      // bytes of a WAL file
	AppendTimeout time.Duration `yaml:"append_timeout"` // how long a flush may take
	Retention     Retention     `yaml:"retention"`
	Forward       Forward       `yaml:"forward"`
	Space         Space         `yaml:"space"`
	// Where the newest signed checkpoint goes, a URL each, and how often. See [Config.Outside].
	CheckpointsTo    []string      `yaml:"checkpoints_to"`
	CheckpointsEvery time.Duration `yaml:"checkpoints_every"`
	// Directories of closed origins that this server reads beside its own log.
	Also []string `yaml:"also"`
}

// Forward is the syslog collector that the network log is forwarded to, over TLS.
type Forward struct {
	Address     string `yaml:"address"`     // host:port; empty = nothing is forwarded
	CA          string `yaml:"ca"`          // PEM file of the CAs of the collector's certificate; empty = the system's
	ServerName  string `yaml:"server_name"` // the name in that certificate; empty = the host of address
	Certificate string `yaml:"certificate"` // this node's own, where the collector asks for one
	Key         string `yaml:"key"`
	Position    string `yaml:"position"` // file that remembers what was sent; empty = none
	MaxLag      int    `yaml:"max_lag"`  // records that the collector may be behind
}

// Limits bound what callers may do.
type Limits struct {
	RatePerSecond int           `yaml:"rate_per_second"` // of a client that has none of its own; 0 = no limit
	Streams       int           `yaml:"streams"`         // calls at once on one connection
	Drain         time.Duration `yaml:"drain"`           // how long a stop waits for calls
	Silence       time.Duration `yaml:"silence"`         // how long a stream may wait for its caller's next message

	Strangers           int           `yaml:"strangers"`             // connections without an identity
	StrangersPerAddress int           `yaml:"strangers_per_address"` // of them from one address, or one /64
	StrangerIdle        time.Duration `yaml:"stranger_idle"`         // how long one of them may be without a call
}

// Product is one product of the operator's own catalogue.
type Product struct {
	ID     string   `yaml:"id"`
	Title  string   `yaml:"title"`
	Fields []string `yaml:"fields"`
	Anchor string   `yaml:"anchor"`
}

// Runtime is how the process uses the machine.
type Runtime struct {
	GCPercent     int   `yaml:"gc_percent"`
	MemoryLimit   int64 `yaml:"memory_limit"`   // bytes; 0 = none
	StreamWorkers int   `yaml:"stream_workers"` // goroutines kept for calls: they wait for the disk, so many more than cores; 0 = one a call
	CacheBytes    int64 `yaml:"cache_bytes"`
}

// Default is what a missing member means.
func Default() Config {
	return Config{
		Node: "node1", Listen: "0.0.0.0:9443", StatusListen: "127.0.0.1:9090",
		TLS: TLS{MinVersion: "1.3"},
		Log: Log{FileSize: 64 << 20, AppendTimeout: 5 * time.Second, Retention: Retention{"P6M", retention.DefaultGrace}, Forward: Forward{MaxLag: 100_000},
			Space: Space{High: "10%", Floor: "512MiB", Reserve: 128 << 20}, CheckpointsEvery: time.Minute},
		Limits:  Limits{Streams: 1024, Drain: 20 * time.Second, Silence: 2 * time.Minute, Strangers: 1024, StrangersPerAddress: 64, StrangerIdle: 10 * time.Second},
		Runtime: Runtime{GCPercent: 400, StreamWorkers: 512, CacheBytes: 128 << 20},
	}
}

// Load reads and checks a file.
func Load(path string) (*Config, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w: heyan init lays one out, and serve --config names another", path, fs.ErrNotExist)
	}
	if err != nil {
		return nil, err
	}
	c, err := Parse(text, filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

// LoadUnchecked reads a file that Load refused, as far as its form allows, to find the log that the refusal is
// recorded in. Never serve with it.
func LoadUnchecked(path string) (*Config, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	c := Default()
	c.dir = filepath.Dir(path)
	if err := yaml.Unmarshal(text, &c); err != nil && !partly(err) {
		return nil, err
	}
	c.resolve()
	return &c, nil
}

// Parse reads and checks a configuration whose relative paths start at dir. What is wrong is an [*Errors].
func Parse(text []byte, dir string) (*Config, error) {
	c := Default()
	c.dir = dir
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	wrong := &Errors{}
	if err := decoder.Decode(&c); err != nil && !errors.Is(err, io.EOF) {
		wrong.form(err)
		if !partly(err) {
			return nil, wrong
		}
	} else if err := decoder.Decode(new(any)); !errors.Is(err, io.EOF) {
		return nil, &Errors{[]string{"one document only"}}
	}
	// What could be read is checked all the same: everything that is wrong is said at once.
	c.resolve()
	c.check(wrong)
	return &c, wrong.orNil()
}

// partly reports whether yaml read all that it could, and complains of the rest.
func partly(err error) bool {
	var several *yaml.TypeError
	return errors.As(err, &several)
}

// resolve makes every path absolute against the file's folder.
func (c *Config) resolve() {
	for _, path := range slices.Concat([]*string{&c.DataDir, &c.TLS.Certificate, &c.TLS.Key}, c.Keys.paths(), c.Log.Forward.paths()) {
		*path = c.absolute(*path)
	}
	for _, list := range [][]string{c.TLS.ClientCA, c.Log.Also} {
		for i := range list {
			list[i] = c.absolute(list[i])
		}
	}
}

func (c *Config) absolute(path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(c.dir, path)
}

func (k *Keys) paths() []*string {
	return []*string{&k.Digest, &k.Subject, &k.Business, &k.Registry, &k.LogSeal, &k.LogSign}
}

func (f *Forward) paths() []*string { return []*string{&f.CA, &f.Certificate, &f.Key, &f.Position} }

// check adds everything that is wrong.
func (c *Config) check(wrong *Errors) {
	require := func(ok bool, format string, args ...any) {
		if !ok {
			wrong.add(fmt.Sprintf(format, args...))
		}
	}
	require(product.ValidSlug(c.Node), "node: 1 to 64 of a-z, 0-9 and -")
	require(consent.ValidRegion(c.Region), "region: a region in mainland China is required, e.g. cn-shanghai")
	require(c.DataDir != "", "data_dir is missing")
	require(c.TLS.Certificate != "" && c.TLS.Key != "", "tls.certificate and tls.key are required: there is no plaintext listener")
	require(c.TLS.MinVersion == "1.3" || c.TLS.MinVersion == "1.2", "tls.min_version: \"1.3\" or \"1.2\"")
	require(c.Log.FileSize >= 1<<20 && c.Log.FileSize <= 1<<30, "log.file_size: 1 MiB to 1 GiB")
	require(c.Log.AppendTimeout >= 100*time.Millisecond && c.Log.AppendTimeout <= time.Minute, "log.append_timeout: 100ms to 1m")
	require(c.Limits.Streams > 0 && c.Limits.Streams <= 1<<20 && c.Limits.Drain > 0, "limits.streams: 1 to 1048576; limits.drain has to be positive")
	require(c.Limits.Silence >= time.Second && c.Limits.Silence <= time.Hour, "limits.silence: 1s to 1h")
	require(c.Limits.Strangers > 0 && c.Limits.StrangersPerAddress > 0 && c.Limits.StrangersPerAddress <= c.Limits.Strangers,
		"limits.strangers and limits.strangers_per_address have to be positive, the second at most the first")
	require(c.Limits.StrangerIdle >= time.Second && c.Limits.StrangerIdle <= time.Hour, "limits.stranger_idle: 1s to 1h")
	require(c.Limits.RatePerSecond >= 0, "limits.rate_per_second: 0 or more")
	require(c.Runtime.GCPercent > 0, "runtime.gc_percent has to be positive")
	require(c.Runtime.StreamWorkers >= 0 && c.Runtime.StreamWorkers <= 1<<16, "runtime.stream_workers: 0 to 65536")
	require(c.Runtime.MemoryLimit >= 0, "runtime.memory_limit: 0 or more")
	require(c.Runtime.CacheBytes >= 1<<20, "runtime.cache_bytes: at least 1 MiB")
	for i, path := range c.Keys.paths() {
		name := []string{"digest", "subject", "business", "registry", "log_seal", "log_sign"}[i]
		require(*path != "", "keys.%s is missing", name)
		require(*path == "" || !inside(c.DataDir, *path), "keys.%s lies inside data_dir: a copy of the data must not carry its keys", name)
	}
	c.checkListeners(require)
	c.checkForward(require)
	c.checkProxies(require)
	c.checkOutside(require)
	c.checkSpace(require)
	c.checkRetention(require)
	c.checkAlso(require)
	if c.Production {
		require(!c.Reflection, "reflection is not for production")
		require(len(c.TLS.ClientCA) > 0, "tls.client_ca is required in production: operators sign in by certificate")
	}
	if _, err := c.Products(); err != nil {
		wrong.add("catalogue: " + err.Error())
	}
	if _, err := field.NewRules(c.CardPrefixes); err != nil {
		wrong.add("card_prefixes: " + err.Error())
	}
}

func (c *Config) checkListeners(require func(bool, string, ...any)) {
	for _, l := range []struct{ name, address string }{{"listen", c.Listen}, {"status_listen", c.StatusListen}} {
		host, port, err := net.SplitHostPort(l.address)
		if err == nil {
			_, err = strconv.ParseUint(port, 10, 16)
		}
		require(err == nil, "%s: wants host:port, e.g. 127.0.0.1:9443", l.name)
		require(err != nil || c.Production || loopback(host), "%s: only loopback without production: true", l.name)
	}
	require(c.Listen != c.StatusListen || strings.HasSuffix(c.Listen, ":0"), "status_listen: the same address as listen; each has its own port")
}

func (c *Config) checkForward(require func(bool, string, ...any)) {
	f := &c.Log.Forward
	require(f.MaxLag >= 10_000 && f.MaxLag <= 100_000_000, "log.forward.max_lag: 10000 to 100000000 records")
	if f.Address == "" {
		bare := *f == Forward{MaxLag: f.MaxLag}
		require(bare, "log.forward.address is missing: it names the collector that the other members are about")
		return
	}
	host, port, err := net.SplitHostPort(f.Address)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	require(err == nil && host != "" && !strings.Contains(host, "/"),
		"log.forward.address: wants host:port of a collector that takes syslog over TLS, e.g. syslog.example.cn:6514; there is no plaintext syslog")
	require((f.Certificate == "") == (f.Key == ""), "log.forward.certificate and log.forward.key: both or neither")
	for _, part := range []string{"log", "store"} {
		require(f.Position == "" || c.DataDir == "" || !inside(filepath.Join(c.DataDir, part), f.Position),
			"log.forward.position lies inside the %s of data_dir, where nothing else may be", part)
	}
}

// loopback reports whether only this machine can connect to a host.
func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// inside reports whether path lies in dir, wherever links lead.
func inside(dir, path string) bool {
	if dir == "" {
		return false
	}
	relative, err := filepath.Rel(real(dir), real(path))
	return err == nil && relative != ".." && !strings.HasPrefix(relative, ".."+string(filepath.Separator))
}

// real follows links as far as the path exists.
func real(path string) string {
	if followed, err := filepath.EvalSymlinks(path); err == nil {
		return followed
	}
	if parent := filepath.Dir(path); parent != path {
		return filepath.Join(real(parent), filepath.Base(path))
	}
	return path
}
