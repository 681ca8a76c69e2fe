package config

import (
	"errors"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Errors is everything that is wrong with a configuration. Each line begins with the member that it is about, or with
// the line of the file.
type Errors struct{ lines []string }

// Error implements error, a line for each.
func (e *Errors) Error() string { return strings.Join(e.lines, "\n") }

// Lines returns each of what is wrong.
func (e *Errors) Lines() []string { return slices.Clone(e.lines) }

// Named returns the same with other names of members, for whoever stated them by other means than a file.
func (e *Errors) Named(names map[string]string) error {
	named := &Errors{}
	for _, line := range e.lines {
		member, rest, found := strings.Cut(line, ":")
		if name := names[member]; found && name != "" {
			line = name + ":" + rest
		}
		named.add(line)
	}
	return named
}

func (e *Errors) add(line string) { e.lines = append(e.lines, line) }

func (e *Errors) orNil() error {
	if len(e.lines) == 0 {
		return nil
	}
	return e
}

var (
	unknownMember = regexp.MustCompile(`^line (\d+): field (\S+) not found in type config\.(\S+)$`)
	wrongForm     = regexp.MustCompile(`^line (\d+): cannot unmarshal .* into (\S+)$`)
	prefix        = regexp.MustCompile(`^yaml: (unmarshal errors:\s*)?`)
)

// form adds what is wrong with the form of a file, in the file's own words. It repeats names of members, never values.
func (e *Errors) form(err error) {
	var several *yaml.TypeError
	if !errors.As(err, &several) {
		e.add(prefix.ReplaceAllString(err.Error(), ""))
		return
	}
	for _, line := range several.Errors {
		switch m := unknownMember.FindStringSubmatch(line); {
		case m != nil:
			line = "line " + m[1] + ": unknown member " + m[2]
			if near := nearest(m[2], membersOf(reflect.TypeFor[Config](), m[3])); near != "" {
				line += " (did you mean " + near + "?)"
			}
		default:
			if m := wrongForm.FindStringSubmatch(line); m != nil {
				line = "line " + m[1] + ": wants " + formOf(m[2])
			}
		}
		e.add(line)
	}
}

// formOf is what a member of a type holds.
func formOf(goType string) string {
	switch {
	case goType == "time.Duration":
		return "a duration with its unit, such as 500ms, 20s or 5m"
	case goType == "bool":
		return "true or false"
	case goType == "int" || goType == "int64":
		return "a whole number"
	case goType == "string":
		return "one text"
	case strings.HasPrefix(goType, "[]"):
		return "a list, such as [a, b]"
	}
	return "members, each with a name"
}

// membersOf lists the members of the struct of a name, at any depth.
func membersOf(t reflect.Type, name string) []string {
	for t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return nil
	}
	var names []string
	for i := range t.NumField() {
		if t.Name() == name {
			if tag := t.Field(i).Tag.Get("yaml"); tag != "" {
				names = append(names, tag)
			}
			continue
		}
		names = append(names, membersOf(t.Field(i).Type, name)...)
	}
	return names
}

// nearest is the member that a name was most likely meant to be, "" where none is near.
func nearest(name string, members []string) string {
	best, least := "", 3
	for _, member := range members {
		if d := distance(name, member); d < least {
			best, least = member, d
		}
	}
	return best
}

// distance is how many letters have to be put in, left out or exchanged to turn a into b (Levenshtein 1966).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
