package main

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/mod/modfile"
	"google.golang.org/genproto/googleapis/rpc/code"

	"github.com/heyan-project/heyan/server/rpcerr"
	"github.com/heyan-project/heyan/verifier/fault"
)

// The tests of this file hold the documentation to the program. What the README's commands do is held by
// deploy/ci/readme.sh, which runs them.

const (
	repository = "../../"
	readme     = repository + "README.md"
	readmeZH   = repository + "deploy/docs/README.zh-CN.md"
	errorsPage = repository + "deploy/docs/errors.md"
)

var update = flag.Bool("update", false, "write deploy/docs/errors.md anew")

func page(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// documents are every page of documentation that names commands.
func documents(t *testing.T) []string {
	t.Helper()
	found, err := filepath.Glob(repository + "deploy/docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	return append(found, readme, repository+"deploy/README.md")
}

// section is the text below a heading, up to the next one of its level or above.
func section(t *testing.T, text, heading string) string {
	t.Helper()
	_, rest, ok := strings.Cut(text, "\n"+heading+"\n")
	if !ok {
		t.Fatalf("there is no heading %q", heading)
	}
	level := strings.Repeat("#", strings.IndexByte(heading, ' '))
	rest, _, _ = strings.Cut(rest, "\n"+level+" ")
	return rest
}

// blocks are the fenced blocks of a page, with the line that opens each.
func blocks(text string) []string {
	var all []string
	for {
		_, rest, ok := strings.Cut(text, "\n```")
		if !ok {
			return all
		}
		block, after, _ := strings.Cut(rest, "\n```\n")
		all, text = append(all, block), "\n"+after
	}
}

func TestReadmeNamesEveryCommand(t *testing.T) {
	for path, heading := range map[string]string{readme: "## Commands", readmeZH: "## 命令"} {
		named := map[string]int{}
		for _, row := range tableRows(section(t, page(t, path), heading)) {
			for _, name := range regexp.MustCompile("`([a-z][a-z-]*)`").FindAllStringSubmatch(strings.Join(row, " "), -1) {
				named[name[1]]++
			}
		}
		for _, s := range subcommands() {
			name := s.make(&app{}).Name()
			if named[name] != 1 {
				t.Errorf("%s: the table of commands names %s %d times", path, name, named[name])
			}
			delete(named, name)
		}
		if len(named) > 0 {
			t.Errorf("%s: the table names %v, which are no commands", path, slices.Sorted(maps.Keys(named)))
		}
	}
}

// tableRows are the cells of every table row.
func tableRows(text string) [][]string {
	var rows [][]string
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "| ") {
			rows = append(rows, strings.Split(strings.Trim(line, "|\n "), " | "))
		}
	}
	return rows
}

func TestReadmeNamesEveryDependency(t *testing.T) {
	mod, err := modfile.Parse("go.mod", []byte(page(t, repository+"go.mod")), nil)
	if err != nil {
		t.Fatal(err)
	}
	var direct []string
	for _, r := range mod.Require {
		if !r.Indirect {
			direct = append(direct, r.Mod.Path)
		}
	}
	for path, heading := range map[string]string{readme: "## Dependencies", readmeZH: "## 依赖"} {
		text := section(t, page(t, path), heading)
		var named []string
		for _, row := range tableRows(text) {
			if strings.Contains(row[0], ".") && row[1] != "" {
				named = append(named, row[0])
			}
		}
		for _, missing := range difference(direct, named) {
			t.Errorf("%s does not say why %s is there", path, missing)
		}
		for _, extra := range difference(named, direct) {
			t.Errorf("%s: %s is no direct dependency, or stands twice", path, extra)
		}
		for _, tool := range tools(t, mod) {
			if !strings.Contains(text, tool) {
				t.Errorf("%s does not name %s", path, tool)
			}
		}
	}
}

// difference is what a has more of than b.
func difference(a, b []string) []string {
	b = slices.Clone(b)
	return slices.DeleteFunc(slices.Clone(a), func(s string) bool {
		at := slices.Index(b, s)
		if at >= 0 {
			b = slices.Delete(b, at, at+1)
		}
		return at >= 0
	})
}

// tools are the names of what is needed to build, and of what the Node example needs.
func tools(t *testing.T, product *modfile.File) []string {
	t.Helper()
	build, err := modfile.Parse("go.mod", []byte(page(t, repository+"deploy/tools/go.mod")), nil)
	if err != nil {
		t.Fatal(err)
	}
	names := []string{"buf"}
	for _, tool := range append(product.Tool, build.Tool...) {
		names = append(names, tool.Path[strings.LastIndexByte(tool.Path, '/')+1:])
	}
	var node struct{ Dependencies map[string]string }
	if err := json.Unmarshal([]byte(page(t, repository+"deploy/docs/examples/node/package.json")), &node); err != nil {
		t.Fatal(err)
	}
	return slices.AppendSeq(names, maps.Keys(node.Dependencies))
}

func TestBothReadmesHaveTheSameBlocks(t *testing.T) {
	english, chinese := blocks(page(t, readme)), blocks(page(t, readmeZH))
	if len(english) < 12 || len(english) != len(chinese) {
		t.Fatalf("%d blocks and %d", len(english), len(chinese))
	}
	for i := range english {
		if english[i] != chinese[i] {
			t.Errorf("block %d is\n%s\nand\n%s", i+1, english[i], chinese[i])
		}
	}
}

// Go code that the README shows is part of the example that CI compiles and runs.
func TestReadmeShowsTheExample(t *testing.T) {
	example, shown := page(t, repository+"deploy/docs/examples/go/main.go"), 0
	for _, block := range blocks(page(t, readme)) {
		code, isGo := strings.CutPrefix(block, "go\n")
		if !isGo {
			continue
		}
		shown++
		if !strings.Contains(example, code) {
			t.Errorf("the example does not have\n%s", code)
		}
	}
	if shown == 0 {
		t.Error("no Go is shown")
	}
}

func TestReadmeIsShort(t *testing.T) {
	for _, path := range []string{readme, readmeZH} {
		if lines := strings.Count(page(t, path), "\n"); lines > 500 {
			t.Errorf("%s has %d lines: move detail to deploy/docs", path, lines)
		}
	}
}

// Every file or folder that a page links to is there, and so is every heading on its own page.
func TestLinksLead(t *testing.T) {
	for _, path := range documents(t) {
		text := page(t, path)
		for _, link := range regexp.MustCompile(`\]\(([^)\s]+)\)`).FindAllStringSubmatch(text, -1) {
			target, anchor, _ := strings.Cut(link[1], "#")
			switch {
			case strings.Contains(target, "://"):
			case target == "":
				if !slices.Contains(anchors(text), anchor) {
					t.Errorf("%s: no heading #%s", path, anchor)
				}
			default:
				if _, err := os.Stat(filepath.Join(filepath.Dir(path), target)); err != nil {
					t.Errorf("%s: %v", path, err)
				}
			}
		}
	}
}

// anchors are the headings of a page as links name them.
func anchors(text string) []string {
	var all []string
	for _, heading := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(text, -1) {
		anchor := strings.ToLower(strings.ReplaceAll(heading[1], " ", "-"))
		all = append(all, regexp.MustCompile(`[^\p{L}\p{N}-]`).ReplaceAllString(anchor, ""))
	}
	return all
}

// Every command that help, documentation or the program itself tells people to run is one.
func TestCommandsThatAreTold(t *testing.T) {
	told := map[string]string{}
	for _, path := range documents(t) {
		for _, block := range blocks(page(t, path)) {
			told[path] += block + "\n"
		}
	}
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		if c.Runnable() && !c.HasSubCommands() && c.Name() != "help" && c.Parent().Name() != "completion" {
			if c.Example == "" {
				t.Errorf("%s has no example", c.CommandPath())
			}
		}
		told[c.CommandPath()+" --help"] = c.Example
		for _, child := range c.Commands() {
			walk(child)
		}
	}
	walk(rootCommand(&app{}))
	told["what init prints"] = initExplains(t)
	count := 0
	for where, text := range told {
		for _, words := range commands(text) {
			count++
			if err := understood(words); err != nil {
				t.Errorf("%s: heyan %s: %v", where, strings.Join(words, " "), err)
			}
		}
	}
	if count < 100 {
		t.Errorf("found %d commands only", count)
	}
}

// understood parses a command line without running it.
func understood(words []string) error {
	root := rootCommand(&app{streams: streams{Now: time.Now}})
	root.InitDefaultCompletionCmd(words...)
	words = slices.Clone(words)
	for i, word := range words {
		if i > 0 && words[i-1] == "--opening" && (word == "$opening" || strings.HasSuffix(word, "…")) {
			words[i] = strings.Repeat("0", 64) // stands for what only an answer has
		}
	}
	c, rest, err := root.Find(words)
	if err != nil {
		return err
	}
	if c == root || c.HasSubCommands() {
		return fmt.Errorf("no such command")
	}
	c.InitDefaultHelpFlag()
	if err := c.ParseFlags(rest); err != nil {
		return err
	}
	if help, _ := c.Flags().GetBool("help"); help {
		return nil
	}
	return c.ValidateArgs(c.Flags().Args())
}

// initExplains is what init prints. What a development server prints is run by deploy/ci/readme.sh.
func initExplains(t *testing.T) string {
	t.Helper()
	var out bytes.Buffer
	surrounding := streams{Out: &out, Err: &out, In: strings.NewReader(""), Env: os.LookupEnv, Now: time.Now, Rand: rand.Reader}
	home := filepath.Join(t.TempDir(), "home")
	if code := run(t.Context(), []string{"init", "--dir", home, "--system", "a", "--security", "b", "--audit", "c"}, surrounding); code != exitOK {
		t.Fatalf("init: exit code %d: %s", code, &out)
	}
	return out.String()
}

// commands are the command lines of heyan in a text of shell lines, without what a shell takes out of them.
func commands(text string) [][]string {
	var all [][]string
	text = strings.ReplaceAll(text, "\\\n", " ")
	for line := range strings.Lines(text) {
		var words []string
		skip := false
		for _, word := range shellWords(line) {
			switch {
			case word == "|" || word == "||" || word == "&&":
				all, words = appendCommand(all, words), nil
			case strings.HasPrefix(word, "<") || strings.HasPrefix(word, ">"):
				skip = len(word) == 1
			case skip:
				skip = false
			default:
				words = append(words, word)
			}
		}
		all = appendCommand(all, words)
	}
	return all
}

func appendCommand(all [][]string, words []string) [][]string {
	if len(words) > 1 && words[0] == "heyan" {
		return append(all, words[1:])
	}
	return all
}

// shellWords splits a line at spaces outside quotes and $(…), up to a comment.
func shellWords(line string) []string {
	var words []string
	var word strings.Builder
	quote, begun, last := rune(0), false, rune(0)
	for _, r := range strings.TrimSpace(line) {
		before := last
		last = r
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote == 0 && r == '(' && before == '$':
			quote = ')'
		case quote == 0 && (r == '"' || r == '\''):
			quote, begun = r, true
		case quote == 0 && r == '#' && !begun:
			return words
		case quote == 0 && r == ' ':
			if begun {
				words = append(words, word.String())
			}
			word.Reset()
			begun = false
		default:
			word.WriteRune(r)
			begun = true
		}
	}
	if begun {
		words = append(words, word.String())
	}
	return words
}

// deploy/docs/errors.md is the table of package fault, as a page.
func TestErrorsPage(t *testing.T) {
	var want strings.Builder
	want.WriteString(`# Errors

Every refusal is a ` + "`google.rpc.Status`" + ` whose details hold ` + "`ErrorInfo{domain: \"heyan\", reason, metadata}`" + `. Switch on the
reason or on ` + "`metadata[\"handling\"]`" + `; [README](../../README.md#errors) says what to do with each handling. The same table is
the enum ` + "`ErrorReason`" + ` of [errors.proto](../../proto/heyan/v1/errors.proto). A reason that no method of this version gives is
listed all the same: a client should know it. This page is written by ` + "`go test ./cmd/heyan -run TestErrorsPage -update`" + `.

| reason | code | handling | cause | remedy | 中文 |
| --- | --- | --- | --- | --- | --- |
`)
	for _, reason := range fault.Reasons() {
		row := reason.Row()
		fmt.Fprintf(&want, "| `%s` | %s | `%s` | %s | %s | %s |\n", row.Name, code.Code(rpcerr.Code(row.Kind)), row.Handling, row.Cause, row.Remedy, row.Chinese)
	}
	if *update {
		if err := os.WriteFile(errorsPage, []byte(want.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if page(t, errorsPage) != want.String() {
		t.Errorf("%s is not the table of package fault: run this test with -update", errorsPage)
	}
}
