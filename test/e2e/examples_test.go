// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/test/objects"
)

// TestLocalExamples applies each directory of examples/, and updates each set in it to another image.
func TestLocalExamples(t *testing.T) {
	t.Parallel()
	labelAllNodes(t)
	installForeignAPIs(t)
	files, err := filepath.Glob(filepath.Join(suite.root, "examples", "*", "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%d examples: %v", len(files), err)
	}
	for _, file := range files {
		name := filepath.Base(filepath.Dir(file))
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			checkPage(t, name)
			runExample(t, file)
		})
	}
}

// labelAllNodes gives all nodes the labels that examples select nodes by. A rack is a node pool of TPUs.
func labelAllNodes(t *testing.T) {
	t.Helper()
	var nodes corev1.NodeList
	if err := suite.client.List(t.Context(), &nodes); err != nil {
		t.Fatal(err)
	}
	for i := range nodes.Items {
		edit(t, &nodes.Items[i], func(node *corev1.Node) {
			node.Labels = with(node.Labels, map[string]string{
				"cloud.google.com/gke-nodepool":        node.Labels["rack"],
				"cloud.google.com/gke-tpu-accelerator": "tpu-v5-lite-podslice",
				"cloud.google.com/gke-tpu-topology":    "4x4",
			})
		})
	}
}

// installForeignAPIs installs the APIs of others that examples use.
func installForeignAPIs(t *testing.T) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", "examples", "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%d APIs: %v", len(files), err)
	}
	for _, file := range files {
		for _, crd := range decodeFile(t, file) {
			create(t, crd)
			eventually(t, func(ctx context.Context) error {
				if err := suite.client.Get(ctx, client.ObjectKeyFromObject(crd), crd); err != nil {
					return err
				}
				conditions, _, _ := unstructured.NestedSlice(crd.Object, "status", "conditions")
				return unless(established(conditions), "%s isn't established: %v", crd.GetName(), conditions)
			})
		}
	}
}

// established reports whether the conditions of a CRD say that the API server serves it.
func established(conditions []any) bool {
	for _, condition := range conditions {
		if c, ok := condition.(map[string]any); ok && c["type"] == "Established" && c["status"] == "True" {
			return true
		}
	}
	return false
}

func decodeFile(t *testing.T, file string) []*unstructured.Unstructured {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	decoded, err := objects.Decode(bytes.NewReader(text))
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return decoded
}

// checkPage checks that the page of an example applies it, and that the list of all examples has it.
func checkPage(t *testing.T, name string) {
	t.Helper()
	for file, want := range map[string]string{
		filepath.Join(name, "README.md"): "$ kubectl apply -f examples/" + name + "\n",
		"README.md":                      "[" + name + "](" + name + ")",
	} {
		page, err := os.ReadFile(filepath.Join(suite.root, "examples", file))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(page), want) {
			t.Errorf("examples/%s lacks %q", file, want)
		}
	}
}

// runExample creates the objects of a file, and updates the sets among them. The API server refuses unknown fields.
func runExample(t *testing.T, file string) {
	t.Helper()
	namespace := newNamespace(t)
	decoded := decodeFile(t, file)
	for _, object := range decoded {
		namespaced, err := suite.client.IsObjectNamespaced(object)
		if err != nil {
			t.Fatal(err)
		}
		if namespaced {
			object.SetNamespace(namespace)
		}
		if err := suite.client.Create(t.Context(), object, client.FieldValidation(metav1.FieldValidationStrict)); err != nil {
			t.Fatalf("create %s %s: %v", object.GetKind(), object.GetName(), err)
		}
	}
	sets := 0
	for _, object := range decoded {
		key := metav1.ObjectMeta{Namespace: namespace, Name: object.GetName()}
		switch object.GetKind() {
		case "LeaderWorkerSet":
			sets++
			updateExample(t, &leaderworkersetv1.LeaderWorkerSet{ObjectMeta: key})
		case "DisaggregatedSet":
			sets++
			updateExampleOfRoles(t, &dset{ObjectMeta: key})
		}
	}
	if sets != 1 {
		t.Errorf("%s has %d sets; want one", file, sets)
	}
}

// updateExample updates a set. If a partition holds groups, it checks these, and then lets all groups follow.
func updateExample(t *testing.T, lws *leaderworkersetv1.LeaderWorkerSet) {
	t.Helper()
	untilAvailable(t, lws)
	first := lws.Spec.LeaderWorkerTemplate.WorkerTemplate.Spec.Containers[0].Image
	edit(t, lws, func(lws *leaderworkersetv1.LeaderWorkerSet) { setImage(&lws.Spec.LeaderWorkerTemplate) })
	size := int(*lws.Spec.LeaderWorkerTemplate.Size)
	if held := int(*lws.Spec.RolloutStrategy.RollingUpdateConfiguration.Partition); held > 0 {
		updated := (int(*lws.Spec.Replicas) - held) * size
		eventually(t, imagesReady(lws.Namespace, map[string]int{first: held * size, nextImage: updated}))
		edit(t, lws, withPartition(0))
	}
	untilAvailable(t, lws)
	eventually(t, imagesReady(lws.Namespace, map[string]int{nextImage: int(*lws.Spec.Replicas) * size}))
}

// updateExampleOfRoles updates all roles of a set.
func updateExampleOfRoles(t *testing.T, set *dset) {
	t.Helper()
	untilRolesAvailable(t, set)
	edit(t, set, func(set *dset) {
		for i := range set.Spec.Roles {
			setImage(&set.Spec.Roles[i].Spec.LeaderWorkerTemplate)
		}
	})
	untilRolesAvailable(t, set)
	pods := 0
	for i := range set.Spec.Roles {
		pods += int(set.Status.RoleStatuses[i].Replicas * *set.Spec.Roles[i].Spec.LeaderWorkerTemplate.Size)
	}
	eventually(t, imagesReady(set.Namespace, map[string]int{nextImage: pods}))
}

// setImage changes the first image of all pods.
func setImage(template *leaderworkersetv1.LeaderWorkerTemplate) {
	template.WorkerTemplate.Spec.Containers[0].Image = nextImage
	if template.LeaderTemplate != nil {
		template.LeaderTemplate.Spec.Containers[0].Image = nextImage
	}
}

// imagesReady returns a check that a namespace has that many pods of each image, all of them ready.
func imagesReady(namespace string, want map[string]int) func(context.Context) error {
	return func(ctx context.Context) error {
		pods, err := podsIn(namespace)(ctx)
		if err != nil {
			return err
		}
		got := map[string]int{}
		for _, pod := range pods {
			if !objects.PodReady(pod) {
				return fmt.Errorf("%s isn't ready", pod.Name)
			}
			got[pod.Spec.Containers[0].Image]++
		}
		return unless(fmt.Sprint(got) == fmt.Sprint(want), "pods by image: %v; want %v", got, want)
	}
}
