// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package hub checks a bundle by the rules that OperatorHub.io's repository of community operators has for a
// submission, as far as they need neither that repository nor a registry. operator-sdk checks the others, see
// make hub-validate. The rules are described by the operator-pipelines of that repository, under "Static checks".
package hub

import (
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/blang/semver/v4"
	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	"sigs.k8s.io/yaml"
)

// Bundle is what the rules look at.
type Bundle struct {
	CSV v1alpha1.ClusterServiceVersion

	// Annotations are those of metadata/annotations.yaml.
	Annotations map[string]string

	// Kinds are the kinds of all manifests.
	Kinds []string
}

// Read reads the bundle in a directory.
func Read(dir string) (*Bundle, error) {
	b := &Bundle{}
	var metadata struct {
		Annotations map[string]string `json:"annotations"`
	}
	if err := decode(filepath.Join(dir, "metadata", "annotations.yaml"), &metadata); err != nil {
		return nil, err
	}
	b.Annotations = metadata.Annotations
	files, err := filepath.Glob(filepath.Join(dir, "manifests", "*.yaml"))
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		var object struct {
			Kind string `json:"kind"`
		}
		if err := decode(file, &object); err != nil {
			return nil, err
		}
		b.Kinds = append(b.Kinds, object.Kind)
		if object.Kind == v1alpha1.ClusterServiceVersionKind {
			if err := decode(file, &b.CSV); err != nil {
				return nil, err
			}
		}
	}
	return b, nil
}

func decode(file string, into any) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if err := yaml.Unmarshal(text, into); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return nil
}

// Check returns an error for each rule that the bundle breaks. published reports whether users can have a version.
func Check(b *Bundle, published func(version semver.Version) bool) error {
	return errors.Join(checkNames(b), checkManifests(b), checkAnnotations(b), checkTexts(b), checkPeople(b),
		checkIcon(b), checkReplaces(b, published))
}

// The keys of a bundle's annotations.
const (
	packageKey        = "operators.operatorframework.io.bundle.package.v1"
	channelsKey       = "operators.operatorframework.io.bundle.channels.v1"
	defaultChannelKey = "operators.operatorframework.io.bundle.channel.default.v1"
)

// checkNames checks that the package, the version and the channels are named alike everywhere.
func checkNames(b *Bundle) error {
	var errs []error
	if want := b.Annotations[packageKey] + ".v" + b.CSV.Spec.Version.String(); b.CSV.Name != want {
		errs = append(errs, fmt.Errorf("the ClusterServiceVersion is %q; want %q", b.CSV.Name, want))
	}
	channels := strings.Split(b.Annotations[channelsKey], ",")
	if !slices.Contains(channels, b.Annotations[defaultChannelKey]) {
		errs = append(errs, fmt.Errorf("the default channel %q isn't one of %v", b.Annotations[defaultChannelKey], channels))
	}
	return errors.Join(errs...)
}

// checkManifests checks for one ClusterServiceVersion, and for none of the kinds that OLM can't install.
func checkManifests(b *Bundle) error {
	count := 0
	for _, kind := range b.Kinds {
		switch kind {
		case v1alpha1.ClusterServiceVersionKind:
			count++
		case "NetworkPolicy":
			return errors.New("OLM can't install the NetworkPolicy")
		}
	}
	if count != 1 {
		return fmt.Errorf("%d ClusterServiceVersions; want one", count)
	}
	return nil
}

// checkAnnotations checks the annotations that OperatorHub.io shows.
func checkAnnotations(b *Bundle) error {
	var errs []error
	for key, valid := range map[string]*regexp.Regexp{
		"capabilities":   regexp.MustCompile(`^(Basic Install|Seamless Upgrades|Full Lifecycle|Deep Insights|Auto Pilot)$`),
		"categories":     regexp.MustCompile(`.`), // operator-sdk knows the categories.
		"containerImage": regexp.MustCompile(`^[^/]+/[^/]+/[^/:]+:.+`),
		"repository":     regexp.MustCompile(`^https?://.`),
		"support":        regexp.MustCompile(`(?s)^.{3,}`),
		"alm-examples":   regexp.MustCompile(`(?s)^.{30,}`),
		"description":    regexp.MustCompile(`(?s)^.{10,}`),
	} {
		if value := b.CSV.Annotations[key]; !valid.MatchString(value) {
			errs = append(errs, fmt.Errorf("the annotation %s is %q", key, value))
		}
	}
	if _, err := time.Parse(time.RFC3339, b.CSV.Annotations["createdAt"]); err != nil {
		errs = append(errs, fmt.Errorf("the annotation createdAt: %w", err))
	}
	return errors.Join(errs...)
}

// checkTexts checks the lengths of texts, in characters.
func checkTexts(b *Bundle) error {
	spec := &b.CSV.Spec
	switch {
	case len([]rune(spec.DisplayName)) < 3 || len([]rune(spec.DisplayName)) > 50:
		return fmt.Errorf("displayName %q doesn't have 3 to 50 characters", spec.DisplayName)
	case len([]rune(spec.Description)) < 20:
		return errors.New("description has less than 20 characters")
	case len([]rune(spec.Provider.Name)) < 3:
		return errors.New("provider.name has less than 3 characters")
	case len(spec.Keywords) == 0:
		return errors.New("there are no keywords")
	case spec.MinKubeVersion == "":
		return errors.New("there is no minKubeVersion")
	}
	return nil
}

// checkPeople checks whom users can turn to, and where they can read more.
func checkPeople(b *Bundle) error {
	spec := &b.CSV.Spec
	if len(spec.Maintainers) == 0 || len(spec.Links) == 0 {
		return fmt.Errorf("%d maintainers and %d links; want one of each at least", len(spec.Maintainers), len(spec.Links))
	}
	for _, maintainer := range spec.Maintainers {
		if maintainer.Name == "" || maintainer.Email == "" {
			return fmt.Errorf("the maintainer %+v lacks a name or an address", maintainer)
		}
	}
	for _, link := range spec.Links {
		if link.Name == "" || link.URL == "" {
			return fmt.Errorf("the link %+v lacks a name or a URL", link)
		}
	}
	return nil
}

// checkIcon checks that there is an icon that browsers can show.
func checkIcon(b *Bundle) error {
	types := []string{"image/png", "image/jpeg", "image/gif", "image/svg+xml"}
	if len(b.CSV.Spec.Icon) == 0 {
		return errors.New("there is no icon")
	}
	for _, icon := range b.CSV.Spec.Icon {
		if image, err := base64.StdEncoding.DecodeString(icon.Data); err != nil || len(image) == 0 {
			return errors.New("the icon isn't base64")
		}
		if !slices.Contains(types, icon.MediaType) {
			return fmt.Errorf("the icon is of type %q; want one of %v", icon.MediaType, types)
		}
	}
	return nil
}

// checkReplaces checks that the version before is one that users can have.
func checkReplaces(b *Bundle, published func(semver.Version) bool) error {
	replaces := b.CSV.Spec.Replaces
	if replaces == "" {
		return nil
	}
	name, version, found := strings.Cut(replaces, ".v")
	parsed, err := semver.Parse(version)
	if !found || err != nil || name != b.Annotations[packageKey] {
		return fmt.Errorf("replaces %q, which isn't a version of this package", replaces)
	}
	if !published(parsed) || parsed.GTE(b.CSV.Spec.Version.Version) {
		return fmt.Errorf("replaces %s, which users can't have", replaces)
	}
	return nil
}
