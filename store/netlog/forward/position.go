package forward

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"time"

	"github.com/heyan-project/heyan/store/netlog/disk"
)

// position is the content of the position file.
type position struct {
	Origin string `json:"origin"`
	Next   uint64 `json:"next"` // the first record that the collector may not have got
}

// first is the record to begin with. A file that cannot be used costs no more than what it would have said.
func (f *Forwarder) first() uint64 {
	if f.opt.Position == "" {
		return f.opt.From
	}
	text, err := os.ReadFile(f.opt.Position)
	if errors.Is(err, fs.ErrNotExist) {
		return f.opt.From
	}
	var p position
	if err == nil {
		err = json.Unmarshal(text, &p)
	}
	switch {
	case err != nil || p.Origin == "":
		f.opt.Logger.Warn("log forwarding: the position file cannot be read, older records are not sent", "from", f.opt.From)
		return f.opt.From
	case p.Origin != f.opt.Log.Origin():
		return 0
	case p.Next > f.opt.Log.Size():
		f.opt.Logger.Warn("log forwarding: the position file is ahead of the log, older records are not sent", "from", f.opt.From)
		return f.opt.From
	}
	return p.Next
}

// keep writes the position file until ended, away from the goroutine that sends: a disk that hangs does not stop it.
func (f *Forwarder) keep(ended <-chan struct{}) {
	tick := time.NewTicker(f.opt.SaveEvery)
	defer tick.Stop()
	saved, failing := ^uint64(0), false
	save := func() {
		next := f.resume.Load()
		if next == saved {
			return
		}
		err := f.save(next)
		if err == nil {
			saved = next
		} else if !failing {
			f.opt.Logger.Warn("log forwarding: the position file cannot be written", "cause", err.Error())
		}
		failing = err != nil
	}
	for {
		select {
		case <-tick.C:
			save()
		case <-ended:
			save()
			return
		}
	}
}

func (f *Forwarder) save(next uint64) error {
	text, err := json.Marshal(position{f.opt.Log.Origin(), next})
	if err != nil {
		return err
	}
	return disk.WriteFile(disk.OS(), f.opt.Position, append(text, '\n'))
}
