// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package judge

import (
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// scene tells a judge what happens to the set "llama", whose groups have two pods.
type scene struct {
	judge *Judge
	now   time.Time
	gap   bool
	known map[types.UID]client.Object
	// incarnation counts the incarnations of all groups.
	incarnation int
}

// key is the name of the set.
var key = types.NamespacedName{Namespace: "default", Name: "llama"}

// The UIDs of the set and of its leader StatefulSet.
const setUID, leadersUID = "set", "leaders"

func newScene() *scene {
	return &scene{judge: New(), now: time.Unix(1_700_000_000, 0), known: map[types.UID]client.Object{}}
}

// wait lets time pass.
func (s *scene) wait(seconds int) { s.now = s.now.Add(time.Duration(seconds) * time.Second) }

// put creates or changes an object.
func (s *scene) put(object client.Object) {
	before := s.known[object.GetUID()]
	s.known[object.GetUID()] = object
	s.judge.Observe(Event{At: s.now, Before: before, After: object, Gap: s.gap})
}

// remove deletes an object for good.
func (s *scene) remove(uid types.UID) {
	before := s.known[uid]
	delete(s.known, uid)
	s.judge.Observe(Event{At: s.now, Before: before, Gap: s.gap})
}

// mark deletes an object, which still terminates.
func (s *scene) mark(uid types.UID) {
	object, _ := s.known[uid].DeepCopyObject().(client.Object)
	object.SetDeletionTimestamp(ptr.To(metav1.NewTime(s.now)))
	s.put(object)
}

// spec is what the set asks for.
type spec struct {
	replicas, partition int32
	unavailable, surge  int
	image               string
	scaled, deleted     bool // whether claims are deleted then
}

// set creates or changes the set.
func (s *scene) set(uid types.UID, of spec) {
	policy := func(deletes bool) appsv1.PersistentVolumeClaimRetentionPolicyType {
		if deletes {
			return appsv1.DeletePersistentVolumeClaimRetentionPolicyType
		}
		return appsv1.RetainPersistentVolumeClaimRetentionPolicyType
	}
	generation := int64(1)
	if before := s.known[uid]; before != nil {
		generation = before.GetGeneration() + 1
	}
	s.put(&leaderworkersetv1.LeaderWorkerSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name, UID: uid, Generation: generation},
		Spec: leaderworkersetv1.LeaderWorkerSetSpec{
			Replicas: ptr.To(of.replicas),
			RolloutStrategy: leaderworkersetv1.RolloutStrategy{
				RollingUpdateConfiguration: &leaderworkersetv1.RollingUpdateConfiguration{
					MaxUnavailable: ptr.To(intstr.FromInt(of.unavailable)), MaxSurge: ptr.To(intstr.FromInt(of.surge)),
					Partition: ptr.To(of.partition),
				},
			},
			LeaderWorkerTemplate: leaderworkersetv1.LeaderWorkerTemplate{
				Size:           ptr.To(int32(2)),
				WorkerTemplate: corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{Image: of.image}}}},
				PersistentVolumeClaimRetentionPolicy: &appsv1.StatefulSetPersistentVolumeClaimRetentionPolicy{
					WhenScaled: policy(of.scaled), WhenDeleted: policy(of.deleted),
				},
			},
		},
	})
	if uid == setUID {
		s.put(statefulSet(leadersUID, "LeaderWorkerSet", setUID))
	}
}

// statefulSet returns a StatefulSet of the set with a controller.
func statefulSet(uid types.UID, kind string, owner types.UID) *appsv1.StatefulSet {
	return &appsv1.StatefulSet{ObjectMeta: meta(string(uid), uid, kind, owner)}
}

// meta returns the metadata of an object of the set with a controller.
func meta(name string, uid types.UID, kind string, owner types.UID) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Namespace: key.Namespace, Name: name, UID: uid,
		Labels:          map[string]string{leaderworkersetv1.SetNameLabelKey: key.Name},
		OwnerReferences: []metav1.OwnerReference{{Kind: kind, UID: owner, Controller: ptr.To(true)}},
	}
}

// pod returns a pod of a group. The UID of a leader is like "1/0", that of its worker "1/0-1": the first incarnation
// of all, and the index of the group.
func pod(incarnation, index, worker int, image string) *corev1.Pod {
	leader := types.UID(fmt.Sprintf("%d/%d", incarnation, index))
	p := &corev1.Pod{ObjectMeta: meta(fmt.Sprintf("llama-%d", index), leader, "StatefulSet", leadersUID)}
	if worker > 0 {
		p.ObjectMeta = meta(fmt.Sprintf("llama-%d-%d", index, worker), leader+"-1", "StatefulSet", "workers of "+leader)
	}
	p.Labels[leaderworkersetv1.GroupIndexLabelKey] = fmt.Sprint(index)
	p.Labels[leaderworkersetv1.WorkerIndexLabelKey] = fmt.Sprint(worker)
	p.Labels[leaderworkersetv1.RevisionLabelKey] = image
	p.Annotations = map[string]string{leaderworkersetv1.SizeAnnotationKey: "2"}
	p.Spec.Containers = []corev1.Container{{Image: image}}
	return p
}

func ready(p *corev1.Pod) *corev1.Pod {
	p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	p.Status.ContainerStatuses = []corev1.ContainerStatus{{}}
	return p
}

// group creates the next incarnation of a group, which is ready at once. It returns the UID of the leader.
func (s *scene) group(index int, image string) types.UID {
	s.incarnation++
	leader, worker := pod(s.incarnation, index, 0, image), pod(s.incarnation, index, 1, image)
	leader.CreationTimestamp = metav1.NewTime(s.now)
	s.put(leader)
	s.put(statefulSet("workers of "+leader.UID, "Pod", leader.UID))
	s.put(worker)
	s.put(ready(leader.DeepCopy()))
	s.put(ready(worker.DeepCopy()))
	return leader.UID
}

// restartContainer counts a restart of a pod's container.
func (s *scene) restartContainer(uid types.UID) {
	p, _ := s.known[uid].DeepCopyObject().(*corev1.Pod)
	p.Status.ContainerStatuses[0].RestartCount++
	s.put(p)
}

// createLateWorkers deletes group 0. Some seconds later, another worker of that incarnation is created.
func (s *scene) createLateWorkers(leader types.UID, seconds int) {
	s.judge.Client(s.now, key, leader, "deletes a pod")
	s.mark(leader)
	s.remove(leader + "-1")
	s.remove(leader)
	s.put(pod(9, 0, 0, "a"))
	s.wait(seconds)
	late := pod(1, 0, 2, "a")
	late.UID, late.OwnerReferences[0].UID = "late", "workers of "+leader
	s.put(late)
}

// surplusGroup creates group 1, and scales the StatefulSet down before or after the group is deleted.
func (s *scene) surplusGroup(goneBefore bool) {
	scale := func(replicas int32) {
		leaders := statefulSet(leadersUID, "LeaderWorkerSet", setUID)
		leaders.Spec.Replicas = &replicas
		s.put(leaders)
	}
	scale(2)
	leader := s.group(1, "a")
	s.judge.Client(s.now, key, leader, "deletes a pod")
	s.wait(1)
	if !goneBefore {
		scale(1)
		s.wait(1)
	}
	s.mark(leader)
	s.remove(leader + "-1")
	s.remove("workers of " + leader)
	s.remove(leader)
	if goneBefore {
		s.wait(1)
		scale(1)
	}
}

// replaceSet deletes the set, whose claims are to be deleted then, and may create another one.
func (s *scene) replaceSet(again bool) {
	of := spec{replicas: 1, unavailable: 1, image: "a", deleted: true}
	s.set(setUID, of)
	s.remove(setUID)
	if again {
		s.set("next", of)
	}
}

// claim creates the claim of a leader.
func (s *scene) claim(index int) types.UID {
	name := fmt.Sprintf("data-llama-%d", index)
	claim := &corev1.PersistentVolumeClaim{ObjectMeta: meta(name, types.UID(name), "", "")}
	claim.OwnerReferences = nil
	s.put(claim)
	return claim.UID
}

// end decides everything, and returns the broken promises.
func (s *scene) end() []string {
	s.judge.decide(s.now.Add(time.Hour))
	return s.judge.Violations()
}
