// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// messageOf returns the message that a user sees. It is empty without an error.
func messageOf(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestSiblings(t *testing.T) {
	surging := newSet("a", 3, 2)
	surging.Spec.RolloutStrategy.RollingUpdateConfiguration = &leaderworkersetv1.RollingUpdateConfiguration{
		MaxSurge: ptr.To(intstr.FromInt32(2)),
	}
	unique := newSet("a", 1, 1)
	unique.Spec.NetworkConfig = &leaderworkersetv1.NetworkConfig{
		SubdomainPolicy: ptr.To(leaderworkersetv1.SubdomainUniquePerReplica),
	}
	unspecified := &leaderworkersetv1.LeaderWorkerSet{ObjectMeta: metav1.ObjectMeta{Name: "a", Namespace: "default"}}
	elsewhere := newSet("a", 3, 2)
	elsewhere.Namespace = "other"
	deleted := newSet("a", 3, 2)
	deleted.DeletionTimestamp, deleted.Finalizers = &metav1.Time{Time: metav1.Now().Time}, []string{"foregroundDeletion"}

	for _, tc := range []struct {
		name    string
		sibling *leaderworkersetv1.LeaderWorkerSet
		set     *leaderworkersetv1.LeaderWorkerSet
		want    string
	}{
		{"no relation", newSet("a", 3, 2), newSet("b", 3, 2), ""},
		{
			"the name of a sibling's group", newSet("a", 3, 2), newSet("a-2", 1, 1),
			`LeaderWorkerSet.leaderworkerset.x-k8s.io "a-2" is invalid: metadata.name: Invalid value: "a-2": ` +
				`is the name of a group of LeaderWorkerSet "a"`,
		},
		{"beyond the sibling's groups", newSet("a", 3, 2), newSet("a-3", 1, 1), ""},
		{
			"the name of a sibling's surge group", surging, newSet("a-4", 1, 1),
			`LeaderWorkerSet.leaderworkerset.x-k8s.io "a-4" is invalid: metadata.name: Invalid value: "a-4": ` +
				`is the name of a group of LeaderWorkerSet "a"`,
		},
		{"beyond the sibling's surge", surging, newSet("a-5", 1, 1), ""},
		{
			"a group that has the name of a sibling", newSet("a-1", 1, 1), newSet("a", 2, 2),
			`LeaderWorkerSet.leaderworkerset.x-k8s.io "a" is invalid: spec.replicas: Invalid value: 2: ` +
				`LeaderWorkerSet "a-1" has the name of one of these groups`,
		},
		{"groups without workers have no StatefulSet", newSet("a-1", 1, 1), newSet("a", 2, 1), ""},
		{
			"groups without workers have Services", newSet("a-0", 1, 1), unique,
			`LeaderWorkerSet.leaderworkerset.x-k8s.io "a" is invalid: spec.replicas: Invalid value: 1: ` +
				`LeaderWorkerSet "a-0" has the name of one of these groups`,
		},
		{"leading zeros are no index", newSet("a", 3, 2), newSet("a-01", 1, 1), ""},
		{"another namespace", elsewhere, newSet("a-0", 1, 1), ""},
		{"a sibling that is being deleted", deleted, newSet("a-0", 1, 1), ""},
		{"a sibling that specifies nothing", unspecified, newSet("a-0", 1, 1), ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			webhook := newWebhook(t, interceptor.Funcs{}, tc.sibling)
			_, err := webhook.ValidateCreate(t.Context(), tc.set)
			if got := messageOf(err); got != tc.want {
				t.Errorf("create: got  %q\nwant %q", got, tc.want)
			}
		})
	}
}

// TestSiblingsOnUpdate checks that a collision that exists already doesn't make every edit fail. The sibling or the
// scale subresource may have caused it.
func TestSiblingsOnUpdate(t *testing.T) {
	for _, tc := range []struct {
		name          string
		sibling       *leaderworkersetv1.LeaderWorkerSet
		before, after *leaderworkersetv1.LeaderWorkerSet
		want          bool
	}{
		{"scaled up to the sibling's name", newSet("a-2", 1, 1), newSet("a", 2, 2), newSet("a", 3, 2), false},
		{"scaled up below it", newSet("a-3", 1, 1), newSet("a", 2, 2), newSet("a", 3, 2), true},
		{"workers come into being", newSet("a-0", 1, 1), newSet("a", 2, 1), newSet("a", 2, 2), false},
		{"it has collided before", newSet("a-0", 1, 1), newSet("a", 2, 2), newSet("a", 3, 2), true},
		{"the sibling has collided with it", newSet("a", 3, 2), newSet("a-0", 1, 1), newSet("a-0", 2, 1), true},
	} {
		_, err := newWebhook(t, interceptor.Funcs{}, tc.sibling).ValidateUpdate(t.Context(), tc.before, tc.after)
		if (err == nil) != tc.want {
			t.Errorf("%s: got %v, want it to pass: %t", tc.name, err, tc.want)
		}
	}
}

func TestSiblingsThatCantBeRead(t *testing.T) {
	away := errors.New("cache is away")
	webhook := newWebhook(t, interceptor.Funcs{
		List: func(context.Context, client.WithWatch, client.ObjectList, ...client.ListOption) error { return away },
	})
	if _, err := webhook.ValidateCreate(t.Context(), newSet("a", 1, 1)); !errors.Is(err, away) {
		t.Errorf("got %v, want %v", err, away)
	}
}

// rejectWith answers every creation of a StatefulSet with these errors.
func rejectWith(causes ...*field.Error) interceptor.Funcs {
	return interceptor.Funcs{
		Create: func(_ context.Context, _ client.WithWatch, object client.Object, _ ...client.CreateOption) error {
			return apierrors.NewInvalid(schema.GroupKind{Group: "apps", Kind: "StatefulSet"}, object.GetGenerateName(), causes)
		},
	}
}

// TestErrorsNameFieldsOfTheSet has an API server whose errors name fields of StatefulSets.
func TestErrorsNameFieldsOfTheSet(t *testing.T) {
	containers := field.NewPath("spec", "template", "spec", "containers")
	webhook := newWebhook(t, rejectWith(
		field.Invalid(containers.Index(0).Child("image"), "", "must not be blank"),
		field.Invalid(field.NewPath("spec", "volumeClaimTemplates").Index(0), "", "no"),
		field.Invalid(field.NewPath("spec", "persistentVolumeClaimRetentionPolicy"), "", "no"),
	))
	fieldsOf := func(lws *leaderworkersetv1.LeaderWorkerSet) []string {
		_, err := webhook.ValidateCreate(t.Context(), lws)
		var status *apierrors.StatusError
		if !apierrors.IsInvalid(err) || !errors.As(err, &status) {
			t.Fatalf("got %v, want it to be invalid", err)
		}
		var fields []string
		for _, cause := range status.ErrStatus.Details.Causes {
			fields = append(fields, cause.Field)
		}
		return fields
	}
	one := newSet("a", 1, 2)
	want := []string{
		"spec.leaderWorkerTemplate.workerTemplate.spec.containers[0].image",
		"spec.leaderWorkerTemplate.volumeClaimTemplates[0]",
		"spec.leaderWorkerTemplate.persistentVolumeClaimRetentionPolicy",
	}
	if diff := cmp.Diff(want, fieldsOf(one)); diff != "" {
		t.Errorf("one template (-want +got):\n%s", diff)
	}
	two := newSet("a", 1, 2)
	two.Spec.LeaderWorkerTemplate.LeaderTemplate = two.Spec.LeaderWorkerTemplate.WorkerTemplate.DeepCopy()
	leaderField := "spec.leaderWorkerTemplate.leaderTemplate.spec.containers[0].image"
	want = slices.Concat([]string{leaderField}, want[1:], want)
	if diff := cmp.Diff(want, fieldsOf(two)); diff != "" {
		t.Errorf("two templates (-want +got):\n%s", diff)
	}
}

func TestErrorsReadLikeThoseOfTheAPIServer(t *testing.T) {
	webhook := newWebhook(t, rejectWith(field.Required(field.NewPath("spec", "template", "spec", "containers"), "")))
	_, err := webhook.ValidateCreate(t.Context(), newSet("a", 1, 1))
	want := `LeaderWorkerSet "a" is invalid: spec.leaderWorkerTemplate.workerTemplate.spec.containers: Required value`
	if got := messageOf(err); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestOtherErrorsOfTheDryRunPass returns errors that may have passed when the operator creates the StatefulSets.
func TestOtherErrorsOfTheDryRunPass(t *testing.T) {
	for _, answer := range []error{
		apierrors.NewForbidden(schema.GroupResource{}, "a", errors.New("quota")), apierrors.NewTimeoutError("later", 1),
		errors.New("away"), context.DeadlineExceeded,
		&apierrors.StatusError{ErrStatus: metav1.Status{Reason: metav1.StatusReasonInvalid}},
		policyVerdict(metav1.StatusCause{Message: "StatefulSets have to be owned"}),
	} {
		webhook := newWebhook(t, interceptor.Funcs{
			Create: func(context.Context, client.WithWatch, client.Object, ...client.CreateOption) error { return answer },
		})
		if _, err := webhook.ValidateCreate(t.Context(), newSet("a", 1, 1)); err != nil {
			t.Errorf("%v: got %v, want it to pass", answer, err)
		}
	}
}

// policyVerdict returns an admission policy's refusal of a StatefulSet.
func policyVerdict(causes ...metav1.StatusCause) error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Reason: metav1.StatusReasonInvalid, Details: &metav1.StatusDetails{Causes: causes},
	}}
}

// TestOnlyCausesWithFieldsCount has an API server whose error names a field, and holds a policy's verdict.
func TestOnlyCausesWithFieldsCount(t *testing.T) {
	answer := policyVerdict(metav1.StatusCause{Message: "no owner"}, metav1.StatusCause{Field: "spec.a", Message: "no"})
	webhook := newWebhook(t, interceptor.Funcs{
		Create: func(context.Context, client.WithWatch, client.Object, ...client.CreateOption) error { return answer },
	})
	_, err := webhook.ValidateCreate(t.Context(), newSet("a", 1, 1))
	if got, want := messageOf(err), `LeaderWorkerSet "a" is invalid: spec.a: no`; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestClaims edits the claims of a set.
func TestClaims(t *testing.T) {
	sized := func(size string) *leaderworkersetv1.LeaderWorkerSet {
		lws := newSet("a", 1, 1)
		claim := corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: "data"}}
		claim.Spec.Resources.Requests = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse(size)}
		lws.Spec.LeaderWorkerTemplate.VolumeClaimTemplates = []corev1.PersistentVolumeClaim{claim}
		return lws
	}
	const immutable = `LeaderWorkerSet.leaderworkerset.x-k8s.io "a" is invalid: ` +
		`spec.leaderWorkerTemplate.volumeClaimTemplates: Invalid value: field is immutable`
	for _, tc := range []struct {
		name          string
		before, after *leaderworkersetv1.LeaderWorkerSet
		want          string
	}{
		{"no change", sized("1Gi"), sized("1Gi"), ""},
		{"another unit", sized("1Gi"), sized("1024Mi"), ""},
		{"another size", sized("1Gi"), sized("2Gi"), immutable},
		{"added", newSet("a", 1, 1), sized("1Gi"), immutable},
		{"removed", sized("1Gi"), newSet("a", 1, 1), immutable},
	} {
		_, err := newWebhook(t, interceptor.Funcs{}).ValidateUpdate(t.Context(), tc.before, tc.after)
		if got := messageOf(err); got != tc.want {
			t.Errorf("%s: got %q, want %q", tc.name, got, tc.want)
		}
	}
}

// TestDryRunsLeaveNoTrace checks the requests to the API server.
func TestDryRunsLeaveNoTrace(t *testing.T) {
	var created []string
	webhook := newWebhook(t, interceptor.Funcs{
		Create: func(_ context.Context, _ client.WithWatch, object client.Object, options ...client.CreateOption) error {
			var all client.CreateOptions
			all.ApplyOptions(options)
			if diff := cmp.Diff([]string{metav1.DryRunAll}, all.DryRun); diff != "" {
				t.Errorf("dry run (-want +got):\n%s", diff)
			}
			sts, isStatefulSet := object.(*appsv1.StatefulSet)
			if !isStatefulSet || sts.Name != "" || len(sts.OwnerReferences) > 0 {
				t.Errorf("got %T with name %q and owners %v, want a StatefulSet with neither",
					object, object.GetName(), object.GetOwnerReferences())
			}
			created = append(created, object.GetGenerateName())
			return nil
		},
	})
	lws := newSet("a", 1, 2)
	lws.Spec.LeaderWorkerTemplate.LeaderTemplate = lws.Spec.LeaderWorkerTemplate.WorkerTemplate.DeepCopy()
	if _, err := webhook.ValidateCreate(t.Context(), lws); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a-", "a-0-"}, created); diff != "" {
		t.Errorf("StatefulSets (-want +got):\n%s", diff)
	}
}

// TestUpdatesThatPassWithoutDryRun has an API server that rejects everything.
func TestUpdatesThatPassWithoutDryRun(t *testing.T) {
	type set = leaderworkersetv1.LeaderWorkerSet
	webhook := newWebhook(t, rejectWith(field.Required(field.NewPath("spec"), "")), newSet("a-0", 1, 1))
	for _, tc := range []struct {
		name   string
		change func(*set)
		want   bool
	}{
		{"nothing", func(*set) {}, true},
		{"finalizers", func(s *set) { s.Finalizers = []string{"x"} }, true},
		{"labels", func(s *set) { s.Labels = map[string]string{"x": "y"} }, true},
		{"defaults filled in", func(s *set) { s.Default() }, true},
		{
			"while it is being deleted",
			func(s *set) {
				s.DeletionTimestamp = &metav1.Time{}
				s.Spec.LeaderWorkerTemplate.Size = ptr.To[int32](9)
			}, true,
		},
		{"more groups collide with a sibling", func(s *set) { s.Spec.Replicas = ptr.To[int32](1) }, false},
		{"another template", func(s *set) {
			s.Spec.LeaderWorkerTemplate.WorkerTemplate.Spec.Containers[0].Image = "serve:2"
		}, false},
		{"restartPolicy", func(s *set) {
			s.Spec.LeaderWorkerTemplate.RestartPolicy = leaderworkersetv1.NoneRestartPolicy
		}, true},
	} {
		before := newSet("a", 0, 2)
		after := before.DeepCopy()
		tc.change(after)
		if _, err := webhook.ValidateUpdate(t.Context(), before, after); (err == nil) != tc.want {
			t.Errorf("%s: got %v, want it to pass: %t", tc.name, err, tc.want)
		}
	}
	if _, err := webhook.ValidateDelete(t.Context(), newSet("a", 1, 1)); err != nil {
		t.Errorf("deletion: got %v, want it to pass", err)
	}
}

func TestDefaultFillsIn(t *testing.T) {
	lws := &leaderworkersetv1.LeaderWorkerSet{}
	if err := newWebhook(t, interceptor.Funcs{}).Default(t.Context(), lws); err != nil {
		t.Fatal(err)
	}
	if lws.Spec.Replicas == nil || *lws.Spec.Replicas != 1 {
		t.Errorf("replicas are %v, want 1", lws.Spec.Replicas)
	}
}

// TestTopologies tries annotations that aren't keys of node labels, with which no pod could be created. A stored one
// doesn't make edits fail.
func TestTopologies(t *testing.T) {
	annotated := func(key string) *leaderworkersetv1.LeaderWorkerSet {
		lws := newSet("a", 1, 1)
		lws.Annotations = map[string]string{leaderworkersetv1.ExclusiveKeyAnnotationKey: key}
		return lws
	}
	webhook := newWebhook(t, interceptor.Funcs{})
	for key, valid := range map[string]bool{
		"": true, "rack": true, "topology.kubernetes.io/zone": true, "bad key!": false, "a/b/c": false,
	} {
		_, err := webhook.ValidateCreate(t.Context(), annotated(key))
		if (err == nil) != valid {
			t.Errorf("%q: got %v, want it to be valid: %v", key, err, valid)
		}
		path := "metadata.annotations[" + leaderworkersetv1.ExclusiveKeyAnnotationKey + "]"
		if err != nil && !strings.Contains(err.Error(), path) {
			t.Errorf("%q: the error doesn't name the annotation: %v", key, err)
		}
	}
	if _, err := webhook.ValidateUpdate(t.Context(), annotated("bad key!"), annotated("bad key!")); err != nil {
		t.Errorf("an edit is rejected for an annotation that the set had before: %v", err)
	}
}

// TestTPUsOfHugeGroups checks that a set is rejected whose pods the pod webhook would reject.
func TestTPUsOfHugeGroups(t *testing.T) {
	lws := newSet("a", 1, 2147483647)
	webhook := newWebhook(t, interceptor.Funcs{})
	if _, err := webhook.ValidateCreate(t.Context(), lws); err != nil {
		t.Errorf("without TPUs: %v", err)
	}
	before := newSet("a", 1, 4)
	for _, set := range []*leaderworkersetv1.LeaderWorkerSet{before, lws} {
		set.Spec.LeaderWorkerTemplate.WorkerTemplate.Spec.Containers[0].Resources.Limits = corev1.ResourceList{
			leaderworkersetv1.TPUResourceName: resource.MustParse("4"),
		}
	}
	const want = "spec.leaderWorkerTemplate.size"
	if _, err := webhook.ValidateCreate(t.Context(), lws); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("create: got %v, want an error about %s", err, want)
	}
	if _, err := webhook.ValidateUpdate(t.Context(), before, lws); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("update: got %v, want an error about %s", err, want)
	}
}
