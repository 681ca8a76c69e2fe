package main

import (
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/heyan-project/heyan/cmd/heyan/internal/keyfile"
	"github.com/heyan-project/heyan/cmd/heyan/internal/output"
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

func keyGenerate(a *app) *cobra.Command {
	var kind string
	cmd := &cobra.Command{
		Use:     "generate FILE",
		Short:   "Make a new key file, readable by you only; never over an old one",
		Example: "  heyan key generate /etc/heyan/keys/digest.key\n  heyan key generate --kind log-seal /etc/heyan/keys/log-seal.key",
		Args:    arguments("FILE"),
		RunE: func(_ *cobra.Command, args []string) error {
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
			return a.keyStatus(args[0])
		},
	}
	cmd.Flags().Var(choice(&kind, keyKindNames()...), "kind", "what it is for: "+strings.Join(keyKindNames(), ", "))
	complete(cmd, "kind", keyKindNames()...)
	return cmd
}

func keyStatus(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "status FILE",
		Short:   "Say what a key file is for and which keys it holds, by id; never the keys",
		Example: "  heyan key status /etc/heyan/keys/digest.key",
		Args:    arguments("FILE"),
		RunE:    func(_ *cobra.Command, args []string) error { return a.keyStatus(args[0]) },
	}
}

// keyState is what is told of a key file.
type keyState struct {
	File    string   `json:"file"`
	Kind    string   `json:"kind"`
	IDs     []string `json:"ids,omitempty"`        // digest: from the innermost to the newest
	Suite   string   `json:"suite,omitempty"`      // digest
	Created string   `json:"created,omitempty"`    // digest: of the newest
	Public  string   `json:"public_key,omitempty"` // log-sign: Ed25519, hexadecimal
}

func (a *app) keyStatus(path string) error {
	state, err := readKey(path)
	if errors.Is(err, keyfile.ErrReadable) {
		return &exitError{exitNo, err.Error(), "a server refuses it; run: chmod 600 " + shellQuote(path)}
	}
	if err != nil {
		return err
	}
	if a.json() {
		return output.Value(a.Out, state)
	}
	table := output.NewTable()
	table.Row("file", state.File)
	table.Row("kind", state.Kind)
	if state.Kind == kindDigest {
		table.Row("keys", strings.Join(state.IDs, " "))
		table.Row("suite", state.Suite)
		table.Row("newest since", state.Created)
	}
	if state.Public != "" {
		table.Row("public key", state.Public)
	}
	_, err = table.WriteTo(a.Out)
	return err
}

func readKey(path string) (keyState, error) {
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
		state := keyState{File: path, Kind: string(kind)}
		if kind == keyfile.LogSign {
			public, _ := ed25519.NewKeyFromSeed(key).Public().(ed25519.PublicKey)
			state.Public = hex.EncodeToString(public)
		}
		return state, nil
	}
	return keyState{}, err
}
