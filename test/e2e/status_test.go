// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// transitions counts how often each condition changed to True or False after its first value.
type transitions struct{ Available, Progressing, UpdateInProgress int }

// TestStatus checks each status that the operator writes while a set is created and scaled.
func TestStatus(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	versions := recordSets(t, namespace)
	lws := newSet(namespace, "state", 3, 3, readyAfter("500ms"))
	create(t, lws)
	untilAvailable(t, lws)
	versions.until(t, recordedAvailable(lws))
	untilEvents(t, lws, map[string]int{
		leaderworkersetv1.ReasonCreatingRevision:  1,
		leaderworkersetv1.ReasonGroupsProgressing: 1,
		leaderworkersetv1.ReasonAllGroupsReady:    1,
	})
	check(t, "transitions of a creation", transitions{Available: 1, Progressing: 1}, transitionsOf(t, versions))

	edit(t, lws, func(lws *leaderworkersetv1.LeaderWorkerSet) { lws.Spec.Replicas = ptr.To(int32(5)) })
	untilAvailable(t, lws)
	versions.until(t, recordedAvailable(lws))
	check(t, "transitions of a creation and scaling up", transitions{Available: 3, Progressing: 3},
		transitionsOf(t, versions))

	edit(t, lws, func(lws *leaderworkersetv1.LeaderWorkerSet) { lws.Spec.Replicas = ptr.To(int32(1)) })
	untilNamed(t, podsIn(namespace), podNames("state", 1, 3)...)
	untilAvailable(t, lws)
	versions.until(t, recordedAvailable(lws))
	check(t, "transitions with scaling down", transitions{Available: 3, Progressing: 3}, transitionsOf(t, versions))
	untilEvents(t, lws, map[string]int{
		leaderworkersetv1.ReasonCreatingRevision:  1,
		leaderworkersetv1.ReasonGroupsProgressing: 2,
		leaderworkersetv1.ReasonAllGroupsReady:    2,
	})
	t.Logf("%d versions of the set were written", len(versions.soFar(t)))
}

// TestFirstCreation checks that the first creation makes the desired groups, whatever the rollout strategy. It counts
// as no update.
func TestFirstCreation(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	versions, pods := recordSets(t, namespace), record[*corev1.Pod](t, namespace, &corev1.PodList{})
	lws := newSet(namespace, "first", 3, 2, readyAfter("500ms"), func(lws *leaderworkersetv1.LeaderWorkerSet) {
		lws.Spec.RolloutStrategy.RollingUpdateConfiguration = &leaderworkersetv1.RollingUpdateConfiguration{
			Partition: ptr.To(int32(2)), MaxSurge: ptr.To(intstr.FromInt32(2)),
		}
	})
	create(t, lws)
	untilAvailable(t, lws)
	versions.until(t, recordedAvailable(lws))
	check(t, "transitions", transitions{Available: 1, Progressing: 1}, transitionsOf(t, versions))
	check(t, "incarnations of the pods", each(podNames("first", 3, 2), 1), pods.incarnations(t))
}

// TestStatusWithoutGroups checks that a set with 0 replicas is available.
func TestStatusWithoutGroups(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	versions := recordSets(t, namespace)
	lws := newSet(namespace, "empty", 0, 3)
	create(t, lws)
	untilAvailable(t, lws)
	versions.until(t, recordedAvailable(lws))
	check(t, "transitions", transitions{}, transitionsOf(t, versions))
	untilEvents(t, lws, map[string]int{
		leaderworkersetv1.ReasonCreatingRevision: 1,
		leaderworkersetv1.ReasonAllGroupsReady:   1,
	})
}

func recordSets(t *testing.T, namespace string) *recording[*leaderworkersetv1.LeaderWorkerSet] {
	t.Helper()
	return record[*leaderworkersetv1.LeaderWorkerSet](t, namespace, &leaderworkersetv1.LeaderWorkerSetList{})
}

// recordedAvailable returns a check that the recording has reached the set's generation, as an available set.
func recordedAvailable(
	lws *leaderworkersetv1.LeaderWorkerSet,
) func(map[string]*leaderworkersetv1.LeaderWorkerSet) error {
	return func(state map[string]*leaderworkersetv1.LeaderWorkerSet) error {
		recorded := state[lws.Name]
		return unless(recorded != nil && recorded.Generation == lws.Generation && available(recorded),
			"the recording hasn't reached generation %d", lws.Generation)
	}
}

// transitionsOf counts the transitions of the only set in the recording. It checks each status by wrongStatus.
func transitionsOf(t *testing.T, versions *recording[*leaderworkersetv1.LeaderWorkerSet]) transitions {
	t.Helper()
	var count transitions
	var before leaderworkersetv1.LeaderWorkerSetStatus
	for _, change := range versions.soFar(t) {
		lws := change.object
		if len(lws.Status.Conditions) == 0 && len(before.Conditions) == 0 {
			continue // The operator hasn't written a status yet.
		}
		if err := wrongStatus(lws, &before); err != nil {
			t.Errorf("resourceVersion %s: %v; status %+v", lws.ResourceVersion, err, lws.Status)
		}
		for kind, counter := range map[string]*int{
			leaderworkersetv1.ConditionAvailable:        &count.Available,
			leaderworkersetv1.ConditionProgressing:      &count.Progressing,
			leaderworkersetv1.ConditionUpdateInProgress: &count.UpdateInProgress,
		} {
			previous := meta.FindStatusCondition(before.Conditions, kind)
			if previous != nil && !meta.IsStatusConditionPresentAndEqual(lws.Status.Conditions, kind, previous.Status) {
				*counter++
			}
		}
		before = lws.Status
	}
	return count
}

// wrongStatus returns an error if the status is inconsistent or contradicts the previous status.
func wrongStatus(lws *leaderworkersetv1.LeaderWorkerSet, before *leaderworkersetv1.LeaderWorkerSetStatus) error {
	status := &lws.Status
	isTrue := func(kind string) bool { return meta.IsStatusConditionTrue(status.Conditions, kind) }
	for _, kind := range []string{
		leaderworkersetv1.ConditionAvailable, leaderworkersetv1.ConditionProgressing,
		leaderworkersetv1.ConditionUpdateInProgress,
	} {
		condition := meta.FindStatusCondition(status.Conditions, kind)
		if condition == nil || condition.Status == metav1.ConditionUnknown ||
			condition.Reason == "" || condition.Message == "" {
			return fmt.Errorf("condition %s: %+v", kind, condition)
		}
		if condition.ObservedGeneration != status.ObservedGeneration {
			return fmt.Errorf("condition %s is of generation %d, the status of %d",
				kind, condition.ObservedGeneration, status.ObservedGeneration)
		}
	}
	switch {
	case isTrue(leaderworkersetv1.ConditionAvailable) == isTrue(leaderworkersetv1.ConditionProgressing):
		return errors.New("not exactly one of Available and Progressing is True")
	case status.ObservedGeneration < before.ObservedGeneration || status.ObservedGeneration > lws.Generation:
		return fmt.Errorf("observedGeneration changes from %d to %d at generation %d",
			before.ObservedGeneration, status.ObservedGeneration, lws.Generation)
	}
	return nil
}

// untilEvents waits until the events of the set have exactly these reasons, each this often.
func untilEvents(t *testing.T, lws *leaderworkersetv1.LeaderWorkerSet, want map[string]int) {
	t.Helper()
	eventually(t, func(ctx context.Context) error {
		got, err := eventCounts(ctx, lws)
		if err != nil {
			return err
		}
		return unless(cmp.Equal(want, got), "events (-want +got):\n%s", cmp.Diff(want, got))
	})
}
