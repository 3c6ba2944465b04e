// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package desired_test

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/utils/ptr"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/desired"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/revision"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/rollout"
)

const (
	prefix = "leaderworkerset.sigs.k8s.io/"
	key    = "5b8d7f9c6"
)

// newSet returns a set of groups of this size. Each pod has one container.
func newSet(size int32) *leaderworkersetv1.LeaderWorkerSet {
	lws := &leaderworkersetv1.LeaderWorkerSet{}
	lws.Name, lws.Namespace, lws.UID = "llama", "default", "set"
	lws.Spec.Replicas = ptr.To[int32](3)
	lws.Spec.LeaderWorkerTemplate.Size = ptr.To(size)
	lws.Spec.LeaderWorkerTemplate.WorkerTemplate.Spec.Containers = []corev1.Container{{Name: "main", Image: "serve:1"}}
	lws.Default()
	return lws
}

func withSubGroups(lws *leaderworkersetv1.LeaderWorkerSet, size int32, policy leaderworkersetv1.SubGroupPolicyType) {
	lws.Spec.LeaderWorkerTemplate.SubGroupPolicy = &leaderworkersetv1.SubGroupPolicy{
		SubGroupSize: ptr.To(size), Type: policy,
	}
}

func uniqueSubdomains(lws *leaderworkersetv1.LeaderWorkerSet) {
	lws.Spec.NetworkConfig.SubdomainPolicy = ptr.To(leaderworkersetv1.SubdomainUniquePerReplica)
}

func tpuContainer(name string) corev1.Container {
	return corev1.Container{Name: name, Resources: corev1.ResourceRequirements{
		Limits: corev1.ResourceList{leaderworkersetv1.TPUResourceName: resource.MustParse("4")},
	}}
}

// createdPods returns the pods of a group, by worker index, as the StatefulSet controller creates them.
func createdPods(lws *leaderworkersetv1.LeaderWorkerSet, group int32) []*corev1.Pod {
	template := revision.TemplateOf(lws)
	leaders := desired.LeaderStatefulSet(lws, &template, key, rollout.Step{Replicas: *lws.Spec.Replicas})
	leader := createdPod(&leaders.Spec.Template, leaders.Spec.ServiceName, fmt.Sprintf("llama-%d", group))
	pods := []*corev1.Pod{leader}
	workers := desired.WorkerStatefulSet(lws, &template, key, desired.Group{Index: group, Leader: leader})
	for worker := range *workers.Spec.Replicas {
		name := fmt.Sprintf("%s-%d", workers.Name, workers.Spec.Ordinals.Start+worker)
		pods = append(pods, createdPod(&workers.Spec.Template, workers.Spec.ServiceName, name))
	}
	return pods
}

func createdPod(template *corev1.PodTemplateSpec, subdomain, name string) *corev1.Pod {
	template = template.DeepCopy()
	pod := &corev1.Pod{ObjectMeta: template.ObjectMeta, Spec: template.Spec}
	pod.Name, pod.Namespace = name, "default"
	pod.Spec.Hostname, pod.Spec.Subdomain = name, subdomain
	return pod
}

// injectedPods returns the injected pods of group 1, by worker index.
func injectedPods(t *testing.T, lws *leaderworkersetv1.LeaderWorkerSet) []*corev1.Pod {
	t.Helper()
	pods := createdPods(lws, 1)
	for _, pod := range pods {
		inject(t, pod)
	}
	return pods
}

// variable returns the value of a container's environment variable, or missing.
func variable(container corev1.Container, name string) string {
	for _, v := range container.Env {
		if v.Name == name {
			return v.Value
		}
	}
	return missing
}

const missing = "(missing)"
