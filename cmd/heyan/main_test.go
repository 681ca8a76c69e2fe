package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"heyan": main})
}

type fakeKey struct{}

// TestScripts runs testdata/script: the program as a shell runs it, against a strict server in this process.
//
//	exits CODE COMMAND ARGS…       runs a command and wants its exit code
//	received METHOD REGEXP         wants the newest request of a method, as JSON, to match; with ! not to
//	mode FILE OCTAL                wants a file's permissions
//	flip FILE OFFSET               changes one byte
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			server, err := newFake()
			if err != nil {
				return err
			}
			env.Values[fakeKey{}] = server
			env.Defer(server.stop)
			env.Setenv("GORACE", "atexit_sleep_ms=0") // else a program under the race detector takes a second to exit
			env.Setenv("HEYAN_CONFIG_HOME", filepath.Join(env.WorkDir, "config"))
			env.Setenv("ADDRESS", server.address)
			env.Setenv("ORIGIN", fakeOrigin)
			env.Setenv("KEY", server.log.signer.Key())
			env.Setenv("APIKEY", fakeAPIKey)
			other, err := newFakeLog()
			if err != nil {
				return err
			}
			env.Setenv("OTHERKEY", other.signer.Key())
			return server.writeConfig(filepath.Join(env.WorkDir, "config"))
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "received": received, "mode": mode, "flip": flip,
		},
	})
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND ARGS…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	var exit *exec.ExitError
	got := 0
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

func received(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: received METHOD REGEXP")
	}
	server, _ := ts.Value(fakeKey{}).(*fake)
	got := server.newest(args[0])
	if matched := regexp.MustCompile(args[1]).MatchString(got); matched == neg {
		ts.Fatalf("%s received %s", args[0], got)
	}
}

func mode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: mode FILE OCTAL")
	}
	info, err := os.Stat(ts.MkAbs(args[0]))
	ts.Check(err)
	if got := fmt.Sprintf("%o", info.Mode().Perm()); got != args[1] {
		ts.Fatalf("%s has mode %s, want %s", args[0], got, args[1])
	}
}

func flip(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: flip FILE OFFSET")
	}
	content := []byte(ts.ReadFile(args[0]))
	offset, err := strconv.Atoi(args[1])
	ts.Check(err)
	content[offset] ^= 1
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), content, 0o600))
}

// Every command has a help text with an example, or subcommands that have.
func TestEveryCommandHasHelp(t *testing.T) {
	a := &app{streams: streams{Env: os.LookupEnv}}
	commands := rootCommand(a).Commands()
	for i := 0; i < len(commands); i++ {
		cmd := commands[i]
		commands = append(commands, cmd.Commands()...)
		if cmd.Name() == "help" || cmd.Name() == "completion" || cmd.Parent().Name() == "completion" {
			continue
		}
		if cmd.Short == "" {
			t.Errorf("%s has no short help", cmd.CommandPath())
		}
		if !cmd.HasSubCommands() && !strings.Contains(cmd.Example, cmd.CommandPath()) {
			t.Errorf("%s: its example does not show it", cmd.CommandPath())
		}
	}
}

// Whatever stands where a subcommand belongs, no error repeats it.
func TestUsageErrorsRepeatNothing(t *testing.T) {
	const value = "11010519491231002X"
	for _, args := range [][]string{
		{value}, {"verify", "id2", value}, {"--" + value}, {"-" + value}, {"--张三"}, {"log", value}, {"client", "get", "a", value},
		{"verify", "id2", "--obtain-time", value}, {"verify", "id2", "--purpose=" + value}, {"normalize", "--field", value},
		{"log", "get", value}, {"dataset", "activate", value}, {"log", "receipt", "verify", "f", "--key", "k", "--opening", value},
		{"loadtest", "--callers", value},
	} {
		var out, complaint strings.Builder
		code := run(context.Background(), args, streams{
			In: strings.NewReader(""), Out: &out, Err: &complaint, Env: func(string) (string, bool) { return "", false },
		})
		if code != exitUsage {
			t.Errorf("%v: exit code %d", args, code)
		}
		if said := out.String() + complaint.String(); strings.Contains(said, value) || strings.Contains(said, "张三") {
			t.Errorf("%v: repeats the value: %s", args, complaint.String())
		}
	}
}
