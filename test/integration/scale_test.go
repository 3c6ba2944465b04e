// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/scale"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

var setsResource = schema.GroupResource{Group: leaderworkersetv1.GroupVersion.Group, Resource: "leaderworkersets"}

// scales returns the client that autoscalers use.
func scales(t *testing.T) scale.ScalesGetter {
	t.Helper()
	discovered, err := discovery.NewDiscoveryClientForConfig(suite.config)
	if err != nil {
		t.Fatal(err)
	}
	client, err := scale.NewForConfig(suite.config, suite.client.RESTMapper(), dynamic.LegacyAPIPathResolverFunc,
		scale.NewDiscoveryScaleKindResolver(discovered))
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// scaleTo sets the replicas of a set as `kubectl scale` does.
func scaleTo(t *testing.T, set client.Object, replicas int32) error {
	t.Helper()
	body := &autoscalingv1.Scale{Spec: autoscalingv1.ScaleSpec{Replicas: replicas}}
	return suite.client.SubResource("scale").Update(t.Context(), read(t, set), client.WithSubResourceBody(body))
}

// TestScale reads and writes the scale subresource like a HorizontalPodAutoscaler.
func TestScale(t *testing.T) {
	for _, m := range bothModes {
		t.Run("webhooks "+string(m), func(t *testing.T) {
			t.Parallel()
			namespace := newNamespace(t, m)
			set := create(t, namespace, "set", `{replicas: 3, leaderWorkerTemplate: {size: 2}}`)
			lws := read(t, set)
			lws.Status = leaderworkersetv1.LeaderWorkerSetStatus{Replicas: 2, HPAPodSelector: "a=b,c"}
			if err := suite.client.Status().Update(t.Context(), lws); err != nil {
				t.Fatal(err)
			}
			client := scales(t).Scales(namespace)
			got, err := client.Get(t.Context(), setsResource, "set", metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if got.Spec.Replicas != 3 || got.Status.Replicas != 2 || got.Status.Selector != "a=b,c" {
				t.Errorf("scale: spec %+v, status %+v; want 3 desired and 2 existing replicas, and selector a=b,c",
					got.Spec, got.Status)
			}
			for _, replicas := range []int32{0, 7} {
				got.Spec.Replicas = replicas
				if got, err = client.Update(t.Context(), setsResource, got, metav1.UpdateOptions{}); err != nil {
					t.Fatal(err)
				}
				if now := *read(t, set).Spec.Replicas; now != replicas || got.Spec.Replicas != replicas {
					t.Errorf("scaled to %d: the set has %d replicas, its scale says %d", replicas, now, got.Spec.Replicas)
				}
			}
			resource := leaderworkersetv1.GroupVersion.WithResource(setsResource.Resource)
			patch := []byte(`{"spec": {"replicas": 4}}`)
			_, err = client.Patch(t.Context(), resource, "set", types.MergePatchType, patch, metav1.PatchOptions{})
			if err != nil {
				t.Error(err)
			}
			if now := *read(t, set).Spec.Replicas; now != 4 {
				t.Errorf("patched to 4 replicas: the set has %d", now)
			}
		})
	}
}

// TestRefusedScale checks that the rules for replicas apply to the scale subresource, for which no webhook is called.
// Otherwise, the API server would refuse later edits because of existing values.
func TestRefusedScale(t *testing.T) {
	const doubling = `{replicas: 1, leaderWorkerTemplate: {size: 2}, ` +
		`rolloutStrategy: {rollingUpdateConfiguration: {maxSurge: 100%}}}`
	for i, tc := range []struct {
		name, spec string
		replicas   int32
		want       string // part of the message, empty if the API server accepts the replicas
	}{
		{"set", `{replicas: 1}`, -1, "greater than or equal to 0"},
		{"set", `{replicas: 1}`, 1000001, "less than or equal to 1000000"},
		{"set", `{replicas: 1}`, 1000000, ""},
		{"set", `{replicas: 1, leaderWorkerTemplate: {size: 2148}}`, 1000000, "must be no more than 2147483647"},
		{"set", `{replicas: 0, rolloutStrategy: {rollingUpdateConfiguration: {maxUnavailable: 0}}}`, 1, neverUpdated},
		{"set", `{replicas: 10, rolloutStrategy: {rollingUpdateConfiguration: {maxUnavailable: 10%}}}`, 1, ""},
		{
			strings.Repeat("n", 50), `{replicas: 10, leaderWorkerTemplate: {size: 2}}`, 11, "must be no more than 49 characters",
		},
		{strings.Repeat("n", 50), `{replicas: 11}`, 1000000, ""},
		{strings.Repeat("n", 50), doubling, 5, ""},
		{strings.Repeat("n", 50), doubling, 6, "must be no more than 49 characters"},
	} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			err := scaleTo(t, create(t, newNamespace(t, webhooksOn), tc.name, tc.spec), tc.replicas)
			switch {
			case tc.want == "" && err != nil:
				t.Errorf("spec %s scaled to %d: %v", tc.spec, tc.replicas, err)
			case tc.want != "" && (!apierrors.IsInvalid(err) || !strings.Contains(err.Error(), tc.want)):
				t.Errorf("spec %s scaled to %d: %v; want it refused: %s", tc.spec, tc.replicas, err, tc.want)
			}
		})
	}
}

// TestScaleNeverBlocksEdits scales sets with random specs to random replicas. After each accepted request, the set can
// be edited.
func TestScaleNeverBlocksEdits(t *testing.T) {
	const sets, scalings = 40, 3
	for _, m := range bothModes {
		t.Run("webhooks "+string(m), func(t *testing.T) {
			t.Parallel()
			namespace := newNamespace(t, m)
			random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // The test must be reproducible.
			created, scaled, refused := 0, 0, 0
			for i := range sets {
				spec := randomSpec(random)
				name := nameOf(i) + strings.Repeat("n", random.IntN(44))
				set := newSet(t, namespace, name, spec)
				if err := suite.client.Create(t.Context(), set); apierrors.IsInvalid(err) {
					continue
				} else if err != nil {
					t.Fatal(err)
				}
				created++
				for range scalings {
					replicas := randomReplicas(random)
					if err := scaleTo(t, set, replicas); apierrors.IsInvalid(err) {
						refused++
						continue
					} else if err != nil {
						t.Fatal(err)
					}
					scaled++
					if err := checkEditable(t, set); err != nil {
						t.Errorf("%s of spec %s, scaled to %d: %v", name, spec, replicas, err)
					}
				}
			}
			t.Logf("%d sets; scaled %d times, refused %d times", created, scaled, refused)
			if scaled < sets || refused == 0 {
				t.Errorf("scaled %d times, refused %d times; want more of both", scaled, refused)
			}
		})
	}
}

// checkEditable makes a few valid changes, as users and the operator do.
func checkEditable(t *testing.T, set client.Object) error {
	t.Helper()
	lws := read(t, set)
	if err := suite.client.Update(t.Context(), lws); err != nil {
		return fmt.Errorf("update without a change: %w", err)
	}
	lws.Labels = map[string]string{"edited": fmt.Sprint(lws.Generation)}
	if err := suite.client.Update(t.Context(), lws); err != nil {
		return fmt.Errorf("edit of a label: %w", err)
	}
	image := &lws.Spec.LeaderWorkerTemplate.WorkerTemplate.Spec.Containers[0].Image
	*image = fmt.Sprintf("registry.k8s.io/pause:%d", lws.Generation)
	if err := suite.client.Update(t.Context(), lws); err != nil {
		return fmt.Errorf("edit of an image: %w", err)
	}
	return nil
}

// randomSpec returns a random spec, valid or not.
func randomSpec(random *rand.Rand) string {
	bounds := []string{"0", "1", "2", "100", "2147483647", "0%", "1%", "25%", "100%"}
	return fmt.Sprintf(`{replicas: %d, leaderWorkerTemplate: {size: %d}, `+
		`rolloutStrategy: {rollingUpdateConfiguration: {maxUnavailable: %s, maxSurge: %s}}}`,
		randomReplicas(random), []int{1, 2, 5, 2000, 5000}[random.IntN(5)],
		bounds[random.IntN(len(bounds))], bounds[random.IntN(len(bounds))])
}

// randomReplicas returns a number that is often at a limit.
func randomReplicas(random *rand.Rand) int32 {
	numbers := []int32{0, 0, 1, 2, 5, 6, 9, 10, 11, 99, 100, 101, 1000, 429496, 429497, 999999, 1000000, 1000001}
	return numbers[random.IntN(len(numbers))]
}
