package embedded

import (
	"bytes"

	"github.com/heyan-project/heyan/store/embedded/sealed"
)

// errStop ends a walk early.
var errStop = errorText("embedded: enough rows")

type errorText string

func (e errorText) Error() string { return string(e) }

// each calls f with every row under a prefix, from a key on if start is not nil. Key and value are good until f
// returns. errStop from f ends the walk without an error.
func each(db *sealed.DB, prefix, start []byte, f func(key, value []byte) error) error {
	iter, err := db.NewIter(prefix)
	if err != nil {
		return err
	}
	more := false
	if start != nil && bytes.Compare(start, prefix) > 0 {
		more = iter.SeekGE(start)
	} else {
		more = iter.Next()
	}
	for more && err == nil {
		if err = f(iter.Key(), iter.Value()); err == nil {
			more = iter.Next()
		}
	}
	if err == errStop {
		err = nil
	}
	if closed := iter.Close(); err == nil {
		err = closed
	}
	return err
}
