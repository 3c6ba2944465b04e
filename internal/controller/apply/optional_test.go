// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package apply_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/leaderworkerset/lws-operator/internal/controller/apply"
	"github.com/leaderworkerset/lws-operator/internal/controller/write"
)

// TestOptionalWrites checks that the refusal of an optional write is returned and ends nothing. Another error of such a
// write ends the writes: another attempt may succeed.
func TestOptionalWrites(t *testing.T) {
	quota := apierrors.NewForbidden(statefulSets, "b", errors.New("quota"))
	away := errors.New("connection refused")
	for _, tc := range []struct {
		name     string
		answer   error // to the creation of b
		optional bool
		refusal  bool
		want     []string
	}{
		{"refused", quota, true, true, []string{"a", "c"}},
		{"refused, and needed", quota, false, true, []string{"a"}},
		{"the server is away", away, true, false, []string{"a"}},
		{"made", nil, true, false, []string{"a", "b", "c"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			applier := newApplier(t, interceptor.Funcs{
				Create: func(ctx context.Context, c client.WithWatch, object client.Object, options ...client.CreateOption) error {
					if object.GetName() == "b" && tc.answer != nil {
						return tc.answer
					}
					return c.Create(ctx, object, options...)
				},
			})
			err := applier.Writes(t.Context(), []write.Write{
				{Create: newStatefulSet("a", "me")},
				{Create: newStatefulSet("b", "me"), Optional: tc.optional},
				{Create: newStatefulSet("c", "me")},
			})
			if !errors.Is(err, tc.answer) {
				t.Errorf("got error %v, want %v", err, tc.answer)
			}
			if _, refused := errors.AsType[*apply.RefusedError](err); refused != tc.refusal {
				t.Errorf("it is a refusal: %t", refused)
			}
			if diff := cmp.Diff(tc.want, names(t, applier)); diff != "" {
				t.Errorf("StatefulSets (-want +got):\n%s", diff)
			}
		})
	}
}
