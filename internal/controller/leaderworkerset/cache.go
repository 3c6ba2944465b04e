// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package leaderworkerset

import (
	"context"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/utils/lru"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/identity"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/release"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/snapshot"
)

// statefulSetRevisionLabel is on the ControllerRevisions that the StatefulSet controller makes. From k8s.io/kubernetes,
// package pkg/controller/history.
const statefulSetRevisionLabel = "controller.kubernetes.io/hash"

// CacheByObject limits the cache to objects that are labeled as part of a LeaderWorkerSet, and to the fields that
// passes read. It selects all LeaderWorkerSets and fills in their defaults. The StatefulSet controller's own revisions
// have the labels of their pods. The cache leaves out those of worker StatefulSets, which are one for each group.
// Readers share the objects of the cache and must not change them.
func CacheByObject() map[client.Object]cache.ByObject {
	part := labels.NewSelector().Add(requirement(leaderworkersetv1.SetNameLabelKey, selection.Exists))
	revision := part.Add(requirement(leaderworkersetv1.GroupIndexLabelKey, selection.DoesNotExist))
	shared := ptr.To(true)
	return map[client.Object]cache.ByObject{
		&leaderworkersetv1.LeaderWorkerSet{}: {Transform: withDefaults, UnsafeDisableDeepCopy: shared},

		&appsv1.StatefulSet{}:           {Label: part, Transform: trimStatefulSet, UnsafeDisableDeepCopy: shared},
		&appsv1.ControllerRevision{}:    {Label: revision, Transform: trimRevision, UnsafeDisableDeepCopy: shared},
		&corev1.Pod{}:                   {Label: part, Transform: trimPod, UnsafeDisableDeepCopy: shared},
		&corev1.PersistentVolumeClaim{}: {Label: part, Transform: trimClaim, UnsafeDisableDeepCopy: shared},
		&corev1.Service{}:               {Label: part, Transform: trimService, UnsafeDisableDeepCopy: shared},

		// Events carry no labels: those of other StatefulSets are cached as well, see trimEvent.
		&corev1.Event{}: {Field: refusalsOnly(), Transform: trimEvent, UnsafeDisableDeepCopy: shared},
	}
}

// refusalsOnly selects the events in which the StatefulSet controller reports pods that it couldn't create.
func refusalsOnly() fields.Selector {
	return fields.AndSelectors(
		fields.OneTermEqualSelector("reason", leaderworkersetv1.ReasonFailedCreate),
		fields.OneTermEqualSelector("involvedObject.kind", "StatefulSet"),
	)
}

// requirement returns a selector's condition on a label.
func requirement(key string, operator selection.Operator) labels.Requirement {
	required, err := labels.NewRequirement(key, operator, nil)
	if err != nil {
		panic(err) // The key is a constant that is no label key.
	}
	return *required
}

// Field indexes of the cache. Each value is a name within the namespace, or a UID.
const (
	leadersOfSet   = "leadersOfSet"   // leader pods by LeaderWorkerSet
	workersOfSet   = "workersOfSet"   // worker StatefulSets by LeaderWorkerSet
	claimsOfGroup  = "claimsOfGroup"  // volume claims of workers by leader pod
	revisionsOfSet = "revisionsOfSet" // ControllerRevisions by LeaderWorkerSet

	refusalsOfStatefulSet = "refusalsOfStatefulSet" // events FailedCreate by the UID of the StatefulSet

	uninjectedOfSet = "uninjectedOfSet" // pods that were created without the webhook, by LeaderWorkerSet
)

// AddIndexes adds the field indexes that passes and handlers list by.
func AddIndexes(ctx context.Context, indexer client.FieldIndexer) error {
	for _, index := range []struct {
		object client.Object
		field  string
		value  client.IndexerFunc
	}{
		{&corev1.Pod{}, leadersOfSet, indexLeadersOfSet},
		{&corev1.Pod{}, identity.WorkersOfGroup, indexWorkersOfGroup},
		{&corev1.Pod{}, uninjectedOfSet, indexUninjectedOfSet},
		{&corev1.Event{}, refusalsOfStatefulSet, indexRefusals},
		{&corev1.PersistentVolumeClaim{}, claimsOfGroup, indexByGroup},
		{&appsv1.StatefulSet{}, workersOfSet, indexWorkersOfSet},
		{&appsv1.ControllerRevision{}, revisionsOfSet, indexRevisionsOfSet},
	} {
		if err := indexer.IndexField(ctx, index.object, index.field, index.value); err != nil {
			return fmt.Errorf("index %s: %w", index.field, err)
		}
	}
	return nil
}

func indexLeadersOfSet(object client.Object) []string {
	if !isLeader(object) {
		return nil
	}
	return indexBySet(object)
}

func indexWorkersOfSet(object client.Object) []string {
	if object.GetLabels()[leaderworkersetv1.GroupIndexLabelKey] == "" {
		return nil
	}
	return indexBySet(object)
}

func indexWorkersOfGroup(object client.Object) []string {
	if isLeader(object) {
		return nil
	}
	return indexByGroup(object)
}

func indexUninjectedOfSet(object client.Object) []string {
	if pod, ok := object.(*corev1.Pod); !ok || !snapshot.Uninjected(pod) {
		return nil
	}
	return indexBySet(object)
}

// indexRefusals leaves out rejections, which end by themselves.
func indexRefusals(object client.Object) []string {
	event, ok := object.(*corev1.Event)
	if !ok || release.IsRejection(event.Message) {
		return nil
	}
	return []string{string(event.InvolvedObject.UID)}
}

func indexRevisionsOfSet(object client.Object) []string {
	if isStatefulSetRevision(object) {
		return nil
	}
	return indexBySet(object)
}

func indexByGroup(object client.Object) []string {
	group, ok := groupOf(object)
	if !ok {
		return nil
	}
	return []string{group.Name}
}

func indexBySet(object client.Object) []string {
	return []string{setOf(object).Name}
}

// isLeader reports whether the labels of a pod are those of a leader.
func isLeader(object client.Object) bool {
	return object.GetLabels()[leaderworkersetv1.WorkerIndexLabelKey] == identity.FormatIndex(0)
}

// isStatefulSetRevision reports whether a ControllerRevision is one that the StatefulSet controller keeps for itself.
func isStatefulSetRevision(object client.Object) bool {
	return object.GetLabels()[statefulSetRevisionLabel] != ""
}

// withDefaults fills in the defaults of LeaderWorkerSets that were written before the schema had them.
func withDefaults(object any) (any, error) {
	if lws, ok := object.(*leaderworkersetv1.LeaderWorkerSet); ok {
		lws.ManagedFields = nil
		lws.Default()
	}
	return object, nil
}

// The functions below keep the fields that passes read, and drop the others: the containers, volumes and managed fields
// of a pod are most of its size. A field that a pass newly reads belongs here. A pod's field belongs in
// podChangedBesidesPhase as well.

// trimPod keeps what a pass reads of a pod. What keeps a pod from being ready is kept until the pod is ready.
func trimPod(object any) (any, error) {
	pod, ok := object.(*corev1.Pod)
	if !ok {
		return object, nil
	}
	trimmed := &corev1.Pod{TypeMeta: pod.TypeMeta, ObjectMeta: trimmedMeta(pod.ObjectMeta)}
	trimmed.Annotations = withMetadataPrefix(pod.Annotations)
	trimmed.Labels = withMetadataPrefix(pod.Labels)
	if revision, ok := pod.Labels[appsv1.StatefulSetRevisionLabel]; ok {
		trimmed.Labels[appsv1.StatefulSetRevisionLabel] = revision
	}
	trimmed.Spec.SchedulingGates = pod.Spec.SchedulingGates
	if isLeader(pod) {
		trimmed.Spec.SchedulingGroup = pod.Spec.SchedulingGroup
	}
	trimmed.Spec.Containers = snapshot.ProofOfInjection(pod)
	if pod.Annotations[leaderworkersetv1.ExclusiveKeyAnnotationKey] != "" {
		trimmed.Spec.NodeName = pod.Spec.NodeName
	}
	trimmed.Status.Phase, trimmed.Status.Reason = pod.Status.Phase, pod.Status.Reason
	ready := snapshot.PodReady(pod)
	trimmed.Status.InitContainerStatuses = snapshot.FaultStatuses(pod.Status.InitContainerStatuses, ready)
	trimmed.Status.ContainerStatuses = snapshot.FaultStatuses(pod.Status.ContainerStatuses, ready)
	trimmed.Status.Conditions = trimmedConditions(pod)
	return trimmed, nil
}

// readyConditions are the conditions of every pod that is ready and left in peace. All share them: a set at rest has
// thousands of such pods.
var readyConditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}

// trimmedConditions keeps whether a pod is ready, and what keeps it from being ready or soon will.
func trimmedConditions(pod *corev1.Pod) []corev1.PodCondition {
	switch faults := snapshot.FaultConditions(pod); {
	case !snapshot.PodReady(pod):
		return faults
	case faults == nil:
		return readyConditions
	default:
		return slices.Concat(readyConditions, faults)
	}
}

// trimStatefulSet keeps the pod template of leader StatefulSets only: a pass writes a new one as the difference to the
// old one.
func trimStatefulSet(object any) (any, error) {
	sts, ok := object.(*appsv1.StatefulSet)
	if !ok {
		return object, nil
	}
	trimmed := &appsv1.StatefulSet{TypeMeta: sts.TypeMeta, ObjectMeta: trimmedMeta(sts.ObjectMeta), Spec: sts.Spec}
	if !isLeaderStatefulSet(sts) {
		trimmed.Spec.Template = corev1.PodTemplateSpec{}
		trimmed.Spec.VolumeClaimTemplates = nil
	}
	trimmed.Status.ObservedGeneration = sts.Status.ObservedGeneration
	trimmed.Status.ReadyReplicas = sts.Status.ReadyReplicas
	trimmed.Status.CurrentRevision = sts.Status.CurrentRevision
	return trimmed, nil
}

// trimRevision keeps the labels of a StatefulSet's own revisions, which name the revision of the LeaderWorkerSet. It
// keeps the data of a LeaderWorkerSet's revisions.
func trimRevision(object any) (any, error) {
	revision, ok := object.(*appsv1.ControllerRevision)
	if !ok {
		return object, nil
	}
	trimmed := &appsv1.ControllerRevision{
		TypeMeta: revision.TypeMeta, ObjectMeta: trimmedMeta(revision.ObjectMeta), Revision: revision.Revision,
	}
	if isStatefulSetRevision(revision) {
		trimmed.Annotations = nil
	} else {
		trimmed.Data = revision.Data
	}
	return trimmed, nil
}

// trimService keeps the owners of a Service, which pods it resolves, and its ports, which the operator's own has none
// of. Passes never update the spec.
func trimService(object any) (any, error) {
	service, ok := object.(*corev1.Service)
	if !ok {
		return object, nil
	}
	trimmed := &corev1.Service{TypeMeta: service.TypeMeta, ObjectMeta: trimmedMeta(service.ObjectMeta)}
	trimmed.Spec.ClusterIP, trimmed.Spec.Selector = service.Spec.ClusterIP, service.Spec.Selector
	trimmed.Spec.Ports = service.Spec.Ports
	return trimmed, nil
}

// trimClaim keeps the metadata of a volume claim.
func trimClaim(object any) (any, error) {
	claim, ok := object.(*corev1.PersistentVolumeClaim)
	if !ok {
		return object, nil
	}
	return &corev1.PersistentVolumeClaim{TypeMeta: claim.TypeMeta, ObjectMeta: trimmedMeta(claim.ObjectMeta)}, nil
}

// trimEvent keeps which StatefulSet lacks pods, and why.
func trimEvent(object any) (any, error) {
	event, ok := object.(*corev1.Event)
	if !ok {
		return object, nil
	}
	count, latest := event.Count, event.LastTimestamp
	if latest.IsZero() { // It was written by the newer API.
		count, latest = 1, metav1.NewTime(event.EventTime.Time)
		if event.Series != nil {
			count, latest = event.Series.Count, metav1.NewTime(event.Series.LastObservedTime.Time)
		}
	}
	return &corev1.Event{
		TypeMeta: event.TypeMeta,
		ObjectMeta: metav1.ObjectMeta{
			Namespace: event.Namespace, Name: event.Name, UID: event.UID, ResourceVersion: event.ResourceVersion,
		},
		InvolvedObject: corev1.ObjectReference{
			Kind: event.InvolvedObject.Kind, Name: event.InvolvedObject.Name, UID: event.InvolvedObject.UID,
		},
		Message:       event.Message,
		Count:         count,
		LastTimestamp: latest,
	}, nil
}

func trimmedMeta(meta metav1.ObjectMeta) metav1.ObjectMeta {
	meta.ManagedFields = nil
	shareLongValues(meta.Annotations)
	return meta
}

// longValue is the number of bytes from which on a value is worth to be shared.
const longValue = 1 << 10

// longValues are the last long values of annotations that the cache took. Objects of one set come one after the other.
var longValues = lru.New(32)

// shareLongValues makes equal values of annotations share their memory. The StatefulSets of all groups have the
// annotations of their set, which may have 256 KiB.
func shareLongValues(annotations map[string]string) {
	for key, value := range annotations {
		if len(value) < longValue {
			continue
		}
		if known, found := longValues.Get(value); found {
			annotations[key], _ = known.(string)
		} else {
			longValues.Add(value, value)
		}
	}
}

// withMetadataPrefix keeps the labels or annotations of the API group. Passes read no others of a pod.
func withMetadataPrefix(all map[string]string) map[string]string {
	kept := map[string]string{}
	for key, value := range all {
		if strings.HasPrefix(key, leaderworkersetv1.MetadataPrefix) {
			kept[key] = value
		}
	}
	return kept
}
