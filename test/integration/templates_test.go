// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// invalidTemplates are templates that the schema accepts and that a StatefulSet can't have.
var invalidTemplates = []struct {
	name string
	spec string
	want []refusal
}{
	{
		"no image",
		`{leaderWorkerTemplate: {workerTemplate: {spec: {containers: [{name: a, image: ""}]}}}}`,
		[]refusal{{workerTemplate + ".spec.containers[0].image", "Required value"}},
	},
	{
		"container name that is no label",
		`{leaderWorkerTemplate: {workerTemplate: {spec: {containers: [{name: A_b, image: a}]}}}}`,
		[]refusal{{workerTemplate + ".spec.containers[0].name", "RFC 1123 label"}},
	},
	{
		"more requested than allowed",
		`{leaderWorkerTemplate: {workerTemplate: {spec: {containers: [{name: a, image: a, ` +
			`resources: {requests: {cpu: 2}, limits: {cpu: 1}}}]}}}}`,
		[]refusal{
			{workerTemplate + ".spec.containers[0].resources.requests", "must be less than or equal to cpu limit of 1"},
		},
	},
	{
		"negative request",
		`{leaderWorkerTemplate: {workerTemplate: {spec: {containers: [{name: a, image: a, ` +
			`resources: {requests: {memory: -1Gi}}}]}}}}`,
		[]refusal{{workerTemplate + ".spec.containers[0].resources.requests[memory]", "must be greater than or equal to 0"}},
	},
	{
		"mount of no volume",
		`{leaderWorkerTemplate: {workerTemplate: {spec: {containers: [{name: a, image: a, ` +
			`volumeMounts: [{name: data, mountPath: /data}]}]}}}}`,
		[]refusal{{workerTemplate + ".spec.containers[0].volumeMounts[0].name", `Not found: "data"`}},
	},
	{
		"pull policy",
		`{leaderWorkerTemplate: {workerTemplate: {spec: {containers: [{name: a, image: a, imagePullPolicy: Sometimes}]}}}}`,
		[]refusal{{workerTemplate + ".spec.containers[0].imagePullPolicy", "Unsupported value"}},
	},
	{
		"deadline, which StatefulSets don't have",
		`{leaderWorkerTemplate: {workerTemplate: {spec: {activeDeadlineSeconds: 5}}}}`,
		[]refusal{{workerTemplate + ".spec.activeDeadlineSeconds", "Forbidden"}},
	},
	{
		"label of the template",
		`{leaderWorkerTemplate: {workerTemplate: {metadata: {labels: {a: b c}}}}}`,
		[]refusal{{workerTemplate + ".labels", "a valid label must"}},
	},
	{
		"finalizers that pods can't have",
		`{leaderWorkerTemplate: {leaderTemplate: {metadata: {finalizers: [kubernetes, mine, a/b c]}, ` +
			`spec: {containers: [{name: a, image: a}]}}, workerTemplate: {metadata: {finalizers: [example.com/mine, "-"]}}}}`,
		[]refusal{
			{leaderTemplate + ".metadata.finalizers[1]", "neither a standard finalizer name"},
			{leaderTemplate + ".metadata.finalizers", "must consist of alphanumeric characters"},
			{workerTemplate + ".metadata.finalizers[1]", "neither a standard finalizer name"},
		},
	},
	{
		"leaderTemplate",
		`{leaderWorkerTemplate: {leaderTemplate: {spec: {containers: [{name: a, image: ""}]}}}}`,
		[]refusal{{leaderTemplate + ".spec.containers[0].image", "Required value"}},
	},
	{
		"workerTemplate next to a leaderTemplate, and both",
		`{leaderWorkerTemplate: {size: 2, leaderTemplate: {spec: {containers: [{name: a, image: ""}]}}, ` +
			`workerTemplate: {spec: {containers: [{name: "", image: a}]}}}}`,
		[]refusal{
			{leaderTemplate + ".spec.containers[0].image", "Required value"},
			{workerTemplate + ".spec.containers[0].name", "Required value"},
		},
	},
}

// TestInvalidTemplates checks that the webhook refuses a set whose StatefulSets the API server would refuse. The errors
// have the paths of the set's fields.
func TestInvalidTemplates(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t, webhooksOn)
	fine := create(t, namespace, "fine", `{}`)
	for _, tc := range invalidTemplates {
		t.Run(tc.name, func(t *testing.T) {
			created := suite.client.Create(t.Context(), newSet(t, namespace, "set", tc.spec))
			edited := edit(t, fine.DeepCopy(), tc.spec)
			for _, want := range tc.want {
				want.check(t, created)
				want.check(t, edited)
			}
		})
	}
}

// TestInvalidClaims checks the same for volume claim templates, which are immutable.
func TestInvalidClaims(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t, webhooksOn)
	for _, tc := range []struct {
		claim string
		want  refusal
	}{
		{
			`{metadata: {name: data}, spec: {resources: {requests: {storage: 1Gi}}}}`,
			refusal{claimTemplates + "[0].spec.accessModes", "at least 1 access mode is required"},
		},
		{
			`{metadata: {name: data}, spec: {accessModes: [Often], resources: {requests: {storage: 1Gi}}}}`,
			refusal{claimTemplates + "[0].spec.accessModes", `Unsupported value: "Often"`},
		},
		{
			`{metadata: {name: data}, spec: {accessModes: [ReadWriteOnce]}}`,
			refusal{claimTemplates + "[0].spec.resources[storage]", "Required value"},
		},
		{
			`{metadata: {name: data}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: -1Gi}}}}`,
			refusal{claimTemplates + "[0].spec.resources[storage]", "must be greater than zero"},
		},
		{
			`{metadata: {name: data}, ` +
				`spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}, storageClassName: _}}`,
			refusal{claimTemplates + "[0].spec.storageClassName", "RFC 1123 subdomain"},
		},
		{
			// The API server checks these names where the StatefulSet uses them: each pod has a volume for each claim.
			`{metadata: {name: A_b}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}`,
			refusal{workerTemplate + ".spec.volumes[0].name", `Invalid value: "A_b"`},
		},
	} {
		t.Run(shortened(tc.claim), func(t *testing.T) {
			spec := `{leaderWorkerTemplate: {volumeClaimTemplates: [` + tc.claim + `]}}`
			tc.want.check(t, suite.client.Create(t.Context(), newSet(t, namespace, "set", spec), dryRun))
		})
	}
}

// TestValidTemplates checks that the webhook accepts templates that are valid only as part of a StatefulSet. It also
// accepts templates that the cluster may refuse for the time being.
func TestValidTemplates(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t, webhooksOn)
	for name, spec := range map[string]string{
		"mount of a claim": `{leaderWorkerTemplate: {
			workerTemplate: {spec: {containers: [{name: a, image: a, volumeMounts: [{name: data, mountPath: /data}]}]}},
			volumeClaimTemplates: [{
				metadata: {name: data}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}]}}`,
		"the operator's own labels": `{leaderWorkerTemplate: {workerTemplate: {metadata: {
			labels: {leaderworkerset.sigs.k8s.io/name: other, leaderworkerset.sigs.k8s.io/worker-index: "7"}}}}}`,
		"the operator's own variables": `{leaderWorkerTemplate: {workerTemplate: {spec: {containers: [{
			name: a, image: a, env: [{name: LWS_GROUP_SIZE, value: "7"}]}]}}}}`,
		"unknown service account": `{leaderWorkerTemplate: {workerTemplate: {spec: {serviceAccountName: nobody}}}}`,
		"unknown priority class":  `{leaderWorkerTemplate: {workerTemplate: {spec: {priorityClassName: unknown}}}}`,
		"sidecar": `{leaderWorkerTemplate: {workerTemplate: {spec: {initContainers: [{
			name: s, image: s, restartPolicy: Always}]}}}}`,
	} {
		if err := suite.client.Create(t.Context(), newSet(t, namespace, "set", spec), dryRun); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestChecksCreateNothing checks that the webhook's dry runs create no StatefulSets.
func TestChecksCreateNothing(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t, webhooksOn)
	create(t, namespace, "set",
		`{leaderWorkerTemplate: {size: 2, leaderTemplate: {spec: {containers: [{name: a, image: a}]}}}}`)
	var made appsv1.StatefulSetList
	if err := suite.client.List(t.Context(), &made, client.InNamespace(namespace)); err != nil {
		t.Fatal(err)
	}
	if len(made.Items) > 0 {
		t.Errorf("%d StatefulSets exist; want none", len(made.Items))
	}
}

// TestQuotaDoesNotRefuse checks that the webhook accepts a set whose StatefulSets exceed a quota, because the quota may
// change.
func TestQuotaDoesNotRefuse(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t, webhooksOn)
	exhaustQuota(t, namespace)
	create(t, namespace, "set", `{}`)

	err := suite.client.Create(t.Context(), newSet(t, namespace, "unfit", invalidTemplates[0].spec))
	if !apierrors.IsInvalid(err) {
		t.Errorf("an invalid template while the quota is exceeded: %v; want it refused", err)
	}
}

// exhaustQuota gives a namespace a quota of no StatefulSets, and waits until the quota is in force.
func exhaustQuota(t *testing.T, namespace string) {
	t.Helper()
	none := corev1.ResourceList{"count/statefulsets.apps": resource.MustParse("0")}
	quota := &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "none"},
		Spec:       corev1.ResourceQuotaSpec{Hard: none},
	}
	if err := suite.client.Create(t.Context(), quota); err != nil {
		t.Fatal(err)
	}
	quota.Status = corev1.ResourceQuotaStatus{Hard: none, Used: none} // No controller runs here.
	if err := suite.client.Status().Update(t.Context(), quota); err != nil {
		t.Fatal(err)
	}
	err := wait.PollUntilContextTimeout(t.Context(), poll, deadline, true, func(ctx context.Context) (bool, error) {
		return apierrors.IsForbidden(suite.client.Create(ctx, statefulSet(namespace), dryRun)), nil
	})
	if err != nil {
		t.Fatalf("the quota isn't in force: %v", err)
	}
}

// statefulSet returns a StatefulSet that the API server accepts.
func statefulSet(namespace string) *appsv1.StatefulSet {
	labels := map[string]string{"a": "b"}
	return &appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "plain"},
		Spec: appsv1.StatefulSetSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "a", Image: "a"}}},
			},
		},
	}
}

// TestOldSetsCanBeEdited creates a set that breaks a newer rule. The webhook accepts edits of other fields and the
// deletion of the set.
func TestOldSetsCanBeEdited(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t, webhooksOff)
	old := newSet(t, namespace, "old", invalidTemplates[0].spec)
	old.SetFinalizers([]string{"example.com/wait"})
	if err := suite.client.Create(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	switchTo(t, namespace, webhooksOn)
	for _, change := range []string{
		`{replicas: 2}`, `{startupPolicy: LeaderReady}`, `{leaderWorkerTemplate: {restartPolicy: None}}`,
	} {
		if err := edit(t, old, change); err != nil {
			t.Errorf("edit %s: %v", change, err)
		}
	}
	invalidTemplates[0].want[0].check(t, edit(t, old, `{leaderWorkerTemplate: {size: 2}}`))
	if err := suite.client.Delete(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	lws := read(t, old)
	lws.Finalizers = nil
	if err := suite.client.Update(t.Context(), lws); err != nil {
		t.Errorf("removal of a finalizer: %v", err)
	}
	if err := suite.client.Get(t.Context(), client.ObjectKeyFromObject(old), lws); !apierrors.IsNotFound(err) {
		t.Errorf("after the removal of the finalizer: %v; want the set deleted", err)
	}
}
