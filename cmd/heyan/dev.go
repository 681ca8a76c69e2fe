package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/heyan-project/heyan/cmd/heyan/internal/bootstrap"
	"github.com/heyan-project/heyan/cmd/heyan/internal/dial"
	"github.com/heyan-project/heyan/cmd/heyan/internal/keyfile"
	"github.com/heyan-project/heyan/cmd/heyan/internal/people"
	"github.com/heyan-project/heyan/cmd/heyan/internal/profile"
	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
)

// devClient is the client of a development server; its API key stands in devKeyFile.
const (
	devClient     = "dev-client"
	devKeyFile    = "dev-client.key"
	devPeopleFile = "people.csv"
	devDataset    = "people"
	devSeed       = 20260101
)

// certificateProfile is how a person below home/certs connects.
func certificateProfile(home, address, id string) profile.Profile {
	certs := filepath.Join(home, "certs")
	return profile.Profile{
		Address: address, CAFile: filepath.Join(certs, "ca.pem"),
		CertFile: filepath.Join(certs, id+".pem"), KeyFile: filepath.Join(certs, id+".key"),
	}
}

// firstDev lays out a folder with the people of a development server.
func firstDev(ctx context.Context, a *app, home, listen, statusListen string) error {
	f := firstStart{
		dir: home, node: "dev", region: "cn", listen: listen, statusListen: statusListen, development: true,
		system: devSystem, security: devSecurity, audit: devAudit, hosts: []string{"localhost", "127.0.0.1", "::1"}, certificateLife: 90 * 24 * time.Hour,
	}
	_, err := f.run(ctx, a)
	return err
}

// lay makes the folder of a development server, unless there is one; fresh says that it still has to be
// furnished.
func (d *developmentServer) lay(ctx context.Context, a *app, home string) (fresh bool, err error) {
	err = firstDev(ctx, a, home, d.listen, d.statusListen)
	if errors.Is(err, bootstrap.ErrExists) {
		_, statErr := os.Stat(filepath.Join(home, sampleName))
		return errors.Is(statErr, os.ErrNotExist), nil
	}
	return true, err
}

// furnish gives a fresh development server a client, invented people, and files that the command line finds.
func (d *developmentServer) furnish(ctx context.Context, a *app, home, address string) error {
	c, err := openCrew(home, address)
	if err != nil {
		return err
	}
	defer c.close()
	t := tenant{id: devClient, detail: true, priceFen: 35}
	key, err := t.furnish(ctx, c)
	if err != nil {
		return fmt.Errorf("furnishing the client: %w", err)
	}
	if err := keyfile.Write(filepath.Join(home, devKeyFile), []byte(key+"\n")); err != nil {
		return err
	}
	if err := devProfiles(home, address); err != nil {
		return err
	}
	conn, err := dial.Open(profile.Layer{Profile: apiKeyProfile(home, address)}, buildVersion())
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := heyanv1.NewConsentServiceClient(conn).CreateNotice(ctx, fullNotice(devNotice, true)); err != nil {
		return err
	}
	if err := d.load(ctx, a, home, c); err != nil {
		return err
	}
	return writeSamples(home, d.people, a.Now())
}

// load imports invented people and has them activated by a second person.
func (d *developmentServer) load(ctx context.Context, a *app, home string, c *crew) error {
	csv := filepath.Join(home, devPeopleFile)
	if err := writePeople(csv, d.people, devSeed); err != nil {
		return err
	}
	generation, err := a.importDataset(ctx, home, csv)
	if err != nil {
		return err
	}
	_, err = heyanv1.NewAccessServiceClient(c.security).ActivateDataset(ctx, &heyanv1.ActivateDatasetRequest{Dataset: devDataset, Generation: generation})
	return err
}

// importDataset runs `heyan dataset import` as the system administrator of a folder.
func (a *app) importDataset(ctx context.Context, home, csv string) (generation int64, err error) {
	var out, errs bytes.Buffer
	code := a.within(ctx, home, nil, &out, &errs, "dataset", "import", "--profile", "system", "--dataset", devDataset,
		"--description", "invented people", "-o", "json", csv)
	if code != exitOK {
		return 0, fmt.Errorf("importing invented people: %s", strings.TrimSpace(errs.String()))
	}
	var summary struct {
		Generation json.Number `json:"generation"`
	}
	if err := json.Unmarshal(out.Bytes(), &summary); err != nil {
		return 0, err
	}
	return summary.Generation.Int64()
}

// within runs a command line of this program with the profiles of a folder.
func (a *app) within(ctx context.Context, home string, in io.Reader, out, errs io.Writer, args ...string) int {
	inner := a.streams
	inner.Out, inner.Err, inner.In = out, errs, in
	if in == nil {
		inner.In = strings.NewReader("")
	}
	inner.Env = func(name string) (string, bool) {
		switch {
		case name == "HEYAN_CONFIG_HOME":
			return home, true
		case strings.HasPrefix(name, "HEYAN_"):
			return "", false
		}
		return a.Env(name)
	}
	return run(ctx, args, inner)
}

func apiKeyProfile(home, address string) profile.Profile {
	return profile.Profile{Address: address, CAFile: filepath.Join(home, "certs", "ca.pem"), APIKeyFile: filepath.Join(home, devKeyFile)}
}

// devProfiles writes a profile for each role. Paths are relative to the file.
func devProfiles(home, address string) error {
	file := &profile.File{Default: "client", Profiles: map[string]profile.Profile{"client": apiKeyProfile("", address)}}
	for name, id := range map[string]string{"system": devSystem, "security": devSecurity, "audit": devAudit} {
		file.Profiles[name] = certificateProfile("", address, id)
	}
	return profile.Save(filepath.Join(home, profile.FileName), file)
}

// readdress makes the profiles of a development server that was laid out earlier name where it listens now. Profiles
// that a developer added stay as they are.
func readdress(home, address string) error {
	path := filepath.Join(home, profile.FileName)
	file, err := profile.Load(path)
	if err != nil {
		return err
	}
	changed := false
	for _, name := range []string{"client", "system", "security", "audit"} {
		p, ok := file.Profiles[name]
		if !ok || p.Address == address {
			continue
		}
		p.Address, changed = address, true
		file.Profiles[name] = p
	}
	if !changed {
		return nil
	}
	return profile.Save(path, file)
}

func writePeople(path string, n int, seed uint64) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(people.WriteCSV(f, n, seed, nil), f.Close())
}

// requestName is a whole request in proto JSON, for other tools.
const requestName = "sample-request.json"

// writeSamples writes one of the invented people for --sample, and a request about them.
func writeSamples(home string, n int, now time.Time) error {
	generator, err := people.New(devSeed, n)
	if err != nil {
		return err
	}
	cases, err := generator.Cases()
	if err != nil {
		return err
	}
	row := cases.Everything.Rows()[0]
	sample := map[string]any{"notice": devNotice, "purpose": "ACCOUNT_OPENING", "people": []map[string]string{sampleRow(row)}}
	request := map[string]any{
		"product": "id2", "fields": map[string]string{"name": row.Name, "id_number": row.ID}, "request_id": "sample-1",
		"consent": map[string]string{"notice": devNotice, "obtain_time": now.UTC().Format(time.RFC3339), "evidence_ref": "sample-agreement-1"},
	}
	// The request comes first: where the sample stands, the server is furnished.
	return errors.Join(writeJSON(filepath.Join(home, requestName), request), writeJSON(filepath.Join(home, sampleName), sample))
}

func sampleRow(r people.Row) map[string]string {
	return map[string]string{
		"name": r.Name, "id_number": r.ID, "phone_number": r.Phone, "bank_card_number": r.Card,
		"license_plate_number": r.Plate, "driver_license_number": r.Licence, "plate_kind": r.PlateKind,
	}
}

func writeJSON(path string, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o600)
}

// explain prints what to do with a development server.
func (d *developmentServer) explain(a *app, i *instance, home string) {
	client := filepath.Join(home, devKeyFile)
	fmt.Fprintf(a.Out, `Heyan runs for development on %s (metrics on http://%s/metrics). Paste in another terminal:

  heyan verify id2 --sample
  grpcurl -cacert %s -H "authorization: Bearer $(cat %s)" -d @ %s heyan.v1.VerificationService/Verify < %s
  heyan log tail --profile audit

Profiles in %s: client, system, security, audit. Interrupt to stop; %s keeps everything.
`, i.address(), i.statusAt.Addr(), filepath.Join(home, "certs", "ca.pem"), client, i.address(), filepath.Join(home, requestName),
		filepath.Join(home, profile.FileName), home)
}
