// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/test/nodes/bed"
)

// outOfService is the taint by which an administrator confirms that a node is off.
const outOfService = corev1.TaintNodeOutOfService

// TestPower cuts the power of a node. The operator restarts the groups with pods on that node, although its kubelet no
// longer answers. Once an administrator has confirmed that the node is off, the groups become available on other nodes.
func TestPower(t *testing.T) {
	lws := suite.NewSet(suite.NewNamespace(t), "peers", 1, 2, spreadOverNodes, evictAtOnce)
	suite.Create(t, lws)
	suite.UntilAvailable(t, lws)
	before := suite.Pods(t, lws)
	lost := before["peers-0-1"].Spec.NodeName

	turn(t, "stop", lost)
	t.Cleanup(func() { turnOnAgain(t, lost) })
	bed.Eventually(t, func(ctx context.Context) error { return nodeReady(ctx, lost, false) })
	// The worker stays Terminating, because its kubelet can't report its end.
	bed.Eventually(t, func(ctx context.Context) error {
		pods, err := suite.PodsOf(ctx, lws)
		if err != nil {
			return err
		}
		if leader := pods["peers-0"]; leader == nil || leader.UID == before["peers-0"].UID {
			return errors.New("the leader hasn't been recreated")
		}
		return nil
	})
	worker := suite.Pods(t, lws)["peers-0-1"]
	if worker == nil || worker.UID != before["peers-0-1"].UID || worker.DeletionTimestamp == nil {
		t.Errorf("the worker on the lost node isn't Terminating: %+v", worker)
	}

	editNode(t, lost, func(node *corev1.Node) {
		node.Spec.Taints = append(node.Spec.Taints,
			corev1.Taint{Key: outOfService, Value: "nodeshutdown", Effect: corev1.TaintEffectNoExecute})
	})
	bed.Eventually(t, func(ctx context.Context) error {
		pods, err := suite.PodsOf(ctx, lws)
		if err != nil {
			return err
		}
		if worker := pods["peers-0-1"]; worker == nil || worker.UID == before["peers-0-1"].UID {
			return errors.New("the worker hasn't been recreated")
		}
		return suite.Available(ctx, lws)
	})
	for name, pod := range suite.Pods(t, lws) {
		if pod.Spec.NodeName == lost {
			t.Errorf("%s is on the node without power", name)
		}
	}
}

// spreadOverNodes spreads the pods of a set over the nodes.
func spreadOverNodes(lws *leaderworkersetv1.LeaderWorkerSet) {
	bed.PodSpec(lws).TopologySpreadConstraints = []corev1.TopologySpreadConstraint{{
		MaxSkew:           1,
		TopologyKey:       corev1.LabelHostname,
		WhenUnsatisfiable: corev1.DoNotSchedule,
		LabelSelector:     &metav1.LabelSelector{MatchLabels: map[string]string{leaderworkersetv1.SetNameLabelKey: lws.Name}},
	}}
}

// evictAtOnce lets the control plane delete pods once their node is lost, and not after five minutes.
func evictAtOnce(lws *leaderworkersetv1.LeaderWorkerSet) {
	bed.PodSpec(lws).Tolerations = []corev1.Toleration{{
		Key: corev1.TaintNodeUnreachable, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute,
		TolerationSeconds: ptr.To[int64](0),
	}}
}

// turn runs the command of -power: stop turns a node off, and start turns it on.
func turn(t *testing.T, action, node string) {
	t.Helper()
	command := append(strings.Fields(*power), action, node)
	ctx := context.WithoutCancel(t.Context())
	if out, err := exec.CommandContext(ctx, command[0], command[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(command, " "), err, out)
	}
}

// turnOnAgain turns a node on, waits until it is ready, and removes the taint.
func turnOnAgain(t *testing.T, node string) {
	t.Helper()
	turn(t, "start", node)
	ctx := context.WithoutCancel(t.Context())
	if err := bed.Until(ctx, func(ctx context.Context) error { return nodeReady(ctx, node, true) }); err != nil {
		t.Fatal(err)
	}
	editNode(t, node, func(node *corev1.Node) {
		node.Spec.Taints = slices.DeleteFunc(node.Spec.Taints, func(taint corev1.Taint) bool {
			return taint.Key == outOfService
		})
	})
}

// nodeReady returns an error unless the readiness of a node is as wanted.
func nodeReady(ctx context.Context, name string, want bool) error {
	var node corev1.Node
	if err := suite.Client.Get(ctx, client.ObjectKey{Name: name}, &node); err != nil {
		return err
	}
	ready := slices.ContainsFunc(node.Status.Conditions, func(c corev1.NodeCondition) bool {
		return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
	})
	if ready != want {
		return fmt.Errorf("the readiness of node %s is %t", name, ready)
	}
	return nil
}

// editNode patches a node.
func editNode(t *testing.T, name string, change func(*corev1.Node)) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	err := bed.Until(ctx, func(ctx context.Context) error {
		var node corev1.Node
		if err := suite.Client.Get(ctx, client.ObjectKey{Name: name}, &node); err != nil {
			return err
		}
		before := node.DeepCopy()
		change(&node)
		return suite.Client.Patch(ctx, &node, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
	})
	if err != nil {
		t.Fatal(err)
	}
}
