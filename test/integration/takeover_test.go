// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/leaderworkerset/lws-operator/internal/controller"
	"github.com/leaderworkerset/lws-operator/internal/takeover"
	"github.com/leaderworkerset/lws-operator/test/cluster"
)

// TestTakeover runs a replica of the operator, with the operator's permissions, beside another controller that holds
// its lease. One of the namespaces with such a lease doesn't exist.
func TestTakeover(t *testing.T) {
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: takeover.DefaultNamespaces()[0]}}
	if err := suite.client.Create(t.Context(), namespace); err != nil {
		t.Fatal(err)
	}
	lease := &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace.Name, Name: takeover.LeaseName},
		Spec: coordinationv1.LeaseSpec{
			HolderIdentity: ptr.To("other"), LeaseDurationSeconds: ptr.To(int32(3600)),
			RenewTime: ptr.To(metav1.NewMicroTime(time.Now())),
		},
	}
	if err := suite.client.Create(t.Context(), lease); err != nil {
		t.Fatal(err)
	}
	r, mgr := startForTakeover(t)

	r.untilReadyz(t, http.StatusInternalServerError)
	untilTrue(t, "there is an event", func(ctx context.Context) (bool, error) { return hasEvent(ctx, lease) })
	if isElected(mgr) {
		t.Error("the replica is elected beside another controller")
	}

	setHolder(t, lease, "")
	r.untilReadyz(t, http.StatusOK)
	untilTrue(t, "the replica is elected", func(context.Context) (bool, error) { return isElected(mgr), nil })
	if err := suite.client.Get(t.Context(), client.ObjectKeyFromObject(lease), lease); err != nil {
		t.Fatal(err)
	}
	if got, want := *lease.Spec.HolderIdentity, "lws-operator_"+operatorNamespace; got != want {
		t.Errorf("the holder is %s; want %s", got, want)
	}

	setHolder(t, lease, "other")
	var held *takeover.HeldError
	select {
	case err := <-r.ended:
		if !errors.As(err, &held) || held.Holder != "other" {
			t.Errorf("the replica ends with %v", err)
		}
	case <-time.After(deadline):
		t.Error("the replica goes on although another controller holds the lease")
	}
	r.cancel = nil
}

// startForTakeover starts a replica of the operator that elects a leader and runs nothing else.
func startForTakeover(t *testing.T) (*replica, ctrl.Manager) {
	t.Helper()
	ports, err := cluster.FreePorts("health")
	if err != nil {
		t.Fatal(err)
	}
	address := "127.0.0.1:" + ports["health"]
	scheme, err := controller.Scheme()
	if err != nil {
		t.Fatal(err)
	}
	mgr, err := takeover.NewManager(asOperator(), ctrl.Options{
		Scheme:                  scheme,
		Metrics:                 metricsserver.Options{BindAddress: "0"},
		HealthProbeBindAddress:  address,
		LeaderElection:          true,
		LeaderElectionID:        "takeover-test",
		LeaderElectionNamespace: operatorNamespace,
		LeaseDuration:           ptr.To(3 * time.Second),
		RenewDeadline:           ptr.To(2 * time.Second),
		RetryPeriod:             ptr.To(poll),
	}, takeover.DefaultNamespaces())
	if err != nil {
		t.Fatal(err)
	}
	r := &replica{readyz: "http://" + address + "/readyz", ended: make(chan error, 1)}
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	go func() { r.ended <- mgr.Start(ctx) }()
	t.Cleanup(cancel)
	t.Cleanup(func() { r.stop(t) })
	return r, mgr
}

// setHolder writes the holder of a lease. The operator may write the lease at the same time.
func setHolder(t *testing.T, lease *coordinationv1.Lease, holder string) {
	t.Helper()
	patch := fmt.Sprintf(`{"spec":{"holderIdentity":%q,"leaseDurationSeconds":3600}}`, holder)
	if err := suite.client.Patch(t.Context(), lease, client.RawPatch(types.MergePatchType, []byte(patch))); err != nil {
		t.Fatal(err)
	}
}

func isElected(mgr ctrl.Manager) bool {
	select {
	case <-mgr.Elected():
		return true
	default:
		return false
	}
}

// hasEvent reports whether an event in the operator's namespace names the holder of the lease.
func hasEvent(ctx context.Context, lease *coordinationv1.Lease) (bool, error) {
	var events corev1.EventList
	if err := suite.client.List(ctx, &events, client.InNamespace(operatorNamespace)); err != nil {
		return false, err
	}
	want := (&takeover.HeldError{Lease: lease.Namespace + "/" + lease.Name, Holder: "other"}).Error()
	for i := range events.Items {
		if events.Items[i].Reason == "OtherControllerRuns" && events.Items[i].Message == want {
			return true, nil
		}
	}
	return false, nil
}

// untilTrue waits until a condition holds.
func untilTrue(t *testing.T, what string, condition func(context.Context) (bool, error)) {
	t.Helper()
	if err := wait.PollUntilContextTimeout(t.Context(), poll, deadline, true, condition); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}
