// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"crypto/sha1" //nolint:gosec // The contract's keys are SHA-1.
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/test/cluster"
	"github.com/leaderworkerset/lws-operator/test/objects"
)

const (
	// deadline bounds each wait. On an idle machine, most waits take a second.
	deadline = 90 * time.Second

	// pollInterval is the interval at which consistently runs its check.
	pollInterval = 500 * time.Millisecond

	// image is the image of the pods; nextImage is the image that they are updated to.
	image     = "registry.k8s.io/pause:3.10"
	nextImage = "registry.k8s.io/pause:3.9"
)

// newNamespace creates a namespace for one test. If the test fails, newNamespace logs the content of the namespace.
func newNamespace(t *testing.T) string {
	t.Helper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "e2e-"}}
	create(t, namespace)
	t.Cleanup(func() {
		if t.Failed() {
			dump(t, namespace.Name)
		}
		if suite.cluster == nil { // A local cluster is deleted as a whole.
			if err := suite.client.Delete(context.WithoutCancel(t.Context()), namespace); err != nil {
				t.Error(err)
			}
		}
	})
	return namespace.Name
}

// newSet returns a LeaderWorkerSet with the changes applied. It doesn't create the set.
func newSet(
	namespace, name string, replicas, size int32, changes ...func(*leaderworkersetv1.LeaderWorkerSet),
) *leaderworkersetv1.LeaderWorkerSet {
	lws := &leaderworkersetv1.LeaderWorkerSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: leaderworkersetv1.LeaderWorkerSetSpec{
			Replicas: ptr.To(replicas),
			LeaderWorkerTemplate: leaderworkersetv1.LeaderWorkerTemplate{
				Size:           ptr.To(size),
				WorkerTemplate: podTemplate(),
			},
		},
	}
	for _, change := range changes {
		change(lws)
	}
	return lws
}

// podTemplate returns the template of a pod with one container.
func podTemplate() corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "server", Image: image}}}}
}

// annotated adds an annotation to a template. Simulated pods read some annotations.
func annotated(template corev1.PodTemplateSpec, key, value string) corev1.PodTemplateSpec {
	template.Annotations = maps.Clone(template.Annotations)
	metav1.SetMetaDataAnnotation(&template.ObjectMeta, key, value)
	return template
}

// readyAfter makes all pods of the set ready after a duration. Only simulated pods obey it.
func readyAfter(duration string) func(*leaderworkersetv1.LeaderWorkerSet) {
	return func(lws *leaderworkersetv1.LeaderWorkerSet) {
		template := &lws.Spec.LeaderWorkerTemplate.WorkerTemplate
		*template = annotated(*template, cluster.ReadyAfterAnnotation, duration)
	}
}

// uniquePerReplica gives each group its own Service.
func uniquePerReplica(lws *leaderworkersetv1.LeaderWorkerSet) {
	lws.Spec.NetworkConfig = &leaderworkersetv1.NetworkConfig{
		SubdomainPolicy: ptr.To(leaderworkersetv1.SubdomainUniquePerReplica),
	}
}

// create creates objects.
func create(t *testing.T, objects ...client.Object) {
	t.Helper()
	for _, object := range objects {
		if err := suite.client.Create(t.Context(), object); err != nil {
			t.Fatalf("create %T %s: %v", object, object.GetName(), err)
		}
	}
}

// remove deletes an object.
func remove(t *testing.T, object client.Object, options ...client.DeleteOption) {
	t.Helper()
	if err := suite.client.Delete(t.Context(), object, options...); err != nil {
		t.Fatalf("delete %T %s: %v", object, object.GetName(), err)
	}
}

// refresh reads an object again.
func refresh(t *testing.T, object client.Object) {
	t.Helper()
	if err := suite.client.Get(t.Context(), client.ObjectKeyFromObject(object), object); err != nil {
		t.Fatalf("get %T %s: %v", object, object.GetName(), err)
	}
}

// edit changes the latest version of an object by a merge patch. It keeps concurrent changes of other fields.
func edit[T client.Object](t *testing.T, object T, change func(T)) {
	t.Helper()
	refresh(t, object)
	before, ok := object.DeepCopyObject().(T)
	if !ok {
		t.Fatalf("the copy of a %T is a %T", object, before)
	}
	change(object)
	if err := suite.client.Patch(t.Context(), object, client.MergeFrom(before)); err != nil {
		t.Fatalf("edit %T %s: %v", object, object.GetName(), err)
	}
}

// eventually waits until the check returns no error.
func eventually(t *testing.T, check func(context.Context) error) {
	t.Helper()
	if err := objects.Until(t.Context(), deadline, check); err != nil {
		t.Fatal(err)
	}
}

// consistently checks for a duration that the check returns no error.
func consistently(t *testing.T, duration time.Duration, check func() error) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), pollInterval, duration, true, func(context.Context) (bool, error) {
		return false, check()
	})
	if err != nil && !wait.Interrupted(err) {
		t.Fatal(err)
	}
}

// untilAvailable waits until the operator has observed the set's spec and all groups are available.
func untilAvailable(t *testing.T, lws *leaderworkersetv1.LeaderWorkerSet) {
	t.Helper()
	eventually(t, func(ctx context.Context) error {
		if err := suite.client.Get(ctx, client.ObjectKeyFromObject(lws), lws); err != nil {
			return err
		}
		if !available(lws) {
			return fmt.Errorf("LeaderWorkerSet %s isn't available: generation %d, status %+v",
				lws.Name, lws.Generation, lws.Status)
		}
		return nil
	})
}

// available reports whether the status is of the set's latest generation, the set is available and no update is in
// progress.
func available(lws *leaderworkersetv1.LeaderWorkerSet) bool {
	return lws.Status.ObservedGeneration == lws.Generation &&
		meta.IsStatusConditionTrue(lws.Status.Conditions, leaderworkersetv1.ConditionAvailable) &&
		meta.IsStatusConditionFalse(lws.Status.Conditions, leaderworkersetv1.ConditionUpdateInProgress)
}

// untilDeleted waits until an object doesn't exist. Another object of the same name may exist.
func untilDeleted(t *testing.T, object client.Object) {
	t.Helper()
	uid := object.GetUID()
	eventually(t, func(ctx context.Context) error {
		err := suite.client.Get(ctx, client.ObjectKeyFromObject(object), object)
		switch {
		case apierrors.IsNotFound(err):
			return nil
		case err != nil:
			return err
		case object.GetUID() != uid:
			return nil
		}
		return fmt.Errorf("%T %s still exists", object, object.GetName())
	})
}

// untilNamed waits until the listed objects have exactly these names.
func untilNamed[T client.Object](t *testing.T, list func(context.Context) ([]T, error), names ...string) {
	t.Helper()
	names = slices.Sorted(slices.Values(names))
	eventually(t, func(ctx context.Context) error {
		found, err := list(ctx)
		if err != nil {
			return err
		}
		if diff := cmp.Diff(names, namesOf(found)); diff != "" {
			return fmt.Errorf("names (-want +got):\n%s", diff)
		}
		return nil
	})
}

// listed lists objects. The test fails if the API server returns an error.
func listed[T client.Object](t *testing.T, list func(context.Context) ([]T, error)) []T {
	t.Helper()
	found, err := list(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func podsIn(namespace string, options ...client.ListOption) func(context.Context) ([]*corev1.Pod, error) {
	return func(ctx context.Context) ([]*corev1.Pod, error) {
		var list corev1.PodList
		err := suite.client.List(ctx, &list, append(options, client.InNamespace(namespace))...)
		return pointers(list.Items), err
	}
}

func statefulSetsIn(namespace string) func(context.Context) ([]*appsv1.StatefulSet, error) {
	return func(ctx context.Context) ([]*appsv1.StatefulSet, error) {
		var list appsv1.StatefulSetList
		err := suite.client.List(ctx, &list, client.InNamespace(namespace))
		return pointers(list.Items), err
	}
}

func servicesIn(namespace string) func(context.Context) ([]*corev1.Service, error) {
	return func(ctx context.Context) ([]*corev1.Service, error) {
		var list corev1.ServiceList
		err := suite.client.List(ctx, &list, client.InNamespace(namespace))
		return pointers(list.Items), err
	}
}

func claimsIn(namespace string) func(context.Context) ([]*corev1.PersistentVolumeClaim, error) {
	return func(ctx context.Context) ([]*corev1.PersistentVolumeClaim, error) {
		var list corev1.PersistentVolumeClaimList
		err := suite.client.List(ctx, &list, client.InNamespace(namespace))
		return pointers(list.Items), err
	}
}

// revisionsIn lists all ControllerRevisions, those of the StatefulSet controller included.
func revisionsIn(namespace string) func(context.Context) ([]*appsv1.ControllerRevision, error) {
	return func(ctx context.Context) ([]*appsv1.ControllerRevision, error) {
		var list appsv1.ControllerRevisionList
		err := suite.client.List(ctx, &list, client.InNamespace(namespace))
		return pointers(list.Items), err
	}
}

// namesOf returns the sorted names of objects.
func namesOf[T client.Object](objects []T) []string {
	var names []string
	for _, object := range objects {
		names = append(names, object.GetName())
	}
	slices.Sort(names)
	return names
}

// named returns the object with that name. The test fails if there is none.
func named[T client.Object](t *testing.T, objects []T, name string) T {
	t.Helper()
	i := slices.IndexFunc(objects, func(object T) bool { return object.GetName() == name })
	if i < 0 {
		t.Fatalf("no %q among %v", name, namesOf(objects))
	}
	return objects[i]
}

// podNames returns the names of all pods of a set.
func podNames(set string, replicas, size int32) []string {
	var names []string
	for group := range replicas {
		names = append(names, fmt.Sprintf("%s-%d", set, group))
		for worker := int32(1); worker < size; worker++ {
			names = append(names, fmt.Sprintf("%s-%d-%d", set, group, worker))
		}
	}
	return names
}

// statefulSetNames returns the names of all StatefulSets of a set whose groups have workers.
func statefulSetNames(set string, replicas int32) []string {
	return append(podNames(set, replicas, 1), set)
}

// uidsOf returns the UIDs of objects, by name.
func uidsOf[T client.Object](objects []T) map[string]string {
	uids := map[string]string{}
	for _, object := range objects {
		uids[object.GetName()] = string(object.GetUID())
	}
	return uids
}

// exactlyReady returns a check that exactly these pods exist, all of them ready and with that image.
func exactlyReady(names []string, image string) func(map[string]*corev1.Pod) error {
	return func(state map[string]*corev1.Pod) error {
		for _, name := range names {
			if pod := state[name]; pod == nil || !objects.PodReady(pod) || pod.Spec.Containers[0].Image != image {
				return fmt.Errorf("%s isn't ready with %s", name, image)
			}
		}
		return unless(len(state) == len(names), "there are %d pods, not %d", len(state), len(names))
	}
}

// sha1Hex computes a key as the operator computes the keys of groups and subgroups.
func sha1Hex(s string) string {
	sum := sha1.Sum([]byte(s)) //nolint:gosec // See the import.
	return hex.EncodeToString(sum[:])
}

// check reports a difference between want and got.
func check(t *testing.T, what string, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func pointers[T any](items []T) []*T {
	result := make([]*T, len(items))
	for i := range items {
		result[i] = &items[i]
	}
	return result
}

// unless returns an error unless the condition holds.
func unless(holds bool, format string, args ...any) error {
	if holds {
		return nil
	}
	return fmt.Errorf(format, args...)
}

// with returns a new map with the entries of both maps. The entries of more win.
func with[V any](base, more map[string]V) map[string]V {
	result := maps.Clone(base)
	maps.Copy(result, more)
	return result
}
