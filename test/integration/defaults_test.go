// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// TestDefaults checks the defaults that the API documents. The webhooks add no further defaults.
func TestDefaults(t *testing.T) {
	const want = `
replicas: 1
startupPolicy: LeaderCreated
networkConfig: {subdomainPolicy: Shared}
revisionHistoryLimit: 10
rolloutStrategy:
  type: RollingUpdate
  rollingUpdateConfiguration: {partition: 0, maxUnavailable: 1, maxSurge: 0}
leaderWorkerTemplate:
  size: 1
  restartPolicy: RecreateGroupOnPodRestart
  workerTemplate: {spec: {containers: [{name: server, image: registry.k8s.io/pause:3.10}]}}
`
	for _, m := range bothModes {
		t.Run("webhooks "+string(m), func(t *testing.T) {
			t.Parallel()
			namespace := newNamespace(t, m)
			got := create(t, namespace, "minimal", `{}`).Object["spec"]
			if diff := cmp.Diff(parse(t, want), normalized(t, got)); diff != "" {
				t.Errorf("spec of a minimal set (-want +got):\n%s", diff)
			}
		})
	}
}

// TestSchemaDefaultsMatchCode compares the schema's defaults with those of the code, for specs that leave out different
// fields.
func TestSchemaDefaultsMatchCode(t *testing.T) {
	specs := map[string]string{
		"nothing": `{}`,
		"nulls": `{replicas: null, startupPolicy: null, networkConfig: null, ` +
			`revisionHistoryLimit: null}`,
		"no replicas":                   `{replicas: 0}`,
		"no history":                    `{revisionHistoryLimit: 0}`,
		"size":                          `{leaderWorkerTemplate: {size: 4}}`,
		"empty-network-config":          `{networkConfig: {}}`,
		"empty-rollout-strategy":        `{rolloutStrategy: {}}`,
		"rollout-strategy-type":         `{rolloutStrategy: {type: RollingUpdate}}`,
		"empty-configuration":           `{rolloutStrategy: {rollingUpdateConfiguration: {}}}`,
		"only-partition":                `{rolloutStrategy: {rollingUpdateConfiguration: {partition: 3}}}`,
		"only-max-surge":                `{rolloutStrategy: {rollingUpdateConfiguration: {maxSurge: 30%}}}`,
		"only-max-unavailable":          `{rolloutStrategy: {rollingUpdateConfiguration: {maxUnavailable: 2}}}`,
		"sub-group-policy-without-type": `{leaderWorkerTemplate: {size: 4, subGroupPolicy: {subGroupSize: 2}}}`,
		"claim-retention-in-part": `{leaderWorkerTemplate: {` +
			`persistentVolumeClaimRetentionPolicy: {whenScaled: Delete}}}`,
	}
	for _, m := range bothModes {
		t.Run("webhooks "+string(m), func(t *testing.T) {
			t.Parallel()
			namespace := newNamespace(t, m)
			for name, spec := range specs {
				t.Run(name, func(t *testing.T) {
					manifest := newSet(t, namespace, "set", spec)
					var want, got leaderworkersetv1.LeaderWorkerSet
					convert(t, manifest, &want)
					want.Default()
					if err := suite.client.Create(t.Context(), manifest, dryRun); err != nil {
						t.Fatal(err)
					}
					convert(t, manifest, &got)
					if diff := cmp.Diff(want.Spec, got.Spec); diff != "" {
						t.Errorf("with webhooks %s (-code +API server):\n%s", m, diff)
					}
				})
			}
		})
	}
}

// TestDeprecatedRestartPolicy checks the only default that replaces a value: the schema accepts the deprecated value,
// and the webhook replaces it.
func TestDeprecatedRestartPolicy(t *testing.T) {
	for _, m := range bothModes {
		t.Run("webhooks "+string(m), func(t *testing.T) {
			t.Parallel()
			namespace := newNamespace(t, m)
			want := map[mode]leaderworkersetv1.RestartPolicyType{webhooksOff: "Default", webhooksOn: "None"}[m]
			set := create(t, namespace, "created", `{leaderWorkerTemplate: {restartPolicy: Default}}`)
			if got := read(t, set).Spec.LeaderWorkerTemplate.RestartPolicy; got != want {
				t.Errorf("restartPolicy of a new set: %s; want %s", got, want)
			}
			set = create(t, namespace, "updated", `{}`)
			if err := edit(t, set, `{leaderWorkerTemplate: {restartPolicy: Default}}`); err != nil {
				t.Fatal(err)
			}
			if got := read(t, set).Spec.LeaderWorkerTemplate.RestartPolicy; got != want {
				t.Errorf("restartPolicy of an updated set: %s; want %s", got, want)
			}
		})
	}
}
