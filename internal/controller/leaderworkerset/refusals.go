// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package leaderworkerset

import (
	"cmp"
	"context"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/release"
)

// refusalChanged passes refusals of pods that are new or have occurred again, but no rejections.
func refusalChanged() predicate.TypedPredicate[*corev1.Event] {
	return predicate.And(
		predicate.NewTypedPredicateFuncs(func(refusal *corev1.Event) bool { return !release.IsRejection(refusal.Message) }),
		predicate.TypedFuncs[*corev1.Event]{
			UpdateFunc: func(e event.TypedUpdateEvent[*corev1.Event]) bool {
				return e.ObjectOld.Count != e.ObjectNew.Count || e.ObjectOld.UID != e.ObjectNew.UID
			},
			DeleteFunc: func(event.TypedDeleteEvent[*corev1.Event]) bool { return false },
		},
	)
}

// statefulSetOf returns the StatefulSet that a refusal is about; nil if it isn't one of a set, or is deleted.
func statefulSetOf(ctx context.Context, reader client.Reader, object client.Object) *appsv1.StatefulSet {
	refusal, ok := object.(*corev1.Event)
	if !ok {
		return nil
	}
	sts := &appsv1.StatefulSet{}
	key := types.NamespacedName{Namespace: refusal.Namespace, Name: refusal.InvolvedObject.Name}
	if err := reader.Get(ctx, key, sts); err != nil || sts.UID != refusal.InvolvedObject.UID {
		return nil
	}
	return sts
}

// toSetOfRefusal maps a refusal of a leader to its set.
func toSetOfRefusal(reader client.Reader) keysFunc {
	return func(ctx context.Context, object client.Object) []types.NamespacedName {
		sts := statefulSetOf(ctx, reader, object)
		if sts == nil || !isLeaderStatefulSet(sts) {
			return nil
		}
		return []types.NamespacedName{setOf(sts)}
	}
}

// toGroupOfRefusal maps a refusal of a worker to its group.
func toGroupOfRefusal(reader client.Reader) keysFunc {
	return func(ctx context.Context, object client.Object) []types.NamespacedName {
		sts := statefulSetOf(ctx, reader, object)
		if sts == nil || isLeaderStatefulSet(sts) {
			return nil
		}
		return toGroup(ctx, sts)
	}
}

// afterRefusal returns the batch delay of the set of a refused leader.
func afterRefusal(reader client.Reader, batch BatchOptions) delayFunc {
	return func(ctx context.Context, of objectChange) time.Duration {
		lws := &leaderworkersetv1.LeaderWorkerSet{}
		sts := statefulSetOf(ctx, reader, cmp.Or(of.after, of.before))
		if sts == nil || reader.Get(ctx, setOf(sts), lws) != nil {
			return batch.MaxDelay
		}
		return batch.For(lws)
	}
}
