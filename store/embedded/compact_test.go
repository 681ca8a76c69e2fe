package embedded

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/heyan-project/heyan/store"
	"github.com/heyan-project/heyan/store/embedded/sealed"
	"github.com/heyan-project/heyan/verifier/digest"
	"github.com/heyan-project/heyan/verifier/fault"
)

// recordOf is record i, long enough to be looked for.
func recordOf(i int) []byte {
	d := sumOf("record", i)
	return d[:]
}

// imported makes generation 1 of "people": n anchors with a record each, and further ones under the first.
func imported(t testing.TB, s *Store, n int, further ...[]byte) {
	t.Helper()
	i, err := s.ImportDataset(t.Context(), store.ImportInfo{Dataset: "people", Generation: 1, Suite: "suite"})
	must(t, err)
	for j := range n {
		must(t, i.Add(sumOf("anchor", j), recordOf(j)))
	}
	for _, record := range further {
		must(t, i.Add(sumOf("anchor", 0), record))
	}
	_, _, err = i.Finish()
	must(t, err)
}

func removed(t testing.TB, s *Store, i int) {
	t.Helper()
	was, err := s.DeleteRecord(t.Context(), "people", 1, sumOf("anchor", i), recordOf(i), time.Now())
	if must(t, err); !was {
		t.Errorf("record %d was not there", i)
	}
}

// finds reports whether record i is found.
func finds(t testing.TB, s *Store, i int) bool {
	t.Helper()
	known, err := s.Lookup(t.Context(), "people", 1, sumOf("anchor", i), func([]byte) error { return nil })
	must(t, err)
	return known
}

// wantRecords wants the records from first on to be found, of n, and those before it not.
func wantRecords(t testing.TB, s *Store, first, n int) {
	t.Helper()
	for i := range n {
		if finds(t, s, i) != (i >= first) {
			t.Errorf("record %d: found is %v", i, i < first)
		}
	}
}

// dataFiles lists the names in the directory of dataset files.
func dataFiles(t testing.TB, o Options) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(o.Dir, registryName, dataDir))
	must(t, err)
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

var compactionSteps = []string{"begun", "written", "renamed", "swapped", "forgotten", "purged"}

// A crash at any step leaves the old file with the deletions, or the new one, and what the crash left is cleared
// by the next compaction, which counts what the one before did not live to tell.
func TestCrashedCompaction(t *testing.T) {
	const all, gone = 40, 7
	for _, step := range compactionSteps {
		t.Run(step, func(t *testing.T) {
			base := vfs.NewCrashableMem()
			o := created(t, base)
			files := filepath.Join(o.Dir, registryName, dataDir)
			kept := filepath.Join(t.TempDir(), "crashed")
			var crashed *vfs.MemFS
			o.compacting = func(at string) {
				if at == step {
					crashed = base.CrashClone(vfs.CrashCloneCfg{})
					must(t, os.CopyFS(kept, os.DirFS(files)))
				}
			}
			s := opened(t, o)
			imported(t, s, all)
			for i := range gone {
				removed(t, s, i)
			}
			done, err := s.CompactDataset(t.Context(), "people", 1)
			if must(t, err); done.Removed != gone || done.Anchors != all-gone {
				t.Errorf("done: %+v", done)
			}
			must(t, s.Close())
			if crashed == nil {
				t.Fatal("the step was not reached")
			}

			must(t, os.RemoveAll(files))
			must(t, os.CopyFS(files, os.DirFS(kept)))
			half := filepath.Join(files, generationKey{"people", 1}.fileName()+compactSuffix+".new")
			must(t, os.WriteFile(half, []byte("a file that was being written"), 0o600))
			o.base, o.compacting = crashed, nil
			for range 2 {
				s = opened(t, o)
				wantRecords(t, s, gone, all)
				if names := dataFiles(t, o); len(names) != 1 {
					t.Errorf("left behind: %v", names)
				}
				must(t, s.Close())
			}
			s = opened(t, o)
			defer s.Close()
			list, err := s.ListDeletions(t.Context())
			if must(t, err); len(list) != 1 || list[0].Records != gone || list[0].Since.IsZero() {
				t.Errorf("left to clear: %+v", list)
			}
			done, err = s.CompactDataset(t.Context(), "people", 1)
			if must(t, err); done.Removed != gone || done.Anchors != all-gone {
				t.Errorf("done after the crash: %+v", done)
			}
			wantRecords(t, s, gone, all)
			wantNothingOf(t, o, gone)
		})
	}
}

// A deletion that comes while the file is being written survives the compaction and a restart, look-ups go on, and
// a generation that is dropped meanwhile stays dropped.
func TestCompactionMeetsOthers(t *testing.T) {
	for _, closeFirst := range []bool{false, true} {
		for _, step := range compactionSteps[:2] {
			t.Run(fmt.Sprint(step, ", closing first ", closeFirst), func(t *testing.T) {
				o := created(t, nil)
				var s *Store
				act := func(*Store) {}
				o.compacting = func(at string) {
					if at == step {
						act(s)
					}
				}
				s = opened(t, o)
				s.datasets.closeFirst = closeFirst
				further := recordOf(100)
				imported(t, s, 10, further)
				removed(t, s, 0)
				act = func(s *Store) {
					if !finds(t, s, 0) || !finds(t, s, 1) {
						t.Error("look-ups do not go on")
					}
					removed(t, s, 1)
					was, err := s.DeleteRecord(t.Context(), "people", 1, sumOf("anchor", 0), further, time.Now())
					if must(t, err); !was {
						t.Error("the further record was not there")
					}
				}
				done, err := s.CompactDataset(t.Context(), "people", 1)
				if must(t, err); done.Removed != 1 || done.Anchors != 10 {
					t.Errorf("done: %+v", done)
				}
				for range 2 {
					wantRecords(t, s, 2, 10)
					must(t, s.Close())
					s = opened(t, o)
					s.datasets.closeFirst = closeFirst
				}
				act = func(s *Store) { must(t, s.DropGeneration(t.Context(), "people", 1)) }
				if _, err := s.CompactDataset(t.Context(), "people", 1); !errors.Is(err, store.ErrNotFound) {
					t.Errorf("a generation that was dropped meanwhile: %v, want ErrNotFound", err)
				}
				if names := dataFiles(t, o); len(names) != 0 {
					t.Errorf("left behind: %v", names)
				}
				must(t, s.Close())
			})
		}
	}
}

// A compaction that cannot write, or is told to stop, leaves everything as it was, and can be repeated.
func TestFailedCompaction(t *testing.T) {
	for _, closeFirst := range []bool{false, true} {
		o := created(t, nil)
		stop, cancel := context.WithCancel(t.Context())
		var act func()
		o.compacting = func(at string) {
			if at == "begun" {
				act()
			}
		}
		s := opened(t, o)
		s.datasets.closeFirst = closeFirst
		imported(t, s, 5000) // a compaction looks more than once whether it is to stop
		removed(t, s, 0)
		path := s.datasets.path(generationKey{"people", 1})
		for name, c := range map[string]struct {
			act  func()
			mend func()
		}{
			"told to stop": {cancel, func() {}},
			// Its name is taken by a directory that is not empty, so it cannot be written.
			"no place": {func() { must(t, os.MkdirAll(filepath.Join(path+compactSuffix+".new", "x"), 0o700)) },
				func() { must(t, os.RemoveAll(path+compactSuffix+".new")) }},
		} {
			act = c.act
			if _, err := s.CompactDataset(stop, "people", 1); !fault.Is(err, fault.StoreUnavailable) {
				t.Errorf("%s: %v, want STORE_UNAVAILABLE", name, err)
			}
			c.mend()
			if names := dataFiles(t, o); len(names) != 1 {
				t.Errorf("%s: left behind: %v", name, names)
			}
			wantRecords(t, s, 1, 20)
		}
		act = func() {}
		done, err := s.CompactDataset(t.Context(), "people", 1)
		if must(t, err); done.Removed != 1 {
			t.Errorf("repeated: %+v", done)
		}
		wantRecords(t, s, 1, 20)
		must(t, s.Close())
	}
}

// Closing the store ends a compaction.
func TestCloseEndsACompaction(t *testing.T) {
	o := created(t, nil)
	var s *Store
	closed := make(chan error, 1)
	o.compacting = func(at string) {
		if at == "begun" {
			go func() { closed <- s.Close() }()
			<-s.gate.shut
		}
	}
	s = opened(t, o)
	imported(t, s, 2000)
	removed(t, s, 0)
	if _, err := s.CompactDataset(t.Context(), "people", 1); !fault.Is(err, fault.StoreUnavailable) {
		t.Errorf("%v, want STORE_UNAVAILABLE", err)
	}
	must(t, <-closed)
	o.compacting = nil
	s = opened(t, o)
	defer s.Close()
	wantRecords(t, s, 1, 20)
}

// sealedList is the list of one record under an anchor as the file at path holds it: by the words of package
// datafile's documentation, not by its code.
func sealedList(t testing.TB, o Options, raw []byte, anchor digest.Digest, record []byte) []byte {
	t.Helper()
	derived, err := hkdf.Key(sha256.New, o.RegistryKey, raw[16:48], "heyan datafile records v1", 32)
	must(t, err)
	block, err := aes.NewCipher(derived)
	must(t, err)
	aead, err := cipher.NewGCM(block)
	must(t, err)
	data := anchor[:]
	for _, name := range []string{"people", "1", "suite"} {
		data = append(binary.BigEndian.AppendUint32(slices.Clip(data), uint32(len(name))), name...)
	}
	return aead.Seal(nil, anchor[:12], append([]byte{byte(len(record))}, record...), data)
}

// holders lists the files of the registry in which any of the wanted bytes lie: as they are, and where they are
// of the database, also decrypted.
func holders(t testing.TB, o Options, wanted ...[]byte) (found []string) {
	t.Helper()
	holds := func(contents []byte) bool {
		return slices.ContainsFunc(wanted, func(w []byte) bool { return bytes.Contains(contents, w) })
	}
	dir := filepath.Join(o.Dir, registryName)
	must(t, filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		contents, err := os.ReadFile(path)
		if err == nil && holds(contents) {
			found = append(found, entry.Name())
		}
		return err
	}))
	base := o.base
	if base == nil {
		base = vfs.Default
	}
	files, err := sealed.NewFS(base, o.RegistryKey, nil)
	must(t, err)
	database := filepath.Join(dir, deletedDir)
	names, err := files.List(database)
	must(t, err)
	for _, name := range names {
		if name == "LOCK" {
			continue
		}
		file, err := files.Open(filepath.Join(database, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue // obsolete, and deleted since it was listed
		}
		must(t, err)
		contents, err := io.ReadAll(file)
		if must(t, errors.Join(err, file.Close())); holds(contents) {
			found = append(found, name)
		}
	}
	return found
}

// wantNothingOf wants the first records, their anchors and their checksums to be in no file.
func wantNothingOf(t testing.TB, o Options, gone int) {
	t.Helper()
	for i := range gone {
		anchor, record := sumOf("anchor", i), recordOf(i)
		checksum := sha256.Sum256(record)
		// Keys of a table leave out what they have in common with the one before.
		if found := holders(t, o, anchor[16:], record, checksum[16:]); len(found) > 0 {
			t.Errorf("record %d is left in %v", i, found)
		}
	}
}

// Once a generation is compacted, nothing of a deleted record is in any file of the registry: not its anchor, not
// its sealed bytes, not what was kept to hide it.
func TestCompactionLeavesNoByte(t *testing.T) {
	o := created(t, nil)
	s := opened(t, o)
	defer s.Close()
	imported(t, s, 20)
	removed(t, s, 3)
	raw, err := os.ReadFile(s.datasets.path(generationKey{"people", 1}))
	must(t, err)
	anchor, checksum := sumOf("anchor", 3), sha256.Sum256(recordOf(3))
	list := sealedList(t, o, raw, anchor, recordOf(3))
	for what, bytes := range map[string][]byte{"the anchor": anchor[16:], "the sealed record": list, "the tombstone": checksum[16:]} {
		if len(holders(t, o, bytes)) == 0 {
			t.Errorf("%s is in no file before: the search is wrong", what)
		}
	}
	done, err := s.CompactDataset(t.Context(), "people", 1)
	if must(t, err); done.Removed != 1 {
		t.Errorf("done: %+v", done)
	}
	if found := holders(t, o, anchor[16:], list, checksum[16:]); len(found) > 0 {
		t.Errorf("the deleted record is left in %v", found)
	}
	other := sumOf("anchor", 4)
	if len(holders(t, o, other[16:])) == 0 {
		t.Error("another anchor is in no file: the search is wrong")
	}
}

// The same of the deletions of a generation that was dropped.
func TestDroppedDeletionsAreCleared(t *testing.T) {
	o := created(t, nil)
	s := opened(t, o)
	imported(t, s, 20)
	removed(t, s, 3)
	must(t, s.DropGeneration(t.Context(), "people", 1))
	anchor := sumOf("anchor", 3)
	if len(holders(t, o, anchor[16:])) == 0 {
		t.Fatal("the tombstone is in no file before: the search is wrong")
	}
	for range 2 { // the note of it outlives a restart
		list, err := s.ListDeletions(t.Context())
		if must(t, err); len(list) != 1 || list[0].Records != 0 || list[0].Since.IsZero() {
			t.Fatalf("left to clear: %+v", list)
		}
		must(t, s.Close())
		s = opened(t, o)
	}
	defer s.Close()
	_, err := s.CompactDataset(t.Context(), "people", 1)
	must(t, err)
	if found := holders(t, o, anchor[16:]); len(found) > 0 {
		t.Errorf("the tombstone is left in %v", found)
	}
	list, err := s.ListDeletions(t.Context())
	if must(t, err); len(list) != 0 {
		t.Errorf("left to clear: %+v", list)
	}
}

// Deletions of an earlier release have no time: they have waited for longer than anybody knows.
func TestDeletionsWithoutATime(t *testing.T) {
	o := created(t, nil)
	s := opened(t, o)
	imported(t, s, 5)
	removed(t, s, 0)
	batch := s.datasets.db.NewBatch()
	batch.Set(tombstoneKey(generationKey{"people", 1}, sumOf("anchor", 1), sha256.Sum256(recordOf(1))), nil)
	must(t, batch.Commit())
	must(t, batch.Close())
	must(t, s.Close())
	s = opened(t, o)
	defer s.Close()
	wantRecords(t, s, 2, 5)
	list, err := s.ListDeletions(t.Context())
	if must(t, err); len(list) != 1 || list[0].Records != 2 || !list[0].Since.IsZero() {
		t.Errorf("listed %+v", list)
	}
	done, err := s.CompactDataset(t.Context(), "people", 1)
	if must(t, err); done.Removed != 2 {
		t.Errorf("done: %+v", done)
	}
	wantRecords(t, s, 2, 5)
}
