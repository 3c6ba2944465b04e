// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package takeover

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/utils/ptr"
)

const (
	ownNamespace   = "operators"
	otherNamespace = "lws-system"

	leaseDuration, renewDeadline, retryPeriod = 15 * time.Second, 10 * time.Second, 2 * time.Second
)

// world is a cluster with leases. Its time is that of a synctest bubble.
type world struct {
	t      *testing.T
	client *fake.Clientset
}

func newWorld(t *testing.T) *world {
	t.Helper()
	return &world{t: t, client: fake.NewClientset()}
}

// replica is a replica of the operator that takes part in the leader election.
type replica struct {
	lock    *lock
	elected bool
	stop    context.CancelFunc
	ended   chan error // gets the reason why the replica has to end
}

// start starts a replica, and returns it after the first round of its leader election.
func (w *world) start(identity string) *replica {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	own := newLease(w.client.CoordinationV1(), ownNamespace, "own", identity)
	r := &replica{
		lock: newLock(w.client.CoordinationV1(), own, DefaultNamespaces(), logr.Discard()),
		stop: cancel, ended: make(chan error, 1),
	}
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock: r.lock, LeaseDuration: leaseDuration, RenewDeadline: renewDeadline, RetryPeriod: retryPeriod,
		ReleaseOnCancel: true,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(context.Context) { r.elected = true },
			OnStoppedLeading: func() { r.elected = false },
		},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	go elector.Run(ctx)
	go func() { r.ended <- r.lock.status.Start(ctx) }()
	w.t.Cleanup(cancel)
	synctest.Wait()
	return r
}

// pass lets time pass.
func (w *world) pass(d time.Duration) {
	time.Sleep(d) //nolint:forbidigo // Of a fake clock.
	synctest.Wait()
}

// hold makes a controller create or renew the lease of a namespace. Its clock is wrong by skew.
func (w *world) hold(namespace, holder string, skew time.Duration) {
	w.t.Helper()
	leases := w.client.CoordinationV1().Leases(namespace)
	lease, err := leases.Get(w.t.Context(), LeaseName, metav1.GetOptions{})
	spec := coordinationv1.LeaseSpec{
		HolderIdentity: &holder, LeaseDurationSeconds: ptr.To(int32(leaseDuration / time.Second)),
		RenewTime: ptr.To(metav1.NewMicroTime(time.Now().Add(skew))),
	}
	if apierrors.IsNotFound(err) {
		_, err = leases.Create(w.t.Context(), &coordinationv1.Lease{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: LeaseName}, Spec: spec,
		}, metav1.CreateOptions{})
	} else if err == nil {
		lease.Spec = spec
		_, err = leases.Update(w.t.Context(), lease, metav1.UpdateOptions{})
	}
	if err != nil {
		w.t.Fatal(err)
	}
	synctest.Wait()
}

// renew makes a controller renew the lease of a namespace for some time.
func (w *world) renew(namespace, holder string, skew, d time.Duration) {
	w.t.Helper()
	for range int(d / retryPeriod) {
		w.hold(namespace, holder, skew)
		w.pass(retryPeriod)
	}
}

// holder returns the holder of the lease of a namespace.
func (w *world) holder(namespace string) string {
	w.t.Helper()
	lease, err := w.client.CoordinationV1().Leases(namespace).Get(w.t.Context(), LeaseName, metav1.GetOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	return ptr.Deref(lease.Spec.HolderIdentity, "")
}

// checkWaits checks that a replica isn't elected, and isn't ready for a reason.
func (r *replica) checkWaits(t *testing.T, reason string) {
	t.Helper()
	err := r.lock.status.ready(nil)
	if r.elected || err == nil || !strings.Contains(err.Error(), reason) {
		t.Errorf("elected %t, ready: %v; want a replica that waits: %s", r.elected, err, reason)
	}
}

// checkReady checks that a replica is ready, and whether it is elected.
func (r *replica) checkReady(t *testing.T, elected bool) {
	t.Helper()
	if err := r.lock.status.ready(nil); r.elected != elected || err != nil {
		t.Errorf("elected %t, ready: %v; want a ready replica, elected %t", r.elected, err, elected)
	}
}

func TestNoOtherController(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.start("a").checkReady(t, true)
		w.start("b").checkReady(t, false)
		w.pass(time.Minute)
		for _, action := range w.client.Actions() {
			if action.GetVerb() != "get" && action.GetNamespace() != ownNamespace {
				t.Errorf("%s of %s in %s", action.GetVerb(), action.GetResource().Resource, action.GetNamespace())
			}
		}
	})
}

// TestOtherControllerStops lets another controller run and end. The operator waits until the lease has expired, by its
// own clock.
func TestOtherControllerStops(t *testing.T) {
	skews := map[string]time.Duration{"clocks agree": 0, "fast clock": time.Hour, "slow clock": -time.Hour}
	for name, skew := range skews {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.hold(otherNamespace, "other", skew)
				a, b := w.start("a"), w.start("b")
				w.renew(otherNamespace, "other", skew, time.Minute)
				a.checkWaits(t, "other, holds the lease lws-system/b8b2488c.x-k8s.io")
				b.checkWaits(t, "other, holds the lease lws-system/b8b2488c.x-k8s.io")
				w.pass(leaseDuration - 2*retryPeriod)
				a.checkWaits(t, "other")
				w.pass(5 * retryPeriod)
				if a.elected == b.elected {
					t.Errorf("elected: %t and %t; want one", a.elected, b.elected)
				}
				a.checkReady(t, a.elected)
				b.checkReady(t, b.elected)
				if got, want := w.holder(otherNamespace), "lws-operator_"+ownNamespace; got != want {
					t.Errorf("holder %q; want %q", got, want)
				}
			})
		})
	}
}

func TestBothLeasesOfOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		namespaces := DefaultNamespaces()
		for _, namespace := range namespaces {
			w.hold(namespace, "other", 0)
		}
		a := w.start("a")
		w.renew(namespaces[1], "other", 0, time.Minute)
		a.checkWaits(t, namespaces[1])
		w.pass(time.Minute)
		a.checkReady(t, true)
		for _, namespace := range namespaces {
			if got, want := w.holder(namespace), "lws-operator_"+ownNamespace; got != want {
				t.Errorf("holder in %s: %q; want %q", namespace, got, want)
			}
		}
	})
}

func TestReleasedLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.hold(otherNamespace, "", 0)
		w.start("a").checkReady(t, true)
		if got, want := w.holder(otherNamespace), "lws-operator_"+ownNamespace; got != want {
			t.Errorf("holder %q; want %q", got, want)
		}
	})
}

// TestNextReplicaLeads ends the leading replica. The next one leads soon, and the lease of the other controller stays
// with the operator all the time.
func TestNextReplicaLeads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.hold(otherNamespace, "", 0)
		a, b := w.start("a"), w.start("b")
		w.client.PrependReactor("update", "leases", func(action clienttesting.Action) (bool, runtime.Object, error) {
			update, ok := action.(clienttesting.UpdateAction)
			lease, isLease := update.GetObject().(*coordinationv1.Lease)
			if !ok || !isLease {
				t.Errorf("unexpected %v", action)
				return false, nil, nil
			}
			duration := ptr.Deref(lease.Spec.LeaseDurationSeconds, 0)
			if lease.Name == LeaseName && (ptr.Deref(lease.Spec.HolderIdentity, "") == "" || duration < 15) {
				t.Errorf("the lease of the other controller becomes free: %+v", lease.Spec)
			}
			return false, nil, nil
		})
		a.checkReady(t, true)
		a.stop()
		w.pass(3 * retryPeriod)
		b.checkReady(t, true)
		if a.elected {
			t.Error("both replicas are elected")
		}
	})
}

// TestAnotherReplicaGotTheLease lets another replica get the operator's own lease while the first one leads, as after a
// freeze of the first one. The first one ends at its next look at the lease, long before the renew deadline.
func TestAnotherReplicaGotTheLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a := w.start("a")
		w.pass(time.Minute)
		a.checkReady(t, true)

		leases := w.client.CoordinationV1().Leases(ownNamespace)
		lease, err := leases.Get(t.Context(), "own", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		lease.Spec.HolderIdentity, lease.Spec.RenewTime = ptr.To("b"), ptr.To(metav1.NewMicroTime(time.Now()))
		if _, err := leases.Update(t.Context(), lease, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		w.client.PrependReactor("update", "leases", func(clienttesting.Action) (bool, runtime.Object, error) {
			return true, nil, apierrors.NewConflict(coordinationv1.Resource("leases"), "own", errors.New("renewed by b"))
		})
		w.pass(retryPeriod + time.Second)
		select {
		case err := <-a.ended:
			if err == nil || !strings.Contains(err.Error(), "replica b leads by now") {
				t.Errorf("the replica ends with %v", err)
			}
		default:
			t.Errorf("the replica goes on after %s", retryPeriod+time.Second)
		}
	})
}

// TestOtherControllerComesBack lets another controller get the lease while the operator leads. The elected replica
// ends. A replica that starts after it waits.
func TestOtherControllerComesBack(t *testing.T) {
	for name, before := range map[string]func(*world){
		"there was no lease":          func(*world) {},
		"the operator held the lease": func(w *world) { w.hold(otherNamespace, "", 0) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				before(w)
				a := w.start("a")
				w.pass(time.Minute)
				a.checkReady(t, true)
				w.hold(otherNamespace, "other", 0)
				w.pass(2 * retryPeriod)
				var held *HeldError
				if err := <-a.ended; !errors.As(err, &held) {
					t.Errorf("the replica ends with %v", err)
				} else if diff := cmp.Diff(HeldError{Lease: "lws-system/" + LeaseName, Holder: "other"}, *held); diff != "" {
					t.Error(diff)
				}
				a.stop()
				b := w.start("b")
				w.renew(otherNamespace, "other", 0, time.Minute)
				b.checkWaits(t, "other")
			})
		})
	}
}

// TestNoRights takes a right away. A replica that can't know whether another controller runs does nothing.
func TestNoRights(t *testing.T) {
	for _, verb := range []string{"get", "update"} {
		t.Run(verb, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.hold(otherNamespace, "", 0)
				w.client.PrependReactor(verb, "leases", func(action clienttesting.Action) (bool, runtime.Object, error) {
					err := apierrors.NewForbidden(coordinationv1.Resource("leases"), LeaseName, errors.New("no right"))
					return action.GetNamespace() == otherNamespace, nil, err
				})
				a := w.start("a")
				a.checkWaits(t, "no right")
				w.pass(time.Minute)
				a.checkWaits(t, "no right")
			})
		})
	}
}

func TestClaim(t *testing.T) {
	at := func(second int) metav1.Time { return metav1.NewTime(time.Unix(int64(second), 0)) }
	now := resourcelock.LeaderElectionRecord{
		HolderIdentity: "a", LeaseDurationSeconds: 15, AcquireTime: at(1), RenewTime: at(9), LeaderTransitions: 7,
	}
	tests := map[string]struct {
		previous, want resourcelock.LeaderElectionRecord
	}{
		"taken": {
			resourcelock.LeaderElectionRecord{HolderIdentity: "other", AcquireTime: at(0), LeaderTransitions: 2},
			resourcelock.LeaderElectionRecord{
				HolderIdentity: "us", LeaseDurationSeconds: 15, AcquireTime: at(9), RenewTime: at(9), LeaderTransitions: 3,
			},
		},
		"renewed": {
			resourcelock.LeaderElectionRecord{HolderIdentity: "us", AcquireTime: at(5), LeaderTransitions: 3},
			resourcelock.LeaderElectionRecord{
				HolderIdentity: "us", LeaseDurationSeconds: 15, AcquireTime: at(5), RenewTime: at(9), LeaderTransitions: 3,
			},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, claim(test.previous, now, "us")); diff != "" {
				t.Error(diff)
			}
		})
	}
}
