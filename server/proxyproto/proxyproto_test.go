package proxyproto_test

import (
	"bytes"
	"errors"
	"io"
	"net/netip"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/heyan-project/heyan/server/proxyproto"
	"github.com/heyan-project/heyan/server/proxyproto/proxytest"
)

const (
	four = "203.0.113.7:40000"
	six  = "[2001:db8::7]:40000"
)

// wrongSum is a right header whose source was changed on the way.
func wrongSum() []byte {
	b := proxytest.WithChecksum(proxytest.From(four))
	b[16]++
	return b
}

var headers = map[string]struct {
	header []byte
	source string // empty: local
	err    error
}{
	"IPv4":                     {header: proxytest.From(four), source: four},
	"IPv6":                     {header: proxytest.From(six), source: six},
	"IPv4 as IPv6":             {header: proxytest.From("[::ffff:203.0.113.7]:40000"), source: four},
	"with extras":              {header: proxytest.From(four, proxytest.Extra(proxytest.TypeAuthority, []byte("verify.example.cn")), proxytest.Extra(proxytest.TypeNo, nil)), source: four},
	"with a checksum":          {header: proxytest.WithChecksum(proxytest.From(six, proxytest.Extra(proxytest.TypeNo, make([]byte, 100)))), source: six},
	"local":                    {header: proxytest.Raw(proxytest.Local, proxytest.Unspecified, nil)},
	"local with a block":       {header: proxytest.Raw(proxytest.Local, proxytest.TCP4, []byte{1, 2, 3})},
	"the largest":              {header: proxytest.From(four, proxytest.Extra(proxytest.TypeNo, make([]byte, 4096-16-12-3))), source: four},
	"one byte larger":          {header: proxytest.From(four, proxytest.Extra(proxytest.TypeNo, make([]byte, 4096-16-12-2))), err: proxyproto.ErrTooLarge},
	"wrong checksum":           {header: wrongSum(), err: proxyproto.ErrChecksum},
	"two checksums":            {header: proxytest.WithChecksum(proxytest.WithChecksum(proxytest.From(four))), err: proxyproto.ErrChecksum},
	"a short checksum":         {header: proxytest.From(four, proxytest.Extra(proxytest.TypeCRC, []byte{1})), err: proxyproto.ErrMalformed},
	"UNIX":                     {header: proxytest.Raw(proxytest.Proxy, proxytest.UnixStream, make([]byte, 216)), err: proxyproto.ErrFamily},
	"UDP":                      {header: proxytest.Raw(proxytest.Proxy, proxytest.UDP4, make([]byte, 12)), err: proxyproto.ErrFamily},
	"UDP over IPv6":            {header: proxytest.Raw(proxytest.Proxy, proxytest.UDP6, make([]byte, 36)), err: proxyproto.ErrFamily},
	"no family":                {header: proxytest.Raw(proxytest.Proxy, proxytest.Unspecified, nil), err: proxyproto.ErrFamily},
	"version 1":                {header: []byte(proxytest.Version1), err: proxyproto.ErrVersion1},
	"version 3":                {header: proxytest.Raw(0x31, proxytest.TCP4, make([]byte, 12)), err: proxyproto.ErrMalformed},
	"unknown command":          {header: proxytest.Raw(0x22, proxytest.TCP4, make([]byte, 12)), err: proxyproto.ErrMalformed},
	"addresses cut":            {header: proxytest.Raw(proxytest.Proxy, proxytest.TCP4, proxytest.From(four)[16:27]), err: proxyproto.ErrMalformed},
	"IPv4's block for IPv6":    {header: proxytest.Raw(proxytest.Proxy, proxytest.TCP6, proxytest.From(four)[16:]), err: proxyproto.ErrMalformed},
	"nobody's address":         {header: proxytest.From("0.0.0.0:1"), err: proxyproto.ErrMalformed},
	"a multicast address":      {header: proxytest.From("[ff02::1]:1"), err: proxyproto.ErrMalformed},
	"an extra too long":        {header: proxytest.From(four, []byte{proxytest.TypeNo, 0, 2, 0}), err: proxyproto.ErrMalformed},
	"an extra without length":  {header: proxytest.From(four, []byte{proxytest.TypeNo, 0}), err: proxyproto.ErrMalformed},
	"TLS":                      {header: []byte{22, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3, 1, 2, 3, 4, 5, 6}, err: proxyproto.ErrMissing},
	"HTTP":                     {header: []byte("POST / HTTP/1.1\r\n\r\n"), err: proxyproto.ErrMissing},
	"a signature with a fault": {header: []byte("\r\n\r\n\x00\r\nQUIT\r....."), err: proxyproto.ErrMissing},
	"breaks off early":         {header: proxytest.From(four)[:7], err: proxyproto.ErrTruncated},
	"breaks off late":          {header: proxytest.From(four)[:27], err: proxyproto.ErrTruncated},
	"breaks off as version 1":  {header: []byte("PRO"), err: proxyproto.ErrTruncated},
	"breaks off at the length": {header: proxytest.From(four)[:16], err: proxyproto.ErrTruncated},
}

func TestParse(t *testing.T) {
	for name, c := range headers {
		got, err := proxyproto.Parse(c.header)
		want := proxyproto.Header{Local: c.source == "" && c.err == nil}
		if c.source != "" {
			want.Source = netip.MustParseAddrPort(c.source)
		}
		if !errors.Is(err, c.err) || got != want {
			t.Errorf("%s: %+v, %v; want %+v, %v", name, got, err, want, c.err)
		}
	}
}

// A header is parsed whole, and alone.
func TestParseAlone(t *testing.T) {
	if _, err := proxyproto.Parse(append(proxytest.From(four), proxytest.Extra(proxytest.TypeNo, nil)...)); !errors.Is(err, proxyproto.ErrMalformed) {
		t.Errorf("with an extra that its length leaves out: %v", err)
	}
}

// However the bytes come in, reading says what parsing says, and takes no byte of what follows.
func TestRead(t *testing.T) {
	const after = "what follows"
	for name, c := range headers {
		for way, slow := range map[string]func(io.Reader) io.Reader{
			"at once": func(r io.Reader) io.Reader { return r }, "byte by byte": iotest.OneByteReader, "with the end": iotest.DataErrReader,
		} {
			follows := after
			if errors.Is(c.err, proxyproto.ErrTruncated) {
				follows = ""
			}
			all := slow(io.MultiReader(bytes.NewReader(c.header), strings.NewReader(follows)))
			got, err := proxyproto.Read(all)
			if want, _ := proxyproto.Parse(c.header); got != want || !errors.Is(err, c.err) {
				t.Errorf("%s, %s: %+v, %v", name, way, got, err)
			}
			if rest, _ := io.ReadAll(all); c.err == nil && string(rest) != after {
				t.Errorf("%s, %s: %d bytes are left of %d", name, way, len(rest), len(after))
			}
		}
	}
}

// A connection that never says a word, and one that fails, say so themselves.
func TestReadFails(t *testing.T) {
	if _, err := proxyproto.Read(strings.NewReader("")); err != io.EOF {
		t.Errorf("nothing: %v", err)
	}
	for n := range 28 {
		failing := io.MultiReader(bytes.NewReader(proxytest.From(four)[:n]), iotest.ErrReader(iotest.ErrTimeout))
		if _, err := proxyproto.Read(failing); !errors.Is(err, iotest.ErrTimeout) {
			t.Errorf("after %d bytes: %v", n, err)
		}
	}
}

// What can be no header is refused before more of it has come.
func TestRefusedEarly(t *testing.T) {
	for text, want := range map[string]error{
		"\x16": proxyproto.ErrMissing, "G": proxyproto.ErrMissing, "\r\n\r\n\x01": proxyproto.ErrMissing,
		"PROXY ": proxyproto.ErrVersion1, "PRI": proxyproto.ErrMissing,
		string(proxytest.Raw(proxytest.Proxy, proxytest.TCP4, make([]byte, 0xffff))[:16]): proxyproto.ErrTooLarge,
	} {
		if _, err := proxyproto.Read(io.MultiReader(strings.NewReader(text), iotest.ErrReader(iotest.ErrTimeout))); err != want {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// FuzzParse: no panic; reading and parsing agree; a source that is given out comes back from a header made anew, and a
// header with a changed byte under its checksum is refused.
func FuzzParse(f *testing.F) {
	for _, c := range headers {
		f.Add(c.header, 0)
	}
	f.Fuzz(func(t *testing.T, b []byte, flip int) {
		got, err := proxyproto.Parse(b)
		read, readErr := proxyproto.Read(bytes.NewReader(b))
		if err == nil && (readErr != nil || read != got) {
			t.Fatalf("read %+v, %v; parsed %+v", read, readErr, got)
		}
		if err != nil || got.Local {
			return
		}
		again := proxytest.WithChecksum(proxytest.From(got.Source.String()))
		if back, err := proxyproto.Parse(again); err != nil || back != got {
			t.Fatalf("back as %+v, %v; was %+v", back, err, got)
		}
		at := 16 + int(uint(flip)%uint(len(again)-16-7))
		again[at] ^= 1
		if _, err := proxyproto.Parse(again); err == nil {
			t.Fatalf("byte %d was changed", at)
		}
	})
}
