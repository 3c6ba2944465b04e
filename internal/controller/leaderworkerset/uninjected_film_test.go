// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package leaderworkerset

import (
	"math/rand/v2"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/identity"
	"github.com/leaderworkerset/lws-operator/test/simulate"
)

// withoutWebhook deletes the configuration of the webhook, and creates it again after something has happened.
func (s scene) withoutWebhook(duration time.Duration, happens func()) {
	s.Helper()
	s.RemoveWebhook()
	happens()
	s.Elapse(duration)
	s.RestoreWebhook()
}

// becomesInjected checks that the set is as it should be, and that no pod is left that the webhook never saw.
func (s scene) becomesInjected() {
	s.Helper()
	s.recovers()
	s.CheckInjected()
}

// uninjectedFilms are films of pods that are created while the webhook's configuration is missing.
var uninjectedFilms = map[string]func(scene){
	"leader": func(s scene) {
		s.starts("2 groups of 2", newSet(2, 2))
		s.withoutWebhook(16*time.Second, func() { s.KillPod(pod("a-0")) })
		s.becomesInjected()
	},
	"soon-back": func(s scene) { // The group is recreated once.
		s.starts("1 group of 1", newSet(1, 1))
		s.withoutWebhook(6*time.Second, func() { s.KillPod(pod("a-0")) })
		s.becomesInjected()
	},
	"unique-per-replica": func(s scene) {
		s.starts("1 group of 2, each with its subdomain", newSet(1, 2, uniquePerReplica))
		s.withoutWebhook(6*time.Second, func() { s.KillPod(pod("a-0")) })
		s.becomesInjected()
	},
	"worker-policy-none": func(s scene) {
		s.starts("1 group of 3, restart policy None", newSet(1, 3, withPolicy(leaderworkersetv1.NoneRestartPolicy)))
		s.withoutWebhook(6*time.Second, func() { s.KillPod(pod("a-0-1")) })
		s.becomesInjected()
	},
	"no-restarts": func(s scene) { // They count only crashes.
		s.starts("1 group of 2, at most 0 restarts", newSet(1, 2, withMaxRestarts(0)))
		s.withoutWebhook(6*time.Second, func() { s.KillPod(pod("a-0")) })
		s.becomesInjected()
	},
	"long-away": func(s scene) { // The delay grows.
		s.starts("1 group of 1", newSet(1, 1))
		s.withoutWebhook(5*time.Minute, func() { s.KillPod(pod("a-0")) })
		s.becomesInjected()
	},
	"from-the-start": func(s scene) {
		s.withoutWebhook(6*time.Second, func() { s.creates("2 groups of 2", newSet(2, 2)) })
		s.becomesInjected()
	},
	"operator-away": func(s scene) {
		s.starts("1 group of 2", newSet(1, 2))
		s.Stop()
		s.withoutWebhook(6*time.Second, func() { s.DeletePod(pod("a-0"), metav1.DeletePropagationBackground) })
		s.Start()
		s.becomesInjected()
	},
	"other-controller": func(s scene) { // The webhook rejects the workers of the StatefulSet that it made.
		s.starts("1 group of 2", newSet(1, 2))
		s.Stop()
		s.withoutWebhook(time.Minute, func() {
			s.DeletePod(pod("a-0"), metav1.DeletePropagationBackground)
			s.Elapse(time.Minute)
			s.createsWorkersAsOtherController()
		})
		s.removes("a-0-1")
		s.Elapse(time.Minute)
		if s.API.Get("Pod", pod("a-0-1")) != nil {
			s.Error("the webhook admits a worker without a group")
		}
		s.Start()
		s.becomesInjected()
	},
	"relabeled-leader": func(s scene) { // Its workers can't be created either.
		s.starts("1 group of 2", newSet(1, 2))
		s.Stop()
		s.withoutWebhook(time.Minute, func() {
			s.DeletePod(pod("a-0"), metav1.DeletePropagationBackground)
			s.Elapse(time.Minute)
		})
		s.createsWorkersAsOtherController()
		s.labelsLeader()
		s.Start()
		s.becomesInjected()
	},
}

// labelsLeader gives the leader of group 0 the labels that say where it belongs.
func (s scene) labelsLeader() {
	s.Helper()
	s.User("labels pod a-0", func() error {
		s.API.UpdatePod(pod("a-0"), func(leader *corev1.Pod) {
			leader.Labels[leaderworkersetv1.GroupIndexLabelKey] = "0"
			leader.Labels[leaderworkersetv1.GroupUniqueHashLabelKey] = identity.GroupKey(theSet.Namespace, "a-0")
		})
		return nil
	})
}

// createsWorkersAsOtherController creates the worker StatefulSet of group 0, whose leader lacks labels. A controller
// that reads the group's index from the leader's labels copies an empty one.
func (s scene) createsWorkersAsOtherController() {
	s.Helper()
	s.User("starts another controller, which creates StatefulSet a-0 without a group index", func() error {
		leader, ok := s.API.Get("Pod", pod("a-0")).(*corev1.Pod)
		if !ok {
			s.Fatal("there is no pod a-0")
		}
		labels := map[string]string{
			leaderworkersetv1.SetNameLabelKey:         theSet.Name,
			leaderworkersetv1.GroupIndexLabelKey:      "",
			leaderworkersetv1.GroupUniqueHashLabelKey: "",
			leaderworkersetv1.RevisionLabelKey:        leader.Labels[leaderworkersetv1.RevisionLabelKey],
		}
		owner := metav1.NewControllerRef(leader, corev1.SchemeGroupVersion.WithKind("Pod"))
		return s.API.Create(&appsv1.StatefulSet{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: leader.Namespace, Name: leader.Name, Labels: labels,
				OwnerReferences: []metav1.OwnerReference{*owner},
			},
			Spec: appsv1.StatefulSetSpec{
				Replicas: ptr.To[int32](1), Ordinals: &appsv1.StatefulSetOrdinals{Start: 1},
				PodManagementPolicy: appsv1.ParallelPodManagement,
				Selector:            &metav1.LabelSelector{MatchLabels: labels},
				Template: corev1.PodTemplateSpec{
					ObjectMeta: metav1.ObjectMeta{
						Labels: labels,
						Annotations: map[string]string{
							leaderworkersetv1.SizeAnnotationKey: "2", leaderworkersetv1.LeaderPodNameAnnotationKey: leader.Name,
						},
					},
					Spec: corev1.PodSpec{Containers: leader.Spec.Containers},
				},
			},
		})
	})
}

// TestUninjectedFilms compares what happens to such groups, in an orderly world, with what people have read and found
// good.
func TestUninjectedFilms(t *testing.T) { compareFilms(t, "uninjected-", uninjectedFilms) }

// TestUninjectedFilmsAtRandom plays the films in random worlds.
func TestUninjectedFilmsAtRandom(t *testing.T) { playAtRandom(t, uninjectedFilms) }

// TestRandomUninjected has accidents happen with and without the webhook, in random worlds.
func TestRandomUninjected(t *testing.T) {
	inRandomWorlds(t, max(*seeds/2, 1), func(t *testing.T, seed uint64) string {
		t.Helper()
		random := rand.New(rand.NewPCG(seed, 3)) //nolint:gosec // Not a secret: it has to repeat.
		s := scene{t, simulate.NewRandom(t, operatorUnderTest(t), seed)}
		policies := []leaderworkersetv1.RestartPolicyType{
			leaderworkersetv1.RecreateGroupOnPodRestart, leaderworkersetv1.RecreateGroupAfterStart,
			leaderworkersetv1.NoneRestartPolicy,
		}
		policy := policies[random.IntN(len(policies))]
		lws := newSet(1+random.Int32N(3), 1+random.Int32N(4), withPolicy(policy))
		s.creates(string(policy), lws)
		for range 2 + random.IntN(3) {
			s.stepsRandomly(random)
			s.withoutWebhook(time.Duration(random.Int64N(int64(time.Minute))), func() { s.accidents(random) })
			s.accidents(random)
		}
		s.RecoverNode("node-1")
		s.becomesInjected()
		return s.Film()
	})
}
