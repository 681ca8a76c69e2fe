package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/heyan-project/heyan/cmd/heyan/internal/config"
)

const good = `node: node1
production: true
region: cn-shanghai
data_dir: data
tls: {certificate: c.pem, key: c.key, client_ca: [ca.pem]}
keys: {digest: k/d, subject: k/s, business: k/b, registry: k/r, log_seal: k/ls, log_sign: k/lg}
`

func TestGood(t *testing.T) {
	c, err := config.Parse([]byte(good), "/etc/heyan")
	if err != nil {
		t.Fatal(err)
	}
	if c.DataDir != "/etc/heyan/data" || c.Keys.LogSign != "/etc/heyan/k/lg" || c.TLS.ClientCA[0] != "/etc/heyan/ca.pem" {
		t.Errorf("paths are relative to the file: %+v", c)
	}
	if c.Listen != "0.0.0.0:9443" || c.TLS.MinVersion != "1.3" || c.Reflection || c.Runtime.StreamWorkers == 0 {
		t.Errorf("defaults: %+v", c)
	}
	if products, err := c.Products(); err != nil || len(products.All()) != 10 {
		t.Error("the built-in catalogue")
	}
}

// Each unsafe or unknown member refuses to load, and the error says which.
func TestRefused(t *testing.T) {
	for name, c := range map[string]struct{ text, says string }{
		"unknown member":               {good + "plaintext: true\n", "plaintext"},
		"a plaintext listener":         {good + "insecure_listen: 0.0.0.0:80\n", "insecure_listen"},
		"unknown nested member":        {strings.Replace(good, "certificate: c.pem", "certificate: c.pem, verify: false", 1), "verify"},
		"repeated member":              {good + "node: node2\n", "node"},
		"two documents":                {good + "---\nnode: x\n", "one document"},
		"no certificate":               {strings.Replace(good, "certificate: c.pem, ", "", 1), "tls.certificate"},
		"no key file":                  {strings.Replace(good, "digest: k/d, ", "", 1), "keys.digest"},
		"a key inside the data":        {strings.Replace(good, "digest: k/d", "digest: data/d", 1), "keys.digest lies inside"},
		"TLS 1.1":                      {strings.Replace(good, "certificate: c.pem", "certificate: c.pem, min_version: \"1.1\"", 1), "min_version"},
		"MV-3.2-region: abroad":        {strings.Replace(good, "cn-shanghai", "ap-southeast-1", 1), "region"},
		"MV-3.2-region: Hong Kong":     {strings.Replace(good, "cn-shanghai", "cn-hongkong", 1), "region"},
		"MV-3.2-region: none":          {strings.Replace(good, "region: cn-shanghai\n", "", 1), "region"},
		"MV-1.1-ceiling: e-mail":       {good + "catalogue: [{id: x, title: x, fields: [name, email], anchor: email}]\n", "email"},
		"anchor outside the product":   {good + "catalogue: [{id: x, title: x, fields: [name], anchor: phone_number}]\n", "anchor"},
		"a field twice":                {good + "catalogue: [{id: x, title: x, fields: [name, name], anchor: phone_number}]\n", "twice"},
		"reflection in production":     {good + "reflection: true\n", "reflection"},
		"production without client CA": {strings.Replace(good, ", client_ca: [ca.pem]", "", 1), "client_ca"},
		"development on every address": {strings.Replace(good, "production: true", "production: false", 1), "listen: only loopback"},
		"an empty file":                {"", "data_dir"},
		"a tiny log file":              {good + "log: {file_size: 10}\n", "log.file_size"},
		"a log timeout of an hour":     {good + "log: {append_timeout: 1h}\n", "append_timeout"},
		"a collector in plaintext":     {good + "log: {forward: {address: \"udp://syslog:514\"}}\n", "there is no plaintext syslog"},
		"a collector by URL":           {good + "log: {forward: {address: \"tls://syslog:6514\"}}\n", "log.forward.address: wants host:port"},
		"a collector without its port": {good + "log: {forward: {address: syslog.example.cn}}\n", "log.forward.address"},
		"no TLS for a collector":       {good + "log: {forward: {address: \"a:6514\", tls: false}}\n", "unknown member tls"},
		"half a client certificate":    {good + "log: {forward: {address: \"a:6514\", key: k/f}}\n", "both or neither"},
		"a CA of no collector":         {good + "log: {forward: {ca: ca.pem}}\n", "log.forward.address is missing"},
		"no lag at all":                {good + "log: {forward: {address: \"a:6514\", max_lag: 0}}\n", "log.forward.max_lag"},
		"a position in the log":        {good + "log: {forward: {address: \"a:6514\", position: data/log/p}}\n", "log.forward.position lies inside the log"},
		"checkpoints in plain":         {good + "log: {checkpoints_to: [\"syslog://secret:514\"]}\n", "log.checkpoints_to, target 1: syslog goes over TLS only"},
		"checkpoints by plain HTTP":    {good + "log: {checkpoints_to: [\"https://a\", \"http://secret/x\"]}\n", "log.checkpoints_to, target 2: http://"},
		"checkpoints into the data":    {good + "log: {checkpoints_to: [\"file:///etc/heyan/data/secret\"]}\n", "log.checkpoints_to, target 1 lies inside data_dir"},
		"checkpoints twice":            {good + "log: {checkpoints_to: [\"https://secret\", \"https://secret\"]}\n", "target 2: named twice"},
		"its own log once more":        {good + "log: {also: [x, data/log]}\n", "log.also, directory 2 lies inside this server's own log"},
		"a closed log twice":           {good + "log: {also: [x, y/../x]}\n", "log.also, directory 2: named twice"},
		"a closed log of no name":      {good + "log: {also: [\"\"]}\n", "log.also, directory 1 is empty"},
		"too many closed logs":         {good + "log: {also: [" + strings.Repeat("x, ", 65) + "]}\n", "log.also: at most 64"},
		"a closed log by number":       {good + "log: {also: x}\n", "line 7: wants a list"},
		"too many checkpoint targets":  {good + "log: {checkpoints_to: [a, b, c, d, e, f, g, h, i]}\n", "at most 8"},
		"checkpoints once a day":       {good + "log: {checkpoints_every: 24h}\n", "log.checkpoints_every: 1s to 1h"},
		"room in words":                {good + "log: {space: {high: a lot}}\n", "log.space.high: bytes, as"},
		"a floor below zero":           {good + "log: {space: {floor: \"-5%\"}}\n", "log.space.floor: bytes, as"},
		"no floor":                     {good + "log: {space: {floor: \"0\"}}\n", "log.space.floor: at least 16MiB"},
		"an alarm below the floor":     {good + "log: {space: {high: 100MiB, floor: 200MiB}}\n", "log.space.high: at least log.space.floor"},
		"five months":                  {good + "log: {retention: {period: P5M}}\n", "log.retention: RETENTION_BELOW_FLOOR: at least period: P6M"},
		"180 days":                     {good + "log: {retention: {period: P180D}}\n", "log.retention: RETENTION_BELOW_FLOOR"},
		"183 days":                     {good + "log: {retention: {period: P183D}}\n", "log.retention: RETENTION_BELOW_FLOOR"},
		"a number of days":             {good + "log: {retention: {period: 183}}\n", "log.retention: RETENTION_BELOW_FLOOR"},
		"less than no grace":           {good + "log: {retention: {grace_days: -1}}\n", "log.retention: RETENTION_BELOW_FLOOR"},
		"records for ever":             {good + "log: {retention: {period: P99Y}}\n", "log.retention: at most ten years"},
		"a tiny reserve":               {good + "log: {space: {reserve: 10}}\n", "log.space.reserve: 1 MiB"},
		"no reserve in production":     {good + "log: {space: {reserve: 0}}\n", "log.space.reserve: production"},
		"a near miss":                  {good + "lissten: localhost:1\n", "line 7: unknown member lissten (did you mean listen?)"},
		"a nested near miss":           {good + "log: {file_sise: 1048576}\n", "line 7: unknown member file_sise (did you mean file_size?)"},
		"no near miss":                 {good + "log: {plaintext: 1048576}\n", "line 7: unknown member plaintext"},
		"a duration without unit":      {good + "limits: {drain: 20 seconds}\n", "line 7: wants a duration with its unit, such as 500ms"},
		"more strangers from one":      {good + "limits: {strangers: 10, strangers_per_address: 11}\n", "limits.strangers"},
		"silence for ever":             {good + "limits: {silence: 24h}\n", "limits.silence"},
		"strangers for ever":           {good + "limits: {stranger_idle: 24h}\n", "limits.stranger_idle"},
		"trust in everybody":           {good + "trusted_proxies: [0.0.0.0/0]\n", "trusted_proxies: entry 1 trusts most"},
		"trust in half of everybody":   {good + "trusted_proxies: [10.0.0.1, \"8000::/1\"]\n", "trusted_proxies: entry 2 trusts most"},
		"a proxy by name":              {good + "trusted_proxies: [lb.example.cn]\n", "trusted_proxies: entry 1 is no"},
		"bits behind the prefix":       {good + "trusted_proxies: [10.0.0.1/24]\n", "trusted_proxies: entry 1 is no"},
		"a proxy twice":                {good + "trusted_proxies: [10.0.0.1, 10.0.0.1/32]\n", "trusted_proxies: entry 2 stands"},
		"an IPv4 address as IPv6":      {good + "trusted_proxies: [\"::ffff:10.0.0.1\"]\n", "trusted_proxies: entry 1 is no"},
		"streams beyond 32 bits":       {good + "limits: {streams: 4294967296}\n", "limits.streams"},
		"fewer workers than none":      {good + "runtime: {stream_workers: -1}\n", "runtime.stream_workers"},
		"a word for a number":          {good + "limits: {streams: many}\n", "line 7: wants a whole number"},
		"a text for a list":            {good + "card_prefixes: 62\n", "line 7: wants a list"},
		"a port of its own":            {good + "listen: 127.0.0.1:9090\n", "status_listen: the same address"},
		"a port out of range":          {good + "listen: 127.0.0.1:99999\n", "listen: wants host:port"},
		"an address without a port":    {good + "listen: localhost\n", "listen"},
	} {
		_, err := config.Parse([]byte(c.text), "/etc/heyan")
		if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "yaml:") || strings.Contains(err.Error(), "config.") || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Everything that is wrong is said at once.
func TestAllAtOnce(t *testing.T) {
	_, err := config.Parse([]byte("node: X Y\nregion: us\nlissten: x\nproduction: perhaps\n"), "/")
	for _, says := range []string{"line 3: unknown member", "line 4: wants true or false", "node", "region", "data_dir", "tls.certificate", "keys.log_sign"} {
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q is not said: %v", says, err)
		}
	}
}

// A key that a link leads to inside the data directory is inside it.
func TestLinksIntoTheData(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "data", "hidden"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(dir, "data", "hidden"), filepath.Join(dir, "k")); err != nil {
		t.Fatal(err)
	}
	if _, err := config.Parse([]byte(good), dir); err == nil || !strings.Contains(err.Error(), "keys.digest lies inside") {
		t.Errorf("%v", err)
	}
}

func TestUncheckedFindsTheLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "heyan.yaml")
	if err := os.WriteFile(path, []byte(good+"region: us\nplaintext: true\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := config.Load(path); err == nil {
		t.Error("loaded")
	}
	os.WriteFile(path, []byte(strings.Replace(good, "cn-shanghai", "us", 1)+"plaintext: true\n"), 0o600)
	if c, err := config.LoadUnchecked(path); err != nil || c.DataDir != filepath.Join(filepath.Dir(path), "data") {
		t.Errorf("%+v %v", c, err)
	}
}
