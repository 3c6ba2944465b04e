// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/desired"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/revision"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/rollout"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/snapshot"
	"github.com/leaderworkerset/lws-operator/internal/controller/write"
)

// reclaim restores the revision label of the leader StatefulSet, or else adopts what an earlier set of the name has
// left behind. wait reports whether there is any such object: then nothing else is decided in this pass.
func reclaim(set *snapshot.Set) (writes []write.Write, wait bool) {
	if writes := relabel(set); len(writes) > 0 {
		return writes, true
	}
	return adopt(set)
}

// relabel labels the leader StatefulSet with the revision of its pod template again, if somebody removed or changed the
// label. The label says which groups are up to date.
func relabel(set *snapshot.Set) []write.Write {
	leaders := set.OwnLeaders()
	if leaders == nil {
		return nil
	}
	key := leaders.Spec.Template.Labels[leaderworkersetv1.RevisionLabelKey]
	if key == "" || key == leaders.Labels[leaderworkersetv1.RevisionLabelKey] {
		return nil
	}
	relabeled := leaders.DeepCopy()
	metav1.SetMetaDataLabel(&relabeled.ObjectMeta, leaderworkersetv1.RevisionLabelKey, key)
	return []write.Write{{
		Patch: &write.Patch{From: leaders, To: relabeled}, If: write.Exists, Reason: "its revision label was changed",
	}}
}

// adopt makes the set the controller of objects that nobody controls and that are like its own children: an earlier set
// of its name was deleted and left them behind.
//
// The leader StatefulSet comes last, and waits for the revision that it was made from. Without that, groups that are up
// to date would look outdated, and be replaced.
func adopt(set *snapshot.Set) (writes []write.Write, wait bool) {
	for _, candidate := range set.Revisions {
		if isOrphan(set.LWS, candidate) && isReadable(candidate) {
			writes = append(writes, adoption(set.LWS, candidate))
		}
	}
	service := set.Service
	if service != nil && isOrphan(set.LWS, service) && isOperators(service, desired.SharedService(set.LWS)) {
		writes = append(writes, adoption(set.LWS, service))
	}
	leaders := set.Leaders
	if leaders == nil || !isOrphan(set.LWS, leaders) || len(differences(set.LWS, leaders)) > 0 {
		return writes, len(writes) > 0
	}
	madeFrom := revision.Find(set.Revisions, leaders.Labels[leaderworkersetv1.RevisionLabelKey])
	if madeFrom == nil || !ofEarlierSet(set.LWS, madeFrom) {
		writes = append(writes, adoption(set.LWS, leaders))
	}
	return writes, true
}

// isOrphan reports whether the object carries the set's label, isn't deleted, and has no controller.
func isOrphan(lws *leaderworkersetv1.LeaderWorkerSet, object metav1.Object) bool {
	return metav1.GetControllerOf(object) == nil && object.GetDeletionTimestamp() == nil &&
		object.GetLabels()[leaderworkersetv1.SetNameLabelKey] == lws.Name
}

// adoption makes the set the controller of an object, if the set still exists. Owners that don't control it stay.
func adoption(lws *leaderworkersetv1.LeaderWorkerSet, object write.Object) write.Write {
	adopted, ok := object.DeepCopyObject().(write.Object)
	if !ok {
		adopted = object // A copy of an object is one.
	}
	controller := metav1.NewControllerRef(lws, leaderworkersetv1.GroupVersion.WithKind("LeaderWorkerSet"))
	adopted.SetOwnerReferences(append(slices.Clone(object.GetOwnerReferences()), *controller))
	return write.Write{
		Patch: &write.Patch{From: object, To: adopted}, If: write.SameVersion, OwnerMustLive: controller,
		Reason: "nobody owns it, and it is like the set's own",
	}
}

// ofEarlierSet reports whether the controller of an object is an earlier set of the same name: the object is about to
// be deleted, or left behind.
func ofEarlierSet(lws *leaderworkersetv1.LeaderWorkerSet, object metav1.Object) bool {
	owner := metav1.GetControllerOf(object)
	return owner != nil && owner.Kind == "LeaderWorkerSet" && owner.Name == lws.Name && owner.UID != lws.UID
}

// isReadable reports whether a revision is one of a LeaderWorkerSet, whoever wrote it.
func isReadable(candidate *appsv1.ControllerRevision) bool {
	_, err := revision.Parse(candidate)
	return err == nil && revision.Key(candidate) != ""
}

// isOperators reports whether a Service is what the operator makes, and not the user's: a set that adopts a Service
// deletes it in the end.
func isOperators(service, wanted *corev1.Service) bool {
	return service.Spec.ClusterIP == wanted.Spec.ClusterIP && len(service.Spec.Ports) == 0 &&
		equality.Semantic.DeepEqual(service.Labels, wanted.Labels) &&
		equality.Semantic.DeepEqual(service.Spec.Selector, wanted.Spec.Selector)
}

// differences returns the fields in which a StatefulSet will always differ from the set's leader StatefulSet: those
// that can't be changed, and where its ordinals start. All others are changed once it is adopted.
func differences(lws *leaderworkersetv1.LeaderWorkerSet, existing *appsv1.StatefulSet) []string {
	template := revision.TemplateOf(lws)
	is, wanted := &existing.Spec, &desired.LeaderStatefulSet(lws, &template, "", rollout.Step{}).Spec
	var fields []string
	for _, field := range []struct {
		name string
		same bool
	}{
		{"selector", equality.Semantic.DeepEqual(is.Selector, wanted.Selector)},
		{"serviceName", is.ServiceName == wanted.ServiceName},
		{"podManagementPolicy", is.PodManagementPolicy == wanted.PodManagementPolicy},
		{"volumeClaimTemplates", slices.EqualFunc(is.VolumeClaimTemplates, wanted.VolumeClaimTemplates, equalClaim)},
		{"ordinals", is.Ordinals == nil || is.Ordinals.Start == 0},
	} {
		if !field.same {
			fields = append(fields, field.name)
		}
	}
	return fields
}

// equalClaim compares templates of volume claims, without what the API server adds to those of a StatefulSet, and
// without their namespace, which is that of the StatefulSet whether it is written or not.
func equalClaim(a, b corev1.PersistentVolumeClaim) bool {
	return equality.Semantic.DeepEqual(claimMeaning(a), claimMeaning(b))
}

func claimMeaning(claim corev1.PersistentVolumeClaim) corev1.PersistentVolumeClaim {
	claim.TypeMeta, claim.CreationTimestamp, claim.Namespace = metav1.TypeMeta{}, metav1.Time{}, ""
	claim.Status = corev1.PersistentVolumeClaimStatus{}
	claim.Spec.VolumeMode = ptr.To(ptr.Deref(claim.Spec.VolumeMode, corev1.PersistentVolumeFilesystem))
	return claim
}

// whyNotAdopted adds to the message about a StatefulSet that has the name of the leader StatefulSet why it isn't
// adopted; empty if somebody owns it.
func whyNotAdopted(lws *leaderworkersetv1.LeaderWorkerSet, existing *appsv1.StatefulSet) string {
	if !isOrphan(lws, existing) {
		return ""
	}
	return "; it has no owner, but can't be adopted: its " + strings.Join(differences(lws, existing), ", ") +
		" can't be made like this LeaderWorkerSet's"
}

// equivalentRevision returns the one of the set's revisions that means what the set asks for; nil if there is none. Of
// several, it returns the one that the leader StatefulSet is made from: another may have been created before that was
// adopted.
func equivalentRevision(set *snapshot.Set, owned []*appsv1.ControllerRevision) *appsv1.ControllerRevision {
	if leaders := set.OwnLeaders(); leaders != nil {
		others := func(r *appsv1.ControllerRevision) bool {
			return revision.Key(r) != leaders.Labels[leaderworkersetv1.RevisionLabelKey]
		}
		if madeFrom := revision.Equivalent(set.LWS, slices.DeleteFunc(slices.Clone(owned), others)); madeFrom != nil {
			return madeFrom
		}
	}
	return revision.Equivalent(set.LWS, owned)
}
