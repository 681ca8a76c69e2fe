package embedded_test

import (
	"bytes"
	"path/filepath"
	"testing"

	"github.com/heyan-project/heyan/store"
	"github.com/heyan-project/heyan/store/embedded"
	"github.com/heyan-project/heyan/store/storetest"
)

func options(dir string) embedded.Options {
	key := func(b byte) []byte { return bytes.Repeat([]byte{b}, embedded.KeySize) }
	return embedded.Options{Dir: filepath.Join(dir, "data"), SubjectKey: key(1), BusinessKey: key(2), RegistryKey: key(3), CacheBytes: 8 << 20}
}

func TestContract(t *testing.T) {
	storetest.Run(t, func(t *testing.T) func() (store.Store, error) {
		o := options(t.TempDir())
		if err := embedded.Create(o); err != nil {
			t.Fatal(err)
		}
		return func() (store.Store, error) { return embedded.Open(o) }
	})
}
