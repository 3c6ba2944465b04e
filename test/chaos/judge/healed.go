// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package judge

import (
	"fmt"
	"slices"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// State is everything in the namespaces of the sets. Its lists are read one after the other while no client acts.
type State struct {
	Sets         []leaderworkersetv1.LeaderWorkerSet
	StatefulSets []appsv1.StatefulSet
	Pods         []corev1.Pod
	Services     []corev1.Service
	Revisions    []appsv1.ControllerRevision
	Claims       []corev1.PersistentVolumeClaim
}

// Unhealed returns what isn't yet as it must be: sets that aren't what their spec asks for, objects whose owners are
// gone, claims that their policy doesn't keep, and failures without a restart.
func (j *Judge) Unhealed(s *State) []string {
	var problems []string
	for i := range s.Sets {
		if problem := incomplete(&s.Sets[i], s.podsOf(&s.Sets[i])); problem != "" {
			problems = append(problems, problem)
		}
	}
	problems = append(problems, s.leftovers()...)
	problems = append(problems, j.surplusClaims(s)...)
	return append(problems, j.unanswered()...)
}

// Orphans returns the sets that are gone and have left a StatefulSet that nobody controls: the sets were deleted with
// the policy Orphan.
func (s *State) Orphans() []types.NamespacedName {
	var keys []types.NamespacedName
	for i := range s.StatefulSets {
		sts := &s.StatefulSets[i]
		if metav1.GetControllerOf(sts) == nil && sts.Name == sts.Labels[leaderworkersetv1.SetNameLabelKey] &&
			!slices.ContainsFunc(s.Sets, func(lws leaderworkersetv1.LeaderWorkerSet) bool {
				return lws.Namespace == sts.Namespace && lws.Name == sts.Name
			}) {
			keys = append(keys, types.NamespacedName{Namespace: sts.Namespace, Name: sts.Name})
		}
	}
	return keys
}

func (s *State) podsOf(lws *leaderworkersetv1.LeaderWorkerSet) []*corev1.Pod {
	var pods []*corev1.Pod
	for i := range s.Pods {
		pod := &s.Pods[i]
		if pod.Namespace == lws.Namespace && pod.Labels[leaderworkersetv1.SetNameLabelKey] == lws.Name {
			pods = append(pods, pod)
		}
	}
	return pods
}

// incomplete says how a set differs from what its spec asks for; nothing if it doesn't.
func incomplete(lws *leaderworkersetv1.LeaderWorkerSet, pods []*corev1.Pod) string {
	want := int(*lws.Spec.Replicas * *lws.Spec.LeaderWorkerTemplate.Size)
	_, _, partition := budgetOf(&lws.Spec)
	current := 0
	for _, pod := range pods {
		index, err := strconv.Atoi(pod.Labels[leaderworkersetv1.GroupIndexLabelKey])
		if err == nil && podReady(pod) && index < int(*lws.Spec.Replicas) &&
			(index < partition || pod.Spec.Containers[0].Image == imageOf(&lws.Spec)) {
			current++
		}
	}
	status := &lws.Status
	if len(pods) == want && current == want && lws.DeletionTimestamp == nil &&
		status.ObservedGeneration == lws.Generation && status.ReadyReplicas == *lws.Spec.Replicas {
		return ""
	}
	return fmt.Sprintf(
		"%s/%s has %d pods, %d of them right, and wants %d; status: %d of %d groups ready, generation %d of %d",
		lws.Namespace, lws.Name, len(pods), current, want, status.ReadyReplicas, *lws.Spec.Replicas,
		status.ObservedGeneration, lws.Generation)
}

// leftovers returns the objects of sets whose owner doesn't exist.
func (s *State) leftovers() []string {
	owners := map[types.UID]bool{}
	var children []metav1.Object
	for i := range s.Sets {
		owners[s.Sets[i].UID] = true
	}
	for i := range s.StatefulSets {
		owners[s.StatefulSets[i].UID] = true
		children = append(children, &s.StatefulSets[i])
	}
	for i := range s.Pods {
		owners[s.Pods[i].UID] = true
		children = append(children, &s.Pods[i])
	}
	for i := range s.Services {
		children = append(children, &s.Services[i])
	}
	for i := range s.Revisions {
		children = append(children, &s.Revisions[i])
	}
	var problems []string
	for _, child := range children {
		owner := metav1.GetControllerOf(child)
		if child.GetLabels()[leaderworkersetv1.SetNameLabelKey] != "" && (owner == nil || !owners[owner.UID]) {
			problems = append(problems, fmt.Sprintf("%T %s/%s is left without its owner", child, child.GetNamespace(),
				child.GetName()))
		}
	}
	return problems
}

// surplusClaims returns the claims that their policy doesn't keep. The newest set of a name decides: it uses the claims
// that earlier ones have left. Claims that are older than that set are those of an earlier set, which was deleted with
// the policy Orphan, or whose policy keeps them. Kubernetes keeps the claims of leaders that it doesn't find.
func (j *Judge) surplusClaims(s *State) []string {
	var problems []string
	for i := range s.Claims {
		claim := &s.Claims[i]
		key := types.NamespacedName{Namespace: claim.Namespace, Name: claim.Labels[leaderworkersetv1.SetNameLabelKey]}
		index := claimIndex(key.Name, claim.Name)
		if leaderClaim(key.Name, claim.Name) && !j.leaderFound(key, index, claim.CreationTimestamp) {
			continue
		}
		o := j.setOf(key).newest()
		if o == nil || !o.created.Before(&claim.CreationTimestamp) {
			continue
		}
		spec := &o.specs[len(o.specs)-1].LeaderWorkerSetSpec
		scaled, deleted := retention(spec)
		switch {
		case deleted && !o.deletedAt.IsZero():
			problems = append(problems, fmt.Sprintf("claim %s is left of a set that was deleted", claim.Name))
		case scaled && o.deletedAt.IsZero() && index >= int(*spec.Replicas):
			problems = append(problems, fmt.Sprintf("claim %s is left of a group that was scaled down", claim.Name))
		}
	}
	return problems
}

// leaderFound reports whether the StatefulSet controller has found the leader of a claim when it applied the retention
// policy. The controller creates the claim before the leader, which a quota may refuse. It gives the claim an owner
// when it finds the leader. It ignores claims of surplus leaders that don't exist when the StatefulSet is scaled down.
func (j *Judge) leaderFound(key types.NamespacedName, index int, claimed metav1.Time) bool {
	scaledDown := j.setOf(key).scaledDown[index]
	for _, group := range j.groups {
		if group.set == key && group.index == index && !group.leader.CreationTimestamp.Before(&claimed) &&
			(!group.ended || group.endedAt.After(scaledDown)) {
			return true
		}
	}
	return false
}

// unanswered returns the failures of groups that weren't restarted.
func (j *Judge) unanswered() []string {
	var problems []string
	for _, group := range j.groups {
		if o := j.objectOf(group); group.certain && group.failure != "" && !group.ended && o != nil && o.deletedAt.IsZero() {
			problems = append(problems, fmt.Sprintf("%s: group %d isn't restarted, though %s at %s",
				group.set, group.index, group.failure, group.failedAt.Format(clock)))
		}
	}
	slices.Sort(problems)
	return problems
}
