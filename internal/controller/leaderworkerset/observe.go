// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package leaderworkerset

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/identity"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/revision"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/snapshot"
)

// observer is the only reader of a pass. It reads from the cache and returns plain values. They are read-only: the
// cache shares its objects.
type observer struct {
	client.Reader

	// live reads past the cache, for the two things that passes rarely need and that the cache leaves out: the templates
	// of lost workers, and pods of other owners.
	live client.Reader
}

// set observes what a pass over a LeaderWorkerSet looks at; nil if the set was deleted. looks says whether to look for
// a pod of another owner that has the name of the lowest missing leader.
func (o *observer) set(ctx context.Context, key types.NamespacedName, looks bool) (*snapshot.Set, error) {
	lws, err := get(ctx, o, key, &leaderworkersetv1.LeaderWorkerSet{})
	if lws == nil || err != nil {
		return nil, err
	}
	set := &snapshot.Set{LWS: lws}
	if set.Leaders, err = get(ctx, o, at(key, identity.LeaderStatefulSet(lws.Name)), &appsv1.StatefulSet{}); err != nil {
		return nil, err
	}
	service := identity.Service(lws.Name, 0, leaderworkersetv1.SubdomainShared)
	if set.Service, err = get(ctx, o, at(key, service), &corev1.Service{}); err != nil {
		return nil, err
	}
	if set.Revisions, err = o.revisions(ctx, key); err != nil {
		return nil, err
	}
	if set.BelowPartitionKey, err = o.belowPartitionKey(ctx, set.Leaders); err != nil {
		return nil, err
	}
	if set.Groups, err = o.groups(ctx, lws, set.Leaders); err != nil {
		return nil, err
	}
	if err := o.surplusClaims(ctx, set); err != nil {
		return nil, err
	}
	if set.LostWorkers, err = o.lostWorkers(ctx, set); err != nil {
		return nil, err
	}
	if missing := set.MissingLeaders(); len(missing) > 0 {
		lowest := identity.Leader(lws.Name, missing[0])
		set.MissingPods, err = o.missingPods(ctx, set.Leaders, lowest, looks)
	}
	return set, err
}

// surplusClaims observes the volume claims that are deleted with surplus leaders. The StatefulSet controller labels
// those that it creates. A claim without the labels isn't in the cache, and is kept.
func (o *observer) surplusClaims(ctx context.Context, set *snapshot.Set) error {
	for i := range set.Groups {
		group := &set.Groups[i]
		for _, name := range set.SurplusClaims(*group) {
			claim, err := get(ctx, o, at(client.ObjectKeyFromObject(group.Leader), name), &corev1.PersistentVolumeClaim{})
			if err != nil {
				return err
			}
			if claim != nil && claim.DeletionTimestamp == nil {
				group.Claims = append(group.Claims, claim)
			}
		}
	}
	return nil
}

// missingPods observes why a StatefulSet lacks pods. lowest is the name of the first of them. looks says whether to
// look for a pod of another owner that has that name.
func (o *observer) missingPods(
	ctx context.Context, sts *appsv1.StatefulSet, lowest string, looks bool,
) (missing snapshot.MissingPods, err error) {
	if missing.Refusal, err = o.refusal(ctx, sts); err != nil || !looks {
		return missing, err
	}
	missing.LookedForPod = true
	missing.InTheWay, err = o.podInTheWay(ctx, sts, lowest)
	return missing, err
}

// refusal returns the latest refusal of a pod of a StatefulSet.
func (o *observer) refusal(ctx context.Context, sts *appsv1.StatefulSet) (snapshot.Refusal, error) {
	var events corev1.EventList
	of := client.MatchingFields{refusalsOfStatefulSet: string(sts.UID)}
	if err := o.List(ctx, &events, client.InNamespace(sts.Namespace), of); err != nil {
		return snapshot.Refusal{}, fmt.Errorf("events: %w", err)
	}
	return snapshot.LatestRefusal(pointers(events.Items)), nil
}

// podInTheWay returns the pod of another owner that has the name of a pod of a StatefulSet; nil if there is none. The
// cache doesn't show pods without the operator's labels, and the StatefulSet controller doesn't report them.
func (o *observer) podInTheWay(
	ctx context.Context, sts *appsv1.StatefulSet, name string,
) (*metav1.PartialObjectMetadata, error) {
	pod := &metav1.PartialObjectMetadata{}
	pod.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Pod"))
	pod, err := get(ctx, o.live, types.NamespacedName{Namespace: sts.Namespace, Name: name}, pod)
	if pod == nil || err != nil || metav1.IsControlledBy(pod, sts) {
		return nil, err
	}
	return pod, nil
}

// lostWorkers reads a worker StatefulSet of the leader StatefulSet's revision, if that revision was deleted. The cache
// leaves out the pod templates of worker StatefulSets. One is enough: all are made from the same revision.
func (o *observer) lostWorkers(ctx context.Context, set *snapshot.Set) (*appsv1.StatefulSet, error) {
	key := set.LostKey()
	if key == "" {
		return nil, nil
	}
	for _, group := range set.Groups {
		if group.Workers == nil || group.Workers.Labels[leaderworkersetv1.RevisionLabelKey] != key {
			continue
		}
		workers, err := get(ctx, o.live, client.ObjectKeyFromObject(group.Workers), &appsv1.StatefulSet{})
		if err != nil || (workers != nil && workers.UID == group.Workers.UID) {
			return workers, err
		}
	}
	return nil, nil
}

func (o *observer) groups(
	ctx context.Context, lws *leaderworkersetv1.LeaderWorkerSet, leaders *appsv1.StatefulSet,
) ([]snapshot.Group, error) {
	var pods corev1.PodList
	err := o.List(ctx, &pods, client.InNamespace(lws.Namespace), client.MatchingFields{leadersOfSet: lws.Name})
	if err != nil {
		return nil, fmt.Errorf("leader pods: %w", err)
	}
	var workers appsv1.StatefulSetList
	err = o.List(ctx, &workers, client.InNamespace(lws.Namespace), client.MatchingFields{workersOfSet: lws.Name})
	if err != nil {
		return nil, fmt.Errorf("worker StatefulSets: %w", err)
	}
	var uninjected corev1.PodList
	err = o.List(ctx, &uninjected, client.InNamespace(lws.Namespace), client.MatchingFields{uninjectedOfSet: lws.Name})
	if err != nil {
		return nil, fmt.Errorf("pods created without the webhook: %w", err)
	}
	groups := snapshot.OwnedGroups(lws, leaders, pointers(pods.Items), pointers(workers.Items))
	snapshot.MarkUninjected(groups, pointers(uninjected.Items))
	return groups, nil
}

// group observes what a pass over one group looks at. key names its leader pod. looks says whether to look for a pod of
// another owner that has the name of the lowest missing worker.
func (o *observer) group(
	ctx context.Context, key types.NamespacedName, looks bool,
) (*snapshot.GroupMembers, error) {
	set, index, ok := identity.Parse(key.Name)
	if !ok {
		return nil, fmt.Errorf("%q is not the name of a group", key.Name)
	}
	members := &snapshot.GroupMembers{Index: index}
	var err error
	if members.Leader, err = get(ctx, o, key, &corev1.Pod{}); err != nil {
		return nil, err
	}
	if members.LWS, err = get(ctx, o, at(key, set), &leaderworkersetv1.LeaderWorkerSet{}); err != nil {
		return nil, err
	}
	if members.Leaders, err = get(ctx, o, at(key, identity.LeaderStatefulSet(set)), &appsv1.StatefulSet{}); err != nil {
		return nil, err
	}
	workersName := identity.WorkerStatefulSet(set, index)
	if members.Workers, err = get(ctx, o, at(key, workersName), &appsv1.StatefulSet{}); err != nil {
		return nil, err
	}
	service := identity.Service(set, index, leaderworkersetv1.SubdomainUniquePerReplica)
	if members.Service, err = get(ctx, o, at(key, service), &corev1.Service{}); err != nil {
		return nil, err
	}
	var workers corev1.PodList
	ofGroup := client.MatchingFields{identity.WorkersOfGroup: key.Name}
	err = o.List(ctx, &workers, client.InNamespace(key.Namespace), ofGroup)
	if err != nil {
		return nil, fmt.Errorf("worker pods: %w", err)
	}
	members.WorkerPods = pointers(workers.Items)
	var claims corev1.PersistentVolumeClaimList
	err = o.List(ctx, &claims, client.InNamespace(key.Namespace), client.MatchingFields{claimsOfGroup: key.Name})
	if err != nil {
		return nil, fmt.Errorf("volume claims: %w", err)
	}
	members.Claims = pointers(claims.Items)
	if members.Revisions, err = o.revisions(ctx, at(key, set)); err != nil {
		return nil, err
	}
	if members.Node, err = o.nodeOf(ctx, members.Leader); err != nil {
		return nil, err
	}
	if missing := members.MissingWorkers(); len(missing) > 0 {
		lowest := identity.Worker(members.Leader.Name, missing[0])
		members.MissingPods, err = o.missingPods(ctx, members.Workers, lowest, looks)
	}
	return members, err
}

func (o *observer) revisions(ctx context.Context, set types.NamespacedName) ([]*appsv1.ControllerRevision, error) {
	var list appsv1.ControllerRevisionList
	err := o.List(ctx, &list, client.InNamespace(set.Namespace), client.MatchingFields{revisionsOfSet: set.Name})
	if err != nil {
		return nil, fmt.Errorf("revisions: %w", err)
	}
	return pointers(list.Items), nil
}

// belowPartitionKey returns the key of the current revision of the leader StatefulSet; empty if that isn't known.
func (o *observer) belowPartitionKey(ctx context.Context, leaders *appsv1.StatefulSet) (string, error) {
	if leaders == nil || leaders.Status.CurrentRevision == "" {
		return "", nil
	}
	key := types.NamespacedName{Namespace: leaders.Namespace, Name: leaders.Status.CurrentRevision}
	current, err := get(ctx, o, key, &appsv1.ControllerRevision{})
	if current == nil || err != nil {
		return "", err
	}
	return revision.Key(current), nil
}

// nodeOf reads the metadata of the node that a leader runs on, if the leader asks for exclusive placement. The first
// such leader starts a watch of the nodes. A cluster without exclusive placement has none.
func (o *observer) nodeOf(ctx context.Context, leader *corev1.Pod) (*metav1.PartialObjectMetadata, error) {
	if leader == nil || leader.Spec.NodeName == "" {
		return nil, nil
	}
	if leader.Annotations[leaderworkersetv1.ExclusiveKeyAnnotationKey] == "" {
		return nil, nil
	}
	node := &metav1.PartialObjectMetadata{}
	node.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Node"))
	return get(ctx, o, types.NamespacedName{Name: leader.Spec.NodeName}, node)
}

// get reads an object; nil if there is none.
func get[T client.Object](ctx context.Context, reader client.Reader, key types.NamespacedName, into T) (T, error) {
	var none T
	err := reader.Get(ctx, key, into)
	switch {
	case apierrors.IsNotFound(err):
		return none, nil
	case err != nil:
		return none, fmt.Errorf("%T %s: %w", into, key, err)
	default:
		return into, nil
	}
}

func at(key types.NamespacedName, name string) types.NamespacedName {
	return types.NamespacedName{Namespace: key.Namespace, Name: name}
}

func pointers[T any](items []T) []*T {
	result := make([]*T, len(items))
	for i := range items {
		result[i] = &items[i]
	}
	return result
}
