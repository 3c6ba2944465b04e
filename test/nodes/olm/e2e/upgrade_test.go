// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	operatorsv1alpha1 "github.com/operator-framework/api/pkg/operators/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/test/nodes/bed"
	"github.com/leaderworkerset/lws-operator/test/operator"
)

// drain is how long replaced pods take to end. It makes a rollout longer than an upgrade of the operator's Deployment.
const drain = 4 * time.Second

// TestUpgrade publishes a new version while groups run and one set is in a rollout. OLM installs the version, no group
// loses a pod by the upgrade, and the rollout continues. The API server refuses pods only while a replica of the
// previous version ends, because 0.1.0 doesn't drain.
func TestUpgrade(t *testing.T) {
	s := subscribe(t, published.previous())
	untilInstalled(t, published.previous())
	namespace := suite.NewNamespace(t)
	steady := suite.NewSet(namespace, "steady", 2, 2)
	rolling := suite.NewSet(namespace, "rolling", 4, 2, bed.Draining(drain))
	suite.Create(t, steady, rolling)
	suite.UntilAvailable(t, steady)
	suite.UntilAvailable(t, rolling)
	steadyPods, rollingPods := suite.Pods(t, steady), suite.Pods(t, rolling)

	s.move(t, published.prepared())
	line := observe(t, namespace)
	prober := startProbing(t, namespace, probeInterval)
	bed.Eventually(t, func(ctx context.Context) error { return installing(ctx, published.prepared()) })
	roll(t, rolling, func(lws *leaderworkersetv1.LeaderWorkerSet) {
		container := &bed.PodSpec(lws).Containers[0]
		container.Env = append(container.Env, corev1.EnvVar{Name: "ROLLED", Value: "true"})
	})
	untilInstalled(t, published.prepared())
	line.note(time.Now(), "upgrade", "is over")
	bed.Eventually(t, func(ctx context.Context) error { return updated(ctx, rolling) })
	line.note(time.Now(), "rollout", "is over")

	probes := prober.stop()
	line.report(t, probes)
	line.checkAdmitted(t, probes, line.ends(published.previous())...)
	checkKept(t, steady, steadyPods)
	checkReplaced(t, rolling, rollingPods)
	line.checkBudgets(t)
}

// installing returns an error until OLM has started to install a version.
func installing(ctx context.Context, version string) error {
	var current operatorsv1alpha1.ClusterServiceVersion
	key := client.ObjectKey{Namespace: operator.Namespace, Name: csv(version)}
	if err := suite.Client.Get(ctx, key, &current); err != nil {
		return err
	}
	switch current.Status.Phase {
	case operatorsv1alpha1.CSVPhaseInstalling, operatorsv1alpha1.CSVPhaseSucceeded:
		return nil
	default:
		return fmt.Errorf("%s is %q", current.Name, current.Status.Phase)
	}
}

// roll changes the template of a set, which starts a rollout of all its groups.
func roll(t *testing.T, lws *leaderworkersetv1.LeaderWorkerSet, change func(*leaderworkersetv1.LeaderWorkerSet)) {
	t.Helper()
	bed.Eventually(t, func(ctx context.Context) error {
		if err := suite.Client.Get(ctx, client.ObjectKeyFromObject(lws), lws); err != nil {
			return err
		}
		change(lws)
		return suite.Client.Update(ctx, lws)
	})
}

// updated returns an error unless all groups of a set have its latest revision and are ready.
func updated(ctx context.Context, lws *leaderworkersetv1.LeaderWorkerSet) error {
	if err := suite.Available(ctx, lws); err != nil {
		return err
	}
	if meta.IsStatusConditionTrue(lws.Status.Conditions, leaderworkersetv1.ConditionUpdateInProgress) {
		return errors.New("the rollout is in progress")
	}
	return nil
}

// checkKept reports pods of a set that were replaced or whose containers restarted.
func checkKept(t *testing.T, lws *leaderworkersetv1.LeaderWorkerSet, before map[string]*corev1.Pod) {
	t.Helper()
	after := suite.Pods(t, lws)
	for name, pod := range before {
		if after[name] == nil || after[name].UID != pod.UID {
			t.Errorf("pod %s was lost", name)
		}
	}
	checkNoRestarts(t, after)
}

// checkReplaced reports pods of a set that weren't replaced, and new pods whose containers restarted.
func checkReplaced(t *testing.T, lws *leaderworkersetv1.LeaderWorkerSet, before map[string]*corev1.Pod) {
	t.Helper()
	after := suite.Pods(t, lws)
	for name, pod := range before {
		if after[name] == nil || after[name].UID == pod.UID {
			t.Errorf("pod %s wasn't replaced", name)
		}
	}
	checkNoRestarts(t, after)
}

// checkNoRestarts reports containers that have restarted.
func checkNoRestarts(t *testing.T, pods map[string]*corev1.Pod) {
	t.Helper()
	for name, pod := range pods {
		if count := pod.Status.ContainerStatuses[0].RestartCount; count > 0 {
			t.Errorf("the container of %s has restarted %d times", name, count)
		}
	}
}

// checkBudgets reports sets with more than one unready group at the same time. Their budget is one.
func (l *timeline) checkBudgets(t *testing.T) {
	t.Helper()
	l.mutex.Lock()
	defer l.mutex.Unlock()
	for name, count := range l.unready {
		if count > 1 {
			t.Errorf("%d groups of the set %s weren't ready at the same time", count, name)
		}
	}
}
