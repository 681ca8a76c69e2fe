package main

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/heyan-project/heyan/cmd/heyan/internal/config"
	"github.com/heyan-project/heyan/cmd/heyan/internal/keyfile"
	"github.com/heyan-project/heyan/cmd/heyan/internal/output"
	"github.com/heyan-project/heyan/store/embedded/sealed"
	"github.com/heyan-project/heyan/store/netlog"
	"github.com/heyan-project/heyan/store/netlog/atrest"
	"github.com/heyan-project/heyan/store/netlog/tree"
)

// configReport is what `heyan config check` finds.
type configReport struct {
	File       string   `json:"file"`
	Well       bool     `json:"well"`
	Wrong      []string `json:"wrong"`
	Node       string   `json:"node,omitempty"`
	Region     string   `json:"region,omitempty"`
	Products   int      `json:"products,omitempty"`
	Production bool     `json:"production"`
}

func (a *app) checkConfig(path string) error {
	report := configReport{File: path, Wrong: []string{}}
	add := func(errs ...error) {
		for _, err := range errs {
			if err != nil {
				report.Wrong = append(report.Wrong, inOneLine(errors.New(localText(err))))
			}
		}
	}
	c, err := config.Load(path)
	var wrong *config.Errors
	if errors.As(err, &wrong) {
		report.Wrong = append(report.Wrong, wrong.Lines()...)
		// What its members name is looked at all the same, as far as they can be read.
		if c, err = config.LoadUnchecked(path); err == nil {
			add(checkFiles(c)...)
			add(checkData(c)...)
		}
	} else if add(err); err == nil {
		add(checkFiles(c)...)
		add(checkData(c)...)
		report.Node, report.Region, report.Production = c.Node, c.Region, c.Production
		if products, err := c.Products(); err == nil {
			report.Products = len(products.All())
		}
	}
	report.Well = len(report.Wrong) == 0
	return a.printConfig(report)
}

func (a *app) printConfig(r configReport) error {
	switch {
	case a.json():
		if err := output.Value(a.Out, r); err != nil {
			return err
		}
	case r.Well:
		_, err := fmt.Fprintf(a.Out, "%s is well: node %s in %s, %d products, production %v\n", r.File, r.Node, r.Region, r.Products, r.Production)
		return err
	default:
		a.complain(r.File+": "+countOf(len(r.Wrong), "thing")+" to put right", "")
		for _, line := range r.Wrong {
			fmt.Fprintln(a.Err, "  "+output.Clean(line))
		}
	}
	if !r.Well {
		return &exitError{code: exitUsage}
	}
	return nil
}

// sealing is the keys that files are sealed under, with the member that names each.
func sealing(k *config.Keys) []sealingKey {
	return []sealingKey{
		{"keys.subject", k.Subject, keyfile.SubjectSeal, "subject"}, {"keys.business", k.Business, keyfile.BusinessSeal, "business"},
		{"keys.registry", k.Registry, keyfile.RegistrySeal, filepath.Join("registry", "deleted")}, {"keys.log_seal", k.LogSeal, keyfile.LogSeal, ""},
	}
}

type sealingKey struct {
	member, path string
	kind         keyfile.Kind
	folder       string // of the store's part that it seals; empty = none
}

// checkFiles reads the files that a configuration names, as a start would. Members that are missing were told already.
func checkFiles(c *config.Config) (wrong []error) {
	if c.Keys.Digest != "" {
		_, err := keyfile.ReadDigest(c.Keys.Digest)
		wrong = append(wrong, err)
	}
	if c.Keys.LogSign != "" {
		_, err := keyfile.ReadSigning(c.Keys.LogSign)
		wrong = append(wrong, err)
	}
	for _, key := range sealing(&c.Keys) {
		if key.path != "" {
			_, err := keyfile.Read(key.path, key.kind)
			wrong = append(wrong, err)
		}
	}
	if c.TLS.Certificate != "" && c.TLS.Key != "" {
		_, err := (&state{config: c}).certificates()
		wrong = append(wrong, err)
	}
	_, err := forwardTLS(&c.Log.Forward)
	wrong = append(wrong, err)
	// Whether they can be reached is for the server's start to say: it may be checked elsewhere than on the server.
	if _, err := c.Outside(); err == nil {
		_, err = openTargets(c, time.Now)
		wrong = append(wrong, err)
	}
	return wrong
}

// checkData compares the keys with the data that is there, and changes nothing.
func checkData(c *config.Config) (wrong []error) {
	if c.DataDir == "" {
		return nil
	}
	missing := false
	for _, part := range []struct{ what, mark string }{{"store", "store/FORMAT"}, {"network log", "log/origin.json"}} {
		if _, err := os.Stat(filepath.Join(c.DataDir, filepath.FromSlash(part.mark))); errors.Is(err, fs.ErrNotExist) {
			wrong = append(wrong, fmt.Errorf("data_dir: no %s in %s; heyan init makes both", part.what, c.DataDir))
			missing = true
		}
	}
	if missing {
		return wrong
	}
	return append(checkSeals(c), checkLogKeys(c)...)
}

// checkSeals says which of the store's keys are not those that its files were sealed under.
func checkSeals(c *config.Config) (wrong []error) {
	for _, key := range sealing(&c.Keys) {
		secret, err := keyfile.Read(key.path, key.kind)
		if key.folder == "" || err != nil {
			continue // checkFiles tells of it
		}
		err = sealed.CheckKey(filepath.Join(c.DataDir, "store", key.folder), secret)
		switch {
		case errors.Is(err, sealed.ErrWrongKey):
			wrong = append(wrong, fmt.Errorf("%s: %s holds key %s, and the data in %s was written under another store key", key.member, key.path,
				keyfile.ID(key.kind, secret), c.DataDir))
		case err != nil:
			wrong = append(wrong, err)
		}
	}
	return wrong
}

// checkLogKeys says which of the log's keys are not its own.
func checkLogKeys(c *config.Config) []error {
	sign, err := keyfile.ReadSigning(c.Keys.LogSign)
	if err != nil {
		return nil
	}
	seal, err := keyfile.Read(c.Keys.LogSeal, keyfile.LogSeal)
	if err != nil {
		return nil
	}
	dir := filepath.Join(c.DataDir, "log")
	text, err := os.ReadFile(filepath.Join(dir, "origin.json"))
	if err != nil {
		return []error{err}
	}
	var born struct{ Origin, Key string }
	if err := json.Unmarshal(text, &born); err != nil {
		return []error{fmt.Errorf("%s: origin.json is not as it was written", dir)}
	}
	var wrong []error
	if signer, err := tree.NewSigner(born.Origin, sign); err != nil || signer.Key() != born.Key {
		wrong = append(wrong, fmt.Errorf("keys.log_sign: %s holds key %s: the signing key is not this log's; %s has the verifier key %s",
			c.Keys.LogSign, signingID(sign), born.Origin, born.Key))
	}
	reader, err := netlog.OpenReader(netlog.ReaderOptions{Dir: dir, SealKey: seal})
	switch {
	case errors.Is(err, atrest.ErrKey):
		wrong = append(wrong, fmt.Errorf("keys.log_seal: %s holds key %s: the seal key is not the file's in %s", c.Keys.LogSeal,
			keyfile.ID(keyfile.LogSeal, seal), dir))
	case err != nil:
		wrong = append(wrong, err)
	default:
		wrong = append(wrong, reader.Close())
	}
	return wrong
}

// signingID is the id that `heyan key status` shows of a signing key.
func signingID(key ed25519.PrivateKey) string { return keyfile.ID(keyfile.LogSign, key.Seed()) }
