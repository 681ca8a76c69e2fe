package account_test

import (
	"crypto/rand"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/heyan-project/heyan/verifier/account"
	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/ledger"
)

var now = time.Date(2026, 11, 22, 4, 0, 0, 0, time.UTC)

func key(t testing.TB, test bool) (string, ledger.ID, [32]byte) {
	t.Helper()
	id, err := ledger.NewID(now, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	var secret [32]byte
	if _, err := rand.Read(secret[:]); err != nil {
		t.Fatal(err)
	}
	return account.FormatKey(id, secret, test), id, secret
}

func TestKeys(t *testing.T) {
	for _, test := range []bool{false, true} {
		text, id, secret := key(t, test)
		gotID, gotSecret, err := account.ParseKey(text)
		if err != nil || gotID != id || gotSecret != secret || strings.HasPrefix(text, "heyan_test_") != test {
			t.Fatalf("%v: %v", test, err)
		}
		// Every character typed wrong is told from a wrong key.
		for i := range text {
			bad := []byte(text)
			if bad[i] == 'x' {
				bad[i] = 'y'
			} else {
				bad[i] = 'x'
			}
			if _, _, err := account.ParseKey(string(bad)); !errors.Is(err, account.ErrKey) {
				t.Fatalf("character %d changed: %v", i, err)
			}
		}
		for _, bad := range []string{"", text[:len(text)-1], text + "A", "heyan_live_", strings.ToUpper(text)} {
			if _, _, err := account.ParseKey(bad); !errors.Is(err, account.ErrKey) || strings.Contains(err.Error(), text[12:20]) {
				t.Errorf("a bad key: %v", err)
			}
		}
	}
}

func FuzzParseKey(f *testing.F) {
	text, _, _ := key(f, false)
	f.Add(text)
	f.Fuzz(func(t *testing.T, s string) {
		id, secret, err := account.ParseKey(s)
		if err == nil && account.FormatKey(id, secret, strings.HasPrefix(s, "heyan_test_")) != s {
			t.Error("a key has two forms")
		}
	})
}

func TestCredentialStates(t *testing.T) {
	for name, c := range map[string]struct {
		c    account.Credential
		want fault.Reason
	}{
		"active":              {account.Credential{State: account.CredentialActive, ExpireTime: now.Add(1)}, 0},
		"expired":             {account.Credential{State: account.CredentialActive, ExpireTime: now}, fault.CredentialExpired},
		"locked":              {account.Credential{State: account.CredentialLocked, ExpireTime: now.Add(1)}, fault.CredentialLocked},
		"revoked":             {account.Credential{State: account.CredentialRevoked, ExpireTime: now.Add(1)}, fault.CredentialInvalid},
		"revoked and expired": {account.Credential{State: account.CredentialRevoked, ExpireTime: now}, fault.CredentialInvalid},
	} {
		f := c.c.Check(now)
		if c.want == 0 && f != nil || c.want != 0 && (f == nil || f.Reason != c.want) {
			t.Errorf("%s: %v", name, f)
		}
	}
	for state, want := range map[account.State]fault.Reason{account.Suspended: fault.ClientSuspended, account.Closed: fault.CredentialInvalid} {
		if f := (&account.Client{State: state}).Check(); f == nil || f.Reason != want {
			t.Errorf("client state %d: %v", state, f)
		}
	}
	if (&account.Client{State: account.Active}).Check() != nil || (*account.Client)(nil).Check() == nil {
		t.Error("an active client, and none")
	}
}

func TestAllowed(t *testing.T) {
	list := []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("2001:db8::/32")}
	for address, want := range map[string]bool{"203.0.113.9": true, "::ffff:203.0.113.9": true, "203.0.114.9": false, "2001:db8::1": true, "2001:db9::1": false} {
		if account.Allowed(list, netip.MustParseAddr(address)) != want {
			t.Errorf("%s: want %v", address, want)
		}
	}
	if !account.Allowed(nil, netip.MustParseAddr("192.0.2.1")) {
		t.Error("an empty list allows every address")
	}
}
