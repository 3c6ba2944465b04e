// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package view

import (
	"cmp"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/identity"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/release"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/restart"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/revision"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/snapshot"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/status"
)

// Set is a LeaderWorkerSet with the state of its groups.
type Set struct {
	*Objects

	// LWS is the set with its defaults filled in.
	LWS *leaderworkersetv1.LeaderWorkerSet

	// Leaders is the leader StatefulSet; nil if there is none.
	Leaders *appsv1.StatefulSet

	// Groups are those that the spec asks for, and surge groups that exist, by index.
	Groups []Group

	// Revisions are those of the set, oldest first. Current is the one of the spec; nil if it isn't known.
	Revisions []*appsv1.ControllerRevision
	Current   *appsv1.ControllerRevision

	// Partition is the index below which groups keep their revision. MaxSurge and MaxUnavailable are numbers of groups.
	Partition, MaxSurge, MaxUnavailable int32

	// Now is the present time.
	Now time.Time
}

// Group is the state of one group.
type Group struct {
	Index int32

	// Leader is the leader pod; nil if it doesn't exist.
	Leader *corev1.Pod

	// Pods are the pods of the present incarnation, by worker index; nil for a pod that doesn't exist.
	Pods []*corev1.Pod

	// Workers is the StatefulSet of the workers; nil if there is none.
	Workers *appsv1.StatefulSet

	// Revision is the key of the group's revision; empty if the group doesn't exist.
	Revision string

	// IsReady says that all pods are ready and belong together.
	IsReady bool

	// Reason and Message say why the group isn't ready. A ready group may have them as well: it has no restarts left.
	Reason  leaderworkersetv1.UnreadyReason
	Message string

	// Since is the time since when the state holds; zero if it isn't known.
	Since time.Time

	// Restarts is how often in a row the group was restarted because it crashed.
	Restarts int32

	// IsSurge says that the group exists for a rolling update only.
	IsSurge bool

	// Faults are what keeps pods from being ready.
	Faults []snapshot.Fault

	// Previous are pods of an earlier incarnation.
	Previous []*corev1.Pod
}

// New returns the state of a set at a time.
func New(objects *Objects, now time.Time) *Set {
	lws := objects.LWS.DeepCopy()
	lws.Default()
	set := &Set{Objects: objects, LWS: lws, Leaders: objects.leaders(), Now: now}
	set.Partition = *lws.Spec.RolloutStrategy.RollingUpdateConfiguration.Partition
	set.MaxSurge, set.MaxUnavailable = snapshot.Budget(lws)
	set.Revisions, _ = objects.revisions()
	if set.Current = revision.Equivalent(lws, set.Revisions); set.Current == nil {
		set.Current = revision.Find(set.Revisions, lws.Status.UpdateRevision)
	}
	members, snap := set.members()
	set.addGroups(snap, members)
	return set
}

// Key returns the key of the current revision; empty if it isn't known.
func (s *Set) Key() string {
	if s.Current == nil {
		return s.LWS.Status.UpdateRevision
	}
	return revision.Key(s.Current)
}

// members returns what the operator's passes would look at: the groups, and the members of each by index.
func (s *Set) members() (map[int32]*snapshot.GroupMembers, *snapshot.Set) {
	ownSets := make([]*appsv1.StatefulSet, 0, len(s.StatefulSets))
	for _, sts := range s.StatefulSets {
		if sts != s.Leaders {
			ownSets = append(ownSets, sts)
		}
	}
	pods, workerPods := s.podsByLeader()
	groups := snapshot.OwnedGroups(s.LWS, s.Leaders, pods, ownSets)
	snap := &snapshot.Set{LWS: s.LWS, Leaders: s.Leaders, Revisions: s.Revisions, Groups: groups}
	members, observations := map[int32]*snapshot.GroupMembers{}, map[int32]snapshot.Observation{}
	for _, group := range groups {
		of := &snapshot.GroupMembers{
			LWS: s.LWS, Leaders: s.Leaders, Index: group.Index, Leader: group.Leader, Workers: group.Workers,
			WorkerPods: workerPods[group.Leader.Name], Revisions: s.Revisions,
		}
		members[group.Index] = of
		observations[group.Index] = of.Observation(s.refusedWorkers(of))
	}
	snap.AddObservations(observations)
	snapshot.MarkUninjected(snap.Groups, slices.DeleteFunc(slices.Clone(s.Pods), func(pod *corev1.Pod) bool {
		return !snapshot.Uninjected(pod)
	}))
	return members, snap
}

// podsByLeader returns the pods that may be leaders, and the others by the name of their leader.
func (s *Set) podsByLeader() (leaders []*corev1.Pod, workers map[string][]*corev1.Pod) {
	workers = map[string][]*corev1.Pod{}
	for _, full := range s.Pods {
		pod := observed(full)
		parent, _, ok := identity.Parse(pod.Name)
		switch {
		case ok && parent == s.LWS.Name:
			leaders = append(leaders, pod)
		case ok:
			workers[parent] = append(workers[parent], pod)
		}
	}
	return leaders, workers
}

// refusedWorkers returns what the API server said of missing workers; empty if none are missing or refused.
func (s *Set) refusedWorkers(members *snapshot.GroupMembers) string {
	if workers := members.OwnWorkers(); workers != nil && len(members.MissingWorkers()) > 0 {
		return s.refusal(workers)
	}
	return ""
}

// refusal returns the API server's last words about a pod that a StatefulSet couldn't create; empty if there are none
// that are recent. The StatefulSet controller reports a lasting refusal once in 5 minutes at least.
func (s *Set) refusal(sts *appsv1.StatefulSet) string {
	for _, event := range s.about(sts) {
		recent := s.Now.Sub(EventTime(event)) < refusalLasts
		if event.Reason == leaderworkersetv1.ReasonFailedCreate && recent && !release.IsRejection(event.Message) {
			shown := *event
			shown.LastTimestamp = metav1.NewTime(EventTime(event))
			return snapshot.LatestRefusal([]*corev1.Event{&shown}).Message
		}
	}
	return ""
}

// refusalLasts is how long the report of a refusal counts while the pod is missing.
const refusalLasts = 20 * time.Minute

// EventTime returns when an event last occurred.
func EventTime(event *corev1.Event) time.Time {
	switch {
	case event.Series != nil:
		return event.Series.LastObservedTime.Time
	case !event.LastTimestamp.IsZero():
		return event.LastTimestamp.Time
	case !event.EventTime.IsZero():
		return event.EventTime.Time
	default:
		return event.CreationTimestamp.Time
	}
}

// addGroups adds the groups that the spec asks for and those that exist.
func (s *Set) addGroups(snap *snapshot.Set, members map[int32]*snapshot.GroupMembers) {
	unready := map[int32]leaderworkersetv1.UnreadyGroup{}
	for _, entry := range s.unready(snap) {
		unready[entry.Index] = entry
	}
	record := s.record()
	full := map[string]*corev1.Pod{}
	for _, pod := range s.Pods {
		full[pod.Name] = pod
	}
	existing := map[int32]snapshot.Group{}
	last := *s.LWS.Spec.Replicas
	for _, group := range snap.Groups {
		existing[group.Index] = group
		last = max(last, group.Index+1)
	}
	for index := range last {
		found, exists := existing[index]
		if !exists && index >= *s.LWS.Spec.Replicas {
			continue
		}
		group := Group{Index: index, IsSurge: index >= *s.LWS.Spec.Replicas, Restarts: record[index].Restarts}
		if exists {
			group.fill(found, members[index], full)
		} else {
			group.Pods = make([]*corev1.Pod, *s.LWS.Spec.LeaderWorkerTemplate.Size)
		}
		group.explain(unready[index])
		s.Groups = append(s.Groups, group)
	}
}

// fill fills in what is known of a group that exists. full are the pods by name, as the API server shows them.
func (g *Group) fill(found snapshot.Group, members *snapshot.GroupMembers, full map[string]*corev1.Pod) {
	g.Leader, g.Workers, g.Revision, g.IsReady = full[found.Leader.Name], found.Workers, found.Revision(), found.Ready()
	g.Pods = make([]*corev1.Pod, max(found.Size(), 1))
	for worker, pod := range members.Members() {
		g.Pods[worker] = full[pod.Name]
	}
	g.Faults, g.Previous = members.Faults(), members.PreviousWorkers()
	g.Since = g.lastChange()
}

// explain adds why the group isn't ready. The operator counts the restarts.
func (g *Group) explain(entry leaderworkersetv1.UnreadyGroup) {
	if entry.Reason == "" {
		if !g.IsReady && g.Leader != nil { // A surge group: the status doesn't list it.
			g.Reason, g.Message = leaderworkersetv1.UnreadyWorkers, ""
			if len(g.Faults) > 0 {
				g.Reason, g.Message = g.Faults[0].Reason, g.Faults[0].Text
			}
		}
		return
	}
	g.Reason, g.Message = entry.Reason, entry.Message
	g.Restarts = max(g.Restarts, entry.Restarts)
	if !entry.Since.IsZero() {
		g.Since = entry.Since.Time
	}
}

// lastChange returns when a pod of the group last became ready or unready, or else was created.
func (g *Group) lastChange() time.Time {
	latest := g.Leader.CreationTimestamp.Time
	for _, pod := range g.Pods {
		if pod == nil {
			continue
		}
		if ready := snapshot.ConditionOf(pod, corev1.PodReady); ready != nil && ready.LastTransitionTime.After(latest) {
			latest = ready.LastTransitionTime.Time
		}
	}
	return latest
}

// record returns what the operator remembers of the groups; empty with another controller.
func (s *Set) record() restart.Record {
	if s.Leaders == nil {
		return nil
	}
	annotation := s.Leaders.Annotations[leaderworkersetv1.GroupRecordAnnotationKey]
	return restart.ReadRecord(annotation, restart.StoredRecord{}).Entries
}

// unready returns the groups that aren't ready, in the words of the status. The operator computes them by the same
// function. It also knows of crashes and refusals: those come from the stored status, the record and events.
func (s *Set) unready(snap *snapshot.Set) []leaderworkersetv1.UnreadyGroup {
	if !s.Reads("pods") || !s.Reads("statefulsets.apps") {
		return s.LWS.Status.UnreadyGroups
	}
	in := status.Input{Set: snap, Revision: s.Key(), Crashes: s.crashes(snap), Obstacles: s.obstacles(snap)}
	if s.Leaders != nil {
		groups := int32(len(snap.Groups)) //nolint:gosec // At most a million.
		in.Release = release.Decision{Release: release.Of(s.Leaders), Replicas: groups}
	}
	return status.Unready(in)
}

// crashes returns the groups that crashed, by index, from the status and from the record.
func (s *Set) crashes(snap *snapshot.Set) map[int32]restart.Crash {
	crashes, record := map[int32]restart.Crash{}, s.record()
	for _, group := range snap.Groups {
		entry := record[group.Index]
		crash := restart.Crash{Restarts: entry.Restarts}
		switch {
		case entry.ExhaustedLeader != "" && entry.ExhaustedLeader == group.Leader.UID:
			crash.Exhausted = entry.Reason
		case snapshot.WaitsForRestart(group.Leader):
			crash.Waiting = cmp.Or(entry.Reason, "the group waits for its restart")
		}
		crashes[group.Index] = crash
	}
	for _, entry := range s.LWS.Status.UnreadyGroups {
		crash, exists := crashes[entry.Index]
		if !exists || crash.Exhausted != "" {
			continue
		}
		crash.Restarts = max(crash.Restarts, entry.Restarts)
		switch entry.Reason { //nolint:exhaustive // The others aren't about crashes.
		case leaderworkersetv1.UnreadyDegraded:
			crash.Exhausted = entry.Message
		case leaderworkersetv1.UnreadyCrashed:
			crash.Waiting = entry.Message
		}
		crashes[entry.Index] = crash
	}
	return crashes
}

// obstacles returns what the API server refuses, from the status and from events.
func (s *Set) obstacles(snap *snapshot.Set) []status.Obstacle {
	var obstacles []status.Obstacle
	known := map[int32]bool{}
	add := func(group int32, message string) {
		if message != "" && !known[group] {
			known[group] = true
			obstacles = append(obstacles, status.Obstacle{
				Group: group, Reason: leaderworkersetv1.ReasonFailedCreate, Message: message, Refusal: true,
			})
		}
	}
	exists := map[int32]bool{}
	for _, group := range snap.Groups {
		exists[group.Index] = true
	}
	for _, entry := range s.LWS.Status.UnreadyGroups {
		isLeader := entry.Reason == leaderworkersetv1.UnreadyMissing && !exists[entry.Index]
		if isLeader || (entry.Reason == leaderworkersetv1.UnreadyBlocked && exists[entry.Index]) {
			add(entry.Index, entry.Message)
		}
	}
	for _, group := range snap.Groups {
		add(group.Index, group.RefusedWorkers())
	}
	if missing := snap.MissingLeaders(); len(missing) > 0 {
		add(missing[0], s.refusal(s.Leaders))
	}
	return obstacles
}

// Condition returns a condition of the set; nil if there is none.
func (s *Set) Condition(kind string) *metav1.Condition {
	return meta.FindStatusCondition(s.LWS.Status.Conditions, kind)
}

// Holds reports whether a condition of the set is True.
func (s *Set) Holds(kind string) bool {
	return meta.IsStatusConditionTrue(s.LWS.Status.Conditions, kind)
}
