// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"context"
	"errors"
	"testing"
	"time"

	"sigs.k8s.io/randfill"

	disaggregatedsetv1 "github.com/leaderworkerset/lws-operator/api/disaggregatedset/v1"
	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// FuzzGarbage checks that nothing panics, and that no update is refused that changes nothing. An API server with an
// older or newer schema may send anything.
func FuzzGarbage(f *testing.F) {
	for seed := range int64(100) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed int64) {
		filler := randfill.NewWithSeed(seed).NilChance(0.5).NumElements(0, 3).MaxDepth(12)
		var before, after disaggregatedsetv1.DisaggregatedSet
		filler.Fill(&before)
		filler.Fill(&after)
		sets := &webhook{
			check: func(_ context.Context, lws *leaderworkersetv1.LeaderWorkerSet) error {
				if len(lws.Name)%2 == 0 {
					return errors.New("unavailable")
				}
				return nil
			},
			timeout: time.Second,
		}
		_, _ = sets.ValidateCreate(t.Context(), &after)
		_, _ = sets.ValidateUpdate(t.Context(), &before, &after)
		_ = sets.Default(t.Context(), &after)
		if _, err := sets.ValidateUpdate(t.Context(), &after, &after); err != nil {
			t.Errorf("an update that changes nothing is refused: %v", err)
		}
	})
}
