// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"gomodules.xyz/jsonpatch/v2"
	admissionv1 "k8s.io/api/admission/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrladmission "sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/desired"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/identity"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/release"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/snapshot"
)

// +kubebuilder:webhook:path=/mutate--v1-pod,mutating=true,failurePolicy=fail,sideEffects=None,groups="",resources=pods,verbs=create,versions=v1,name=mpod.leaderworkerset.x-k8s.io,admissionReviewVersions=v1,reinvocationPolicy=IfNeeded,patch=`{"objectSelector":{"matchExpressions":[{"key":"leaderworkerset.sigs.k8s.io/name","operator":"Exists"}]}}`

// podWebhook gives pods of groups their identity, and has leaders come in the order of a rolling update and after their previous group.
// The API server sends it only pods that are labeled with a LeaderWorkerSet's name.
type podWebhook struct {
	decoder ctrladmission.Decoder

	// live reads past the cache, which may be late.
	live client.Reader

	// cached reads from the cache, once it shows all that this replica of the operator knows it wrote.
	cached client.Reader

	// leads is closed once this replica leads.
	leads <-chan struct{}
}

// cacheTimeout bounds the wait for the cache. The API server gives up on a webhook after 10 s.
const cacheTimeout = time.Second

var _ ctrladmission.Handler = podWebhook{}

// Handle answers with what is injected. Comparing the whole pod before and after, as a Defaulter has it done, is half of what a pod costs,
// and there are thousands in a large set.
func (w podWebhook) Handle(ctx context.Context, request ctrladmission.Request) ctrladmission.Response {
	pod := &corev1.Pod{}
	if err := w.decoder.Decode(request, pod); err != nil {
		return ctrladmission.Errored(http.StatusBadRequest, err)
	}
	if pod.Namespace == "" {
		pod.Namespace = request.Namespace // The object in a request may leave it to the request.
	}
	before, err := json.Marshal(injected(pod))
	if err != nil {
		return ctrladmission.Errored(http.StatusInternalServerError, err)
	}
	initContainers, containers := slices.Clone(pod.Spec.InitContainers), slices.Clone(pod.Spec.Containers)
	var refusal apierrors.APIStatus
	switch err := w.admit(ctx, pod); {
	case errors.As(err, &refusal):
		return ctrladmission.Response{AdmissionResponse: admissionv1.AdmissionResponse{Result: ptr.To(refusal.Status())}}
	case err != nil:
		return ctrladmission.Errored(http.StatusInternalServerError, err)
	}
	after, err := json.Marshal(injected(pod))
	if err != nil {
		return ctrladmission.Errored(http.StatusInternalServerError, err)
	}
	patch, err := jsonpatch.CreatePatch(before, after)
	if err != nil {
		return ctrladmission.Errored(http.StatusInternalServerError, err)
	}
	patch = append(patch, variables("/spec/initContainers", initContainers, pod.Spec.InitContainers)...)
	patch = append(patch, variables("/spec/containers", containers, pod.Spec.Containers)...)
	return ctrladmission.Patched("", patch...)
}

// injected are the fields of a pod that admit may change, each in its place, but for the variables of containers.
func injected(pod *corev1.Pod) *corev1.Pod {
	fields := &corev1.Pod{}
	fields.Labels = pod.Labels
	fields.Spec.Subdomain = pod.Spec.Subdomain
	fields.Spec.Affinity = pod.Spec.Affinity
	fields.Spec.SchedulingGates = pod.Spec.SchedulingGates
	return fields
}

// variables patches those of containers.
func variables(path string, before, after []corev1.Container) []jsonpatch.Operation {
	var patch []jsonpatch.Operation
	for i := range after {
		patch = append(patch, prepended(fmt.Sprintf("%s/%d/env", path, i), before[i].Env, after[i].Env)...)
	}
	return patch
}

// prepended patches a list of variables to which some were added at the front, and others were taken out. What stays isn't written: it may
// have fields that are newer than this operator.
func prepended(path string, before, after []corev1.EnvVar) []jsonpatch.Operation {
	if len(before) == 0 && len(after) > 0 {
		return []jsonpatch.Operation{jsonpatch.NewOperation("add", path, after)}
	}
	var patch []jsonpatch.Operation
	added := len(after)
	for i, variable := range slices.Backward(before) {
		if added > 0 && equality.Semantic.DeepEqual(variable, after[added-1]) {
			added--
		} else {
			patch = append(patch, jsonpatch.NewOperation("remove", fmt.Sprintf("%s/%d", path, i), nil))
		}
	}
	for _, variable := range slices.Backward(after[:added]) {
		patch = append(patch, jsonpatch.NewOperation("add", path+"/0", variable))
	}
	return patch
}

// admit injects the pod. One that no StatefulSet made carries the label for a purpose of its own, such as a copy to debug: it is
// left alone.
func (w podWebhook) admit(ctx context.Context, pod *corev1.Pod) error {
	owner := metav1.GetControllerOf(pod)
	if owner == nil || owner.Kind != "StatefulSet" || pod.Labels[leaderworkersetv1.SetNameLabelKey] == "" {
		return nil
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
	leaders, err := w.leaders(ctx, client.ObjectKey{Namespace: leader.Namespace, Name: name})
	if err != nil {
		return client.IgnoreNotFound(err)
	}
	if reason := release.Refusal(leaders, leader); reason != "" {
		return apierrors.NewConflict(corev1.Resource("pods"), leader.Name, errors.New(reason))
	}
	return nil
}

// leaders is the leader StatefulSet as it was last ordered. Whoever leads gives the orders, and knows its own without a request for each of
// the hundreds of leaders of a set; other replicas may hear of them late. One that was elected a moment ago may, too, of its predecessor's
// last order: a leader that comes at the old revision then is replaced, as any that is outdated, and one at the new revision comes early.
func (w podWebhook) leaders(ctx context.Context, key client.ObjectKey) (*appsv1.StatefulSet, error) {
	leaders := &appsv1.StatefulSet{}
	select {
	case <-w.leads:
		within, cancel := context.WithTimeout(ctx, cacheTimeout)
		defer cancel()
		if err := w.cached.Get(within, key, leaders); !errors.Is(err, context.DeadlineExceeded) {
			return leaders, err
		}
	default:
	}
	return leaders, w.live.Get(ctx, key, leaders)
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
