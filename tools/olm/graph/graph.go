// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package graph checks the upgrade graph of a file-based catalog. It finds errors that `opm validate` accepts, such as
// a version without an upgrade to a later one.
package graph

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/blang/semver/v4"
	"github.com/operator-framework/operator-registry/alpha/declcfg"
)

// MaxHops limits the number of upgrades from any version of a channel to its head. Within a major version, skipRange
// allows a single upgrade. From an earlier major version, the path goes through the last version of that major version.
const MaxHops = 2

// Check returns all errors in the channels of a catalog:
//
//   - a bundle in no channel, or an entry without a bundle or with a name other than <package>.v<version>;
//   - a package whose default channel doesn't exist;
//   - a channel with two entries of the same name;
//   - a channel without exactly one head, which is an entry that no other entry replaces;
//   - a channel whose head is deprecated, so that a new installation would be of that version;
//   - an entry that replaces one that isn't in the channel or isn't older, so that there are no loops;
//   - a skipRange other than ">=<version> <<version>", from a version of the package to the entry's own;
//   - an entry from which no path leads to the head, or only a path of more than MaxHops upgrades.
func Check(catalog *declcfg.DeclarativeConfig) error {
	var errs []error
	inChannel := map[string]bool{}
	for _, channel := range catalog.Channels {
		errs = append(errs, checkChannel(channel, catalog)...)
		for _, entry := range channel.Entries {
			inChannel[entry.Name] = true
		}
	}
	for _, bundle := range catalog.Bundles {
		if !inChannel[bundle.Name] {
			errs = append(errs, fmt.Errorf("bundle %s is in no channel", bundle.Name))
		}
	}
	for _, pkg := range catalog.Packages {
		isDefault := func(c declcfg.Channel) bool { return c.Package == pkg.Name && c.Name == pkg.DefaultChannel }
		if !slices.ContainsFunc(catalog.Channels, isDefault) {
			errs = append(errs, fmt.Errorf("package %s: no default channel %q", pkg.Name, pkg.DefaultChannel))
		}
	}
	return errors.Join(errs...)
}

// node is an entry of a channel.
type node struct {
	declcfg.ChannelEntry
	version semver.Version
}

// CheckReleased returns the errors of the channels with a prefix: each of their versions must be released. released
// reports whether a version is.
func CheckReleased(catalog *declcfg.DeclarativeConfig, prefix string, released func(semver.Version) bool) error {
	var errs []error
	for _, channel := range catalog.Channels {
		if !strings.HasPrefix(channel.Name, prefix) {
			continue
		}
		nodes, _ := nodesOf(channel, catalog.Bundles) // Check reports the errors.
		for _, n := range nodes {
			if !released(n.version) {
				errs = append(errs, fmt.Errorf("channel %s: %s isn't released", channel.Name, n.Name))
			}
		}
	}
	return errors.Join(errs...)
}

func checkChannel(channel declcfg.Channel, catalog *declcfg.DeclarativeConfig) []error {
	nodes, errs := nodesOf(channel, catalog.Bundles)
	for _, n := range nodes {
		if err := checkReplaces(n, nodes); err != nil {
			errs = append(errs, err)
		}
		if err := checkSkipRange(n, channel.Package, catalog.Bundles); err != nil {
			errs = append(errs, err)
		}
	}
	heads := headsOf(nodes)
	if len(heads) != 1 {
		errs = append(errs, fmt.Errorf("want one head, got %v", heads))
	}
	for _, head := range heads {
		if deprecated(catalog, channel.Package, head) {
			errs = append(errs, fmt.Errorf("the head %s is deprecated", head))
		}
	}
	if len(errs) == 0 { // Paths through a broken graph are meaningless.
		errs = checkPaths(nodes)
	}
	for i := range errs {
		errs[i] = fmt.Errorf("channel %s: %w", channel.Name, errs[i])
	}
	return errs
}

// nodesOf returns the entries of a channel with their versions. It omits entries whose names have no version.
func nodesOf(channel declcfg.Channel, bundles []declcfg.Bundle) (nodes []node, errs []error) {
	for _, entry := range channel.Entries {
		version, err := semver.Parse(strings.TrimPrefix(entry.Name, channel.Package+".v"))
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("%s: want a name %s.v<version>: %w", entry.Name, channel.Package, err))
		case slices.ContainsFunc(nodes, named(entry.Name)):
			errs = append(errs, fmt.Errorf("%s is in the channel twice", entry.Name))
		default:
			nodes = append(nodes, node{ChannelEntry: entry, version: version})
		}
		isEntry := func(b declcfg.Bundle) bool { return b.Package == channel.Package && b.Name == entry.Name }
		if !slices.ContainsFunc(bundles, isEntry) {
			errs = append(errs, fmt.Errorf("%s has no bundle", entry.Name))
		}
	}
	return nodes, errs
}

func named(name string) func(node) bool {
	return func(n node) bool { return n.Name == name }
}

func checkReplaces(n node, nodes []node) error {
	if n.Replaces == "" {
		return nil
	}
	i := slices.IndexFunc(nodes, named(n.Replaces))
	if i < 0 {
		return fmt.Errorf("%s replaces %s, which isn't in the channel", n.Name, n.Replaces)
	}
	if nodes[i].version.GE(n.version) {
		return fmt.Errorf("%s replaces %s, which isn't older", n.Name, n.Replaces)
	}
	return nil
}

// bounded matches a range between two versions.
var bounded = regexp.MustCompile(`^>=(\S+) <(\S+)$`)

func checkSkipRange(n node, pkg string, bundles []declcfg.Bundle) error {
	if n.SkipRange == "" {
		return nil
	}
	bounds := bounded.FindStringSubmatch(n.SkipRange)
	if bounds == nil {
		return fmt.Errorf(`%s: skipRange %q isn't ">=<version> <<version>"`, n.Name, n.SkipRange)
	}
	from, err := semver.Parse(bounds[1])
	if err != nil {
		return fmt.Errorf("%s: skipRange %q: %w", n.Name, n.SkipRange, err)
	}
	isFrom := func(b declcfg.Bundle) bool { return b.Package == pkg && b.Name == pkg+".v"+from.String() }
	if !slices.ContainsFunc(bundles, isFrom) || from.GE(n.version) {
		return fmt.Errorf("%s: skipRange %q doesn't begin with an older version of the package", n.Name, n.SkipRange)
	}
	if bounds[2] != n.version.String() {
		return fmt.Errorf("%s: skipRange %q doesn't end with the version itself", n.Name, n.SkipRange)
	}
	return nil
}

// headsOf returns the names of the entries that no other entry replaces or skips by name.
func headsOf(nodes []node) []string {
	var heads []string
	for _, n := range nodes {
		passed := func(other node) bool { return other.Replaces == n.Name || slices.Contains(other.Skips, n.Name) }
		if !slices.ContainsFunc(nodes, passed) {
			heads = append(heads, n.Name)
		}
	}
	return heads
}

// deprecated reports whether a bundle of a package is deprecated.
func deprecated(catalog *declcfg.DeclarativeConfig, pkg, bundle string) bool {
	isBundle := func(entry declcfg.DeprecationEntry) bool {
		return entry.Reference.Schema == declcfg.SchemaBundle && entry.Reference.Name == bundle
	}
	return slices.ContainsFunc(catalog.Deprecations, func(d declcfg.Deprecation) bool {
		return d.Package == pkg && slices.ContainsFunc(d.Entries, isBundle)
	})
}

// checkPaths counts the upgrades from each entry to the head. At each entry, OLM takes the upgrade to the latest
// version.
func checkPaths(nodes []node) (errs []error) {
	head := headsOf(nodes)[0]
	for _, n := range nodes {
		hops, at := 0, n
		for at.Name != head {
			next, found := step(at, nodes)
			if !found {
				errs = append(errs, fmt.Errorf("no path from %s to the head %s: no upgrade from %s", n.Name, head, at.Name))
				break
			}
			hops, at = hops+1, next
		}
		if hops > MaxHops {
			errs = append(errs, fmt.Errorf("the path from %s to the head %s has %d upgrades, more than %d",
				n.Name, head, hops, MaxHops))
		}
	}
	return errs
}

// step returns the latest version that one upgrade from an entry reaches.
func step(from node, nodes []node) (next node, found bool) {
	for _, n := range nodes {
		if upgrades(from, n) && (!found || n.version.GT(next.version)) {
			next, found = n, true
		}
	}
	return next, found
}

// upgrades reports whether one upgrade leads from an entry to another.
func upgrades(from, to node) bool {
	if to.Replaces == from.Name || slices.Contains(to.Skips, from.Name) {
		return true
	}
	inRange, err := semver.ParseRange(to.SkipRange)
	return err == nil && inRange(from.version)
}
