package main

import (
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/heyan-project/heyan/cmd/heyan/internal/keyfile"
	"github.com/heyan-project/heyan/cmd/heyan/internal/output"
	"github.com/heyan-project/heyan/store/netlog/tree"
)

// kindDigest is the kind of the file that all digests derive from; the others are those of package keyfile.
const kindDigest = "digest"

func keyKinds() []keyfile.Kind {
	return []keyfile.Kind{keyfile.SubjectSeal, keyfile.BusinessSeal, keyfile.RegistrySeal, keyfile.LogSeal, keyfile.LogSign}
}

func keyKindNames() []string {
	names := []string{kindDigest}
	for _, kind := range keyKinds() {
		names = append(names, string(kind))
	}
	return names
}

func keyCommand(a *app) *cobra.Command {
	cmd := parent(&cobra.Command{
		Use:   "key",
		Short: "Make and look at key files",
		Long: `Key works on the files of secrets that a server reads at start; "heyan init" makes all of them. They belong outside the
data directory and its backups, with a copy in a safe place: whoever loses the digest key can match no stored row again,
and whoever holds it and the data can find any value by trial.`,
	})
	cmd.AddCommand(keyGenerate(a), keyStatus(a))
	return cmd
}

// keyKindOf reads a kind by its name, or by the name of its member in a configuration: subject is subject-seal.
func keyKindOf(name string) (string, bool) {
	name = strings.ReplaceAll(name, "_", "-")
	for _, kind := range keyKindNames() {
		if name == kind || name+"-seal" == kind && name != "log" {
			return kind, true
		}
	}
	return "", false
}

// keyKindFlag is the kind of a key.
type keyKindFlag struct{ target *string }

func (f keyKindFlag) Set(text string) error {
	kind, ok := keyKindOf(text)
	if !ok {
		return &badValue{strings.Join(keyKindNames(), " or ")}
	}
	*f.target = kind
	return nil
}
func (f keyKindFlag) String() string { return *f.target }
func (f keyKindFlag) Type() string   { return "kind" }

func keyGenerate(a *app) *cobra.Command {
	var kind string
	cmd := &cobra.Command{
		Use:   "generate FILE",
		Short: "Make a new key file, readable by you only; never over an old one",
		Long: `Generate makes a key of the kind that the file is named after, as "heyan init" names them: digest.key, subject.key,
business.key, registry.key, log-seal.key, log-sign.key. A file of another name needs --kind.`,
		Example: "  heyan key generate /etc/heyan/keys/digest.key\n  heyan key generate --kind log-seal /etc/heyan/keys/new.key",
		Args:    arguments("FILE"),
		RunE: func(_ *cobra.Command, args []string) error {
			if kind == "" {
				var ok bool
				if kind, ok = keyKindOf(strings.TrimSuffix(filepath.Base(args[0]), ".key")); !ok {
					return usageError("--kind is needed: the file's name is none of a kind's", "kinds: "+strings.Join(keyKindNames(), ", "))
				}
			}
			var err error
			if kind == kindDigest {
				err = keyfile.GenerateDigest(args[0], a.Rand, a.Now())
			} else {
				err = keyfile.Generate(args[0], keyfile.Kind(kind), a.Rand)
			}
			if err != nil {
				return err
			}
			a.note("keep a copy in a safe place, apart from the data")
			return a.keyStatus(args, "")
		},
	}
	cmd.Flags().Var(keyKindFlag{&kind}, "kind", "what it is for, where the file's name does not say: "+strings.Join(keyKindNames(), ", "))
	complete(cmd, "kind", keyKindNames()...)
	return cmd
}

func keyStatus(a *app) *cobra.Command {
	var origin string
	cmd := &cobra.Command{
		Use:   "status FILE…",
		Short: "Say what key files are for and which keys they hold, by id; never the keys",
		Long: `Status prints an id of each key, by which configuration, log and complaints of a start name it, and of log-sign.key the
public key. The verifier key, which "heyan log verify --key" takes, holds the name of the log as well: --origin states it
("heyan log origins" lists names, and data/log/origin.json holds one).`,
		Example: "  heyan key status /etc/heyan/keys/*.key\n  heyan key status /etc/heyan/keys/log-sign.key --origin node1-5f3a9c0d1e2f3a4b",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return arguments("FILE")(cmd, args)
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error { return a.keyStatus(args, origin) },
	}
	cmd.Flags().StringVar(&origin, "origin", "", "name of the log, to print the verifier key of log-sign.key")
	return cmd
}

// keyState is what is told of a key file.
type keyState struct {
	File     string   `json:"file"`
	Kind     string   `json:"kind"`
	IDs      []string `json:"ids"`                    // digest: from the innermost to the newest
	Suite    string   `json:"suite,omitempty"`        // digest
	Created  string   `json:"created,omitempty"`      // digest: of the newest
	Public   string   `json:"public_key,omitempty"`   // log-sign: Ed25519, hexadecimal
	Verifier string   `json:"verifier_key,omitempty"` // log-sign with an origin, as tree.NewVerifier reads it
}

// keyStatus prints the states of files: of one an object in JSON, of several one a line.
func (a *app) keyStatus(paths []string, origin string) error {
	for i, path := range paths {
		state, err := readKey(path, origin)
		if errors.Is(err, keyfile.ErrReadable) {
			return &exitError{exitNo, err.Error(), "a server refuses it; run: chmod 600 " + shellQuote(path)}
		}
		if errors.Is(err, keyfile.ErrFolder) {
			return &exitError{exitNo, err.Error(), "a server refuses it; run: chmod go-w " + shellQuote(filepath.Dir(path))}
		}
		if err != nil {
			return err
		}
		switch {
		case a.json() && len(paths) > 1:
			err = output.ValueLine(a.Out, state)
		case a.json():
			err = output.Value(a.Out, state)
		default:
			if i > 0 {
				fmt.Fprintln(a.Out)
			}
			_, err = state.table().WriteTo(a.Out)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s keyState) table() *output.Table {
	table := output.NewTable()
	table.Row("file", s.File)
	table.Row("kind", s.Kind)
	if s.Kind == kindDigest {
		table.Row("keys", strings.Join(s.IDs, " "))
		table.Row("suite", s.Suite)
		table.Row("newest since", s.Created)
		return table
	}
	table.Row("key", strings.Join(s.IDs, " "))
	if s.Public != "" {
		table.Row("public key", s.Public)
		verifier := s.Verifier
		if verifier == "" {
			verifier = "holds the log's name: --origin NAME prints it"
		}
		table.Row("verifier key", verifier)
	}
	return table
}

func readKey(path, origin string) (keyState, error) {
	chain, err := keyfile.ReadDigest(path)
	if err == nil {
		return keyState{File: path, Kind: kindDigest, IDs: chain.IDs(), Suite: chain.Suite(),
			Created: chain.Created().UTC().Format(time.RFC3339)}, nil
	}
	for _, kind := range keyKinds() {
		key, other := keyfile.Read(path, kind)
		if other != nil {
			continue
		}
		state := keyState{File: path, Kind: string(kind), IDs: []string{keyfile.ID(kind, key)}}
		if kind != keyfile.LogSign {
			return state, nil
		}
		private := ed25519.NewKeyFromSeed(key)
		public, _ := private.Public().(ed25519.PublicKey)
		state.Public = hex.EncodeToString(public)
		if origin != "" {
			signer, err := tree.NewSigner(origin, private)
			if err != nil {
				return keyState{}, usageError("--origin: not the name of a log", "heyan log origins lists names")
			}
			state.Verifier = signer.Key()
		}
		return state, nil
	}
	return keyState{}, err
}
