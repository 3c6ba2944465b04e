// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"maps"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/desired"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/revision"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/rollout"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/snapshot"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/status"
)

// Set is what one pass over a LeaderWorkerSet does, in this order.
type Set struct {
	// Writes are the changes of child objects. The first one that fails ends them.
	Writes []Write

	// Steps are events that are told once the writes are made, also if one of them failed.
	Steps []status.Event

	// Seen are the leaders for the next pass to compare with.
	Seen map[int32]snapshot.SeenLeader

	// Status is the status after this pass.
	Status leaderworkersetv1.LeaderWorkerSetStatus

	// Events are told once the status is written.
	Events []status.Event

	// Records says that the writes write down lives of groups.
	Records bool

	// After is when the set has to be looked at again, at the latest; 0 for when something happens to it.
	After time.Duration
}

// ForSet plans a pass over a LeaderWorkerSet. An unchanged world gives no writes, an equal status and no events. now is the time of
// conditions that change. It fails only if the set's own templates can't be written as a revision.
func ForSet(observed *snapshot.Set, now metav1.Time) (Set, error) {
	p := setPlanner{observed: observed, lws: observed.LWS, now: now.Time, seen: observed.Seen, failures: slices.Clone(observed.Failures)}
	if p.mend() || p.adopt() { // Of the groups, there is something to tell once that is done.
		next, events := status.Unchanged(status.Input{Set: observed, Failures: p.failures, Now: now})
		return Set{Writes: p.writes, Seen: p.seen, Status: next, Events: events}, nil
	}
	if err := p.children(); err != nil {
		return Set{}, err
	}
	next, events := status.Next(status.Input{
		Set:        observed,
		Revision:   p.key,
		Rollout:    p.rolloutToTell(),
		Failures:   p.failures,
		Crashes:    p.crashes,
		Unrecorded: p.unrecorded,
		Now:        now,
	})
	next = p.paced(next)
	return Set{
		Writes:  p.writes,
		Steps:   p.steps,
		Seen:    p.seen,
		Status:  next,
		Events:  events,
		Records: p.remember != nil,
		After:   p.after,
	}, nil
}

// interval is how often something is written while groups come and go: its size, and what there is to tell, grow with the set.
type interval struct{ least, perGroup, most time.Duration }

func (i interval) of(lws *leaderworkersetv1.LeaderWorkerSet) time.Duration {
	return min(max(i.least, i.perGroup*time.Duration(*lws.Spec.Replicas)), i.most)
}

// statusInterval is how often a status is written that only counts on: each second up to 250 groups, every 2 s for 500. A rolling update of
// 500 groups that takes 100 s is 50 writes.
var statusInterval = interval{least: time.Second, perGroup: 4 * time.Millisecond, most: 5 * time.Second}

// setPlanner gathers a plan, step by step.
type setPlanner struct {
	observed *snapshot.Set
	lws      *leaderworkersetv1.LeaderWorkerSet
	now      time.Time

	key      string         // of the current revision
	order    snapshot.Order // of the leader StatefulSet as it is
	decision rollout.Decision

	recreated  []snapshot.Group // groups that have failed
	remember   *string          // what to write down of groups, if that changed
	unrecorded bool             // a group is ready that nothing is written down of
	crashes    map[int32]status.Crashes
	after      time.Duration

	// letGo are the groups that a step towards an earlier revision let go and that haven't gone yet.
	letGo []int32

	taken map[int32]bool // groups that this pass takes down
	seen  map[int32]snapshot.SeenLeader

	writes   []Write
	steps    []status.Event
	failures []snapshot.Failure
}

// paced is the status to write now: the one of before, if there is more to come, no hurry with the next, and another one was written a
// moment ago.
func (p *setPlanner) paced(next leaderworkersetv1.LeaderWorkerSetStatus) leaderworkersetv1.LeaderWorkerSetStatus {
	before, replicas := p.lws.Status, *p.lws.Spec.Replicas
	wait := statusInterval.of(p.lws) - p.now.Sub(p.observed.Told)
	counted := next.Replicas == replicas && next.ReadyReplicas == replicas && next.UpdatedReplicas == replicas
	if wait <= 0 || counted || status.IsUrgent(&before, &next) || equality.Semantic.DeepEqual(before, next) {
		return next
	}
	p.lookAgainAfter(wait)
	return before
}

// children plans the changes of what is the set's.
func (p *setPlanner) children() error {
	if err := p.revision(); err != nil {
		return err
	}
	template := revision.Of(p.lws)
	p.decide()
	p.restarts()
	replaced := p.replaced() // What is to confirm about the leader StatefulSet comes before it is changed.
	newRevision := p.ownLeaders() == nil || p.ownLeaders().Labels[leaderworkersetv1.RevisionLabelKey] != p.key
	if newRevision { // Its pods may need it.
		p.service(&template)
	}
	p.leaders(&template)
	p.takeDown(p.recreated, replaced)
	p.pruneRevisions()
	if !newRevision { // One that is refused stops nothing else.
		p.service(&template)
	}
	p.tellOfRestarts()
	p.lookAtLeaders()
	return nil
}

// revision finds the current revision, or creates it. One from before that the set returns to becomes the newest again.
func (p *setPlanner) revision() error {
	owned := snapshot.OwnedRevisions(p.lws, p.observed.Revisions)
	if current := p.currentRevision(owned); current != nil {
		p.key = revision.Key(current)
		if latest := revision.Latest(owned); current.Revision < latest {
			newest := current.DeepCopy()
			newest.Revision = latest + 1
			p.patch(current, newest)
		}
		return nil
	}
	created, err := revision.New(p.lws, p.observed.Revisions)
	if err != nil {
		return err
	}
	p.key = revision.Key(created)
	p.create(created)
	p.steps = append(p.steps, status.Event{
		Type:   corev1.EventTypeNormal,
		Reason: leaderworkersetv1.ReasonCreatingRevision,
		Action: "Create",
		Note:   fmt.Sprintf("Created revision %d, key %s", created.Revision, p.key),
	})
	return nil
}

// service has the shared headless Service created, and deleted when the last group that used it is gone.
func (p *setPlanner) service(template *revision.Template) {
	shared := template.Subdomain() == leaderworkersetv1.SubdomainShared
	switch service := p.observed.Service; {
	case !shared:
		if service != nil && metav1.IsControlledBy(service, p.lws) && p.decision.Reason == rollout.Complete {
			p.writes = append(p.writes, Write{Delete: service})
		}
	case service == nil:
		p.create(desired.SharedService(p.lws))
	case !metav1.IsControlledBy(service, p.lws):
		p.inTheWay("Service", service)
	}
}

// leaders has the leader StatefulSet created, or changed where it differs.
func (p *setPlanner) leaders(template *revision.Template) {
	wanted := desired.LeaderStatefulSet(p.lws, template, p.key, p.decision.Step)
	p.orderAhead(wanted)
	if p.remember != nil {
		wanted.Annotations[leaderworkersetv1.GroupRecordAnnotationKey] = *p.remember
	}
	switch existing := p.observed.Leaders; {
	case existing == nil:
		p.create(wanted)
	case !metav1.IsControlledBy(existing, p.lws):
		p.inTheWay("StatefulSet", existing)
	case len(p.letGo) == 0:
		changed := adjusted(existing, wanted, existing.Labels[leaderworkersetv1.RevisionLabelKey] != p.key)
		if wanted.Annotations[leaderworkersetv1.AheadAnnotationKey] == "" {
			delete(changed.Annotations, leaderworkersetv1.AheadAnnotationKey)
		}
		p.patch(existing, changed)
	}
}

// adjusted is an existing StatefulSet with what a change of the LeaderWorkerSet may change of it. Its pod template is replaced only
// with a new revision: another operator, or another version of this one, may have written the same one in other words, and any
// difference would restart the pods. Labels and annotations that others put there stay.
func adjusted(existing, wanted *appsv1.StatefulSet, newRevision bool) *appsv1.StatefulSet {
	result := existing.DeepCopy()
	result.Labels = mergedInto(result.Labels, wanted.Labels)
	result.Annotations = mergedInto(result.Annotations, wanted.Annotations)
	result.Spec.Replicas = wanted.Spec.Replicas
	result.Spec.PersistentVolumeClaimRetentionPolicy = wanted.Spec.PersistentVolumeClaimRetentionPolicy
	if wanted.Spec.UpdateStrategy.Type != "" {
		result.Spec.UpdateStrategy = withPartition(existing.Spec.UpdateStrategy, wanted.Spec.UpdateStrategy)
	}
	if newRevision {
		result.Spec.Template = wanted.Spec.Template
	}
	return result
}

// withPartition is the wished strategy, with what the API server adds to it kept.
func withPartition(existing, wanted appsv1.StatefulSetUpdateStrategy) appsv1.StatefulSetUpdateStrategy {
	if existing.Type == wanted.Type && existing.RollingUpdate != nil {
		existing = *existing.DeepCopy()
		existing.RollingUpdate.Partition = wanted.RollingUpdate.Partition
		return existing
	}
	return wanted
}

// takeDown stops the leaders of the groups that have failed, and of those that the rollout replaces. A group whose leader terminates is
// stopped as a whole by the pass over it: in parallel to those of the other groups, and also if the operator crashes in between.
func (p *setPlanner) takeDown(recreated, replaced []snapshot.Group) {
	p.taken = map[int32]bool{}
	for _, group := range slices.Concat(recreated, replaced) {
		if p.taken[group.Index] || group.Terminating() {
			continue
		}
		p.taken[group.Index] = true
		p.writes = append(p.writes, Write{Delete: group.Leader})
	}
}

// pruneRevisions deletes the oldest of the revisions that nothing uses. One that no group is of may still be used: groups below the
// partition that die come back at what the StatefulSet controller calls its current revision, even if all of them die at once. While it
// isn't known which one that is, none is deleted.
func (p *setPlanner) pruneRevisions() {
	used := map[string]bool{p.key: true, p.observed.CurrentKey: true}
	for _, group := range p.observed.Groups {
		used[group.Revision()] = true
	}
	if leaders := p.observed.Leaders; leaders != nil {
		if leaders.Status.CurrentRevision != "" && p.observed.CurrentKey == "" {
			return
		}
		used[leaders.Labels[leaderworkersetv1.RevisionLabelKey]] = true
	}
	inUse := func(key string) bool { return used[key] }
	owned, limit := snapshot.OwnedRevisions(p.lws, p.observed.Revisions), max(int(*p.lws.Spec.RevisionHistoryLimit), 0)
	for _, surplus := range revision.Surplus(owned, inUse, limit) {
		p.writes = append(p.writes, Write{Delete: surplus})
	}
}

// ownLeaders is the leader StatefulSet if it is the set's own.
func (p *setPlanner) ownLeaders() *appsv1.StatefulSet {
	if leaders := p.observed.Leaders; leaders != nil && metav1.IsControlledBy(leaders, p.lws) {
		return leaders
	}
	return nil
}

func (p *setPlanner) create(object Object) { p.writes = append(p.writes, Write{Create: object}) }

// patch changes an object, if there is anything to change.
func (p *setPlanner) patch(from, to Object) {
	if !equality.Semantic.DeepEqual(from, to) {
		p.writes = append(p.writes, Write{Patch: &Patch{From: from, To: to}})
	}
}

// confirm has the writes end here if the leader StatefulSet is no longer as it was observed.
func (p *setPlanner) confirm(leaders *appsv1.StatefulSet) {
	p.writes = append(p.writes, Write{Patch: &Patch{From: leaders, To: leaders.DeepCopy()}})
}

// inTheWay reports an object that has the name of one of the set's children and isn't one, unless it is about to go, or to be left
// behind: a child of an earlier set of the same name.
func (p *setPlanner) inTheWay(kind string, object metav1.Object) {
	if p.ofEarlierSet(object) || object.GetDeletionTimestamp() != nil {
		return
	}
	p.failures = append(p.failures, snapshot.Failure{
		Group:   snapshot.WholeSet,
		Reason:  leaderworkersetv1.ReasonFailedCreate,
		Message: p.whyInTheWay(kind, object),
	})
}

func mergedInto(base, over map[string]string) map[string]string {
	if len(over) == 0 {
		return base
	}
	result := maps.Clone(base)
	if result == nil {
		result = map[string]string{}
	}
	maps.Copy(result, over)
	return result
}
