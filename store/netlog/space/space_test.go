package space

import (
	"errors"
	"math"
	"reflect"
	"testing"
	"time"
)

func TestParseMark(t *testing.T) {
	const total = 1000 << 30
	for text, want := range map[string]uint64{
		"0": 0, "10%": 100 << 30, "0%": 0, "99%": 990 << 30, "512MiB": 512 << 20, "2GiB": 2 << 30, "1TiB": 1 << 40, "3KiB": 3 << 10, "4097": 4097,
	} {
		m, err := ParseMark(text)
		if err != nil || m.Of(total) != want {
			t.Errorf("%s: %d, %v", text, m.Of(total), err)
		}
		if again, err := ParseMark(m.String()); err != nil || again != m {
			t.Errorf("%s is printed as %s", text, m)
		}
	}
	for _, text := range []string{"", "%", "100%", "-1", "1.5GiB", "10 %", "2GB", "MiB", "8388608TiB", "18446744073709551616", "1MiBKiB"} {
		if m, err := ParseMark(text); err == nil {
			t.Errorf("%q is read as %v", text, m)
		}
	}
}

func TestUnder(t *testing.T) {
	for _, c := range []struct {
		m, o      string
		is, known bool
	}{
		{"1MiB", "2MiB", true, true}, {"2MiB", "2MiB", false, true}, {"5%", "10%", true, true}, {"10%", "5%", false, true},
		{"1MiB", "10%", false, false}, {"10%", "1MiB", false, false}, {"0", "10%", false, false},
	} {
		m, _ := ParseMark(c.m)
		o, _ := ParseMark(c.o)
		if is, known := m.Under(o); known != c.known || is != c.is {
			t.Errorf("%s under %s: %v, %v", c.m, c.o, is, known)
		}
	}
}

// TestMarks: each mark is reached by the first look below it, and cleared only with a tenth more than it asks for.
func TestMarks(t *testing.T) {
	high, floor := Mark{percent: 20}, Mark{bytes: 100}
	reached := func(mark string, wanted uint64) Change { return Change{mark, true, wanted} }
	cleared := func(mark string, wanted uint64) Change { return Change{mark, false, wanted} }
	free := uint64(0)
	w := New(func() (uint64, uint64, error) { return free, 1000, nil }, high, floor)
	now := time.Unix(0, 0)
	for i, step := range []struct {
		free  uint64
		state State
		want  []Change
	}{
		{1000, Ample, nil},
		{200, Ample, nil},
		{199, Low, []Change{reached(High, 200)}},
		{219, Low, nil},
		{100, Low, nil},
		{99, Full, []Change{reached(Floor, 100)}},
		{109, Full, nil},
		{110, Low, []Change{cleared(Floor, 100)}},
		{220, Ample, []Change{cleared(High, 200)}},
		{0, Full, []Change{reached(Floor, 100), reached(High, 200)}},
		{1000, Ample, []Change{cleared(Floor, 100), cleared(High, 200)}},
	} {
		free, now = step.free, now.Add(time.Second)
		got, err := w.Look(now)
		if err != nil || !reflect.DeepEqual(got, step.want) || w.Read().State != step.state || w.Full() != (step.state == Full) {
			t.Errorf("step %d: %v %v, %v", i, got, w.Read(), err)
		}
	}
}

// TestUnknownRoom: what was known last stands.
func TestUnknownRoom(t *testing.T) {
	var fails error
	w := New(func() (uint64, uint64, error) { return 5, 1000, fails }, Mark{bytes: 20}, Mark{bytes: 10})
	if _, err := w.Look(time.Unix(0, 0)); err != nil || !w.Full() {
		t.Fatal(err)
	}
	fails = errors.New("boom")
	if changes, err := w.Look(time.Unix(1, 0)); !errors.Is(err, fails) || changes != nil || !w.Full() {
		t.Error(changes, err, w.Read())
	}
}

// A floor above the high mark raises that: nobody is refused before the alarm.
func TestHighIsNeverBelowTheFloor(t *testing.T) {
	w := New(func() (uint64, uint64, error) { return 90, 1000, nil }, Mark{percent: 1}, Mark{bytes: 100})
	if changes, err := w.Look(time.Unix(0, 0)); err != nil || len(changes) != 2 {
		t.Error(changes, err)
	}
}

func TestUntilFloor(t *testing.T) {
	free := uint64(10_000_000)
	w := New(func() (uint64, uint64, error) { return free, 20_000_000, nil }, Mark{}, Mark{bytes: 1_000_000})
	now := time.Unix(0, 0)
	look := func(lost uint64) float64 {
		free -= lost
		now = now.Add(time.Second)
		if _, err := w.Look(now); err != nil {
			t.Fatal(err)
		}
		return w.Read().UntilFloor
	}
	for range 30 {
		if got := look(1000); !math.IsInf(got, 1) {
			t.Fatalf("said after half a minute: %v", got)
		}
	}
	for range 90 {
		look(1000)
	}
	// 120 KB lost in two minutes: 1000 bytes a second, and 8.88 MB to go.
	if got, want := look(1000), float64(free-1_000_000)/1000; math.Abs(got-want) > want/50 {
		t.Errorf("%v seconds, want %v", got, want)
	}
	for range 3 * 3600 {
		look(0)
	}
	if got := look(0); got < 1e6 {
		t.Errorf("after three quiet hours: %v", got)
	}
	free += 5_000_000 // somebody made room
	if got := look(0); !math.IsInf(got, 1) {
		t.Errorf("room grows: %v", got)
	}
	free = 1_000_000
	if got := look(0); got != 0 {
		t.Errorf("at the floor: %v", got)
	}
}
