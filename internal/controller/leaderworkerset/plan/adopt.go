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
)

// adopt has the set take what nobody owns and what is made like its own children: an earlier set of its name was deleted and left them.
// It says whether there is any such thing. Then nothing else is decided in this pass: what is to be done is seen once all of it is the
// set's.
//
// The leader StatefulSet comes last, and waits for the revision that it was made from: without that, groups that are up to date would
// look outdated, and be replaced.
func (p *setPlanner) adopt() bool {
	for _, orphan := range p.observed.Revisions {
		if p.orphaned(orphan) && readable(orphan) {
			p.own(orphan)
		}
	}
	if service := p.observed.Service; service != nil && p.orphaned(service) && fits(service, desired.SharedService(p.lws)) {
		p.own(service)
	}
	leaders := p.observed.Leaders
	if leaders == nil || !p.orphaned(leaders) || len(p.misfits(leaders)) > 0 {
		return len(p.writes) > 0
	}
	made := revision.Find(p.observed.Revisions, leaders.Labels[leaderworkersetv1.RevisionLabelKey])
	if made == nil || !p.ofEarlierSet(made) {
		p.own(leaders)
	}
	return true
}

// mend has the leader StatefulSet labeled with the revision of its pod template again, if someone took the label off or changed it: by it,
// groups are told to be up to date. It says whether that is needed. Then all else waits.
func (p *setPlanner) mend() bool {
	leaders := p.ownLeaders()
	if leaders == nil {
		return false
	}
	key := leaders.Spec.Template.Labels[leaderworkersetv1.RevisionLabelKey]
	if key == "" || key == leaders.Labels[leaderworkersetv1.RevisionLabelKey] {
		return false
	}
	mended := leaders.DeepCopy()
	metav1.SetMetaDataLabel(&mended.ObjectMeta, leaderworkersetv1.RevisionLabelKey, key)
	p.patch(leaders, mended)
	return true
}

// orphaned says whether the object is labeled as the set's, stays, and has no controller.
func (p *setPlanner) orphaned(object metav1.Object) bool {
	return metav1.GetControllerOf(object) == nil && object.GetDeletionTimestamp() == nil &&
		object.GetLabels()[leaderworkersetv1.SetNameLabelKey] == p.lws.Name
}

// own makes the set the controller of an object. Others may own it, too, without controlling it.
func (p *setPlanner) own(object Object) {
	owned, ok := object.DeepCopyObject().(Object)
	if !ok {
		return // A copy of an object is one.
	}
	controller := metav1.NewControllerRef(p.lws, leaderworkersetv1.GroupVersion.WithKind("LeaderWorkerSet"))
	owned.SetOwnerReferences(append(slices.Clone(object.GetOwnerReferences()), *controller))
	p.patch(object, owned)
}

// ofEarlierSet says whether an object belongs to an earlier set of the same name: it is about to be deleted, or left behind.
func (p *setPlanner) ofEarlierSet(object metav1.Object) bool {
	owner := metav1.GetControllerOf(object)
	return owner != nil && owner.Kind == "LeaderWorkerSet" && owner.Name == p.lws.Name && owner.UID != p.lws.UID
}

// readable says whether a revision is one of a LeaderWorkerSet, whoever wrote it.
func readable(candidate *appsv1.ControllerRevision) bool {
	_, err := revision.Parse(candidate)
	return err == nil && revision.Key(candidate) != ""
}

// fits says whether a Service resolves what the wanted one does.
func fits(service, wanted *corev1.Service) bool {
	return service.Spec.ClusterIP == wanted.Spec.ClusterIP && equality.Semantic.DeepEqual(service.Spec.Selector, wanted.Spec.Selector)
}

// misfits are the fields in which a StatefulSet differs from the set's leader StatefulSet for good: those that can't be changed, and
// where its ordinals start. All others follow once it is adopted.
func (p *setPlanner) misfits(existing *appsv1.StatefulSet) []string {
	template := revision.Of(p.lws)
	is, wanted := &existing.Spec, &desired.LeaderStatefulSet(p.lws, &template, "", rollout.Step{}).Spec
	var fields []string
	for _, field := range []struct {
		name string
		same bool
	}{
		{"selector", equality.Semantic.DeepEqual(is.Selector, wanted.Selector)},
		{"serviceName", is.ServiceName == wanted.ServiceName},
		{"podManagementPolicy", is.PodManagementPolicy == wanted.PodManagementPolicy},
		{"volumeClaimTemplates", slices.EqualFunc(is.VolumeClaimTemplates, wanted.VolumeClaimTemplates, sameClaim)},
		{"ordinals", is.Ordinals == nil || is.Ordinals.Start == 0},
	} {
		if !field.same {
			fields = append(fields, field.name)
		}
	}
	return fields
}

// sameClaim compares templates of volume claims, with what the API server adds to those of a StatefulSet left aside.
func sameClaim(a, b corev1.PersistentVolumeClaim) bool {
	return equality.Semantic.DeepEqual(claimMeaning(a), claimMeaning(b))
}

func claimMeaning(claim corev1.PersistentVolumeClaim) corev1.PersistentVolumeClaim {
	claim.TypeMeta, claim.CreationTimestamp, claim.Status = metav1.TypeMeta{}, metav1.Time{}, corev1.PersistentVolumeClaimStatus{}
	claim.Spec.VolumeMode = ptr.To(ptr.Deref(claim.Spec.VolumeMode, corev1.PersistentVolumeFilesystem))
	return claim
}

// whyInTheWay is the message about an object that has the name of one of the set's children and isn't one. Of a StatefulSet that nobody
// owns it says why it isn't adopted.
func (p *setPlanner) whyInTheWay(kind string, object metav1.Object) string {
	message := snapshot.InTheWay(kind, object.GetName())
	if existing, ok := object.(*appsv1.StatefulSet); ok && p.orphaned(existing) {
		message += "; it has no owner, but can't be adopted: its " + strings.Join(p.misfits(existing), ", ") + " can't be made like this LeaderWorkerSet's"
	}
	return message
}

// currentRevision is the one of the set's revisions that means what the set asks for; nil if there is none. If there are several, it is
// one that the leader StatefulSet is made from: another one may have been created before it was adopted.
func (p *setPlanner) currentRevision(owned []*appsv1.ControllerRevision) *appsv1.ControllerRevision {
	if leaders := p.ownLeaders(); leaders != nil {
		others := func(r *appsv1.ControllerRevision) bool {
			return revision.Key(r) != leaders.Labels[leaderworkersetv1.RevisionLabelKey]
		}
		if made := revision.Equivalent(p.lws, slices.DeleteFunc(slices.Clone(owned), others)); made != nil {
			return made
		}
	}
	return revision.Equivalent(p.lws, owned)
}
