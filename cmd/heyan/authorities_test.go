package main

import (
	"slices"
	"testing"

	"github.com/heyan-project/heyan/store/netlog/record"
)

// ill is a store that stopped, or did not.
type ill struct{ cause error }

func (i *ill) Healthy() error { return i.cause }

// TestAuthorities: the registry is as well as the store that its files lie in.
func TestAuthorities(t *testing.T) {
	for _, c := range []struct {
		cause error
		want  string
	}{{nil, "up"}, {errNo, "down"}} {
		if got := authorities(&ill{c.cause}); !slices.Equal(got, []record.Health{{Name: "registry", State: c.want}, {Name: "simulator", State: "up"}}) {
			t.Errorf("%v", got)
		}
	}
}
