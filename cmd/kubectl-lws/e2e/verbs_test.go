// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"archive/zip"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// TestRead shows a set that has all it asks for.
func TestRead(t *testing.T) {
	t.Parallel()
	u := admin(t)
	u.newSet(t, "llama", 2, 2)
	u.available(t, "llama")
	u.wants(t, []string{"list"}, "llama   2/2     2            2      Available", "<none>")
	u.wants(t, []string{"list", "-A", "--no-headers", "-l", "!x"}, u.namespace+"   llama")
	u.wants(t, []string{"list", "-o", "name"}, "leaderworkerset.leaderworkerset.x-k8s.io/llama\n")
	u.wants(t, []string{"list", "-o", "jsonpath={.items[0].metadata.name}"}, "llama")
	u.wants(t, []string{"list", "-o", "wide"}, "REVISION", "v1")
	if got := u.run(t, "list", "--unready"); !strings.Contains(got.errOut, "No resources found") {
		t.Errorf("list --unready: %+v", got)
	}
	u.wants(t, []string{"status", "lws/llama", "--exit-code"}, "2 groups of 2 pods", "Available: 2 of 2 groups ready",
		"Revision         1 (")
	u.wants(t, []string{"status", "llama", "-o", "yaml"}, "kind: LeaderWorkerSet",
		"apiVersion: leaderworkerset.x-k8s.io/v1")
	u.wants(t, []string{"groups", "llama"}, "0       2/2     1          Ready", "node-")
	u.wants(t, []string{"groups", "llama", "-o", "name"}, "pod/llama-0\npod/llama-1\n")
	u.wants(t, []string{"why", "llama"}, "is Available: 2 of 2 groups ready")
	u.wants(t, []string{"why", "llama", "llama-1"}, "Group 1 of "+u.namespace+"/llama is ready.")
	u.wants(t, []string{"tree", "llama"}, "LeaderWorkerSet/llama  Available", "   └─ Pod/llama-1  ready on node-",
		"      └─ StatefulSet/llama-1  1/1 ready", "         └─ Pod/llama-1-1  ready on node-")
	u.wants(t, []string{"rollout", "history", "llama"}, "1 (current)   ", "   0-1      ")
	u.wants(t, []string{"rollout", "history", "llama", "--revision=1"}, "image: v1", "subdomainPolicy: Shared")
	u.wants(t, []string{"rollout", "status", "llama"}, `leaderworkerset "llama" successfully rolled out`)
	u.wants(t, []string{"__complete", "status", ""}, "llama\n")
	u.wants(t, []string{"__complete", "why", "llama", ""}, "0\n1\n")
	u.wants(t, []string{"__complete", "logs", "llama", "-g", ""}, "0\n1\n")
	u.wantsError(t, []string{"status", "lama"},
		`Error from server (NotFound): leaderworkersets.leaderworkerset.x-k8s.io "lama" not found`)
	u.wantsError(t, []string{"why", "llama", "7"}, `error: leaderworkerset "llama" has no group 7`)
	u.wantsError(t, []string{"rollout", "undo", "llama"}, "error: no rollout history found")
}

// TestWhy explains a group whose workers no node takes, and one whose container is killed.
func TestWhy(t *testing.T) {
	t.Parallel()
	u := admin(t)
	u.newSet(t, "llama", 2, 2, func(lws *leaderworkersetv1.LeaderWorkerSet) {
		template := &lws.Spec.LeaderWorkerTemplate
		template.RestartPolicy = leaderworkersetv1.NoneRestartPolicy
		template.LeaderTemplate = template.WorkerTemplate.DeepCopy()
		template.WorkerTemplate.Spec.NodeSelector = map[string]string{"example.com/gpu": "b200"}
	})
	u.eventually(t, []string{"status", "llama"}, "1/2", "Unschedulable", "llama-0-1: 0/4 nodes are available",
		"Next             waits for groups 0-1. Try: kubectl lws why llama 0 -n "+u.namespace)
	u.eventually(t, []string{"list", "--unready"}, "0: Unschedulable, llama-0-1: 0/4 nodes are available")
	u.wants(t, []string{"groups", "llama", "--unready"}, "llama-1-1: 0/4")
	u.wants(t, []string{"why", "llama", "0"}, "Group 0 of "+u.namespace+"/llama isn't ready",
		"group 0: Unschedulable, 1 of 2 pods ready", "llama-0-1: Unschedulable", "0/4 nodes are available", "Add nodes",
		"kubectl describe pod llama-0-1")
	u.wantsError(t, []string{"status", "llama", "--exit-code"}, "Unschedulable")
	u.wantsError(t, []string{"rollout", "status", "llama", "--timeout=2s"}, "groups are ready...",
		"error: timed out waiting for the condition")

	pod := &corev1.Pod{}
	u.get(t, "llama-1", pod)
	before := pod.DeepCopy()
	for i := range pod.Status.Conditions {
		if pod.Status.Conditions[i].Type == corev1.PodReady {
			pod.Status.Conditions[i].Status = corev1.ConditionFalse
		}
	}
	status := &pod.Status.ContainerStatuses[0]
	status.Ready, status.RestartCount = false, 4
	status.State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}}
	status.LastTerminationState.Terminated = &corev1.ContainerStateTerminated{
		Reason: "OOMKilled", ExitCode: 137, Message: "CUDA out of memory",
	}
	if err := suite.client.Status().Patch(t.Context(), pod, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
	u.eventually(t, []string{"why", "llama", "1"}, "llama-1: CrashLoop", "OOMKilled, exit code 137, 4 restarts",
		"CUDA out of memory")
}

// TestRefused explains a group that a quota keeps from being created.
func TestRefused(t *testing.T) {
	t.Parallel()
	u := admin(t)
	create(t, &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Namespace: u.namespace, Name: "small"},
		Spec:       corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{corev1.ResourcePods: resource.MustParse("3")}},
	})
	u.newSet(t, "llama", 2, 2)
	u.eventually(t, []string{"why", "llama"}, "is Refused", "exceeded quota: small", "What to do", "Raise the quota")
	u.wants(t, []string{"status", "llama"}, "ReplicaFailure", "exceeded quota")
}

// TestRollout steers a rolling update: canary, pause, resume, undo, restart.
func TestRollout(t *testing.T) {
	t.Parallel()
	u := admin(t)
	u.newSet(t, "llama", 3, 2)
	u.available(t, "llama")
	u.wants(t, []string{"rollout", "canary", "llama", "--groups=1"},
		"leaderworkerset.leaderworkerset.x-k8s.io/llama partition 2, was 0: group 2 is updated")
	u.edit(t, "llama", image("v2"))
	u.eventually(t, []string{"rollout", "status", "llama"},
		"partitioned roll out complete: 1 new groups have been updated...")
	u.wants(t, []string{"status", "llama"}, "Held: 3 of 3 groups ready, 2 held by the partition", "1 of 3 done",
		"kubectl lws rollout resume llama")
	u.wants(t, []string{"groups", "llama", "--old", "--no-headers", "-o", "name"}, "pod/llama-0\npod/llama-1\n")
	u.wants(t, []string{"rollout", "history", "llama", "--diff"}, "--- revision 1", "+++ revision 2", "-      - image: v1",
		"+      - image: v2")
	u.wants(t, []string{"rollout", "undo", "llama", "--dry-run=server"}, "-      - image: v2", "+      - image: v1",
		"Restarts group 2; 1 may be unavailable.", "rolled back (server dry run)")
	u.wants(t, []string{"rollout", "resume", "llama"}, "resumed: partition 0, was 2")
	u.available(t, "llama")
	u.wants(t, []string{"rollout", "history", "llama"}, "2 (current)")
	u.wantsError(t, []string{"rollout", "resume", "llama"}, "error: the rollout isn't paused")

	u.wants(t, []string{"rollout", "undo", "llama"}, "rolled back")
	u.available(t, "llama")
	lws := &leaderworkersetv1.LeaderWorkerSet{}
	u.get(t, "llama", lws)
	if got := lws.Spec.LeaderWorkerTemplate.WorkerTemplate.Spec.Containers[0].Image; got != "v1" {
		t.Errorf("after undo, the image is %s", got)
	}
	u.wants(t, []string{"rollout", "undo", "llama", "--to-revision=3"}, "skipped rollback")
	u.wantsError(t, []string{"rollout", "undo", "llama", "--to-revision=9"}, "unable to find specified revision 9")

	u.wants(t, []string{"rollout", "pause", "llama"}, "paused: partition 3, was 0")
	u.wantsError(t, []string{"rollout", "pause", "llama"}, "error: the rollout is paused already: the partition is 3")
	u.wants(t, []string{"rollout", "restart", "llama"}, "restarted")
	u.eventually(t, []string{"rollout", "status", "llama"}, "partitioned roll out complete: 0 new groups")
	u.wants(t, []string{"rollout", "resume", "llama"}, "resumed: partition 0, was 3")
	u.available(t, "llama")
	u.wants(t, []string{"groups", "llama", "--no-headers"}, "0     2/2   4", "1     2/2   4", "2     2/2   4")
}

// TestUndoRemoves takes everything out of the earlier revision: what was added since is gone. Fields that are no part
// of a revision stay, and so does the group that still is of that revision.
func TestUndoRemoves(t *testing.T) {
	t.Parallel()
	u := admin(t)
	u.newSet(t, "llama", 2, 2)
	u.available(t, "llama")
	kept := &corev1.Pod{}
	u.get(t, "llama-0", kept)
	u.edit(t, "llama", func(lws *leaderworkersetv1.LeaderWorkerSet) {
		template := &lws.Spec.LeaderWorkerTemplate
		template.LeaderTemplate = template.WorkerTemplate.DeepCopy()
		template.LeaderTemplate.Spec.Containers[0].Image = "leader"
		template.Size = ptr.To[int32](3)
		template.MaxGroupRestarts = ptr.To[int32](5)
		lws.Spec.RolloutStrategy.RollingUpdateConfiguration.Partition = ptr.To[int32](1)
		lws.Spec.NetworkConfig.SubdomainPolicy = ptr.To(leaderworkersetv1.SubdomainUniquePerReplica)
	})
	u.available(t, "llama")
	u.wants(t, []string{"rollout", "undo", "llama", "--to-revision=1", "--dry-run=server"},
		"-  size: 3", "Restarts group 1;")
	u.wants(t, []string{"rollout", "undo", "llama", "--to-revision=1"}, "rolled back")
	u.available(t, "llama")
	lws := &leaderworkersetv1.LeaderWorkerSet{}
	u.get(t, "llama", lws)
	template := lws.Spec.LeaderWorkerTemplate
	if template.LeaderTemplate != nil || *template.Size != 2 ||
		*lws.Spec.NetworkConfig.SubdomainPolicy != leaderworkersetv1.SubdomainShared {
		t.Errorf("after undo: %+v", lws.Spec)
	}
	if *template.MaxGroupRestarts != 5 || *lws.Spec.RolloutStrategy.RollingUpdateConfiguration.Partition != 1 {
		t.Errorf("undo changed more than a revision has: %+v", lws.Spec)
	}
	still := &corev1.Pod{}
	u.get(t, "llama-0", still)
	if still.UID != kept.UID {
		t.Error("a group of the revision restarted")
	}
}

// TestRestart recreates one group, and one that has no restarts left.
func TestRestart(t *testing.T) {
	t.Parallel()
	u := admin(t)
	u.newSet(t, "llama", 2, 2, func(lws *leaderworkersetv1.LeaderWorkerSet) {
		lws.Spec.LeaderWorkerTemplate.MaxGroupRestarts = ptr.To[int32](0)
	})
	u.available(t, "llama")
	first := &corev1.Pod{}
	u.get(t, "llama-1", first)
	u.wants(t, []string{"restart", "llama", "1", "--dry-run=server"},
		`group 1 restarted: pod "llama-1" deleted (server dry run)`)
	u.wants(t, []string{"restart", "llama", "1"}, `group 1 restarted: pod "llama-1" deleted`)
	u.eventually(t, []string{"status", "llama"}, "2 of 2 groups ready")
	second := &corev1.Pod{}
	u.get(t, "llama-1", second)
	if first.UID == second.UID {
		t.Error("the leader is the same pod")
	}
	u.wantsError(t, []string{"restart", "llama", "5"}, "has no group 5")

	before := second.DeepCopy()
	second.Status.ContainerStatuses[0].RestartCount = 1
	if err := suite.client.Status().Patch(t.Context(), second, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
	u.eventually(t, []string{"status", "llama"}, "Degraded", "group 1 has no restarts left. Try: kubectl lws why llama 1")
	u.wants(t, []string{"why", "llama"}, "is Degraded", "kubectl lws restart llama 1")
	u.wantsError(t, []string{"rollout", "status", "llama"}, "no restarts left")
	u.wants(t, []string{"restart", "llama", "1"}, "group 1 restarted")
	u.eventually(t, []string{"status", "llama", "--exit-code"}, "Available: 2 of 2 groups ready")
}

// TestDrainCheck names the groups on a node, and the budget that holds a drain.
func TestDrainCheck(t *testing.T) {
	t.Parallel()
	u := admin(t)
	lws := u.newSet(t, "llama", 2, 2)
	u.available(t, "llama")
	pod := &corev1.Pod{}
	u.get(t, "llama-1-1", pod)
	args := []string{"drain-check", pod.Spec.NodeName}
	u.wants(t, args, u.namespace+"   llama   1       2/2     llama-1-1 on "+pod.Spec.NodeName, "<none>",
		"No budget holds for all of them")
	create(t, &policyv1.PodDisruptionBudget{
		ObjectMeta: metav1.ObjectMeta{Namespace: u.namespace, Name: "one"},
		Spec: policyv1.PodDisruptionBudgetSpec{
			MaxUnavailable: ptr.To(intstr.FromInt32(1)),
			Selector:       &metav1.LabelSelector{MatchLabels: map[string]string{leaderworkersetv1.SetNameLabelKey: lws.Name}},
		},
	})
	u.eventually(t, args, "one: 1 allowed now", "one after the other")
	u.wants(t, []string{"drain-check", "elsewhere"}, "No group has pods on these nodes.")
}

// TestCheck checks the cluster of the tests. The operator runs beside it, so there is no deployment.
func TestCheck(t *testing.T) {
	t.Parallel()
	u := admin(t)
	u.wantsError(t, []string{"check", "--takeover"}, "kubernetes         ok", "crd                ok",
		"operator           failed   there is no deployment of the operator", "other controller   ok       none runs",
		"webhooks           ok", "admission          ok       the webhooks admit a set (dry run)", "rights             ok",
		"takeover           ok")
}

// TestReport collects what belongs to an issue, without the values of variables.
func TestReport(t *testing.T) {
	t.Parallel()
	u := admin(t)
	u.newSet(t, "llama", 1, 2, func(lws *leaderworkersetv1.LeaderWorkerSet) {
		container := &lws.Spec.LeaderWorkerTemplate.WorkerTemplate.Spec.Containers[0]
		container.Env = []corev1.EnvVar{{Name: "TOKEN", Value: "hunter2"}}
		container.Args = []string{"--password=hunter2"}
	})
	u.available(t, "llama")
	file := filepath.Join(t.TempDir(), "report.zip")
	u.wants(t, []string{"report", "llama", "-o", file, "--redact"}, "report.zip written")
	archive, err := zip.OpenReader(file)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = archive.Close() }()
	var names []string
	for _, entry := range archive.File {
		names = append(names, entry.Name)
		text := read(t, entry)
		if strings.Contains(text, "hunter2") || strings.Contains(text, "managedFields") {
			t.Errorf("%s has a secret, or managed fields:\n%s", entry.Name, text)
		}
	}
	want := []string{"check.txt", "controllerrevisions.yaml", "events.yaml", "operator/configmaps.yaml",
		"operator/deployments.yaml", "operator/pods.yaml", "poddisruptionbudgets.yaml", "pods.yaml", "services.yaml",
		"set.yaml", "statefulsets.yaml", "status.txt"}
	if !slices.Equal(names, want) {
		t.Errorf("files: %q", names)
	}
}

func read(t *testing.T, entry *zip.File) string {
	t.Helper()
	reader, err := entry.Open()
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(reader)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestView runs the reading verbs as a user who has the role view in one namespace. The others say what is forbidden.
func TestView(t *testing.T) {
	t.Parallel()
	u := admin(t)
	u.newSet(t, "llama", 2, 2)
	u.available(t, "llama")
	viewer := u.withRole(t, "view")
	pod := &corev1.Pod{}
	u.get(t, "llama-0", pod)
	viewer.eventually(t, []string{"list"}, "llama")
	for _, verb := range [][]string{
		{"list"}, {"list", "-o", "wide"}, {"status", "llama"}, {"groups", "llama"}, {"why", "llama"}, {"why", "llama", "0"},
		{"tree", "llama"}, {"rollout", "status", "llama"}, {"rollout", "history", "llama"}, {"__complete", "status", ""},
	} {
		if out := viewer.wants(t, verb); out != u.wants(t, verb) && verb[0] != "__complete" {
			t.Errorf("%v shows less than it shows an administrator:\n%s", verb, out)
		}
	}
	viewer.wants(t, []string{"drain-check", pod.Spec.NodeName}, "llama")
	viewer.wants(t, []string{"check"}, "unknown", "customresourcedefinitions",
		"you may not patch leaderworkersets (rollout)")
	viewer.wants(t, []string{"report", "llama", "-o", filepath.Join(t.TempDir(), "report.zip")}, "written")
	viewer.wantsError(t, []string{"list", "-A"}, "Error from server (Forbidden)")
	viewer.wantsError(t, []string{"restart", "llama", "0"}, "Error from server (Forbidden)")
	viewer.wantsError(t, []string{"rollout", "restart", "llama"}, "Error from server (Forbidden)")
}

// TestLess shows a set to a user who may read sets and nothing else.
func TestLess(t *testing.T) {
	t.Parallel()
	u := admin(t)
	u.newSet(t, "llama", 2, 2)
	u.available(t, "llama")
	role := &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: "sets-of-" + u.namespace},
		Rules: []rbacv1.PolicyRule{{
			APIGroups: []string{leaderworkersetv1.GroupVersion.Group}, Resources: []string{"leaderworkersets"},
			Verbs: []string{"get", "list", "watch"},
		}},
	}
	create(t, role)
	less := u.withRole(t, role.Name)
	less.eventually(t, []string{"list"}, "llama")
	less.wants(t, []string{"status", "llama"}, "Available: 2 of 2 groups ready",
		"you may not read pods, statefulsets.apps")
	less.wants(t, []string{"groups", "llama"}, "?")
	less.wants(t, []string{"why", "llama"}, "2 of 2 groups ready")
	less.wants(t, []string{"tree", "llama"}, "LeaderWorkerSet/llama")
	less.wantsError(t, []string{"rollout", "history", "llama", "--revision=1"},
		"you may not read controllerrevisions.apps")
	less.wantsError(t, []string{"drain-check", "node-0"}, "Error from server (Forbidden)")
}
