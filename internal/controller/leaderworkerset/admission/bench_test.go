// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"context"
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// BenchmarkHandle measures the answer to a request to create a pod, up to its JSON. With exclusive placement, a leader
// waits for its previous group. Requests to the API server cost nothing here.
func BenchmarkHandle(b *testing.B) {
	for _, role := range []string{"leader", "worker"} {
		for _, exclusive := range []bool{false, true} {
			b.Run(fmt.Sprintf("%s/exclusive=%t", role, exclusive), func(b *testing.B) {
				request := newRequest(b, newServingPod(role, exclusive))
				webhook := newPodWebhook(b)
				webhook.live = previousPod{}
				b.ReportAllocs()
				for b.Loop() {
					response := webhook.Handle(b.Context(), request)
					if err := response.Complete(request); err != nil || !response.Allowed {
						b.Fatal(err, response.Result)
					}
				}
			})
		}
	}
}

// previousPod is an API server that has no StatefulSets. It has one pod of every group.
type previousPod struct{ client.Reader }

func (previousPod) Get(_ context.Context, key client.ObjectKey, _ client.Object, _ ...client.GetOption) error {
	return apierrors.NewNotFound(corev1.Resource("statefulsets"), key.Name)
}

func (previousPod) List(_ context.Context, list client.ObjectList, _ ...client.ListOption) error {
	if pods, ok := list.(*metav1.PartialObjectMetadataList); ok {
		pods.Items = make([]metav1.PartialObjectMetadata, 1)
	}
	return nil
}

// newServingPod returns a pod of an inference server. It has the fields that the API server sets before it calls
// webhooks.
func newServingPod(role string, exclusive bool) *corev1.Pod {
	pod := newLeaderPod()
	if role == "worker" {
		pod.Name = "a-0-1"
		delete(pod.Labels, leaderworkersetv1.WorkerIndexLabelKey)
		pod.Labels[leaderworkersetv1.GroupIndexLabelKey] = "0"
		pod.Annotations[leaderworkersetv1.LeaderPodNameAnnotationKey] = "a-0"
	}
	if exclusive {
		pod.Annotations[leaderworkersetv1.ExclusiveKeyAnnotationKey] = "rack"
	}
	pod.Annotations[leaderworkersetv1.SizeAnnotationKey] = "8"
	pod.ManagedFields = []metav1.ManagedFieldsEntry{{
		Manager: "kube-controller-manager", Operation: metav1.ManagedFieldsOperationUpdate, APIVersion: "v1",
		Time: ptr.To(metav1.Unix(1, 0)), FieldsType: "FieldsV1", FieldsV1: metav1.NewFieldsV1(managedFields()),
	}}
	pod.Spec.Hostname = pod.Name
	pod.Spec.InitContainers = []corev1.Container{newServingContainer("download", 4)}
	pod.Spec.Containers = []corev1.Container{newServingContainer("server", 16), newServingContainer("proxy", 0)}
	for _, name := range []string{"model", "shm", "cache", "kube-api-access"} {
		pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{
			Name: name, VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{Medium: "Memory"}},
		})
	}
	for _, key := range []string{"nvidia.com/gpu", corev1.TaintNodeNotReady, corev1.TaintNodeUnreachable} {
		pod.Spec.Tolerations = append(pod.Spec.Tolerations, corev1.Toleration{
			Key: key, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute,
			TolerationSeconds: ptr.To[int64](300),
		})
	}
	gpu := corev1.NodeSelectorRequirement{Key: "gpu", Operator: corev1.NodeSelectorOpIn, Values: []string{"h100"}}
	pod.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{
		RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{
			{MatchExpressions: []corev1.NodeSelectorRequirement{gpu}},
		}},
	}}
	return pod
}

func newServingContainer(name string, variables int) corev1.Container {
	container := corev1.Container{
		Name:    name,
		Image:   "registry.example.com/serve:1",
		Command: []string{"/bin/sh", "-c", "exec serve --address $(LWS_LEADER_ADDRESS)"},
		Ports:   []corev1.ContainerPort{{Name: "http", ContainerPort: 8080, Protocol: corev1.ProtocolTCP}},
		Resources: corev1.ResourceRequirements{Limits: corev1.ResourceList{
			"cpu": resource.MustParse("16"), "memory": resource.MustParse("256Gi"), "nvidia.com/gpu": resource.MustParse("8"),
		}},
		ReadinessProbe: &corev1.Probe{
			ProbeHandler:  corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{}},
			PeriodSeconds: 10, TimeoutSeconds: 1, FailureThreshold: 3,
		},
		TerminationMessagePath: "/dev/termination-log", TerminationMessagePolicy: corev1.TerminationMessageReadFile,
		ImagePullPolicy: corev1.PullIfNotPresent,
	}
	for _, volume := range []string{"model", "shm", "cache", "kube-api-access"} {
		mount := corev1.VolumeMount{Name: volume, MountPath: "/var/run/" + volume}
		container.VolumeMounts = append(container.VolumeMounts, mount)
	}
	for i := range variables {
		container.Env = append(container.Env, corev1.EnvVar{Name: fmt.Sprintf("SERVE_OPTION_%d", i), Value: "some value"})
	}
	return container
}

// managedFields returns as much text as the StatefulSet controller's managed fields have.
func managedFields() string {
	fields := []byte(`{"f:spec":{`)
	for i := range 60 {
		fields = fmt.Appendf(fields, `"k:{\"name\":\"SERVE_OPTION_%d\"}":{".":{},"f:name":{},"f:value":{}},`, i)
	}
	return string(fields) + `"f:subdomain":{}}}`
}
