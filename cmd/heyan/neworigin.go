package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/heyan-project/heyan/cmd/heyan/internal/config"
	"github.com/heyan-project/heyan/server"
	"github.com/heyan-project/heyan/server/api"
	"github.com/heyan-project/heyan/store"
	"github.com/heyan-project/heyan/store/netlog"
	"github.com/heyan-project/heyan/store/netlog/disk"
	"github.com/heyan-project/heyan/store/netlog/origins"
	"github.com/heyan-project/heyan/store/netlog/outside"
	"github.com/heyan-project/heyan/store/netlog/tree"
)

// newOrigin is `heyan init --new-origin`: a log that was restored, copied or lost is never continued as if it were the
// one that was there. A new origin takes its place, whose first record names it.
type newOrigin struct{ config, cause string }

// causes are why an origin may be begun for data that is there already.
func causes() []string { return []string{"restored", "copied", "lost"} }

func (n *newOrigin) run(ctx context.Context, a *app) error {
	if !slices.Contains(causes(), n.cause) {
		return usageError("--new-origin: "+strings.Join(causes(), " or "), "")
	}
	c, err := config.Load(n.config)
	if err != nil {
		return usageError(inOneLine(err), "heyan config check lists everything that is wrong")
	}
	s, err := openData(ctx, c, false, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		return err
	}
	aside, last, err := s.succeed(ctx, n.cause)
	if err != nil {
		return errors.Join(err, s.close())
	}
	origin := s.log.Origin()
	if err := s.close(); err != nil {
		return err
	}
	if last.Origin == "" {
		fmt.Fprintf(a.Out, "The network log is now %s. Nothing is known of one before it.\n", origin)
	} else {
		fmt.Fprintf(a.Out, "The network log is now %s. It follows %s, of which %d records are known.\n", origin, last.Origin, last.Size)
	}
	if aside != "" {
		fmt.Fprintf(a.Out, "What lay there before is kept in %s.\n", aside)
		sayAlso(a, c.Log.Also, aside)
	}
	return nil
}

// sayAlso prints the line that lets the server read the log that was put aside. It is not written into the file: whoever
// keeps that in git, or wrote comments into it, does that.
func sayAlso(a *app, also []string, aside string) {
	names := make([]string, 0, len(also)+1)
	for _, dir := range append(slices.Clip(also), aside) {
		names = append(names, strconv.Quote(dir))
	}
	fmt.Fprintf(a.Out, "Auditors read it, and clients get receipts from it, with this line in the section log of the configuration:\n  also: [%s]\n",
		strings.Join(names, ", "))
}

// closedLogs are the directories of log.also. All were sealed by the one key that this server has.
func closedLogs(also []string, sealKey []byte, now func() time.Time) *origins.Archive {
	places := make([]origins.Place, len(also))
	for i, dir := range also {
		places[i] = origins.Directory(config.AlsoName(i), dir, sealKey)
	}
	return origins.NewArchive(now, places...)
}

// succeed puts the old log aside, and begins a new one that names it. After a crash in between it can be run again.
func (s *state) succeed(ctx context.Context, cause string) (aside string, last tree.Checkpoint, err error) {
	options, err := s.logOptions()
	if err != nil {
		return "", last, err
	}
	if options.Predecessor, err = s.predecessor(ctx, options); err != nil {
		return "", last, err
	}
	if cause == "lost" && intact(options, options.Predecessor) {
		return "", last, usageError("the log is there, and whole as far as a start reads it: nothing is lost", "start the server; a log that was put back or copied is \"restored\" or \"copied\"")
	}
	if aside, err = s.putAside(options); err != nil {
		return "", last, err
	}
	if s.log, err = netlog.Create(options, cause); err != nil {
		return "", last, err
	}
	return aside, options.Predecessor, errors.Join(server.KeepOrigin(ctx, s.log, s.store), s.keepPlace(ctx))
}

// intact tells whether the directory holds a log that a start would go on with: readable, and no older than what is known
// of it.
func intact(options netlog.Options, known tree.Checkpoint) bool {
	reader, err := netlog.OpenReader(netlog.ReaderOptions{Dir: options.Dir, SealKey: options.SealKey})
	if err != nil {
		return false
	}
	defer reader.Close()
	return reader.Damage() == nil && reader.Size() >= known.Size && (known.Origin == "" || known.Origin == reader.Origin())
}

// predecessor is the last known checkpoint of the origin that the store knows as this node's: from the store, the
// directory, or where checkpoints were sent to, whichever is newest. The zero Checkpoint is none.
func (s *state) predecessor(ctx context.Context, options netlog.Options) (tree.Checkpoint, error) {
	here, err := s.predecessorHere(ctx, options)
	if err != nil || here.Origin == "" {
		return here, err
	}
	signer, err := tree.NewSigner(here.Origin, options.SigningKey)
	if err != nil {
		return here, err
	}
	verifier, err := tree.NewVerifier(signer.Key())
	if err != nil {
		return here, err
	}
	// What was sent elsewhere stands against an equal one that lies here: it is what others have seen.
	if there := outside.Newest(ctx, s.targets, verifier); there.Size > 0 && there.Size >= here.Size {
		return there, nil
	}
	return here, nil
}

// predecessorHere is the same of what lies on this machine. Where the store has none, it is that of the directory.
func (s *state) predecessorHere(ctx context.Context, options netlog.Options) (tree.Checkpoint, error) {
	origin := ""
	kept, err := store.TableOf[place](s.store, store.Deployments).Get(ctx, placeID)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return tree.Checkpoint{}, err
	}
	origin = kept.Value.Origin
	// A directory that cannot be read says nothing; what it was is known from the store.
	if reader, err := netlog.OpenReader(netlog.ReaderOptions{Dir: options.Dir, SealKey: options.SealKey}); err == nil {
		defer reader.Close()
		if origin == "" {
			origin = reader.Origin()
		}
		if signer, err := tree.NewSigner(reader.Origin(), options.SigningKey); err == nil && signer.Key() == reader.Key() && reader.Origin() == origin {
			if err := server.KeepOrigin(ctx, reader, s.store); err != nil && !errors.Is(err, server.ErrForeignLog) {
				return tree.Checkpoint{}, err
			}
		}
	}
	if origin == "" {
		return tree.Checkpoint{}, nil
	}
	row, err := store.TableOf[api.OriginRow](s.store, store.Origins).Get(ctx, origin)
	if errors.Is(err, store.ErrNotFound) || err == nil && len(row.Value.Checkpoint) == 0 {
		return tree.Checkpoint{Origin: origin}, nil
	}
	if err != nil {
		return tree.Checkpoint{}, err
	}
	verifier, err := tree.NewVerifier(row.Value.Key)
	if err != nil {
		return tree.Checkpoint{}, err
	}
	return verifier.Open(row.Value.Checkpoint)
}

// putAside renames the log's directory, so that it can still be verified, and returns where it lies; empty = there was
// none.
func (s *state) putAside(options netlog.Options) (string, error) {
	entries, err := os.ReadDir(options.Dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(entries) == 0 {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	name := options.Dir + "-unreadable"
	if reader, err := netlog.OpenReader(netlog.ReaderOptions{Dir: options.Dir, SealKey: options.SealKey}); err == nil {
		name = options.Dir + "-" + reader.Origin()
		if err := reader.Close(); err != nil {
			return "", err
		}
	}
	free := name
	for n := 2; ; n++ {
		if _, err := os.Lstat(free); errors.Is(err, fs.ErrNotExist) {
			break
		} else if err != nil {
			return "", err
		}
		free = fmt.Sprintf("%s.%d", name, n)
	}
	if err := os.Rename(options.Dir, free); err != nil {
		return "", err
	}
	return free, disk.OS().SyncDir(filepath.Dir(options.Dir))
}
