// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"gomodules.xyz/jsonpatch/v2"
	admissionv1 "k8s.io/api/admission/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrladmission "sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/desired"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/identity"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/release"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/restart"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/snapshot"
	"github.com/leaderworkerset/lws-operator/internal/controller/scheduling"
)

// +kubebuilder:webhook:path=/mutate--v1-pod,mutating=true,failurePolicy=fail,sideEffects=None,groups="",resources=pods,verbs=create,versions=v1,name=mpod.leaderworkerset.x-k8s.io,admissionReviewVersions=v1,reinvocationPolicy=IfNeeded,patch=`{"objectSelector":{"matchExpressions":[{"key":"leaderworkerset.sigs.k8s.io/name","operator":"Exists"}]}}`

// podWebhook injects the pods of groups. It rejects leaders whose revision isn't the one that the rolling update
// creates next. It gates leaders of groups that may have to wait for their restart, and leaders whose previous group is
// still there. The API server calls it only for pods that are labeled with the name of a LeaderWorkerSet.
type podWebhook struct {
	decoder ctrladmission.Decoder

	// live reads from the API server. The cache may lag behind.
	live client.Reader

	// cached reads from the cache, once the cache shows all writes of this replica of the operator.
	cached client.Reader

	// elected is closed once this replica leads.
	elected <-chan struct{}

	// features returns what schedules pods together now.
	features func() scheduling.Features

	options Options
}

var _ ctrladmission.Handler = podWebhook{}

// Handle answers with the operations that injection recorded. A Defaulter would compare the whole pod before and after,
// which is half of the CPU time that a pod costs, and a large set has thousands of pods.
func (w podWebhook) Handle(ctx context.Context, request ctrladmission.Request) ctrladmission.Response {
	pod := &corev1.Pod{}
	if err := w.decoder.Decode(request, pod); err != nil {
		return ctrladmission.Errored(http.StatusBadRequest, err)
	}
	if pod.Namespace == "" {
		pod.Namespace = request.Namespace // The object of a request need not repeat it.
	}
	patch, err := w.admit(ctx, pod, request.UID)
	var rejection apierrors.APIStatus
	switch {
	case errors.As(err, &rejection):
		return ctrladmission.Response{AdmissionResponse: admissionv1.AdmissionResponse{Result: ptr.To(rejection.Status())}}
	case err != nil:
		return ctrladmission.Errored(http.StatusInternalServerError, err)
	}
	return ctrladmission.Patched("", patch...)
}

// admit injects the pod and returns the operations that do the same to the pod's JSON. A labeled pod that no
// StatefulSet created, such as a copy for debugging, stays as it is. admission is the UID of the request.
func (w podWebhook) admit(
	ctx context.Context, pod *corev1.Pod, admission types.UID,
) ([]jsonpatch.Operation, error) {
	owner := metav1.GetControllerOf(pod)
	if owner == nil || owner.Kind != "StatefulSet" || pod.Labels[leaderworkersetv1.SetNameLabelKey] == "" {
		return nil, nil
	}
	if pod.Labels[leaderworkersetv1.WorkerIndexLabelKey] != identity.FormatIndex(0) {
		return inject(pod)
	}
	leaders, err := w.leaderStatefulSet(ctx, client.ObjectKey{Namespace: pod.Namespace, Name: owner.Name})
	switch {
	case client.IgnoreNotFound(err) != nil:
		return nil, err
	case err != nil:
		leaders = nil // It was deleted.
	case metav1.GetControllerOf(leaders) == nil:
		leaders = nil // Its set was deleted, without it: no pass would end the wait of a leader.
	}
	placement, err := checkLeader(pod, leaders)
	if err != nil {
		w.options.Meter.LeaderRejected()
		return nil, err
	}
	patch, err := inject(pod)
	if err != nil {
		return nil, err
	}
	gated, err := w.gateUntilRestart(ctx, pod, leaders)
	if err != nil {
		return nil, err
	}
	if leaders == nil {
		return patch, nil
	}
	joined, err := w.joinPodGroup(pod, admission)
	if err != nil {
		return nil, err
	}
	gate, err := w.gateUntilPreviousGroupGone(ctx, pod)
	return slices.Concat(placement, patch, joined, gated, gate), err
}

// joinPodGroup puts a leader into a PodGroup of its incarnation, if its set asks for one. A leader that can't have one
// is rejected: the scheduler would place its group pod by pod.
func (w podWebhook) joinPodGroup(leader *corev1.Pod, admission types.UID) ([]jsonpatch.Operation, error) {
	if !desired.NeedsPodGroup(leader) {
		return nil, nil
	}
	if problem := w.features().Unavailable(); problem != nil {
		return nil, apierrors.NewConflict(corev1.Resource("pods"), leader.Name, errors.New(problem.Message))
	}
	return desired.JoinPodGroup(leader, admission), nil
}

// inject injects the pod. A pod that doesn't say where it belongs is rejected.
func inject(pod *corev1.Pod) ([]jsonpatch.Operation, error) {
	patch, err := desired.Inject(pod)
	if err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	return patch, nil
}

// checkLeader rejects a leader whose revision isn't the one that its group has next. The StatefulSet controller tries
// again. It brings the placement of any other leader up to date. leaders is nil if nobody manages the leader.
func checkLeader(leader *corev1.Pod, leaders *appsv1.StatefulSet) ([]jsonpatch.Operation, error) {
	if leaders == nil {
		return nil, nil
	}
	if reason := release.Rejection(leaders, leader); reason != "" {
		return nil, apierrors.NewConflict(corev1.Resource("pods"), leader.Name, errors.New(reason))
	}
	return desired.UpdatePlacement(leader, leaders), nil
}

// gateUntilRestart adds a scheduling gate to a leader whose group may have to wait for its restart. A pass over the set
// removes the gate. All replicas have LeaderWorkerSets in their cache.
func (w podWebhook) gateUntilRestart(
	ctx context.Context, leader *corev1.Pod, leaders *appsv1.StatefulSet,
) ([]jsonpatch.Operation, error) {
	if leaders == nil || leaders.Annotations[leaderworkersetv1.GroupRecordAnnotationKey] == "" {
		return nil, nil
	}
	lws := &leaderworkersetv1.LeaderWorkerSet{}
	key := client.ObjectKey{Namespace: leader.Namespace, Name: leader.Labels[leaderworkersetv1.SetNameLabelKey]}
	if err := w.fromCache(ctx, key, lws); err != nil {
		return nil, client.IgnoreNotFound(err)
	}
	if !restart.GatesLeader(lws, leaders, leader) {
		return nil, nil
	}
	return desired.AddSchedulingGate(leader, leaderworkersetv1.RestartSchedulingGate), nil
}

// leaderStatefulSet returns the leader StatefulSet with the last release that the operator wrote.
//
// The replica that leads writes the releases. It reads its own from the cache, which saves a request for each of the
// hundreds of leaders of a set. The caches of other replicas may lag behind, so these ask the API server.
//
// The cache of a replica that has just been elected may lack the last release of its predecessor. Such a replica may
// admit a leader of the old revision, which the rollout replaces like any outdated leader, or one of the new revision,
// which is created early.
func (w podWebhook) leaderStatefulSet(ctx context.Context, key client.ObjectKey) (*appsv1.StatefulSet, error) {
	leaders := &appsv1.StatefulSet{}
	if w.leads() {
		return leaders, w.fromCache(ctx, key, leaders)
	}
	return leaders, w.live.Get(ctx, key, leaders)
}

// fromCache reads an object from the cache. If the cache takes too long to show what this replica wrote, it reads from
// the API server.
func (w podWebhook) fromCache(ctx context.Context, key client.ObjectKey, object client.Object) error {
	within, cancel := context.WithTimeout(ctx, w.options.CacheTimeout)
	defer cancel()
	if err := w.cached.Get(within, key, object); !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return w.live.Get(ctx, key, object)
}

// gateUntilPreviousGroupGone adds a scheduling gate to a leader while pods of its group's previous incarnation are in
// its way, see [desired.WaitsFor]. Pods that aren't marked for deletion are rare: somebody deleted the leader with no
// grace period, or an operator ended between the deletions of a group. A leader that names its node isn't scheduled,
// and can't have a gate.
func (w podWebhook) gateUntilPreviousGroupGone(ctx context.Context, leader *corev1.Pod) ([]jsonpatch.Operation, error) {
	if snapshot.WaitsForPreviousGroup(leader) || leader.Spec.NodeName != "" {
		return nil, nil
	}
	previous, err := w.previousPods(ctx, leader)
	if err != nil {
		return nil, fmt.Errorf("pods of the group's previous incarnation: %w", err)
	}
	inTheWay := func(pod metav1.Object) bool {
		return !snapshot.IsTakenAside(pod) && desired.WaitsFor(leader, pod)
	}
	if !slices.ContainsFunc(previous, inTheWay) {
		return nil, nil
	}
	return desired.AddSchedulingGate(leader, leaderworkersetv1.PreviousGroupSchedulingGate), nil
}

// previousPods returns the pods of the group of a new leader. The replica that leads reads them from its cache, unless
// the leader has affinity to a topology domain: a pod that the cache doesn't show would bind it to one.
func (w podWebhook) previousPods(ctx context.Context, leader *corev1.Pod) ([]metav1.Object, error) {
	if w.leads() && !desired.HasDomainAffinity(leader) {
		within, cancel := context.WithTimeout(ctx, w.options.CacheTimeout)
		defer cancel()
		workers := &corev1.PodList{}
		ofGroup := client.MatchingFields{identity.WorkersOfGroup: leader.Name}
		err := w.cached.List(within, workers, client.InNamespace(leader.Namespace), ofGroup)
		if !errors.Is(err, context.DeadlineExceeded) {
			return objects[*corev1.Pod](workers.Items), err
		}
	}
	pods := &metav1.PartialObjectMetadataList{}
	pods.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("PodList"))
	ofGroup := client.MatchingLabels{
		leaderworkersetv1.GroupUniqueHashLabelKey: leader.Labels[leaderworkersetv1.GroupUniqueHashLabelKey],
	}
	err := w.live.List(ctx, pods, client.InNamespace(leader.Namespace), ofGroup)
	return objects[*metav1.PartialObjectMetadata](pods.Items), err
}

// leads reports whether this replica leads.
func (w podWebhook) leads() bool {
	select {
	case <-w.elected:
		return true
	default:
		return false
	}
}

// objects returns pointers to the items of a list.
func objects[P interface {
	*T
	metav1.Object
}, T any](items []T) []metav1.Object {
	list := make([]metav1.Object, len(items))
	for i := range items {
		list[i] = P(&items[i])
	}
	return list
}
