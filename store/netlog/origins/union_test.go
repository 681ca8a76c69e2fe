package origins

import (
	"context"
	"errors"
	"fmt"
	"testing"
)

// part is some records of an origin, one a second; the bytes of altered are another's.
func part(t testing.TB, origin string, altered int, indexes ...int) Stream {
	return Stream{origin, func(_ context.Context, fn func(uint64, []byte) error) error {
		for _, i := range indexes {
			leaf := leafAt(t, 100-i) // the clock runs back all the time
			if i == altered {
				leaf = leafAt(t, 7)
			}
			if err := fn(uint64(i), leaf); err != nil {
				return err
			}
		}
		return nil
	}}
}

func TestUnion(t *testing.T) {
	for name, test := range map[string]struct {
		parts []Stream
		want  string
		err   error
	}{
		"two copies":     {[]Stream{part(t, "a", -1, 0, 1, 2), part(t, "a", -1, 0, 1, 2)}, "a0 a1 a2", nil},
		"two parts":      {[]Stream{part(t, "a", -1, 3, 4), part(t, "a", -1, 0, 1)}, "a0 a1 a3 a4", nil},
		"parts overlap":  {[]Stream{part(t, "a", -1, 1, 2, 5), part(t, "a", -1, 2, 3), part(t, "a", -1, 0, 5)}, "a0 a1 a2 a3 a5", nil},
		"one":            {[]Stream{part(t, "a", -1, 1, 2)}, "a1 a2", nil},
		"two histories":  {[]Stream{part(t, "a", -1, 0, 1, 2), part(t, "a", 1, 0, 1, 2)}, "a0 a1", ErrTwoHistories},
		"one that fails": {[]Stream{part(t, "a", -1, 0, 2), {"a", func(context.Context, func(uint64, []byte) error) error { return errDamage }}}, "a0 a2", errDamage},
	} {
		t.Run(name, func(t *testing.T) {
			var places []string
			broken, err := Merge(t.Context(), []Stream{Union("a", test.parts)}, func(e Entry) error {
				places = append(places, e.place())
				return nil
			})
			must(t, err)
			if got := fmt.Sprint(places); got != "["+test.want+"]" || (len(broken) > 0) != (test.err != nil) || len(broken) > 0 && !errors.Is(broken[0].Err, test.err) {
				t.Errorf("%s, %v", got, broken)
			}
		})
	}
}

var errDamage = errors.New("damage")
