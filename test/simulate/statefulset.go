// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strconv"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// The delays after passes of the StatefulSet controller that fail. They double with each failure in a row.
const (
	minRetry = 5 * time.Millisecond
	maxRetry = 1000 * time.Second
)

// statefulSetController creates the pods of StatefulSets as the real one does with parallel pod management. It deletes
// pods that have failed. It creates pods below the partition at the current revision, and replaces those from the
// partition on one by one. At the end of a pass, it writes the status for the state at its beginning. Other actors act
// between the steps of a pass.
type statefulSetController struct {
	world *World

	changed map[types.NamespacedName]bool           // StatefulSets that have changed since their last pass began
	passes  map[types.NamespacedName][]func() error // the steps left of passes that have begun
	retries map[types.NamespacedName]time.Time      // when another pass follows one that failed

	failures map[types.NamespacedName]int // passes in a row that have failed
	events   *eventRecorder
}

func newStatefulSetController(world *World) *statefulSetController {
	c := &statefulSetController{
		world:   world,
		changed: map[types.NamespacedName]bool{},
		passes:  map[types.NamespacedName][]func() error{},
		retries: map[types.NamespacedName]time.Time{},

		failures: map[types.NamespacedName]int{},
		events:   newEventRecorder(world),
	}
	world.API.watches = append(world.API.watches, c.watch)
	return c
}

// watch marks the StatefulSets that a change concerns. A pod concerns the StatefulSet of its name, unless a pod that
// nobody owns is deleted. The deletion of a claim concerns all StatefulSets with claims.
func (c *statefulSetController) watch(change Change) {
	object := change.New
	if object == nil {
		object = change.Old
	}
	switch change.Kind {
	case kindStatefulSet:
		c.changed[client.ObjectKeyFromObject(object)] = true
	case kindPod:
		isOrphan := change.New == nil && metav1.GetControllerOf(object) == nil
		if parent, _, ok := split(object.GetName()); ok && !isOrphan {
			c.changed[at(object, parent)] = true
		}
	case kindClaim:
		for _, set := range listOf[*appsv1.StatefulSet](c.world.API, kindStatefulSet) {
			if change.New == nil && len(set.Spec.VolumeClaimTemplates) > 0 {
				c.changed[client.ObjectKeyFromObject(set)] = true
			}
		}
	}
}

func (c *statefulSetController) actions() []action {
	keys := maps.Clone(c.changed)
	for key := range c.passes {
		keys[key] = true
	}
	for key, due := range c.retries {
		if !due.After(c.world.clock.Now()) {
			keys[key] = true
		}
	}
	var actions []action
	for _, key := range slices.SortedFunc(maps.Keys(keys), compareKeys) {
		actions = append(actions, func() { c.step(key) })
	}
	return actions
}

// next returns when the next pass follows one that failed.
func (c *statefulSetController) next() time.Time { return earliest(c.retries) }

// step begins a pass if none has begun, and takes its next step. After a step that fails, only the last one is left:
// the status.
func (c *statefulSetController) step(key types.NamespacedName) {
	if len(c.passes[key]) == 0 {
		delete(c.changed, key)
		delete(c.retries, key)
		c.passes[key] = c.begin(key)
	}
	if steps := c.passes[key]; len(steps) > 0 {
		c.passes[key] = steps[1:]
		if err := steps[0](); err != nil {
			c.passes[key] = steps[len(steps)-1:]
			c.retries[key] = c.world.clock.Now().Add(retryDelay(c.failures[key]))
			c.failures[key]++
		}
	}
	if len(c.passes[key]) == 0 {
		delete(c.passes, key)
		if c.retries[key].IsZero() {
			delete(c.failures, key)
		}
	}
}

// retryDelay returns the delay after a number of failures in a row.
func retryDelay(failures int) time.Duration {
	return min(minRetry<<min(failures, 20), maxRetry)
}

// begin reads the pods once, and plans the steps of a pass. For a terminating set, it only writes the status.
func (c *statefulSetController) begin(key types.NamespacedName) []func() error {
	set := getOf[*appsv1.StatefulSet](c.world.API, kindStatefulSet, key)
	if set == nil {
		return nil
	}
	c.adopt(set)
	replicas, condemned := c.pods(set)
	if set.DeletionTimestamp != nil {
		status := statusOf(set, append(replicas, condemned...), set.Status.CurrentRevision, set.Status.UpdateRevision)
		return []func() error{func() error { return c.writeStatus(set, status) }}
	}
	latest := c.revision(set)
	current := latest
	known := getOf[*appsv1.ControllerRevision](c.world.API, kindControllerRevision, at(set, set.Status.CurrentRevision))
	if known != nil {
		current = known
	}
	status := statusOf(set, append(replicas, condemned...), current.Name, latest.Name)
	var steps []func() error
	for i, pod := range replicas {
		switch {
		case pod == nil:
			steps = append(steps, c.claimed(set, i, func() error {
				err := c.create(set, i, current, latest)
				if err == nil {
					status.Replicas++ // The status that ends the pass counts the pods that the pass has created.
				}
				return err
			}))
		case pod.Status.Phase == corev1.PodFailed && pod.DeletionTimestamp == nil:
			steps = append(steps, func() error { return c.remove(pod) })
		}
	}
	steps = append(steps, c.claimSteps(set, replicas, condemned)...)
	for _, pod := range condemned {
		if pod.DeletionTimestamp == nil {
			steps = append(steps, func() error { return c.remove(pod) })
		}
	}
	if pod := c.nextToUpdate(set, replicas, latest.Name); pod != nil {
		steps = append(steps, func() error { return c.remove(pod) })
	}
	return append(steps, func() error { return c.writeStatus(set, status) })
}

// pods returns the pods of the set by ordinal, nil for a missing one, and the pods whose ordinal is out of range.
func (c *statefulSetController) pods(set *appsv1.StatefulSet) (replicas, condemned []*corev1.Pod) {
	replicas = make([]*corev1.Pod, ptr.Deref(set.Spec.Replicas, 1))
	for _, pod := range listOf[*corev1.Pod](c.world.API, kindPod) {
		if !metav1.IsControlledBy(pod, set) {
			continue
		}
		if i := ordinalOf(pod) - start(set); i >= 0 && i < len(replicas) {
			replicas[i] = pod
		} else {
			condemned = append(condemned, pod)
		}
	}
	return replicas, condemned
}

// nextToUpdate returns the pod with the highest ordinal, down to the partition, that isn't of the latest revision. It
// returns none with the strategy OnDelete, and none while a pod above isn't ready. With the feature gate, it returns
// none while any pod isn't ready: maxUnavailable is 1, its default.
func (c *statefulSetController) nextToUpdate(
	set *appsv1.StatefulSet, replicas []*corev1.Pod, latest string,
) *corev1.Pod {
	if isOnDelete(set) || (c.world.gate && slices.ContainsFunc(replicas, isUnavailable)) {
		return nil
	}
	for i := len(replicas) - 1; i >= int(partitionOf(set)); i-- {
		pod := replicas[i]
		switch {
		case pod != nil && pod.Labels[appsv1.StatefulSetRevisionLabel] != latest && pod.DeletionTimestamp == nil:
			return pod
		case isUnavailable(pod):
			return nil
		}
	}
	return nil
}

func isUnavailable(pod *corev1.Pod) bool {
	return pod == nil || pod.DeletionTimestamp != nil || !podIsReady(pod)
}

// create creates a missing pod, the i-th of the set. Below the partition, which OnDelete doesn't have, it is of the
// current revision.
func (c *statefulSetController) create(
	set *appsv1.StatefulSet, i int, current, latest *appsv1.ControllerRevision,
) error {
	revision := latest
	if i < int(partitionOf(set)) {
		revision = current
	}
	var template corev1.PodTemplateSpec
	if err := json.Unmarshal(revision.Data.Raw, &template); err != nil {
		return err
	}
	ordinal := int32(start(set) + i) //nolint:gosec // Ordinals are int32.
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name:            fmt.Sprintf("%s-%d", set.Name, ordinal),
			Namespace:       set.Namespace,
			Labels:          maps.Clone(template.Labels),
			Annotations:     template.Annotations,
			OwnerReferences: controlledBy(set),
		},
		Spec: template.Spec,
	}
	pod.Labels[appsv1.StatefulSetRevisionLabel] = revision.Name
	pod.Labels[appsv1.StatefulSetPodNameLabel] = pod.Name
	pod.Labels[appsv1.PodIndexLabel] = strconv.Itoa(int(ordinal))
	pod.Spec.Hostname, pod.Spec.Subdomain = pod.Name, set.Spec.ServiceName
	err := c.world.API.Create(pod)
	switch {
	case apierrors.IsAlreadyExists(err):
		return err
	case err != nil:
		if apierrors.IsForbidden(err) && c.failures[client.ObjectKeyFromObject(set)] == 0 {
			c.world.record("statefulset controller", "is refused pod", pod.Name)
		}
		c.events.failed(set, pod.Name, err)
		return err
	}
	c.world.record("statefulset controller", "creates pod", pod.Name)
	c.events.succeeded(set)
	return nil
}

func (c *statefulSetController) remove(pod *corev1.Pod) error {
	c.world.record("statefulset controller", "deletes pod", pod.Name)
	return c.world.API.Delete(kindPod, client.ObjectKeyFromObject(pod), &pod.UID, metav1.DeletePropagationBackground)
}

func (c *statefulSetController) writeStatus(set *appsv1.StatefulSet, status appsv1.StatefulSetStatus) error {
	update(c.world.API, set, func(updated *appsv1.StatefulSet) { updated.Status = status })
	return nil
}

// statusOf returns the status for the pods, of which some may be nil. When all are ready and of the latest revision,
// that becomes the current one.
func statusOf(set *appsv1.StatefulSet, pods []*corev1.Pod, current, latest string) appsv1.StatefulSetStatus {
	status := appsv1.StatefulSetStatus{
		ObservedGeneration: set.Generation, CurrentRevision: current, UpdateRevision: latest,
	}
	for _, pod := range pods {
		if pod == nil {
			continue
		}
		status.Replicas++
		if podIsReady(pod) {
			status.ReadyReplicas++
		}
		switch revision := pod.Labels[appsv1.StatefulSetRevisionLabel]; {
		case pod.DeletionTimestamp != nil:
		case revision == latest:
			status.UpdatedReplicas++
		case revision == current:
			status.CurrentReplicas++
		}
	}
	wanted := ptr.Deref(set.Spec.Replicas, 1)
	if status.UpdatedReplicas == wanted && status.ReadyReplicas == wanted && status.Replicas == wanted {
		status.CurrentRevision = latest
	}
	return status
}

// revision returns the ControllerRevision of the set's present template. A hash of the set's UID is part of its name,
// which so differs from that of an earlier set of the same name.
func (c *statefulSetController) revision(set *appsv1.StatefulSet) *appsv1.ControllerRevision {
	data, err := json.Marshal(set.Spec.Template)
	if err != nil {
		panic(err) // A template can always be written.
	}
	hash := fnv.New32a()
	hash.Write(data)
	hash.Write([]byte(set.UID))
	key := rand.SafeEncodeString(fmt.Sprint(hash.Sum32()))
	name := at(set, set.Name+"-"+key)
	if known := getOf[*appsv1.ControllerRevision](c.world.API, kindControllerRevision, name); known != nil {
		return known
	}
	if orphaned := c.orphanedRevision(set, data); orphaned != nil {
		return orphaned
	}
	labels := maps.Clone(set.Spec.Template.Labels)
	labels["controller.kubernetes.io/hash"] = key
	revision := &appsv1.ControllerRevision{
		ObjectMeta: metav1.ObjectMeta{
			Name:            name.Name,
			Namespace:       name.Namespace,
			Labels:          labels,
			OwnerReferences: controlledBy(set),
		},
		Data: runtime.RawExtension{Raw: data},
	}
	if err := c.world.API.Create(revision); err != nil {
		panic(err) // The name is free.
	}
	return revision
}

// adopt makes the set the owner of pods without an owner that match its selector and its name.
func (c *statefulSetController) adopt(set *appsv1.StatefulSet) {
	selector, err := metav1.LabelSelectorAsSelector(set.Spec.Selector)
	c.world.must(err)
	for _, pod := range listOf[*corev1.Pod](c.world.API, kindPod) {
		parent, _, _ := split(pod.Name)
		free := metav1.GetControllerOf(pod) == nil && pod.DeletionTimestamp == nil && set.DeletionTimestamp == nil
		if free && parent == set.Name && selector.Matches(labels.Set(pod.Labels)) {
			c.world.record("statefulset controller", "adopts pod", pod.Name)
			update(c.world.API, pod, func(pod *corev1.Pod) { pod.OwnerReferences = controlledBy(set) })
		}
	}
}

// orphanedRevision adopts and returns an equal revision of an earlier set; nil if there is none.
func (c *statefulSetController) orphanedRevision(set *appsv1.StatefulSet, data []byte) *appsv1.ControllerRevision {
	for _, candidate := range listOf[*appsv1.ControllerRevision](c.world.API, kindControllerRevision) {
		owner := metav1.GetControllerOf(candidate)
		if bytes.Equal(candidate.Data.Raw, data) && (owner == nil || owner.UID == set.UID) {
			update(c.world.API, candidate, func(revision *appsv1.ControllerRevision) {
				revision.OwnerReferences = controlledBy(set)
			})
			return candidate
		}
	}
	return nil
}

func controlledBy(set *appsv1.StatefulSet) []metav1.OwnerReference {
	return []metav1.OwnerReference{*metav1.NewControllerRef(set, appsv1.SchemeGroupVersion.WithKind(kindStatefulSet))}
}

func ordinalOf(pod *corev1.Pod) int {
	return int(indexOf(pod))
}

func start(set *appsv1.StatefulSet) int {
	if set.Spec.Ordinals == nil {
		return 0
	}
	return int(set.Spec.Ordinals.Start)
}

func partitionOf(set *appsv1.StatefulSet) int32 {
	if set.Spec.UpdateStrategy.RollingUpdate == nil {
		return 0
	}
	return ptr.Deref(set.Spec.UpdateStrategy.RollingUpdate.Partition, 0)
}
