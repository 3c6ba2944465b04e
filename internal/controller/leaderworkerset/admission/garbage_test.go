// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/randfill"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// FuzzGarbage checks only that nothing panics. An API server with an older or newer schema may send anything.
func FuzzGarbage(f *testing.F) {
	for seed := range int64(100) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed int64) {
		filler := randfill.NewWithSeed(seed).NilChance(0.5).NumElements(0, 2).MaxDepth(12)
		var before, after, sibling leaderworkersetv1.LeaderWorkerSet
		var pod corev1.Pod
		filler.Fill(&before)
		filler.Fill(&after)
		filler.Fill(&sibling.Spec)
		filler.Fill(&pod)
		sibling.Name, sibling.Namespace = "a", "default"
		before.Name, before.Namespace = "a-0", "default"
		after.Name, after.Namespace = "a-0", "default"
		after.DeletionTimestamp = nil

		webhook := newWebhook(t, interceptor.Funcs{}, &sibling)
		_, _ = webhook.ValidateCreate(t.Context(), &after)
		_, _ = webhook.ValidateUpdate(t.Context(), &before, &after)
		_ = webhook.Default(t.Context(), &after)
		_, _ = newPodWebhook(t).admit(t.Context(), &pod, "")
	})
}
