// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package judge

import (
	"regexp"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// TestJudge plays scenes with a set of two ready groups of image a, of which one may be unavailable. Each scene breaks
// one promise or none.
func TestJudge(t *testing.T) {
	two := spec{replicas: 2, unavailable: 1, image: "a"}
	rolled := spec{replicas: 2, unavailable: 1, image: "b"}
	for _, test := range []struct {
		name string
		play func(s *scene, first, second types.UID)
		want string
	}{
		{"nothing happens", func(*scene, types.UID, types.UID) {}, ""},
		{"a group is deleted", func(s *scene, first, _ types.UID) { s.mark(first) }, "deleted at .* without a reason"},
		{"a group is updated", func(s *scene, _, second types.UID) { s.set(setUID, rolled); s.mark(second) }, ""},
		{"two groups are updated at once", func(s *scene, first, second types.UID) {
			s.set(setUID, rolled)
			s.mark(second)
			s.mark(first)
		}, "ready group 0 is deleted at .*, which leaves 0 of at least 1"},
		{"two groups are updated, though one failed long before", func(s *scene, first, second types.UID) {
			s.mark(first + "-1")
			s.wait(10)
			s.set(setUID, rolled)
			s.mark(second)
		}, "ready group 1 is deleted at .*, which leaves 0"},
		{"one of two groups fails just before the other is updated", func(s *scene, first, second types.UID) {
			s.set(setUID, rolled)
			s.mark(first + "-1")
			s.mark(second)
		}, ""},
		{"a fault hides a failure for long", func(s *scene, first, second types.UID) {
			s.judge.Fault(s.now, "watches cut", true)
			s.mark(first + "-1")
			s.wait(60)
			s.set(setUID, rolled)
			s.mark(second)
		}, ""},
		{"a group below the partition is updated", func(s *scene, first, _ types.UID) {
			s.set(setUID, spec{replicas: 2, unavailable: 1, image: "b", partition: 1})
			s.mark(first)
		}, "without a reason"},
		{"a group is scaled down", func(s *scene, _, second types.UID) {
			s.set(setUID, spec{replicas: 1, unavailable: 1, image: "a"})
			s.mark(second)
		}, ""},
		{"a group is deleted long after the set was scaled up again", func(s *scene, _, second types.UID) {
			s.set(setUID, spec{replicas: 1, unavailable: 1, image: "a"})
			s.set(setUID, two)
			s.wait(10)
			s.mark(second)
		}, "without a reason"},
		{"the view of the pods is ahead of that of the set", func(s *scene, _, second types.UID) {
			s.mark(second)
			s.wait(1)
			s.set(setUID, rolled)
		}, ""},
		{"a group too many is created", func(s *scene, _, _ types.UID) { s.group(2, "a") }, "group 2 .*, of at most 2"},
		{"a surge group is created", func(s *scene, _, _ types.UID) {
			s.set(setUID, spec{replicas: 2, unavailable: 1, surge: 1, image: "b"})
			s.group(2, "b")
		}, ""},
		{"a worker is of another revision", func(s *scene, _, _ types.UID) {
			other := pod(1, 0, 2, "b")
			other.UID = "other"
			s.put(other)
		}, "worker llama-0-2 is {b 2 b}, its leader {a 2 a}"},
		{"a group is restarted for a failure", func(s *scene, first, _ types.UID) {
			s.restartContainer(first + "-1")
			s.wait(1)
			s.mark(first)
		}, ""},
		{"a group is restarted twice for one failure", func(s *scene, first, _ types.UID) {
			s.restartContainer(first + "-1")
			s.mark(first)
			s.remove(first)
			s.remove(first + "-1")
			s.mark(s.group(0, "a"))
		}, "group 0 is deleted at .* without a reason"},
		{"a client deletes a leader", func(s *scene, first, _ types.UID) {
			s.judge.Client(s.now, key, first, "deletes a pod")
			s.mark(first)
		}, ""},
		{"a leader is evicted", func(s *scene, first, _ types.UID) {
			leader, _ := s.known[first].DeepCopyObject().(*corev1.Pod)
			leader.Status.Conditions = []corev1.PodCondition{{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue}}
			leader.DeletionTimestamp = ptr.To(metav1.NewTime(s.now))
			s.put(leader)
		}, ""},
		{"a worker is created beside an old one", func(s *scene, first, _ types.UID) {
			s.judge.Client(s.now, key, first, "deletes a pod")
			s.mark(first)
			s.mark(first + "-1")
			s.remove(first)
			s.group(0, "a")
		}, "worker llama-0-1 is created beside llama-0-1 .* of another incarnation"},
		{"a late view creates workers of an old leader", func(s *scene, first, _ types.UID) {
			s.createLateWorkers(first, 2)
		}, ""},
		{"a view that is far too late creates workers of an old leader", func(s *scene, first, _ types.UID) {
			s.createLateWorkers(first, 4)
		}, "worker llama-0-2 is created beside llama-0 .* of another incarnation"},
		{"the StatefulSet controller creates workers of a StatefulSet that is gone", func(s *scene, first, _ types.UID) {
			s.judge.Fault(s.now, "API server killed", true)
			s.remove("workers of " + first)
			s.createLateWorkers(first, 8)
		}, ""},
		{"the next worker is created beside such a worker", func(s *scene, first, _ types.UID) {
			s.remove("workers of " + first)
			s.createLateWorkers(first, 1)
			s.put(statefulSet("workers of 9/0", "Pod", "9/0"))
			s.put(pod(9, 0, 1, "a"))
		}, ""},
		{"it does so long after a fault", func(s *scene, first, _ types.UID) {
			s.remove("workers of " + first)
			s.createLateWorkers(first, 8)
		}, "worker llama-0-2 is created beside llama-0 .* of another incarnation"},
		{"a late view creates a StatefulSet of an old leader in a fault", func(s *scene, first, _ types.UID) {
			s.judge.Fault(s.now, "leader frozen", true)
			s.createLateWorkers(first, 8)
		}, "worker llama-0-2 is created beside llama-0 .* of another incarnation"},
		{"nobody saw what happened", func(s *scene, first, _ types.UID) { s.gap = true; s.mark(first) }, ""},
		{"the set is deleted", func(s *scene, first, second types.UID) {
			s.mark(first)
			s.mark(second)
			s.wait(1)
			s.remove(setUID)
		}, ""},
		{"another set of that name is created, and its group deleted", func(s *scene, first, _ types.UID) {
			s.remove(setUID)
			s.mark(first)
			s.remove(first)
			s.remove(first + "-1")
			s.set("next", two)
			s.put(statefulSet(leadersUID, "LeaderWorkerSet", "next"))
			leader := s.group(0, "a")
			s.wait(10)
			s.mark(leader)
		}, "group 0 is deleted at .* without a reason"},
		{"a smaller set of that name adopts a new group", func(s *scene, _, _ types.UID) {
			s.set(setUID, spec{replicas: 3, unavailable: 1, image: "a"})
			s.group(2, "a")
			s.remove(setUID)
			s.set("next", two)
			s.put(statefulSet(leadersUID, "LeaderWorkerSet", "next"))
		}, ""},
		{"a set is deleted without its groups, which a late view updates, and another set adopts them", func(
			s *scene, first, _ types.UID,
		) {
			s.set(setUID, rolled)
			s.mark(setUID)
			orphan := statefulSet(leadersUID, "", "")
			orphan.OwnerReferences = nil
			s.put(orphan)
			s.remove(setUID)
			s.mark(first)
			s.set("next", two)
			s.put(statefulSet(leadersUID, "LeaderWorkerSet", "next"))
		}, ""},
		{"the namespace is deleted", func(s *scene, first, _ types.UID) {
			s.mark(first)
			s.put(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
				Name: key.Namespace, UID: "namespace", DeletionTimestamp: ptr.To(metav1.NewTime(s.now)),
			}})
		}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newScene()
			s.set(setUID, two)
			first, second := s.group(0, "a"), s.group(1, "a")
			s.wait(60)
			s.judge.Rest(s.now)
			test.play(s, first, second)
			checkMatches(t, s.end(), test.want)
		})
	}
}

// TestClaims deletes the claim of group 1 after a set was changed in one way.
func TestClaims(t *testing.T) {
	for _, test := range []struct {
		name string
		spec spec
		play func(*scene)
		want string
	}{
		{"kept", spec{replicas: 2, image: "a", scaled: true, deleted: true}, func(*scene) {}, "against its policy"},
		{"scaled down, and kept", spec{replicas: 1, image: "a", deleted: true}, func(*scene) {}, "against its policy"},
		{"scaled down", spec{replicas: 1, image: "a", scaled: true}, func(*scene) {}, ""},
		{"deleted, and kept", spec{replicas: 2, image: "a", scaled: true}, func(s *scene) { s.remove(setUID) }, "against"},
		{"deleted", spec{replicas: 2, image: "a", deleted: true}, func(s *scene) { s.remove(setUID) }, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newScene()
			s.set(setUID, test.spec)
			claim := s.claim(1)
			test.play(s)
			s.remove(claim)
			checkMatches(t, s.end(), test.want)
		})
	}
}

// TestUnhealed checks what keeps a set of one group from having healed.
func TestUnhealed(t *testing.T) {
	one := spec{replicas: 1, unavailable: 1, image: "a", scaled: true}
	for _, test := range []struct {
		name   string
		play   func(*scene)
		change func(*State)
		want   string
	}{
		{"nothing", func(*scene) {}, func(*State) {}, ""},
		{"a pod is missing", func(*scene) {}, func(s *State) { s.Pods = s.Pods[1:] }, "has 1 pods"},
		{"a pod isn't ready", func(*scene) {}, func(s *State) { s.Pods[0].Status.Conditions = nil }, "1 of them right"},
		{"a pod is outdated", func(*scene) {}, func(s *State) { s.Pods[0].Spec.Containers[0].Image = "b" }, "1 of them"},
		{"the status is late", func(*scene) {}, func(s *State) { s.Sets[0].Status.ObservedGeneration = 0 }, "generation 0"},
		{"the set is gone", func(*scene) {}, func(s *State) { s.Sets = nil }, "default/leaders is left without its owner"},
		{"a claim is surplus", func(s *scene) { s.surplusGroup(false) }, func(s *State) { s.addClaim("data-llama-1") },
			"claim data-llama-1 is left of a group that was scaled down"},
		{"the leader of a surplus claim never existed", func(*scene) {}, func(s *State) { s.addClaim("data-llama-1") }, ""},
		{"the leader of a surplus claim was gone before", func(s *scene) { s.surplusGroup(true) }, func(s *State) {
			s.addClaim("data-llama-1")
		}, ""},
		{"a claim is left of a set that was deleted", func(s *scene) { s.replaceSet(false) }, func(s *State) {
			s.Pods, s.StatefulSets = nil, nil
			s.addClaim("data-llama-0-1")
		}, "claim data-llama-0-1 is left of a set that was deleted"},
		{"another set uses the claim of one that was deleted", func(s *scene) { s.replaceSet(true) }, func(s *State) {
			s.StatefulSets[0].OwnerReferences[0].UID, s.StatefulSets[1].OwnerReferences[0].UID = "next", "1/0"
			s.addClaim("data-llama-0-1")
		}, ""},
		{"a worker's claim is surplus", func(*scene) {}, func(s *State) { s.addClaim("data-llama-1-1") },
			"claim data-llama-1-1 is left of a group that was scaled down"},
		{"a failure is unanswered", func(s *scene) { s.restartContainer("1/0") }, func(*State) {}, "group 0 isn't restarted"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newScene()
			s.set(setUID, one)
			s.group(0, "a")
			s.wait(60)
			s.judge.Rest(s.now)
			test.play(s)
			state := s.state()
			test.change(state)
			checkMatches(t, s.judge.Unhealed(state), test.want)
		})
	}
}

// TestOrphans checks which sets have left a StatefulSet that nobody controls.
func TestOrphans(t *testing.T) {
	s := newScene()
	s.set(setUID, spec{replicas: 1, image: "a"})
	state := s.state()
	state.StatefulSets[0].Name, state.StatefulSets[0].OwnerReferences = key.Name, nil
	if got := state.Orphans(); len(got) != 0 {
		t.Errorf("the set exists, and %v are orphans", got)
	}
	state.Sets = nil
	if got := state.Orphans(); len(got) != 1 || got[0] != key {
		t.Errorf("%v are orphans, want %s", got, key)
	}
}

// state returns what exists in a scene, with the status of a set whose groups are all ready.
func (s *scene) state() *State {
	state := &State{}
	for _, object := range s.known {
		switch object := object.DeepCopyObject().(type) {
		case *corev1.Pod:
			state.Pods = append(state.Pods, *object)
		case *appsv1.StatefulSet:
			state.StatefulSets = append(state.StatefulSets, *object)
		case *leaderworkersetv1.LeaderWorkerSet:
			object.Status.ObservedGeneration, object.Status.ReadyReplicas = object.Generation, *object.Spec.Replicas
			object.CreationTimestamp = metav1.Unix(1, 0)
			state.Sets = append(state.Sets, *object)
		}
	}
	return state
}

// addClaim adds a claim that is older than all groups.
func (s *State) addClaim(name string) {
	claim := corev1.PersistentVolumeClaim{ObjectMeta: meta(name, "claim", "", "")}
	claim.CreationTimestamp = metav1.Unix(9, 0)
	s.Claims = append(s.Claims, claim)
}

// checkMatches checks that one text matches a pattern, or that there is none.
func checkMatches(t *testing.T, got []string, want string) {
	t.Helper()
	switch {
	case want == "" && len(got) > 0:
		t.Errorf("want nothing, got:\n%s", strings.Join(got, "\n"))
	case want != "" && len(got) == 0:
		t.Errorf("want %q, got nothing", want)
	case want != "" && !regexp.MustCompile(want).MatchString(got[0]):
		t.Errorf("want %q, got:\n%s", want, strings.Join(got, "\n"))
	}
}
