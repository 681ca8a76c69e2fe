package architecture

import (
	"path"
	"slices"
	"strings"
	"testing"
)

// fabricate parses a package from file names and their text.
func fabricate(t *testing.T, files map[string]string) source {
	t.Helper()
	var s source
	for name, src := range files {
		f, err := parseFile(name, []byte(src))
		if err != nil {
			t.Fatal(err)
		}
		s.path = path.Dir(name)
		s.files = append(s.files, f)
	}
	return s
}

// one is a package of one file that imports a package and, for the parser only, does not use it.
func one(name, imported string) map[string]string {
	return map[string]string{name: "package p\n\nimport _ \"" + imported + "\"\n"}
}

// TestChecksFail shows each rule failing, on packages made up for that.
func TestChecksFail(t *testing.T) {
	ours := module + "/"
	for name, c := range map[string]struct {
		files map[string]string
		want  string // within the only finding; empty: nothing is found
	}{
		"package without a row":           {one("verifier/novelty/a.go", "fmt"), "no row"},
		"root package":                    {one("a.go", "fmt"), "no row"},
		"field imports its row":           {one("verifier/field/a.go", ours+"verifier/fault"), ""},
		"field imports upwards":           {one("verifier/field/a.go", ours+"verifier/product"), "may not import verifier/product"},
		"field's internal follows field":  {one("verifier/field/internal/luhn/a.go", ours+"verifier/digest"), "may not import verifier/digest"},
		"field imports its internal":      {one("verifier/field/a.go", ours+"verifier/field/internal/luhn"), ""},
		"field imports norm":              {one("verifier/field/a.go", "golang.org/x/text/unicode/norm"), ""},
		"field imports the rest of text":  {one("verifier/field/a.go", "golang.org/x/text/unicode/bidi"), "may not import golang.org/x/text/unicode/bidi"},
		"other platforms are bound":       {one("verifier/field/a_windows.go", ours+"store"), "may not import store"},
		"build tags are bound":            {map[string]string{"verifier/field/a.go": "//go:build never\n\npackage p\n\nimport _ \"" + ours + "store\"\n"}, "may not import store"},
		"tests are not bound":             {one("verifier/field/a_test.go", ours+"store"), ""},
		"ledger imports consent":          {one("verifier/ledger/a.go", ours+"verifier/consent"), ""},
		"consent imports ledger":          {one("verifier/consent/a.go", ours+"verifier/ledger"), "may not import verifier/ledger"},
		"router imports an adapter":       {one("verifier/source/a.go", ours+"verifier/source/tencent"), "may not import verifier/source/tencent"},
		"simulator imports proto":         {one("verifier/source/simulator/a.go", ours+"proto/heyan/source/v1"), "may not import proto/heyan/source/v1"},
		"remote imports proto":            {one("verifier/source/remote/a.go", ours+"proto/heyan/source/v1"), ""},
		"verifier imports the router":     {one("verifier/a.go", ours+"verifier/source"), ""},
		"verifier imports an adapter":     {one("verifier/a.go", ours+"verifier/source/registry"), "may not import verifier/source/registry"},
		"verifier imports a store":        {one("verifier/a.go", ours+"store"), "may not import store"},
		"store imports verifier":          {one("store/a.go", ours+"verifier"), "may not import verifier"},
		"store imports the domain":        {one("store/a.go", ours+"verifier/ledger"), ""},
		"store imports the router":        {one("store/a.go", ours+"verifier/source"), "may not import verifier/source"},
		"store imports pebble":            {one("store/a.go", "github.com/cockroachdb/pebble/v2"), "may not import github.com/cockroachdb/pebble/v2"},
		"embedded imports pebble":         {one("store/embedded/ledger/a.go", "github.com/cockroachdb/pebble/v2/vfs"), ""},
		"embedded imports redis":          {one("store/embedded/a.go", "github.com/redis/go-redis/v9"), "may not import github.com/redis/go-redis/v9"},
		"embedded imports the log":        {one("store/embedded/a.go", ours+"store/netlog"), "may not import store/netlog"},
		"log imports the domain":          {one("store/netlog/wal/a.go", ours+"verifier/field"), "may not import verifier/field"},
		"log imports the calendar":        {one("store/netlog/wal/a.go", ours+"verifier/workday"), "may not import verifier/workday"},
		"log's retention imports it":      {one("store/netlog/retention/a.go", ours+"verifier/workday"), ""},
		"log imports protowire":           {one("store/netlog/record/a.go", "google.golang.org/protobuf/encoding/protowire"), ""},
		"log imports proto":               {one("store/netlog/record/a.go", "google.golang.org/protobuf/proto"), "may not import google.golang.org/protobuf/proto"},
		"api imports proto":               {one("server/api/a.go", ours+"proto/heyan/v1"), ""},
		"authn imports proto":             {one("server/authn/a.go", ours+"proto/heyan/v1"), "may not import proto/heyan/v1"},
		"journal imports the log":         {one("server/journal/a.go", ours+"store/netlog"), ""},
		"server imports cmd":              {one("server/a.go", ours+"cmd/heyan/internal/config"), "may not import cmd/heyan/internal/config"},
		"server imports yaml":             {one("server/a.go", "go.yaml.in/yaml/v3"), "may not import go.yaml.in/yaml/v3"},
		"cmd imports an adapter":          {one("cmd/heyan/a.go", ours+"verifier/source/tencent"), ""},
		"cmd aligns a table":              {one("cmd/heyan/internal/output/a.go", "golang.org/x/text/width"), ""},
		"cmd imports a stranger":          {one("cmd/heyan/internal/config/a.go", "example.com/x"), "may not import example.com/x"},
		"prefix is not a path":            {one("verifier/source/a.go", "golang.org/x/time/rates"), "may not import golang.org/x/time/rates"},
		"domain imports os":               {one("verifier/digest/a.go", "os"), "may not import os: "},
		"domain imports net/netip":        {one("verifier/consent/a.go", "net/netip"), ""},
		"domain imports net/http":         {one("verifier/consent/a.go", "net/http"), "may not import net/http: "},
		"domain imports os/exec":          {one("verifier/digest/a.go", "os/exec"), "may not import os/exec: "},
		"domain imports slog":             {one("verifier/digest/a.go", "log/slog"), "may not import log/slog: "},
		"secret imports slog":             {one("verifier/secret/a.go", "log/slog"), ""},
		"secret imports log":              {one("verifier/secret/a.go", "log"), "may not import log: "},
		"simulator imports net":           {one("verifier/source/simulator/a.go", "net"), "may not import net: "},
		"adapter imports net/http":        {one("verifier/source/tencent/a.go", "net/http"), ""},
		"adapter imports os":              {one("verifier/source/tencent/a.go", "os"), "may not import os: "},
		"domain's tests read files":       {one("verifier/digest/a_test.go", "os"), ""},
		"a package named util":            {map[string]string{"cmd/heyan/a.go": "package util\n"}, "named util"},
		"a folder named types":            {map[string]string{"cmd/types/a.go": "package p\n"}, "says nothing"},
		"a test package named helpers":    {map[string]string{"cmd/heyan/a_test.go": "package helpers_test\n"}, "named helpers"},
		"init":                            {map[string]string{"cmd/heyan/a.go": "package p\n\nfunc init() {}\n"}, "cmd/heyan/a.go:3: func init"},
		"init in a test":                  {map[string]string{"cmd/heyan/a_test.go": "package p\n\nfunc init() {}\n"}, "func init"},
		"init in generated code":          {map[string]string{"cmd/heyan/a.go": "// Code generated by x. DO NOT EDIT.\n\npackage p\n\nfunc init() {}\n"}, ""},
		"a method named init":             {map[string]string{"cmd/heyan/a.go": "package p\n\ntype T int\n\nfunc (T) init() {}\n"}, ""},
		"domain calls time.Now":           {map[string]string{"verifier/a.go": "package p\n\nimport \"time\"\n\nvar _ = time.Now()\n"}, "time.Now"},
		"domain keeps time.Now":           {map[string]string{"verifier/a.go": "package p\n\nimport \"time\"\n\nvar now = time.Now\n"}, "time.Now"},
		"domain hides time":               {map[string]string{"verifier/a.go": "package p\n\nimport clock \"time\"\n\nvar _ = clock.Since(clock.Time{})\n"}, "time.Since"},
		"domain uses time":                {map[string]string{"verifier/a.go": "package p\n\nimport \"time\"\n\nvar _ = time.Unix(0, 0)\n"}, ""},
		"server calls time.Now":           {map[string]string{"server/a.go": "package p\n\nimport \"time\"\n\nvar _ = time.Now()\n"}, ""},
		"domain's test calls time.Now":    {map[string]string{"verifier/a_test.go": "package p\n\nimport \"time\"\n\nvar _ = time.Now()\n"}, ""},
		"server syncs a file":             {map[string]string{"server/a.go": "package p\n\nimport \"os\"\n\nfunc f(x *os.File) { x.Sync() }\n"}, "Sync()"},
		"wal syncs what disk gave it":     {map[string]string{"store/netlog/wal/a.go": "package p\n\ntype w struct{ file interface{ Sync() error } }\n\nfunc (w w) f() { w.file.Sync() }\n"}, ""},
		"wal syncs a file of its own":     {map[string]string{"store/netlog/wal/a.go": "package p\n\nimport \"os\"\n\nfunc f(x *os.File) { x.Sync() }\n"}, "Sync()"},
		"wal calls fsync":                 {map[string]string{"store/netlog/wal/a.go": "package p\n\nimport \"syscall\"\n\nvar _ = syscall.Fsync(0)\n"}, "syscall.Fsync"},
		"server syncs through disk":       {map[string]string{"server/a.go": "package p\n\nfunc f(x interface{ Sync() error }) { x.Sync() }\n"}, "Sync()"},
		"cmd calls fdatasync":             {map[string]string{"cmd/heyan/a.go": "package p\n\nimport \"golang.org/x/sys/unix\"\n\nvar _ = unix.Fdatasync(0)\n"}, "unix.Fdatasync"},
		"redisstore calls syscall.Fsync":  {map[string]string{"store/redisstore/a.go": "package p\n\nimport \"syscall\"\n\nvar _ = syscall.Fsync\n"}, "syscall.Fsync"},
		"disk syncs":                      {map[string]string{"store/netlog/disk/a.go": "package p\n\nimport \"golang.org/x/sys/unix\"\n\nvar _ = unix.Fdatasync(0)\n"}, ""},
		"engine syncs":                    {map[string]string{"store/embedded/dataset/a.go": "package p\n\nimport \"os\"\n\nfunc f(x *os.File) { x.Sync() }\n"}, ""},
		"test swaps a variable":           {map[string]string{"cmd/heyan/a.go": "package p\n\nvar now = 1\n", "cmd/heyan/a_test.go": "package p\n\nfunc f() { now = 2 }\n"}, "variable now"},
		"outer test swaps a variable":     {map[string]string{"cmd/heyan/a.go": "package p\n\nvar Now = 1\n", "cmd/heyan/a_test.go": "package p_test\n\nimport p \"" + ours + "cmd/heyan\"\n\nfunc f() { p.Now = 2 }\n"}, "variable Now"},
		"test assigns to blank":           {map[string]string{"cmd/heyan/a.go": "package p\n\nvar _ = 1\n", "cmd/heyan/a_test.go": "package p\n\nfunc f() { _ = 2 }\n"}, ""},
		"test assigns to its own":         {map[string]string{"cmd/heyan/a.go": "package p\n\nvar now = 1\n", "cmd/heyan/a_test.go": "package p\n\nfunc f() { now := 1; now = 2; _ = now }\n"}, ""},
		"test assigns a function's field": {map[string]string{"cmd/heyan/a.go": "package p\n\nvar now = 1\n", "cmd/heyan/a_test.go": "package p\n\nfunc f(x struct{ now int }) { x.now = 2 }\n"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := check(fabricate(t, c.files))
			switch {
			case c.want == "" && len(got) > 0:
				t.Errorf("found %q, want nothing", got)
			case c.want != "" && (len(got) != 1 || !strings.Contains(got[0], c.want)):
				t.Errorf("found %q, want one with %q", got, c.want)
			}
		})
	}
}

// TestEveryCheckFails keeps a check from being written and never run, or never shown failing.
func TestEveryCheckFails(t *testing.T) {
	bad := fabricate(t, map[string]string{
		"verifier/field/a.go": `package util

import (
	"os"
	"time"

	_ "example.com/x"
)

var when = time.Now()

func init() { os.Stdout.Sync() }
`,
		"verifier/field/a_test.go": "package util\n\nfunc f() { when = nil }\n",
	})
	for i, c := range checks {
		if len(c(bad)) == 0 {
			t.Errorf("check %d found nothing in a package that breaks every rule", i)
		}
	}
}

func TestImpure(t *testing.T) {
	got := impure(map[string][]string{"net": {"crypto/x509"}, "time": {"verifier/field"}})
	if want := []string{"the domain reaches net through crypto/x509"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestStrangers(t *testing.T) {
	got := strangers([]string{".ci/run", "README.md", "verifier/a.go", "pkg/a.go", "pkg/b.go", "Makefile"})
	if want := []string{"pkg", "Makefile"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestMatches(t *testing.T) {
	for _, c := range []struct {
		patterns, path string
		want           bool
	}{
		{"a", "a", true},
		{"a", "a/b", false},
		{"a/*", "a", false},
		{"a/*", "a/b/c", true},
		{"a/...", "a", true},
		{"a/...", "ab", false},
		{"a/... !a/b", "a/b", false},
		{"a/... !a/b", "a/b/c", true},
		{"", "a", false},
	} {
		if got := matches(c.patterns, c.path); got != c.want {
			t.Errorf("matches(%q, %q) = %v", c.patterns, c.path, got)
		}
	}
}
