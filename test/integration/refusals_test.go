// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"strings"
	"testing"
)

// Paths of fields in many refusals, and messages.
const (
	// root is the path that the API server reports for rules of the whole object. The messages of those rules contain
	// metadata.name.
	root = "<nil>"

	maxUnavailable  = "spec.rolloutStrategy.rollingUpdateConfiguration.maxUnavailable"
	maxSurge        = "spec.rolloutStrategy.rollingUpdateConfiguration.maxSurge"
	partition       = "spec.rolloutStrategy.rollingUpdateConfiguration.partition"
	size            = "spec.leaderWorkerTemplate.size"
	subGroupPolicy  = "spec.leaderWorkerTemplate.subGroupPolicy"
	subGroupSize    = "spec.leaderWorkerTemplate.subGroupPolicy.subGroupSize"
	claimTemplates  = "spec.leaderWorkerTemplate.volumeClaimTemplates"
	claimRetention  = "spec.leaderWorkerTemplate.persistentVolumeClaimRetentionPolicy"
	leaderTemplate  = "spec.leaderWorkerTemplate.leaderTemplate"
	workerTemplate  = "spec.leaderWorkerTemplate.workerTemplate"
	notDivisible    = "size - 1 must be divisible by it, or, with subGroupPolicyType LeaderWorker, size"
	neverUpdated    = "must not be 0 when maxSurge is 0 and there are replicas: nothing could ever be updated"
	badUnavailable  = "must be a number, 0 or greater, or a percentage from 0% to 100%"
	badSurge        = "must be a number, 0 or greater, or a percentage from 0% to 9999%"
	notInt32        = "must be of type integer with format int32 in "
	alwaysRestarted = "must be Always: pods of StatefulSets are restarted"
)

// TestRefusedSpecs checks specs that the schema and its rules refuse, with and without the webhooks.
func TestRefusedSpecs(t *testing.T) {
	tests := []struct {
		spec string
		want refusal
	}{
		{`{replicas: -1}`, refusal{"spec.replicas", "greater than or equal to 0"}},
		{`{replicas: 1000001}`, refusal{"spec.replicas", "less than or equal to 1000000"}},
		{
			`{replicas: 1000000, leaderWorkerTemplate: {size: 2148}}`,
			refusal{"spec.replicas", "the number of pods, must be no more than 2147483647"},
		},
		{`{revisionHistoryLimit: -1}`, refusal{"spec.revisionHistoryLimit", "greater than or equal to 0"}},
		{`{leaderWorkerTemplate: {size: 0}}`, refusal{size, "greater than or equal to 1"}},
		{`{leaderWorkerTemplate: {size: -1}}`, refusal{size, "greater than or equal to 1"}},

		{`{startupPolicy: LeaderFirst}`, refusal{"spec.startupPolicy", `supported values: "LeaderCreated", "LeaderReady"`}},
		{
			`{networkConfig: {subdomainPolicy: shared}}`,
			refusal{"spec.networkConfig.subdomainPolicy", `supported values: "Shared", "UniquePerReplica"`},
		},
		{
			`{leaderWorkerTemplate: {restartPolicy: Always}}`,
			refusal{
				"spec.leaderWorkerTemplate.restartPolicy",
				`supported values: "RecreateGroupOnPodRestart", "RecreateGroupAfterStart", "None"`,
			},
		},

		{`{rolloutStrategy: {type: Recreate}}`, refusal{"spec.rolloutStrategy.type", `supported values: "RollingUpdate"`}},
		{
			`{rolloutStrategy: {rollingUpdateConfiguration: {partition: -1}}}`, refusal{partition, "greater than or equal to 0"},
		},
		{`{rolloutStrategy: {rollingUpdateConfiguration: {maxUnavailable: -1}}}`, refusal{maxUnavailable, badUnavailable}},
		{`{rolloutStrategy: {rollingUpdateConfiguration: {maxUnavailable: 101%}}}`, refusal{maxUnavailable, badUnavailable}},
		{`{rolloutStrategy: {rollingUpdateConfiguration: {maxUnavailable: -1%}}}`, refusal{maxUnavailable, badUnavailable}},
		{`{rolloutStrategy: {rollingUpdateConfiguration: {maxUnavailable: "1"}}}`, refusal{maxUnavailable, badUnavailable}},
		{`{rolloutStrategy: {rollingUpdateConfiguration: {maxUnavailable: 1.5%}}}`, refusal{maxUnavailable, badUnavailable}},
		{`{rolloutStrategy: {rollingUpdateConfiguration: {maxUnavailable: "%"}}}`, refusal{maxUnavailable, badUnavailable}},
		{`{rolloutStrategy: {rollingUpdateConfiguration: {maxUnavailable: ""}}}`, refusal{maxUnavailable, badUnavailable}},
		{`{rolloutStrategy: {rollingUpdateConfiguration: {maxUnavailable: half}}}`, refusal{maxUnavailable, badUnavailable}},
		{
			`{rolloutStrategy: {rollingUpdateConfiguration: {maxUnavailable: one third of them}}}`,
			refusal{maxUnavailable, "may not be more than 5"},
		},
		{`{rolloutStrategy: {rollingUpdateConfiguration: {maxSurge: -1}}}`, refusal{maxSurge, badSurge}},
		{`{rolloutStrategy: {rollingUpdateConfiguration: {maxSurge: "1"}}}`, refusal{maxSurge, badSurge}},
		{`{rolloutStrategy: {rollingUpdateConfiguration: {maxSurge: -5%}}}`, refusal{maxSurge, badSurge}},
		{`{rolloutStrategy: {rollingUpdateConfiguration: {maxSurge: 10 %}}}`, refusal{maxSurge, badSurge}},
		{
			`{leaderWorkerTemplate: {size: 2}, rolloutStrategy: {rollingUpdateConfiguration: {maxSurge: half}}}`,
			refusal{maxSurge, badSurge},
		},
		{`{rolloutStrategy: {rollingUpdateConfiguration: {maxSurge: 10000%}}}`, refusal{maxSurge, "may not be more than 5"}},

		{`{rolloutStrategy: {rollingUpdateConfiguration: {maxUnavailable: 0}}}`, refusal{maxUnavailable, neverUpdated}},
		{`{rolloutStrategy: {rollingUpdateConfiguration: {maxUnavailable: 0%}}}`, refusal{maxUnavailable, neverUpdated}},
		{
			`{rolloutStrategy: {rollingUpdateConfiguration: {maxUnavailable: 0, maxSurge: 0}}}`,
			refusal{maxUnavailable, neverUpdated},
		},
		{
			`{rolloutStrategy: {rollingUpdateConfiguration: {maxUnavailable: 0, maxSurge: 0%}}}`,
			refusal{maxUnavailable, neverUpdated},
		},
		{
			`{replicas: 7, rolloutStrategy: {rollingUpdateConfiguration: {maxUnavailable: 0%, maxSurge: 0%}}}`,
			refusal{maxUnavailable, neverUpdated},
		},

		{`{leaderWorkerTemplate: {subGroupPolicy: {}}}`, refusal{subGroupSize, "Required value"}},
		{
			`{leaderWorkerTemplate: {subGroupPolicy: {subGroupPolicyType: LeaderExcluded}}}`,
			refusal{subGroupSize, "Required value"},
		},
		{
			`{leaderWorkerTemplate: {size: 4, subGroupPolicy: {subGroupSize: 0}}}`,
			refusal{subGroupSize, "greater than or equal to 1"},
		},
		{
			`{leaderWorkerTemplate: {size: 4, subGroupPolicy: {subGroupSize: -2}}}`,
			refusal{subGroupSize, "greater than or equal to 1"},
		},
		{
			`{leaderWorkerTemplate: {size: 4, subGroupPolicy: {subGroupSize: 5}}}`,
			refusal{subGroupSize, "must be no more than size"},
		},
		{`{leaderWorkerTemplate: {subGroupPolicy: {subGroupSize: 2}}}`, refusal{subGroupSize, "must be no more than size"}},
		{`{leaderWorkerTemplate: {size: 6, subGroupPolicy: {subGroupSize: 4}}}`, refusal{subGroupSize, notDivisible}},
		{
			`{leaderWorkerTemplate: {size: 4, subGroupPolicy: {subGroupSize: 2, subGroupPolicyType: LeaderExcluded}}}`,
			refusal{subGroupSize, notDivisible},
		},
		{
			`{leaderWorkerTemplate: {size: 4, subGroupPolicy: {subGroupSize: 4, subGroupPolicyType: LeaderExcluded}}}`,
			refusal{subGroupSize, notDivisible},
		},
		{
			`{leaderWorkerTemplate: {size: 4, subGroupPolicy: {subGroupSize: 2, subGroupPolicyType: WorkersOnly}}}`,
			refusal{subGroupPolicy + ".subGroupPolicyType", `supported values: "LeaderWorker", "LeaderExcluded"`},
		},

		{`{leaderWorkerTemplate: {workerTemplate: null}}`, refusal{workerTemplate, "Required value"}},
		{
			`{leaderWorkerTemplate: {workerTemplate: {spec: null}}}`,
			refusal{workerTemplate + ".spec.containers", "must have at least one container"},
		},
		{
			`{leaderWorkerTemplate: {workerTemplate: {spec: {containers: []}}}}`,
			refusal{workerTemplate + ".spec.containers", "must have at least one container"},
		},
		{
			`{leaderWorkerTemplate: {workerTemplate: {spec: {containers: null}}}}`,
			refusal{workerTemplate + ".spec.containers", "Required value"},
		},
		{
			`{leaderWorkerTemplate: {workerTemplate: {spec: {containers: ` +
				`[{name: a, image: a}, {name: b, image: a}, {name: a, image: a}]}}}}`,
			refusal{workerTemplate + ".spec.containers[2]", `Duplicate value: {"name":"a"}`},
		},
		{
			`{leaderWorkerTemplate: {leaderTemplate: {}}}`,
			refusal{leaderTemplate + ".spec.containers", "must have at least one container"},
		},
		{
			`{leaderWorkerTemplate: {leaderTemplate: {spec: {containers: []}}}}`,
			refusal{leaderTemplate + ".spec.containers", "must have at least one container"},
		},
		{
			`{leaderWorkerTemplate: {workerTemplate: {spec: {restartPolicy: Never}}}}`,
			refusal{workerTemplate + ".spec.restartPolicy", alwaysRestarted},
		},
		{
			`{leaderWorkerTemplate: {workerTemplate: {spec: {restartPolicy: OnFailure}}}}`,
			refusal{workerTemplate + ".spec.restartPolicy", alwaysRestarted},
		},
		{
			`{leaderWorkerTemplate: {leaderTemplate: {spec: {restartPolicy: Never, containers: [{name: a, image: a}]}}}}`,
			refusal{leaderTemplate + ".spec.restartPolicy", alwaysRestarted},
		},
		{
			`{leaderWorkerTemplate: {volumeClaimTemplates: [` + strings.Repeat(`{},`, 257) + `]}}`,
			refusal{claimTemplates, "must have at most 256 items"},
		},
		{
			`{leaderWorkerTemplate: {persistentVolumeClaimRetentionPolicy: {whenDeleted: Keep}}}`,
			refusal{claimRetention + ".whenDeleted", "must be Retain or Delete"},
		},
		{
			`{leaderWorkerTemplate: {persistentVolumeClaimRetentionPolicy: {whenScaled: ""}}}`,
			refusal{claimRetention + ".whenScaled", "must be Retain or Delete"},
		},
	}
	for _, m := range bothModes {
		t.Run("webhooks "+string(m), func(t *testing.T) {
			t.Parallel()
			namespace := newNamespace(t, m)
			for _, tc := range tests {
				t.Run(shortened(tc.spec), func(t *testing.T) {
					tc.want.check(t, suite.client.Create(t.Context(), newSet(t, namespace, "set", tc.spec), dryRun))
				})
			}
		})
	}
}

// TestRefusedUndecodableSpecs checks specs that the operator's types can't hold. The mutating webhook, which runs
// before the schema validation, can't decode them. It admits them, so that the schema refuses them and names the field.
func TestRefusedUndecodableSpecs(t *testing.T) {
	tests := []struct {
		spec string
		want refusal
	}{
		{`{replicas: 2147483648}`, refusal{"spec.replicas", "less than or equal to 1000000"}},
		{`{replicas: two}`, refusal{"spec.replicas", "must be of type integer"}},
		{`{leaderWorkerTemplate: {size: 2147483648}}`, refusal{root, notInt32 + size}},
		{
			`{rolloutStrategy: {rollingUpdateConfiguration: {partition: 2147483648}}}`, refusal{root, notInt32 + partition},
		},
		{
			`{rolloutStrategy: {rollingUpdateConfiguration: {maxUnavailable: 2147483648}}}`,
			refusal{maxUnavailable, badUnavailable},
		},
		{`{rolloutStrategy: {rollingUpdateConfiguration: {maxSurge: 2147483648}}}`, refusal{maxSurge, badSurge}},
		{
			`{rolloutStrategy: {rollingUpdateConfiguration: {maxSurge: true}}}`,
			refusal{maxSurge, "must be of type integer,string"},
		},
		{
			`{leaderWorkerTemplate: {size: 3, subGroupPolicy: {subGroupSize: 2147483648}}}`,
			refusal{root, notInt32 + subGroupSize},
		},
		{`{leaderWorkerTemplate: [1]}`, refusal{"spec.leaderWorkerTemplate", "must be of type object"}},
		{
			`{leaderWorkerTemplate: {workerTemplate: {spec: {containers: [{name: a, image: a, ` +
				`resources: {limits: {cpu: 4 cores}}}]}}}}`,
			refusal{workerTemplate + ".spec.containers[0].resources.limits.cpu", "should match"},
		},
		{
			`{leaderWorkerTemplate: {volumeClaimTemplates: [{spec: {resources: {requests: {storage: much}}}}]}}`,
			refusal{claimTemplates + "[0].spec.resources.requests.storage", "should match"},
		},
	}
	for _, m := range bothModes {
		t.Run("webhooks "+string(m), func(t *testing.T) {
			t.Parallel()
			namespace := newNamespace(t, m)
			for _, tc := range tests {
				t.Run(shortened(tc.spec), func(t *testing.T) {
					set := newSet(t, namespace, "set", tc.spec)
					if field, ok := strings.CutPrefix(tc.want.message, notInt32); ok && !checksInt32(t) {
						checkNotInt32(t, field, suite.client.Create(t.Context(), set, dryRun))
						return
					}
					tc.want.check(t, suite.client.Create(t.Context(), set, dryRun))
				})
			}
		})
	}
}

// checkNotInt32 checks the answer to a set with an integer that isn't an int32, from an API server that doesn't check
// the format. The bounds of the schema, or another rule, refuse the set and name the field.
func checkNotInt32(t *testing.T, field string, err error) {
	t.Helper()
	name := field[strings.LastIndex(field, ".")+1:]
	if err == nil || !strings.Contains(err.Error(), name) {
		t.Errorf("want a refusal that names %s, got %v", name, err)
	}
}

// TestAcceptedSpecs checks specs that are just within the rules, and unusual specs that are valid.
func TestAcceptedSpecs(t *testing.T) {
	specs := []string{
		`{replicas: 0}`,
		`{replicas: 1000000}`,
		`{replicas: 1000000, leaderWorkerTemplate: {size: 2147}}`,
		`{leaderWorkerTemplate: {size: 2147483647}}`,
		`{startupPolicy: LeaderReady}`,
		`{networkConfig: {subdomainPolicy: UniquePerReplica}}`,
		`{leaderWorkerTemplate: {restartPolicy: RecreateGroupOnPodRestart}}`,
		`{leaderWorkerTemplate: {restartPolicy: RecreateGroupAfterStart}}`,
		`{leaderWorkerTemplate: {restartPolicy: None}}`,
		`{leaderWorkerTemplate: {restartPolicy: Default}}`,
		`{rolloutStrategy: {rollingUpdateConfiguration: {partition: 2147483647}}}`,
		`{rolloutStrategy: {rollingUpdateConfiguration: {maxUnavailable: 2147483647, maxSurge: 2147483647}}}`,
		`{rolloutStrategy: {rollingUpdateConfiguration: {maxUnavailable: 100%, maxSurge: 9999%}}}`,
		`{rolloutStrategy: {rollingUpdateConfiguration: {maxUnavailable: 1%}}}`,
		`{rolloutStrategy: {rollingUpdateConfiguration: {maxUnavailable: 0, maxSurge: 1}}}`,
		`{rolloutStrategy: {rollingUpdateConfiguration: {maxUnavailable: 0%, maxSurge: 1%}}}`,
		`{replicas: 0, rolloutStrategy: {rollingUpdateConfiguration: {maxUnavailable: 0, maxSurge: 0%}}}`,
		`{leaderWorkerTemplate: {subGroupPolicy: {subGroupSize: 1}}}`,
		`{leaderWorkerTemplate: {size: 4, subGroupPolicy: {subGroupSize: 1}}}`,
		`{leaderWorkerTemplate: {size: 4, subGroupPolicy: {subGroupSize: 2}}}`,
		`{leaderWorkerTemplate: {size: 4, subGroupPolicy: {subGroupSize: 3}}}`,
		`{leaderWorkerTemplate: {size: 4, subGroupPolicy: {subGroupSize: 4}}}`,
		`{leaderWorkerTemplate: {size: 5, subGroupPolicy: {subGroupSize: 2, subGroupPolicyType: LeaderExcluded}}}`,
		`{leaderWorkerTemplate: {size: 5, subGroupPolicy: {subGroupSize: 1, subGroupPolicyType: LeaderExcluded}}}`,
		`{leaderWorkerTemplate: {workerTemplate: {spec: {restartPolicy: Always}}}}`,
		`{leaderWorkerTemplate: {volumeClaimTemplates: []}}`,
		`{leaderWorkerTemplate: {persistentVolumeClaimRetentionPolicy: {}}}`,
		`{leaderWorkerTemplate: {persistentVolumeClaimRetentionPolicy: {whenDeleted: Delete, whenScaled: Retain}}}`,
	}
	for _, m := range bothModes {
		t.Run("webhooks "+string(m), func(t *testing.T) {
			t.Parallel()
			namespace := newNamespace(t, m)
			for _, spec := range specs {
				t.Run(shortened(spec), func(t *testing.T) {
					if err := suite.client.Create(t.Context(), newSet(t, namespace, "set", spec), dryRun); err != nil {
						t.Error(err)
					}
				})
			}
		})
	}
}

// TestEdits checks which changes of a set the API server refuses.
func TestEdits(t *testing.T) {
	const (
		fixedSubGroups = "subGroupSize can't be changed, added or removed"
		fixedClaims    = "field is immutable"
		subGroups      = `{leaderWorkerTemplate: {size: 5, subGroupPolicy: {subGroupSize: 2}}}`
		claims         = `{leaderWorkerTemplate: {volumeClaimTemplates: [{metadata: {name: data, labels: {a: b}}, ` +
			`spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}]}}`
	)
	tests := []struct {
		name         string
		before, edit string
		want         *refusal // nil if the API server accepts the edit
	}{
		{"size", `{leaderWorkerTemplate: {size: 2}}`, `{leaderWorkerTemplate: {size: 7}}`, nil},
		{"size to 1", `{leaderWorkerTemplate: {size: 2}}`, `{leaderWorkerTemplate: {size: 1}}`, nil},
		{"replicas to 0", `{replicas: 3}`, `{replicas: 0}`, nil},
		{"replicas to null is 1", `{replicas: 3}`, `{replicas: null}`, nil},
		{"subdomainPolicy", `{}`, `{networkConfig: {subdomainPolicy: UniquePerReplica}}`, nil},
		{"subdomainPolicy back", `{networkConfig: {subdomainPolicy: UniquePerReplica}}`, `{networkConfig: null}`, nil},
		{"startupPolicy", `{}`, `{startupPolicy: LeaderReady}`, nil},
		{"restartPolicy", `{}`, `{leaderWorkerTemplate: {restartPolicy: None}}`, nil},
		{"template", `{}`, `{leaderWorkerTemplate: {workerTemplate: {spec: {hostNetwork: true}}}}`, nil},
		{
			"leaderTemplate added", `{}`,
			`{leaderWorkerTemplate: {leaderTemplate: {spec: {containers: [{name: a, image: a}]}}}}`, nil,
		},
		{
			"leaderTemplate removed", `{leaderWorkerTemplate: {leaderTemplate: {spec: {containers: [{name: a, image: a}]}}}}`,
			`{leaderWorkerTemplate: {leaderTemplate: null}}`, nil,
		},
		{
			"claim retention", `{}`, `{leaderWorkerTemplate: {persistentVolumeClaimRetentionPolicy: {whenScaled: Delete}}}`, nil,
		},
		{"partition", `{}`, `{rolloutStrategy: {rollingUpdateConfiguration: {partition: 9}}}`, nil},

		{"subgroups, same size", subGroups, `{leaderWorkerTemplate: {subGroupPolicy: {subGroupSize: 2}}}`, nil},
		{"subgroups, size of the group", subGroups, `{leaderWorkerTemplate: {size: 8}}`, nil},
		{"subgroups, type", subGroups, `{leaderWorkerTemplate: {subGroupPolicy: {subGroupPolicyType: LeaderExcluded}}}`, nil},
		{
			"subgroups, changed", subGroups, `{leaderWorkerTemplate: {subGroupPolicy: {subGroupSize: 4}}}`,
			&refusal{subGroupPolicy, fixedSubGroups},
		},
		{
			"subgroups, removed", subGroups, `{leaderWorkerTemplate: {subGroupPolicy: null}}`,
			&refusal{subGroupPolicy, fixedSubGroups},
		},
		{
			"subgroups, added", `{leaderWorkerTemplate: {size: 5}}`,
			`{leaderWorkerTemplate: {subGroupPolicy: {subGroupSize: 2}}}`, &refusal{subGroupPolicy, fixedSubGroups},
		},
		{
			"subgroups, a size that isn't divisible", subGroups,
			`{leaderWorkerTemplate: {size: 6, subGroupPolicy: {subGroupPolicyType: LeaderExcluded}}}`,
			&refusal{subGroupSize, notDivisible},
		},
		{
			"subgroups, too small a size", subGroups, `{leaderWorkerTemplate: {size: 1}}`,
			&refusal{subGroupSize, "must be no more than size"},
		},

		{"claims, no change", claims, claims, nil},
		{
			"claims, removed", claims, `{leaderWorkerTemplate: {volumeClaimTemplates: null}}`,
			&refusal{claimTemplates, fixedClaims},
		},
		{
			"claims, emptied", claims, `{leaderWorkerTemplate: {volumeClaimTemplates: []}}`,
			&refusal{claimTemplates, fixedClaims},
		},
		{"claims, added", `{}`, claims, &refusal{claimTemplates, fixedClaims}},
		{"claims, name", claims, strings.Replace(claims, "data", "cache", 1), &refusal{claimTemplates, fixedClaims}},
		{"claims, label", claims, strings.Replace(claims, "{a: b}", "{a: c}", 1), &refusal{claimTemplates, fixedClaims}},
		{
			"claims, annotation", claims, strings.Replace(claims, "labels: {a: b}", "labels: {a: b}, annotations: {a: b}", 1),
			&refusal{claimTemplates, fixedClaims},
		},
		{
			"claims, finalizer", claims,
			strings.Replace(claims, "labels: {a: b}", "labels: {a: b}, finalizers: [example.com/a]", 1),
			&refusal{claimTemplates, fixedClaims},
		},

		{
			"both bounds 0", `{replicas: 2}`, `{rolloutStrategy: {rollingUpdateConfiguration: {maxUnavailable: 0}}}`,
			&refusal{maxUnavailable, neverUpdated},
		},
		{
			"both bounds 0 without replicas", `{replicas: 0}`,
			`{rolloutStrategy: {rollingUpdateConfiguration: {maxUnavailable: 0}}}`, nil,
		},
		{
			"replicas where both bounds are 0",
			`{replicas: 0, rolloutStrategy: {rollingUpdateConfiguration: {maxUnavailable: 0}}}`, `{replicas: 1}`,
			&refusal{maxUnavailable, neverUpdated},
		},
	}
	for _, m := range bothModes {
		t.Run("webhooks "+string(m), func(t *testing.T) {
			t.Parallel()
			namespace := newNamespace(t, m)
			for i, tc := range tests {
				t.Run(tc.name, func(t *testing.T) {
					err := edit(t, create(t, namespace, nameOf(i), tc.before), tc.edit)
					switch {
					case tc.want != nil:
						tc.want.check(t, err)
					case err != nil:
						t.Errorf("refused: %v", err)
					}
				})
			}
		})
	}
}

// shortened shortens a spec to the name of a test.
func shortened(spec string) string {
	const limit = 100
	return strings.Trim(spec[:min(len(spec), limit)], "{}")
}
