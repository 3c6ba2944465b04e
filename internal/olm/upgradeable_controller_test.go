// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package olm

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	operatorsv2 "github.com/operator-framework/api/pkg/operators/v2"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

var key = types.NamespacedName{Namespace: "lws-operator-system", Name: "lws-operator.v0.2.0"}

// other is a condition that the operator doesn't write.
var other = metav1.Condition{
	Type: "Other", Status: metav1.ConditionTrue, Reason: "Other", LastTransitionTime: metav1.NewTime(now),
}

// world runs passes on a client that counts writes.
type world struct {
	t          *testing.T
	clock      *clocktesting.FakePassiveClock
	client     client.Client
	reconciler *upgradeableReconciler
	writes     int
	meanwhile  func() // another client's write, right before the next write of the reconciler
}

func newWorld(t *testing.T, objects ...client.Object) *world {
	t.Helper()
	scheme, err := newScheme()
	if err := errors.Join(err, leaderworkersetv1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, clock: clocktesting.NewFakePassiveClock(now)}
	w.client = fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).WithInterceptorFuncs(interceptor.Funcs{
		Patch: func(
			ctx context.Context, c client.WithWatch, object client.Object, patch client.Patch, options ...client.PatchOption,
		) error {
			if meanwhile := w.meanwhile; meanwhile != nil {
				w.meanwhile = nil
				meanwhile()
			}
			if err := c.Patch(ctx, object, patch, options...); err != nil {
				return err
			}
			w.writes++
			return nil
		},
	}).Build()
	w.reconciler = &upgradeableReconciler{sets: w.client, direct: w.client, clock: w.clock}
	return w
}

// pass makes one pass. It compares the number of writes since the start, and the time until the pass is requeued.
func (w *world) pass(writes int, requeueAfter time.Duration) {
	w.t.Helper()
	result, err := w.reconciler.Reconcile(w.t.Context(), reconcile.Request{NamespacedName: key})
	if err != nil {
		w.t.Fatal(err)
	}
	if diff := cmp.Diff(ctrl.Result{RequeueAfter: requeueAfter}, result); diff != "" {
		w.t.Errorf("result (-want +got):\n%s", diff)
	}
	if w.writes != writes {
		w.t.Errorf("%d writes; want %d", w.writes, writes)
	}
}

// check compares the status of the condition Upgradeable, and checks that the other condition is still there.
func (w *world) check(want metav1.ConditionStatus) {
	w.t.Helper()
	condition := &operatorsv2.OperatorCondition{}
	if err := w.client.Get(w.t.Context(), key, condition); err != nil {
		w.t.Fatal(err)
	}
	if !meta.IsStatusConditionPresentAndEqual(condition.Spec.Conditions, operatorsv2.Upgradeable, want) ||
		!meta.IsStatusConditionTrue(condition.Spec.Conditions, other.Type) {
		w.t.Errorf("want Upgradeable %s, and the other condition; got %+v", want, condition.Spec.Conditions)
	}
}

func operatorCondition() *operatorsv2.OperatorCondition {
	return &operatorsv2.OperatorCondition{
		ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name},
		Spec:       operatorsv2.OperatorConditionSpec{Conditions: []metav1.Condition{other}},
	}
}

func TestReconcile(t *testing.T) {
	w := newWorld(t, operatorCondition())
	w.pass(1, 0)
	w.check(metav1.ConditionTrue)

	// A rollout begins right after a write. The next write waits.
	set := newSet("a", metav1.ConditionTrue, 0)
	if err := w.client.Create(t.Context(), &set); err != nil {
		t.Fatal(err)
	}
	w.clock.SetTime(now.Add(time.Second))
	w.pass(1, minWriteInterval-time.Second)
	w.clock.SetTime(now.Add(minWriteInterval))
	w.pass(2, maxHold-minWriteInterval)
	w.check(metav1.ConditionFalse)

	// While nothing changes, the reconciler writes nothing, until the rollout has held upgrades back for maxHold.
	w.clock.SetTime(now.Add(maxHold - time.Minute))
	w.pass(2, time.Minute)
	w.clock.SetTime(now.Add(maxHold))
	w.pass(3, 0)
	w.check(metav1.ConditionTrue)

	// The end of that rollout changes only the reason. After that, nothing changes.
	if err := w.client.Delete(t.Context(), &set); err != nil {
		t.Fatal(err)
	}
	w.clock.SetTime(now.Add(maxHold + minWriteInterval))
	w.pass(4, 0)
	w.clock.SetTime(now.Add(2 * maxHold))
	w.pass(4, 0)
	w.check(metav1.ConditionTrue)
}

// TestReconcileRequeuesAfterConflict lets another client write a condition right before the operator does. That
// condition must stay.
func TestReconcileRequeuesAfterConflict(t *testing.T) {
	condition := operatorCondition()
	condition.Spec.Conditions = nil
	w := newWorld(t, condition)
	w.meanwhile = func() {
		condition.Spec.Conditions = []metav1.Condition{other}
		if err := w.client.Update(t.Context(), condition); err != nil {
			t.Error(err)
		}
	}
	w.pass(0, batchDelay)
	w.pass(1, 0)
	w.check(metav1.ConditionTrue)
}

func TestReconcileWithoutOperatorCondition(t *testing.T) {
	newWorld(t).pass(0, 0)
}

func TestRolloutBeginsOrEnds(t *testing.T) {
	rolling, resting := newSet("a", metav1.ConditionTrue, 0), newSet("a", metav1.ConditionFalse, 0)
	type set = leaderworkersetv1.LeaderWorkerSet
	for name, test := range map[string]struct {
		before, after *set
		want          bool
	}{
		"a rollout begins":              {&resting, &rolling, true},
		"a rollout ends":                {&rolling, &resting, true},
		"another change in a rollout":   {&rolling, &rolling, false},
		"another change at rest":        {&resting, &resting, false},
		"a set in a rollout is added":   {nil, &rolling, true},
		"a set at rest is added":        {nil, &resting, false},
		"a set in a rollout is deleted": {&rolling, nil, true},
		"a set at rest is deleted":      {&resting, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			var got bool
			switch passes := rolloutBeginsOrEnds(); {
			case test.before == nil:
				got = passes.Create(event.TypedCreateEvent[*set]{Object: test.after})
			case test.after == nil:
				got = passes.Delete(event.TypedDeleteEvent[*set]{Object: test.before})
			default:
				got = passes.Update(event.TypedUpdateEvent[*set]{ObjectOld: test.before, ObjectNew: test.after})
			}
			if got != test.want {
				t.Errorf("got %t; want %t", got, test.want)
			}
		})
	}
}
