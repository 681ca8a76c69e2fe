package outside

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	for line, kind := range map[string]Kind{
		"file:///mnt/elsewhere/heyan.checkpoints":                      File,
		"file://localhost/mnt/a":                                       File,
		"syslog+tls://logs.example.cn":                                 Syslog,
		"syslog+tls://logs.example.cn:6514?ca=ca.pem":                  Syslog,
		"syslog+tls://[2001:db8::1]:6514/?ca=/a&cert=/b&key=/c":        Syslog,
		"https://keep.example.cn":                                      HTTP,
		"https://keep.example.cn:8443/a/b?ca=/ca.pem&token=keep.token": HTTP,
		"http://127.0.0.1:9000/a":                                      HTTP,
		"http://[::1]/a?token=/t":                                      HTTP,
		"http://localhost/a":                                           HTTP,
	} {
		s, err := Parse(line, "/etc/heyan")
		if err != nil || s.Kind != kind {
			t.Errorf("%s: %v, %v", line, s.Kind, err)
		}
		for _, path := range []string{s.ca, s.cert, s.key, s.auth} {
			if path != "" && !filepath.IsAbs(path) {
				t.Errorf("%s: reads %s", line, path)
			}
		}
		if strings.Contains(s.url, "?") {
			t.Errorf("%s: calls %s", line, s.url)
		}
	}
	if s, err := Parse("syslog+tls://logs.example.cn", ""); err != nil || s.address != "logs.example.cn:6514" {
		t.Errorf("%v, %v", s, err)
	}
}

// Nothing goes in plain, nothing secret stands in a line, and no error repeats one.
func TestParseRefuses(t *testing.T) {
	for line, want := range map[string]string{
		"":                                   "file://",
		"/mnt/hidden":                        "file://",
		"hidden.example.cn:6514":             "//",
		"file:hidden":                        "//",
		"file://hidden/mnt":                  "three slashes",
		"file:///hidden/":                    "folder",
		"file:///hidden?ca=/a":               "no options",
		"syslog://hidden:514":                "TLS only",
		"syslog+tcp://hidden:514":            "TLS only",
		"syslog+udp://hidden:514":            "TLS only",
		"syslog+tls://":                      "host",
		"syslog+tls://hidden/path":           "nothing behind",
		"syslog+tls://hidden:0":              "port",
		"syslog+tls://hidden?token=/a":       "none here",
		"syslog+tls://hidden?cert=/a":        "together",
		"http://hidden.example.cn/":          "only to this machine",
		"http://127.0.0.1.hidden.cn/":        "only to this machine",
		"https:///hidden":                    "host",
		"https://hidden:99999/":              "port",
		"https://user:hidden@h/":             "password",
		"https://h/#hidden":                  "fragment",
		"https://h/?sig=hidden":              "none here",
		"https://h/?ca=":                     "one path",
		"https://h/?ca=/hidden&ca=/b":        "one path",
		"https://h/?a=%zzhidden":             "malformed",
		"https://h/%zzhidden":                "not a URL",
		"ftp://hidden/":                      "file://",
		"syslog+tls://hidden?verify=no":      "none here",
		"https://hidden.example.cn\x00/path": "not a URL",
	} {
		_, err := Parse(line, "/etc/heyan")
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hidden") {
			t.Errorf("%q: %v, want %q", line, err, want)
		}
	}
}

// What a line names is read when targets are opened.
func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "not.pem"), []byte("no certificate"))
	write(t, filepath.Join(dir, "empty.token"), nil)
	write(t, filepath.Join(dir, "open.token"), []byte("abc"))
	if err := os.Chmod(filepath.Join(dir, "open.token"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, options := range []string{"ca=missing.pem", "ca=not.pem", "cert=not.pem&key=not.pem", "token=missing", "token=empty.token", "token=open.token"} {
		s, err := Parse("https://hidden.example.cn/?"+options, dir)
		if err != nil {
			t.Fatal(err)
		}
		_, err = Open([]Spec{{Kind: File, Path: "/a"}, s}, Options{Now: time.Now})
		if err == nil || !strings.Contains(err.Error(), "target 2 (http)") || strings.Contains(err.Error(), "hidden") {
			t.Errorf("%s: %v", options, err)
		}
	}
}

// However blocks stand one behind the other, each whole one is found, and no other.
func TestScan(t *testing.T) {
	h := newHistory(t, "node1-0123456789abcdef", 1)
	one, two := string(h.grow(10, "a").note()), string(h.grow(20, "a").note())
	long := strings.Repeat("x", 200<<10)
	for text, want := range map[string][2]int{ // found, malformed
		"":                                     {0, 0},
		"\n\n\n":                               {0, 0},
		one:                                    {1, 0},
		one + two:                              {2, 0},
		one + "\n" + two + "\n":                {2, 0},
		"\n\n" + one + "\n\n\n\n" + two:        {2, 0},
		one[:len(one)-1]:                       {0, 1},
		one[:40] + "\n\n" + two:                {1, 1},
		one[:40] + two:                         {0, 1}, // glued: whose size it is cannot be said
		"hello\n\nworld\n\n" + two:             {1, 2},
		"— " + one + two:                       {1, 2},
		long + "\n\n" + two:                    {1, 1},
		one + long + "\n\n" + two + long:       {2, 2},
		one + "— other-1 AAAAAAAAAA==\n" + two: {2, 0}, // a second signer
		strings.ReplaceAll(one, "\n", "\r\n"):  {0, 1},
		strings.Repeat(one+"\n", 5000):         {5000, 0},
	} {
		var found []byte
		n := 0
		malformed, err := Scan(strings.NewReader(text), func(note Note) error {
			n++
			found = append(found, note.Signed...)
			return nil
		})
		if err != nil || n != want[0] || malformed != want[1] {
			t.Errorf("%.60q: %d found, %d malformed, %v, want %v", text, n, malformed, err, want)
		}
		if n == 2 && !bytes.HasSuffix(found, []byte(two)) {
			t.Errorf("%.60q: found %q", text, found)
		}
	}
}

func FuzzScan(f *testing.F) {
	f.Add([]byte("a\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n— a AAAAAAA=\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		_, err := Scan(bytes.NewReader(text), func(n Note) error {
			again, ok := parseNote(n.Signed)
			if !ok || again.Claims != n.Claims || !bytes.Contains(text, n.Signed) {
				t.Errorf("found %q", n.Signed)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
}

func BenchmarkScan(b *testing.B) {
	one := []byte("node1-0123456789abcdef\n1234567\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n— node1-0123456789abcdef " + strings.Repeat("AAAA", 22) + "AAA=\n\n")
	text := bytes.Repeat(one, 16<<20/len(one))
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		n := 0
		if _, err := Scan(bytes.NewReader(text), func(Note) error { n++; return nil }); err != nil || n < 1000 {
			b.Fatal(n, err)
		}
	}
}
