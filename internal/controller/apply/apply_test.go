// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package apply_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
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
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/plan"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/status"
)

// statefulSets is what errors of the API server are about.
var statefulSets = schema.GroupResource{Group: "apps", Resource: "statefulsets"}

// newApplier writes to an API server that holds the objects and answers as the interceptors say.
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

// patchLikeAPIServer answers a JSON patch whose test fails as an API server does.
func patchLikeAPIServer(ctx context.Context, c client.WithWatch, object client.Object, patch client.Patch, options ...client.PatchOption) error {
	err := c.Patch(ctx, object, patch, options...)
	if err != nil && patch.Type() == types.JSONPatchType && apierrors.ReasonForError(err) == metav1.StatusReasonUnknown {
		return apierrors.NewGenericServerResponse(http.StatusUnprocessableEntity, "", schema.GroupResource{}, "", err.Error(), 0, false)
	}
	return err
}

func newStatefulSet(name, ownerUID string) *appsv1.StatefulSet {
	sts := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default", UID: types.UID("uid of " + name), Generation: 1}}
	if ownerUID != "" {
		sts.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Pod", Name: "x", UID: types.UID(ownerUID), Controller: ptr.To(true)}}
	}
	return sts
}

func newPod(name string) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default", UID: types.UID("uid of pod " + name)}}
}

// names are the StatefulSets that exist.
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

func TestWritesCarriesOutInOrder(t *testing.T) {
	existing, doomed := newStatefulSet("existing", "me"), newStatefulSet("doomed", "me")
	applier := newApplier(t, interceptor.Funcs{}, existing, doomed)
	if err := applier.Client.Get(t.Context(), client.ObjectKeyFromObject(existing), existing); err != nil {
		t.Fatal(err)
	}
	changed := existing.DeepCopy()
	changed.Spec.Replicas = ptr.To[int32](7)
	err := applier.Writes(t.Context(), []plan.Write{
		{Create: newStatefulSet("new", "me")},
		{Patch: &plan.Patch{From: existing, To: changed}},
		{Delete: doomed},
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"existing", "new"}, names(t, applier)); diff != "" {
		t.Errorf("StatefulSets (-want +got):\n%s", diff)
	}
	if err := applier.Client.Get(t.Context(), client.ObjectKeyFromObject(existing), existing); err != nil || *existing.Spec.Replicas != 7 {
		t.Errorf("got %v replicas and error %v, want 7", existing.Spec.Replicas, err)
	}
}

func TestWritesStopsAtTheFirstError(t *testing.T) {
	applier := newApplier(t, interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, object client.Object, options ...client.CreateOption) error {
			if object.GetName() == "b" {
				return apierrors.NewForbidden(statefulSets, "b", errors.New("quota"))
			}
			return c.Create(ctx, object, options...)
		},
	})
	err := applier.Writes(t.Context(), []plan.Write{
		{Create: newStatefulSet("a", "me")}, {Create: newStatefulSet("b", "me")}, {Create: newStatefulSet("c", "me")},
	})
	if !apierrors.IsForbidden(err) {
		t.Errorf("got %v, want the API server's error", err)
	}
	if diff := cmp.Diff([]string{"a"}, names(t, applier)); diff != "" {
		t.Errorf("StatefulSets (-want +got):\n%s", diff)
	}
}

// TestWritesDeletesTogether has every deletion take a second of a clock that waits for nobody.
func TestWritesDeletesTogether(t *testing.T) {
	writes := []plan.Write{
		{Delete: newPod("a")}, {Delete: newPod("b")}, {Delete: newPod("c")},
		{Delete: newStatefulSet("a", "me")}, {Delete: newStatefulSet("b", "me")},
		{Create: newStatefulSet("new", "me")},
		{Delete: newStatefulSet("c", "me")},
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
				"0s delete *v1.Pod a", "1s delete *v1.Pod b", "2s delete *v1.Pod c", "3s delete *v1.StatefulSet a", "4s delete *v1.StatefulSet b",
				"5s create *v1.StatefulSet new", "5s delete *v1.StatefulSet c",
			},
		},
		{
			name: "two at a time", deletions: 2,
			want: []string{
				"0s delete *v1.Pod a", "0s delete *v1.Pod b", "1s delete *v1.Pod c", "2s delete *v1.StatefulSet a", "2s delete *v1.StatefulSet b",
				"3s create *v1.StatefulSet new", "3s delete *v1.StatefulSet c",
			},
		},
		{
			name: "more than there are", deletions: 16,
			want: []string{
				"0s delete *v1.Pod a", "0s delete *v1.Pod b", "0s delete *v1.Pod c", "1s delete *v1.StatefulSet a", "1s delete *v1.StatefulSet b",
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
				note := func(what string, object client.Object) {
					mutex.Lock()
					defer mutex.Unlock()
					got = append(got, fmt.Sprintf("%s %s %T %s", time.Since(began), what, object, object.GetName()))
				}
				applier := newApplier(t, interceptor.Funcs{
					Create: func(_ context.Context, _ client.WithWatch, object client.Object, _ ...client.CreateOption) error {
						note("create", object)
						return nil
					},
					Delete: func(_ context.Context, _ client.WithWatch, object client.Object, _ ...client.DeleteOption) error {
						note("delete", object)
						time.Sleep(time.Second) //nolint:forbidigo // Of a clock that waits for nobody.
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
				slices.Sort(got) // Those of a moment have no order.
				if diff := cmp.Diff(tc.want, got); diff != "" {
					t.Errorf("writes (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestWritesMarksWhatTheUserHasToKnow(t *testing.T) {
	terminating := apierrors.NewForbidden(statefulSets, "a", errors.New("namespace is being terminated"))
	terminating.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: corev1.NamespaceTerminatingCause}}
	for _, tc := range []struct {
		name            string
		err             error
		refused, passes bool
	}{
		{name: "forbidden", err: apierrors.NewForbidden(statefulSets, "a", errors.New("quota")), refused: true},
		{name: "invalid", err: apierrors.NewInvalid(schema.GroupKind{Group: "apps", Kind: "StatefulSet"}, "a", nil), refused: true},
		{name: "can't be decoded", err: apierrors.NewInvalid(schema.GroupKind{}, "", field.ErrorList{field.TypeInvalid(field.NewPath("patch"), "{}", "no")}), refused: true},
		{name: "a webhook that says it is invalid", err: &apierrors.StatusError{ErrStatus: metav1.Status{
			Status: metav1.StatusFailure, Code: http.StatusUnprocessableEntity, Message: `admission webhook "policy" denied the request: no`,
		}}, refused: true},
		{name: "bad request", err: apierrors.NewBadRequest("no"), refused: true},
		{name: "a webhook that fails", err: apierrors.NewInternalError(errors.New("no")), refused: true},
		{name: "too large", err: apierrors.NewRequestEntityTooLargeError("no"), refused: true},
		{name: "namespace terminating", err: terminating, passes: true},
		{name: "overload", err: apierrors.NewTooManyRequests("later", 1)},
		{name: "timeout", err: apierrors.NewTimeoutError("later", 1)},
		{name: "server away", err: errors.New("connection refused")},
	} {
		t.Run(tc.name, func(t *testing.T) {
			applier := newApplier(t, interceptor.Funcs{
				Create: func(context.Context, client.WithWatch, client.Object, ...client.CreateOption) error { return tc.err },
				Patch: func(context.Context, client.WithWatch, client.Object, client.Patch, ...client.PatchOption) error {
					return tc.err
				},
				Delete: func(context.Context, client.WithWatch, client.Object, ...client.DeleteOption) error { return tc.err },
			})
			sts := newStatefulSet("a", "me")
			for reason, write := range map[string]plan.Write{
				leaderworkersetv1.ReasonFailedCreate: {Create: sts},
				leaderworkersetv1.ReasonFailedUpdate: {Patch: &plan.Patch{From: sts, To: sts}},
			} {
				checkRefusal(t, applier.Writes(t.Context(), []plan.Write{write}), reason, tc.err, tc.refused, tc.passes)
			}
			checkRefusal(t, applier.Writes(t.Context(), []plan.Write{{Delete: sts}}), leaderworkersetv1.ReasonFailedUpdate, tc.err, tc.refused, tc.passes)
		})
	}
}

func checkRefusal(t *testing.T, got error, reason string, cause error, refused, passes bool) {
	t.Helper()
	var refusal *apply.RefusedError
	switch {
	case passes && got != nil:
		t.Errorf("got %v, want no error", got)
	case !passes && !errors.Is(got, cause):
		t.Errorf("got %v, want %v", got, cause)
	case errors.As(got, &refusal) != refused:
		t.Errorf("%v is marked as refused: %t, want %t", got, !refused, refused)
	case refused && (refusal.Reason != reason || refusal.Error() != cause.Error()):
		t.Errorf("got reason %s and message %q, want %s and %q", refusal.Reason, refusal.Error(), reason, cause)
	}
}

func TestCreateWhatExists(t *testing.T) {
	for _, tc := range []struct {
		name, owner string
		want        string // What the user is told.
	}{
		{"an earlier creation of ours", "me", ""},
		{"a stranger's", "stranger", `StatefulSet "a" exists and does not belong to this LeaderWorkerSet`},
		{"nobody's", "", `StatefulSet "a" exists and does not belong to this LeaderWorkerSet`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			applier := newApplier(t, interceptor.Funcs{}, newStatefulSet("a", tc.owner))
			err := applier.Writes(t.Context(), []plan.Write{{Create: newStatefulSet("a", "me")}, {Create: newStatefulSet("b", "me")}})
			var refusal *apply.RefusedError
			switch {
			case tc.want == "" && err != nil:
				t.Errorf("got %v, want no error", err)
			case tc.want != "" && (!errors.As(err, &refusal) || refusal.Error() != tc.want || refusal.Reason != leaderworkersetv1.ReasonFailedCreate):
				t.Errorf("got %v, want to be refused: %q", err, tc.want)
			}
			if got, want := slices.Contains(names(t, applier), "b"), tc.want == ""; got != want {
				t.Errorf("the next write was made: %t, want %t", got, want)
			}
		})
	}
}

// TestCreateWhatExistedAMomentAgo has the object in the way go before it is looked at: trying again helps.
func TestCreateWhatExistedAMomentAgo(t *testing.T) {
	applier := newApplier(t, interceptor.Funcs{
		Create: func(context.Context, client.WithWatch, client.Object, ...client.CreateOption) error {
			return apierrors.NewAlreadyExists(statefulSets, "a")
		},
	})
	err := applier.Writes(t.Context(), []plan.Write{{Create: newStatefulSet("a", "me")}})
	var refusal *apply.RefusedError
	if err == nil || errors.As(err, &refusal) {
		t.Errorf("got %v, want an error that isn't told", err)
	}
}

func TestPatchOfAnOldVersionConflicts(t *testing.T) {
	scaled := func(sts *appsv1.StatefulSet) { sts.Spec.Replicas, sts.Generation = ptr.To[int32](3), sts.Generation+1 }
	ready := func(sts *appsv1.StatefulSet) { sts.Status.ReadyReplicas = 3 }
	ordered := func(sts *appsv1.StatefulSet) {
		sts.Annotations = map[string]string{leaderworkersetv1.AheadAnnotationKey: "{}"}
	}
	unchanged := func(*appsv1.StatefulSet) {}
	owned := func(by string) func(*appsv1.StatefulSet) {
		return func(sts *appsv1.StatefulSet) {
			sts.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Pod", Name: by, UID: types.UID(by)}}
		}
	}
	for _, tc := range []struct {
		name            string
		meanwhile, wish func(*appsv1.StatefulSet)
		conflict        bool
	}{
		{"a change after another one", scaled, func(sts *appsv1.StatefulSet) { sts.Spec.ServiceName = "x" }, true},
		{"a change after another status", ready, func(sts *appsv1.StatefulSet) { sts.Spec.ServiceName = "x" }, false},
		{"a change after another order", ordered, func(sts *appsv1.StatefulSet) { sts.Spec.ServiceName = "x" }, true},
		{"another order after a change", scaled, ordered, true},
		{"a confirmation after a change", scaled, unchanged, true},
		{"a confirmation after another status", ready, unchanged, false},
		{"an owner after another one", owned("stranger"), owned("me"), true},
		{"labels after a change", scaled, func(sts *appsv1.StatefulSet) { sts.Labels = map[string]string{"team": "inference"} }, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			owner := newPod("me")
			owner.UID = "me"
			applier := newApplier(t, interceptor.Funcs{}, newStatefulSet("a", ""), owner)
			observed := &appsv1.StatefulSet{}
			if err := applier.Client.Get(t.Context(), types.NamespacedName{Namespace: "default", Name: "a"}, observed); err != nil {
				t.Fatal(err)
			}
			newer, wished := observed.DeepCopy(), observed.DeepCopy()
			tc.meanwhile(newer)
			if err := applier.Client.Update(t.Context(), newer); err != nil {
				t.Fatal(err)
			}
			tc.wish(wished)
			err := applier.Writes(t.Context(), []plan.Write{{Patch: &plan.Patch{From: observed, To: wished}}})
			var refusal *apply.RefusedError
			if apierrors.IsConflict(err) != tc.conflict || (err == nil) == tc.conflict || errors.As(err, &refusal) {
				t.Errorf("got %v, want a conflict that isn't told: %t", err, tc.conflict)
			}
		})
	}
}

func TestDeleteWhatIsGone(t *testing.T) {
	applier := newApplier(t, interceptor.Funcs{})
	if err := applier.Writes(t.Context(), []plan.Write{{Delete: newStatefulSet("a", "me")}, {Create: newStatefulSet("b", "me")}}); err != nil {
		t.Errorf("got %v, want no error", err)
	}
	if diff := cmp.Diff([]string{"b"}, names(t, applier)); diff != "" {
		t.Errorf("StatefulSets (-want +got):\n%s", diff)
	}
}

// TestWritesRemembersDeletions has a cache that is late show an object that was deleted: it is neither deleted nor relabeled again.
func TestWritesRemembersDeletions(t *testing.T) {
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
			return errors.New("nothing is left to relabel")
		},
	}, newStatefulSet("a", "me"))
	gone := newStatefulSet("a", "me")
	gone.Labels = map[string]string{leaderworkersetv1.SetNameLabelKey: "llama"}
	if err := applier.Writes(t.Context(), []plan.Write{{Delete: gone}}); !apierrors.IsTimeout(err) {
		t.Fatalf("got %v, want a timeout", err)
	}
	if err := applier.Writes(t.Context(), []plan.Write{{Delete: gone}, {Delete: gone}, {Relabel: gone}}); err != nil || deletions != 2 {
		t.Errorf("got %v and %d deletions, want one that failed and one that didn't", err, deletions)
	}
	another := gone.DeepCopy()
	another.UID = "another"
	if err := applier.Writes(t.Context(), []plan.Write{{Delete: another}}); err != nil || deletions != 3 {
		t.Errorf("another one of the same name: got %v and %d deletions, want a third", err, deletions)
	}
}

// TestDeleteCarriesTheUID: something else may have the name by now.
func TestDeleteCarriesTheUID(t *testing.T) {
	var got client.DeleteOptions
	applier := newApplier(t, interceptor.Funcs{
		Delete: func(_ context.Context, _ client.WithWatch, _ client.Object, options ...client.DeleteOption) error {
			got.ApplyOptions(options)
			return apierrors.NewConflict(statefulSets, "a", errors.New("the UID is another one"))
		},
	})
	if err := applier.Writes(t.Context(), []plan.Write{{Delete: newStatefulSet("a", "me")}}); err != nil {
		t.Errorf("got %v, want no error", err)
	}
	if got.Preconditions == nil || ptr.Deref(got.Preconditions.UID, "") != "uid of a" {
		t.Errorf("preconditions are %v, want the UID", got.Preconditions)
	}
	if ptr.Deref(got.PropagationPolicy, "") != metav1.DeletePropagationBackground {
		t.Errorf("propagation is %v, want Background", got.PropagationPolicy)
	}
}

// TestStatusLeavesTheCacheAlone has the answer to a write read into what was written, as clients do: the set in the cache is shared.
func TestStatusLeavesTheCacheAlone(t *testing.T) {
	observed := &leaderworkersetv1.LeaderWorkerSet{ObjectMeta: metav1.ObjectMeta{Name: "llama", Namespace: "default", Labels: map[string]string{"team": "a"}}}
	observed.Status.Conditions = []metav1.Condition{{Type: leaderworkersetv1.ConditionAvailable, Message: "before"}}
	observed.Spec.LeaderWorkerTemplate.WorkerTemplate.Spec.Containers = []corev1.Container{{Name: "main"}}
	before := observed.DeepCopy()
	applier := newApplier(t, interceptor.Funcs{
		SubResourcePatch: func(_ context.Context, _ client.Client, _ string, object client.Object, _ client.Patch, _ ...client.SubResourcePatchOption) error {
			answered, ok := object.(*leaderworkersetv1.LeaderWorkerSet)
			if !ok {
				return fmt.Errorf("%T is no LeaderWorkerSet", object)
			}
			answered.Labels["team"] = "b"
			answered.Status.Conditions[0].Message = "after"
			answered.Spec.LeaderWorkerTemplate.WorkerTemplate.Spec.Containers[0].Name = "other"
			return nil
		},
	})
	next := *observed.Status.DeepCopy()
	next.Replicas = 3
	if written, err := applier.Status(t.Context(), observed, next); !written || err != nil {
		t.Fatalf("written: %t, error %v", written, err)
	}
	if diff := cmp.Diff(before, observed); diff != "" {
		t.Errorf("what was observed (-before +after):\n%s", diff)
	}
}

func TestStatus(t *testing.T) {
	writes := 0
	applier := newApplier(t, interceptor.Funcs{
		SubResourcePatch: func(ctx context.Context, c client.Client, subResource string, object client.Object, patch client.Patch, options ...client.SubResourcePatchOption) error {
			writes++
			return c.SubResource(subResource).Patch(ctx, object, patch, options...)
		},
	}, &leaderworkersetv1.LeaderWorkerSet{ObjectMeta: metav1.ObjectMeta{Name: "llama", Namespace: "default"}})
	read := func() *leaderworkersetv1.LeaderWorkerSet {
		lws := &leaderworkersetv1.LeaderWorkerSet{}
		if err := applier.Client.Get(t.Context(), types.NamespacedName{Namespace: "default", Name: "llama"}, lws); err != nil {
			t.Fatal(err)
		}
		return lws
	}
	observed, next := read(), leaderworkersetv1.LeaderWorkerSetStatus{Replicas: 3}

	if written, err := applier.Status(t.Context(), observed, next); !written || err != nil {
		t.Fatalf("written: %t, error %v", written, err)
	}
	if observed.Status.Replicas != 0 {
		t.Error("what was observed was changed in place")
	}
	if got := read().Status.Replicas; got != 3 {
		t.Errorf("status.replicas is %d, want 3", got)
	}
	if written, err := applier.Status(t.Context(), read(), next); written || err != nil || writes != 1 {
		t.Errorf("an unchanged status: error %v and %d writes, want none and only the first", err, writes)
	}
	next.Replicas = 4
	if _, err := applier.Status(t.Context(), observed, next); !apierrors.IsConflict(err) {
		t.Errorf("on what was observed before: got %v, want a conflict", err)
	}
}

func TestTell(t *testing.T) {
	recorder := events.NewFakeRecorder(2)
	(&apply.Applier{Recorder: recorder}).Tell(&leaderworkersetv1.LeaderWorkerSet{}, []status.Event{
		{Type: corev1.EventTypeNormal, Reason: leaderworkersetv1.ReasonAllGroupsReady, Action: "Reconcile", Note: "100% of groups"},
		{Type: corev1.EventTypeWarning, Reason: leaderworkersetv1.ReasonFailedCreate, Action: "Reconcile", Note: "quota"},
	})
	for _, want := range []string{"Normal AllGroupsReady 100% of groups", "Warning FailedCreate quota"} {
		if got := <-recorder.Events; got != want {
			t.Errorf("got event %q, want %q", got, want)
		}
	}
}

// TestPatchKeepsNumbers: the largest grace period is more than a floating-point number can tell apart.
func TestPatchKeepsNumbers(t *testing.T) {
	const largest = math.MaxInt64
	applier := newApplier(t, interceptor.Funcs{}, newStatefulSet("a", "me"))
	observed := &appsv1.StatefulSet{}
	if err := applier.Client.Get(t.Context(), types.NamespacedName{Namespace: "default", Name: "a"}, observed); err != nil {
		t.Fatal(err)
	}
	changed := observed.DeepCopy()
	changed.Spec.Template.Spec.TerminationGracePeriodSeconds = ptr.To[int64](largest)
	if err := applier.Writes(t.Context(), []plan.Write{{Patch: &plan.Patch{From: observed, To: changed}}}); err != nil {
		t.Fatal(err)
	}
	if err := applier.Client.Get(t.Context(), client.ObjectKeyFromObject(observed), observed); err != nil {
		t.Fatal(err)
	}
	if got := *observed.Spec.Template.Spec.TerminationGracePeriodSeconds; got != largest {
		t.Errorf("grace period %d, want %d", got, int64(largest))
	}
}

// TestDeleteWhatIsRefusedForNow has a deletion answered with a conflict: it isn't taken for one that was made.
func TestDeleteWhatIsRefusedForNow(t *testing.T) {
	deletions := 0
	applier := newApplier(t, interceptor.Funcs{
		Delete: func(context.Context, client.WithWatch, client.Object, ...client.DeleteOption) error {
			deletions++
			return apierrors.NewConflict(statefulSets, "a", errors.New("not now"))
		},
	})
	gone := newStatefulSet("a", "me")
	if err := applier.Writes(t.Context(), []plan.Write{{Delete: gone}, {Delete: gone}}); err != nil || deletions != 2 {
		t.Errorf("got %v and %d deletions, want 2", err, deletions)
	}
}

// TestCreateWhatLostItsLabels has the labels taken off an object of ours, which the cache therefore doesn't show: it gets them back.
func TestCreateWhatLostItsLabels(t *testing.T) {
	labels := map[string]string{
		leaderworkersetv1.SetNameLabelKey: "llama", leaderworkersetv1.GroupIndexLabelKey: "1", leaderworkersetv1.RevisionLabelKey: "abc",
	}
	earlier := map[string]string{
		leaderworkersetv1.SetNameLabelKey: "llama", leaderworkersetv1.GroupIndexLabelKey: "1", leaderworkersetv1.RevisionLabelKey: "earlier",
	}
	wished := newStatefulSet("a", "me")
	wished.Labels = maps.Clone(labels)
	wished.Labels["team"] = "inference" // Not the operator's own.
	for _, tc := range []struct {
		name, owner string
		has, want   map[string]string
		writes      int
	}{
		{"all of them", "me", nil, labels, 1},
		{"one of them", "me", without(labels, leaderworkersetv1.GroupIndexLabelKey), labels, 1},
		{"one is another one", "me", map[string]string{leaderworkersetv1.SetNameLabelKey: "mistral"}, labels, 1},
		{"none of them", "me", labels, labels, 0},
		{"one of them, and it is of an earlier revision", "me", without(earlier, leaderworkersetv1.SetNameLabelKey), earlier, 1},
		{"a stranger's", "stranger", map[string]string{"app": "x"}, map[string]string{"app": "x"}, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			existing := newStatefulSet("a", tc.owner)
			existing.Labels = tc.has
			writes := 0
			applier := newApplier(t, interceptor.Funcs{
				Patch: func(ctx context.Context, c client.WithWatch, object client.Object, patch client.Patch, options ...client.PatchOption) error {
					writes++
					return c.Patch(ctx, object, patch, options...)
				},
			}, existing)
			err := applier.Writes(t.Context(), []plan.Write{{Create: wished.DeepCopy()}})
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

func without(labels map[string]string, key string) map[string]string {
	rest := maps.Clone(labels)
	delete(rest, key)
	return rest
}

func labelsOf(t *testing.T, applier *apply.Applier, name string) map[string]string {
	t.Helper()
	sts := &appsv1.StatefulSet{}
	if err := applier.Client.Get(t.Context(), types.NamespacedName{Namespace: "default", Name: name}, sts); err != nil {
		t.Fatal(err)
	}
	return sts.Labels
}

// TestRelabel carries the UID: what has the name by now may be something else, or nothing.
func TestRelabel(t *testing.T) {
	unseen := newStatefulSet("a", "")
	unseen.Labels = map[string]string{leaderworkersetv1.SetNameLabelKey: "llama"}
	var sent string
	for _, tc := range []struct {
		name   string
		answer error
		fails  bool
	}{
		{"it is there", nil, false},
		{"it is gone", apierrors.NewNotFound(statefulSets, "a"), false},
		{"it is another one", apierrors.NewConflict(statefulSets, "a", errors.New("the UID is another one")), false},
		{"the server is away", errors.New("connection refused"), true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			applier := newApplier(t, interceptor.Funcs{
				Patch: func(_ context.Context, _ client.WithWatch, object client.Object, patch client.Patch, _ ...client.PatchOption) error {
					data, err := patch.Data(object)
					sent = string(data)
					return errors.Join(err, tc.answer)
				},
			})
			if err := applier.Writes(t.Context(), []plan.Write{{Relabel: unseen}}); (err != nil) != tc.fails {
				t.Errorf("got %v, want an error: %t", err, tc.fails)
			}
			want := `{"metadata":{"labels":{"leaderworkerset.sigs.k8s.io/name":"llama"},"uid":"uid of a"}}`
			if sent != want {
				t.Errorf("got patch %s, want %s", sent, want)
			}
		})
	}
}

// TestOwnersHaveToBeThere: an object whose owner is gone is the garbage collector's.
func TestOwnersHaveToBeThere(t *testing.T) {
	lws := &leaderworkersetv1.LeaderWorkerSet{ObjectMeta: metav1.ObjectMeta{Name: "llama", Namespace: "default", UID: "set"}}
	going := lws.DeepCopy()
	going.Finalizers, going.DeletionTimestamp = []string{metav1.FinalizerOrphanDependents}, ptr.To(metav1.Now())
	another := lws.DeepCopy()
	another.UID = "another"
	for _, tc := range []struct {
		name  string
		there []client.Object
		want  bool
	}{
		{"it is there", []client.Object{lws.DeepCopy()}, true},
		{"it is being deleted", []client.Object{going}, false},
		{"it is gone", nil, false},
		{"it is another one", []client.Object{another}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			applier := newApplier(t, interceptor.Funcs{}, append(tc.there, newStatefulSet("a", ""))...)
			orphan := &appsv1.StatefulSet{}
			key := types.NamespacedName{Namespace: "default", Name: "a"}
			if err := applier.Client.Get(t.Context(), key, orphan); err != nil {
				t.Fatal(err)
			}
			adopted := orphan.DeepCopy()
			adopted.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(lws, leaderworkersetv1.GroupVersion.WithKind("LeaderWorkerSet"))}
			err := applier.Writes(t.Context(), []plan.Write{{Patch: &plan.Patch{From: orphan, To: adopted}}})
			var refusal *apply.RefusedError
			if (err == nil) != tc.want || errors.As(err, &refusal) {
				t.Errorf("got %v, want one that passes: %t", err, !tc.want)
			}
			if err := applier.Client.Get(t.Context(), key, orphan); err != nil || (len(orphan.OwnerReferences) == 1) != tc.want {
				t.Errorf("owners are %v and error %v", orphan.OwnerReferences, err)
			}
			created := newStatefulSet("b", "")
			created.OwnerReferences = adopted.OwnerReferences
			if err := applier.Writes(t.Context(), []plan.Write{{Create: created}}); (err == nil) != tc.want || apierrors.IsConflict(err) == tc.want {
				t.Errorf("creating another one: got %v, want one that passes: %t", err, !tc.want)
			}
		})
	}
}
