// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package disaggregatedset

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	disaggregatedsetv1 "github.com/leaderworkerset/lws-operator/api/disaggregatedset/v1"
	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/apply"
	"github.com/leaderworkerset/lws-operator/internal/controller/disaggregatedset/status"
	"github.com/leaderworkerset/lws-operator/internal/controller/write"
)

// TestObstacleAfter compares what the status reports after passes. Only a pass that made all its writes has seen that
// nothing is in the way any more.
func TestObstacleAfter(t *testing.T) {
	resource := schema.GroupResource{Resource: "leaderworkersets"}
	before := &status.Obstacle{Reason: "FailedCreate", Message: "somebody else's"}
	for _, tc := range []struct {
		name string
		err  error
		want *status.Obstacle
	}{
		{"all writes are made", nil, nil},
		{"the view was late", apierrors.NewConflict(resource, "a", errors.New("changed")), before},
		{"the API server is busy", apierrors.NewTooManyRequestsError("try again"), before},
		{"the answer is lost", apierrors.NewTimeoutError("lost", 1), before},
		{
			"a creation is refused", refusal(t, apierrors.NewBadRequest("no")),
			&status.Obstacle{Reason: "FailedCreate", Message: "no"},
		},
	} {
		got := obstacleAfter(before, tc.err)
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, diff)
		}
	}
}

// refusal returns the error of a creation that the API server refuses.
func refusal(t *testing.T, answer error) error {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := leaderworkersetv1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	applier := apply.Applier{Client: fake.NewClientBuilder().WithScheme(scheme).WithInterceptorFuncs(interceptor.Funcs{
		Create: func(context.Context, client.WithWatch, client.Object, ...client.CreateOption) error { return answer },
	}).Build()}
	return applier.Writes(t.Context(), []write.Write{{Create: &leaderworkersetv1.LeaderWorkerSet{}}})
}

// TestMemories follows what is remembered of a set: from a start of the operator to another set of the same name.
func TestMemories(t *testing.T) {
	all, set := newMemories(), newSet()
	set.UID = "1"
	set.Status.Conditions = []metav1.Condition{{
		Type: disaggregatedsetv1.ConditionReplicaFailure, Status: metav1.ConditionTrue,
		Reason: "FailedCreate", Message: "taken",
	}}
	known := all.of(theSet, set)
	if diff := cmp.Diff(&status.Obstacle{Reason: "FailedCreate", Message: "taken"}, known.obstacle); diff != "" {
		t.Errorf("after a start (-want +got):\n%s", diff)
	}
	known.obstacle, known.current = nil, true
	all.store(theSet, known)
	if again := all.of(theSet, set); again.obstacle != nil || !again.current {
		t.Errorf("after a pass: %+v", again)
	}
	another := newSet()
	another.UID = "2"
	if first := all.of(theSet, another); first.current || first.uid != "2" {
		t.Errorf("of another set: %+v", first)
	}
}
