package sealed_test

import (
	"bytes"
	"errors"
	"io/fs"
	"testing"

	"github.com/heyan-project/heyan/store/embedded/sealed"
)

func TestCheckKey(t *testing.T) {
	dir, key := t.TempDir(), bytes.Repeat([]byte{7}, sealed.KeySize)
	if err := sealed.CheckKey(dir, key); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("nothing there: %v", err)
	}
	db, err := sealed.Open(dir, "test", key, sealed.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := sealed.CheckKey(dir, key); err != nil {
		t.Errorf("the right key, while it is open: %v", err)
	}
	if err := sealed.CheckKey(dir, bytes.Repeat([]byte{8}, sealed.KeySize)); !errors.Is(err, sealed.ErrWrongKey) {
		t.Errorf("another key: %v", err)
	}
}
