package netlog

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/heyan-project/heyan/store/netlog/disk"
	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/store/netlog/tree"
)

// Names in a log's directory.
const (
	identityFile = "origin.json"
	lockFile     = "lock"
	walDir       = "wal"
	walSuffix    = ".wal"
	sideSuffix   = ".idx"
)

// identity is the file that makes a directory a log. It is written last when a log is born.
type identity struct {
	Format int    `json:"format"` // 1
	Origin string `json:"origin"`
	Key    string `json:"key"` // verifier key
	Born   string `json:"born"`
	Sealed bool   `json:"sealed"`
}

func readIdentity(dir string) (identity, error) {
	var id identity
	b, err := os.ReadFile(filepath.Join(dir, identityFile))
	if errors.Is(err, fs.ErrNotExist) {
		return id, fmt.Errorf("%w: %s", ErrNoLog, dir)
	}
	if err != nil {
		return id, err
	}
	if err := strictJSON(b, &id); err != nil {
		return id, fmt.Errorf("netlog: malformed %s: %w", identityFile, err)
	}
	if id.Format != 1 {
		return id, fmt.Errorf("netlog: %s has format %d, this version reads 1", identityFile, id.Format)
	}
	return id, nil
}

// strictJSON reads one JSON value, without unknown members and with nothing behind it.
func strictJSON(b []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("more than one JSON value")
	}
	return nil
}

var nodePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{0,63}$`)

// Create begins a new origin in Dir, which MUST be missing or empty: its name is Node, a hyphen and 16 random
// hexadecimal digits. The first record, origin.born, states the cause ("init", "restore", "copy", …; printable ASCII
// without space) and the predecessor. When Create returns, all that is durable. The log is then in use, as by [Open].
//
// A crash during Create leaves a directory that Open refuses with [ErrNoLog] and Create with [ErrExists]; it holds
// nothing that was acknowledged and may be removed.
func Create(opt Options, cause string) (*Log, error) {
	opt, err := opt.withDefaults()
	if err != nil {
		return nil, err
	}
	if !nodePattern.MatchString(opt.Node) {
		return nil, errors.New("netlog: malformed node name")
	}
	var random [8]byte
	if _, err := io.ReadFull(opt.Rand, random[:]); err != nil {
		return nil, fmt.Errorf("netlog: no randomness: %w", err)
	}
	origin := opt.Node + "-" + hex.EncodeToString(random[:])
	born, err := birth(opt, origin, cause)
	if err != nil {
		return nil, err
	}
	if entries, err := os.ReadDir(opt.Dir); err == nil && len(entries) > 0 {
		return nil, fmt.Errorf("%w: %s", ErrExists, opt.Dir)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err := disk.MakeDir(opt.FS, filepath.Join(opt.Dir, walDir)); err != nil {
		return nil, err
	}
	signer, err := tree.NewSigner(origin, opt.SigningKey)
	if err != nil {
		return nil, err
	}
	l, err := start(opt, signer, func(*Reader) error { return nil })
	if err != nil {
		return nil, err
	}
	if err := l.firstRecord(born); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// firstRecord makes the first record durable, and then the file that makes the directory a log.
func (l *Log) firstRecord(born []byte) error {
	t, err := l.Append(born)
	if err != nil {
		return err
	}
	<-t.batch.done
	if t.batch.err != nil {
		return t.batch.err
	}
	b, err := json.Marshal(identity{1, l.Origin(), l.Key(), l.opt.Now().UTC().Format("2006-01-02T15:04:05Z"), len(l.opt.SealKey) > 0})
	if err != nil {
		return err
	}
	name := filepath.Join(l.dir, identityFile)
	if err := disk.WriteFile(l.opt.FS, name, append(b, '\n')); err != nil {
		return err
	}
	return l.guard(name)
}

func birth(opt Options, origin, cause string) ([]byte, error) {
	r := record.Record{
		Time: opt.Now(), Event: record.OriginBorn,
		Actor:   record.Actor{Kind: record.ActorSystem, ID: opt.Node},
		Object:  record.Object{Type: "origin", ID: origin},
		Outcome: record.Outcome{Kind: record.Success},
		Birth: &record.Birth{Origin: origin, Cause: cause, Predecessor: opt.Predecessor.Origin,
			PredecessorSize: opt.Predecessor.Size, PredecessorRoot: opt.Predecessor.Root},
	}
	return record.Append(nil, &r)
}

// Open opens the log in Dir for writing, after cutting a torn tail if there is one. It appends no record: the caller
// reports the [Recovery] in one. Errors: [ErrNoLog], [ErrKey], disk.ErrLocked when another process has it,
// atrest.ErrNoKey, atrest.ErrKey, wal.ErrVersion, wal.CorruptError, and what Options.Admit says; then the files are as
// they were.
func Open(opt Options) (*Log, Recovery, error) {
	opt, err := opt.withDefaults()
	if err != nil {
		return nil, Recovery{}, err
	}
	id, err := readIdentity(opt.Dir)
	if err != nil {
		return nil, Recovery{}, err
	}
	if opt.Node != "" && id.Origin[:max(0, strings.LastIndexByte(id.Origin, '-'))] != opt.Node {
		return nil, Recovery{}, errors.New("netlog: the log in this directory is another node's")
	}
	signer, err := tree.NewSigner(id.Origin, opt.SigningKey)
	if err != nil {
		return nil, Recovery{}, err
	}
	if signer.Key() != id.Key {
		return nil, Recovery{}, ErrKey
	}
	if id.Sealed && len(opt.SealKey) == 0 {
		return nil, Recovery{}, errors.New("netlog: the log is sealed and no seal key was given")
	}
	var rec Recovery
	l, err := start(opt, signer, func(r *Reader) (err error) {
		rec, err = r.recover(opt.FS, opt.Admit)
		return err
	})
	if err != nil {
		return nil, Recovery{}, err
	}
	if err := l.guard(filepath.Join(opt.Dir, identityFile)); err != nil {
		l.Close()
		return nil, Recovery{}, err
	}
	return l, rec, nil
}
