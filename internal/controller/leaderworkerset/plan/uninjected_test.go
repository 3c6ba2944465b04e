// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// TestUninjectedPodsAreReported checks the plans of passes over a set with a leader that was created without the
// webhook: the first one reports it, and a later one recreates its group.
func TestUninjectedPodsAreReported(t *testing.T) {
	observed := settled(t, newSet())
	complete(observed)
	carryOut(observed, forSet(t, observed))
	observed.Groups[1].Uninjected = observed.Groups[1].Leader
	observed.Groups[1].Leader.CreationTimestamp = now

	planned := forSet(t, observed)
	const message = "group 1: pod llama-1 was created without the webhook; the group is recreated"
	failure := meta.FindStatusCondition(planned.Status.Conditions, leaderworkersetv1.ConditionReplicaFailure)
	if failure == nil || failure.Message != message || planned.Status.ReadyReplicas != 1 {
		t.Errorf("got condition %+v and %d ready groups, want %q and 1", failure, planned.Status.ReadyReplicas, message)
	}
	want := []leaderworkersetv1.UnreadyGroup{
		{Index: 1, Reason: leaderworkersetv1.UnreadyBlocked, Message: message, Since: now},
	}
	if diff := cmp.Diff(want, planned.Status.UnreadyGroups); diff != "" {
		t.Errorf("unready groups (-want +got):\n%s", diff)
	}
	if len(planned.Writes) > 0 || planned.RequeueAfter != 10*time.Second {
		t.Errorf("got writes %v, requeued after %s, want none, after 10 s", described(planned.Writes), planned.RequeueAfter)
	}

	carryOut(observed, planned)
	planned = at(t, observed, 10*time.Second)
	wantWrites := []string{"patch *v1.StatefulSet llama", "delete *v1.Pod llama-1"}
	if diff := cmp.Diff(wantWrites, described(planned.Writes)); diff != "" {
		t.Errorf("writes (-want +got):\n%s", diff)
	}
	wantRestarts(t, "a later pass", planned, "Recreating group 1: pod llama-1 was created without the webhook")

	observed.Groups[1].Leader.DeletionTimestamp = &now
	failures := forSet(t, observed).Status.Conditions
	if meta.FindStatusCondition(failures, leaderworkersetv1.ConditionReplicaFailure) != nil {
		t.Error("a pod that is deleted already is reported")
	}
}

// TestRolloutRestartIsUndone checks that a pass removes what kubectl rollout restart adds to the leader StatefulSet.
func TestRolloutRestartIsUndone(t *testing.T) {
	const restartedAt = "kubectl.kubernetes.io/restartedAt"
	observed := settled(t, newSet())
	before := observed.Leaders.Spec.Template.DeepCopy()
	metav1.SetMetaDataAnnotation(&observed.Leaders.Spec.Template.ObjectMeta, restartedAt, "now")
	planned := forSet(t, observed)
	if len(planned.Writes) != 1 {
		t.Fatalf("got writes %v, want one", described(planned.Writes))
	}
	if got, want := planned.Writes[0].Reason, "kubectl rollout restart is undone, as it knows no groups"; got != want {
		t.Errorf("got reason %q, want %q", got, want)
	}
	carryOut(observed, planned)
	if diff := cmp.Diff(*before, observed.Leaders.Spec.Template); diff != "" {
		t.Errorf("template (-want +got):\n%s", diff)
	}
	if again := forSet(t, observed).Writes; len(again) > 0 {
		t.Errorf("a second pass writes %v", described(again))
	}
}

// TestPlacementOfTheLeaders checks that the leader StatefulSet requests exclusive placement as the set does, and that
// its pod template does so as well.
func TestPlacementOfTheLeaders(t *testing.T) {
	const key = leaderworkersetv1.ExclusiveKeyAnnotationKey
	observed := settled(t, newSet())
	for _, request := range []map[string]string{{key: "rack"}, {}} {
		observed.LWS.Annotations = request
		carryOut(observed, forSet(t, observed))
		if got, found := observed.Leaders.Annotations[key]; !found || got != request[key] {
			t.Errorf("the leader StatefulSet requests %q (%t), want %q", got, found, request[key])
		}
		if got := observed.Leaders.Spec.Template.Annotations[key]; got != request[key] {
			t.Errorf("the pod template requests %q, want %q", got, request[key])
		}
		settle(observed)
	}
}
