// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/desired"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/identity"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/release"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/restart"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/revision"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/rollout"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/snapshot"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/status"
	"github.com/leaderworkerset/lws-operator/internal/controller/write"
)

// revisionDecision is the current revision, and what it takes to have it.
type revisionDecision struct {
	key      string
	template revision.Template
	writes   []write.Write
	events   []write.Event
}

// currentRevision finds the revision that means what the set asks for, or creates it. An earlier one that the set
// returns to becomes the newest again. One that somebody deleted is created again with its key, and no group restarts.
func currentRevision(set *snapshot.Set) (revisionDecision, error) {
	template := revision.TemplateOf(set.LWS)
	owned, recorded := recordPlacement(set, snapshot.OwnedRevisions(set.LWS, set.Revisions))
	if current := equivalentRevision(set, owned); current != nil {
		decision := revisionDecision{key: revision.Key(current), template: template, writes: recorded}
		if latest := revision.Latest(owned); current.Revision < latest {
			newest := revision.WithPlacement(current, template.Placement)
			newest.Revision = latest + 1
			decision.writes = append(decision.writes, write.Write{
				Patch: &write.Patch{From: current, To: newest}, If: write.SameVersion, Reason: "the set returns to this revision",
			})
		}
		return decision, nil
	}
	created, reason, err := newRevision(set, &template)
	if err != nil {
		return revisionDecision{}, err
	}
	key := revision.Key(created)
	return revisionDecision{
		key: key, template: template,
		writes: append(recorded, creation(created, created.Labels, reason)),
		events: []write.Event{{
			Type:   corev1.EventTypeNormal,
			Reason: leaderworkersetv1.ReasonCreatingRevision,
			Action: "Create",
			Note:   fmt.Sprintf("Created revision %d, key %s", created.Revision, key),
		}},
	}, nil
}

// recordPlacement returns the set's revisions, and the write that records the placement of the one that the leader
// StatefulSet is made from. Other controllers and earlier versions don't record it. Without the record, a later change
// of the placement couldn't be told from none.
func recordPlacement(
	set *snapshot.Set, owned []*appsv1.ControllerRevision,
) ([]*appsv1.ControllerRevision, []write.Write) {
	leaders := set.OwnLeaders()
	if leaders == nil {
		return owned, nil
	}
	at := slices.IndexFunc(owned, func(r *appsv1.ControllerRevision) bool {
		return revision.Key(r) == leaders.Labels[leaderworkersetv1.RevisionLabelKey] && revision.PlacementOf(r) == nil
	})
	if at < 0 {
		return owned, nil
	}
	before := owned[at]
	owned = slices.Clone(owned)
	owned[at] = revision.WithPlacement(before, desired.PlacementOf(leaders))
	return owned, []write.Write{{
		Patch: &write.Patch{From: before, To: owned[at]}, If: write.SameVersion,
		Reason: "the revision doesn't say the placement of its groups",
	}}
}

// newRevision returns the revision to create for what the set asks for, and why.
func newRevision(
	set *snapshot.Set, template *revision.Template,
) (created *appsv1.ControllerRevision, reason string, err error) {
	if key := set.LostKey(); key != "" && areMadeFrom(set, template, key) {
		created, err = revision.Restored(set.LWS, set.Revisions, key)
		return created, "the revision of the groups was deleted", err
	}
	created, err = revision.New(set.LWS, set.Revisions)
	return created, "the set has no revision of this template", err
}

// creation creates a child that the set controls, if the set still exists.
func creation(child write.Object, cacheLabels map[string]string, reason string) write.Write {
	return write.Write{
		Create: child, OwnerMustLive: metav1.GetControllerOf(child), CacheLabels: cacheLabels, Reason: reason,
	}
}

// serviceWrites creates the shared headless Service, and deletes it when the last group that used it is gone. A Service
// of somebody else serves as well if the pods find each other through it: it is left alone. Pods don't need the Service
// to exist: if it can't be created, that is reported, and stops nothing else.
func serviceWrites(
	set *snapshot.Set, template *revision.Template, released *release.Decision,
) ([]write.Write, []status.Obstacle) {
	shared := template.Subdomain() == leaderworkersetv1.SubdomainShared
	switch service := set.Service; {
	case !shared:
		if service == nil || !metav1.IsControlledBy(service, set.LWS) || released.Progress != rollout.Complete {
			return nil, nil
		}
		return []write.Write{{Delete: []write.Object{service}, Reason: "each group has a Service of its own"}}, nil
	case service == nil:
		wanted := desired.SharedService(set.LWS)
		created := creation(wanted, wanted.Labels, "the pods find each other through it")
		created.Optional = true
		return []write.Write{created}, nil
	case !metav1.IsControlledBy(service, set.LWS) && !desired.ServesSet(service, set.LWS, template):
		return nil, nameTaken(set.LWS, "Service", service, "")
	}
	return nil, nil
}

// leaderWrites creates the leader StatefulSet, or changes it where it differs.
func leaderWrites(
	set *snapshot.Set, current revisionDecision, released *release.Decision, restarts *restart.Decision,
	retriedAt string,
) ([]write.Write, []status.Obstacle) {
	wanted := wantedLeaders(set, current, released, restarts)
	if retriedAt != "" {
		wanted.Annotations[leaderworkersetv1.RetriedAtAnnotationKey] = retriedAt
	}
	existing := set.Leaders
	switch {
	case existing == nil:
		cacheLabels := map[string]string{leaderworkersetv1.SetNameLabelKey: set.LWS.Name}
		return []write.Write{creation(wanted, cacheLabels, "the set has no leaders yet")}, nil
	case !metav1.IsControlledBy(existing, set.LWS):
		return nil, nameTaken(set.LWS, "StatefulSet", existing, whyNotAdopted(set.LWS, existing))
	case len(released.Unfinished) > 0:
		return nil, nil
	}
	newRevision := existing.Labels[leaderworkersetv1.RevisionLabelKey] != current.key
	updated := desired.AdjustLeaders(existing, wanted, newRevision)
	if released.Annotation == "" {
		delete(updated.Annotations, leaderworkersetv1.AheadAnnotationKey)
	}
	if released.ScaledFrom == 0 {
		delete(updated.Annotations, leaderworkersetv1.ScaledFromAnnotationKey)
	}
	if equality.Semantic.DeepEqual(existing, updated) {
		return nil, nil
	}
	return []write.Write{{
		Patch:  &write.Patch{From: existing, To: updated},
		If:     write.Weakest(existing, updated, leaderworkersetv1.AheadAnnotationKey),
		Reason: whyChanged(existing, updated, newRevision, released),
	}}, nil
}

// wantedLeaders returns the leader StatefulSet at this step of the rolling update, with what has to be remembered.
func wantedLeaders(
	set *snapshot.Set, current revisionDecision, released *release.Decision, restarts *restart.Decision,
) *appsv1.StatefulSet {
	step := rollout.Step{Partition: released.Partition, Replicas: released.Replicas}
	wanted := desired.LeaderStatefulSet(set.LWS, &current.template, current.key, step)
	if released.Annotation != "" {
		wanted.Annotations[leaderworkersetv1.AheadAnnotationKey] = released.Annotation
	}
	if released.ScaledFrom > 0 {
		wanted.Annotations[leaderworkersetv1.ScaledFromAnnotationKey] = identity.FormatIndex(released.ScaledFrom)
	}
	if released.Strategy == appsv1.OnDeleteStatefulSetStrategyType {
		wanted.Spec.UpdateStrategy = appsv1.StatefulSetUpdateStrategy{Type: released.Strategy}
	}
	if restarts.WriteRecord {
		room := recordRoom(set.Leaders, wanted)
		wanted.Annotations[leaderworkersetv1.GroupRecordAnnotationKey] = restarts.Record.Format(room)
	}
	return wanted
}

// recordRoom returns how many bytes the other annotations of the leader StatefulSet leave for the record. Those of the
// set may take nearly all that the API server takes. A record that is too long would stop all changes of the set.
func recordRoom(existing, wanted *appsv1.StatefulSet) int {
	const reserved = 1 << 10 // For the keys of the record and of other annotations of the operator, which are short.
	others := map[string]string{}
	if existing != nil {
		maps.Copy(others, existing.Annotations)
	}
	maps.Copy(others, wanted.Annotations)
	delete(others, leaderworkersetv1.GroupRecordAnnotationKey)
	room := apivalidation.TotalAnnotationSizeLimitB - reserved
	for key, value := range others {
		room -= len(key) + len(value)
	}
	return max(room, 0)
}

// whyChanged returns why the leader StatefulSet changes, in words for logs and films.
func whyChanged(existing, updated *appsv1.StatefulSet, newRevision bool, released *release.Decision) string {
	const record, replicas = leaderworkersetv1.GroupRecordAnnotationKey, leaderworkersetv1.ReplicasAnnotationKey
	const retried = leaderworkersetv1.RetriedAtAnnotationKey
	was, asked := existing.Annotations[replicas], updated.Annotations[replicas]
	var reasons []string
	if newRevision {
		reasons = append(reasons, "the revision is new")
	}
	if asked != was {
		reasons = append(reasons, "spec.replicas is "+asked)
	}
	switch surge := ptr.Deref(updated.Spec.Replicas, 1) - ptr.Deref(existing.Spec.Replicas, 1); {
	case newRevision, surge > 0 && asked == was, !release.Of(existing).Equal(release.Of(updated)):
		reasons = append(reasons, released.Reason)
	case surge < 0 && asked == was && released.GaveWay:
		reasons = append(reasons, released.Reason)
	case surge < 0 && asked == was:
		reasons = append(reasons, "no more groups are needed")
	}
	switch updated.Spec.UpdateStrategy.Type {
	case existing.Spec.UpdateStrategy.Type:
	case appsv1.OnDeleteStatefulSetStrategyType:
		reasons = append(reasons, "the lowest missing group is released below the partition")
	default:
		reasons = append(reasons, "no group that is released below the partition is missing")
	}
	if !newRevision && !equality.Semantic.DeepEqual(existing.Spec.Template, updated.Spec.Template) {
		reasons = append(reasons, "kubectl rollout restart is undone, as it knows no groups")
	}
	if existing.Annotations[record] != updated.Annotations[record] {
		reasons = append(reasons, "the record of groups has changed")
	}
	if existing.Annotations[retried] != updated.Annotations[retried] {
		reasons = append(reasons, "the StatefulSet controller tries again to create missing leaders")
	}
	if len(reasons) == 0 {
		return "the spec or the metadata has changed"
	}
	return strings.Join(reasons, "; ")
}

// surplusRevisions deletes the oldest of the revisions that nothing uses.
//
// A revision of no group may still be in use. Groups below the partition that are deleted come back at what the
// StatefulSet controller calls its current revision, even if all of them are deleted at once. While that revision isn't
// known, none is deleted.
func surplusRevisions(set *snapshot.Set, key string) []write.Write {
	used := map[string]bool{key: true, set.BelowPartitionKey: true}
	for _, group := range set.Groups {
		used[group.Revision()] = true
	}
	if leaders := set.Leaders; leaders != nil {
		if leaders.Status.CurrentRevision != "" && set.BelowPartitionKey == "" {
			return nil
		}
		used[leaders.Labels[leaderworkersetv1.RevisionLabelKey]] = true
	}
	inUse := func(key string) bool { return used[key] }
	owned, limit := snapshot.OwnedRevisions(set.LWS, set.Revisions), max(int(*set.LWS.Spec.RevisionHistoryLimit), 0)
	var surplus []write.Object
	for _, unused := range revision.Surplus(owned, inUse, limit) {
		surplus = append(surplus, unused)
	}
	if len(surplus) == 0 {
		return nil
	}
	return []write.Write{{Delete: surplus, Reason: fmt.Sprintf("revisionHistoryLimit is %d", limit)}}
}

// nameTaken reports an object that has the name of a child and isn't one, unless it is a child of an earlier set of the
// same name: that is about to be deleted, or left behind. note is added to the message.
func nameTaken(
	lws *leaderworkersetv1.LeaderWorkerSet, kind string, object metav1.Object, note string,
) []status.Obstacle {
	if ofEarlierSet(lws, object) || object.GetDeletionTimestamp() != nil {
		return nil
	}
	return []status.Obstacle{{
		Group:   status.WholeSet,
		Reason:  leaderworkersetv1.ReasonFailedCreate,
		Message: snapshot.NameTaken(kind, object.GetName()) + note,
	}}
}
