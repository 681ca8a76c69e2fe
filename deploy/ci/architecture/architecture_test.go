package architecture

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const root = "../../.."

// load parses every Go file of the module.
func load(t *testing.T) []source {
	t.Helper()
	byPath := map[string]*source{}
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		if d.IsDir() {
			if rel != "." && skipped(name, d.Name()) {
				return fs.SkipDir
			}
			return nil
		}
		if path.Ext(rel) != ".go" {
			return nil
		}
		src, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		f, err := parseFile(rel, src)
		if err != nil {
			return err
		}
		dir := path.Dir(rel)
		if byPath[dir] == nil {
			byPath[dir] = &source{path: dir}
		}
		byPath[dir].files = append(byPath[dir].files, f)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var all []source
	for _, s := range byPath {
		all = append(all, *s)
	}
	slices.SortFunc(all, func(a, b source) int { return strings.Compare(a.path, b.path) })
	return all
}

// skipped says whether the go command would not look into a folder either: other modules, test data.
func skipped(name, base string) bool {
	if strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") || base == "testdata" || base == "node_modules" {
		return true
	}
	_, err := os.Stat(filepath.Join(name, "go.mod"))
	return err == nil
}

func TestArchitecture(t *testing.T) {
	all := load(t)
	if len(all) < 3 {
		t.Fatalf("found %d packages: the walk is broken", len(all))
	}
	for _, s := range all {
		for _, f := range check(s) {
			t.Error(f)
		}
	}
}

// TestPure asks the go command what the domain reaches through others, the standard library included.
func TestPure(t *testing.T) {
	var args []string
	for _, s := range load(t) {
		if matches(pure, s.path) && hasCode(s) {
			args = append(args, "./"+s.path)
		}
	}
	if len(args) == 0 {
		t.Fatal("no package of the domain found")
	}
	cmd := exec.Command("go", append([]string{"list", "-e", "-deps", "-f", "{{.ImportPath}} {{join .Imports \" \"}}"}, args...)...)
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		if exit, ok := err.(*exec.ExitError); ok {
			t.Fatalf("go list: %v\n%s", err, exit.Stderr)
		}
		t.Fatal(err)
	}
	importers := map[string][]string{}
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		for _, imported := range fields[1:] {
			importers[imported] = append(importers[imported], fields[0])
		}
	}
	for _, f := range impure(importers) {
		t.Error(f)
	}
}

func hasCode(s source) bool {
	return slices.ContainsFunc(s.files, func(f file) bool { return !f.test() })
}

// impure names what is unreachable yet reached, and by whom.
func impure(importers map[string][]string) []string {
	var found []string
	for imported, by := range importers {
		if matches(unreachable, imported) {
			found = append(found, fmt.Sprintf("the domain reaches %s through %s", imported, strings.Join(by, ", ")))
		}
	}
	slices.Sort(found)
	return found
}

func TestTopLevel(t *testing.T) {
	if _, err := os.Stat(filepath.Join(root, ".git")); err != nil {
		t.Skip("not a git checkout: what is ours and what is a build's cannot be told apart")
	}
	cmd := exec.Command("git", "ls-files", "--cached", "--others", "--exclude-standard", "-z")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range strangers(strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")) {
		t.Error(f)
	}
}

// strangers returns the entries of the repository's root that have no place there.
func strangers(files []string) []string {
	var found []string
	for _, name := range files {
		first, _, _ := strings.Cut(name, "/")
		if !matches(topLevel, first) && !strings.HasPrefix(first, ".") && !slices.Contains(found, first) {
			found = append(found, first)
		}
	}
	return found
}
