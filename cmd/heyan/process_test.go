package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	mathrand "math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/heyan-project/heyan/cmd/heyan/internal/dial"
	"github.com/heyan-project/heyan/cmd/heyan/internal/profile"
)

// built builds the program as it ships, once for all tests that need a process of its own. It lies beside the test's
// own binary, which go test removes.
var built = sync.OnceValues(func() (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	path := filepath.Join(filepath.Dir(self), "heyan-as-shipped")
	if runtime.GOOS == "windows" {
		path += ".exe"
	}
	build := exec.Command("go", "build", "-buildvcs=false", "-o", path, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", &exitError{code: exitUsage, text: "go build: " + err.Error() + "\n" + string(out)}
	}
	return path, nil
})

// process is `heyan serve` in a process of its own.
type process struct {
	cmd     *exec.Cmd
	dir     string // its working directory, where a core file would lie
	exited  chan struct{}
	serving serving

	mu    sync.Mutex
	lines bytes.Buffer
}

// serving is the line by which the server says that it serves, with what the lines before it say of a start after a crash.
type serving struct {
	Msg                       string
	Address, Status, Origin   string
	LogKey                    string `json:"log_key"`
	Records                   uint64
	Voided, Recovered, Undone int // to make ledger and log agree
	Lost                      int
	Bytes                     int // cut from the log's tail
}

// serveCommandOf is the command that serves a folder.
func serveCommandOf(t testing.TB, home string, flags ...string) *exec.Cmd {
	t.Helper()
	binary, err := built()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(home, "work")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, append([]string{"serve", "--config", filepath.Join(home, "heyan.yaml")}, flags...)...)
	cmd.Dir = dir
	cmd.Env = []string{"HOME=" + dir, "PATH=" + os.Getenv("PATH")}
	return cmd
}

// startProcess starts the server of a folder on free ports and returns when it serves.
func startProcess(t testing.TB, home string, env ...string) *process {
	t.Helper()
	cmd := serveCommandOf(t, home)
	cmd.Env = append(cmd.Env, env...)
	return watch(t, cmd)
}

// watch starts a server and returns when it serves.
func watch(t testing.TB, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{cmd: cmd, dir: cmd.Dir, exited: make(chan struct{})}
	// A pipe that the parent holds: what the process writes while it dies is read to the end.
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p.cmd.Stderr, p.cmd.Stdout = write, write
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = write.Close()
	up := make(chan bool, 1)
	go p.read(read, up)
	t.Cleanup(p.kill)
	select {
	case ok := <-up:
		if !ok {
			t.Fatalf("the server did not start:\n%s", p.text())
		}
	case <-time.After(time.Minute):
		t.Fatalf("the server does not serve:\n%s", p.text())
	}
	return p
}

// read keeps everything that the process writes and reports when it serves, or that it ended before.
func (p *process) read(from io.ReadCloser, up chan<- bool) {
	defer close(p.exited)
	defer from.Close()
	var before serving
	lines := bufio.NewReader(from)
	for {
		line, err := lines.ReadBytes('\n')
		p.mu.Lock()
		p.lines.Write(line)
		p.mu.Unlock()
		var said serving
		if json.Unmarshal(line, &said) == nil {
			switch {
			case said.Msg == "serving":
				said.Voided, said.Recovered, said.Undone, said.Lost, said.Bytes = before.Voided, before.Recovered, before.Undone, before.Lost, before.Bytes
				p.serving = said
				up <- true
			case strings.HasPrefix(said.Msg, "ledger and log"):
				before.Voided, before.Recovered, before.Undone, before.Lost = said.Voided, said.Recovered, said.Undone, said.Lost
			case strings.HasPrefix(said.Msg, "a torn tail"):
				before.Bytes = said.Bytes
			}
		}
		if err != nil {
			_ = p.cmd.Wait()
			select {
			case up <- false:
			default:
			}
			return
		}
	}
}

// text returns what the process has written.
func (p *process) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lines.String()
}

// kill ends the process as a crash of the machine's own would, and waits until it is gone.
func (p *process) kill() { p.end(os.Kill) }

// stop asks the process to drain and waits until it is gone.
func (p *process) stop() { p.end(syscall.SIGTERM) }

func (p *process) end(by os.Signal) {
	_ = p.cmd.Process.Signal(by)
	<-p.exited
}

// dialPlain connects as an API key, without retries: what a caller saw is what happened.
func dialPlain(t testing.TB, home, address, key string, options ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	config, err := dial.TLSConfig(profile.Layer{Profile: profile.Profile{CAFile: filepath.Join(home, "certs", "ca.pem")}})
	if err != nil {
		t.Fatal(err)
	}
	options = append([]grpc.DialOption{grpc.WithTransportCredentials(credentials.NewTLS(config)), grpc.WithDisableServiceConfig()}, options...)
	if key != "" {
		options = append(options, grpc.WithPerRPCCredentials(apiKeyOf(key)))
	}
	conn, err := grpc.NewClient("passthrough:///"+address, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

type apiKeyOf string

func (k apiKeyOf) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + string(k)}, nil
}

func (apiKeyOf) RequireTransportSecurity() bool { return true }

// laid lays out a development folder whose server takes free ports.
func laid(t testing.TB) (a *app, home string) {
	t.Helper()
	home = t.TempDir()
	a = &app{streams: streams{In: strings.NewReader(""), Out: io.Discard, Err: io.Discard, Env: os.LookupEnv, Now: time.Now, Rand: rand.Reader}}
	if err := firstDev(t.Context(), a, home, "127.0.0.1:0", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	return a, home
}

// crewOf connects as the people of a folder.
func crewOf(t testing.TB, home, address string) *crew {
	t.Helper()
	c, err := openCrew(home, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.close)
	return c
}

// coreFiles lists what looks like a core dump below a folder.
func coreFiles(t testing.TB, dir string) (found []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := d.Name(); d.Type().IsRegular() && (name == "core" || strings.HasPrefix(name, "core.") || strings.HasSuffix(name, ".core")) {
			found = append(found, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// seeded is a source of chance whose seed a failure can be repeated with.
func seeded(seed uint64) *mathrand.Rand { return mathrand.New(mathrand.NewPCG(seed, 0)) }
