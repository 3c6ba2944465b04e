// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package judge

import (
	"cmp"
	"strconv"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// deletion is the deletion of a leader whose group hasn't failed.
type deletion struct {
	at, from time.Time // when, and how old the view may be
	group    *incarnation
	object   *object // nil if it isn't known yet
	ready    bool
	staying  int // groups that are ready, and those that a controller may think ready
}

// clock is how a time is written in a violation, as in films.
const clock = "15:04:05.000"

// decideDeletion judges a deletion: the group is surplus, or it is outdated and the budget holds.
func (j *Judge) decideDeletion(d deletion) {
	o := cmp.Or(d.object, j.objectOf(d.group))
	if o == nil || o.deletedBy(d.at) {
		return
	}
	outdated, fewestReady := false, 1<<30
	for _, spec := range o.during(d.from, d.at.Add(Lag)) {
		if d.group.index >= int(*spec.Replicas) {
			return
		}
		unavailable, _, partition := budgetOf(&spec.LeaderWorkerSetSpec)
		fewestReady = min(fewestReady, int(*spec.Replicas)-unavailable)
		current := d.group.leader.Spec.Containers[0].Image == imageOf(&spec.LeaderWorkerSetSpec)
		outdated = outdated || (!current && d.group.index >= partition)
	}
	switch {
	case !outdated:
		j.fail(d.group.set, "group %d is deleted at %s without a reason", d.group.index, d.at.Format(clock))
	case d.ready && d.staying < fewestReady:
		j.fail(d.group.set, "ready group %d is deleted at %s, which leaves %d of at least %d",
			d.group.index, d.at.Format(clock), d.staying, fewestReady)
	}
}

// decideCreation judges the creation of a leader: replicas and maxSurge allow its index.
func (j *Judge) decideCreation(o *object, group *incarnation, from, at time.Time) {
	if o == nil || o.deletedBy(at) {
		return
	}
	most := 0
	for _, spec := range o.during(from, at.Add(Lag)) {
		_, surge, _ := budgetOf(&spec.LeaderWorkerSetSpec)
		most = max(most, int(*spec.Replicas)+surge)
	}
	if group.index >= most {
		j.fail(group.set, "group %d is created at %s, of at most %d", group.index, at.Format(clock), most)
	}
}

// observeClaim judges the deletion of a claim.
func (j *Judge) observeClaim(e Event, latest *corev1.PersistentVolumeClaim) {
	key := types.NamespacedName{Namespace: latest.Namespace, Name: latest.Labels[leaderworkersetv1.SetNameLabelKey]}
	marked := e.After == nil || latest.DeletionTimestamp != nil
	wasMarked := e.Before != nil && e.Before.GetDeletionTimestamp() != nil
	if key.Name == "" || !marked || wasMarked {
		return
	}
	j.note(e.At, key, "claim %s is deleted", latest.Name)
	j.later(e.At, func() {
		if !j.mayDelete(key, claimIndex(key.Name, latest.Name)) {
			j.fail(key, "claim %s is deleted at %s against its policy", latest.Name, e.At.Format(clock))
		}
	})
}

// mayDelete reports whether any policy of a set since the last rest allows to delete the claims of a group.
func (j *Judge) mayDelete(key types.NamespacedName, index int) bool {
	for _, o := range j.setOf(key).objects {
		for i := range o.specs {
			scaled, deleted := retention(&o.specs[i].LeaderWorkerSetSpec)
			if o.wiped || (deleted && !o.deletedAt.IsZero()) || (scaled && index >= int(*o.specs[i].Replicas)) {
				return true
			}
		}
	}
	return false
}

// retention returns whether claims are deleted when their group is scaled down, and when their set is deleted.
func retention(spec *leaderworkersetv1.LeaderWorkerSetSpec) (whenScaled, whenDeleted bool) {
	policy := spec.LeaderWorkerTemplate.PersistentVolumeClaimRetentionPolicy
	if policy == nil {
		return false, false
	}
	const drop = appsv1.DeletePersistentVolumeClaimRetentionPolicyType
	return policy.WhenScaled == drop, policy.WhenDeleted == drop
}

// claimIndex returns the index of the group of a claim, whose name is like data-<set>-<index>-<worker>.
func claimIndex(set, claim string) int {
	_, rest, _ := strings.Cut(claim, "-"+set+"-")
	first, _, _ := strings.Cut(rest, "-")
	index, err := strconv.Atoi(first)
	if err != nil {
		return -1
	}
	return index
}

// leaderClaim reports whether a claim is a leader's. The name of a worker's claim has one more number.
func leaderClaim(set, claim string) bool {
	_, rest, _ := strings.Cut(claim, "-"+set+"-")
	return !strings.Contains(rest, "-")
}

// deletedBy reports whether a set was deleted by a time, as far as different watches can say.
func (o *object) deletedBy(at time.Time) bool {
	return !o.deletedAt.IsZero() && !o.deletedAt.After(at.Add(Lag))
}
