// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"cmp"
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	operatorsv1alpha1 "github.com/operator-framework/api/pkg/operators/v1alpha1"
	operatorsv2 "github.com/operator-framework/api/pkg/operators/v2"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/test/operator"
)

// timeline records state changes of objects.
type timeline struct {
	began time.Time
	mutex sync.Mutex
	rows  []row
	// last has the last state of each subject.
	last map[string]string
	// unready has the largest number of groups that weren't ready at the same time, by the name of the set.
	unready map[string]int32
	// endings has the ends of the operator's replicas, by the name of the pod.
	endings map[string]*ending
}

// row is one state change.
type row struct {
	at time.Time
	// subject is the object that changed, and state is its new state.
	subject, state string
}

// note adds a state change, unless the subject already has that state.
func (l *timeline) note(at time.Time, subject, state string) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if l.last[subject] == state {
		return
	}
	l.last[subject] = state
	l.rows = append(l.rows, row{at: at, subject: subject, state: state})
}

// String returns a table of all state changes, sorted by time.
func (l *timeline) String() string {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	slices.SortStableFunc(l.rows, func(a, b row) int { return a.at.Compare(b.at) })
	var text strings.Builder
	table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	for _, r := range l.rows {
		_, _ = fmt.Fprintf(table, "%6.2fs\t%s\t%s\n", r.at.Sub(l.began).Seconds(), r.subject, r.state)
	}
	_ = table.Flush() // Writing to memory never fails.
	return text.String()
}

// observe records state changes of the operator, and of the sets in a namespace, until the end of the test.
func observe(t *testing.T, namespace string) *timeline {
	t.Helper()
	l := &timeline{
		began: time.Now(), last: map[string]string{}, unready: map[string]int32{}, endings: map[string]*ending{},
	}
	watched, err := cache.New(suite.Config, cache.Options{
		Scheme:            suite.Client.Scheme(),
		DefaultNamespaces: map[string]cache.Config{operator.Namespace: {}, namespace: {}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, object := range []client.Object{
		&operatorsv1alpha1.ClusterServiceVersion{}, &operatorsv1alpha1.Subscription{}, &operatorsv1alpha1.InstallPlan{},
		&operatorsv2.OperatorCondition{}, &corev1.Secret{}, &appsv1.Deployment{}, &corev1.Pod{},
		&admissionregistrationv1.MutatingWebhookConfiguration{},
		&leaderworkersetv1.LeaderWorkerSet{},
	} {
		informer, err := watched.GetInformer(t.Context(), object, cache.BlockUntilSynced(false))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := informer.AddEventHandler(l.handler()); err != nil {
			t.Fatal(err)
		}
	}
	var ended sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	ended.Go(func() {
		if err := watched.Start(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { cancel(); ended.Wait() })
	if !watched.WaitForCacheSync(t.Context()) {
		t.Fatal("the caches didn't sync")
	}
	return l
}

// handler returns a handler that notes the events of an informer.
func (l *timeline) handler() toolscache.ResourceEventHandler {
	noteState := func(object any) {
		subject, state := describe(object)
		if subject != "" {
			l.note(time.Now(), subject, state)
		}
		if lws, isSet := object.(*leaderworkersetv1.LeaderWorkerSet); isSet {
			l.mutex.Lock()
			defer l.mutex.Unlock()
			l.unready[lws.Name] = max(l.unready[lws.Name], *lws.Spec.Replicas-lws.Status.ReadyReplicas)
		}
		if pod, isPod := object.(*corev1.Pod); isPod && isReplica(pod) && pod.DeletionTimestamp != nil {
			l.noteEnding(pod, time.Now())
		}
	}
	return toolscache.ResourceEventHandlerFuncs{
		AddFunc:    noteState,
		UpdateFunc: func(_, object any) { noteState(object) },
		DeleteFunc: func(object any) {
			if last, unknown := object.(toolscache.DeletedFinalStateUnknown); unknown {
				object = last.Obj
			}
			if subject, _ := describe(object); subject != "" {
				l.note(time.Now(), subject, "deleted")
			}
			if pod, isPod := object.(*corev1.Pod); isPod && isReplica(pod) {
				l.noteEnding(pod, time.Now())
			}
		},
	}
}

// describe returns the name and the state of an object for the timeline. The name is empty if the timeline ignores the
// object.
func describe(object any) (subject, state string) {
	switch o := object.(type) {
	case *operatorsv1alpha1.ClusterServiceVersion:
		if o.Namespace == operator.Namespace { // OLM makes copies in all other namespaces.
			state := fmt.Sprintf("%s, %s", cmp.Or(string(o.Status.Phase), "new"), o.Status.Reason)
			return "CSV " + o.Name, strings.TrimSuffix(state, ", ")
		}
	case *operatorsv1alpha1.Subscription:
		return "Subscription", fmt.Sprintf("%s, %s installed", o.Status.State, o.Status.InstalledCSV)
	case *operatorsv1alpha1.InstallPlan:
		return "InstallPlan for " + strings.Join(o.Spec.ClusterServiceVersionNames, ", "), string(o.Status.Phase)
	case *operatorsv2.OperatorCondition:
		if upgradeable := meta.FindStatusCondition(o.Spec.Conditions, operatorsv2.Upgradeable); upgradeable != nil {
			return "OperatorCondition " + o.Name, fmt.Sprintf("Upgradeable %s: %s", upgradeable.Status, upgradeable.Message)
		}
	case *corev1.Secret:
		if o.Name == secret {
			return "certificate", fmt.Sprintf("authority %s, owned by %s", abbreviated(o.Annotations[caHash]), owners(o))
		}
	case *corev1.Pod:
		if isReplica(o) {
			return "replica " + o.Name, fmt.Sprintf("%s, %s", path.Base(o.Spec.Containers[0].Image), phase(o))
		}
	case *appsv1.Deployment:
		status := o.Status
		return "Deployment", fmt.Sprintf("%s, authority %s, generation %d: %d of %d updated, %d available",
			path.Base(o.Spec.Template.Spec.Containers[0].Image), abbreviated(o.Spec.Template.Annotations[caHash]),
			o.Generation, status.UpdatedReplicas, *o.Spec.Replicas, status.AvailableReplicas)
	case *admissionregistrationv1.MutatingWebhookConfiguration:
		if madeForOperator(o) && strings.HasPrefix(o.Name, "mpod") {
			return "webhook " + o.Name, "of " + o.Labels["olm.owner"]
		}
	case *leaderworkersetv1.LeaderWorkerSet:
		return "set " + o.Name, fmt.Sprintf("%d of %d groups updated, %d ready",
			o.Status.UpdatedReplicas, *o.Spec.Replicas, o.Status.ReadyReplicas)
	}
	return "", ""
}

// owners returns the names of an object's owners.
func owners(object client.Object) string {
	var names []string
	for _, owner := range object.GetOwnerReferences() {
		names = append(names, owner.Name)
	}
	return strings.Join(names, " and ")
}

// abbreviated returns the start of a hash, which is enough to distinguish hashes.
func abbreviated(hash string) string { return hash[:min(len(hash), 8)] }
