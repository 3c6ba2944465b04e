// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/utils/ptr"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/test/cluster"
)

// TestLocalRollback restores an earlier revision with the command that the documentation has for those without the
// plugin, while one group still has that revision. The command removes all later additions, and takes the whole
// template back. The group doesn't restart.
func TestLocalRollback(t *testing.T) {
	t.Parallel()
	const replicas, size = 3, 2
	namespace := newNamespace(t)
	lws := newSet(namespace, "llama", replicas, size, func(lws *leaderworkersetv1.LeaderWorkerSet) {
		container := &lws.Spec.LeaderWorkerTemplate.WorkerTemplate.Spec.Containers[0]
		container.Command = []string{"sh", "-c", "true && exec serve <<<\"a: {b}\t#\"\n"}
		container.Env = []corev1.EnvVar{{Name: "MODEL", Value: "llama: 3"}}
	})
	create(t, lws)
	untilAvailable(t, lws)
	earlier := lws.Spec.DeepCopy()

	edit(t, lws, func(lws *leaderworkersetv1.LeaderWorkerSet) {
		uniquePerReplica(lws)
		template := &lws.Spec.LeaderWorkerTemplate
		template.Size = ptr.To[int32](size + 1)
		template.LeaderTemplate = ptr.To(annotated(podTemplate(), "example.com/added", "yes"))
		worker := &template.WorkerTemplate
		*worker = annotated(*worker, "example.com/added", "yes")
		worker.Spec.TerminationGracePeriodSeconds = ptr.To[int64](1)
		worker.Spec.Containers[0].Image = nextImage
		worker.Spec.Containers[0].Env = append(worker.Spec.Containers[0].Env, corev1.EnvVar{Name: "ADDED", Value: "yes"})

		template.MaxGroupRestarts = ptr.To[int32](5) // It is no part of a revision, but of its template.
		lws.Spec.RolloutStrategy.RollingUpdateConfiguration.Partition = ptr.To[int32](1)
	})
	untilAvailable(t, lws)
	first, second := revisionsOf(t, lws)[0], revisionsOf(t, lws)[1]
	checkListed(t, namespace, first, second)

	pods := record[*corev1.Pod](t, namespace, &corev1.PodList{})
	output := documented(t, namespace, "kubectl patch lws llama", first.Name)
	check(t, "output of kubectl", "Warning: unknown field \"spec.leaderWorkerTemplate.$patch\"\n"+
		"Warning: unknown field \"spec.networkConfig.$patch\"\n"+
		"leaderworkerset.leaderworkerset.x-k8s.io/llama patched\n", output)
	refresh(t, lws)
	want := earlier.DeepCopy()
	want.RolloutStrategy = lws.Spec.RolloutStrategy
	check(t, "spec", want, &lws.Spec)
	check(t, "partition", ptr.To[int32](1), lws.Spec.RolloutStrategy.RollingUpdateConfiguration.Partition)

	untilAvailable(t, lws)
	pods.until(t, exactlyReady(podNames("llama", replicas, size), image))
	incarnations := with(each(podNames("llama", replicas, size), 2), each([]string{"llama-0", "llama-0-1"}, 1))
	check(t, "incarnations of the pods", with(incarnations, map[string]int{"llama-1-2": 1, "llama-2-2": 1}),
		pods.incarnations(t))
	for _, pod := range listed(t, podsIn(namespace)) {
		check(t, "key of "+pod.Name, keyOf(first), keyOf(pod))
	}
	again := revisionsOf(t, lws)
	check(t, "the oldest and the latest revision", []string{second.Name, first.Name},
		[]string{again[0].Name, again[len(again)-1].Name})
	check(t, "UID, key and number", []string{string(first.UID), keyOf(first), "3"}, []string{
		string(again[1].UID), keyOf(again[1]), fmt.Sprint(again[1].Revision),
	})
}

// checkListed checks that the documentation's commands list the set's revisions alone, and each group's revision.
func checkListed(t *testing.T, namespace string, first, second *appsv1.ControllerRevision) {
	t.Helper()
	columns := func(output string, indices ...int) []string {
		var rows []string
		for line := range strings.Lines(output) {
			fields, row := strings.Fields(line), []string{}
			for _, index := range indices {
				row = append(row, fields[index])
			}
			rows = append(rows, strings.Join(row, " "))
		}
		return rows
	}
	output := documented(t, namespace, "kubectl get controllerrevisions", first.Name)
	check(t, "revisions", []string{
		"NAME REVISION TEMPLATE-REVISION-HASH", first.Name + " 1 " + keyOf(first), second.Name + " 2 " + keyOf(second),
	}, columns(output, 0, 2, 4))
	output = documented(t, namespace, "kubectl get pods", first.Name)
	check(t, "groups", []string{
		"NAME GROUP-INDEX TEMPLATE-REVISION-HASH",
		"llama-0 0 " + keyOf(first), "llama-1 1 " + keyOf(second), "llama-2 2 " + keyOf(second),
	}, columns(output, 0, 5, 6))
}

// documented runs the command of docs/concepts/rolling-updates.md that contains these words, and returns the output. It
// replaces the documentation's revision by the given one and uses the namespace.
func documented(t *testing.T, namespace, words, revision string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(suite.root, "docs", "concepts", "rolling-updates.md"))
	if err != nil {
		t.Fatal(err)
	}
	commands := regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(string(text), -1)
	commands = append(commands, regexp.MustCompile(`(?m)^\$ ((?:.*\\\n)*.*)$`).FindAllStringSubmatch(string(text), -1)...)
	i := slices.IndexFunc(commands, func(match []string) bool { return strings.Contains(match[1], words) })
	if i < 0 {
		t.Fatalf("no command of the documentation has %q", words)
	}
	output, err := shell(t.Context(), kubeconfigIn(t, namespace),
		strings.ReplaceAll(commands[i][1], "llama-54475854d9-1", revision))
	if err != nil {
		t.Fatal(err)
	}
	return output
}

// shell runs a command of the documentation with the kubectl of the cluster, and returns the output.
func shell(ctx context.Context, kubeconfig, command string) (string, error) {
	run := exec.CommandContext(ctx, "sh", "-c", command)
	run.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig,
		"PATH="+cluster.Bin(suite.root)+string(os.PathListSeparator)+os.Getenv("PATH"))
	output, err := run.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s", command, err, output)
	}
	return string(output), nil
}

// kubeconfigIn returns the path of a kubeconfig for the local cluster with this default namespace.
func kubeconfigIn(t *testing.T, namespace string) string {
	t.Helper()
	config, err := clientcmd.LoadFromFile(suite.cluster.Kubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	config.Contexts[config.CurrentContext].Namespace = namespace
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		t.Fatal(err)
	}
	return path
}

// revisionsOf returns the set's own revisions, the latest last.
func revisionsOf(t *testing.T, lws *leaderworkersetv1.LeaderWorkerSet) []*appsv1.ControllerRevision {
	t.Helper()
	revisions := slices.DeleteFunc(listed(t, revisionsIn(lws.Namespace)), func(r *appsv1.ControllerRevision) bool {
		return !metav1.IsControlledBy(r, lws)
	})
	slices.SortFunc(revisions, func(a, b *appsv1.ControllerRevision) int { return int(a.Revision - b.Revision) })
	return revisions
}

// keyOf returns the revision key of an object.
func keyOf(object metav1.Object) string {
	return object.GetLabels()[leaderworkersetv1.RevisionLabelKey]
}

// TestRevisionHistory pushes many templates whose pods never become ready. The number of revisions stays limited, and
// the revision of the ready groups is never deleted.
func TestRevisionHistory(t *testing.T) {
	t.Parallel()
	const pushes, limit = 50, 3
	namespace := newNamespace(t)
	lws := newSet(namespace, "failing", 3, 2, func(lws *leaderworkersetv1.LeaderWorkerSet) {
		lws.Spec.RevisionHistoryLimit = ptr.To[int32](limit)
	})
	create(t, lws)
	untilAvailable(t, lws)
	good := revisionsOf(t, lws)[0]

	most := 0
	for push := range pushes {
		edit(t, lws, func(lws *leaderworkersetv1.LeaderWorkerSet) {
			readyAfter("1h")(lws)
			lws.Spec.LeaderWorkerTemplate.WorkerTemplate.Annotations["example.com/push"] = fmt.Sprint(push)
		})
		eventually(t, func(context.Context) error {
			refresh(t, lws)
			revisions := revisionsOf(t, lws)
			most = max(most, len(revisions))
			latest := revisions[len(revisions)-1].Revision
			return unless(latest == int64(push+2) && lws.Status.ObservedGeneration == lws.Generation,
				"push %d hasn't been observed", push+1)
		})
	}
	// In use are the good revision and the latest one. A group is being updated, which uses two more: its own revision and
	// the one of its update, for which later pushes wait. The operator creates a revision before it deletes the surplus.
	if most > limit+5 {
		t.Errorf("there were %d revisions, want no more than the history of %d and those in use", most, limit)
	}
	eventually(t, func(context.Context) error {
		revisions := revisionsOf(t, lws)
		return unless(len(revisions) <= limit+3 && revisions[0].UID == good.UID,
			"revisions %v, the good one is %s", namesOf(revisions), good.Name)
	})
	t.Logf("%d pushes: at most %d revisions, %d in the end", pushes, most, len(revisionsOf(t, lws)))

	edit(t, lws, func(lws *leaderworkersetv1.LeaderWorkerSet) {
		lws.Spec.LeaderWorkerTemplate.WorkerTemplate.Annotations = nil
		lws.Spec.RevisionHistoryLimit = ptr.To[int32](0)
	})
	untilAvailable(t, lws)
	eventually(t, func(context.Context) error {
		revisions := revisionsOf(t, lws)
		return unless(len(revisions) == 1 && revisions[0].UID == good.UID,
			"revisions %v, want only %s", namesOf(revisions), good.Name)
	})
}
