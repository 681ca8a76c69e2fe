package architecture

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"strconv"
	"strings"
)

// source is one package of this module as it was parsed.
type source struct {
	path  string // relative to the module, with slashes
	files []file
}

// file is one Go file.
type file struct {
	*ast.File
	path string // relative to the module, with slashes
	fset *token.FileSet
}

func parseFile(name string, src []byte) (file, error) {
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, name, src, parser.ParseComments)
	return file{File: f, path: name, fset: fset}, err
}

func (f file) test() bool { return strings.HasSuffix(f.path, "_test.go") }

func (f file) found(n ast.Node, format string, args ...any) string {
	return fmt.Sprintf("%s:%d: %s", f.path, f.fset.Position(n.Pos()).Line, fmt.Sprintf(format, args...))
}

// imported returns the import path that name stands for in f, or "".
func (f file) imported(name string) string {
	for _, spec := range f.Imports {
		p, _ := strconv.Unquote(spec.Path.Value)
		if spec.Name != nil && spec.Name.Name == name || spec.Name == nil && path.Base(p) == name {
			return p
		}
	}
	return ""
}

// imports says whether the package's code, tests apart, imports a path.
func (s source) imports(imported string) bool {
	for _, f := range s.files {
		for _, spec := range f.Imports {
			if !f.test() && spec.Path.Value == strconv.Quote(imported) {
				return true
			}
		}
	}
	return false
}

// selected returns import path and name where n is a name of an imported package, as in time.Now.
func (f file) selected(n ast.Node) (from, name string) {
	sel, ok := n.(*ast.SelectorExpr)
	if !ok {
		return "", ""
	}
	// A local variable of the package's name hides the package, and is resolved.
	x, ok := sel.X.(*ast.Ident)
	if !ok || x.Obj != nil {
		return "", ""
	}
	return f.imported(x.Name), sel.Sel.Name
}

// checks are run over every package; each returns what it found.
var checks = []func(source) []string{
	checkImports, checkStd, checkNames, checkInit, checkClock, checkSync, checkSwapped,
}

func check(s source) []string {
	var found []string
	for _, c := range checks {
		found = append(found, c(s)...)
	}
	return found
}

// owner is the package whose row governs path: the one that an internal package is internal to.
func owner(path string) string {
	before, _, _ := strings.Cut(path+"/", "/internal/")
	return strings.TrimSuffix(before, "/")
}

// checkImports holds a package to its row of the table.
func checkImports(s source) []string {
	self := owner(s.path)
	var governing *row
	for i := range table {
		if matches(table[i].pkgs, self) {
			governing = &table[i]
			break
		}
	}
	if governing == nil {
		return []string{s.path + ": no row of the import table names this package"}
	}
	var found []string
	for _, f := range s.files {
		if f.test() {
			continue
		}
		for _, spec := range f.Imports {
			imported, _ := strconv.Unquote(spec.Path.Value)
			ours, isOurs := strings.CutPrefix(imported, module+"/")
			switch {
			case isOurs && owner(ours) == self, !isOurs && std(imported):
			case isOurs && !matches(governing.ours, ours):
				found = append(found, f.found(spec, "%s may not import %s", s.path, ours))
			case !isOurs && !matchesBelow(governing.outside, imported):
				found = append(found, f.found(spec, "%s may not import %s", s.path, imported))
			}
		}
	}
	return found
}

// std says whether an import path is of the standard library: its first element has no dot.
func std(imported string) bool {
	first, _, _ := strings.Cut(imported, "/")
	return !strings.Contains(first, ".")
}

// matchesBelow is matches, each pattern standing for everything below it too.
func matchesBelow(patterns, imported string) bool {
	for _, p := range strings.Fields(patterns) {
		if matchesOne(p+"/...", imported) {
			return true
		}
	}
	return false
}

// checkStd refuses what the domain may not use of the standard library.
func checkStd(s source) []string {
	var found []string
	for _, r := range stdTable {
		if !matches(r.pkgs, owner(s.path)) {
			continue
		}
		for _, f := range s.files {
			for _, spec := range f.Imports {
				imported, _ := strconv.Unquote(spec.Path.Value)
				if !f.test() && matches(r.denied, imported) {
					found = append(found, f.found(spec, "%s may not import %s: %s", s.path, imported, r.why))
				}
			}
		}
		break
	}
	return found
}

// checkNames refuses packages whose name says nothing.
func checkNames(s source) []string {
	var found []string
	for _, f := range s.files {
		name := strings.TrimSuffix(f.Name.Name, "_test")
		if matches(vague, name) || matches(vague, path.Base(s.path)) {
			found = append(found, f.found(f.Name, "a package named %s says nothing of what is inside", name))
		}
	}
	return found
}

// checkInit refuses func init: what runs before main cannot be ordered, tested or given arguments.
func checkInit(s source) []string {
	var found []string
	for _, f := range s.files {
		if ast.IsGenerated(f.File) {
			continue
		}
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				found = append(found, f.found(fn, "func init"))
			}
		}
	}
	return found
}

// checkClock refuses reading the time where it is an argument.
func checkClock(s source) []string {
	if !matches(clockless, s.path) {
		return nil
	}
	return inspect(s, func(f file, n ast.Node) string {
		from, name := f.selected(n)
		if from == "time" && matches("Now Since Until", name) {
			return f.found(n, "time.%s: the clock is an argument here", name)
		}
		return ""
	})
}

// checkSync refuses fsync outside the packages that own durability.
func checkSync(s source) []string {
	if matches(syncing, s.path) {
		return nil
	}
	given := matches(throughDisk, s.path) && !s.imports("os")
	return inspect(s, func(f file, n ast.Node) string {
		from, name := f.selected(n)
		if (from == "syscall" || strings.HasPrefix(from, "golang.org/x/sys/")) &&
			matches("Fsync Fdatasync SyncFileRange Sync Syncfs FlushFileBuffers", name) {
			return f.found(n, "%s.%s: only %s make bytes durable", path.Base(from), name, syncing)
		}
		call, ok := n.(*ast.CallExpr)
		if !ok || len(call.Args) != 0 || given {
			return ""
		}
		sel, ok := call.Fun.(*ast.SelectorExpr)
		if !ok || sel.Sel.Name != "Sync" {
			return ""
		}
		if from, _ := f.selected(sel); from != "" {
			return "" // a function of a package, not a method
		}
		return f.found(n, "Sync(): only %s make bytes durable", syncing)
	})
}

// inspect visits the code that is neither a test nor generated.
func inspect(s source, visit func(file, ast.Node) string) []string {
	var found []string
	for _, f := range s.files {
		if f.test() || ast.IsGenerated(f.File) {
			continue
		}
		for n := range ast.Preorder(f.File) {
			if hit := visit(f, n); hit != "" {
				found = append(found, hit)
			}
		}
	}
	return found
}

// checkSwapped refuses tests that assign to a package variable of the code under test: what a test has
// to replace is an argument.
func checkSwapped(s source) []string {
	vars := map[string]bool{}
	for _, f := range s.files {
		if f.test() {
			continue
		}
		for _, d := range f.Decls {
			gen, ok := d.(*ast.GenDecl)
			if !ok || gen.Tok != token.VAR {
				continue
			}
			for _, spec := range gen.Specs {
				for _, name := range spec.(*ast.ValueSpec).Names {
					vars[name.Name] = true
				}
			}
		}
	}
	delete(vars, "_")
	var found []string
	for _, f := range s.files {
		if !f.test() {
			continue
		}
		for n := range ast.Preorder(f.File) {
			assign, ok := n.(*ast.AssignStmt)
			if !ok || assign.Tok == token.DEFINE {
				continue
			}
			for _, left := range assign.Lhs {
				name := ""
				if id, ok := left.(*ast.Ident); ok && id.Obj == nil { // not declared in this file
					name = id.Name
				} else if from, sel := f.selected(left); from == module+"/"+s.path {
					name = sel
				}
				if vars[name] {
					found = append(found, f.found(assign, "a test assigns to the package variable %s", name))
				}
			}
		}
	}
	return found
}
