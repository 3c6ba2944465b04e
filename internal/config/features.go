// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/component-base/featuregate"
)

// features are the gates of the operator's features that can be turned on or off.
func features() map[featuregate.Feature]featuregate.FeatureSpec {
	return map[featuregate.Feature]featuregate.FeatureSpec{}
}

// newGate returns the feature gate with all features at their defaults.
func newGate(features map[featuregate.Feature]featuregate.FeatureSpec) (featuregate.MutableFeatureGate, error) {
	gate := featuregate.NewFeatureGate()
	return gate, gate.Add(features)
}

// validateGates returns the gates that are unknown, or that can't have their value.
func validateGates(
	gates map[string]bool, features map[featuregate.Feature]featuregate.FeatureSpec, path *field.Path,
) field.ErrorList {
	var mistakes field.ErrorList
	for _, name := range slices.Sorted(maps.Keys(gates)) {
		gate, err := newGate(features)
		if err == nil {
			err = gate.SetFromMap(map[string]bool{name: gates[name]})
		}
		if err != nil {
			mistakes = append(mistakes, field.Invalid(path.Key(name), gates[name], err.Error()))
		}
	}
	return mistakes
}
