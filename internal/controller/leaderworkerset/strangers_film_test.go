// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package leaderworkerset

import (
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/test/simulate"
)

// TestFilmsOfStrangers records what happens beside objects that users made, and that look like those of a set.
func TestFilmsOfStrangers(t *testing.T) {
	for name, play := range map[string]func(scene){
		"service-of-the-user": playServiceOfTheUser,
		"service-in-the-way":  playServiceInTheWay,
		"group-service-in-the-way": func(s scene) {
			s.createsService("a-1", map[string]string{"app": "other"})
			s.creates("2 groups of 2, each with its subdomain", newSet(2, 2, uniquePerReplica))
			s.Elapse(time.Minute)
			s.deletesService("a-1")
			s.Settle()
			s.CheckReconciled(theSet)
		},
		"copy-of-a-worker": func(s scene) {
			s.starts("2 groups of 3", newSet(2, 3))
			s.copiesWorker("a-1-9")
			s.copiesWorker("a-1-0")
			s.Settle()
			s.CheckReconciled(theSet)
		},
		"takeover-in-a-rollout": playTakeoverInARollout,
	} {
		t.Run(name, func(t *testing.T) {
			world := simulate.New(t, operatorUnderTest(t))
			play(scene{t, world})
			simulate.CompareFilm(t, name, world.Film(), *update)
		})
	}
}

// playServiceOfTheUser plays a set whose pods find each other through a Service that the user made. The Service
// outlives the set.
func playServiceOfTheUser(s scene) {
	s.createsService("a", map[string]string{leaderworkersetv1.SetNameLabelKey: "a"})
	s.starts("2 groups of 2", newSet(2, 2))
	s.becomes("image:2", withImage(2))
	s.deletes(metav1.DeletePropagationBackground)
	s.Settle()
	if s.API.Get("Service", theSet) == nil {
		s.Error("the Service was deleted with the set")
	}
	s.starts("2 groups of 2, again", newSet(2, 2))
	s.deletesService("a")
	s.Settle()
	s.CheckReconciled(theSet)
}

// playServiceInTheWay plays a set whose Service can't be created, because another one has its name. The set runs and is
// updated without it, until the name is free.
func playServiceInTheWay(s scene) {
	s.createsService("a", map[string]string{"app": "other"})
	s.creates("2 groups of 2", newSet(2, 2))
	s.Elapse(time.Minute)
	s.changes("image:2", withImage(2))
	s.Elapse(time.Minute)
	s.deletesService("a")
	s.Settle()
	s.CheckReconciled(theSet)
}

// playTakeoverInARollout plays a rollout that another controller continues for a while. That one lowers the partition
// and knows nothing of the operator's annotations. The operator ends the rollout, and replaces no group twice.
func playTakeoverInARollout(s scene) {
	s.starts("4 groups of 2, surge 1", newSet(4, 2, withBudget(1, 1)))
	s.changes("image:2", withImage(2))
	s.Elapse(time.Second)
	s.Stop()
	s.User("starts another controller, which releases group 2", func() error {
		s.API.UpdateStatefulSet(theSet, func(sts *appsv1.StatefulSet) {
			sts.Spec.Replicas = ptr.To[int32](5)
			sts.Spec.UpdateStrategy = appsv1.StatefulSetUpdateStrategy{
				Type: appsv1.RollingUpdateStatefulSetStrategyType,
				RollingUpdate: &appsv1.RollingUpdateStatefulSetStrategy{
					Partition: ptr.To[int32](2), MaxUnavailable: ptr.To(intstr.FromInt32(2)),
				},
			}
			delete(sts.Annotations, leaderworkersetv1.AheadAnnotationKey)
			delete(sts.Annotations, leaderworkersetv1.GroupRecordAnnotationKey)
		})
		return nil
	})
	s.Elapse(time.Minute)
	replaced := map[string]types.UID{}
	for _, name := range []string{"a-2", "a-3"} {
		replaced[name] = s.API.Get("Pod", pod(name)).GetUID()
	}
	s.Start()
	s.Settle()
	s.CheckReconciled(theSet)
	for name, uid := range replaced {
		if s.API.Get("Pod", pod(name)).GetUID() != uid {
			s.Errorf("the group of %s was replaced twice", name)
		}
	}
}

// createsService creates a headless Service without labels, and with a port.
func (s scene) createsService(name string, selector map[string]string) {
	s.Helper()
	s.User("creates Service "+name, func() error {
		return s.API.Create(&corev1.Service{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: theSet.Namespace, Name: name,
				Labels: map[string]string{leaderworkersetv1.SetNameLabelKey: theSet.Name, "app": "of the user"},
			},
			Spec: corev1.ServiceSpec{
				ClusterIP: corev1.ClusterIPNone, Selector: selector, Ports: []corev1.ServicePort{{Name: "http", Port: 8000}},
			},
		})
	})
}

func (s scene) deletesService(name string) {
	s.Helper()
	s.User("deletes Service "+name, func() error {
		return s.API.Delete("Service", at(theSet, name), nil, metav1.DeletePropagationBackground)
	})
}

// copiesWorker copies pod a-1-1 with its labels and annotations, as kubectl debug can do. The StatefulSet controller
// adopts such a pod at once, so it has an owner from the start here.
func (s scene) copiesWorker(name string) {
	s.Helper()
	s.User("copies pod a-1-1 to pod "+name, func() error {
		worker, ok := s.API.Get("Pod", pod("a-1-1")).(*corev1.Pod)
		if !ok {
			s.Fatal("there is no pod a-1-1")
		}
		worker = worker.DeepCopy()
		return s.API.Create(&corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: theSet.Namespace, Name: name, Labels: worker.Labels, Annotations: worker.Annotations,
				OwnerReferences: worker.OwnerReferences,
			},
			Spec: worker.Spec,
		})
	})
}
