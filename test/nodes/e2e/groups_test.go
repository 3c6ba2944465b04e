// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/test/nodes/bed"
	"github.com/leaderworkerset/lws-operator/test/operator"
)

// TestOperatorIsRestricted checks that the operator's own pods run under restricted pod security.
func TestOperatorIsRestricted(t *testing.T) {
	var namespace corev1.Namespace
	if err := suite.Client.Get(t.Context(), client.ObjectKey{Name: operator.Namespace}, &namespace); err != nil {
		t.Fatal(err)
	}
	if got := namespace.Labels["pod-security.kubernetes.io/enforce"]; got != "restricted" {
		t.Errorf("the pod security of namespace %s is %q", namespace.Name, got)
	}
	deployment, err := suite.OperatorDeployment(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := bed.RolledOut(deployment); err != nil {
		t.Error(err)
	}
}

// TestWorkersReachTheirLeader checks that workers reach their leader by the name in LWS_LEADER_ADDRESS. A worker
// becomes ready when its leader has answered. No worker reaches a leader of another group.
func TestWorkersReachTheirLeader(t *testing.T) {
	for _, policy := range []leaderworkersetv1.SubdomainPolicy{
		leaderworkersetv1.SubdomainShared, leaderworkersetv1.SubdomainUniquePerReplica,
	} {
		t.Run(string(policy), func(t *testing.T) {
			t.Parallel()
			lws := suite.NewSet(suite.NewNamespace(t), "peers", 2, 3, func(lws *leaderworkersetv1.LeaderWorkerSet) {
				lws.Spec.NetworkConfig = &leaderworkersetv1.NetworkConfig{SubdomainPolicy: ptr.To(policy)}
			})
			suite.Create(t, lws)
			suite.UntilAvailable(t, lws)
			pods := suite.Pods(t, lws)
			for leader, workers := range map[string][]string{
				"peers-0": {"peers-0-1", "peers-0-2"},
				"peers-1": {"peers-1-1", "peers-1-2"},
			} {
				if diff := cmp.Diff(workers, workersSeenBy(t, pods[leader])); diff != "" {
					t.Errorf("workers that reached %s (-want +got):\n%s", leader, diff)
				}
			}
		})
	}
}

// TestCrashRestartsTheGroup checks that a crash of a container restarts its whole group, once, and no other group. The
// workers of the new group reach the new leader.
func TestCrashRestartsTheGroup(t *testing.T) {
	t.Parallel()
	for crashing, role := range map[string]string{"peers-1": "leader", "peers-1-2": "worker"} {
		t.Run(role, func(t *testing.T) {
			t.Parallel()
			lws := suite.NewSet(suite.NewNamespace(t), "peers", 2, 3)
			suite.Create(t, lws)
			suite.UntilAvailable(t, lws)
			before := suite.Pods(t, lws)
			crash(t, before[crashing])
			bed.Eventually(t, func(ctx context.Context) error {
				after, err := suite.PodsOf(ctx, lws)
				if err != nil {
					return err
				}
				for _, name := range []string{"peers-1", "peers-1-1", "peers-1-2"} {
					if pod := after[name]; pod == nil || pod.UID == before[name].UID {
						return fmt.Errorf("%s isn't a new pod", name)
					}
				}
				return suite.Available(ctx, lws)
			})
			after := suite.Pods(t, lws)
			for _, name := range []string{"peers-0", "peers-0-1", "peers-0-2"} {
				if after[name].UID != before[name].UID || after[name].Status.ContainerStatuses[0].RestartCount != 0 {
					t.Errorf("%s of the other group has restarted", name)
				}
			}
			if diff := cmp.Diff([]string{"peers-1-1", "peers-1-2"}, workersSeenBy(t, after["peers-1"])); diff != "" {
				t.Errorf("workers that reached the new leader (-want +got):\n%s", diff)
			}
			notes, err := recreations(t.Context(), lws)
			if err != nil {
				t.Fatal(err)
			}
			if len(notes) != 1 {
				t.Errorf("the group was recreated %d times: %q", len(notes), notes)
			}
		})
	}
}
