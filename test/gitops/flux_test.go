// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package gitops

import (
	"testing"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/ext"
	"sigs.k8s.io/yaml"
)

// healthChecks are spec.healthCheckExprs of a Flux Kustomization, for one kind.
type healthChecks struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	InProgress string `json:"inProgress"`
	Failed     string `json:"failed"`
	Current    string `json:"current"`
}

func readHealthChecks(t *testing.T) healthChecks {
	t.Helper()
	var kustomization struct {
		Spec struct {
			HealthCheckExprs []healthChecks `json:"healthCheckExprs"`
		} `json:"spec"`
	}
	text := read(t, "../../config/gitops/flux/kustomization.yaml")
	if err := yaml.Unmarshal([]byte(text), &kustomization); err != nil {
		t.Fatal(err)
	}
	all := kustomization.Spec.HealthCheckExprs
	if len(all) != 1 || all[0].APIVersion != "leaderworkerset.x-k8s.io/v1" || all[0].Kind != "LeaderWorkerSet" {
		t.Fatalf("health checks are %+v, want those of LeaderWorkerSets", all)
	}
	return all[0]
}

// fluxHealth evaluates the expressions as Flux does, from its RFC 0009: an unobserved generation is InProgress,
// then the first expression counts that is true. With an error, Flux doesn't know, and goes on waiting.
func fluxHealth(t *testing.T, checks healthChecks, object map[string]any) string {
	t.Helper()
	if status, ok := object["status"].(map[string]any); ok {
		metadata, _ := object["metadata"].(map[string]any)
		if observed, ok := status["observedGeneration"].(int64); ok && observed != metadata["generation"] {
			return "InProgress"
		}
	}
	for _, check := range []struct{ expression, verdict string }{
		{checks.InProgress, "InProgress"}, {checks.Failed, "Failed"}, {checks.Current, "Current"},
	} {
		switch holds, err := evaluate(t, check.expression, object); {
		case err != nil:
			return "Unknown"
		case holds:
			return check.verdict
		}
	}
	return "InProgress"
}

// evaluate evaluates an expression. Like Flux, it parses the expression and doesn't check types, which no schema gives.
func evaluate(t *testing.T, expression string, object map[string]any) (bool, error) {
	t.Helper()
	env, err := cel.NewEnv(
		cel.HomogeneousAggregateLiterals(), cel.EagerlyValidateDeclarations(true), cel.DefaultUTCTimeZone(true),
		cel.CrossTypeNumericComparisons(true), cel.OptionalTypes(), ext.Strings(), ext.Sets(), ext.Encoders(),
	)
	if err != nil {
		t.Fatal(err)
	}
	parsed, issues := env.Parse(expression)
	if issues.Err() != nil {
		t.Fatal(issues.Err())
	}
	program, err := env.Program(parsed)
	if err != nil {
		t.Fatal(err)
	}
	result, _, err := program.Eval(object)
	if err != nil {
		return false, err
	}
	holds, isBool := result.Value().(bool)
	if !isBool {
		t.Fatalf("%q gives %v, want a bool", expression, result)
	}
	return holds, nil
}
