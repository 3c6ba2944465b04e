// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"

	disaggregatedsetv1 "github.com/leaderworkerset/lws-operator/api/disaggregatedset/v1"
	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/desired"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/identity"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/release"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/restart"
)

// The kinds of objects in the world.
const (
	kindLeaderWorkerSet    = "LeaderWorkerSet"
	kindStatefulSet        = "StatefulSet"
	kindControllerRevision = "ControllerRevision"
	kindClaim              = "PersistentVolumeClaim"
	kindService            = "Service"
	kindPod                = "Pod"
	kindNode               = "Node"
	kindEvent              = "Event"
	kindPodGroup           = "PodGroup"

	kindDisaggregatedSet = "DisaggregatedSet"
	kindScaler           = "DisaggregatedSetRoleScaler"
)

// kinds are all kinds, in the order in which the world handles them.
var kinds = []string{
	kindLeaderWorkerSet, kindStatefulSet, kindControllerRevision, kindService, kindPod, kindClaim, kindNode,
	kindEvent, kindPodGroup, kindDisaggregatedSet, kindScaler,
}

// Change is the change of one object by a write: Old is nil for a created object, New for a deleted one.
type Change struct {
	Kind     string
	Old, New client.Object
}

// API is the API server and its storage. Stored objects are never changed, only replaced: a reader may keep them.
//
// The fake client of controller-runtime would not do. It leaves out what the operator's safety depends on: UIDs and
// their preconditions, generations, grace periods, dependents, and a clock that tests set.
type API struct {
	scheme  *runtime.Scheme
	clock   clock.PassiveClock
	count   int // of writes and objects: the next version or UID
	objects map[string]map[types.NamespacedName]client.Object
	history map[string][]Change
	watches []func(Change)

	admissions int                           // how many pods were admitted or refused: the UID of the next request
	quota      int                           // how many pods are admitted; 0 for any number
	refused    map[types.NamespacedName]bool // StatefulSets of which a pod was refused
	noWebhook  bool                          // the webhook's configuration is deleted

	statefulSets int  // how many StatefulSets are admitted; 0 for any number
	gated        bool // whether new pods wait for a queue

	uninjected map[types.UID]bool // pods that were created meanwhile
}

func newAPI(scheme *runtime.Scheme, clock clock.PassiveClock) *API {
	api := &API{
		scheme:  scheme,
		clock:   clock,
		objects: map[string]map[types.NamespacedName]client.Object{},
		history: map[string][]Change{},
		refused: map[types.NamespacedName]bool{},

		uninjected: map[types.UID]bool{},
	}
	for _, kind := range kinds {
		api.objects[kind] = map[types.NamespacedName]client.Object{}
	}
	return api
}

// kindOf returns the kind of an object, which may be metadata only.
func (a *API) kindOf(object runtime.Object) schema.GroupVersionKind {
	gvk, err := apiutil.GVKForObject(object, a.scheme)
	if err != nil {
		panic(err) // The scheme has all kinds of the world.
	}
	return gvk
}

// Get returns the object as it is now; nil if there is none.
func (a *API) Get(kind string, key types.NamespacedName) client.Object { return a.objects[kind][key] }

// List returns the objects of a kind, by name.
func (a *API) List(kind string) []client.Object {
	return slices.SortedFunc(maps.Values(a.objects[kind]), byName)
}

func byName(x, y client.Object) int {
	return cmp.Or(
		cmp.Compare(x.GetNamespace(), y.GetNamespace()),
		cmp.Compare(len(x.GetName()), len(y.GetName())),
		cmp.Compare(x.GetName(), y.GetName()),
	)
}

// listOf returns the objects of a kind by their type, by name.
func listOf[T client.Object](a *API, kind string) []T {
	all := a.List(kind)
	result := make([]T, 0, len(all))
	for _, object := range all {
		if typed, ok := object.(T); ok {
			result = append(result, typed)
		}
	}
	return result
}

// getOf returns the object by its type; the zero value if there is none.
func getOf[T client.Object](a *API, kind string, key types.NamespacedName) T {
	object, _ := a.Get(kind, key).(T)
	return object
}

// Create stores an object after admission, and adds the fields that the server sets to the object that was passed.
func (a *API) Create(object client.Object) error {
	gvk := a.kindOf(object)
	key := client.ObjectKeyFromObject(object)
	if a.Get(gvk.Kind, key) != nil {
		return apierrors.NewAlreadyExists(resource(gvk.Kind), key.Name)
	}
	if err := a.admit(object); err != nil {
		return apierrors.NewBadRequest(err.Error())
	}
	if gvk.Kind == kindStatefulSet {
		if err := a.refusalOfStatefulSet(key.Name); err != nil {
			return err
		}
	}
	if pod, ok := object.(*corev1.Pod); ok {
		if a.gated {
			desired.AddSchedulingGate(pod, queueGate)
		}
		if err := a.refusal(pod); err != nil {
			if owner := metav1.GetControllerOf(pod); owner != nil {
				a.refused[at(pod, owner.Name)] = true
			}
			return err
		}
	}
	a.count++
	object.SetUID(types.UID(fmt.Sprintf("%s-%d", strings.ToLower(gvk.Kind), a.count)))
	object.SetCreationTimestamp(metav1.NewTime(a.clock.Now()))
	object.SetGeneration(1)
	a.store(Change{Kind: gvk.Kind, New: deepCopy(object)})
	object.SetResourceVersion(a.Get(gvk.Kind, key).GetResourceVersion())
	return nil
}

// admit changes new objects as the webhooks and the server's defaults do, or refuses them.
func (a *API) admit(object client.Object) error {
	switch object := object.(type) {
	case *leaderworkersetv1.LeaderWorkerSet:
		object.Default()
	case *disaggregatedsetv1.DisaggregatedSet:
		object.Default()
	case *appsv1.StatefulSet:
		if object.Spec.UpdateStrategy.Type == "" {
			object.Spec.UpdateStrategy.Type = appsv1.RollingUpdateStatefulSetStrategyType
			object.Spec.UpdateStrategy.RollingUpdate = &appsv1.RollingUpdateStatefulSetStrategy{Partition: ptr.To[int32](0)}
		}
	case *unstructured.Unstructured: // A PodGroup.
		object.SetFinalizers([]string{podGroupFinalizer})
	case *corev1.Pod:
		a.admissions++
		object.Status.Phase = corev1.PodPending
		if a.noWebhook {
			return nil
		}
		owner := metav1.GetControllerOf(object)
		if owner != nil && owner.Kind == kindStatefulSet && object.Labels[leaderworkersetv1.SetNameLabelKey] != "" {
			leaders := getOf[*appsv1.StatefulSet](a, kindStatefulSet, at(object, owner.Name))
			if leaders != nil && metav1.GetControllerOf(leaders) == nil {
				leaders = nil // Its set was deleted, without it.
			}
			if reason := release.Rejection(leaders, object); reason != "" {
				return errors.New(reason)
			}
			if object.Labels[leaderworkersetv1.WorkerIndexLabelKey] == "0" && leaders != nil {
				a.admitLeader(object, leaders)
			}
			_, err := desired.Inject(object)
			return err
		}
	}
	return nil
}

// admitLeader changes a new leader as the webhook does.
func (a *API) admitLeader(leader *corev1.Pod, leaders *appsv1.StatefulSet) {
	desired.UpdatePlacement(leader, leaders)
	desired.JoinPodGroup(leader, types.UID(fmt.Sprintf("request-%d", a.admissions)))
	set := at(leader, leader.Labels[leaderworkersetv1.SetNameLabelKey])
	if lws := getOf[*leaderworkersetv1.LeaderWorkerSet](a, kindLeaderWorkerSet, set); lws != nil &&
		restart.GatesLeader(lws, leaders, leader) {
		desired.AddSchedulingGate(leader, leaderworkersetv1.RestartSchedulingGate)
	}
	key := identity.GroupKey(leader.Namespace, leader.Name)
	for _, pod := range listOf[*corev1.Pod](a, kindPod) {
		if pod.Labels[leaderworkersetv1.GroupUniqueHashLabelKey] == key && desired.WaitsFor(leader, pod) {
			desired.AddSchedulingGate(leader, leaderworkersetv1.PreviousGroupSchedulingGate)
			break
		}
	}
}

// update changes the object of that UID, whatever its version. It does nothing if the object was deleted.
func update[T client.Object](a *API, object T, change func(T)) {
	current, ok := a.current(object)
	if !ok {
		return
	}
	updated, ok := deepCopy(current).(T)
	if !ok {
		panic(fmt.Sprintf("%T became %T", object, current))
	}
	change(updated)
	a.replace(current, updated)
}

// Update changes the latest version of a LeaderWorkerSet, as a user. It does nothing if the set was deleted.
func (a *API) Update(key types.NamespacedName, change func(*leaderworkersetv1.LeaderWorkerSet)) {
	if lws := getOf[*leaderworkersetv1.LeaderWorkerSet](a, kindLeaderWorkerSet, key); lws != nil {
		update(a, lws, change)
	}
}

// UpdateStatefulSet changes the latest version of a StatefulSet, as a user or another controller does. It does nothing
// if the StatefulSet was deleted.
func (a *API) UpdateStatefulSet(key types.NamespacedName, change func(*appsv1.StatefulSet)) {
	if sts := getOf[*appsv1.StatefulSet](a, kindStatefulSet, key); sts != nil {
		update(a, sts, change)
	}
}

// UpdatePod does the same with a pod.
func (a *API) UpdatePod(key types.NamespacedName, change func(*corev1.Pod)) {
	if pod := getOf[*corev1.Pod](a, kindPod, key); pod != nil {
		update(a, pod, change)
	}
}

func (a *API) current(object client.Object) (client.Object, bool) {
	current := a.Get(a.kindOf(object).Kind, client.ObjectKeyFromObject(object))
	return current, current != nil && current.GetUID() == object.GetUID()
}

// replace stores a new state of an object, and reports whether it differs. It sets a new version, and a new generation
// if the spec changed. A terminating object is deleted once its last finalizer is removed and its grace period is over.
func (a *API) replace(old, updated client.Object) bool {
	if equality.Semantic.DeepEqual(old, updated) {
		return false
	}
	kind := a.kindOf(old).Kind
	terminating := updated.GetDeletionTimestamp() != nil
	if specChanged(old, updated) || (old.GetDeletionTimestamp() != nil) != terminating {
		updated.SetGeneration(old.GetGeneration() + 1)
	}
	stopped := ptr.Deref(updated.GetDeletionGracePeriodSeconds(), 0) == 0
	if terminating && stopped && len(updated.GetFinalizers()) == 0 {
		updated = nil
	}
	a.store(Change{Kind: kind, Old: old, New: updated})
	return true
}

func specChanged(old, updated client.Object) bool {
	switch updated := updated.(type) {
	case *leaderworkersetv1.LeaderWorkerSet:
		before, ok := old.(*leaderworkersetv1.LeaderWorkerSet)
		return !ok || !equality.Semantic.DeepEqual(before.Spec, updated.Spec)
	case *appsv1.StatefulSet:
		before, ok := old.(*appsv1.StatefulSet)
		return !ok || !equality.Semantic.DeepEqual(before.Spec, updated.Spec)
	case *disaggregatedsetv1.DisaggregatedSet:
		before, ok := old.(*disaggregatedsetv1.DisaggregatedSet)
		return !ok || !equality.Semantic.DeepEqual(before.Spec, updated.Spec)
	case *disaggregatedsetv1.DisaggregatedSetRoleScaler:
		before, ok := old.(*disaggregatedsetv1.DisaggregatedSetRoleScaler)
		return !ok || before.Spec != updated.Spec
	default:
		return false
	}
}

// store stores a change and calls all watches.
func (a *API) store(change Change) {
	a.count++
	if change.New != nil {
		change.New.SetResourceVersion(strconv.Itoa(a.count))
		a.objects[change.Kind][client.ObjectKeyFromObject(change.New)] = change.New
	} else {
		delete(a.objects[change.Kind], client.ObjectKeyFromObject(change.Old))
	}
	a.history[change.Kind] = append(a.history[change.Kind], change)
	for _, watch := range a.watches {
		watch(change)
	}
}

// Delete deletes an object. uid, if there is one, must be that of the object. A pod that has a node gets its grace
// period. After foreground and orphan deletion, the garbage collector removes the object.
func (a *API) Delete(kind string, key types.NamespacedName, uid *types.UID, policy metav1.DeletionPropagation) error {
	return a.delete(kind, key, uid, policy, nil)
}

// Kill deletes a pod without a grace period: its name is free at once, though its containers may still run.
func (a *API) Kill(key types.NamespacedName) error {
	return a.delete(kindPod, key, nil, metav1.DeletePropagationBackground, ptr.To[int64](0))
}

// delete deletes an object with a grace period in seconds; nil for its own.
func (a *API) delete(
	kind string, key types.NamespacedName, uid *types.UID, policy metav1.DeletionPropagation, grace *int64,
) error {
	current := a.Get(kind, key)
	switch {
	case current == nil:
		return apierrors.NewNotFound(resource(kind), key.Name)
	case uid != nil && *uid != current.GetUID():
		return apierrors.NewConflict(resource(kind), key.Name, errors.New("the UID is that of another object"))
	}
	updated := deepCopy(current)
	if grace == nil {
		grace = ptr.To(graceOf(current))
	}
	if pending := ptr.Deref(current.GetDeletionGracePeriodSeconds(), 0); pending > 0 && *grace >= pending {
		return nil // The deletion is repeated while the pod has its grace period.
	}
	updated.SetFinalizers(finalizersFor(policy, current.GetFinalizers()))
	if known := updated.GetDeletionGracePeriodSeconds(); known == nil || *grace < *known {
		updated.SetDeletionTimestamp(ptr.To(metav1.NewTime(a.clock.Now().Add(seconds(*grace)))))
		updated.SetDeletionGracePeriodSeconds(grace)
	}
	a.replace(current, updated)
	return nil
}

// finalizersFor returns the finalizers of an object after a deletion with that policy, which replaces an earlier
// policy.
func finalizersFor(policy metav1.DeletionPropagation, existing []string) []string {
	var kept []string
	for _, finalizer := range existing {
		if finalizer != metav1.FinalizerDeleteDependents && finalizer != metav1.FinalizerOrphanDependents {
			kept = append(kept, finalizer)
		}
	}
	switch policy {
	case metav1.DeletePropagationForeground:
		return append(kept, metav1.FinalizerDeleteDependents)
	case metav1.DeletePropagationOrphan:
		return append(kept, metav1.FinalizerOrphanDependents)
	default:
		return kept
	}
}

// graceOf returns the grace period of an object, in seconds. A pod without a node, or that has failed, needs none.
func graceOf(object client.Object) int64 {
	if pod, ok := object.(*corev1.Pod); ok && pod.Spec.NodeName != "" && pod.Status.Phase != corev1.PodFailed {
		return ptr.Deref(pod.Spec.TerminationGracePeriodSeconds, corev1.DefaultTerminationGracePeriodSeconds)
	}
	return 0
}

func resource(kind string) schema.GroupResource {
	return schema.GroupResource{Resource: strings.ToLower(kind) + "s"}
}

func deepCopy(object client.Object) client.Object {
	copied, ok := object.DeepCopyObject().(client.Object)
	if !ok {
		panic(fmt.Sprintf("the copy of %T isn't an object", object))
	}
	return copied
}
