// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/test/objects"
)

// TestLocalWebhookMissing deletes pods while the MutatingWebhookConfiguration is missing. The next pods are created
// without labels, variables and subdomain. The operator reports them, doesn't count their groups as ready, and
// recreates each group once.
func TestLocalWebhookMissing(t *testing.T) {
	namespace := newNamespace(t)
	none := func(lws *leaderworkersetv1.LeaderWorkerSet) {
		lws.Spec.LeaderWorkerTemplate.RestartPolicy = leaderworkersetv1.NoneRestartPolicy
	}
	sets := map[string]*leaderworkersetv1.LeaderWorkerSet{ // by the pod that is deleted
		"pairs-0":   newSet(namespace, "pairs", 2, 2),
		"single-0":  newSet(namespace, "single", 1, 1),
		"own-0":     newSet(namespace, "own", 1, 2, uniquePerReplica),
		"none-0-1":  newSet(namespace, "none", 1, 3, none),
		"foreign-0": newSet(namespace, "foreign", 1, 2),
	}
	for _, lws := range sets {
		create(t, lws)
	}
	for _, lws := range sets {
		untilAvailable(t, lws)
	}
	pods := record[*corev1.Pod](t, namespace, &corev1.PodList{})
	restore, begin := removeMutatingWebhook(t), time.Now()
	for name := range sets {
		remove(t, named(t, listed(t, podsIn(namespace)), name))
	}
	pods.until(t, func(state map[string]*corev1.Pod) error {
		for name := range sets {
			if pod := state[name]; pod == nil || !objects.PodReady(pod) || injectedAs(pod) == nil {
				return fmt.Errorf("%s wasn't created without the webhook", name)
			}
		}
		return nil
	})
	createWorkersAsOtherController(t, named(t, listed(t, podsIn(namespace)), "foreign-0"))
	for name, lws := range sets {
		untilFailing(t, lws, "pod "+name+" was created without the webhook")
	}
	consistently(t, 3*time.Second, func() error {
		for _, lws := range sets {
			refresh(t, lws)
			if available(lws) {
				return fmt.Errorf("%s is available", lws.Name)
			}
		}
		return nil
	})
	restore()
	inTime := time.Since(begin) < 10*time.Second // Later, the operator has recreated groups in vain.
	// The webhook rejects the next worker of the other controller's StatefulSet.
	worker := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "foreign-0-1"}}
	if err := client.IgnoreNotFound(suite.client.Delete(t.Context(), worker)); err != nil {
		t.Fatal(err)
	}

	for _, lws := range sets {
		untilRecovered(t, lws)
	}
	state := pods.current(t)
	for name, pod := range state {
		if err := injectedAs(pod); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	check(t, "subdomain", "own-0", state["own-0-1"].Spec.Subdomain)
	incarnations := pods.incarnations(t)
	for name := range sets { // The first pod, the one without the webhook, and the last.
		if got := incarnations[name]; got < 3 || (inTime && got > 3) {
			t.Errorf("%d incarnations of %s, want 3", got, name)
		}
	}
	check(t, "incarnations of the group that nothing happened to", 1, incarnations["pairs-1"])
	if got := incarnations["none-0"]; got < 2 || (inTime && got > 2) {
		t.Errorf("%d incarnations of the leader of such a worker, want 2", got)
	}
}

// injectedAs returns why a pod isn't one that the webhook has changed; nil if it is.
func injectedAs(pod *corev1.Pod) error {
	for _, label := range []string{
		leaderworkersetv1.GroupIndexLabelKey, leaderworkersetv1.WorkerIndexLabelKey,
		leaderworkersetv1.GroupUniqueHashLabelKey,
	} {
		if pod.Labels[label] == "" {
			return fmt.Errorf("no label %s", label)
		}
	}
	env := pod.Spec.Containers[0].Env
	return unless(len(env) == 3 && env[0].Name == leaderworkersetv1.LeaderAddressEnvVar, "variables %v", env)
}

// removeMutatingWebhook deletes the operator's MutatingWebhookConfiguration. restore creates it again.
func removeMutatingWebhook(t *testing.T) (restore func()) {
	t.Helper()
	var configurations admissionv1.MutatingWebhookConfigurationList
	if err := suite.client.List(t.Context(), &configurations); err != nil {
		t.Fatal(err)
	}
	for i := range configurations.Items {
		remove(t, &configurations.Items[i])
	}
	untilPolicyBecomes(t, leaderworkersetv1.DeprecatedDefaultRestartPolicy)
	restored := false
	restore = func() {
		if restored {
			return
		}
		restored = true
		for i := range configurations.Items {
			configuration := &configurations.Items[i]
			configuration.ResourceVersion, configuration.UID = "", ""
			if err := suite.client.Create(context.WithoutCancel(t.Context()), configuration); err != nil {
				t.Error(err)
			}
		}
		untilPolicyBecomes(t, leaderworkersetv1.NoneRestartPolicy)
	}
	t.Cleanup(restore)
	return restore
}

// untilPolicyBecomes waits until the API server makes that of the policy Default: it observes changes of webhook
// configurations with a delay.
func untilPolicyBecomes(t *testing.T, policy leaderworkersetv1.RestartPolicyType) {
	t.Helper()
	untilWebhooks(t, func(err error, lws *leaderworkersetv1.LeaderWorkerSet) bool {
		return err == nil && lws.Spec.LeaderWorkerTemplate.RestartPolicy == policy
	})
}

// createWorkersAsOtherController creates the worker StatefulSet of a leader that lacks labels. A controller that reads
// the group's index from the leader's labels copies an empty one.
func createWorkersAsOtherController(t *testing.T, leader *corev1.Pod) {
	t.Helper()
	labels := map[string]string{
		leaderworkersetv1.SetNameLabelKey:         leader.Labels[leaderworkersetv1.SetNameLabelKey],
		leaderworkersetv1.GroupIndexLabelKey:      "",
		leaderworkersetv1.GroupUniqueHashLabelKey: "",
		leaderworkersetv1.RevisionLabelKey:        keyOf(leader),
	}
	owner := metav1.NewControllerRef(leader, corev1.SchemeGroupVersion.WithKind("Pod"))
	template := podTemplate()
	template.Labels = labels
	template.Annotations = map[string]string{
		leaderworkersetv1.SizeAnnotationKey: "2", leaderworkersetv1.LeaderPodNameAnnotationKey: leader.Name,
	}
	create(t, &appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{
			Name: leader.Name, Namespace: leader.Namespace, Labels: labels,
			OwnerReferences: []metav1.OwnerReference{*owner},
		},
		Spec: appsv1.StatefulSetSpec{
			Replicas: ptr.To[int32](1), Ordinals: &appsv1.StatefulSetOrdinals{Start: 1},
			Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: template,
		},
	})
	eventually(t, func(ctx context.Context) error {
		key := client.ObjectKey{Namespace: leader.Namespace, Name: leader.Name + "-1"}
		return suite.client.Get(ctx, key, &corev1.Pod{})
	})
}
