package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/heyan-project/heyan/cmd/heyan/internal/profile"
	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
)

func TestAccountShowsWhoCalls(t *testing.T) {
	for _, c := range []struct {
		name    string
		account *heyanv1.Account
		want    []string
		never   string
	}{
		{"a client", &heyanv1.Account{Client: "acme", DisplayName: "ACME Ltd", Credential: "0190", Roles: []heyanv1.Role{heyanv1.Role_ROLE_CLIENT},
			Lines: []*heyanv1.Account_Line{{Product: "id2"}}}, []string{"acme ACME Ltd", "0190", "id2", "no limit"}, "operator"},
		{"a person", &heyanv1.Account{Operator: "li-wei-2", PersonId: "li-wei",
			Roles: []heyanv1.Role{heyanv1.Role_ROLE_SYSTEM_ADMIN, heyanv1.Role_ROLE_PRIVACY_OFFICER}},
			[]string{"operator  li-wei-2", "person    li-wei", "system_admin,privacy_officer"}, "client"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out bytes.Buffer
			a := &app{streams: streams{Out: &out}}
			if err := a.printAccount(c.account); err != nil {
				t.Fatal(err)
			}
			for _, want := range c.want {
				if !strings.Contains(out.String(), want) {
					t.Errorf("%q is missing in\n%s", want, &out)
				}
			}
			if strings.Contains(out.String(), c.never) {
				t.Errorf("%q stands in\n%s", c.never, &out)
			}
		})
	}
}

// A development server that starts again on another port is found by its profiles, and profiles of the developer's
// own stay.
func TestReaddress(t *testing.T) {
	home := t.TempDir()
	if err := devProfiles(home, "127.0.0.1:9443"); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(home, profile.FileName)
	file, err := profile.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	file.Profiles["mine"] = profile.Profile{Address: "127.0.0.1:1"}
	if err := profile.Save(path, file); err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, address := range []string{"127.0.0.1:9443", "127.0.0.1:9444"} {
		if err := readdress(home, address); err != nil {
			t.Fatal(err)
		}
		after, err := profile.Load(path)
		if err != nil {
			t.Fatal(err)
		}
		for name, p := range after.Profiles {
			want := address
			if name == "mine" {
				want = "127.0.0.1:1"
			}
			if p.Address != want {
				t.Errorf("%s: %s, want %s", name, p.Address, want)
			}
		}
		if len(after.Profiles) != 5 || after.Default != "client" {
			t.Errorf("%d profiles, default %q", len(after.Profiles), after.Default)
		}
		if now, err := os.Stat(path); err != nil || address == "127.0.0.1:9443" && !os.SameFile(before, now) {
			t.Errorf("the file was written although nothing changed: %v", err)
		}
	}
}
