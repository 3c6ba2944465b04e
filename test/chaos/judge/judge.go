// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package judge decides from watches alone whether the operator keeps its promises:
//
//   - A ready group is deleted only for a reason: it has failed, it is surplus, or it is outdated and the budget holds.
//   - There are no groups beyond replicas and maxSurge.
//   - All pods of a group are of one revision.
//   - A group that has failed is restarted, once.
//   - No worker is created while a pod of another incarnation of its group exists.
//   - Claims are deleted only if their policy says so.
//   - When everything has healed, each set is what its spec asks for, and nothing of a deleted set is left.
//
// The package shares no code with the operator but the API types. It has no client and no clock. It doesn't judge what
// it can't know, such as changes between two lists.
package judge

import (
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

const (
	// Lag is how late the views of controllers may be without a fault. It also bounds the difference between two watches.
	Lag = 3 * time.Second
	// filmLength is how many events of a set a film has.
	filmLength = 100
)

// Event is a change of an object. Before is nil for a new object, After for one that is gone. Gap is true for changes
// between two lists: what happened between them is unknown.
type Event struct {
	At            time.Time
	Before, After client.Object
	Gap           bool
}

// Judge is what is known so far. It isn't safe for concurrent use.
type Judge struct {
	sets    map[types.NamespacedName]*set
	groups  map[types.UID]*incarnation // by leader
	leaders map[types.UID]types.UID    // from worker StatefulSets to leaders
	owners  map[types.UID]types.UID    // from leader StatefulSets to LeaderWorkerSets
	gone    map[types.UID]time.Time    // when StatefulSets were gone, since the last rest
	late    map[types.UID]bool         // pods that a late view created, since the last rest
	pods    map[types.UID]*corev1.Pod
	// excused has what clients do to pods.
	excused map[types.UID]string
	pending []pending
	// faultAt is when a fault began whose traces are still there. It is zero without a fault.
	faultAt    time.Time
	violations []string
	affected   map[string]bool
}

// set is what is known of LeaderWorkerSets of one name.
type set struct {
	key     types.NamespacedName
	objects map[types.UID]*object
	film    []string
	// scaledDown is when the leader StatefulSet was scaled down, by the index of the group that became surplus.
	scaledDown map[int]time.Time
}

// object is one LeaderWorkerSet.
type object struct {
	created   metav1.Time
	specs     []datedSpec // since the last rest
	deletedAt time.Time   // zero until then
	// wiped is true if the namespace was deleted.
	wiped bool
}

type datedSpec struct {
	from time.Time
	leaderworkersetv1.LeaderWorkerSetSpec
}

// pending is a decision that waits until the watches agree.
type pending struct {
	at     time.Time
	decide func()
}

// New returns a judge that knows nothing.
func New() *Judge {
	return &Judge{
		sets: map[types.NamespacedName]*set{}, groups: map[types.UID]*incarnation{},
		leaders: map[types.UID]types.UID{}, owners: map[types.UID]types.UID{}, pods: map[types.UID]*corev1.Pod{},
		gone: map[types.UID]time.Time{}, late: map[types.UID]bool{},
		excused: map[types.UID]string{}, affected: map[string]bool{},
	}
}

// Observe follows a change of a LeaderWorkerSet, StatefulSet, pod, claim or namespace.
func (j *Judge) Observe(e Event) {
	latest := e.After
	if latest == nil {
		latest = e.Before
	}
	switch latest := latest.(type) {
	case *leaderworkersetv1.LeaderWorkerSet:
		j.observeSet(e, latest)
	case *appsv1.StatefulSet:
		j.observeStatefulSet(e, latest)
	case *corev1.Pod:
		j.observePod(e, latest)
	case *corev1.PersistentVolumeClaim:
		j.observeClaim(e, latest)
	case *corev1.Namespace:
		j.observeNamespace(e, latest)
	}
	j.decide(e.At)
}

// Client records what a client is about to do to a set. If it harms a pod, pod is its UID.
func (j *Judge) Client(at time.Time, key types.NamespacedName, pod types.UID, what string) {
	j.note(at, key, "client: %s", what)
	if pod != "" {
		j.excused[pod] = what
	}
}

// Fault records the begin or the end of a fault in all films.
func (j *Judge) Fault(at time.Time, what string, begins bool) {
	for key := range j.sets {
		j.note(at, key, "fault: %s", what)
	}
	if begins {
		j.faultAt = at
	}
}

// Rest forgets what no longer counts, since everything has healed and no client acts. It returns how many groups
// stopped being ready since the last rest.
func (j *Judge) Rest(at time.Time) int {
	j.decide(at.Add(2 * Lag))
	for uid, group := range j.groups {
		group.failure = ""
		if group.ended && !j.exists(group) {
			delete(j.groups, uid)
		}
	}
	for _, s := range j.sets {
		for uid, o := range s.objects {
			o.specs = o.specs[max(0, len(o.specs)-1):]
			if !o.deletedAt.IsZero() {
				delete(s.objects, uid)
			}
		}
	}
	affected := len(j.affected)
	j.faultAt, j.gone, j.late = time.Time{}, map[types.UID]time.Time{}, map[types.UID]bool{}
	j.affected, j.excused = map[string]bool{}, map[types.UID]string{}
	return affected
}

// Violations returns the broken promises, each with the film of its set.
func (j *Judge) Violations() []string { return j.violations }

// Film returns the last events of a set.
func (j *Judge) Film(key types.NamespacedName) []string { return j.setOf(key).film }

func (j *Judge) setOf(key types.NamespacedName) *set {
	if j.sets[key] == nil {
		j.sets[key] = &set{key: key, objects: map[types.UID]*object{}, scaledDown: map[int]time.Time{}}
	}
	return j.sets[key]
}

// newest returns the set that was created last, or the one that exists of those; nil if there is none.
func (s *set) newest() *object {
	var newest *object
	for _, o := range s.objects {
		if newest == nil || newest.created.Before(&o.created) || (newest.created.Equal(&o.created) && o.deletedAt.IsZero()) {
			newest = o
		}
	}
	return newest
}

// note adds an event to the film of a set.
func (j *Judge) note(at time.Time, key types.NamespacedName, format string, args ...any) {
	s := j.setOf(key)
	s.film = append(s.film, at.Format("15:04:05.000 ")+fmt.Sprintf(format, args...))
	s.film = s.film[max(0, len(s.film)-filmLength):]
}

// fail records a broken promise with the film of the set.
func (j *Judge) fail(key types.NamespacedName, format string, args ...any) {
	lines := append([]string{fmt.Sprintf("%s: %s", key, fmt.Sprintf(format, args...))}, j.setOf(key).film...)
	j.violations = append(j.violations, strings.Join(lines, "\n    "))
}

// later decides something once the watches agree.
func (j *Judge) later(at time.Time, decide func()) {
	j.pending = append(j.pending, pending{at, decide})
}

// decide makes the decisions that are due.
func (j *Judge) decide(now time.Time) {
	for len(j.pending) > 0 && now.Sub(j.pending[0].at) > Lag {
		next := j.pending[0]
		j.pending = j.pending[1:]
		next.decide()
	}
}

// viewFrom returns how old a view may be that a controller acts on.
func (j *Judge) viewFrom(at time.Time) time.Time {
	if !j.faultAt.IsZero() {
		at = j.faultAt
	}
	return at.Add(-Lag)
}

func (j *Judge) observeSet(e Event, latest *leaderworkersetv1.LeaderWorkerSet) {
	key := client.ObjectKeyFromObject(latest)
	s := j.setOf(key)
	o := s.objects[latest.UID]
	if o == nil {
		o = &object{created: latest.CreationTimestamp}
		s.objects[latest.UID] = o
	}
	if len(o.specs) == 0 || e.Before == nil || e.Before.GetGeneration() != latest.Generation {
		o.specs = append(o.specs, datedSpec{e.At, latest.Spec})
		j.note(e.At, key, "spec: %s", specText(&latest.Spec))
	}
	if o.deletedAt.IsZero() && (e.After == nil || latest.DeletionTimestamp != nil) {
		o.deletedAt = e.At
		j.note(e.At, key, "LeaderWorkerSet is deleted, finalizers %v", latest.Finalizers)
	}
	if e.After == nil {
		j.note(e.At, key, "LeaderWorkerSet is gone")
	}
}

// observeStatefulSet follows to which leader a worker StatefulSet belongs, and to which set a leader StatefulSet.
func (j *Judge) observeStatefulSet(e Event, latest *appsv1.StatefulSet) {
	key := types.NamespacedName{Namespace: latest.Namespace, Name: latest.Labels[leaderworkersetv1.SetNameLabelKey]}
	switch {
	case e.After == nil:
		j.note(e.At, key, "StatefulSet %s is gone", latest.Name)
		j.gone[latest.UID] = e.At
		return
	case e.Before == nil:
		j.note(e.At, key, "StatefulSet %s is created", latest.Name)
	case e.Before.GetDeletionTimestamp() == nil && latest.DeletionTimestamp != nil:
		j.note(e.At, key, "StatefulSet %s is deleted", latest.Name)
	}
	owner := metav1.GetControllerOf(latest)
	switch {
	case owner == nil: // The last owner was deleted without its children.
	case owner.Kind == "Pod":
		j.leaders[latest.UID] = owner.UID
		for _, pod := range j.pods {
			if metav1.IsControlledBy(pod, latest) {
				j.join(e.At, pod)
			}
		}
	default:
		j.owners[latest.UID] = owner.UID
		if before, ok := e.Before.(*appsv1.StatefulSet); ok {
			for i := ptr.Deref(latest.Spec.Replicas, 1); i < ptr.Deref(before.Spec.Replicas, 1); i++ {
				j.setOf(key).scaledDown[int(i)] = e.At
			}
		}
	}
}

func (j *Judge) observeNamespace(e Event, latest *corev1.Namespace) {
	if e.After != nil && latest.DeletionTimestamp == nil {
		return
	}
	for key, s := range j.sets {
		if key.Namespace != latest.Name {
			continue
		}
		for _, o := range s.objects {
			o.wiped = true
			if o.deletedAt.IsZero() {
				o.deletedAt = e.At
				j.note(e.At, key, "namespace is deleted")
			}
		}
	}
}

// during returns the specs that a controller may have acted on in a time.
func (o *object) during(from, until time.Time) []datedSpec {
	var specs []datedSpec
	for i := range o.specs {
		ended := i+1 < len(o.specs) && o.specs[i+1].from.Before(from)
		if !ended && !o.specs[i].from.After(until) {
			specs = append(specs, o.specs[i])
		}
	}
	return specs
}

func podReady(pod *corev1.Pod) bool {
	return pod.DeletionTimestamp == nil && slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

func imageOf(spec *leaderworkersetv1.LeaderWorkerSetSpec) string {
	return spec.LeaderWorkerTemplate.WorkerTemplate.Spec.Containers[0].Image
}

// budgetOf returns maxUnavailable, maxSurge and the partition. Clients write numbers only.
func budgetOf(spec *leaderworkersetv1.LeaderWorkerSetSpec) (unavailable, surge, partition int) {
	c := spec.RolloutStrategy.RollingUpdateConfiguration
	if c == nil {
		return 1, 0, 0
	}
	return c.MaxUnavailable.IntValue(), min(c.MaxSurge.IntValue(), int(*spec.Replicas)), int(ptr.Deref(c.Partition, 0))
}

func specText(spec *leaderworkersetv1.LeaderWorkerSetSpec) string {
	unavailable, surge, partition := budgetOf(spec)
	return fmt.Sprintf("replicas %d, size %d, image %s, unavailable %d, surge %d, partition %d",
		*spec.Replicas, *spec.LeaderWorkerTemplate.Size, imageOf(spec), unavailable, surge, partition)
}
