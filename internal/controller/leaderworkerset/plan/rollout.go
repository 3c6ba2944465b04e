// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/utils/ptr"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/identity"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/rollout"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/snapshot"
)

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
	p.waitForOrder()
	p.finishStep(in)
}

// waitForOrder leaves the order as it is until the StatefulSet controller has seen it, if all that the next one does is to let more groups
// go. Groups that become ready one after the other would give one order after the other, and keep the controller from ever seeing the last:
// it tells of the one that it began its work with.
func (p *setPlanner) waitForOrder() {
	leaders := p.ownLeaders()
	if leaders == nil || leaders.Labels[leaderworkersetv1.RevisionLabelKey] != p.key || leaders.Status.ObservedGeneration >= leaders.Generation {
		return
	}
	if p.nextOrder().Includes(p.order) {
		p.decision.Partition, p.decision.Ahead = p.order.Partition, p.order.Ahead
	}
}

// rolloutGroups are the groups as the arithmetic of a rollout to a revision sees them. A terminating leader counts as what will come in
// its place. A group of that revision that has failed doesn't count as ready, whatever its pods say: else a revision that crashes after a
// while would take the groups of the earlier one down, one after the other.
func (p *setPlanner) rolloutGroups(order snapshot.Order, key string) []rollout.Group {
	var groups []rollout.Group
	for _, group := range p.observed.Groups {
		for int(group.Index) >= len(groups) {
			groups = append(groups, rollout.Group{UpToDate: order.LetsGo(int32(len(groups)))}) //nolint:gosec // An index.
		}
		if !group.Terminating() {
			upToDate := group.Revision() == key
			groups[group.Index] = rollout.Group{Ready: group.Ready() && (!upToDate || !p.observed.HasFailed(group)), UpToDate: upToDate}
		}
	}
	return groups
}

// surgeOf is how many of the leader StatefulSet's groups are there on top of those that the set had asked for when it was last written.
// Groups that the set doesn't ask for any more are no surge: nothing keeps them.
func surgeOf(leaders *appsv1.StatefulSet, replicas int32) int32 {
	if asked, ok := identity.ParseIndex(leaders.Annotations[leaderworkersetv1.ReplicasAnnotationKey]); ok {
		replicas = asked
	}
	return max(ptr.Deref(leaders.Spec.Replicas, 1)-replicas, 0)
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

// nextOrder is the order that was decided on.
func (p *setPlanner) nextOrder() snapshot.Order {
	return snapshot.Order{Partition: p.decision.Partition, Ahead: p.decision.Ahead}
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

// replaced are the groups that the rollout lets go. They wait until the StatefulSet controller knows of the order that does: else it could
// create a leader at the earlier revision once more. An order that comes after it doesn't keep them any longer, as none takes a group back.
func (p *setPlanner) replaced() []snapshot.Group {
	leaders := p.ownLeaders()
	if leaders == nil || leaders.Status.ObservedGeneration < leaders.Generation {
		return nil
	}
	replace := p.letGo
	if leaders.Labels[leaderworkersetv1.RevisionLabelKey] == p.key {
		replace = slices.DeleteFunc(slices.Clone(p.decision.Replace), func(index int32) bool { return !p.order.LetsGo(index) })
	}
	var groups []snapshot.Group
	sure := len(p.letGo) == 0
	for _, group := range p.observed.Groups {
		if slices.Contains(replace, group.Index) && !group.Terminating() {
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

// rolloutToTell is the decision as the status tells of it. It goes by the groups that exist: one that is terminating is still outdated,
// though what comes in its place won't be, and so is one that is missing in the middle of a rollout; and nothing is held back in a set
// whose first groups are yet to be created.
func (p *setPlanner) rolloutToTell() rollout.Decision {
	told, order, held := p.decision, p.nextOrder(), false
	missing := *p.lws.Spec.Replicas
	for _, group := range p.observed.Groups {
		if group.Index >= *p.lws.Spec.Replicas {
			continue
		}
		missing--
		if group.Revision() == p.key {
			continue
		}
		held = held || group.Index < *p.lws.Spec.RolloutStrategy.RollingUpdateConfiguration.Partition
		if group.Terminating() && order.LetsGo(group.Index) {
			told.Outdated++
		}
	}
	if meta.IsStatusConditionTrue(p.lws.Status.Conditions, leaderworkersetv1.ConditionUpdateInProgress) {
		told.Outdated = max(told.Outdated, missing)
	}
	switch {
	case told.Outdated > 0:
		told.Reason = rollout.WaitingForGroups
	case told.Reason == rollout.HeldByPartition && !held:
		told.Reason = rollout.Complete
	}
	return told
}
