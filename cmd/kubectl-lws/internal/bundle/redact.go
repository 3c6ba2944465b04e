// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"strings"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// redacted stands in the place of a value.
const redacted = "REDACTED"

// ownVariables are the environment variables that the operator sets.
var ownVariables = map[string]bool{
	leaderworkersetv1.LeaderAddressEnvVar: true, leaderworkersetv1.GroupSizeEnvVar: true,
	leaderworkersetv1.WorkerIndexEnvVar: true,
}

// redact replaces, everywhere below a value, what may be a secret: the values of environment variables, commands and
// their arguments, and annotations that are neither the operator's nor Kubernetes'. Names and messages stay.
func redact(value any) {
	switch v := value.(type) {
	case []any:
		for _, item := range v {
			redact(item)
		}
	case map[string]any:
		for key, child := range v {
			switch key {
			case "env":
				redactVariables(child)
			case "command", "args":
				redactList(child)
			case "annotations":
				redactAnnotations(child)
			default:
				redact(child)
			}
		}
	}
}

func redactVariables(list any) {
	variables, _ := list.([]any)
	for _, item := range variables {
		variable, ok := item.(map[string]any)
		name, _ := variable["name"].(string)
		if _, hasValue := variable["value"]; ok && hasValue && !ownVariables[name] {
			variable["value"] = redacted
		}
	}
}

func redactList(list any) {
	texts, ok := list.([]any)
	if !ok {
		redact(list)
		return
	}
	for i := range texts {
		texts[i] = redacted
	}
}

// keptAnnotations are prefixes of annotations whose values are no secrets. kubectl's copy of a manifest isn't kept.
var keptAnnotations = []string{
	leaderworkersetv1.MetadataPrefix, "kubernetes.io/change-cause",
	"kubectl.kubernetes.io/restartedAt",
}

func redactAnnotations(value any) {
	annotations, _ := value.(map[string]any)
	for key := range annotations {
		kept := false
		for _, prefix := range keptAnnotations {
			kept = kept || strings.HasPrefix(key, prefix)
		}
		if !kept {
			annotations[key] = redacted
		}
	}
}
