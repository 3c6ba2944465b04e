// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package group decides what one group needs next. The decision is an ordered list of named checks. The first one that
// finds something to do, or to wait for, returns the verdict with its writes.
package group

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/desired"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/revision"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/snapshot"
	"github.com/leaderworkerset/lws-operator/internal/controller/write"
)

// Action is what happens to a group now.
type Action string

const (
	// Nothing means that the group has what it needs.
	Nothing Action = "Nothing"

	// Wait means that something has to happen first. It is watched, and starts the next pass.
	Wait Action = "Wait"

	// Blocked means that something outside the operator's reach is wrong. The status reports it.
	Blocked Action = "Blocked"

	// BlockedUnwatched is Blocked by something that nothing watches: the group is requeued after a while.
	BlockedUnwatched Action = "BlockedUnwatched"

	// StopWorkers deletes the workers: at the same time as their leader, or because they outlived it.
	StopWorkers Action = "StopWorkers"

	// StopOrphans deletes worker pods that nobody controls and that have the names of the next workers.
	StopOrphans Action = "StopOrphans"

	// RelabelWorkers restores the labels of a worker StatefulSet that the cache doesn't show, though its pods exist.
	RelabelWorkers Action = "RelabelWorkers"

	// UngateLeader lets the scheduler place the leader: the pods of the group's previous incarnation are deleted.
	UngateLeader Action = "UngateLeader"

	// CreateService creates the group's own headless Service.
	CreateService Action = "CreateService"

	// CreateWorkers creates the worker StatefulSet.
	CreateWorkers Action = "CreateWorkers"

	// UpdateWorkers updates the worker StatefulSet where it differs from the desired one.
	UpdateWorkers Action = "UpdateWorkers"
)

// Verdict is a decision, its reason in words for logs and messages, and its writes.
type Verdict struct {
	Action Action
	Reason string
	Writes []write.Write

	// Obstacle is something wrong that the action doesn't wait for. The status reports it. Empty if nothing is.
	Obstacle string
}

// Next decides what the group needs now. The volume claims of its workers are kept in order whatever the group waits
// for.
func Next(m *snapshot.GroupMembers) Verdict {
	verdict := next(m)
	verdict.Writes = append(verdict.Writes, claimWrites(m)...)
	return verdict
}

func next(m *snapshot.GroupMembers) Verdict {
	for _, check := range []func(*snapshot.GroupMembers) *Verdict{
		leaderIsMissing,
		leaderIsTerminating,
		setIsDeleted,
		setIsUnsupported,
		previousWorkersOutlive,
		workersAreUnseen,
		leaderIsUninjected,
		leaderHasWaited,
	} {
		if verdict := check(m); verdict != nil {
			return explained(*verdict)
		}
	}
	template, unreadable := templateOf(m)
	if unreadable != nil {
		return *unreadable
	}
	if previous := previousServiceRemains(m, template); previous != nil {
		return *previous
	}
	return withService(m, template, nextOfPods(m, template))
}

// nextOfPods decides what the pods of a group need whose template is known.
func nextOfPods(m *snapshot.GroupMembers, template *revision.Template) Verdict {
	for _, check := range []func(*snapshot.GroupMembers, *revision.Template) *Verdict{
		orphansRemain,
		groupHasNoWorkers,
		workersExist,
		previousWorkersRemain,
		leaderIsGated,
		leaderHasToBeReady,
	} {
		if verdict := check(m, template); verdict != nil {
			return explained(*verdict)
		}
	}
	return explained(workersAreMissing(m, template))
}

// explained returns a verdict whose writes have its reason.
func explained(verdict Verdict) Verdict {
	for i := range verdict.Writes {
		verdict.Writes[i].Reason = verdict.Reason
	}
	return verdict
}

func wait(reason string) *Verdict { return &Verdict{Action: Wait, Reason: reason} }

// leaderIsMissing waits for the StatefulSet controller, which creates leaders.
func leaderIsMissing(m *snapshot.GroupMembers) *Verdict {
	if m.Leader != nil {
		return nil
	}
	if writes := stopOutlived(m); len(writes) > 0 {
		return &Verdict{Action: StopWorkers, Reason: "the workers outlived their leader", Writes: writes}
	}
	return wait("there is no leader pod")
}

// leaderIsTerminating stops the workers together with the leader, so that the whole group stops within one termination
// grace period, whatever its size. The garbage collector would begin only once the leader is deleted. With the default
// limits of kube-controller-manager it deletes 20 pods a second at most. And it never deletes workers that were
// orphaned, which the next leader can't use.
//
// The StatefulSet is deleted with its pods: its controller creates no other ones then. It is the first, but the pods do
// not wait for it. The garbage collector would repeat a deletion that it sees too late: it asks for each pod of a
// deleted StatefulSet that isn't marked for deletion yet.
func leaderIsTerminating(m *snapshot.GroupMembers) *Verdict {
	if m.Leader.DeletionTimestamp == nil {
		return nil
	}
	verdict := wait("the leader pod is terminating")
	ofGroup := m.OwnWorkers() != nil || (m.Belongs() && m.Workers != nil && wasOrphaned(m))
	var deleted []write.Object
	if ofGroup && m.Workers.DeletionTimestamp == nil {
		deleted = append(deleted, m.Workers)
	}
	if deleted = append(deleted, runningWorkers(m)...); len(deleted) > 0 {
		verdict.Action, verdict.Writes = StopWorkers, []write.Write{{Delete: deleted}}
	}
	return verdict
}

// setIsDeleted creates nothing for a pod that is nobody's leader, or soon won't be. A leader that outlives its set
// doesn't wait any longer.
func setIsDeleted(m *snapshot.GroupMembers) *Verdict {
	if m.HasLiveSet() {
		return nil
	}
	reason := "the leader pod doesn't belong to a LeaderWorkerSet, or to one that is being deleted"
	if outlivesSet(m) {
		return ungateOrWait(m, isOwnGate, reason)
	}
	return wait(reason)
}

// outlivesSet reports whether the set was deleted without the leader, or without the leader StatefulSet.
func outlivesSet(m *snapshot.GroupMembers) bool {
	return m.LWS == nil && (metav1.GetControllerOf(m.Leader) == nil ||
		(leftBehind(m) && metav1.IsControlledBy(m.Leader, m.Leaders)))
}

// setIsUnsupported leaves a group alone whose set the operator can't run. The pass over the set reports why. Only the
// operator's own gates are removed: nothing else would end the leader's wait.
func setIsUnsupported(m *snapshot.GroupMembers) *Verdict {
	if !m.IsLeftAlone() {
		return nil
	}
	return ungateOrWait(m, isOwnGate, m.LWS.Spec.Unsupported().ToAggregate().Error())
}

// leaderIsUninjected creates nothing for a leader that was created without the webhook: the group is restarted.
func leaderIsUninjected(m *snapshot.GroupMembers) *Verdict {
	if !snapshot.Uninjected(m.Leader) {
		return nil
	}
	return wait(snapshot.CreatedWithoutWebhook(m.Leader))
}

// leaderHasWaited ends the leader's wait for the pods of the group's previous incarnation, see [desired.WaitsFor].
// While their StatefulSet exists, it could create another one.
func leaderHasWaited(m *snapshot.GroupMembers) *Verdict {
	previous := m.Workers != nil && (belongsToEarlierLeader(m.Workers, m) || wasOrphaned(m))
	inTheWay := func(pod *corev1.Pod) bool { return desired.WaitsFor(m.Leader, pod) }
	if !snapshot.WaitsForPreviousGroup(m.Leader) || previous || slices.ContainsFunc(m.PreviousWorkers(), inTheWay) {
		return nil
	}
	return ungateOrWait(m, snapshot.IsPreviousGroupGate, "the leader waits for no pod of the group's previous incarnation")
}

// ungateOrWait removes gates from the leader. If there are none, it waits.
func ungateOrWait(m *snapshot.GroupMembers, remove func(corev1.PodSchedulingGate) bool, reason string) *Verdict {
	if !slices.ContainsFunc(m.Leader.Spec.SchedulingGates, remove) {
		return wait(reason)
	}
	ungated := m.Leader.DeepCopy()
	ungated.Spec.SchedulingGates = slices.DeleteFunc(ungated.Spec.SchedulingGates, remove)
	return &Verdict{
		Action: UngateLeader, Reason: reason,
		Writes: []write.Write{{Patch: &write.Patch{From: m.Leader, To: ungated}, If: write.SameVersion}},
	}
}

// isOwnGate reports whether the operator's webhook has added a scheduling gate.
func isOwnGate(gate corev1.PodSchedulingGate) bool {
	return snapshot.IsPreviousGroupGate(gate) || snapshot.IsRestartGate(gate)
}

// templateOf returns the template of the group's own revision, or the verdict that there is none.
func templateOf(m *snapshot.GroupMembers) (*revision.Template, *Verdict) {
	key := m.Leader.Labels[leaderworkersetv1.RevisionLabelKey]
	found := revision.Find(snapshot.OwnedRevisions(m.LWS, m.Revisions), key)
	if found == nil {
		reason := fmt.Sprintf("leader pod %s is of revision %q, which doesn't exist", m.Leader.Name, key)
		return nil, &Verdict{Action: BlockedUnwatched, Reason: reason}
	}
	template, err := revision.Parse(found)
	if err != nil {
		return nil, &Verdict{Action: BlockedUnwatched, Reason: err.Error()}
	}
	return &template, nil
}

// hasOwnService reports whether the group has a headless Service of its own.
func hasOwnService(template *revision.Template) bool {
	return template.Subdomain() == leaderworkersetv1.SubdomainUniquePerReplica
}

// previousServiceRemains waits until the garbage collector has deleted the Service of the group's previous leader.
func previousServiceRemains(m *snapshot.GroupMembers, template *revision.Template) *Verdict {
	if !hasOwnService(template) || m.Service == nil {
		return nil
	}
	if m.Service.DeletionTimestamp == nil && !belongsToEarlierLeader(m.Service, m) {
		return nil
	}
	return wait("the Service of the group's previous leader is still there")
}

// withService adds to the verdict on the pods the creation of the group's own Service, unless one serves. Pods don't
// need the Service to exist: if it can't be created, that is reported, and stops nothing else.
func withService(m *snapshot.GroupMembers, template *revision.Template, verdict Verdict) Verdict {
	of := desired.Group{Index: m.Index, Leader: m.Leader}
	switch service := m.Service; {
	case !hasOwnService(template):
	case service == nil:
		const reason = "the group's Service is missing"
		missing := desired.GroupService(m.LWS, of)
		creation := write.Write{Create: missing, CacheLabels: missing.Labels, Optional: true, Reason: reason}
		return Verdict{Action: CreateService, Reason: reason, Writes: append([]write.Write{creation}, verdict.Writes...)}
	case !metav1.IsControlledBy(service, m.Leader) && !desired.ServesGroup(service, m.LWS, template, of):
		verdict.Obstacle = snapshot.NameTaken("Service", service.Name)
	}
	return verdict
}

// leaderIsGated waits until the set pass lets a group run that crashed before.
func leaderIsGated(m *snapshot.GroupMembers, _ *revision.Template) *Verdict {
	if !snapshot.WaitsForRestart(m.Leader) {
		return nil
	}
	return wait("the leader pod waits until its group, which crashed before, may run")
}

func leaderHasToBeReady(m *snapshot.GroupMembers, _ *revision.Template) *Verdict {
	if m.LWS.Spec.StartupPolicy != leaderworkersetv1.LeaderReadyStartupPolicy || snapshot.PodReady(m.Leader) {
		return nil
	}
	return wait("the leader pod isn't ready, which startupPolicy LeaderReady waits for")
}

// belongsToEarlierLeader reports whether the object's controller is a pod of the leader's name that has been replaced
// since: the garbage collector is about to delete the object.
func belongsToEarlierLeader(object metav1.Object, m *snapshot.GroupMembers) bool {
	owner := metav1.GetControllerOf(object)
	return owner != nil && owner.Kind == "Pod" && owner.Name == m.Leader.Name && owner.UID != m.Leader.UID
}
