// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package metrics_test

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	disaggregatedsetv1 "github.com/leaderworkerset/lws-operator/api/disaggregatedset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/apply"
)

// newDisaggregatedSet returns a set of two slices in a rollout. An autoscaler scales its role decode.
func newDisaggregatedSet(key types.NamespacedName) disaggregatedsetv1.DisaggregatedSet {
	set := disaggregatedsetv1.DisaggregatedSet{ObjectMeta: metav1.ObjectMeta{
		Namespace: key.Namespace, Name: key.Name, Generation: 3, CreationTimestamp: metav1.Unix(1000, 0),
	}}
	set.Spec.Slices = ptr.To[int32](2)
	set.Spec.Roles = []disaggregatedsetv1.DisaggregatedRoleSpec{
		{Name: "prefill"},
		{Name: "decode", Scaling: &disaggregatedsetv1.RoleScaling{Mode: disaggregatedsetv1.ExternalScaling}},
	}
	set.Spec.Roles[0].Spec.Replicas = ptr.To[int32](4)
	set.Spec.Roles[1].Spec.Replicas = ptr.To[int32](1)
	set.Status = disaggregatedsetv1.DisaggregatedSetStatus{
		ObservedGeneration: 2,
		RoleStatuses: []disaggregatedsetv1.RoleStatus{
			{Name: "prefill", Replicas: 9, ReadyReplicas: 7, UpdatedReplicas: 2},
			{Name: "decode", Replicas: 6, ReadyReplicas: 5, UpdatedReplicas: 1},
		},
		Conditions: []metav1.Condition{
			{Type: disaggregatedsetv1.ConditionProgressing, Status: metav1.ConditionTrue},
			{Type: disaggregatedsetv1.ConditionAvailable, Status: metav1.ConditionFalse},
			{
				Type: disaggregatedsetv1.ConditionUpdateInProgress, Status: metav1.ConditionTrue,
				LastTransitionTime: metav1.Unix(2000, 0),
			},
		},
	}
	return set
}

// newScaler returns the scaler of a role.
func newScaler(namespace, name string, replicas int32) disaggregatedsetv1.DisaggregatedSetRoleScaler {
	return disaggregatedsetv1.DisaggregatedSetRoleScaler{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec:       disaggregatedsetv1.DisaggregatedSetRoleScalerSpec{Replicas: replicas},
	}
}

// TestDisaggregatedSets compares the metrics of a DisaggregatedSet with what it asks for, what it has, and what has
// happened to it.
func TestDisaggregatedSets(t *testing.T) {
	served, registry := replicaWith(t, true, true, &cached{
		dsets: []disaggregatedsetv1.DisaggregatedSet{newDisaggregatedSet(theSet)},
		scalers: []disaggregatedsetv1.DisaggregatedSetRoleScaler{
			newScaler(theSet.Namespace, "llama-decode", 3), newScaler("other", "llama-decode", 8),
		},
	})
	dsets := served.DisaggregatedSets()
	dsets.Refused("leaderworkersets", apply.VerbCreate, "Forbidden")
	if text := scrape(t, registry); strings.Contains(text, "disaggregatedset_") {
		t.Errorf("the cache has no DisaggregatedSets yet, and there are metrics of them:\n%s", text)
	}
	dsets.Cached()
	const count = `disaggregatedset_rollout_duration_seconds_count{disaggregatedset="llama",namespace="default"} 0`
	if text := scrape(t, registry); !strings.Contains(text, count+"\n") {
		t.Errorf("the histogram doesn't begin at zero:\n%s", text)
	}
	dsets.RolledOut(theSet, 10*time.Minute)
	text := scrape(t, registry)
	const set = `disaggregatedset="llama",namespace="default"`
	for _, want := range []string{
		"disaggregatedset_spec_slices{" + set + "} 2",
		"disaggregatedset_spec_role_replicas{" + set + `,role="prefill"} 8`,
		"disaggregatedset_spec_role_replicas{" + set + `,role="decode"} 6`,
		"disaggregatedset_status_role_replicas{" + set + `,role="prefill"} 9`,
		"disaggregatedset_status_role_replicas_ready{" + set + `,role="prefill"} 7`,
		"disaggregatedset_status_role_replicas_updated{" + set + `,role="decode"} 1`,
		"disaggregatedset_metadata_generation{" + set + "} 3",
		"disaggregatedset_status_observed_generation{" + set + "} 2",
		"disaggregatedset_created_timestamp_seconds{" + set + "} 1000",
		"disaggregatedset_rollout_start_timestamp_seconds{" + set + "} 2000",
		`disaggregatedset_status_condition{condition="Progressing",` + set + "} 1",
		`disaggregatedset_status_condition{condition="Available",` + set + "} 0",
		`disaggregatedset_status_condition{condition="Stalled",` + set + "} 0",
		"disaggregatedset_rollout_duration_seconds_bucket{" + set + `,le="900"} 1`,
		"disaggregatedset_rollout_duration_seconds_sum{" + set + "} 600",
		`lws_operator_api_refusals_total{reason="Forbidden",resource="leaderworkersets",verb="create"} 1`,
	} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	if got := strings.Count("\n"+text, "\ndisaggregatedset_"); got != 20+2*4 {
		t.Errorf("%d series, want 20, and 4 for each of 2 roles", got)
	}
}

// TestForgetDisaggregatedSet deletes one of two sets. A histogram of all sets keeps what it has.
func TestForgetDisaggregatedSet(t *testing.T) {
	other := types.NamespacedName{Namespace: "default", Name: "other"}
	for _, tc := range []struct {
		perSet bool
		want   []string
	}{
		{true, []string{`disaggregatedset_rollout_duration_seconds_count{disaggregatedset="other",namespace="default"} 1`}},
		{false, []string{"disaggregatedset_rollout_duration_seconds_count 2"}},
	} {
		served, registry := replicaWith(t, true, tc.perSet, &cached{})
		dsets := served.DisaggregatedSets()
		dsets.Cached()
		dsets.RolledOut(theSet, time.Minute)
		dsets.RolledOut(other, time.Minute)
		dsets.Forget(theSet)
		text := scrape(t, registry)
		for _, want := range tc.want {
			if !strings.Contains(text, want+"\n") {
				t.Errorf("no %s in\n%s", want, text)
			}
		}
		if got := strings.Count(text, "disaggregatedset_rollout_duration_seconds_count"); got != 1 {
			t.Errorf("%d histograms", got)
		}
	}
}
