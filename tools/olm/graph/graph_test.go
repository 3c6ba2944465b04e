// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package graph

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/blang/semver/v4"
	"github.com/operator-framework/operator-registry/alpha/declcfg"
)

// TestCatalog checks the catalog of this repository. Stable channels hold versions only that are frozen and that users
// may install.
func TestCatalog(t *testing.T) {
	root := filepath.Join("..", "..", "..")
	catalog, err := declcfg.LoadFS(t.Context(), os.DirFS(filepath.Join(root, "catalog")))
	if err != nil {
		t.Fatal(err)
	}
	if len(catalog.Bundles) < 2 || len(catalog.Channels) < 1 || len(catalog.Deprecations) < 1 {
		t.Errorf("%d bundles, %d channels, %d deprecations; want two, one and one at least",
			len(catalog.Bundles), len(catalog.Channels), len(catalog.Deprecations))
	}
	if err := Check(catalog); err != nil {
		t.Error(err)
	}
	released := func(version semver.Version) bool {
		_, err := os.Stat(filepath.Join(root, "releases", version.String()))
		return err == nil && !deprecated(catalog, "lws-operator", "lws-operator.v"+version.String())
	}
	if err := CheckReleased(catalog, "stable-", released); err != nil {
		t.Error(err)
	}
}

func TestCheckReleased(t *testing.T) {
	const entries = "- {name: a.v1.0.0}\n- {name: a.v1.1.0, replaces: a.v1.0.0}\n"
	released := func(version semver.Version) bool { return version.Minor == 0 }
	checkError(t, CheckReleased(parse(t, "stable", entries), "stable", released), "stable: a.v1.1.0 isn't released")
	checkError(t, CheckReleased(parse(t, "candidate", entries), "stable", released), "")
}

func TestCheckDeprecatedHead(t *testing.T) {
	const entries = "- {name: a.v1.0.0}\n- {name: a.v1.1.0, replaces: a.v1.0.0}\n"
	const deprecation = "---\n{schema: olm.deprecations, package: a, entries: " +
		"[{reference: {schema: olm.bundle, name: a.v%s}, message: old}]}\n"
	rest := "- {name: a.v1.2.0, replaces: a.v1.1.0}\n- {name: a.v2.0.0, skips: [a.v1.0.0, a.v1.1.0, a.v1.2.0]}\n"
	all := entries + rest
	checkError(t, Check(parse(t, "stable", all+fmt.Sprintf(deprecation, "1.0.0"))), "")
	checkError(t, Check(parse(t, "stable", all+fmt.Sprintf(deprecation, "2.0.0"))), "the head a.v2.0.0 is deprecated")
}

func TestCheck(t *testing.T) {
	const chain = `- {name: a.v1.0.0}
- {name: a.v1.1.0, replaces: a.v1.0.0, skipRange: ">=1.0.0 <1.1.0"}
- {name: a.v1.2.0, replaces: a.v1.1.0, skipRange: ">=1.0.0 <1.2.0"}
- {name: a.v2.0.0, replaces: a.v1.2.0}
`
	for name, test := range map[string]struct {
		from, to string // a replacement in the chain
		want     string // part of the error; no error if empty
	}{
		"valid":                       {},
		"skips in place of skipRange": {from: `skipRange: ">=1.0.0 <1.2.0"`, to: "skips: [a.v1.0.0]"},
		"replaces nothing there": {from: "replaces: a.v1.1.0", to: "replaces: a.v1.1.1",
			want: "a.v1.1.1, which isn't in the channel"},
		"replaces itself": {from: "replaces: a.v1.1.0", to: "replaces: a.v1.2.0",
			want: "a.v1.2.0, which isn't older"},
		"loop": {from: "{name: a.v1.0.0}", to: "{name: a.v1.0.0, replaces: a.v1.1.0}",
			want: "a.v1.1.0, which isn't older"},
		"two heads": {from: "replaces: a.v1.1.0, ", to: "replaces: a.v1.0.0, ",
			want: "want one head, got [a.v1.1.0 a.v2.0.0]"},
		"unbounded below": {from: ">=1.0.0 <1.2.0", to: "<1.2.0", want: `skipRange "<1.2.0" isn't`},
		"unbounded above": {from: ">=1.0.0 <1.2.0", to: ">=1.0.0", want: `skipRange ">=1.0.0" isn't`},
		"from no version": {from: ">=1.0.0 <1.2.0", to: ">=1 <1.2.0",
			want: "No Major.Minor.Patch elements found"},
		"from an unknown version": {from: ">=1.0.0 <1.2.0", to: ">=0.1.0 <1.2.0",
			want: "doesn't begin with an older version of the package"},
		"up to another version": {from: ">=1.0.0 <1.2.0", to: ">=1.0.0 <1.3.0",
			want: "doesn't end with the version itself"},
		"too far": {from: `, skipRange: ">=1.0.0 <1.2.0"`,
			want: "the path from a.v1.0.0 to the head a.v2.0.0 has 3 upgrades, more than 2"},
		"twice": {from: "- {name: a.v1.0.0}", to: "- {name: a.v1.0.0}\n- {name: a.v1.0.0}",
			want: "a.v1.0.0 is in the channel twice"},
		"no version": {from: "{name: a.v1.0.0}", to: "{name: a.vOne}",
			want: "a.vOne: want a name a.v<version>"},
		"no bundle":     {from: "a.v2.0.0", to: "a.v2.0.1", want: "a.v2.0.1 has no bundle"},
		"in no channel": {from: "a.v2.0.0", to: "a.v2.0.1", want: "bundle a.v2.0.0 is in no channel"},
	} {
		t.Run(name, func(t *testing.T) {
			changed := strings.Replace(chain, test.from, test.to, 1)
			if test.want != "" && changed == chain {
				t.Fatalf("%q isn't in the channel", test.from)
			}
			checkError(t, Check(parse(t, "stable", changed)), test.want)
		})
	}
}

func TestCheckDefaultChannel(t *testing.T) {
	checkError(t, Check(parse(t, "other", "- {name: a.v1.0.0}\n")), `package a: no default channel "stable"`)
}

// parse returns a catalog of the package a. Its default channel is stable, it has bundles of four versions, and one
// channel with these entries.
func parse(t *testing.T, channel, entries string) *declcfg.DeclarativeConfig {
	t.Helper()
	var text strings.Builder
	text.WriteString("---\n{schema: olm.package, name: a, defaultChannel: stable}\n")
	for _, version := range []string{"1.0.0", "1.1.0", "1.2.0", "2.0.0"} {
		fmt.Fprintf(&text, "---\n{schema: olm.bundle, package: a, name: a.v%[1]s, image: example.com/a:v%[1]s}\n", version)
	}
	fmt.Fprintf(&text, "---\nschema: olm.channel\npackage: a\nname: %s\nentries:\n%s", channel, entries)
	catalog, err := declcfg.LoadReader(strings.NewReader(text.String()))
	if err != nil {
		t.Fatal(err)
	}
	return catalog
}

// checkError checks that the error contains the text, or that there is no error if the text is empty.
func checkError(t *testing.T, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Errorf("got %v; want no error", err)
	case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
		t.Errorf("got %v; want an error with %q", err, want)
	}
}
