package main

import (
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/heyan-project/heyan/cmd/heyan/internal/output"
)

// version is set by a release build: -ldflags "-X main.version=v1.2.3".
var version = ""

// buildVersion is the release, else what the Go toolchain recorded, else "devel".
func buildVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "devel"
}

// build is what `heyan version` prints.
type build struct {
	Version  string `json:"version"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
	Revision string `json:"revision,omitempty"`
	Time     string `json:"time,omitempty"`
	Modified bool   `json:"modified"`
}

func readBuild() build {
	b := build{Version: buildVersion(), Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	for _, setting := range info.Settings {
		switch setting.Key {
		case "vcs.revision":
			b.Revision = setting.Value
		case "vcs.time":
			b.Time = setting.Value
		case "vcs.modified":
			b.Modified = setting.Value == "true"
		}
	}
	return b
}

func versionCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print what was built, from what",
		Example: "  heyan version -o json",
		Args:    arguments(),
		RunE: func(*cobra.Command, []string) error {
			b := readBuild()
			if a.json() {
				return output.Value(a.Out, b)
			}
			table := output.NewTable()
			table.Row("heyan", b.Version)
			table.Row("go", b.Go)
			table.Row("platform", b.Platform)
			if b.Revision != "" {
				table.Row("revision", b.Revision)
				table.Row("time", b.Time)
				table.Row("modified", mark(b.Modified))
			}
			_, err := table.WriteTo(a.Out)
			return err
		},
	}
}
