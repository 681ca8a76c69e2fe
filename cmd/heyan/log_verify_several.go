package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/heyan-project/heyan/cmd/heyan/internal/local"
	"github.com/heyan-project/heyan/cmd/heyan/internal/output"
	"github.com/heyan-project/heyan/store/netlog/origins"
)

// severalProof is what `log verify` answers last of several paths.
type severalProof struct {
	Whole    bool        `json:"whole"`
	Paths    int         `json:"paths"`
	NotWhole []string    `json:"not_whole"` // paths
	Links    []linkProof `json:"links"`
}

// linkProof is how a log fits to the one before it, or to another copy of itself.
type linkProof struct {
	Origin      string `json:"origin"`
	Predecessor string `json:"predecessor"`
	Size        uint64 `json:"known_records"`
	Answer      string `json:"answer"`
	Text        string `json:"text,omitempty"`
}

// Answers about two logs, beside TAMPERED, MISSING and UNVERIFIABLE.
const (
	linkAgrees   = "agrees"
	linkNotGiven = "not given"
	linkUnknown  = "nothing known" // of the one before when this one was begun, or not any more
)

// proveSeveral verifies what lies at several paths, each by itself and then with each other.
func (a *app) proveSeveral(ctx context.Context, p *proving, paths []string) error {
	if p.file != "" || p.dir != "" || p.origin != "" {
		return usageError("--file, --dir and --origin are for one log", "name further ones by PATH")
	}
	kept, err := readKept(p.checkpoints)
	if err != nil {
		return err
	}
	l, err := a.openLocals(paths, p.sealKeys)
	if err != nil {
		return err
	}
	answer := &severalProof{Paths: len(paths), NotWhole: append([]string{}, l.failed...), Links: []linkProof{}}
	for _, s := range l.sources {
		one := &proving{checkpoints: p.checkpoints, receipts: p.receipts, sealKeys: p.sealKeys, key: keyOf(p.keys, s.Origin)}
		if one.dir = s.Path; s.Kind == local.Listing {
			one.file, one.dir, one.receipts = s.Path, "", nil
		}
		if !a.json() {
			fmt.Fprintf(a.Out, "%s\n", output.Clean(s.Path))
		}
		switch err := a.provePath(ctx, one, kept); {
		case ctx.Err() != nil:
			return l.answer(ctx.Err())
		case err != nil:
			if !errors.Is(err, errNo) {
				a.report(err)
			}
			answer.NotWhole = append(answer.NotWhole, s.Path)
		}
		if !a.json() {
			fmt.Fprintln(a.Out)
		}
	}
	links, err := origins.Links(ctx, l.trees())
	if err != nil {
		return l.answer(err)
	}
	answer.link(links)
	if a.json() {
		err = output.Value(a.Out, answer)
	} else {
		err = answer.print(a)
	}
	if err == nil && !answer.Whole {
		err = errNo
	}
	return l.answer(err)
}

// link takes how the logs fit to each other, and says what all comes to.
func (p *severalProof) link(links []origins.Link) {
	p.Whole = len(p.NotWhole) == 0
	for _, link := range links {
		if link.Predecessor == "" && link.Verdict == 0 && link.Detail == "" {
			continue // the first of all
		}
		one := linkProof{link.Origin, link.Predecessor, link.Size, linkUnknown, link.Detail}
		switch {
		case link.Verdict != 0:
			one.Answer = strings.ToUpper(link.Verdict.String())
			p.Whole = false
		case link.Agrees():
			one.Answer = linkAgrees
		case link.Detail != "":
		case !link.Given:
			one.Answer = linkNotGiven
		}
		p.Links = append(p.Links, one)
	}
}

func (p *severalProof) print(a *app) error {
	table := output.NewTable()
	verdict := "whole"
	if !p.Whole {
		verdict = "NOT WHOLE"
	}
	table.Row("all", fmt.Sprintf("%s, %s", countOf(p.Paths, "path"), verdict))
	for _, path := range p.NotWhole {
		table.Row("not whole", path)
	}
	if _, err := table.WriteTo(a.Out); err != nil || len(p.Links) == 0 {
		return err
	}
	links := output.NewTable("LOG", "FOLLOWS", "KNOWN", "IS", "WHAT")
	for _, link := range p.Links {
		links.Row(link.Origin, link.Predecessor, output.Count(int64(link.Size)), link.Answer, link.Text)
	}
	fmt.Fprintln(a.Out)
	_, err := links.WriteTo(a.Out)
	return err
}

// keyOf picks the key of a log; empty where none is it.
func keyOf(keys []string, origin string) string {
	for _, text := range keys {
		if key, err := verifierKey(text); err == nil && key.Origin() == origin {
			return text
		}
	}
	return ""
}
