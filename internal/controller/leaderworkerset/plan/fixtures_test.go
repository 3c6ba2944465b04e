// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/desired"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/identity"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/plan"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/revision"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/snapshot"
	"github.com/leaderworkerset/lws-operator/internal/controller/write"
)

var now = metav1.NewTime(time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC))

// newSet returns a LeaderWorkerSet of 2 groups of 2 pods.
func newSet() *leaderworkersetv1.LeaderWorkerSet {
	lws := &leaderworkersetv1.LeaderWorkerSet{
		ObjectMeta: metav1.ObjectMeta{Name: "llama", Namespace: "default", UID: "set", Generation: 1},
		Spec: leaderworkersetv1.LeaderWorkerSetSpec{
			Replicas: ptr.To[int32](2),
			LeaderWorkerTemplate: leaderworkersetv1.LeaderWorkerTemplate{
				Size: ptr.To[int32](2),
				WorkerTemplate: corev1.PodTemplateSpec{
					Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "serve:1"}}},
				},
			},
		},
	}
	lws.Default()
	return lws
}

// setImage changes the image of the set, which is another revision.
func setImage(lws *leaderworkersetv1.LeaderWorkerSet, image string) {
	lws.Spec.LeaderWorkerTemplate.WorkerTemplate.Spec.Containers[0].Image = image
}

// world is a set, its objects, and what the operator remembers of it.
type world struct {
	snapshot.Set

	memory plan.Memory
}

// forSet plans a pass.
func forSet(t *testing.T, observed *world) plan.Set {
	t.Helper()
	return at(t, observed, 0)
}

// at plans a pass after some time.
func at(t *testing.T, observed *world, after time.Duration) plan.Set {
	t.Helper()
	planned, err := planAt(observed, now.Add(after))
	if err != nil {
		t.Fatalf("ForSet: %v", err)
	}
	return planned
}

func planAt(observed *world, at time.Time) (plan.Set, error) {
	options := plan.DefaultOptions()
	return plan.ForSet(&observed.Set, &observed.memory, at, &options)
}

// carryOut changes the world as the API server and the reconciler do for a plan.
func carryOut(observed *world, planned plan.Set) {
	for _, planned := range planned.Writes {
		switch {
		case planned.Create != nil:
			planned.Create.SetUID(types.UID(planned.Create.GetName()))
			planned.Create.SetGeneration(1)
			store(observed, planned.Create)
		case planned.Patch != nil:
			planned.Patch.To.SetGeneration(planned.Patch.From.GetGeneration() + 1)
			store(observed, planned.Patch.To)
		}
		for _, object := range planned.Delete {
			remove(observed, object.GetName())
		}
	}
	observed.LWS.Status, observed.memory.Leaders = planned.Status, planned.Leaders
}

// carryOutUntilDeletions does what carryOut does, but the operator crashes before it deletes anything.
func carryOutUntilDeletions(observed *world, planned plan.Set) {
	planned.Writes = slices.DeleteFunc(slices.Clone(planned.Writes), func(w write.Write) bool { return len(w.Delete) > 0 })
	carryOut(observed, planned)
}

// store stores an object as the API server does.
func store(observed *world, object write.Object) {
	switch object := object.(type) {
	case *appsv1.StatefulSet:
		observed.Leaders = object
	case *corev1.Service:
		observed.Service = object
	case *appsv1.ControllerRevision:
		remove(observed, object.Name)
		observed.Revisions = append(observed.Revisions, object)
	}
}

// remove deletes the revision, or the leader, of that name.
func remove(observed *world, name string) {
	observed.Revisions = slices.DeleteFunc(observed.Revisions, func(r *appsv1.ControllerRevision) bool {
		return r.Name == name
	})
	observed.Groups = slices.DeleteFunc(observed.Groups, func(g snapshot.Group) bool { return g.Leader.Name == name })
}

// settled returns the world of a set whose groups are all ready.
func settled(t *testing.T, lws *leaderworkersetv1.LeaderWorkerSet) *world {
	t.Helper()
	observed := &world{Set: snapshot.Set{LWS: lws}}
	carryOut(observed, forSet(t, observed))
	settle(observed)
	carryOut(observed, forSet(t, observed))
	return observed
}

// settle changes the world as the other controllers do: the leader StatefulSet is observed, and missing groups are
// created and ready.
func settle(observed *world) {
	leaders := observed.Leaders
	leaders.Status.ObservedGeneration, leaders.Status.Replicas = leaders.Generation, *leaders.Spec.Replicas
	for index := range *leaders.Spec.Replicas {
		if !slices.ContainsFunc(observed.Groups, func(g snapshot.Group) bool { return g.Index == index }) {
			key := leaders.Labels[leaderworkersetv1.RevisionLabelKey]
			observed.Groups = append(observed.Groups, readyGroup(observed.LWS, leaders, key, index))
		}
	}
	slices.SortFunc(observed.Groups, func(a, b snapshot.Group) int { return int(a.Index - b.Index) })
}

func readyGroup(
	lws *leaderworkersetv1.LeaderWorkerSet, leaders *appsv1.StatefulSet, key string, index int32,
) snapshot.Group {
	leader := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name:        identity.Leader(lws.Name, index),
			Namespace:   lws.Namespace,
			UID:         types.UID(fmt.Sprintf("leader-%d-%s", index, key)),
			Labels:      map[string]string{leaderworkersetv1.RevisionLabelKey: key},
			Annotations: leaders.Spec.Template.Annotations,
		},
		Status: corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}},
	}
	template := revision.TemplateOf(lws)
	workers := desired.WorkerStatefulSet(lws, &template, key, desired.Group{Index: index, Leader: leader})
	workers.UID = types.UID(fmt.Sprintf("workers-%d-%s", index, key))
	workers.Status.Replicas, workers.Status.ReadyReplicas = *workers.Spec.Replicas, *workers.Spec.Replicas
	return snapshot.Group{Index: index, Leader: leader, Workers: workers}
}

// as returns the object in its own type.
func as[T write.Object](t *testing.T, object write.Object) T {
	t.Helper()
	typed, isOfType := object.(T)
	if !isOfType {
		t.Fatalf("got a %T, want a %T", object, typed)
	}
	return typed
}

// described returns the writes in short: the verb, the type and the name.
func described(writes []write.Write) []string {
	var lines []string
	for _, planned := range writes {
		verb, objects := "delete", planned.Delete
		switch {
		case planned.Create != nil:
			verb, objects = "create", []write.Object{planned.Create}
		case planned.Patch != nil:
			verb, objects = "patch", []write.Object{planned.Patch.To}
		case planned.Check != nil:
			verb, objects = "check", []write.Object{planned.Check}
		}
		for _, object := range objects {
			lines = append(lines, fmt.Sprintf("%s %T %s", verb, object, object.GetName()))
		}
	}
	return lines
}
