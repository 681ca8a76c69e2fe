package groupcommit

import (
	"bytes"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

func TestEveryRecordIsInTheFileOnce(t *testing.T) {
	dir := t.TempDir()
	a, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	const writers, each = 8, 20
	var group sync.WaitGroup
	for w := range writers {
		group.Go(func() {
			record := bytes.Repeat([]byte{byte('a' + w)}, 10)
			for range each {
				if err := a.Append(record); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "appended"))
	if err != nil {
		t.Fatal(err)
	}
	if len(text) != writers*each*10 {
		t.Fatalf("%d bytes", len(text))
	}
	seen := map[byte]int{}
	for at := 0; at < len(text); at += 10 {
		if record := text[at : at+10]; !bytes.Equal(record, bytes.Repeat(record[:1], 10)) {
			t.Fatalf("a torn record at %d", at)
		}
		seen[text[at]]++
	}
	for w := range writers {
		if n := seen[byte('a'+w)]; n != each {
			t.Errorf("writer %d: %d records", w, n)
		}
	}
}
