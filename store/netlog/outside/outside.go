// Package outside keeps checkpoints of the network log elsewhere: it sends the newest signed one to targets that the
// operator names, and holds a log that is about to be opened against what they have.
//
// Whoever holds the signing key and the disk can rewrite a log, or put an older copy of it back, together with everything
// beside it that would tell. What they cannot reach is a checkpoint (C2SP tlog-checkpoint, a signed note) that left the
// machine. A target is not a witness in the sense of C2SP tlog-witness: it signs nothing and checks nothing.
//
// A target is one URL ([Parse]):
//
//	file:///mnt/elsewhere/heyan.checkpoints    appended, each checkpoint a block of its own
//	syslog+tls://host:6514?ca=/path            an RFC 5424 message a checkpoint, framed by RFC 5425
//	https://host/path?ca=/path&token=/path     POST of the note as text/plain; GET of the same URL reads one back
//
// # Guaranteed
//
//   - [Sender] sends what is durable and signed, never what is under way, so that no crash leaves a log behind a checkpoint
//     of its own. It is never on the path of a reply: each target has a goroutine, each attempt a deadline.
//   - [Check] refuses a log that is shorter than the newest checkpoint that a readable target has, that has another root at
//     its size, or whose origin a note names that this log's key did not sign. It changes nothing.
//   - An address is never in an error: it may be a secret. Nor is a token, which stands in a file.
//
// # Not guaranteed
//
//   - Anything of what was logged after the newest checkpoint that left: it may be cut or rewritten unnoticed.
//   - Anything, where whoever rewrites the log can also write to the target. A file on the same disk proves nothing.
//   - That a target which cannot be read is missed: a start goes on, and the caller is told. Refusing would put a
//     service that has to be available into the hands of whoever can cut a cable, and a rollback is found later all the
//     same, by the next start or by [netlog.Reader.Verify]. Syslog can never be read.
//   - That a syslog receiver kept a message: the protocol has no receipt.
//
// Read next: check.go for what refuses a start, sender.go for when something is sent.
package outside

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/heyan-project/heyan/store/netlog/disk"
)

// maxWait bounds one attempt to send to a target or to read it.
const maxWait = 10 * time.Second

// Target is a place elsewhere, opened.
type Target struct {
	Number int // from 1, in the order of the configuration
	Kind   Kind
	carrier
}

// String names a target without its address.
func (t *Target) String() string { return fmt.Sprintf("target %d (%s)", t.Number, t.Kind) }

// errWriteOnly means that a target of this kind can never be read.
var errWriteOnly = errors.New("outside: cannot be read")

// carrier is how a kind of target is reached. Both functions end soon after ctx does.
type carrier interface {
	// send makes the note be there, as far as the way there can tell.
	send(ctx context.Context, note []byte) error
	// read calls each with the texts that may hold the newest checkpoints, newest first, until it returns true.
	read(ctx context.Context, each func(io.Reader) (enough bool, err error)) error
}

// Options is what targets need beside their specs.
type Options struct {
	Node string           // names the sender of a syslog message
	Now  func() time.Time // stamps it
	FS   disk.FS          // nil is the operating system
}

// Open prepares targets, and reads the certificates that they name. Nothing is called. Errors name a target by its
// number, and never its address.
func Open(specs []Spec, o Options) ([]*Target, error) {
	if o.FS == nil {
		o.FS = disk.OS()
	}
	targets := make([]*Target, len(specs))
	for i, s := range specs {
		t := &Target{Number: i + 1, Kind: s.Kind}
		c, err := s.carrier(o)
		if err != nil {
			return nil, fmt.Errorf("checkpoint %s: %w", t, err)
		}
		t.carrier = c
		targets[i] = t
	}
	return targets, nil
}

func (s Spec) carrier(o Options) (carrier, error) {
	if s.Kind == File {
		return newFile(s.Path, o.FS), nil
	}
	config, err := s.tls()
	if err != nil {
		return nil, err
	}
	if s.Kind == Syslog {
		return &collector{address: s.address, tls: config, node: o.Node, now: o.Now}, nil
	}
	return newWeb(s, config)
}
