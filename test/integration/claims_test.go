// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"testing"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// Claims in the form that most manifests have.
const (
	claim = `{metadata: {name: data}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}`

	selectedClaim = `{metadata: {name: data}, spec: {selector: {matchLabels: {a: b}}, accessModes: [ReadWriteOnce], ` +
		`resources: {requests: {storage: 1Gi}}}}`

	secondClaim = `{metadata: {name: logs}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}`
)

// withClaims returns a spec with a list of claims.
func withClaims(claims string) string {
	return `{leaderWorkerTemplate: {volumeClaimTemplates: [` + claims + `]}}`
}

// TestClaimsInOtherWords checks that the API server accepts claims that mean the same as before, in both directions.
func TestClaimsInOtherWords(t *testing.T) {
	tests := []struct{ name, before, after string }{
		{"empty status", claim, claim[:len(claim)-1] + `, status: {}}`},
		{"status", claim, claim[:len(claim)-1] + `, status: {phase: Pending}}`},
		{"type", claim, claim[:len(claim)-1] + `, apiVersion: v1, kind: PersistentVolumeClaim}`},
		{
			"unit", claim,
			`{metadata: {name: data}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1024Mi}}}}`,
		},
		{
			"number", claim,
			`{metadata: {name: data}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1073741824}}}}`,
		},
		{
			"default volumeMode", claim,
			`{metadata: {name: data}, spec: {accessModes: [ReadWriteOnce], volumeMode: Filesystem, ` +
				`resources: {requests: {storage: 1Gi}}}}`,
		},
		{
			"empty values", claim,
			`{metadata: {name: data, namespace: "", labels: {}, annotations: {}, finalizers: []}, ` +
				`spec: {accessModes: [ReadWriteOnce], volumeName: "", resources: {requests: {storage: 1Gi}, limits: {}}}}`,
		},
		{
			"empty selector terms", selectedClaim,
			`{metadata: {name: data}, spec: {selector: {matchLabels: {a: b}, matchExpressions: []}, ` +
				`accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}`,
		},
		{
			"all at once, twice", claim + `, ` + secondClaim,
			`{metadata: {name: data}, spec: {accessModes: [ReadWriteOnce], volumeMode: Filesystem, ` +
				`resources: {requests: {storage: 1024Mi}}}, status: {}}, ` + secondClaim[:len(secondClaim)-1] + `, status: {}}`,
		},
		{"empty list", ``, ``},
	}
	for _, m := range bothModes {
		t.Run("webhooks "+string(m), func(t *testing.T) {
			t.Parallel()
			namespace := newNamespace(t, m)
			for i, tc := range tests {
				t.Run(tc.name, func(t *testing.T) {
					set := create(t, namespace, nameOf(i), withClaims(tc.before))
					for _, claims := range []string{tc.after, tc.before} {
						if err := edit(t, set, withClaims(claims)); err != nil {
							t.Errorf("refused: %v", err)
						}
					}
				})
			}
			none := create(t, namespace, "none", `{}`)
			for _, spec := range []string{withClaims(``), `{leaderWorkerTemplate: {volumeClaimTemplates: null}}`} {
				if err := edit(t, none, spec); err != nil {
					t.Errorf("edit of a set without claims: %s: %v", spec, err)
				}
			}
		})
	}
}

// TestOtherClaims checks that the API server refuses claims that mean something else than before.
func TestOtherClaims(t *testing.T) {
	with := func(field string) string {
		return `{metadata: {name: data}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}, ` +
			field + `}}`
	}
	tests := []struct {
		name, before, after string
	}{
		{"volumeMode", claim, with(`volumeMode: Block`)},
		{"no storage class", claim, with(`storageClassName: ""`)},
		{"another storage class", with(`storageClassName: fast`), with(`storageClassName: slow`)},
		{"volumeAttributesClassName", claim, with(`volumeAttributesClassName: fast`)},
		{"dataSource", claim, with(`dataSource: {kind: PersistentVolumeClaim, name: a}`)},
		{"dataSourceRef", claim, with(`dataSourceRef: {kind: PersistentVolumeClaim, name: a}`)},
		{"volumeName", claim, with(`volumeName: a`)},
		{"empty selector", claim, with(`selector: {}`)},
		{"selector", selectedClaim, with(`selector: {matchLabels: {a: c}}`)},
		{"selector's expressions", selectedClaim, with(`selector: {matchExpressions: [{key: a, operator: Exists}]}`)},
		{
			"access modes", claim,
			`{metadata: {name: data}, spec: {accessModes: [ReadWriteMany], resources: {requests: {storage: 1Gi}}}}`,
		},
		{
			"limit", claim, `{metadata: {name: data}, spec: {accessModes: [ReadWriteOnce], ` +
				`resources: {requests: {storage: 1Gi}, limits: {storage: 1Gi}}}}`,
		},
		{"order", claim + `, ` + secondClaim, secondClaim + `, ` + claim},
		{"another claim", claim, claim + `, ` + secondClaim},
		{"one claim less", claim + `, ` + secondClaim, claim},
	}
	for _, m := range bothModes {
		t.Run("webhooks "+string(m), func(t *testing.T) {
			t.Parallel()
			namespace := newNamespace(t, m)
			for i, tc := range tests {
				t.Run(tc.name, func(t *testing.T) {
					err := edit(t, create(t, namespace, nameOf(i), withClaims(tc.before)), withClaims(tc.after))
					refusal{claimTemplates, "field is immutable"}.check(t, err)
				})
			}
		})
	}
}

// TestOtherQuantitiesOfClaims checks that the webhook refuses another quantity. A rule of the schema can't afford to
// parse quantities. While the webhook is unreachable, the API server refuses all edits.
func TestOtherQuantitiesOfClaims(t *testing.T) {
	t.Parallel()
	quantities := func(requests, limits string) string {
		return `{metadata: {name: data}, spec: {accessModes: [ReadWriteOnce], ` +
			`resources: {requests: {storage: ` + requests + `}, limits: {storage: ` + limits + `}}}}`
	}
	namespace := newNamespace(t, webhooksOn)
	set := create(t, namespace, "set", withClaims(quantities("1Gi", "2Gi")))
	for _, claims := range []string{
		quantities("2Gi", "2Gi"), quantities("1025Mi", "2Gi"), quantities("1G", "2Gi"), quantities("1Gi", "3Gi"),
	} {
		refusal{claimTemplates, "field is immutable"}.check(t, edit(t, set.DeepCopy(), withClaims(claims)))
	}
	switchTo(t, namespace, webhooksDown)
	if err := edit(t, set, withClaims(quantities("2Gi", "2Gi"))); err == nil {
		t.Error("accepted while the webhook is unreachable")
	}
}

// TestClaimsRewrittenByTheWebhook stores a set without webhooks. When the webhook then replaces a deprecated value, it
// writes empty fields into the claims as well. That is no change of the claims.
func TestClaimsRewrittenByTheWebhook(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t, webhooksOff)
	set := create(t, namespace, "set",
		`{leaderWorkerTemplate: {restartPolicy: Default, volumeClaimTemplates: [`+claim+`]}}`)
	switchTo(t, namespace, webhooksOn)
	if err := suite.client.Patch(t.Context(), set, merge(t, `metadata: {labels: {a: b}}`)); err != nil {
		t.Fatal(err)
	}
	if policy := read(t, set).Spec.LeaderWorkerTemplate.RestartPolicy; policy != leaderworkersetv1.NoneRestartPolicy {
		t.Errorf("restartPolicy is %s; want the webhook to replace it", policy)
	}
}
