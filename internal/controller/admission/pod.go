// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"context"
	"errors"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrladmission "sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/desired"
	"github.com/leaderworkerset/lws-operator/internal/controller/identity"
	"github.com/leaderworkerset/lws-operator/internal/controller/snapshot"
)

// +kubebuilder:webhook:path=/mutate--v1-pod,mutating=true,failurePolicy=fail,sideEffects=None,groups="",resources=pods,verbs=create,versions=v1,name=mpod.leaderworkerset.x-k8s.io,admissionReviewVersions=v1,reinvocationPolicy=IfNeeded,patch=`{"objectSelector":{"matchExpressions":[{"key":"leaderworkerset.sigs.k8s.io/name","operator":"Exists"}]}}`

// podWebhook gives pods of groups their identity, and has leaders come in the order of a rolling update and after their previous group.
// The API server sends it only pods that are labeled with a LeaderWorkerSet's name.
type podWebhook struct {
	// live reads past the cache, which may be late, and which has pods and StatefulSets only in the replica of the operator that leads.
	live client.Reader
}

var _ ctrladmission.Defaulter[*corev1.Pod] = podWebhook{}

// Default injects the pod. One that no StatefulSet made carries the label for a purpose of its own, such as a copy to debug: it is
// left alone.
func (w podWebhook) Default(ctx context.Context, pod *corev1.Pod) error {
	owner := metav1.GetControllerOf(pod)
	if owner == nil || owner.Kind != "StatefulSet" || pod.Labels[leaderworkersetv1.SetNameLabelKey] == "" {
		return nil
	}
	if pod.Namespace == "" {
		// The object in a request may leave it to the request.
		if request, err := ctrladmission.RequestFromContext(ctx); err == nil {
			pod.Namespace = request.Namespace
		}
	}
	if err := desired.Inject(pod); err != nil {
		return apierrors.NewBadRequest(err.Error())
	}
	if pod.Labels[leaderworkersetv1.WorkerIndexLabelKey] != identity.FormatIndex(0) {
		return nil
	}
	if err := w.checkOrder(ctx, pod, owner.Name); err != nil {
		return err
	}
	return w.holdBack(ctx, pod)
}

// checkOrder refuses a leader that comes at another revision than its group is to be of now. Its StatefulSet's controller tries again.
func (w podWebhook) checkOrder(ctx context.Context, leader *corev1.Pod, name string) error {
	leaders := &appsv1.StatefulSet{}
	if err := w.live.Get(ctx, client.ObjectKey{Namespace: leader.Namespace, Name: name}, leaders); err != nil {
		return client.IgnoreNotFound(err)
	}
	if reason := snapshot.OutOfOrder(leaders, leader); reason != "" {
		return apierrors.NewConflict(corev1.Resource("pods"), leader.Name, errors.New(reason))
	}
	return nil
}

// holdBack has a leader that is bound to the place of its group wait for the pods of the group's previous life to be gone: they have
// the same key, and their place may be full or cordoned by now. The scheduler wouldn't look again when they are gone. A pod that names
// its node isn't scheduled.
func (w podWebhook) holdBack(ctx context.Context, pod *corev1.Pod) error {
	if !desired.LeadsToAPlace(pod) || snapshot.WaitsForPreviousGroup(pod) || pod.Spec.NodeName != "" {
		return nil
	}
	previous := &metav1.PartialObjectMetadataList{}
	previous.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("PodList"))
	key := client.MatchingLabels{leaderworkersetv1.GroupUniqueHashLabelKey: pod.Labels[leaderworkersetv1.GroupUniqueHashLabelKey]}
	if err := w.live.List(ctx, previous, client.InNamespace(pod.Namespace), key, client.Limit(1)); err != nil {
		return fmt.Errorf("pods of the group's previous life: %w", err)
	}
	if len(previous.Items) > 0 {
		pod.Spec.SchedulingGates = append(pod.Spec.SchedulingGates, corev1.PodSchedulingGate{Name: leaderworkersetv1.PreviousGroupSchedulingGate})
	}
	return nil
}
