// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/apitesting/fuzzer"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metafuzzer "k8s.io/apimachinery/pkg/apis/meta/fuzzer"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/randfill"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// seed makes the random tests reproducible.
const seed = 20260102

// TestRandomSets creates sets with random fields. The API server accepts each set or reports what is invalid.
func TestRandomSets(t *testing.T) {
	t.Parallel()
	const sets = 300
	namespace := newNamespace(t, webhooksOn)
	random := newFiller(seed)
	var answers answers
	for i := range sets {
		set := &leaderworkersetv1.LeaderWorkerSet{}
		random.Fill(&set.Spec)
		posted := setOfSpec(namespace, normalized(t, set.Spec))
		posted.SetName(nameOf(i))
		answers.check(t, posted.Object["spec"], suite.client.Create(t.Context(), posted))
	}
	answers.report(t)
}

// newFiller returns a filler of specs. The schema accepts many of the specs, so that the requests reach the webhooks.
func newFiller(seed uint64) *randfill.Filler {
	codecs := serializer.NewCodecFactory(suite.client.Scheme())
	filler := fuzzer.FuzzerFor(metafuzzer.Funcs, legacySource{rand.NewPCG(seed, seed)}, codecs)
	return filler.NilChance(0.5).NumElements(0, 2).Funcs(
		among("LeaderCreated", "", leaderworkersetv1.StartupPolicyType("LeaderReady")),
		among("None", "Default", "", leaderworkersetv1.RestartPolicyType("RecreateGroupOnPodRestart")),
		among("LeaderExcluded", "", leaderworkersetv1.SubGroupPolicyType("LeaderWorker")),
		among("", leaderworkersetv1.RollingUpdateStrategyType),
		among("Shared", leaderworkersetv1.SubdomainUniquePerReplica),
		among("", "", leaderworkersetv1.GroupIdentityOrdinal, "Hash"),
		among("", "", leaderworkersetv1.GroupReplacementPostTermination, "Immediate"),
		among("", leaderworkersetv1.DefaultPodTerminationPolicy, leaderworkersetv1.ParallelPodTerminationPolicy),
		sometimes[*leaderworkersetv1.Scheduling],
		among("Retain", appsv1.PersistentVolumeClaimRetentionPolicyType("Delete")),
		among("", corev1.RestartPolicy("Always")),
		among(intstr.FromInt32(0), intstr.FromInt32(3), intstr.FromString("30%"), intstr.FromString("0%")),
		among[int32](0, 1, 1, 1, 1, 1, 2, 3, 4, 1000000),
		sometimes[metav1.ObjectMeta],
		sometimes[leaderworkersetv1.RollingUpdateConfiguration],
		sometimes[corev1.PersistentVolumeClaim],
		func(spec *corev1.PodSpec, c randfill.Continue) {
			sometimes(spec, c)
			if c.Intn(8) > 0 {
				container := corev1.Container{Name: "a", Image: c.String(4) + "a"}
				sometimes(&container.Resources, c)
				spec.Containers = []corev1.Container{container}
			}
		},
		func(probe *corev1.ProbeHandler, c randfill.Continue) {
			probe.HTTPGet = &corev1.HTTPGetAction{Path: c.String(8)}
		},
	)
}

// among returns a function that chooses one of the values.
func among[T any](values ...T) func(*T, randfill.Continue) {
	return func(value *T, c randfill.Continue) { *value = values[c.Intn(len(values))] }
}

// sometimes fills one value of four and leaves the others empty.
func sometimes[T any](value *T, c randfill.Continue) {
	if c.Intn(4) == 0 {
		c.FillNoCustom(value)
	}
}

// legacySource is a source of random numbers in the form that the fuzzer requires.
type legacySource struct{ *rand.PCG }

// Int63 returns the next number.
func (s legacySource) Int63() int64 { return int64(s.Uint64() >> 1) }

// Seed panics, because the fuzzer never calls it.
func (legacySource) Seed(int64) { panic("the seed is fixed") }

// TestDamagedSets removes or replaces parts of a valid set, at its creation and at an update. The API server accepts
// each request or reports what is invalid.
func TestDamagedSets(t *testing.T) {
	t.Parallel()
	const sets = 300
	namespace := newNamespace(t, webhooksOn)
	random := rand.New(rand.NewPCG(seed, seed)) //nolint:gosec // The test must be reproducible.
	updated := setOfSpec(namespace, parse(t, fullSpec))
	updated.SetName("updated")
	if err := suite.client.Create(t.Context(), updated); err != nil {
		t.Fatal(err)
	}
	var creations, updates answers
	for range sets {
		spec := parse(t, fullSpec)
		for range 1 + random.IntN(3) {
			damage(random, spec)
		}
		value, err := json.Marshal(spec)
		if err != nil {
			t.Fatal(err)
		}
		patch := fmt.Appendf(nil, `[{"op": "replace", "path": "/spec", "value": %s}]`, value)
		creations.check(t, spec, suite.client.Create(t.Context(), setOfSpec(namespace, spec), dryRun))
		update := client.RawPatch(types.JSONPatchType, patch)
		updates.check(t, spec, suite.client.Patch(t.Context(), updated.DeepCopy(), update, dryRun))
	}
	creations.report(t)
	updates.report(t)
}

// damage replaces, empties or removes one random part below an object. It rarely damages a whole object.
func damage(random *rand.Rand, object map[string]any) {
	if len(object) == 0 {
		return
	}
	names := slices.Sorted(maps.Keys(object))
	name := names[random.IntN(len(names))]
	inside, _ := object[name].(map[string]any)
	if list, isList := object[name].([]any); isList && len(list) > 0 {
		inside, _ = list[random.IntN(len(list))].(map[string]any)
	}
	if len(inside) > 0 && random.IntN(6) > 0 {
		damage(random, inside)
		return
	}
	replacements := []any{
		nil, map[string]any{}, []any{}, []any{nil}, map[string]any{"a": nil}, "", "a", "100%", int64(0), int64(-1),
		int64(1 << 40), 1.5, true,
	}
	if choice := random.IntN(len(replacements) + 1); choice < len(replacements) {
		object[name] = replacements[choice]
	} else {
		delete(object, name)
	}
}

// answers counts the answers of the API server.
type answers struct{ accepted, refused int }

// check records an answer. It reports an error unless the answer is an acceptance or a client error with a message.
func (a *answers) check(t *testing.T, spec any, err error) {
	t.Helper()
	if err == nil {
		a.accepted++
		return
	}
	a.refused++
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		t.Errorf("no answer: %v\nspec %v", err, spec)
		return
	}
	code, message := status.Status().Code, status.Status().Message
	if code < http.StatusBadRequest || code >= http.StatusInternalServerError || message == "" ||
		strings.Contains(message, "panic") {
		t.Errorf("%d: %s\nspec %v", code, message, spec)
	}
}

// report logs the counts. It reports an error if all answers are the same, because the test then covers too little.
func (a *answers) report(t *testing.T) {
	t.Helper()
	t.Logf("%d accepted, %d refused", a.accepted, a.refused)
	if a.accepted == 0 || a.refused == 0 {
		t.Error("want both accepted and refused requests")
	}
}
