// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// RefusedImage is an image whose pods a policy refuses.
const RefusedImage = "image:refused"

// LimitQuota sets how many pods the API server admits, terminating ones included. 0 is any number.
func (w *World) LimitQuota(pods int) {
	w.User(fmt.Sprintf("sets a quota of %d pods", pods), func() error { w.API.quota = pods; return nil })
}

// refusal returns why the API server doesn't admit a pod; nil if it does.
func (a *API) refusal(pod *corev1.Pod) error {
	forbidden := func(why string) error {
		return apierrors.NewForbidden(resource(kindPod), pod.Name, errors.New(why))
	}
	isRefused := func(container corev1.Container) bool { return container.Image == RefusedImage }
	used := len(a.objects[kindPod])
	switch {
	case slices.ContainsFunc(pod.Spec.Containers, isRefused):
		return forbidden("a policy denied the request: the image isn't allowed")
	case a.quota > 0 && used >= a.quota:
		const format = "exceeded quota: pods, requested: pods=1, used: pods=%d, limited: pods=%d"
		return forbidden(fmt.Sprintf(format, used, a.quota))
	default:
		return nil
	}
}

// The limits of the recorder of the real StatefulSet controller. All its events about one object share the burst.
const (
	eventBurst  = 25
	eventRefill = 5 * time.Minute
	eventsAlike = 10 // of different texts, before they are combined
)

// eventRecorder records the events of the StatefulSet controller. It drops those that come too often.
type eventRecorder struct {
	world *World

	tokens   map[types.UID]int
	refilled map[types.UID]time.Time
	texts    map[types.UID][]string
}

func newEventRecorder(world *World) *eventRecorder {
	return &eventRecorder{
		world: world, tokens: map[types.UID]int{}, refilled: map[types.UID]time.Time{}, texts: map[types.UID][]string{},
	}
}

// succeeded uses up a part of the burst. The world stores no events about successes.
func (r *eventRecorder) succeeded(set *appsv1.StatefulSet) { r.take(set.UID) }

// failed records that the creation of a pod failed.
func (r *eventRecorder) failed(set *appsv1.StatefulSet, pod string, err error) {
	if !r.take(set.UID) {
		return
	}
	message := fmt.Sprintf("create Pod %s in StatefulSet %s failed error: %v", pod, set.Name, err)
	name := r.name(set, message)
	if strings.HasSuffix(name, ".combined") {
		message = "(combined from similar events): " + message
	}
	now := metav1.NewTime(r.world.clock.Now().Truncate(time.Second))
	key := at(set, name)
	if known := getOf[*corev1.Event](r.world.API, kindEvent, key); known != nil {
		update(r.world.API, known, func(event *corev1.Event) {
			event.Count++
			event.LastTimestamp, event.Message = now, message
		})
		return
	}
	r.world.must(r.world.API.Create(&corev1.Event{
		ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name},
		InvolvedObject: corev1.ObjectReference{
			Kind: kindStatefulSet, Namespace: set.Namespace, Name: set.Name, UID: set.UID,
		},
		Reason: "FailedCreate", Message: message, Count: 1, LastTimestamp: now,
	}))
}

// name returns the name of the event with that text: one for each of the first texts, and one for all others.
func (r *eventRecorder) name(set *appsv1.StatefulSet, message string) string {
	texts := r.texts[set.UID]
	if !slices.Contains(texts, message) && len(texts) < eventsAlike {
		texts = append(texts, message)
		r.texts[set.UID] = texts
	}
	if !slices.Contains(texts, message) {
		return fmt.Sprintf("%s.%s.combined", set.Name, set.UID)
	}
	hash := fnv.New32a()
	hash.Write([]byte(message))
	return fmt.Sprintf("%s.%s.%x", set.Name, set.UID, hash.Sum32())
}

// take reports whether another event about the object may be recorded, and counts it.
func (r *eventRecorder) take(object types.UID) bool {
	now := r.world.clock.Now()
	if r.refilled[object].IsZero() {
		r.tokens[object], r.refilled[object] = eventBurst, now
	}
	for r.tokens[object] < eventBurst && now.Sub(r.refilled[object]) >= eventRefill {
		r.tokens[object]++
		r.refilled[object] = r.refilled[object].Add(eventRefill)
	}
	if r.tokens[object] == eventBurst {
		r.refilled[object] = now
	}
	if r.tokens[object] == 0 {
		return false
	}
	r.tokens[object]--
	return true
}

// TakeAside removes a label that a pod is selected by, as people do to look into the pod. Its StatefulSet releases it.
func (w *World) TakeAside(key types.NamespacedName, label string) {
	w.t.Helper()
	pod := getOf[*corev1.Pod](w.API, kindPod, key)
	w.User("takes pod "+key.Name+" aside", func() error {
		if pod != nil {
			w.takeAside(pod)
			update(w.API, pod, func(pod *corev1.Pod) {
				pod.Labels, pod.OwnerReferences = maps.Clone(pod.Labels), nil
				delete(pod.Labels, label)
			})
		}
		return nil
	})
}

// fieldsOf returns the fields of an object that a cache may select by.
func fieldsOf(object client.Object) map[string]string {
	event, ok := object.(*corev1.Event)
	if !ok {
		return nil
	}
	return map[string]string{"reason": event.Reason, "involvedObject.kind": event.InvolvedObject.Kind}
}
