package profile

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func lookup(env map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		value, ok := env[name]
		return value, ok
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestSaveLoad(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	path := filepath.Join(dir, FileName)
	err := Save(path, &File{Default: "a", Profiles: map[string]Profile{
		"a": {Address: "127.0.0.1:9443", CAFile: "ca.pem", APIKeyFile: "/abs/key"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		t.Errorf("mode %v is readable by others", info.Mode())
	}
	found, at, err := Find("", lookup(map[string]string{"HEYAN_CONFIG_HOME": dir}))
	if err != nil {
		t.Fatal(err)
	}
	want := Profile{Address: "127.0.0.1:9443", CAFile: filepath.Join(dir, "ca.pem"), APIKeyFile: "/abs/key"}
	if found != want || at != dir {
		t.Errorf("Find = %+v in %s, want %+v in %s", found, at, want, dir)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".profiles-*")); len(left) > 0 {
		t.Errorf("temporary files left: %v", left)
	}
}

func TestUnknownKeyIsAnError(t *testing.T) {
	path := filepath.Join(t.TempDir(), FileName)
	write(t, path, "profiles:\n  a:\n    adress: x\n")
	if _, err := Load(path); err == nil || !strings.Contains(err.Error(), "adress") {
		t.Errorf("Load = %v, want an error that names the key", err)
	}
}

func TestUserFileHidesDevelopmentFile(t *testing.T) {
	t.Chdir(t.TempDir())
	home := t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", home)
	t.Setenv("HOME", home)
	t.Setenv("AppData", home)
	user, err := os.UserConfigDir()
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(user, "heyan", FileName), "profiles:\n  both:\n    address: user.example:1\n")
	write(t, filepath.Join(DevDir, FileName),
		"default: dev\nprofiles:\n  both:\n    address: 127.0.0.1:2\n  dev:\n    address: 127.0.0.1:3\n  evil:\n    address: evil.example:4\n")

	none := lookup(nil)
	if p, _, err := Find("both", none); err != nil || p.Address != "user.example:1" {
		t.Errorf("both = %+v, %v", p, err)
	}
	if p, dir, err := Find("", none); err != nil || p.Address != "127.0.0.1:3" || dir != DevDir {
		t.Errorf("default = %+v in %q, %v", p, dir, err)
	}
	if _, _, err := Find("evil", none); err == nil {
		t.Error("a profile of the current directory with a foreign address was accepted")
	}
	if _, _, err := Find("nobody", none); !errors.Is(err, ErrUnknown) {
		t.Errorf("nobody = %v, want ErrUnknown", err)
	}
	other := lookup(map[string]string{"HEYAN_CONFIG_HOME": t.TempDir()})
	if p, _, err := Find("", other); err != nil || p != (Profile{}) {
		t.Errorf("with an empty HEYAN_CONFIG_HOME: %+v, %v", p, err)
	}
}

func TestResolve(t *testing.T) {
	flags := Layer{Profile: Profile{CAFile: "flag-ca"}}
	environment := Environment(lookup(map[string]string{
		"HEYAN_ADDRESS": "env:1", "HEYAN_CA_FILE": "env-ca", "HEYAN_API_KEY": "secret",
	}))
	file := Layer{Profile: Profile{Address: "file:1", CertFile: "c", KeyFile: "k", ServerName: "name"}}
	got := Resolve(flags, environment, file)
	want := Layer{Profile: Profile{Address: "env:1", CAFile: "flag-ca", ServerName: "name"}, APIKey: "secret"}
	if got != want {
		t.Errorf("Resolve = %+v, want %+v: a credential is never mixed", got, want)
	}
}

func TestLoopback(t *testing.T) {
	for address, want := range map[string]bool{
		"127.0.0.1:1": true, "[::1]:1": true, "localhost:1": true, "127.9.9.9:1": true,
		"10.0.0.1:1": false, "localhost.evil.example:1": false, "127.0.0.1": false, "": false, ":9443": false,
	} {
		if got := Loopback(address); got != want {
			t.Errorf("Loopback(%q) = %v", address, got)
		}
	}
}
