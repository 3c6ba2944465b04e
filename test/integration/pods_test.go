// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"crypto/sha1" //nolint:gosec // The contract's keys are SHA-1.
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const prefix = "leaderworkerset.sigs.k8s.io/"

// newPod returns a pod like those of the StatefulSets of a LeaderWorkerSet "set" with two pods in a group.
func newPod(namespace, name string, labels, annotations map[string]string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: name, Labels: labels, Annotations: annotations,
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: "apps/v1", Kind: "StatefulSet", Name: "set", UID: "1", Controller: ptr.To(true),
			}},
		},
		Spec: corev1.PodSpec{
			Hostname: name, Subdomain: "set",
			Containers: []corev1.Container{{
				Name: "server", Image: "server",
				Env: []corev1.EnvVar{{Name: "MINE", Value: "$(LWS_LEADER_ADDRESS)"}, {Name: "LWS_GROUP_SIZE", Value: "99"}},
			}},
			InitContainers: []corev1.Container{{Name: "init", Image: "init"}},
		},
	}
}

func leaderPod(namespace string) *corev1.Pod {
	return newPod(namespace, "set-3",
		map[string]string{prefix + "name": "set", prefix + "worker-index": "0", prefix + "template-revision-hash": "abc"},
		map[string]string{prefix + "size": "2"})
}

func workerPod(namespace string) *corev1.Pod {
	return newPod(namespace, "set-3-1",
		map[string]string{
			prefix + "name":                   "set",
			prefix + "group-index":            "3",
			prefix + "group-key":              sha1Of(namespace + "/set-3"),
			prefix + "template-revision-hash": "abc",
		},
		map[string]string{prefix + "size": "2", prefix + "leader-name": "set-3"})
}

// TestPodsOfGroups checks what the webhook injects into pods by their ordinals.
func TestPodsOfGroups(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t, webhooksOn)
	for name, tc := range map[string]struct {
		pod     *corev1.Pod
		edit    func(*corev1.Pod)
		worker  string
		address string
	}{
		"leader": {leaderPod(namespace), func(*corev1.Pod) {}, "0", "set-3.set."},
		"worker": {workerPod(namespace), func(*corev1.Pod) {}, "1", "set-3.set."},
		"leader with a subdomain of its own": {
			leaderPod(namespace),
			func(pod *corev1.Pod) {
				pod.Annotations[prefix+"subdomainPolicy"] = "UniquePerReplica"
			}, "0", "set-3.set-3.",
		},
	} {
		t.Run(name, func(t *testing.T) {
			tc.edit(tc.pod)
			if err := suite.client.Create(t.Context(), tc.pod, dryRun); err != nil {
				t.Fatal(err)
			}
			wantLabels := map[string]string{
				prefix + "name":                   "set",
				prefix + "group-index":            "3",
				prefix + "worker-index":           tc.worker,
				prefix + "group-key":              sha1Of(namespace + "/set-3"),
				prefix + "template-revision-hash": "abc",
			}
			if diff := cmp.Diff(wantLabels, tc.pod.Labels); diff != "" {
				t.Errorf("labels (-want +got):\n%s", diff)
			}
			identity := []corev1.EnvVar{
				{Name: "LWS_LEADER_ADDRESS", Value: tc.address + namespace},
				{Name: "LWS_GROUP_SIZE", Value: "2"},
				{Name: "LWS_WORKER_INDEX", Value: tc.worker},
			}
			want := append(slices.Clone(identity), corev1.EnvVar{Name: "MINE", Value: "$(LWS_LEADER_ADDRESS)"})
			if diff := cmp.Diff(want, tc.pod.Spec.Containers[0].Env); diff != "" {
				t.Errorf("variables (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(identity, tc.pod.Spec.InitContainers[0].Env); diff != "" {
				t.Errorf("variables of the init container (-want +got):\n%s", diff)
			}
			// The API server calls the webhook again if another webhook has changed the pod.
			again := tc.pod.DeepCopy()
			again.ResourceVersion, again.UID = "", ""
			if err := suite.client.Create(t.Context(), again, dryRun); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.pod.Spec, again.Spec); diff != "" {
				t.Errorf("spec after a second time (-once +twice):\n%s", diff)
			}
		})
	}
}

// TestLeadersOfExclusiveGroups checks the scheduling gate of a leader whose group has exclusive placement. The webhook
// adds it while pods of the group's previous incarnation exist.
func TestLeadersOfExclusiveGroups(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t, webhooksOn)
	leaders := statefulSet(namespace)
	leaders.Name, leaders.Labels = "set", map[string]string{prefix + "name": "set"}
	leaders.OwnerReferences = []metav1.OwnerReference{{
		APIVersion: "leaderworkerset.x-k8s.io/v1", Kind: "LeaderWorkerSet", Name: "set", UID: "1", Controller: ptr.To(true),
	}}
	if err := suite.client.Create(t.Context(), leaders); err != nil {
		t.Fatal(err)
	}
	untilCached(t, leaders)
	gates := func() []corev1.PodSchedulingGate {
		t.Helper()
		pod := leaderPod(namespace)
		pod.Annotations[prefix+"exclusive-topology"] = "rack"
		if err := suite.client.Create(t.Context(), pod, dryRun); err != nil {
			t.Fatal(err)
		}
		return pod.Spec.SchedulingGates
	}
	if diff := cmp.Diff([]corev1.PodSchedulingGate(nil), gates()); diff != "" {
		t.Errorf("gates of the first leader (-want +got):\n%s", diff)
	}
	previous := workerPod(namespace)
	if err := suite.client.Create(t.Context(), previous); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]corev1.PodSchedulingGate{{Name: prefix + "previous-group"}}, gates()); diff != "" {
		t.Errorf("gates beside a previous worker (-want +got):\n%s", diff)
	}
	if err := suite.client.Delete(t.Context(), previous, client.GracePeriodSeconds(0)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]corev1.PodSchedulingGate(nil), gates()); diff != "" {
		t.Errorf("gates after the deletion of the previous worker (-want +got):\n%s", diff)
	}
}

// TestOtherPods checks that the webhook doesn't change pods with the label that no StatefulSet controls, such as a copy
// for debugging.
func TestOtherPods(t *testing.T) {
	t.Parallel()
	on, off := newNamespace(t, webhooksOn), newNamespace(t, webhooksOff)
	for name, change := range map[string]func(*corev1.Pod){
		"no owner":           func(pod *corev1.Pod) { pod.OwnerReferences = nil },
		"not its controller": func(pod *corev1.Pod) { pod.OwnerReferences[0].Controller = nil },
		"another owner":      func(pod *corev1.Pod) { pod.OwnerReferences[0].Kind = "ReplicaSet" },
		"an empty label":     func(pod *corev1.Pod) { pod.Labels[prefix+"name"] = "" },
		"debug copy":         func(pod *corev1.Pod) { pod.OwnerReferences, pod.Name, pod.Annotations = nil, "debug", nil },
	} {
		t.Run(name, func(t *testing.T) {
			want, got := leaderPod(off), leaderPod(on)
			for _, pod := range []*corev1.Pod{want, got} {
				change(pod)
				if err := suite.client.Create(t.Context(), pod, dryRun); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(want.Labels, got.Labels); diff != "" {
				t.Errorf("labels (-without webhooks +with):\n%s", diff)
			}
			if diff := cmp.Diff(want.Spec, got.Spec); diff != "" {
				t.Errorf("spec (-without webhooks +with):\n%s", diff)
			}
		})
	}
}

// TestMalformedPods checks that the webhook refuses a pod whose group or ordinal is invalid, and reports the reason.
func TestMalformedPods(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t, webhooksOn)
	for name, tc := range map[string]struct {
		pod  *corev1.Pod
		edit func(*corev1.Pod)
		want string
	}{
		"no size": {
			leaderPod(namespace), func(pod *corev1.Pod) { pod.Annotations = nil },
			`annotation leaderworkerset.sigs.k8s.io/size: "" is not the size of a group`,
		},
		"a size of 0": {
			leaderPod(namespace), func(pod *corev1.Pod) { pod.Annotations[prefix+"size"] = "0" },
			`annotation leaderworkerset.sigs.k8s.io/size: "0" is not the size of a group`,
		},
		"a size that is huge": {
			workerPod(namespace), func(pod *corev1.Pod) { pod.Annotations[prefix+"size"] = "2147483648" },
			`"2147483648" is not the size of a group`,
		},
		"no ordinal": {
			leaderPod(namespace), func(pod *corev1.Pod) { pod.Name = "set" },
			`pod name "set" doesn't end in an ordinal`,
		},
		"no group index": {
			workerPod(namespace), func(pod *corev1.Pod) { delete(pod.Labels, prefix+"group-index") },
			`label leaderworkerset.sigs.k8s.io/group-index: "" is not a group index`,
		},
		"a bad group index": {
			workerPod(namespace), func(pod *corev1.Pod) { pod.Labels[prefix+"group-index"] = "-1x" },
			`"-1x" is not a group index`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			tc.edit(tc.pod)
			err := suite.client.Create(t.Context(), tc.pod, dryRun)
			if !apierrors.IsBadRequest(err) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got: %v; want a bad request: %s", err, tc.want)
			}
		})
	}
}

// TestOperatorDown checks which requests fail while the operator is down. The objectSelector and the rules of the
// webhooks exclude all other requests.
func TestOperatorDown(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t, webhooksOff)
	set := create(t, namespace, "set", `{}`)
	grouped := leaderPod(namespace)
	if err := suite.client.Create(t.Context(), grouped); err != nil {
		t.Fatal(err)
	}
	switchTo(t, namespace, webhooksDown)

	t.Run("refused", func(t *testing.T) {
		for name, err := range map[string]error{
			"creation of a pod of a group": suite.client.Create(t.Context(), workerPod(namespace), dryRun),
			"creation of a set":            suite.client.Create(t.Context(), newSet(t, namespace, "another", `{}`), dryRun),
			"change of a set":              edit(t, set.DeepCopy(), `{replicas: 2}`, dryRun),
		} {
			if !apierrors.IsInternalError(err) || !strings.Contains(err.Error(), "failed calling webhook") {
				t.Errorf("%s: %v; want a failed call of the webhook", name, err)
			}
		}
	})
	t.Run("accepted", func(t *testing.T) {
		plain := workerPod(namespace)
		delete(plain.Labels, prefix+"name")
		grouped.Labels["a"] = "b"
		status := read(t, set)
		status.Status.Replicas = 1
		for _, step := range []struct {
			name string
			err  error
		}{
			{"creation of a pod without the label", suite.client.Create(t.Context(), plain)},
			{"change of a pod of a group", suite.client.Update(t.Context(), grouped)},
			{"creation of a StatefulSet", suite.client.Create(t.Context(), statefulSet(namespace))},
			{"scaling a set", scaleTo(t, set, 3)},
			{"status of a set", suite.client.Status().Patch(t.Context(), status, statusOf(t, `{replicas: 1}`))},
			{"deletion of a pod of a group", suite.client.Delete(t.Context(), grouped)},
			{"deletion of a set", suite.client.Delete(t.Context(), set)},
		} {
			if step.err != nil {
				t.Errorf("%s: %v", step.name, step.err)
			}
		}
	})
}

func sha1Of(s string) string {
	sum := sha1.Sum([]byte(s)) //nolint:gosec // See the import.
	return hex.EncodeToString(sum[:])
}
