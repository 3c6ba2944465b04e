// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package leaderworkerset

import (
	"context"
	"errors"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrlcontroller "sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/apply"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/admission"
)

const (
	// concurrentSets is how many LeaderWorkerSets are worked on at a time. A pass over one is short and never runs twice at once.
	concurrentSets = 5

	// concurrentGroups is how many groups are worked on at a time. Most of a pass is waiting for the API server.
	concurrentGroups = 20

	// concurrentDeletions is how many deletions of one pass are made at a time: all groups of a set may have to be taken down at once.
	concurrentDeletions = 16

	// longestRetry bounds the growing delay between attempts at a pass that fails.
	longestRetry = 30 * time.Second
)

// statefulSetRevisionLabel is on the ControllerRevisions that the StatefulSet controller makes. From k8s.io/kubernetes, package
// pkg/controller/history.
const statefulSetRevisionLabel = "controller.kubernetes.io/hash"

// Setup adds the reconcilers and webhooks of LeaderWorkerSets, and the indexes that they read by, to a manager whose cache is limited by
// [CacheByObject].
func Setup(ctx context.Context, mgr ctrl.Manager) error {
	if err := addIndexes(ctx, mgr.GetFieldIndexer()); err != nil {
		return err
	}
	// Webhooks read LeaderWorkerSets, also while another replica is the leader and runs the reconcilers that would start this cache.
	if _, err := mgr.GetCache().GetInformer(ctx, &leaderworkersetv1.LeaderWorkerSet{}, cache.BlockUntilSynced(false)); err != nil {
		return err
	}
	if err := addReconcilers(mgr); err != nil {
		return err
	}
	return admission.Setup(mgr, admission.DefaultOptions())
}

func addIndexes(ctx context.Context, indexer client.FieldIndexer) error {
	for _, index := range []struct {
		object client.Object
		field  string
		value  client.IndexerFunc
	}{
		{&corev1.Pod{}, leadersOfSet, indexLeadersOfSet},
		{&corev1.Pod{}, workersOfGroup, indexWorkersOfGroup},
		{&corev1.PersistentVolumeClaim{}, claimsOfGroup, indexByGroup},
		{&appsv1.StatefulSet{}, workersOfSet, indexWorkersOfSet},
		{&appsv1.ControllerRevision{}, revisionsOfSet, indexRevisionsOfSet},
	} {
		if err := indexer.IndexField(ctx, index.object, index.field, index.value); err != nil {
			return fmt.Errorf("index %s: %w", index.field, err)
		}
	}
	return nil
}

func addReconcilers(mgr ctrl.Manager) error {
	applier := &apply.Applier{
		Client:    mgr.GetClient(),
		Live:      mgr.GetAPIReader(),
		Recorder:  mgr.GetEventRecorder("leaderworkerset-controller"),
		Deletions: concurrentDeletions,
	}
	news := make(chan event.TypedGenericEvent[*leaderworkersetv1.LeaderWorkerSet])
	sets, groups := newReconcilers(applier, news, clock.RealClock{})
	setEvents := append(setSources(mgr.GetCache()), source.Channel(news, enqueueItself(aMoment[*leaderworkersetv1.LeaderWorkerSet](mgr.GetCache()))))
	return errors.Join(
		addController(mgr, "leaderworkerset", options(sets, concurrentSets), setEvents),
		addController(mgr, "group", options(groups, concurrentGroups), groupSources(mgr.GetCache())),
	)
}

// newReconcilers are the two reconcilers, which read and write by the applier's client. The one of groups has news for the one of sets.
func newReconcilers(
	applier *apply.Applier, news chan<- event.TypedGenericEvent[*leaderworkersetv1.LeaderWorkerSet], now clock.PassiveClock,
) (*setReconciler, *groupReconciler) {
	failed, known := newFailures(), newLives()
	observed := &observer{Reader: applier.Client, failures: failed, lives: known}
	return &setReconciler{observer: observed, applier: applier, failures: failed, lives: known, clock: now},
		&groupReconciler{observer: observed, applier: applier, failures: failed, lives: known, sets: news}
}

func addController(mgr ctrl.Manager, name string, options ctrlcontroller.Options, sources []source.Source) error {
	c, err := ctrlcontroller.New(name, mgr, options)
	if err != nil {
		return err
	}
	for _, events := range sources {
		if err := c.Watch(events); err != nil {
			return err
		}
	}
	return nil
}

// setSources start passes over sets: at once when the wish changes, and a moment later when something happens to one of the groups.
func setSources(cached cache.Cache) []source.Source {
	wish := &handler.TypedEnqueueRequestForObject[*leaderworkersetv1.LeaderWorkerSet]{}
	return []source.Source{
		source.Kind(cached, &leaderworkersetv1.LeaderWorkerSet{}, wish, wishChanged()),
		// A status that is wished for already isn't written: that is looked at again if the cache had an earlier one.
		source.Kind(cached, &leaderworkersetv1.LeaderWorkerSet{}, enqueueItself(aMoment[*leaderworkersetv1.LeaderWorkerSet](cached)),
			somethingWeUseChanged[*leaderworkersetv1.LeaderWorkerSet]()),
		source.Kind(cached, &appsv1.StatefulSet{}, enqueueSet(aMoment[*appsv1.StatefulSet](cached)), somethingWeUseChanged[*appsv1.StatefulSet]()),
		source.Kind(cached, &appsv1.StatefulSet{}, enqueueSet(atOnce[*appsv1.StatefulSet]), orderObserved()),
		source.Kind(cached, &corev1.Pod{}, enqueueSet(aMoment[*corev1.Pod](cached)), isLeaderPod(), podChanged()),
		source.Kind(cached, &corev1.Service{}, enqueueSet(aMoment[*corev1.Service](cached)), somethingWeUseChanged[*corev1.Service]()),
		// The objects of group 3 of the set llama may have been in the way of the set llama-3.
		source.Kind(cached, &appsv1.StatefulSet{}, enqueueItself(atOnce[*appsv1.StatefulSet]), gone[*appsv1.StatefulSet]()),
		source.Kind(cached, &corev1.Service{}, enqueueItself(atOnce[*corev1.Service]), gone[*corev1.Service]()),
		source.Kind(cached, &appsv1.ControllerRevision{}, enqueueSet(aMoment[*appsv1.ControllerRevision](cached)),
			somethingWeUseChanged[*appsv1.ControllerRevision]()),
	}
}

// groupSources start passes over groups: when something happens to the group, and when the wish of its set changes.
func groupSources(cached cache.Cache) []source.Source {
	return []source.Source{
		source.Kind(cached, &corev1.Pod{}, enqueueGroup(atOnce[*corev1.Pod]), predicate.Or(isLeaderPod(), failedPod()), podChanged()),
		source.Kind(cached, &corev1.Pod{}, enqueueGroupOfWorkers(cached), predicate.Not(isLeaderPod()), lifeChanged(cached)),
		source.Kind(cached, &appsv1.StatefulSet{}, enqueueGroups[*appsv1.StatefulSet](), moreThanStatusChanged()),
		source.Kind(cached, &corev1.Service{}, enqueueGroups[*corev1.Service](), somethingWeUseChanged[*corev1.Service]()),
		source.Kind(cached, &corev1.PersistentVolumeClaim{}, enqueueGroup(atOnce[*corev1.PersistentVolumeClaim]),
			somethingWeUseChanged[*corev1.PersistentVolumeClaim]()),
		source.Kind(cached, &leaderworkersetv1.LeaderWorkerSet{}, enqueueGroupsOf(cached), wishChanged()),
		// Leader pods may be seen before the StatefulSet that made them.
		source.Kind(cached, &appsv1.StatefulSet{}, enqueueGroupsOfLeaders(cached), leadersAppear()),
	}
}

func options(reconciler reconcile.Reconciler, concurrent int) ctrlcontroller.Options {
	return ctrlcontroller.Options{
		Reconciler:              reconciler,
		MaxConcurrentReconciles: concurrent,
		RateLimiter:             workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](5*time.Millisecond, longestRetry),
	}
}

// CacheByObject limits the cache to what is labeled as part of a LeaderWorkerSet, and trims it to what is read. LeaderWorkerSets
// themselves are all there, with their defaults filled in. The StatefulSets' own revisions have the labels of their pods: those of
// workers, one for each group, are left out. Whoever reads shares the objects with others, and changes none.
func CacheByObject() map[client.Object]cache.ByObject {
	part := labels.NewSelector().Add(requirement(leaderworkersetv1.SetNameLabelKey, selection.Exists))
	revision := part.Add(requirement(leaderworkersetv1.GroupIndexLabelKey, selection.DoesNotExist))
	return map[client.Object]cache.ByObject{
		&leaderworkersetv1.LeaderWorkerSet{}: {Transform: withDefaults, UnsafeDisableDeepCopy: ptr.To(true)},

		&appsv1.StatefulSet{}:           {Label: part, Transform: trimStatefulSet, UnsafeDisableDeepCopy: ptr.To(true)},
		&appsv1.ControllerRevision{}:    {Label: revision, Transform: trimRevision, UnsafeDisableDeepCopy: ptr.To(true)},
		&corev1.Pod{}:                   {Label: part, Transform: trimPod, UnsafeDisableDeepCopy: ptr.To(true)},
		&corev1.PersistentVolumeClaim{}: {Label: part, Transform: trimClaim, UnsafeDisableDeepCopy: ptr.To(true)},
		&corev1.Service{}:               {Label: part, Transform: trimService, UnsafeDisableDeepCopy: ptr.To(true)},
	}
}

// requirement is a selector's condition on a label.
func requirement(key string, operator selection.Operator) labels.Requirement {
	required, err := labels.NewRequirement(key, operator, nil)
	if err != nil {
		panic(err) // A constant that is no label key.
	}
	return *required
}
