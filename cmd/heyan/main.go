// Heyan is one binary: the verification server and every tool around it.
//
// [run] is the whole program with its surroundings as arguments, so that tests run it as a shell would. root.go lists
// the subcommands, one file each. app.go holds what they share: how a server is reached, how an answer is printed;
// exit.go the exit codes; refusal.go how a server's refusal is shown.
//
// No error that this program prints holds a value of one of the six fields, wherever the value came from.
package main

import (
	"context"
	"crypto/rand"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// streams is what surrounds a run.
type streams struct {
	In   io.Reader
	Out  io.Writer
	Err  io.Writer
	Env  func(string) (string, bool) // os.LookupEnv
	Now  func() time.Time
	Rand io.Reader // cryptographic
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second interrupt ends the program at once
	code := run(ctx, os.Args[1:], streams{
		In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Env: os.LookupEnv, Now: time.Now, Rand: rand.Reader,
	})
	stop()
	os.Exit(code)
}
