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

// drain is how long pods take to end that are replaced, which makes a rollout take longer than an upgrade of the operator's Deployment.
const drain = 4 * time.Second

// connectionLost are what refusals begin with where a replica has gone that was called. Those of 0.1.0 don't wait until nobody calls them
// any more.
var connectionLost = []string{"dial tcp", "read tcp", "write tcp", "http: server closed idle connection", "EOF", "unexpected EOF"}

// A new version in the catalog is installed by OLM, without a pod of a group being lost, while groups run and while one set is in the
// middle of a rollout, which goes on.
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
	prober := startProbing(t, namespace)
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
	checkAdmitted(t, probes, connectionLost...)
	checkKept(t, steady, steadyPods)
	checkReplaced(t, rolling, rollingPods)
	line.checkBudgets(t)
}

// installing returns an error until OLM replaces the operator by a version.
func installing(ctx context.Context, version string) error {
	var current operatorsv1alpha1.ClusterServiceVersion
	if err := suite.Client.Get(ctx, client.ObjectKey{Namespace: operator.Namespace, Name: csv(version)}, &current); err != nil {
		return err
	}
	switch current.Status.Phase {
	case operatorsv1alpha1.CSVPhaseInstalling, operatorsv1alpha1.CSVPhaseSucceeded:
		return nil
	default:
		return fmt.Errorf("%s is %q", current.Name, current.Status.Phase)
	}
}

// roll changes the template of a set, which has it replace all its groups.
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

// updated returns an error unless all groups of a set are of its latest revision, and ready.
func updated(ctx context.Context, lws *leaderworkersetv1.LeaderWorkerSet) error {
	if err := suite.Available(ctx, lws); err != nil {
		return err
	}
	if meta.IsStatusConditionTrue(lws.Status.Conditions, leaderworkersetv1.ConditionUpdateInProgress) {
		return errors.New("groups have to be replaced")
	}
	return nil
}

// checkKept reports pods of a set that aren't the same, and still in their first life.
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

// checkReplaced reports pods of a set that was updated which aren't new, and in their first life.
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

// checkNoRestarts reports containers that have been restarted.
func checkNoRestarts(t *testing.T, pods map[string]*corev1.Pod) {
	t.Helper()
	for name, pod := range pods {
		if count := pod.Status.ContainerStatuses[0].RestartCount; count > 0 {
			t.Errorf("the container of %s was restarted %d times", name, count)
		}
	}
}

// checkBudgets reports sets of which more than one group, their budget, wasn't ready at a time.
func (l *timeline) checkBudgets(t *testing.T) {
	t.Helper()
	l.mutex.Lock()
	defer l.mutex.Unlock()
	for name, count := range l.unready {
		if count > 1 {
			t.Errorf("%d groups of the set %s weren't ready at a time", count, name)
		}
	}
}
