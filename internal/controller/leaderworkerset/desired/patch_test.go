// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package desired_test

import (
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	evanphx "github.com/evanphx/json-patch/v5"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/randfill"

	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/desired"
)

func encode(t *testing.T, value any) []byte {
	t.Helper()
	raw, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func decode[T any](t *testing.T, raw []byte) T {
	t.Helper()
	var value T
	if err := json.Unmarshal(raw, &value); err != nil {
		t.Fatalf("%v:\n%s", err, raw)
	}
	return value
}

// applyPatch applies operations to a document as the API server does.
func applyPatch(t *testing.T, raw []byte, operations any) []byte {
	t.Helper()
	patch, err := evanphx.DecodePatch(encode(t, operations))
	if err != nil {
		t.Fatal(err)
	}
	patched, err := patch.Apply(raw)
	if err != nil {
		t.Fatalf("%v:\n%s\n%s", err, encode(t, operations), raw)
	}
	return patched
}

// inject injects a pod, and checks that the operations change its JSON in the same way.
func inject(t *testing.T, pod *corev1.Pod) {
	t.Helper()
	raw := encode(t, pod)
	patch, err := desired.Inject(pod)
	if err != nil {
		t.Fatalf("Inject(%s): %v", pod.Name, err)
	}
	want, got := decode[any](t, encode(t, pod)), decode[any](t, applyPatch(t, raw, patch))
	if !reflect.DeepEqual(want, got) { // A diff takes much longer.
		t.Fatalf("%s: patched JSON (-want +got):\n%s", pod.Name, cmp.Diff(want, got))
	}
}

// TestPatchOfNullsAndEmptyValues has JSON that says in other ways that a field is empty.
func TestPatchOfNullsAndEmptyValues(t *testing.T) {
	for name, spec := range map[string]string{
		"nulls": `"affinity":null,"subdomain":null,"schedulingGates":null,
			"containers":[{"name":"a","env":null}]`,
		"empty":              `"affinity":{},"subdomain":"","schedulingGates":[],"containers":[{"name":"a","env":[]}]`,
		"null affinities":    `"affinity":{"podAffinity":null,"podAntiAffinity":{}},"initContainers":[{"name":"a"}]`,
		"null and no terms":  `"affinity":{"podAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":null}}`,
		"no terms":           `"affinity":{"podAntiAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":[]}}`,
		"nothing but a spec": ``,
	} {
		t.Run(name, func(t *testing.T) {
			raw := []byte(`{"metadata":{"name":"llama-1","namespace":"default","labels":{
				"leaderworkerset.sigs.k8s.io/name":"llama","leaderworkerset.sigs.k8s.io/worker-index":"0"},"annotations":{
				"leaderworkerset.sigs.k8s.io/size":"1","leaderworkerset.sigs.k8s.io/exclusive-topology":"rack",
				"leaderworkerset.sigs.k8s.io/subdomainPolicy":"UniquePerReplica"}},"spec":{` + spec + `}}`)
			pod := decode[corev1.Pod](t, raw)
			patch, err := desired.Inject(&pod)
			if err != nil {
				t.Fatal(err)
			}
			patch = append(patch, desired.AddSchedulingGate(&pod, "example.com/gate")...)
			if got := decode[corev1.Pod](t, applyPatch(t, raw, patch)); !equality.Semantic.DeepEqual(pod, got) {
				t.Errorf("pod (-want +got):\n%s", cmp.Diff(pod, got))
			}
			if len(pod.Spec.SchedulingGates) != 1 || pod.Spec.Affinity == nil || pod.Spec.Subdomain != "llama-1" {
				t.Errorf("the pod lacks what is injected: %s", encode(t, pod))
			}
		})
	}
}

// TestPatchOfRandomPods injects pods of an API server that is newer than this operator: each object has an unknown
// field. Only the unknown fields of variables with injected names may go.
func TestPatchOfRandomPods(t *testing.T) {
	for seed := range uint64(500) {
		raw := encode(t, randomPod(seed))
		raw = encode(t, decode[corev1.Pod](t, raw)) // Decoding drops the difference between empty and missing values.
		original := decode[any](t, raw)
		unknown := map[string]bool{}
		addUnknownFields(original, "", false, unknown)
		raw = encode(t, original)

		pod := decode[corev1.Pod](t, raw)
		patch, err := desired.Inject(&pod)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		patch = append(patch, desired.AddSchedulingGate(&pod, "example.com/gate")...)
		patched := decode[any](t, applyPatch(t, raw, patch))
		removeUnknownFields(patched, unknown)
		if want := decode[any](t, encode(t, pod)); !reflect.DeepEqual(want, patched) {
			t.Fatalf("seed %d: patched JSON (-want +got):\n%s", seed, cmp.Diff(want, patched))
		}
		for path, replaceable := range unknown {
			if !replaceable {
				t.Fatalf("seed %d: the unknown field in %s is lost:\n%s\n%s", seed, path, encode(t, patch), raw)
			}
		}
		again, err := desired.Inject(&pod)
		if again = append(again, desired.AddSchedulingGate(&pod, "example.com/gate")...); err != nil || len(again) > 0 {
			t.Fatalf("seed %d: a second time: error %v and operations %s", seed, err, encode(t, again))
		}
	}
}

const unknownField = "newField"

// userMaps are the fields whose values are maps with keys of the user's choice.
var userMaps = []string{
	"annotations", "labels", "matchLabels", "nodeSelector", "limits", "requests", "overhead",
}

// addUnknownFields adds a field to every object in the value. It records the paths of the objects, and which of them
// are in a variable that the operator may replace.
func addUnknownFields(value any, path string, replaceable bool, added map[string]bool) {
	switch value := value.(type) {
	case []any:
		for i, item := range value {
			addUnknownFields(item, path+"/"+strconv.Itoa(i), replaceable, added)
		}
	case map[string]any:
		name, isText := value["name"].(string)
		replaceable = replaceable || (isText && reserved(name))
		for key, child := range value {
			if !slices.Contains(userMaps, key) {
				addUnknownFields(child, path+"/"+key, replaceable, added)
			}
		}
		value[unknownField], added[path] = path, replaceable
	}
}

// removeUnknownFields removes from the value what addUnknownFields added, and the paths from those that were added.
func removeUnknownFields(value any, added map[string]bool) {
	switch value := value.(type) {
	case []any:
		for _, item := range value {
			removeUnknownFields(item, added)
		}
	case map[string]any:
		if path, isText := value[unknownField].(string); isText {
			delete(value, unknownField)
			delete(added, path)
		}
		for _, child := range value {
			removeUnknownFields(child, added)
		}
	}
}

func reserved(variable string) bool {
	return strings.HasPrefix(variable, "LWS_") || strings.HasPrefix(variable, "TPU_")
}

// untouched matches large fields that injection doesn't touch.
var untouched = regexp.MustCompile("^(Status|Volumes|ManagedFields|EphemeralContainers|Lifecycle|.*Probe)$")

// randomPod returns a leader or a worker of a group of three. Its values are likely to be among those that are
// injected.
func randomPod(seed uint64) *corev1.Pod {
	random := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // Not a secret: it has to repeat.
	oneOf := func(values ...string) string { return values[random.IntN(len(values))] }
	pod := &corev1.Pod{}
	filler := randfill.NewWithSeed(int64(seed)) //nolint:gosec // Any number will do.
	filler.NilChance(0.4).NumElements(0, 3).MaxDepth(14).SkipFieldsWithPattern(untouched).Funcs(
		func(quantity *resource.Quantity, c randfill.Continue) {
			*quantity = *resource.NewQuantity(c.Int63n(9), "")
		},
		func(time *metav1.Time, _ randfill.Continue) { *time = metav1.Unix(1, 0) },
		func(variable *corev1.EnvVar, c randfill.Continue) {
			c.FillNoCustom(variable)
			variable.Name = oneOf(
				"A", "B", "LWS_LEADER_ADDRESS", "LWS_GROUP_SIZE", "LWS_WORKER_INDEX", "TPU_PROCESS_PORT", "TPU_NAME",
			)
			variable.Value = oneOf("", "0", "3", "8476")
		},
		func(resources *corev1.ResourceList, _ randfill.Continue) {
			*resources = corev1.ResourceList{corev1.ResourceName(oneOf("cpu", "google.com/tpu")): resource.MustParse("4")}
		},
		func(gate *corev1.PodSchedulingGate, _ randfill.Continue) {
			gate.Name = oneOf("example.com/gate", "a", "b")
		},
	).Fill(pod)
	pod.Name, pod.Namespace = "llama-1", "default"
	pod.Labels = map[string]string{prefix + "name": "llama", prefix + "worker-index": "0", "team": "a"}
	pod.Annotations = map[string]string{prefix + "size": "3", prefix + "leader-requests-tpus": oneOf("true", "")}
	if random.IntN(2) == 0 {
		pod.Name = oneOf("llama-1-1", "llama-1-2")
		pod.Labels[prefix+"worker-index"], pod.Labels[prefix+"group-index"] = oneOf("7", ""), "1"
	}
	pod.Annotations[prefix+"exclusive-topology"] = oneOf("rack", "")
	pod.Annotations[prefix+"subgroup-exclusive-topology"] = oneOf("rack", "")
	pod.Annotations[prefix+"subgroup-size"] = oneOf("1", "2", "")
	pod.Annotations[prefix+"subgroup-policy-type"] = oneOf(string(leaderWorker), string(leaderExcluded))
	pod.Annotations[prefix+"subdomainPolicy"] = oneOf("UniquePerReplica", "Shared")
	return pod
}
