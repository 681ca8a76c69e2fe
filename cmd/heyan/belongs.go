package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/heyan-project/heyan/store"
	"github.com/heyan-project/heyan/store/embedded"
	"github.com/heyan-project/heyan/store/netlog"
	"github.com/heyan-project/heyan/store/netlog/atrest"
)

// What belongs together stands in the sealed store, as documents of kind store.Deployments: which digest suite its rows
// were written under, and where its log lies. A start compares, and never writes what is missing.
const (
	suiteID = "suite"
	placeID = "log"
)

// suite is the document suiteID.
type suite struct {
	Suite string // digest.Keyring.Suite
}

// place is the document placeID.
type place struct {
	Origin string
	// File is the number that the file system gave the file that makes the log's directory a log; 0 = it gives none.
	// Moving the directory within its file system keeps the number; a copy, or a restored backup, has another one. On
	// a file system that gives other numbers after it was mounted again, such as some network mounts, every start is
	// refused: the log does not belong there.
	File uint64
}

// checkSuite refuses a digest key that is not the data's: under another one nothing on file would be found, neither
// a withdrawal nor a request_id nor a person's record, and a server would go on as if there were none. Only create
// writes the suite.
func (s *state) checkSuite(ctx context.Context, create bool) error {
	table := store.TableOf[suite](s.store, store.Deployments)
	if create {
		_, err := table.Put(ctx, suiteID, suite{s.keys.Suite()}, 0)
		return err
	}
	have, err := table.Get(ctx, suiteID)
	if errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("%s: the store does not say which digest key its data was written under; restore it, or run heyan init in a fresh folder", s.config.DataDir)
	}
	if err != nil {
		return err
	}
	if have.Value.Suite != s.keys.Suite() {
		return fmt.Errorf("keys.digest: %s holds %s: the digest key is not the one that the data in %s was written under, which is %s",
			s.config.Keys.Digest, s.keys.Suite(), s.config.DataDir, have.Value.Suite)
	}
	return nil
}

// named is err, of opening store or log, in words of the configuration where it is about a key: which member names a key
// that is not the data's, and which key that is.
func (s *state) named(err error) error {
	var wrong error
	switch {
	case errors.Is(err, embedded.ErrWrongKey):
		wrong = errors.Join(checkSeals(s.config)...)
	case errors.Is(err, netlog.ErrKey), errors.Is(err, atrest.ErrKey):
		wrong = errors.Join(checkLogKeys(s.config)...)
	}
	if wrong == nil {
		return err
	}
	return wrong
}

func (s *state) logDir() string { return filepath.Join(s.config.DataDir, "log") }

// logNumber is place.File of the log that lies in the data directory now.
func (s *state) logNumber() (uint64, error) {
	info, err := os.Lstat(filepath.Join(s.logDir(), "origin.json"))
	if err != nil {
		return 0, err
	}
	return fileNumber(info), nil
}

// keepPlace notes where the open log lies.
func (s *state) keepPlace(ctx context.Context) error {
	number, err := s.logNumber()
	if err != nil {
		return err
	}
	table := store.TableOf[place](s.store, store.Deployments)
	before, err := table.Get(ctx, placeID)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	_, err = table.Put(ctx, placeID, place{s.log.Origin(), number}, before.Revision)
	return err
}

// checkPlace refuses a log that was copied, before anything is written to it: two servers would go on with one origin,
// and each prove another history of it. It is a guard against mistakes: a clone of a whole disk keeps the number.
func (s *state) checkPlace(ctx context.Context) error {
	number, err := s.logNumber()
	if errors.Is(err, fs.ErrNotExist) {
		return nil // opening the log says what is missing
	}
	if err != nil {
		return err
	}
	kept, err := store.TableOf[place](s.store, store.Deployments).Get(ctx, placeID)
	if errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("%s: the store does not say where its log lies; begin a new origin: heyan init --new-origin restored --config FILE", s.config.DataDir)
	}
	if err != nil {
		return err
	}
	if kept.Value.File != number {
		return fmt.Errorf("%s: this is a copy of the log %s, or a backup of it; an origin is continued in one place only, so begin a new one that names it: heyan init --new-origin copied|restored --config FILE", s.logDir(), kept.Value.Origin)
	}
	return nil
}
