// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package apply_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/apply"
	"github.com/leaderworkerset/lws-operator/internal/controller/write"
)

// statefulSets is the resource in errors of the API server.
var statefulSets = schema.GroupResource{Group: "apps", Resource: "statefulsets"}

// newApplier returns an applier for an API server that holds the objects. The interceptors replace its answers.
func newApplier(t *testing.T, answers interceptor.Funcs, objects ...client.Object) *apply.Applier {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), leaderworkersetv1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	if answers.Patch == nil {
		answers.Patch = patchLikeAPIServer
	}
	c := fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).
		WithStatusSubresource(&leaderworkersetv1.LeaderWorkerSet{}).WithInterceptorFuncs(answers).Build()
	return &apply.Applier{Client: c, Live: c}
}

// patchLikeAPIServer answers a JSON patch whose test fails with the error of a real API server.
func patchLikeAPIServer(
	ctx context.Context, c client.WithWatch, object client.Object, patch client.Patch, options ...client.PatchOption,
) error {
	err := c.Patch(ctx, object, patch, options...)
	if err != nil && patch.Type() == types.JSONPatchType && apierrors.ReasonForError(err) == metav1.StatusReasonUnknown {
		return apierrors.NewGenericServerResponse(http.StatusUnprocessableEntity, "", schema.GroupResource{}, "", err.Error(),
			0, false)
	}
	return err
}

func newStatefulSet(name, ownerUID string) *appsv1.StatefulSet {
	sts := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{
		Name: name, Namespace: "default", UID: types.UID("uid of " + name), Generation: 1,
	}}
	if ownerUID != "" {
		sts.OwnerReferences = []metav1.OwnerReference{{
			APIVersion: "v1", Kind: "Pod", Name: "x", UID: types.UID(ownerUID), Controller: ptr.To(true),
		}}
	}
	return sts
}

func newPod(name string) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Name: name, Namespace: "default", UID: types.UID("uid of pod " + name),
	}}
}

// names returns the names of all StatefulSets.
func names(t *testing.T, applier *apply.Applier) []string {
	t.Helper()
	var list appsv1.StatefulSetList
	if err := applier.Client.List(t.Context(), &list); err != nil {
		t.Fatal(err)
	}
	var all []string
	for i := range list.Items {
		all = append(all, list.Items[i].Name)
	}
	return all
}

func TestWritesInOrder(t *testing.T) {
	existing, deleted := newStatefulSet("existing", "me"), newStatefulSet("deleted", "me")
	applier := newApplier(t, interceptor.Funcs{}, existing, deleted)
	if err := applier.Client.Get(t.Context(), client.ObjectKeyFromObject(existing), existing); err != nil {
		t.Fatal(err)
	}
	changed := existing.DeepCopy()
	changed.Spec.Replicas = ptr.To[int32](7)
	err := applier.Writes(t.Context(), []write.Write{
		{Create: newStatefulSet("new", "me")},
		{Patch: &write.Patch{From: existing, To: changed}, If: write.SameSpec},
		{Delete: []write.Object{deleted}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"existing", "new"}, names(t, applier)); diff != "" {
		t.Errorf("StatefulSets (-want +got):\n%s", diff)
	}
	err = applier.Client.Get(t.Context(), client.ObjectKeyFromObject(existing), existing)
	if err != nil || *existing.Spec.Replicas != 7 {
		t.Errorf("got %v replicas and error %v, want 7", existing.Spec.Replicas, err)
	}
}

func TestWritesStopAtTheFirstError(t *testing.T) {
	applier := newApplier(t, interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, object client.Object, options ...client.CreateOption) error {
			if object.GetName() == "b" {
				return apierrors.NewForbidden(statefulSets, "b", errors.New("quota"))
			}
			return c.Create(ctx, object, options...)
		},
	})
	err := applier.Writes(t.Context(), []write.Write{
		{Create: newStatefulSet("a", "me")}, {Create: newStatefulSet("b", "me")}, {Create: newStatefulSet("c", "me")},
	})
	if !apierrors.IsForbidden(err) {
		t.Errorf("got %v, want the API server's error", err)
	}
	if diff := cmp.Diff([]string{"a"}, names(t, applier)); diff != "" {
		t.Errorf("StatefulSets (-want +got):\n%s", diff)
	}
}

// TestDeletionsInParallel makes every deletion take a second of a fake clock.
func TestDeletionsInParallel(t *testing.T) {
	writes := []write.Write{
		{Delete: []write.Object{newPod("a"), newPod("b"), newPod("c")}},
		{Delete: []write.Object{newStatefulSet("a", "me"), newStatefulSet("b", "me")}},
		{Create: newStatefulSet("new", "me")},
		{Delete: []write.Object{newStatefulSet("c", "me")}},
	}
	forbidden := func(name string) error {
		return apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, name, errors.New("no"))
	}
	for _, tc := range []struct {
		name      string
		deletions int
		failing   []string // pods
		want      []string
		wantError error
	}{
		{
			name: "one at a time",
			want: []string{
				"0s delete *v1.Pod a", "1s delete *v1.Pod b", "2s delete *v1.Pod c", "3s delete *v1.StatefulSet a",
				"4s delete *v1.StatefulSet b",
				"5s create *v1.StatefulSet new", "5s delete *v1.StatefulSet c",
			},
		},
		{
			name: "two at a time", deletions: 2,
			want: []string{
				"0s delete *v1.Pod a", "0s delete *v1.Pod b", "1s delete *v1.Pod c", "2s delete *v1.StatefulSet a",
				"2s delete *v1.StatefulSet b",
				"3s create *v1.StatefulSet new", "3s delete *v1.StatefulSet c",
			},
		},
		{
			name: "more than objects", deletions: 16,
			want: []string{
				"0s delete *v1.Pod a", "0s delete *v1.Pod b", "0s delete *v1.Pod c", "1s delete *v1.StatefulSet a",
				"1s delete *v1.StatefulSet b",
				"2s create *v1.StatefulSet new", "2s delete *v1.StatefulSet c",
			},
		},
		{
			name: "some fail", deletions: 16, failing: []string{"b", "c"},
			want:      []string{"0s delete *v1.Pod a", "0s delete *v1.Pod b", "0s delete *v1.Pod c"},
			wantError: forbidden("b"),
		},
		{
			name: "the first one fails, one at a time", deletions: 1, failing: []string{"a"},
			want:      []string{"0s delete *v1.Pod a"},
			wantError: forbidden("a"),
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var mutex sync.Mutex
				var got []string
				began := time.Now()
				record := func(what string, object client.Object) {
					mutex.Lock()
					defer mutex.Unlock()
					got = append(got, fmt.Sprintf("%s %s %T %s", time.Since(began), what, object, object.GetName()))
				}
				applier := newApplier(t, interceptor.Funcs{
					Create: func(_ context.Context, _ client.WithWatch, object client.Object, _ ...client.CreateOption) error {
						record("create", object)
						return nil
					},
					Delete: func(_ context.Context, _ client.WithWatch, object client.Object, _ ...client.DeleteOption) error {
						record("delete", object)
						time.Sleep(time.Second) //nolint:forbidigo // Of a fake clock.
						if slices.Contains(tc.failing, object.GetName()) {
							return forbidden(object.GetName())
						}
						return nil
					},
				})
				applier.Deletions = tc.deletions
				err := applier.Writes(t.Context(), writes)
				if (err == nil) != (tc.wantError == nil) || (err != nil && err.Error() != tc.wantError.Error()) {
					t.Errorf("got error %v, want %v", err, tc.wantError)
				}
				slices.Sort(got) // Writes at the same time have no order.
				if diff := cmp.Diff(tc.want, got); diff != "" {
					t.Errorf("writes (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestRefusedErrors(t *testing.T) {
	terminating := apierrors.NewForbidden(statefulSets, "a", errors.New("namespace is being terminated"))
	terminating.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: corev1.NamespaceTerminatingCause}}
	for _, tc := range []struct {
		name             string
		err              error
		refused, ignored bool
	}{
		{name: "forbidden", err: apierrors.NewForbidden(statefulSets, "a", errors.New("quota")), refused: true},
		{
			name: "invalid", refused: true,
			err: apierrors.NewInvalid(schema.GroupKind{Group: "apps", Kind: "StatefulSet"}, "a", nil),
		},
		{name: "can't be decoded", err: apierrors.NewInvalid(schema.GroupKind{}, "", field.ErrorList{
			field.TypeInvalid(field.NewPath("patch"), "{}", "no"),
		}), refused: true},
		{name: "a webhook that says it is invalid", err: &apierrors.StatusError{ErrStatus: metav1.Status{
			Status: metav1.StatusFailure, Code: http.StatusUnprocessableEntity,
			Message: `admission webhook "policy" denied the request: no`,
		}}, refused: true},
		{name: "bad request", err: apierrors.NewBadRequest("no"), refused: true},
		{name: "a webhook that fails", err: apierrors.NewInternalError(errors.New("no")), refused: true},
		{name: "too large", err: apierrors.NewRequestEntityTooLargeError("no"), refused: true},
		{name: "namespace terminating", err: terminating, ignored: true},
		{name: "overload", err: apierrors.NewTooManyRequests("later", 1)},
		{name: "timeout", err: apierrors.NewTimeoutError("later", 1)},
		{name: "API server out of reach", err: errors.New("connection refused")},
	} {
		t.Run(tc.name, func(t *testing.T) {
			applier := newApplier(t, interceptor.Funcs{
				Create: func(context.Context, client.WithWatch, client.Object, ...client.CreateOption) error { return tc.err },
				Patch: func(context.Context, client.WithWatch, client.Object, client.Patch, ...client.PatchOption) error {
					return tc.err
				},
				Delete: func(context.Context, client.WithWatch, client.Object, ...client.DeleteOption) error { return tc.err },
			}, newStatefulSet("a", "me"))
			sts := newStatefulSet("a", "me")
			for verb, planned := range map[apply.Verb]write.Write{
				apply.VerbCreate: {Create: sts},
				apply.VerbPatch:  {Patch: &write.Patch{From: sts, To: sts}, If: write.SameSpec},
				apply.VerbDelete: {Delete: []write.Object{sts}},
			} {
				err := applier.Writes(t.Context(), []write.Write{planned})
				checkRefusal(t, err, verb, tc.err, tc.refused, tc.ignored)
			}
		})
	}
}

func checkRefusal(t *testing.T, got error, verb apply.Verb, cause error, refused, ignored bool) {
	t.Helper()
	var refusal *apply.RefusedError
	switch {
	case ignored && got != nil:
		t.Errorf("got %v, want no error", got)
	case !ignored && !errors.Is(got, cause):
		t.Errorf("got %v, want %v", got, cause)
	case errors.As(got, &refusal) != refused:
		t.Errorf("%v is marked as refused: %t, want %t", got, !refused, refused)
	case refused && (refusal.Verb != verb || refusal.Error() != cause.Error()):
		t.Errorf("got verb %s and message %q, want %s and %q", refusal.Verb, refusal.Error(), verb, cause)
	}
}

func TestCreateExisting(t *testing.T) {
	for _, tc := range []struct {
		name, owner string
		want        string // the error that users see; empty for none
	}{
		{"the same owner: an earlier creation", "me", ""},
		{"another owner", "another", `StatefulSet "a" exists and belongs to somebody else`},
		{"no owner", "", `StatefulSet "a" exists and belongs to somebody else`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			applier := newApplier(t, interceptor.Funcs{}, newStatefulSet("a", tc.owner))
			err := applier.Writes(t.Context(), []write.Write{
				{Create: newStatefulSet("a", "me")}, {Create: newStatefulSet("b", "me")},
			})
			var refusal *apply.RefusedError
			switch {
			case tc.want == "" && err != nil:
				t.Errorf("got %v, want no error", err)
			case tc.want != "" && (!errors.As(err, &refusal) || refusal.Error() != tc.want ||
				refusal.Verb != apply.VerbCreate):
				t.Errorf("got %v, want a refusal: %q", err, tc.want)
			}
			if got, want := slices.Contains(names(t, applier), "b"), tc.want == ""; got != want {
				t.Errorf("the next write was made: %t, want %t", got, want)
			}
		})
	}
}

// TestCreateMustBeNew creates an object on which the next write relies.
func TestCreateMustBeNew(t *testing.T) {
	for _, tc := range []struct {
		name     string
		existing []client.Object
		isNew    bool
	}{
		{"it doesn't exist", nil, true},
		{"an earlier creation has succeeded", []client.Object{newStatefulSet("a", "me")}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			applier := newApplier(t, interceptor.Funcs{}, tc.existing...)
			err := applier.Writes(t.Context(), []write.Write{
				{Create: newStatefulSet("a", "me"), MustBeNew: true, Optional: true}, {Create: newStatefulSet("b", "me")},
			})
			if (err == nil) != tc.isNew || apierrors.IsConflict(err) == tc.isNew {
				t.Errorf("got %v", err)
			}
			if got := slices.Contains(names(t, applier), "b"); got != tc.isNew {
				t.Errorf("the next write was made: %t, want %t", got, tc.isNew)
			}
		})
	}
}

// TestCreateDeletedMeanwhile deletes the existing object before the applier reads it: another attempt helps.
func TestCreateDeletedMeanwhile(t *testing.T) {
	applier := newApplier(t, interceptor.Funcs{
		Create: func(context.Context, client.WithWatch, client.Object, ...client.CreateOption) error {
			return apierrors.NewAlreadyExists(statefulSets, "a")
		},
	})
	err := applier.Writes(t.Context(), []write.Write{{Create: newStatefulSet("a", "me")}})
	var refusal *apply.RefusedError
	if err == nil || errors.As(err, &refusal) {
		t.Errorf("got %v, want an error that isn't refused", err)
	}
}

// TestPreconditions patches an object that may have changed since it was observed.
func TestPreconditions(t *testing.T) {
	type sts = appsv1.StatefulSet
	scaled := func(s *sts) { s.Spec.Replicas, s.Generation = ptr.To[int32](3), s.Generation+1 }
	ready := func(s *sts) { s.Status.ReadyReplicas = 3 }
	annotated := func(s *sts) { s.Annotations = map[string]string{"released": "{}"} }
	renamed := func(s *sts) { s.Spec.ServiceName = "x" }
	labeled := func(s *sts) { s.Labels = map[string]string{"team": "inference"} }
	unchanged := func(*sts) {}
	owned := func(s *sts) {
		s.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Pod", Name: "me", UID: "me"}}
	}
	for _, tc := range []struct {
		name              string
		meanwhile, change func(*sts)
		precondition      write.Precondition
		conflict          bool
	}{
		{"the same spec, after another spec", scaled, renamed, write.SameSpec, true},
		{"the same spec, after another status", ready, renamed, write.SameSpec, false},
		{"the same spec, after another annotation", annotated, renamed, write.SameSpec, true},
		{"the same spec, unchanged", unchanged, annotated, write.SameSpec, false},
		{"the same version, after another status", ready, owned, write.SameVersion, true},
		{"the same version, unchanged", unchanged, owned, write.SameVersion, false},
		{"exists, after another spec", scaled, labeled, write.Exists, false},
		{"the same UID, after another spec", scaled, labeled, write.SameUID, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			applier := newApplier(t, interceptor.Funcs{}, newStatefulSet("a", ""))
			observed, changed := observedAndChanged(t, applier, tc.meanwhile, tc.change)
			planned := write.Write{Patch: &write.Patch{From: observed, To: changed}, If: tc.precondition}
			wantConflict(t, applier.Writes(t.Context(), []write.Write{planned}), tc.conflict)
		})
	}
}

// TestPreconditionsOfDeleted writes an object that was deleted after it was observed.
func TestPreconditionsOfDeleted(t *testing.T) {
	observed := newStatefulSet("a", "me")
	changed := observed.DeepCopy()
	changed.Labels = map[string]string{"team": "inference"}
	patch := &write.Patch{From: observed, To: changed}
	for _, tc := range []struct {
		name     string
		write    write.Write
		conflict bool
	}{
		{"exists", write.Write{Patch: patch, If: write.Exists}, true},
		{"the same UID", write.Write{Patch: patch, If: write.SameUID}, false},
		{"the same spec", write.Write{Patch: patch, If: write.SameSpec}, true},
		{"the same version", write.Write{Patch: patch, If: write.SameVersion}, true},
		{"check", write.Write{Check: observed}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			applier := newApplier(t, interceptor.Funcs{})
			wantConflict(t, applier.Writes(t.Context(), []write.Write{tc.write}), tc.conflict)
		})
	}
}

// TestCheck checks that an object is as it was observed, but for its status.
func TestCheck(t *testing.T) {
	for _, tc := range []struct {
		name      string
		meanwhile func(*appsv1.StatefulSet)
		conflict  bool
	}{
		{"unchanged", func(*appsv1.StatefulSet) {}, false},
		{"another status", func(s *appsv1.StatefulSet) { s.Status.ReadyReplicas = 3 }, false},
		{"another spec", func(s *appsv1.StatefulSet) { s.Generation++ }, true},
		{"another annotation", func(s *appsv1.StatefulSet) { s.Annotations = map[string]string{"a": "b"} }, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			applier := newApplier(t, interceptor.Funcs{}, newStatefulSet("a", ""))
			observed, _ := observedAndChanged(t, applier, tc.meanwhile, func(*appsv1.StatefulSet) {})
			before := observed.DeepCopy()
			wantConflict(t, applier.Writes(t.Context(), []write.Write{{Check: observed}}), tc.conflict)
			if diff := cmp.Diff(before, observed); diff != "" {
				t.Errorf("the check changed the observed object (-before +after):\n%s", diff)
			}
		})
	}
}

// observedAndChanged returns a StatefulSet as it was before it changed meanwhile, and a copy with a change to write.
func observedAndChanged(
	t *testing.T, applier *apply.Applier, meanwhile, change func(*appsv1.StatefulSet),
) (observed, changed *appsv1.StatefulSet) {
	t.Helper()
	observed = &appsv1.StatefulSet{}
	key := types.NamespacedName{Namespace: "default", Name: "a"}
	if err := applier.Client.Get(t.Context(), key, observed); err != nil {
		t.Fatal(err)
	}
	newer, changed := observed.DeepCopy(), observed.DeepCopy()
	meanwhile(newer)
	if !cmp.Equal(observed, newer) {
		if err := applier.Client.Update(t.Context(), newer); err != nil {
			t.Fatal(err)
		}
	}
	change(changed)
	return observed, changed
}

func wantConflict(t *testing.T, err error, conflict bool) {
	t.Helper()
	var refusal *apply.RefusedError
	if apierrors.IsConflict(err) != conflict || (err == nil) == conflict || errors.As(err, &refusal) {
		t.Errorf("got %v, want a conflict that isn't refused: %t", err, conflict)
	}
}

func TestDeleteDeleted(t *testing.T) {
	applier := newApplier(t, interceptor.Funcs{})
	err := applier.Writes(t.Context(), []write.Write{
		{Delete: []write.Object{newStatefulSet("a", "me")}}, {Create: newStatefulSet("b", "me")},
	})
	if err != nil {
		t.Errorf("got %v, want no error", err)
	}
	if diff := cmp.Diff([]string{"b"}, names(t, applier)); diff != "" {
		t.Errorf("StatefulSets (-want +got):\n%s", diff)
	}
}

// TestDeletionsAreRemembered writes about an object that was deleted, and that a late cache shows. The applier neither
// deletes nor relabels it again.
func TestDeletionsAreRemembered(t *testing.T) {
	deletions := 0
	applier := newApplier(t, interceptor.Funcs{
		Delete: func(ctx context.Context, c client.WithWatch, object client.Object, options ...client.DeleteOption) error {
			deletions++
			if deletions == 1 {
				return apierrors.NewTimeoutError("later", 1)
			}
			return c.Delete(ctx, object, options...)
		},
		Patch: func(context.Context, client.WithWatch, client.Object, client.Patch, ...client.PatchOption) error {
			return errors.New("the object was deleted")
		},
	}, newStatefulSet("a", "me"))
	deleted := newStatefulSet("a", "me")
	deleted.Labels = map[string]string{leaderworkersetv1.SetNameLabelKey: "llama"}
	if err := applier.Writes(t.Context(), []write.Write{{Delete: []write.Object{deleted}}}); !apierrors.IsTimeout(err) {
		t.Fatalf("got %v, want a timeout", err)
	}
	err := applier.Writes(t.Context(), []write.Write{{Delete: []write.Object{deleted, deleted}}, relabeling(deleted)})
	if err != nil || deletions != 2 {
		t.Errorf("got %v and %d deletions, want one that failed and one that didn't", err, deletions)
	}
	another := deleted.DeepCopy()
	another.UID = "another"
	err = applier.Writes(t.Context(), []write.Write{{Delete: []write.Object{another}}})
	if err != nil || deletions != 3 {
		t.Errorf("another one of the same name: got %v and %d deletions, want a third", err, deletions)
	}
}

// TestCreateForDeletedOwner creates a child after its owner was deleted, as a pass does whose view is late. The owner
// itself may exist for long: it terminates.
func TestCreateForDeletedOwner(t *testing.T) {
	owner := newPod("owner")
	owner.Finalizers = []string{"example.com/terminates"}
	applier := newApplier(t, interceptor.Funcs{}, owner)
	if err := applier.Writes(t.Context(), []write.Write{{Delete: []write.Object{owner}}}); err != nil {
		t.Fatal(err)
	}
	wantConflict(t, applier.Writes(t.Context(), []write.Write{{Create: newStatefulSet("child", string(owner.UID))}}), true)
	wantConflict(t, applier.Writes(t.Context(), []write.Write{{Create: newStatefulSet("other", "other")}}), false)
	if diff := cmp.Diff([]string{"other"}, names(t, applier)); diff != "" {
		t.Errorf("StatefulSets differ (-want +got):\n%s", diff)
	}
}

// TestDeleteCarriesTheUID checks the UID in a deletion: by now, another object may have the name.
func TestDeleteCarriesTheUID(t *testing.T) {
	var got client.DeleteOptions
	applier := newApplier(t, interceptor.Funcs{
		Delete: func(_ context.Context, _ client.WithWatch, _ client.Object, options ...client.DeleteOption) error {
			got.ApplyOptions(options)
			return apierrors.NewConflict(statefulSets, "a", errors.New("the UID is another one"))
		},
	})
	if err := applier.Writes(t.Context(), []write.Write{{Delete: []write.Object{newStatefulSet("a", "me")}}}); err != nil {
		t.Errorf("got %v, want no error", err)
	}
	if got.Preconditions == nil || ptr.Deref(got.Preconditions.UID, "") != "uid of a" {
		t.Errorf("preconditions are %v, want the UID", got.Preconditions)
	}
	if ptr.Deref(got.PropagationPolicy, "") != metav1.DeletePropagationBackground {
		t.Errorf("propagation is %v, want Background", got.PropagationPolicy)
	}
}

// TestStatusKeepsTheCachedObject reads the answer to a write into the written object, as clients do. The observed set,
// which the cache shares, must not change.
func TestStatusKeepsTheCachedObject(t *testing.T) {
	observed := &leaderworkersetv1.LeaderWorkerSet{ObjectMeta: metav1.ObjectMeta{
		Name: "llama", Namespace: "default", Labels: map[string]string{"team": "a"},
	}}
	observed.Status.Conditions = []metav1.Condition{{Type: leaderworkersetv1.ConditionAvailable, Message: "before"}}
	observed.Spec.LeaderWorkerTemplate.WorkerTemplate.Spec.Containers = []corev1.Container{{Name: "main"}}
	before := observed.DeepCopy()
	applier := newApplier(t, interceptor.Funcs{
		SubResourcePatch: func(
			_ context.Context, _ client.Client, _ string, object client.Object, _ client.Patch,
			_ ...client.SubResourcePatchOption,
		) error {
			answered, ok := object.(*leaderworkersetv1.LeaderWorkerSet)
			if !ok {
				return fmt.Errorf("%T isn't a LeaderWorkerSet", object)
			}
			answered.Labels["team"] = "b"
			answered.Status.Conditions[0].Message = "after"
			answered.Spec.LeaderWorkerTemplate.WorkerTemplate.Spec.Containers[0].Name = "other"
			return nil
		},
	})
	updated := observed.DeepCopy()
	updated.Status.Replicas = 3
	if err := applier.Status(t.Context(), observed, updated); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, observed); diff != "" {
		t.Errorf("the observed set (-before +after):\n%s", diff)
	}
}

func TestStatus(t *testing.T) {
	set := &leaderworkersetv1.LeaderWorkerSet{ObjectMeta: metav1.ObjectMeta{Name: "llama", Namespace: "default"}}
	applier := newApplier(t, interceptor.Funcs{}, set)
	read := func() *leaderworkersetv1.LeaderWorkerSet {
		lws := &leaderworkersetv1.LeaderWorkerSet{}
		if err := applier.Client.Get(t.Context(), client.ObjectKeyFromObject(set), lws); err != nil {
			t.Fatal(err)
		}
		return lws
	}
	observed := read()
	for _, tc := range []struct {
		name     string
		replicas int32
		conflict bool
	}{
		{"the latest version", 3, false},
		{"an earlier version", 4, true},
	} {
		updated := observed.DeepCopy()
		updated.Status.Replicas = tc.replicas
		err := applier.Status(t.Context(), observed, updated)
		if apierrors.IsConflict(err) != tc.conflict || (err == nil) == tc.conflict {
			t.Errorf("%s: got %v, want a conflict: %t", tc.name, err, tc.conflict)
		}
		if observed.Status.Replicas != 0 {
			t.Errorf("%s: the write changed the observed set", tc.name)
		}
		if got := read().Status.Replicas; got != 3 {
			t.Errorf("%s: status.replicas is %d, want 3", tc.name, got)
		}
	}
	if err := applier.Client.Delete(t.Context(), set.DeepCopy()); err != nil {
		t.Fatal(err)
	}
	if err := applier.Status(t.Context(), observed, observed.DeepCopy()); !apierrors.IsConflict(err) {
		t.Errorf("on what was deleted: got %v, want a conflict", err)
	}
}

func TestRecord(t *testing.T) {
	recorder := events.NewFakeRecorder(2)
	(&apply.Applier{Recorder: recorder}).Record(&leaderworkersetv1.LeaderWorkerSet{}, []write.Event{
		{
			Type: corev1.EventTypeNormal, Reason: leaderworkersetv1.ReasonAllGroupsReady,
			Action: "Reconcile", Note: "100% of groups",
		},
		{
			Type: corev1.EventTypeWarning, Reason: leaderworkersetv1.ReasonFailedCreate,
			Action: "Reconcile", Note: "quota",
		},
	})
	for _, want := range []string{"Normal AllGroupsReady 100% of groups", "Warning FailedCreate quota"} {
		if got := <-recorder.Events; got != want {
			t.Errorf("got event %q, want %q", got, want)
		}
	}
}

// TestPatchKeepsNumbers patches the largest grace period, which a floating-point number can't represent.
func TestPatchKeepsNumbers(t *testing.T) {
	const largest = math.MaxInt64
	applier := newApplier(t, interceptor.Funcs{}, newStatefulSet("a", "me"))
	observed := &appsv1.StatefulSet{}
	if err := applier.Client.Get(t.Context(), types.NamespacedName{Namespace: "default", Name: "a"},
		observed); err != nil {
		t.Fatal(err)
	}
	changed := observed.DeepCopy()
	changed.Spec.Template.Spec.TerminationGracePeriodSeconds = ptr.To[int64](largest)
	planned := write.Write{Patch: &write.Patch{From: observed, To: changed}, If: write.SameSpec}
	if err := applier.Writes(t.Context(), []write.Write{planned}); err != nil {
		t.Fatal(err)
	}
	if err := applier.Client.Get(t.Context(), client.ObjectKeyFromObject(observed), observed); err != nil {
		t.Fatal(err)
	}
	if got := *observed.Spec.Template.Spec.TerminationGracePeriodSeconds; got != largest {
		t.Errorf("grace period %d, want %d", got, int64(largest))
	}
}

// TestDeleteAfterConflict answers a deletion with a conflict. The applier doesn't remember the object as deleted.
func TestDeleteAfterConflict(t *testing.T) {
	deletions := 0
	applier := newApplier(t, interceptor.Funcs{
		Delete: func(context.Context, client.WithWatch, client.Object, ...client.DeleteOption) error {
			deletions++
			return apierrors.NewConflict(statefulSets, "a", errors.New("not now"))
		},
	})
	deleted := newStatefulSet("a", "me")
	err := applier.Writes(t.Context(), []write.Write{
		{Delete: []write.Object{deleted}}, {Delete: []write.Object{deleted}},
	})
	if err != nil || deletions != 2 {
		t.Errorf("got %v and %d deletions, want 2", err, deletions)
	}
}

// TestCreateRestoresLabels creates an object that exists without its labels, so that the cache doesn't show it. The
// creation restores the labels that select it.
func TestCreateRestoresLabels(t *testing.T) {
	labels := map[string]string{"set": "llama", "group": "1"}
	wanted := newStatefulSet("a", "me")
	wanted.Labels = map[string]string{"set": "llama", "group": "1", "team": "inference"}
	for _, tc := range []struct {
		name, owner string
		has, want   map[string]string
		writes      int
	}{
		{"all are missing", "me", nil, labels, 1},
		{"one is missing", "me", map[string]string{"set": "llama"}, labels, 1},
		{
			"one was changed", "me",
			map[string]string{"set": "mistral", "x": "y"}, map[string]string{"set": "llama", "group": "1", "x": "y"}, 1,
		},
		{"none is missing", "me", labels, labels, 0},
		{"another owner", "another", map[string]string{"app": "x"}, map[string]string{"app": "x"}, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			existing := newStatefulSet("a", tc.owner)
			existing.Labels = tc.has
			writes := 0
			applier := newApplier(t, interceptor.Funcs{
				Patch: func(
					ctx context.Context, c client.WithWatch, object client.Object, patch client.Patch,
					options ...client.PatchOption,
				) error {
					writes++
					return c.Patch(ctx, object, patch, options...)
				},
			}, existing)
			err := applier.Writes(t.Context(), []write.Write{{Create: wanted.DeepCopy(), CacheLabels: labels}})
			if (err != nil) != (tc.owner != "me") {
				t.Errorf("got %v", err)
			}
			if diff := cmp.Diff(tc.want, labelsOf(t, applier, "a")); diff != "" {
				t.Errorf("labels (-want +got):\n%s", diff)
			}
			if writes != tc.writes {
				t.Errorf("%d writes, want %d", writes, tc.writes)
			}
		})
	}
}

func labelsOf(t *testing.T, applier *apply.Applier, name string) map[string]string {
	t.Helper()
	sts := &appsv1.StatefulSet{}
	if err := applier.Client.Get(t.Context(), types.NamespacedName{Namespace: "default", Name: name}, sts); err != nil {
		t.Fatal(err)
	}
	return sts.Labels
}

// TestRelabel checks the UID in a patch of labels: by now, another object may have the name, or none.
func TestRelabel(t *testing.T) {
	unlabeled, another := newStatefulSet("a", ""), newStatefulSet("a", "")
	another.UID = "another"
	invalid := apierrors.NewInvalid(schema.GroupKind{Group: "apps", Kind: "StatefulSet"}, "a", nil)
	var sent string
	for _, tc := range []struct {
		name   string
		actual client.Object
		answer error
		fails  bool
	}{
		{"it exists", unlabeled, nil, false},
		{"it was deleted", another, apierrors.NewNotFound(statefulSets, "a"), false},
		{"another object has the name", another, invalid, false},
		{"the patch is invalid", unlabeled, invalid, true},
		{"the API server is out of reach", unlabeled, errors.New("connection refused"), true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			applier := newApplier(t, interceptor.Funcs{
				Patch: func(
					_ context.Context, _ client.WithWatch, object client.Object, patch client.Patch,
					_ ...client.PatchOption,
				) error {
					data, err := patch.Data(object)
					sent = string(data)
					return errors.Join(err, tc.answer)
				},
			}, tc.actual)
			if err := applier.Writes(t.Context(), []write.Write{relabeling(unlabeled)}); (err != nil) != tc.fails {
				t.Errorf("got %v, want an error: %t", err, tc.fails)
			}
			want := `{"metadata":{"labels":{"leaderworkerset.sigs.k8s.io/name":"llama"},"uid":"uid of a"}}`
			if sent != want {
				t.Errorf("got patch %s, want %s", sent, want)
			}
		})
	}
}

// relabeling returns a patch of the labels of a StatefulSet, of which only the name and the UID are known.
func relabeling(sts *appsv1.StatefulSet) write.Write {
	unlabeled := &metav1.PartialObjectMetadata{
		ObjectMeta: metav1.ObjectMeta{Name: sts.Name, Namespace: sts.Namespace, UID: sts.UID},
	}
	unlabeled.SetGroupVersionKind(appsv1.SchemeGroupVersion.WithKind("StatefulSet"))
	relabeled := unlabeled.DeepCopy()
	relabeled.Labels = map[string]string{leaderworkersetv1.SetNameLabelKey: "llama"}
	return write.Write{Patch: &write.Patch{From: unlabeled, To: relabeled}, If: write.SameUID}
}

// TestOwnerMustLive adopts and creates objects of an owner that may be deleted: its objects are the garbage
// collector's.
func TestOwnerMustLive(t *testing.T) {
	lws := &leaderworkersetv1.LeaderWorkerSet{ObjectMeta: metav1.ObjectMeta{Name: "llama", Namespace: "default",
		UID: "set"}}
	terminating := lws.DeepCopy()
	terminating.Finalizers, terminating.DeletionTimestamp = []string{metav1.FinalizerOrphanDependents},
		ptr.To(metav1.Now())
	another := lws.DeepCopy()
	another.UID = "another"
	for _, tc := range []struct {
		name  string
		exist []client.Object
		want  bool
	}{
		{"it exists", []client.Object{lws.DeepCopy()}, true},
		{"it terminates", []client.Object{terminating}, false},
		{"it was deleted", nil, false},
		{"another set has the name", []client.Object{another}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			applier := newApplier(t, interceptor.Funcs{}, append(tc.exist, newStatefulSet("a", ""))...)
			orphan := &appsv1.StatefulSet{}
			key := types.NamespacedName{Namespace: "default", Name: "a"}
			if err := applier.Client.Get(t.Context(), key, orphan); err != nil {
				t.Fatal(err)
			}
			adopted := orphan.DeepCopy()
			owner := metav1.NewControllerRef(lws, leaderworkersetv1.GroupVersion.WithKind("LeaderWorkerSet"))
			adopted.OwnerReferences = []metav1.OwnerReference{*owner}
			err := applier.Writes(t.Context(), []write.Write{{
				Patch: &write.Patch{From: orphan, To: adopted}, If: write.SameVersion, OwnerMustLive: owner,
			}})
			var refusal *apply.RefusedError
			if (err == nil) != tc.want || errors.As(err, &refusal) {
				t.Errorf("got %v, want a conflict: %t", err, !tc.want)
			}
			err = applier.Client.Get(t.Context(), key, orphan)
			if err != nil || (len(orphan.OwnerReferences) == 1) != tc.want {
				t.Errorf("owners are %v and error %v", orphan.OwnerReferences, err)
			}
			created := newStatefulSet("b", "")
			created.OwnerReferences = adopted.OwnerReferences
			err = applier.Writes(t.Context(), []write.Write{{Create: created, OwnerMustLive: owner}})
			if (err == nil) != tc.want || apierrors.IsConflict(err) == tc.want {
				t.Errorf("creating another one: got %v, want a conflict: %t", err, !tc.want)
			}
		})
	}
}

// TestOwnersAreLookedUpOnce creates two children of one owner, and one of another.
func TestOwnersAreLookedUpOnce(t *testing.T) {
	var lookups []string
	owner := func(name string) *leaderworkersetv1.LeaderWorkerSet {
		return &leaderworkersetv1.LeaderWorkerSet{
			ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default", UID: types.UID(name)},
		}
	}
	applier := newApplier(t, interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, into client.Object,
			options ...client.GetOption,
		) error {
			lookups = append(lookups, key.Name)
			return c.Get(ctx, key, into, options...)
		},
	}, owner("a"), owner("b"))
	var writes []write.Write
	for _, name := range []string{"a", "a", "b"} {
		child := newStatefulSet(fmt.Sprintf("%s-%d", name, len(writes)), "")
		reference := metav1.NewControllerRef(owner(name), leaderworkersetv1.GroupVersion.WithKind("LeaderWorkerSet"))
		child.OwnerReferences = []metav1.OwnerReference{*reference}
		writes = append(writes, write.Write{Create: child, OwnerMustLive: reference})
	}
	if err := applier.Writes(t.Context(), writes); err != nil {
		t.Fatal(err)
	}
	if want := []string{"a", "b"}; !slices.Equal(lookups, want) {
		t.Errorf("the owners %v were looked up, want %v", lookups, want)
	}
}

// TestOwnerMustBeGone deletes an object that may have outlived its owner.
func TestOwnerMustBeGone(t *testing.T) {
	owner := newStatefulSet("owner", "")
	owner.UID = "owner"
	another := owner.DeepCopy()
	another.UID = "another"
	for name, tc := range map[string]struct {
		exist   []client.Object
		deleted bool
	}{
		"it exists":                {[]client.Object{owner.DeepCopy()}, false},
		"it was deleted":           {nil, true},
		"another one has the name": {[]client.Object{another}, true},
	} {
		t.Run(name, func(t *testing.T) {
			applier := newApplier(t, interceptor.Funcs{}, append(tc.exist, newStatefulSet("a", ""))...)
			outlived := &appsv1.StatefulSet{}
			key := types.NamespacedName{Namespace: "default", Name: "a"}
			if err := applier.Client.Get(t.Context(), key, outlived); err != nil {
				t.Fatal(err)
			}
			err := applier.Writes(t.Context(), []write.Write{{
				Delete:          []write.Object{outlived},
				OwnerMustBeGone: metav1.NewControllerRef(owner, appsv1.SchemeGroupVersion.WithKind("StatefulSet")),
			}})
			if err != nil {
				t.Error(err)
			}
			err = applier.Client.Get(t.Context(), key, outlived)
			if apierrors.IsNotFound(err) != tc.deleted {
				t.Errorf("got %v, want the object deleted: %t", err, tc.deleted)
			}
		})
	}
}
