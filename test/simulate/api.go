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
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/desired"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/release"
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
)

// kinds are all kinds, in the order in which the world looks at them.
var kinds = []string{kindLeaderWorkerSet, kindStatefulSet, kindControllerRevision, kindService, kindPod, kindClaim, kindNode}

// Change is what a write did to one object: Old is nil for one that was created, New for one that is gone.
type Change struct {
	Kind     string
	Old, New client.Object
}

// API is the API server and its storage. Stored objects are never changed, only replaced: whoever reads one may keep it.
//
// It is here, not the fake client of controller-runtime, because the operator's safety rests on what that leaves out: UIDs and their
// preconditions, generations, grace periods, dependents, and a clock that tests set.
type API struct {
	scheme  *runtime.Scheme
	clock   clock.PassiveClock
	count   int // of writes and objects: the next version, or UID
	objects map[string]map[types.NamespacedName]client.Object
	history map[string][]Change
	watches []func(Change)

	noWebhook  bool               // its configuration is deleted
	uninjected map[types.UID]bool // pods that were created meanwhile
}

func newAPI(scheme *runtime.Scheme, clock clock.PassiveClock) *API {
	api := &API{
		scheme:  scheme,
		clock:   clock,
		objects: map[string]map[types.NamespacedName]client.Object{},
		history: map[string][]Change{},

		uninjected: map[types.UID]bool{},
	}
	for _, kind := range kinds {
		api.objects[kind] = map[types.NamespacedName]client.Object{}
	}
	return api
}

// kindOf is the kind of an object, also of one that is metadata only.
func (a *API) kindOf(object runtime.Object) schema.GroupVersionKind {
	gvk, err := apiutil.GVKForObject(object, a.scheme)
	if err != nil {
		panic(err) // The world knows all kinds that anyone in it uses.
	}
	return gvk
}

// Get is the object as it is now; nil if there is none.
func (a *API) Get(kind string, key types.NamespacedName) client.Object { return a.objects[kind][key] }

// List are the objects of a kind, by name.
func (a *API) List(kind string) []client.Object {
	return slices.SortedFunc(maps.Values(a.objects[kind]), byName)
}

func byName(x, y client.Object) int {
	return cmp.Or(cmp.Compare(x.GetNamespace(), y.GetNamespace()), cmp.Compare(len(x.GetName()), len(y.GetName())), cmp.Compare(x.GetName(), y.GetName()))
}

// listOf are the objects of a kind by their type, by name.
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

// getOf is the object by its type; the zero value if there is none.
func getOf[T client.Object](a *API, kind string, key types.NamespacedName) T {
	object, _ := a.Get(kind, key).(T)
	return object
}

// Create stores an object after admission, and completes the one that was passed with what the server adds.
func (a *API) Create(object client.Object) error {
	gvk := a.kindOf(object)
	key := client.ObjectKeyFromObject(object)
	if a.Get(gvk.Kind, key) != nil {
		return apierrors.NewAlreadyExists(resource(gvk.Kind), key.Name)
	}
	if err := a.admit(object); err != nil {
		return apierrors.NewBadRequest(err.Error())
	}
	a.count++
	object.SetUID(types.UID(fmt.Sprintf("%s-%d", strings.ToLower(gvk.Kind), a.count)))
	object.SetCreationTimestamp(metav1.NewTime(a.clock.Now()))
	object.SetGeneration(1)
	a.store(Change{Kind: gvk.Kind, New: deepCopy(object)})
	object.SetResourceVersion(a.Get(gvk.Kind, key).GetResourceVersion())
	return nil
}

// admit does what webhooks, and the server's own defaults, do to new objects.
func (a *API) admit(object client.Object) error {
	switch object := object.(type) {
	case *leaderworkersetv1.LeaderWorkerSet:
		object.Default()
	case *appsv1.StatefulSet:
		if object.Spec.UpdateStrategy.Type == "" {
			object.Spec.UpdateStrategy.Type = appsv1.RollingUpdateStatefulSetStrategyType
			object.Spec.UpdateStrategy.RollingUpdate = &appsv1.RollingUpdateStatefulSetStrategy{Partition: ptr.To[int32](0)}
		}
	case *corev1.Pod:
		object.Status.Phase = corev1.PodPending
		if a.noWebhook {
			return nil
		}
		owner := metav1.GetControllerOf(object)
		if owner != nil && owner.Kind == kindStatefulSet && object.Labels[leaderworkersetv1.SetNameLabelKey] != "" {
			leaders := getOf[*appsv1.StatefulSet](a, kindStatefulSet, at(object, owner.Name))
			if reason := release.Refusal(leaders, object); reason != "" {
				return errors.New(reason)
			}
			if object.Labels[leaderworkersetv1.WorkerIndexLabelKey] == "0" {
				desired.UpdatePlacement(object, leaders)
			}
			_, err := desired.Inject(object)
			return err
		}
	}
	return nil
}

// update changes the object that has the UID as the function says, whatever its version; an object that is gone stays so.
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

// Update changes a LeaderWorkerSet as its user would, who always knows the latest version. One that is gone stays so.
func (a *API) Update(key types.NamespacedName, change func(*leaderworkersetv1.LeaderWorkerSet)) {
	if lws := getOf[*leaderworkersetv1.LeaderWorkerSet](a, kindLeaderWorkerSet, key); lws != nil {
		update(a, lws, change)
	}
}

func (a *API) current(object client.Object) (client.Object, bool) {
	current := a.Get(a.kindOf(object).Kind, client.ObjectKeyFromObject(object))
	return current, current != nil && current.GetUID() == object.GetUID()
}

// replace stores a new state of an object: a new version if anything changed, a new generation if its spec did. An object that was only
// kept by finalizers, or by its grace period, is gone with the last of them. It says whether anything changed.
func (a *API) replace(old, updated client.Object) bool {
	if equality.Semantic.DeepEqual(old, updated) {
		return false
	}
	kind := a.kindOf(old).Kind
	if specChanged(old, updated) || (old.GetDeletionTimestamp() == nil) != (updated.GetDeletionTimestamp() == nil) {
		updated.SetGeneration(old.GetGeneration() + 1)
	}
	if updated.GetDeletionTimestamp() != nil && len(updated.GetFinalizers()) == 0 && ptr.Deref(updated.GetDeletionGracePeriodSeconds(), 0) == 0 {
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
	default:
		return false
	}
}

// store carries a change out and tells everyone who watches.
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

// Delete deletes an object. uid, if there is one, must be that of the object. A pod that runs somewhere gets its grace period; foreground
// and orphan deletion leave the object to the garbage collector first.
func (a *API) Delete(kind string, key types.NamespacedName, uid *types.UID, policy metav1.DeletionPropagation) error {
	return a.delete(kind, key, uid, policy, nil)
}

// Kill deletes a pod without a grace period: its name is free at once, whatever may still run on its node.
func (a *API) Kill(key types.NamespacedName) error {
	return a.delete(kindPod, key, nil, metav1.DeletePropagationBackground, ptr.To[int64](0))
}

// delete deletes an object within a grace period in seconds; nil for its own.
func (a *API) delete(kind string, key types.NamespacedName, uid *types.UID, policy metav1.DeletionPropagation, grace *int64) error {
	current := a.Get(kind, key)
	switch {
	case current == nil:
		return apierrors.NewNotFound(resource(kind), key.Name)
	case uid != nil && *uid != current.GetUID():
		return apierrors.NewConflict(resource(kind), key.Name, errors.New("the UID is that of another object"))
	}
	updated := deepCopy(current)
	updated.SetFinalizers(finalizersFor(policy, current.GetFinalizers()))
	if grace == nil {
		grace = ptr.To(graceOf(current))
	}
	if known := updated.GetDeletionGracePeriodSeconds(); known == nil || *grace < *known {
		updated.SetDeletionTimestamp(ptr.To(metav1.NewTime(a.clock.Now().Add(seconds(*grace)))))
		updated.SetDeletionGracePeriodSeconds(grace)
	}
	a.replace(current, updated)
	return nil
}

// finalizersFor are an object's finalizers once it is deleted in that way. Its last deletion says how.
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

// graceOf is how many seconds an object may take to go: a pod that nobody has started yet, or that has ended, needs none.
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
		panic(fmt.Sprintf("a copy of %T is no object", object))
	}
	return copied
}
