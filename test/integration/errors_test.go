// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/apply"
	"github.com/leaderworkerset/lws-operator/internal/controller/write"
)

const (
	// accepted is the answer to a write that succeeds.
	accepted = "accepted"

	// tooLargeForRequest and tooLargeForEtcd are numbers of bytes. The API server limits a request to 3 MiB. etcd limits
	// an object to 1.5 MiB.
	tooLargeForRequest = 3 << 20
	tooLargeForEtcd    = 7 << 18
)

// expected is what the API server answers to a write, and what the applier returns.
type expected struct {
	answers string // as asker.answers
	outcome outcome
}

// The answers to writes whose precondition holds, and to those whose precondition doesn't hold.
var (
	holds = expected{accepted, done}

	// testFailed is the answer to a JSON patch whose test fails. A policy or a webhook that denies the patch can cause the
	// same answer, whatever the precondition: see TestRefusedWrites. So the applier compares the object.
	testFailed = expected{"422 Invalid", conflict}

	// otherVersion is the answer to a merge patch with another resource version.
	otherVersion = expected{"409 Conflict", conflict}

	// otherUID is the answer to a deletion with another UID, and changedUID to a merge patch.
	otherUID   = expected{"409 Conflict", done}
	changedUID = expected{"422 Invalid FieldValueInvalid", done}

	// deleted is the answer to a write of a deleted object. With nothingToDo, the write was about that object alone.
	deleted     = expected{"404 NotFound", conflict}
	nothingToDo = expected{"404 NotFound", done}
)

// TestPreconditions changes an object after it was observed, and then writes under each precondition.
func TestPreconditions(t *testing.T) {
	tests := []struct {
		name      string
		meanwhile func(t *testing.T, observed *appsv1.StatefulSet)

		sameSpec, check, sameVersion, sameUID, exists, deletion expected
	}{
		{"unchanged", func(*testing.T, *appsv1.StatefulSet) {}, holds, holds, holds, holds, holds, holds},
		{"another status", changeStatus, holds, holds, otherVersion, holds, holds, holds},
		{"other labels", merging(`{metadata: {labels: {team: a}}}`), holds, holds, otherVersion, holds, holds, holds},
		{
			"other annotations", merging(`{metadata: {annotations: {example.com/a: b}}}`),
			testFailed, testFailed, otherVersion, holds, holds, holds,
		},
		{"another generation", merging(`{spec: {replicas: 5}}`), testFailed, testFailed, otherVersion, holds, holds, holds},
		{"being deleted", startDeletion, testFailed, testFailed, otherVersion, holds, holds, holds},
		{"deleted", deleteObject, deleted, deleted, deleted, nothingToDo, deleted, nothingToDo},
		{"another UID", recreateObject, testFailed, testFailed, otherVersion, changedUID, holds, otherUID},
	}
	t.Parallel()
	namespace := newNamespace(t, webhooksOff)
	for i, tc := range tests {
		for j, w := range []struct {
			name  string
			write func(*appsv1.StatefulSet) write.Write
			want  expected
		}{
			{"SameSpec", patching(write.SameSpec, scale3), tc.sameSpec},
			{"Check", checking, tc.check},
			{"SameVersion", patching(write.SameVersion, scale3), tc.sameVersion},
			{"SameUID", relabeling, tc.sameUID},
			{"Exists", patching(write.Exists, label), tc.exists},
			{"Delete", deleting, tc.deletion},
		} {
			t.Run(tc.name+", "+w.name, func(t *testing.T) {
				observed := observe(t, namespace, fmt.Sprintf("sts-%d-%d", i, j))
				planned := w.write(observed)
				tc.meanwhile(t, observed.DeepCopy())
				newAsker(t).write(t, planned).check(t, w.want, "")
			})
		}
	}
}

// writeTest is a write that the API server answers with an error, and what the applier returns.
type writeTest struct {
	name  string
	write func(*appsv1.StatefulSet) write.Write
	want  expected

	// message is a part of the error's message. It is what users read.
	message string

	// created changes the StatefulSet before it is created, and meanwhile after it was observed.
	created   func(*appsv1.StatefulSet)
	meanwhile func(t *testing.T, observed *appsv1.StatefulSet)
}

// refusedWrites are writes whose precondition holds, in a namespace with the policies and webhooks of installAdmission.
var refusedWrites = []writeTest{
	// The API server documents a cause for each field of an invalid object.
	{
		name: "invalid", write: patching(write.SameSpec, negativeReplicas),
		want: expected{"422 Invalid FieldValueInvalid", refusedTo(apply.VerbPatch)}, message: "spec.replicas",
	},
	{
		name: "invalid, and changed meanwhile", write: patching(write.SameSpec, negativeReplicas),
		meanwhile: merging(`{spec: {replicas: 5}}`), want: testFailed, message: "changed since it was observed",
	},
	{
		name: "invalid, merged", write: patching(write.Exists, negativeReplicas),
		want: expected{"422 Invalid FieldValueInvalid", refusedTo(apply.VerbPatch)}, message: "spec.replicas",
	},
	{
		name: "invalid, created", write: creating(negativeReplicas),
		want: expected{"422 Invalid FieldValueInvalid", refusedTo(apply.VerbCreate)}, message: "spec.replicas",
	},
	{
		name: "undecodable", write: undecodable,
		want: expected{"422 Invalid FieldValueInvalid", refusedTo(apply.VerbPatch)}, message: "cannot unmarshal string",
	},
	{
		name: "undecodable, created", write: undecodableCreation,
		want: expected{"400 BadRequest", refusedTo(apply.VerbCreate)}, message: "cannot unmarshal string",
	},

	// A ValidatingAdmissionPolicy denies with one of three documented reasons. With Invalid, the API server answers as to
	// a JSON patch whose test fails.
	{
		name: "policy, Invalid", write: patching(write.SameSpec, denied("UPDATE", "Invalid")),
		want: expected{"422 Invalid", refusedTo(apply.VerbPatch)}, message: "the policy says Invalid",
	},
	{
		name: "policy, Invalid, and changed meanwhile", write: patching(write.SameSpec, denied("UPDATE", "Invalid")),
		meanwhile: merging(`{metadata: {annotations: {a: b}}}`), want: testFailed, message: "changed since it was observed",
	},
	{
		name: "policy, Invalid, same UID", created: denied("UPDATE", "Invalid"), write: relabeling,
		want: expected{"422 Invalid", refusedTo(apply.VerbPatch)}, message: "the policy says Invalid",
	},
	{
		name: "policy, Forbidden", write: patching(write.SameSpec, denied("UPDATE", "Forbidden")),
		want: expected{"403 Forbidden", refusedTo(apply.VerbPatch)}, message: "the policy says Forbidden",
	},
	{
		name: "policy, too large", write: patching(write.SameSpec, denied("UPDATE", "RequestEntityTooLarge")),
		want:    expected{"413 RequestEntityTooLarge", refusedTo(apply.VerbPatch)},
		message: "the policy says RequestEntityTooLarge",
	},
	{
		name: "policy, creation", write: creating(denied("CREATE", "Invalid")),
		want: expected{"422 Invalid", refusedTo(apply.VerbCreate)}, message: "the policy says Invalid",
	},
	{
		name: "policy, check", created: denied("UPDATE", "Forbidden"), write: checking,
		want: expected{"403 Forbidden", refusedTo(apply.VerbPatch)}, message: "the policy says Forbidden",
	},
	{
		name: "policy, deletion", created: denied("DELETE", "Invalid"), write: deleting,
		want: expected{"422 Invalid", refusedTo(apply.VerbDelete)}, message: "the policy says Invalid",
	},

	// The API server returns the code and the reason of a webhook unchanged, even if it has no reason.
	{
		name: "webhook, 422 without reason", write: patching(write.SameSpec, denied("UPDATE", "422")),
		want: expected{"422", refusedTo(apply.VerbPatch)}, message: "the webhook says 422",
	},
	{
		name: "webhook, Invalid", write: patching(write.SameSpec, denied("UPDATE", "422.Invalid")),
		want: expected{"422 Invalid", refusedTo(apply.VerbPatch)}, message: "the webhook says 422.Invalid",
	},
	{
		name: "webhook, 403 without reason", write: creating(denied("CREATE", "403")),
		want: expected{"403", refusedTo(apply.VerbCreate)}, message: "the webhook says 403",
	},
	{
		name: "webhook, 400 without reason", write: creating(denied("CREATE", "400")),
		want: expected{"400", refusedTo(apply.VerbCreate)}, message: "the webhook says 400",
	},
	{
		name: "webhook, Forbidden", created: denied("DELETE", "403.Forbidden"), write: deleting,
		want: expected{"403 Forbidden", refusedTo(apply.VerbDelete)}, message: "the webhook says 403.Forbidden",
	},
	{
		name: "webhook, InternalError", write: creating(denied("CREATE", "500.InternalError")),
		want: expected{"500 InternalError", refusedTo(apply.VerbCreate)}, message: "the webhook says 500.InternalError",
	},
	{
		name: "webhook, Conflict", write: patching(write.SameSpec, denied("UPDATE", "409.Conflict")),
		want: expected{"409 Conflict", conflict}, message: "the webhook says 409.Conflict",
	},
	{
		name: "webhook, TooManyRequests", write: patching(write.SameSpec, denied("UPDATE", "429.TooManyRequests")),
		want: expected{"429 TooManyRequests", failed}, message: "the webhook says 429.TooManyRequests",
	},
	{
		name: "webhook, ServiceUnavailable", write: creating(denied("CREATE", "503.ServiceUnavailable")),
		want: expected{"503 ServiceUnavailable", failed}, message: "the webhook says 503.ServiceUnavailable",
	},
	{
		name: "webhook, Timeout", created: denied("DELETE", "504.Timeout"), write: deleting,
		want: expected{"504 Timeout", failed}, message: "the webhook says 504.Timeout",
	},
	{
		name: "webhook away", write: creating(callUnreachable),
		want: expected{"500 InternalError", refusedTo(apply.VerbCreate)}, message: "failed calling webhook",
	},
	{
		name: "webhook away, patch", write: patching(write.SameSpec, callUnreachable),
		want: expected{"500 InternalError", refusedTo(apply.VerbPatch)}, message: "failed calling webhook",
	},

	// A request that is too large has a documented reason, and an object that is too large has none.
	{
		name: "request too large", write: creatingRevision(tooLargeForRequest),
		want: expected{"413 RequestEntityTooLarge", refusedTo(apply.VerbCreate)}, message: "limit is 3145728",
	},
	{
		name: "object too large for etcd", write: creatingRevision(tooLargeForEtcd),
		want: expected{"500", refusedTo(apply.VerbCreate)}, message: "request is too large",
	},
	{
		name: "patch with too many operations", created: label, write: patching(write.SameSpec, labelOften),
		want: expected{"413 RequestEntityTooLarge", refusedTo(apply.VerbPatch)}, message: "maximum operations",
	},
	{
		name: "patched object too large for etcd", write: patching(write.SameSpec, fillContainer),
		want: expected{"500", refusedTo(apply.VerbPatch)}, message: "request is too large",
	},
}

// TestRefusedWrites checks that a refusal reaches users in the API server's words, and that an error that passes by
// itself doesn't.
func TestRefusedWrites(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t, webhooksOff)
	installAdmission(t, namespace)
	for i, tc := range refusedWrites {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			observed := observe(t, namespace, fmt.Sprintf("sts-%d", i), tc.created)
			planned := tc.write(observed)
			if tc.meanwhile != nil {
				tc.meanwhile(t, observed.DeepCopy())
			}
			newAsker(t).write(t, planned).check(t, tc.want, tc.message)
		})
	}
}

// TestCreationsOfExisting creates an object whose name is taken. The answer doesn't say whose the object is.
func TestCreationsOfExisting(t *testing.T) {
	const exists = "409 AlreadyExists"
	taken := outcome{failed: true, refused: apply.VerbCreate, taken: true}
	owned := ownedBy("me")
	tests := []struct {
		name     string
		existing func(*appsv1.StatefulSet)
		want     expected
		message  string
	}{
		{"of the same controller", all(owned, label), expected{exists, done}, ""},
		{"of the same controller, without its labels", owned, expected{exists + ", " + accepted, done}, ""},
		{"a stranger's", all(ownedBy("stranger"), label), expected{exists, taken}, `"sts-2" exists and belongs to`},
		{"nobody's", label, expected{exists, taken}, `"sts-3" exists and belongs to`},
	}
	t.Parallel()
	namespace := newNamespace(t, webhooksOff)
	for i, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			existing := observe(t, namespace, fmt.Sprintf("sts-%d", i), tc.existing)
			planned := creatingNamed(existing.Name, all(owned, label))(existing)
			planned.CacheLabels = planned.Create.GetLabels()
			newAsker(t).write(t, planned).check(t, tc.want, tc.message)
		})
	}
}

// TestRefusedCreations creates an object in a namespace, or as a user, that doesn't permit it.
func TestRefusedCreations(t *testing.T) {
	tests := []struct {
		name      string
		namespace func(t *testing.T) string
		user      func(*rest.Config)
		want      expected
		message   string
	}{
		{
			name: "quota", namespace: namespaceWithoutQuota,
			want: expected{"403 Forbidden", refusedTo(apply.VerbCreate)}, message: "exceeded quota: none",
		},
		{
			name: "RBAC", user: func(c *rest.Config) { c.Impersonate.UserName = "nobody" },
			want: expected{"403 Forbidden", refusedTo(apply.VerbCreate)}, message: `"nobody" cannot create resource`,
		},
		{
			name: "unknown token", user: func(c *rest.Config) {
				*c = *rest.AnonymousClientConfig(c)
				c.BearerToken = "unknown"
			},
			want: expected{"401 Unauthorized", failed}, message: "Unauthorized",
		},
		{
			// Everything in the namespace is deleted. So users needn't know.
			name: "namespace terminating", namespace: terminatingNamespace,
			want: expected{"403 Forbidden NamespaceTerminating", done},
		},
		{
			name: "namespace deleted", namespace: func(*testing.T) string { return "deleted" },
			want: expected{"404 NotFound", failed}, message: `namespaces "deleted" not found`,
		},
		{
			// OwnerReferencesPermissionEnforcement asks for the permission to update the owner's finalizers.
			name: "blockOwnerDeletion without permission", user: func(c *rest.Config) {
				c.Impersonate = asOperator().Impersonate
			},
			want: expected{"403 Forbidden", refusedTo(apply.VerbCreate)}, message: "cannot set blockOwnerDeletion",
		},
	}
	t.Parallel()
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			namespace := newNamespace(t, webhooksOff)
			if tc.namespace != nil {
				namespace = tc.namespace(t)
			}
			created := statefulSet(namespace)
			created.OwnerReferences = []metav1.OwnerReference{{
				APIVersion: "apps/v1", Kind: "Deployment", Name: "owner", UID: "owner", BlockOwnerDeletion: ptr.To(true),
			}}
			newAsker(t, tc.user).write(t, write.Write{Create: created}).check(t, tc.want, tc.message)
		})
	}
}

// TestOwnersThatMustLive creates an object whose owner has changed since it was observed. If the owner is deleted, the
// applier sends no write.
func TestOwnersThatMustLive(t *testing.T) {
	tests := []struct {
		name      string
		meanwhile func(t *testing.T, owner *appsv1.StatefulSet)
		want      expected
		message   string
	}{
		{"unchanged", func(*testing.T, *appsv1.StatefulSet) {}, holds, ""},
		{"another status", changeStatus, holds, ""},
		{"being deleted", startDeletion, expected{"", conflict}, "its owner StatefulSet owner-2 is being deleted"},
		{"deleted", deleteObject, expected{"", conflict}, "its owner StatefulSet owner-3 is being deleted"},
		{"another UID", recreateObject, expected{"", conflict}, "its owner StatefulSet owner-4 is being deleted"},
	}
	t.Parallel()
	namespace := newNamespace(t, webhooksOff)
	for i, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			owner := observe(t, namespace, fmt.Sprintf("owner-%d", i))
			reference := metav1.NewControllerRef(owner, appsv1.SchemeGroupVersion.WithKind("StatefulSet"))
			planned := creatingNamed(fmt.Sprintf("sts-%d", i), func(*appsv1.StatefulSet) {})(owner)
			planned.OwnerMustLive = reference
			tc.meanwhile(t, owner.DeepCopy())
			newAsker(t).write(t, planned).check(t, tc.want, tc.message)
		})
	}
}

// TestStatusPreconditions writes the status of a set that has changed since it was observed.
func TestStatusPreconditions(t *testing.T) {
	tests := []struct {
		name      string
		meanwhile func(t *testing.T, set *leaderworkersetv1.LeaderWorkerSet) error
		want      expected
	}{
		{"unchanged", func(*testing.T, *leaderworkersetv1.LeaderWorkerSet) error { return nil }, holds},
		{
			"another spec", func(t *testing.T, set *leaderworkersetv1.LeaderWorkerSet) error {
				t.Helper()
				return edit(t, set, `{replicas: 5}`)
			}, otherVersion,
		},
		{
			"deleted", func(t *testing.T, set *leaderworkersetv1.LeaderWorkerSet) error {
				t.Helper()
				return suite.client.Delete(t.Context(), set)
			}, deleted,
		},
	}
	t.Parallel()
	namespace := newNamespace(t, webhooksOff)
	for i, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			observed := read(t, create(t, namespace, nameOf(i), `{}`))
			if err := tc.meanwhile(t, observed.DeepCopy()); err != nil {
				t.Fatal(err)
			}
			updated := observed.DeepCopy()
			updated.Status.Replicas = 1
			newAsker(t).status(t, observed, updated).check(t, tc.want, "")
		})
	}
}

// observe creates a StatefulSet and returns it as the API server stores it.
func observe(t *testing.T, namespace, name string, changes ...func(*appsv1.StatefulSet)) *appsv1.StatefulSet {
	t.Helper()
	observed := statefulSet(namespace)
	observed.Name = name
	for _, change := range changes {
		if change != nil {
			change(observed)
		}
	}
	if err := suite.client.Create(t.Context(), observed); err != nil {
		t.Fatal(err)
	}
	return observed
}

// What others do to a StatefulSet after it was observed.

// merging returns a merge of a patch in YAML.
func merging(patch string) func(t *testing.T, observed *appsv1.StatefulSet) {
	return func(t *testing.T, observed *appsv1.StatefulSet) {
		t.Helper()
		data, err := (&unstructured.Unstructured{Object: parse(t, patch)}).MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		if err := suite.client.Patch(t.Context(), observed, client.RawPatch(types.MergePatchType, data)); err != nil {
			t.Fatal(err)
		}
	}
}

func changeStatus(t *testing.T, observed *appsv1.StatefulSet) {
	t.Helper()
	observed.Status.ReadyReplicas, observed.Status.Replicas = 1, 1
	if err := suite.client.Status().Update(t.Context(), observed); err != nil {
		t.Fatal(err)
	}
}

func deleteObject(t *testing.T, observed *appsv1.StatefulSet) {
	t.Helper()
	background := client.PropagationPolicy(metav1.DeletePropagationBackground)
	if err := suite.client.Delete(t.Context(), observed, background); err != nil {
		t.Fatal(err)
	}
}

// startDeletion deletes in the foreground. No garbage collector runs here, so the object stays.
func startDeletion(t *testing.T, observed *appsv1.StatefulSet) {
	t.Helper()
	foreground := client.PropagationPolicy(metav1.DeletePropagationForeground)
	if err := suite.client.Delete(t.Context(), observed, foreground); err != nil {
		t.Fatal(err)
	}
}

func recreateObject(t *testing.T, observed *appsv1.StatefulSet) {
	t.Helper()
	deleteObject(t, observed)
	observe(t, observed.Namespace, observed.Name)
}

// Changes of a StatefulSet.

func all(changes ...func(*appsv1.StatefulSet)) func(*appsv1.StatefulSet) {
	return func(s *appsv1.StatefulSet) {
		for _, change := range changes {
			change(s)
		}
	}
}

func scale3(s *appsv1.StatefulSet) { s.Spec.Replicas = ptr.To[int32](3) }

func label(s *appsv1.StatefulSet) { s.Labels = map[string]string{"set": "llama"} }

func callUnreachable(s *appsv1.StatefulSet) { s.Labels = unreachableWebhook }

func negativeReplicas(s *appsv1.StatefulSet) {
	s.Spec.Replicas = ptr.To[int32](-1)
}

func fillContainer(s *appsv1.StatefulSet) {
	s.Spec.Template.Spec.Containers[0].Args = []string{strings.Repeat("a", tooLargeForEtcd)}
}

func labelOften(s *appsv1.StatefulSet) {
	s.Labels = maps.Clone(s.Labels)
	for i := range 10000 {
		s.Labels[fmt.Sprint("label-", i)] = ""
	}
}

func ownedBy(uid types.UID) func(*appsv1.StatefulSet) {
	return func(s *appsv1.StatefulSet) {
		s.OwnerReferences = []metav1.OwnerReference{{
			APIVersion: "apps/v1", Kind: "Deployment", Name: "owner", UID: uid, Controller: ptr.To(true),
		}}
	}
}

// Writes.

func patching(
	precondition write.Precondition, change func(*appsv1.StatefulSet),
) func(observed *appsv1.StatefulSet) write.Write {
	return func(observed *appsv1.StatefulSet) write.Write {
		changed := observed.DeepCopy()
		change(changed)
		return write.Write{Patch: &write.Patch{From: observed, To: changed}, If: precondition}
	}
}

// relabeling adds a label to a StatefulSet that the cache doesn't show. So only its name and UID are known.
func relabeling(observed *appsv1.StatefulSet) write.Write {
	unseen := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{
		Namespace: observed.Namespace, Name: observed.Name, UID: observed.UID,
	}}
	unseen.SetGroupVersionKind(appsv1.SchemeGroupVersion.WithKind("StatefulSet"))
	relabeled := unseen.DeepCopy()
	relabeled.Labels = map[string]string{"set": "llama"}
	return write.Write{Patch: &write.Patch{From: unseen, To: relabeled}, If: write.SameUID}
}

func checking(observed *appsv1.StatefulSet) write.Write { return write.Write{Check: observed} }

func deleting(observed *appsv1.StatefulSet) write.Write {
	return write.Write{Delete: []write.Object{observed}}
}

// creating creates another object beside the observed one.
func creating(change func(*appsv1.StatefulSet)) func(observed *appsv1.StatefulSet) write.Write {
	return func(observed *appsv1.StatefulSet) write.Write {
		return creatingNamed(observed.Name+"-created", change)(observed)
	}
}

func creatingNamed(name string, change func(*appsv1.StatefulSet)) func(observed *appsv1.StatefulSet) write.Write {
	return func(observed *appsv1.StatefulSet) write.Write {
		created := statefulSet(observed.Namespace)
		created.Name = name
		change(created)
		return write.Write{Create: created}
	}
}

// creatingRevision creates a ControllerRevision of a size in bytes.
func creatingRevision(size int) func(observed *appsv1.StatefulSet) write.Write {
	return func(observed *appsv1.StatefulSet) write.Write {
		return write.Write{Create: &appsv1.ControllerRevision{
			ObjectMeta: metav1.ObjectMeta{Namespace: observed.Namespace, Name: observed.Name},
			Data:       runtime.RawExtension{Raw: fmt.Appendf(nil, `{"a": %q}`, strings.Repeat("a", size))},
		}}
	}
}

// undecodable patches a number into a text.
func undecodable(observed *appsv1.StatefulSet) write.Write {
	from, to := withTextAsReplicas(observed), withTextAsReplicas(observed)
	from.Object["spec"] = map[string]any{"replicas": int64(*observed.Spec.Replicas)}
	return write.Write{Patch: &write.Patch{From: from, To: to}, If: write.SameSpec}
}

func undecodableCreation(observed *appsv1.StatefulSet) write.Write {
	created := withTextAsReplicas(observed)
	created.SetName(observed.Name + "-created")
	return write.Write{Create: created}
}

func withTextAsReplicas(observed *appsv1.StatefulSet) *unstructured.Unstructured {
	object := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"replicas": "three"}}}
	object.SetGroupVersionKind(appsv1.SchemeGroupVersion.WithKind("StatefulSet"))
	object.SetNamespace(observed.Namespace)
	object.SetName(observed.Name)
	object.SetUID(observed.UID)
	object.SetGeneration(observed.Generation)
	return object
}

// Namespaces.

// namespaceWithoutQuota returns a namespace in which no StatefulSet may be created.
func namespaceWithoutQuota(t *testing.T) string {
	t.Helper()
	namespace := newNamespace(t, webhooksOff)
	exhaustQuota(t, namespace)
	return namespace
}

// terminatingNamespace returns a namespace that is being deleted. No controller runs here, so the namespace stays.
func terminatingNamespace(t *testing.T) string {
	t.Helper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: newNamespace(t, webhooksOff)}}
	if err := suite.client.Delete(t.Context(), namespace); err != nil {
		t.Fatal(err)
	}
	untilRefused(t, "the namespace isn't terminating", func(ctx context.Context) error {
		return suite.client.Create(ctx, statefulSet(namespace.Name), dryRun)
	})
	return namespace.Name
}
