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
	"k8s.io/utils/ptr"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/desired"
	"github.com/leaderworkerset/lws-operator/internal/controller/identity"
	"github.com/leaderworkerset/lws-operator/internal/controller/revision"
	"github.com/leaderworkerset/lws-operator/internal/controller/rollout"
	"github.com/leaderworkerset/lws-operator/internal/controller/snapshot"
	"github.com/leaderworkerset/lws-operator/internal/controller/status"
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
	if p.mend() {
		return Set{Writes: p.writes, Seen: p.seen, Status: p.lws.Status}, nil
	}
	if !p.adopt() {
		if err := p.children(); err != nil {
			return Set{}, err
		}
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

// children plans the changes of what is the set's.
func (p *setPlanner) children() error {
	if err := p.revision(); err != nil {
		return err
	}
	template := revision.Of(p.lws)
	p.decide()
	p.restarts()
	p.service(&template)
	p.leaders(&template)
	p.takeDownGroups()
	p.pruneRevisions()
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

// decide asks the rollout for its next step.
func (p *setPlanner) decide() {
	replicas := *p.lws.Spec.Replicas
	config := p.lws.Spec.RolloutStrategy.RollingUpdateConfiguration
	userPartition := max(*config.Partition, 0)
	surge, unavailable := snapshot.Budget(p.lws)
	current := rollout.Step{Partition: userPartition, Replicas: replicas}
	order := snapshot.Order{Partition: userPartition}
	if leaders := p.ownLeaders(); leaders != nil {
		p.order = snapshot.OrderOf(leaders)
		order = p.order
		current.Replicas = replicas + surgeOf(leaders, replicas)
		if leaders.Labels[leaderworkersetv1.RevisionLabelKey] != p.key { // A new revision: nothing is of it yet.
			order = snapshot.Order{Partition: max(replicas, ptr.Deref(leaders.Spec.Replicas, 1))}
		}
		current.Partition = order.Partition
	}
	in := rollout.Input{
		Replicas:       replicas,
		MaxSurge:       surge,
		MaxUnavailable: unavailable,
		UserPartition:  userPartition,
		Current:        current,
		Ahead:          order.Ahead,
		Groups:         p.rolloutGroups(order, p.key),
	}
	p.decision = rollout.Next(in)
	p.finishStep(in)
}

// rolloutToTell is the decision as the status tells of it. It goes by the groups that exist: one that is terminating is still outdated,
// though what comes in its place won't be; and nothing is held back in a set whose first groups are yet to be created.
func (p *setPlanner) rolloutToTell() rollout.Decision {
	told, order, held := p.decision, p.nextOrder(), false
	for _, group := range p.observed.Groups {
		if group.Revision() == p.key || group.Index >= *p.lws.Spec.Replicas {
			continue
		}
		held = held || group.Index < *p.lws.Spec.RolloutStrategy.RollingUpdateConfiguration.Partition
		if group.Terminating() && order.LetsGo(group.Index) {
			told.Outdated++
			told.Reason = rollout.WaitingForGroups
		}
	}
	if told.Reason == rollout.HeldByPartition && !held {
		told.Reason = rollout.Complete
	}
	return told
}

// finishStep has the last step towards an earlier revision end before the first one towards the current: the StatefulSet controller may
// be about to take down what that let go, though those groups still look ready. Afterwards, with another partition, nobody could tell.
func (p *setPlanner) finishStep(in rollout.Input) {
	leaders := p.ownLeaders()
	if leaders == nil || leaders.Labels[leaderworkersetv1.RevisionLabelKey] == p.key {
		return
	}
	in.Current.Partition, in.Ahead = p.order.Partition, p.order.Ahead
	in.Groups = p.rolloutGroups(p.order, leaders.Labels[leaderworkersetv1.RevisionLabelKey])
	for _, index := range rollout.Next(in).Replace {
		if p.order.LetsGo(index) {
			p.letGo = append(p.letGo, index)
		}
	}
}

// rolloutGroups are the groups as the arithmetic of a rollout to a revision sees them. A terminating leader counts as what will come in
// its place.
func (p *setPlanner) rolloutGroups(order snapshot.Order, key string) []rollout.Group {
	var groups []rollout.Group
	for _, group := range p.observed.Groups {
		for int(group.Index) >= len(groups) {
			groups = append(groups, rollout.Group{UpToDate: order.LetsGo(int32(len(groups)))}) //nolint:gosec // An index.
		}
		if !group.Terminating() {
			groups[group.Index] = rollout.Group{Ready: group.Ready(), UpToDate: group.Revision() == key}
		}
	}
	return groups
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

// orderAhead has the leader StatefulSet create the groups that go ahead of its partition. The order stays there until the StatefulSet
// controller has been seen to go by the partition again: until then it might create another group at the current revision.
func (p *setPlanner) orderAhead(wanted *appsv1.StatefulSet) {
	order := p.nextOrder()
	if len(order.Ahead) == 0 && !p.mayBeOnDelete() {
		return
	}
	wanted.Annotations[leaderworkersetv1.AheadAnnotationKey] = order.Annotation()
	if slices.Contains(order.Ahead, p.firstMissing()) {
		wanted.Spec.UpdateStrategy = appsv1.StatefulSetUpdateStrategy{Type: appsv1.OnDeleteStatefulSetStrategyType}
	}
}

// nextOrder is the order that was decided on.
func (p *setPlanner) nextOrder() snapshot.Order {
	return snapshot.Order{Partition: p.decision.Partition, Ahead: p.decision.Ahead}
}

// mayBeOnDelete says whether the StatefulSet controller may still go by the strategy OnDelete for the current revision.
func (p *setPlanner) mayBeOnDelete() bool {
	leaders := p.ownLeaders()
	return leaders != nil && leaders.Annotations[leaderworkersetv1.AheadAnnotationKey] != "" &&
		leaders.Labels[leaderworkersetv1.RevisionLabelKey] == p.key &&
		(leaders.Spec.UpdateStrategy.Type == appsv1.OnDeleteStatefulSetStrategyType || leaders.Status.ObservedGeneration < leaders.Generation)
}

// firstMissing is the lowest index of a group without a leader: the one that the StatefulSet controller creates next. One that it can't
// create, because it goes by the wrong strategy, keeps it from creating those above.
func (p *setPlanner) firstMissing() int32 {
	missing := int32(0)
	for _, group := range p.observed.Groups {
		if group.Index > missing {
			break
		}
		missing = group.Index + 1
	}
	return missing
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

// takeDownGroups stops leaders and workers of the groups that have failed, and of those that the rollout lets go. The leaders go first: if
// they are all that comes to pass, their groups are recreated all the same.
func (p *setPlanner) takeDownGroups() {
	p.taken = map[int32]bool{}
	var workers []Write
	for _, group := range append(p.recreated, p.replaced()...) {
		if p.taken[group.Index] || group.Terminating() {
			continue
		}
		p.taken[group.Index] = true
		p.writes = append(p.writes, Write{Delete: group.Leader})
		if group.Workers != nil && group.Workers.DeletionTimestamp == nil {
			workers = append(workers, Write{Delete: group.Workers})
		}
	}
	p.writes = append(p.writes, workers...)
}

// replaced are the groups that the rollout lets go. It waits until the StatefulSet controller knows of the partition: else it could
// create a leader at the earlier revision once more.
func (p *setPlanner) replaced() []snapshot.Group {
	leaders := p.ownLeaders()
	if leaders == nil || leaders.Status.ObservedGeneration < leaders.Generation {
		return nil
	}
	replace := p.letGo
	if leaders.Labels[leaderworkersetv1.RevisionLabelKey] == p.key && p.order.Equal(p.nextOrder()) {
		replace = p.decision.Replace
	}
	var groups []snapshot.Group
	sure := len(p.letGo) == 0
	for _, group := range p.observed.Groups {
		if slices.Contains(replace, group.Index) {
			groups = append(groups, group)
			sure = sure && group.Leader.Labels[appsv1.StatefulSetRevisionLabel] == leaders.Status.CurrentRevision
		}
	}
	if len(groups) > 0 && !sure {
		// In a view that is late, a group may look old that is already of a revision that comes after: only groups of the one before
		// the current are known to have been let go.
		p.confirm(leaders)
	}
	return groups
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

// surgeOf is how many of the leader StatefulSet's groups are there on top of those that the set had asked for when it was last written.
// Groups that the set doesn't ask for any more are no surge: nothing keeps them.
func surgeOf(leaders *appsv1.StatefulSet, replicas int32) int32 {
	if asked, ok := identity.ParseIndex(leaders.Annotations[leaderworkersetv1.ReplicasAnnotationKey]); ok {
		replicas = asked
	}
	return max(ptr.Deref(leaders.Spec.Replicas, 1)-replicas, 0)
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
