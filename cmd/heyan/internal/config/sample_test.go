package config

import (
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

const samples = "../../../../deploy/config/"

func sample(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(samples + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// members lists the members of a configuration by their names in the file.
func members(t reflect.Type, prefix string) []string {
	var names []string
	for i := range t.NumField() {
		tag := t.Field(i).Tag.Get("yaml")
		switch {
		case tag == "":
		case t.Field(i).Type.Kind() == reflect.Struct:
			names = append(names, members(t.Field(i).Type, prefix+tag+".")...)
		default:
			names = append(names, prefix+tag)
		}
	}
	return names
}

func mentioned(text map[string]any, prefix string) []string {
	var names []string
	for name, value := range text {
		if inner, ok := value.(map[string]any); ok {
			names = append(names, mentioned(inner, prefix+name+".")...)
		} else {
			names = append(names, prefix+name)
		}
	}
	return names
}

// The shipped sample is valid and names every member there is.
func TestSample(t *testing.T) {
	text := sample(t, "heyan.yaml")
	c, err := Parse([]byte(text), "/etc/heyan")
	if err != nil {
		t.Fatal(err)
	}
	if c.Keys.LogSign != "/etc/heyan/keys/log-sign.key" || !c.Production {
		t.Errorf("read as %+v", c)
	}
	var raw map[string]any
	if err := yaml.Unmarshal([]byte(text), &raw); err != nil {
		t.Fatal(err)
	}
	have, want := mentioned(raw, ""), members(reflect.TypeFor[Config](), "")
	slices.Sort(have)
	slices.Sort(want)
	if !slices.Equal(have, want) {
		t.Errorf("the sample names\n%q, want\n%q", have, want)
	}
}

// What the sample calls a default is the default.
func TestSampleDefaults(t *testing.T) {
	text := sample(t, "heyan.yaml")
	c, err := Parse([]byte(text), "/etc/heyan")
	if err != nil {
		t.Fatal(err)
	}
	d := Default()
	for name, pair := range map[string][2]any{
		"node": {c.Node, d.Node}, "listen": {c.Listen, d.Listen}, "status_listen": {c.StatusListen, d.StatusListen},
		"tls.min_version": {c.TLS.MinVersion, d.TLS.MinVersion}, "log": {c.Log, d.Log}, "limits": {c.Limits, d.Limits}, "runtime": {c.Runtime, d.Runtime},
		"reflection": {c.Reflection, d.Reflection},
	} {
		if fmt.Sprint(pair[0]) != fmt.Sprint(pair[1]) {
			t.Errorf("%s: the sample has %v, the default is %v", name, pair[0], pair[1])
		}
	}
	if len(c.TrustedProxies) != len(d.TrustedProxies) || len(c.Catalogue) != len(d.Catalogue) || len(c.CardPrefixes) != len(d.CardPrefixes) {
		t.Error("trusted_proxies, catalogue or card_prefixes is not empty")
	}
}

// Places for checkpoints, as the sample and both READMEs show them, are such.
func TestShownTargets(t *testing.T) {
	target := regexp.MustCompile(`(?m)^ +(?:#|-) +((?:file|syslog\+tls|https)://\S+)`)
	for _, name := range []string{"heyan.yaml", "../../README.md", "../docs/README.zh-CN.md"} {
		shown := target.FindAllStringSubmatch(sample(t, name), -1)
		if len(shown) != 3 {
			t.Errorf("%s shows %d", name, len(shown))
		}
		for _, line := range shown {
			c := Default()
			c.Log.CheckpointsTo = []string{line[1]}
			if _, err := c.Outside(); err != nil {
				t.Errorf("%s: %s: %v", name, line[1], err)
			}
		}
	}
}

func TestSampleCatalogue(t *testing.T) {
	text := strings.Replace(sample(t, "heyan.yaml"), "catalogue: []\n", sample(t, "catalogue.yaml"), 1)
	c, err := Parse([]byte(text), "/etc/heyan")
	if err != nil {
		t.Fatal(err)
	}
	products, err := c.Products()
	if err != nil {
		t.Fatal(err)
	}
	if len(products.All()) != 3 {
		t.Errorf("%d products", len(products.All()))
	}
}

func TestCardPrefixesAreChecked(t *testing.T) {
	text := strings.Replace(sample(t, "heyan.yaml"), "card_prefixes: []", "card_prefixes: [abcd]", 1)
	if _, err := Parse([]byte(text), "/etc/heyan"); err == nil || !strings.Contains(err.Error(), "card_prefixes") {
		t.Errorf("%v, want an error about card_prefixes", err)
	}
}
