// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
	"strconv"
	"sync"
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
	// judgeAfter is how long the judge waits before it judges a deletion. The watches of sets and pods have no common
	// order.
	judgeAfter = 3 * time.Second
	// cacheLag is how late the operator's view may be without a fault.
	cacheLag = 3 * time.Second
	// filmLength is how many events of a set a failure shows.
	filmLength = 80
)

// judge decides from watches alone whether the operator keeps its promises. It imports nothing of the operator but the
// API types. What it can't know, such as the time between two lists, it doesn't judge.
type judge struct {
	mutex      sync.Mutex
	now        func() time.Time
	sets       map[types.NamespacedName]*set
	byLeader   map[types.UID]*incarnation
	byWorkers  map[types.UID]types.UID // from worker StatefulSets to leaders
	pods       map[types.UID]*corev1.Pod
	pending    []deletion
	excused    map[types.UID]string // pods that the load harms, and how
	viewFrom   time.Time            // the operator's view may be from then; zero without a fault
	violations []string
	affected   map[string]bool // groups that lost a pod, or a pod's readiness, in this round
}

// set is what is known of a LeaderWorkerSet by its name.
type set struct {
	key   types.NamespacedName
	specs []leaderworkersetv1.LeaderWorkerSetSpec // since the set was last at rest
	// loose is the reason why the set's deletions aren't judged until it is at rest, such as its own deletion.
	loose string
	film  []string
}

// incarnation is one life of a group.
type incarnation struct {
	set                   types.NamespacedName
	index, size           int
	leader                *corev1.Pod
	pods                  map[types.UID]string
	complete, known       bool
	failure               string
	failedAt, readySince  time.Time
	ended, blind, wasFull bool
}

// deletion is the deletion of a leader without a known failure.
type deletion struct {
	at          time.Time
	incarnation *incarnation
	ready       bool
	staying     int // ready groups, and those that the operator may think ready
}

func newJudge() *judge {
	return &judge{
		now: time.Now, sets: map[types.NamespacedName]*set{}, byLeader: map[types.UID]*incarnation{},
		byWorkers: map[types.UID]types.UID{}, pods: map[types.UID]*corev1.Pod{}, excused: map[types.UID]string{},
		affected: map[string]bool{},
	}
}

// setOf returns what is known of a set. The caller holds the mutex.
func (j *judge) setOf(key types.NamespacedName) *set {
	if j.sets[key] == nil {
		j.sets[key] = &set{key: key}
	}
	return j.sets[key]
}

// note adds an event to the film of a set. The caller holds the mutex.
func (j *judge) note(key types.NamespacedName, format string, args ...any) {
	s := j.setOf(key)
	s.film = append(s.film, j.now().Format("15:04:05.000 ")+fmt.Sprintf(format, args...))
	s.film = s.film[max(0, len(s.film)-filmLength):]
}

// load records what a client is about to do. loose is why deletions can't be judged after that; it may be empty.
func (j *judge) load(key types.NamespacedName, pod types.UID, what, loose string) {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	j.note(key, "client: %s", what)
	if pod != "" {
		j.excused[pod] = what
	}
	if loose != "" {
		j.setOf(key).loose = loose
	}
}

// fault records the begin or the end of a fault in all films.
func (j *judge) fault(what string, begins bool) {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	for key := range j.sets {
		j.note(key, "fault: %s", what)
	}
	if begins {
		j.viewFrom = j.now().Add(-cacheLag)
	}
}

// fail records a broken promise, with the film of the set. The caller holds the mutex.
func (j *judge) fail(key types.NamespacedName, format string, args ...any) {
	text := fmt.Sprintf("%s: %s", key, fmt.Sprintf(format, args...))
	for _, line := range j.setOf(key).film {
		text += "\n    " + line
	}
	j.violations = append(j.violations, text)
}

// observeSet follows a LeaderWorkerSet.
func (j *judge) observeSet(before, after client.Object, _ bool) {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	lws, ok := after.(*leaderworkersetv1.LeaderWorkerSet)
	if !ok {
		key := client.ObjectKeyFromObject(before)
		j.note(key, "LeaderWorkerSet is gone")
		j.setOf(key).loose = "deleted"
		return
	}
	key := client.ObjectKeyFromObject(lws)
	s := j.setOf(key)
	if before == nil || before.GetGeneration() != lws.Generation {
		s.specs = append(s.specs, lws.Spec)
		j.note(key, "spec: replicas %d, size %d, image %s, %s", *lws.Spec.Replicas, *lws.Spec.LeaderWorkerTemplate.Size,
			imageOf(&lws.Spec), budgetText(&lws.Spec))
	}
	if lws.DeletionTimestamp != nil {
		s.loose = "deleted"
	}
}

// observeStatefulSet follows which leader the worker StatefulSets belong to.
func (j *judge) observeStatefulSet(before, after client.Object, _ bool) {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	sts, ok := after.(*appsv1.StatefulSet)
	if !ok || before != nil {
		return
	}
	if owner := metav1.GetControllerOf(sts); owner != nil && owner.Kind == "Pod" {
		j.byWorkers[sts.UID] = owner.UID
		for _, pod := range j.pods {
			if metav1.IsControlledBy(pod, sts) {
				j.join(pod)
			}
		}
	}
}

// observePod follows a pod.
func (j *judge) observePod(before, after client.Object, gap bool) {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	old, _ := before.(*corev1.Pod)
	pod, _ := after.(*corev1.Pod)
	latest := pod
	if pod == nil {
		latest = old
	}
	key := types.NamespacedName{Namespace: latest.Namespace, Name: latest.Labels[leaderworkersetv1.SetNameLabelKey]}
	if key.Name == "" {
		return
	}
	if pod == nil {
		delete(j.pods, old.UID)
		j.note(key, "pod %s (%.8s) is gone", old.Name, old.UID)
	} else {
		j.pods[pod.UID] = pod
	}
	if pod != nil && before == nil {
		j.note(key, "pod %s (%.8s) is created, image %s", pod.Name, pod.UID, pod.Spec.Containers[0].Image)
		j.begin(key, pod)
		j.join(pod)
	}
	group := j.incarnationOf(latest)
	if group == nil || group.ended {
		return
	}
	j.change(key, group, j.previous(before), pod, latest, gap)
}

// previous returns a pod as it was; nil for a new one.
func (j *judge) previous(before client.Object) *corev1.Pod {
	pod, _ := before.(*corev1.Pod)
	return pod
}

// change follows a change of a pod of a living incarnation.
func (j *judge) change(key types.NamespacedName, group *incarnation, old, pod, latest *corev1.Pod, gap bool) {
	group.blind = group.blind || gap
	marked := pod == nil || pod.DeletionTimestamp != nil
	isLeader := latest.UID == group.leader.UID
	wasReady := !group.readySince.IsZero()
	switch {
	case marked && isLeader:
		j.note(key, "leader %s (%.8s) is deleted", latest.Name, latest.UID)
		j.end(group, latest)
	case marked && group.failure == "":
		j.failed(group, "pod "+latest.Name+" is deleted")
	case pod != nil && pod.Status.Phase == corev1.PodFailed:
		j.failed(group, "pod "+pod.Name+" has failed")
	case pod != nil && old != nil && restarts(pod) > restarts(old):
		j.failed(group, "a container of "+pod.Name+" has restarted")
	}
	if pod != nil && isLeader {
		group.leader = pod
	}
	ready := j.ready(group)
	switch {
	case ready && !wasReady:
		group.readySince, group.complete = j.now(), true
		j.note(key, "group %d is ready", group.index)
	case !ready && wasReady:
		group.readySince = time.Time{}
		j.affected[key.String()+"-"+strconv.Itoa(group.index)] = true
	}
}

// begin begins an incarnation with a leader.
func (j *judge) begin(key types.NamespacedName, pod *corev1.Pod) {
	if pod.Labels[leaderworkersetv1.WorkerIndexLabelKey] != "0" {
		return
	}
	size, _ := strconv.Atoi(pod.Annotations[leaderworkersetv1.SizeAnnotationKey])
	index, _ := strconv.Atoi(pod.Labels[leaderworkersetv1.GroupIndexLabelKey])
	j.byLeader[pod.UID] = &incarnation{
		set: key, index: index, size: size, leader: pod, pods: map[types.UID]string{pod.UID: pod.Name},
	}
}

// join adds a worker to the incarnation of its leader, and judges that the two belong together.
func (j *judge) join(pod *corev1.Pod) {
	group := j.incarnationOf(pod)
	if group == nil || group.pods[pod.UID] != "" {
		return
	}
	group.pods[pod.UID] = pod.Name
	if pod.Labels[leaderworkersetv1.RevisionLabelKey] != group.leader.Labels[leaderworkersetv1.RevisionLabelKey] ||
		pod.Spec.Containers[0].Image != group.leader.Spec.Containers[0].Image {
		j.fail(group.set, "worker %s is of another revision than its leader", pod.Name)
	}
	for uid, other := range j.byLeader {
		if uid == group.leader.UID || other.set != group.set || other.index != group.index || j.setOf(group.set).loose != "" {
			continue
		}
		for left, name := range other.pods {
			if j.pods[left] != nil && !group.blind {
				j.fail(group.set, "worker %s is created beside %s of an earlier incarnation", pod.Name, name)
			}
		}
	}
}

// incarnationOf returns the incarnation of a pod; nil while it isn't known.
func (j *judge) incarnationOf(pod *corev1.Pod) *incarnation {
	if group := j.byLeader[pod.UID]; group != nil {
		return group
	}
	if owner := metav1.GetControllerOf(pod); owner != nil {
		return j.byLeader[j.byWorkers[owner.UID]]
	}
	return nil
}

func (j *judge) failed(group *incarnation, why string) {
	if group.failure == "" {
		group.failure, group.failedAt = why, j.now()
		j.note(group.set, "group %d fails: %s", group.index, why)
	}
}

// end ends an incarnation, and remembers to judge why.
func (j *judge) end(group *incarnation, leader *corev1.Pod) {
	group.ended = true
	excuse := j.excused[leader.UID]
	if excuse != "" {
		j.failed(group, excuse)
	}
	disrupted := slices.ContainsFunc(leader.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.DisruptionTarget && c.Status == corev1.ConditionTrue
	})
	if group.failure != "" || group.blind || disrupted {
		return
	}
	from := j.now().Add(-cacheLag)
	if !j.viewFrom.IsZero() {
		from = j.viewFrom
	}
	d := deletion{at: j.now(), incarnation: group, ready: !group.readySince.IsZero() && group.readySince.Before(from)}
	for _, other := range j.byLeader {
		if other.set != group.set || other == group {
			continue
		}
		if (!other.ended && !other.readySince.IsZero()) || other.failedAt.After(from) {
			d.staying++
		}
	}
	j.pending = append(j.pending, d)
}

// decide judges the deletions that are old enough.
func (j *judge) decide() {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	for len(j.pending) > 0 && j.now().Sub(j.pending[0].at) > judgeAfter {
		j.decideOne(j.pending[0])
		j.pending = j.pending[1:]
	}
}

// decideOne judges one deletion: the group is no longer wanted, or it is outdated and the budget holds.
func (j *judge) decideOne(d deletion) {
	s := j.setOf(d.incarnation.set)
	if s.loose != "" || len(s.specs) == 0 {
		return
	}
	outdated, fewestReady := false, 1<<30
	for i := range s.specs {
		spec := &s.specs[i]
		if d.incarnation.index >= int(*spec.Replicas) {
			return
		}
		outdated = outdated || imageOf(spec) != d.incarnation.leader.Spec.Containers[0].Image ||
			int(*spec.LeaderWorkerTemplate.Size) != d.incarnation.size
		fewestReady = min(fewestReady, int(*spec.Replicas)-unavailable(spec))
	}
	switch {
	case !outdated:
		j.fail(s.key, "group %d is deleted at %s without a reason", d.incarnation.index, d.at.Format("15:04:05.000"))
	case d.ready && d.staying < fewestReady:
		j.fail(s.key, "ready group %d is deleted at %s, which leaves %d of at least %d", d.incarnation.index,
			d.at.Format("15:04:05.000"), d.staying, fewestReady)
	}
}

// rest judges what must hold now that all sets are healthy, and forgets earlier specs.
func (j *judge) rest() {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	for _, group := range j.byLeader {
		if group.ended {
			continue
		}
		if group.known && group.failure != "" && !group.blind && j.setOf(group.set).loose == "" {
			j.fail(group.set, "group %d has failed and wasn't restarted: %s", group.index, group.failure)
		}
		group.known, group.failure = group.complete, ""
	}
	for uid, group := range j.byLeader {
		if group.ended && j.pods[uid] == nil {
			delete(j.byLeader, uid)
		}
	}
	for _, s := range j.sets {
		s.loose, s.specs = "", s.specs[max(0, len(s.specs)-1):]
	}
	j.viewFrom, j.affected = time.Time{}, map[string]bool{}
}

// ready reports whether all pods of an incarnation are ready.
func (j *judge) ready(group *incarnation) bool {
	count := 0
	for uid := range group.pods {
		if pod := j.pods[uid]; pod != nil && podReady(pod) {
			count++
		}
	}
	return !group.ended && count == group.size
}

func podReady(pod *corev1.Pod) bool {
	return pod.DeletionTimestamp == nil && slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

func restarts(pod *corev1.Pod) int32 {
	count := int32(0)
	for _, status := range pod.Status.ContainerStatuses {
		count += status.RestartCount
	}
	return count
}

func imageOf(spec *leaderworkersetv1.LeaderWorkerSetSpec) string {
	return spec.LeaderWorkerTemplate.WorkerTemplate.Spec.Containers[0].Image
}

// unavailable returns maxUnavailable. The load writes numbers only.
func unavailable(spec *leaderworkersetv1.LeaderWorkerSetSpec) int {
	return spec.RolloutStrategy.RollingUpdateConfiguration.MaxUnavailable.IntValue()
}

func budgetText(spec *leaderworkersetv1.LeaderWorkerSetSpec) string {
	c := spec.RolloutStrategy.RollingUpdateConfiguration
	return fmt.Sprintf("unavailable %s, surge %s, partition %d", c.MaxUnavailable.String(), c.MaxSurge.String(),
		ptr.Deref(c.Partition, 0))
}
