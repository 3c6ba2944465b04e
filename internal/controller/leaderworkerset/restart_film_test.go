// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package leaderworkerset

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/identity"
	"github.com/leaderworkerset/lws-operator/test/simulate"
)

func withPolicy(policy leaderworkersetv1.RestartPolicyType) change {
	return func(lws *leaderworkersetv1.LeaderWorkerSet) { lws.Spec.LeaderWorkerTemplate.RestartPolicy = policy }
}

func withMaxRestarts(limit int32) change {
	return func(lws *leaderworkersetv1.LeaderWorkerSet) { lws.Spec.LeaderWorkerTemplate.MaxGroupRestarts = &limit }
}

// withVolumes gives every pod a volume, whose claims are retained or deleted.
func withVolumes(policy appsv1.PersistentVolumeClaimRetentionPolicyType) change {
	return func(lws *leaderworkersetv1.LeaderWorkerSet) {
		template := &lws.Spec.LeaderWorkerTemplate
		template.VolumeClaimTemplates = []corev1.PersistentVolumeClaim{{ObjectMeta: metav1.ObjectMeta{Name: "data"}}}
		template.PersistentVolumeClaimRetentionPolicy = &appsv1.StatefulSetPersistentVolumeClaimRetentionPolicy{
			WhenScaled: policy, WhenDeleted: policy,
		}
	}
}

// withNodeSelector selects a node that doesn't exist.
func withNodeSelector(lws *leaderworkersetv1.LeaderWorkerSet) {
	lws.Spec.LeaderWorkerTemplate.WorkerTemplate.Spec.NodeSelector = map[string]string{rack: "none"}
}

// pod returns the key of a pod.
func pod(name string) types.NamespacedName { return at(theSet, name) }

// recovers settles until the set is reconciled again.
func (s scene) recovers() {
	s.Helper()
	s.Settle()
	s.CheckReconciled(theSet)
}

// restartFilms are films of groups that fail.
var restartFilms = map[string]func(scene){
	"worker-deleted": func(s scene) {
		s.starts("2 groups of 3", newSet(2, 3))
		s.DeletePod(pod("a-1-1"), metav1.DeletePropagationBackground)
		s.recovers()
	},
	"worker-killed": func(s scene) {
		s.starts("2 groups of 3", newSet(2, 3))
		s.KillPod(pod("a-1-1"))
		s.recovers()
	},
	"container": func(s scene) {
		s.starts("2 groups of 3", newSet(2, 3))
		s.RestartContainer(pod("a-0-2"))
		s.recovers()
	},
	"init-container": func(s scene) {
		s.starts("1 group of 2", newSet(1, 2))
		s.RestartInitContainer(pod("a-0"))
		s.recovers()
	},
	"failed": func(s scene) {
		s.starts("2 groups of 2", newSet(2, 2))
		s.FailPod(pod("a-0"), "")
		s.recovers()
	},
	"evicted": func(s scene) {
		s.starts("2 groups of 2", newSet(2, 2))
		s.FailPod(pod("a-1-1"), "Evicted")
		s.recovers()
	},
	"several-pods": func(s scene) {
		s.starts("2 groups of 4", newSet(2, 4))
		s.RestartContainer(pod("a-0"))
		s.DeletePod(pod("a-0-1"), metav1.DeletePropagationBackground)
		s.KillPod(pod("a-0-2"))
		s.FailPod(pod("a-0-3"), "")
		s.recovers()
	},
	"several-groups": func(s scene) {
		s.starts("4 groups of 2", newSet(4, 2))
		s.RestartContainer(pod("a-0-1"))
		s.RestartContainer(pod("a-2"))
		s.KillPod(pod("a-3-1"))
		s.recovers()
	},
	"after-start": playAfterStart,
	"policy-none": func(s scene) {
		s.starts("1 group of 3, restart policy None", newSet(1, 3, withPolicy(leaderworkersetv1.NoneRestartPolicy)))
		s.RestartContainer(pod("a-0"))
		s.FailPod(pod("a-0-1"), "Evicted")
		s.KillPod(pod("a-0-2"))
		s.recovers()
	},
	"operator-away": func(s scene) {
		s.starts("3 groups of 2", newSet(3, 2))
		s.Stop()
		s.KillPod(pod("a-0-1"))
		s.RestartContainer(pod("a-1"))
		s.Elapse(time.Minute)
		s.Start()
		s.recovers()
	},
	"leader-background": func(s scene) { playLeaderDeleted(s, metav1.DeletePropagationBackground) },
	"leader-foreground": func(s scene) { playLeaderDeleted(s, metav1.DeletePropagationForeground) },
	"leader-orphan":     func(s scene) { playLeaderDeleted(s, metav1.DeletePropagationOrphan) },
	"scale-down": func(s scene) {
		s.starts("3 groups of 2", newSet(3, 2))
		s.KillPod(pod("a-2-1"))
		s.becomes("2 groups", scaledTo(2))
	},
	"old-revision": func(s scene) {
		s.starts("2 groups of 2", newSet(2, 2))
		s.AddNode("node-3", nil)
		s.changes("image:2, size 3, partition 1", func(lws *leaderworkersetv1.LeaderWorkerSet) {
			withImage(2)(lws)
			withSize(3)(lws)
			lws.Spec.RolloutStrategy.RollingUpdateConfiguration.Partition = ptr.To[int32](1)
		})
		s.Settle()
		s.RestartContainer(pod("a-0-1"))
		s.Settle()
		s.becomes("partition 0", func(lws *leaderworkersetv1.LeaderWorkerSet) {
			lws.Spec.RolloutStrategy.RollingUpdateConfiguration.Partition = ptr.To[int32](0)
		})
	},
	"lost-node": func(s scene) {
		s.starts("2 groups of 2", newSet(2, 2))
		s.LoseNode("node-1")
		s.Elapse(10 * time.Minute)
		s.RemoveNode("node-1")
		s.recovers()
	},
	"workers-background": func(s scene) { playStatefulSetDeleted(s, "a-0", metav1.DeletePropagationBackground) },
	"workers-foreground": func(s scene) { playStatefulSetDeleted(s, "a-0", metav1.DeletePropagationForeground) },
	"workers-orphan":     func(s scene) { playStatefulSetDeleted(s, "a-0", metav1.DeletePropagationOrphan) },
	"leaders-background": func(s scene) { playStatefulSetDeleted(s, "a", metav1.DeletePropagationBackground) },
	"leaders-foreground": func(s scene) { playStatefulSetDeleted(s, "a", metav1.DeletePropagationForeground) },
	"leaders-orphan":     func(s scene) { playStatefulSetDeleted(s, "a", metav1.DeletePropagationOrphan) },
	"exclusive":          playExclusive,
	"unbounded":          playUnbounded,
	"backoff":            playBackoff,
	"volumes-retained":   playVolumesRetained,
	"volumes-deleted":    playVolumesDeleted,
	"volumes-waiting":    playVolumesOfWaitingPods,
	"volumes-left":       playVolumesLeftBehind,
	"bounded":            playBounded,
	"leader-fails-again": playLeaderFailsAgain,
	"leader-bounded":     playLeaderBounded,
	"recover":            playRecover,
}

// TestRestartFilms compares the films of groups that fail, in orderly worlds, with golden files, which people have
// reviewed.
func TestRestartFilms(t *testing.T) { compareFilms(t, "restart-", restartFilms) }

// TestRestartFilmsAtRandom runs the same films in random worlds, where the sets recover as well.
func TestRestartFilmsAtRandom(t *testing.T) { playAtRandom(t, restartFilms) }

// TestRandomRestarts scales and changes sets in random worlds, with accidents of pods, nodes and the operator.
func TestRandomRestarts(t *testing.T) {
	inRandomWorlds(t, *seeds, playRestartsRandomly)
}

// inRandomWorlds plays in that many random worlds, or in the world of the flag -seed alone, whose film it logs.
func inRandomWorlds(t *testing.T, count int, play func(*testing.T, uint64) string) {
	t.Helper()
	simulate.PlayWorlds(t, count, *seed, play)
}

// playRestartsRandomly runs one random world with accidents and returns its film.
func playRestartsRandomly(t *testing.T, seed uint64) string {
	t.Helper()
	random := rand.New(rand.NewPCG(seed, 2)) //nolint:gosec // Not a secret: it has to repeat.
	s := scene{t, simulate.NewRandom(t, operatorUnderTest(t), seed)}
	policies := []leaderworkersetv1.RestartPolicyType{
		leaderworkersetv1.RecreateGroupOnPodRestart, leaderworkersetv1.RecreateGroupOnPodRestart,
		leaderworkersetv1.RecreateGroupAfterStart, leaderworkersetv1.NoneRestartPolicy,
	}
	policy := policies[random.IntN(len(policies))]
	lws := newSet(1+random.Int32N(3), 1+random.Int32N(4), withBudget(random.Int32N(2), 1), withPolicy(policy))
	words := fmt.Sprintf("%d groups of %d, %s", *lws.Spec.Replicas, *lws.Spec.LeaderWorkerTemplate.Size, policy)
	if random.IntN(3) == 0 {
		withMaxRestarts(random.Int32N(3))(lws)
		words += fmt.Sprintf(", at most %d restarts", *lws.Spec.LeaderWorkerTemplate.MaxGroupRestarts)
	}
	if random.IntN(3) == 0 {
		withVolumes(appsv1.RetainPersistentVolumeClaimRetentionPolicyType)(lws)
		words += ", with volumes"
	}
	s.creates(words, lws.DeepCopy())
	for range 3 + random.IntN(5) {
		s.stepsRandomly(random)
		switch random.IntN(6) {
		case 0:
			changeRandomly(s, random, lws)
		case 1, 2:
			s.Stop()
			s.accidents(random)
			s.Elapse(time.Duration(random.Int64N(int64(time.Minute))))
			s.Start()
		default:
			s.accidents(random)
		}
	}
	s.RecoverNode("node-1")
	s.ends(lws)
	return s.Film()
}

// accidents makes up to three random accidents.
func (s scene) accidents(random *rand.Rand) {
	s.Helper()
	for range 1 + random.IntN(3) {
		s.accident(random)
	}
}

// accident makes one random accident of a pod or a node.
func (s scene) accident(random *rand.Rand) {
	s.Helper()
	pods := s.API.List("Pod")
	if len(pods) == 0 {
		return
	}
	victim := client.ObjectKeyFromObject(pods[random.IntN(len(pods))])
	switch random.IntN(14) {
	case 12:
		s.AnnotatePod(victim, leaderworkersetv1.RecoverAnnotationKey, "true")
	case 13:
		s.FailPod(pod(identity.Leader(theSet.Name, random.Int32N(3))), "")
	case 0, 1:
		s.RestartContainer(victim)
	case 2:
		s.RestartInitContainer(victim)
	case 3, 4:
		s.FailPod(victim, "Evicted")
	case 5, 6, 7:
		s.KillPod(victim)
	case 8:
		s.DeletePod(victim, metav1.DeletePropagationForeground)
	case 9:
		s.LoseNode("node-1")
	case 10:
		s.RecoverNode("node-1")
	default:
		s.DeletePod(victim, metav1.DeletePropagationBackground)
	}
}

// playAfterStart makes pods fail before their group has started, which doesn't count, and after.
func playAfterStart(s scene) {
	s.creates("1 group of 3, restarted after it has started",
		newSet(1, 3, withPolicy(leaderworkersetv1.RecreateGroupAfterStart)))
	s.Elapse(time.Second)
	s.RestartInitContainer(pod("a-0"))
	s.FailPod(pod("a-0-1"), "")
	s.KillPod(pod("a-0-2"))
	s.recovers()
	s.RestartContainer(pod("a-0"))
	s.recovers()
}

// playLeaderDeleted deletes a leader. Its group is created again within one grace period, whatever the policy.
func playLeaderDeleted(s scene, policy metav1.DeletionPropagation) {
	s.starts("2 groups of 3", newSet(2, 3))
	s.DeletePod(pod("a-0"), policy)
	s.recovers()
}

// claims returns the UIDs of all volume claims by name.
func (s scene) claims() map[string]types.UID {
	claims := map[string]types.UID{}
	for _, claim := range s.API.List("PersistentVolumeClaim") {
		claims[claim.GetName()] = claim.GetUID()
	}
	return claims
}

// checkClaims fails the test unless exactly the claims of so many groups of 2 exist, with the UIDs that they had
// before.
func (s scene) checkClaims(groups int32, before map[string]types.UID) {
	s.Helper()
	var want []string
	for group := range groups {
		leader := identity.Leader(theSet.Name, group)
		want = append(want, "data-"+leader, "data-"+identity.Worker(leader, 1))
	}
	got := s.claims()
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(got)), cmpopts.EquateEmpty()); diff != "" {
		s.Errorf("claims (-want +got):\n%s", diff)
	}
	for name, uid := range got {
		if before[name] != "" && before[name] != uid {
			s.Errorf("claim %s is another one than before", name)
		}
	}
}

// playVolumesRetained restarts a group, scales and deletes a set. Its claims are kept each time.
func playVolumesRetained(s scene) {
	s.starts("2 groups of 2 with volumes",
		newSet(2, 2, withVolumes(appsv1.RetainPersistentVolumeClaimRetentionPolicyType)))
	before := s.claims()
	s.checkClaims(2, nil)
	s.KillPod(pod("a-1-1"))
	s.recovers()
	s.checkClaims(2, before)
	s.becomes("1 group", scaledTo(1))
	s.checkClaims(2, before)
	s.becomes("2 groups", scaledTo(2))
	s.checkClaims(2, before)
	s.deletes(metav1.DeletePropagationForeground)
	s.Settle()
	s.CheckDeleted()
	s.checkClaims(2, before)
}

// playVolumesDeleted restarts a group, which keeps its claims. Scaling down and deletion delete claims.
func playVolumesDeleted(s scene) {
	s.starts("2 groups of 2 with volumes that go when they aren't needed",
		newSet(2, 2, withVolumes(appsv1.DeletePersistentVolumeClaimRetentionPolicyType)))
	before := s.claims()
	s.checkClaims(2, nil)
	s.KillPod(pod("a-1-1"))
	s.recovers()
	s.checkClaims(2, before)
	s.becomes("1 group", scaledTo(1))
	s.checkClaims(1, before)
	s.deletes(metav1.DeletePropagationBackground)
	s.Settle()
	s.CheckDeleted()
	s.checkClaims(0, nil)
}

// waitsWithVolumes creates a group that no node can take, with volumes that are deleted with the set.
func (s scene) waitsWithVolumes() {
	s.Helper()
	s.creates("1 group of 3 that no node takes, with volumes that go with it",
		newSet(1, 3, withVolumes(appsv1.DeletePersistentVolumeClaimRetentionPolicyType), withNodeSelector))
	s.Settle()
}

// playVolumesOfWaitingPods deletes a set whose pods no node can take. Their claims are deleted, although they may be
// created once more after the set is deleted.
func playVolumesOfWaitingPods(s scene) {
	s.waitsWithVolumes()
	s.deletes(metav1.DeletePropagationBackground)
	s.Settle()
	s.CheckDeleted()
	s.checkClaims(0, nil)
}

// playVolumesLeftBehind deletes a set and keeps its groups. Claims that are created for these groups are kept, although
// they would have been deleted with the set.
func playVolumesLeftBehind(s scene) {
	s.waitsWithVolumes()
	s.deletes(metav1.DeletePropagationOrphan)
	s.Settle()
	s.User("deletes PersistentVolumeClaim data-a-0-1", func() error {
		return s.API.Delete("PersistentVolumeClaim", at(theSet, "data-a-0-1"), nil, metav1.DeletePropagationBackground)
	})
	s.Settle()
	s.User("deletes StatefulSet a", func() error {
		return s.API.Delete("StatefulSet", theSet, nil, metav1.DeletePropagationBackground)
	})
	s.Settle()
	if diff := cmp.Diff([]string{"data-a-0-1", "data-a-0-2"}, slices.Sorted(maps.Keys(s.claims()))); diff != "" {
		s.Errorf("claims (-want +got):\n%s", diff)
	}
}

// playStatefulSetDeleted deletes a StatefulSet of the set. The operator creates it again, and its pods are replaced at
// once.
func playStatefulSetDeleted(s scene, name string, policy metav1.DeletionPropagation) {
	s.starts("2 groups of 3", newSet(2, 3))
	s.User(fmt.Sprintf("deletes StatefulSet %s, propagation %s", name, policy), func() error {
		return s.API.Delete("StatefulSet", at(theSet, name), nil, policy)
	})
	s.recovers()
}

const rack = "example.com/rack"

// addsRack adds two nodes.
func (s scene) addsRack(name string) {
	s.Helper()
	for _, node := range []string{"-1", "-2"} {
		s.AddNode(name+node, map[string]string{rack: name})
	}
}

// checkExclusive fails the test if two groups share a rack, or a group is in two.
func (s scene) checkExclusive() {
	s.Helper()
	groupIn := map[string]string{}
	for group, name := range s.checkTogether() {
		if other, ok := groupIn[name]; ok {
			s.Errorf("rack %q has groups %s and %s", name, other, group)
		}
		groupIn[name] = group
	}
}

// checkTogether fails the test if a group is in two racks. It returns the rack of each group.
func (s scene) checkTogether() map[string]string {
	s.Helper()
	rackOf := map[string]string{}
	for _, object := range s.API.List("Pod") {
		member, ok := object.(*corev1.Pod)
		if !ok || member.Spec.NodeName == "" {
			continue
		}
		node := s.API.Get("Node", types.NamespacedName{Name: member.Spec.NodeName})
		name, group := node.GetLabels()[rack], member.Labels[leaderworkersetv1.GroupIndexLabelKey]
		if other, ok := rackOf[group]; ok && other != name {
			s.Errorf("group %s is in racks %q and %q", group, other, name)
		}
		rackOf[group] = name
	}
	return rackOf
}

// playExclusive checks that each group has a rack of its own, also after a restart and while there are too few racks.
func playExclusive(s scene) {
	s.addsRack("rack-a")
	s.addsRack("rack-b")
	s.starts("2 groups of 3, each in its rack", newSet(2, 3, func(lws *leaderworkersetv1.LeaderWorkerSet) {
		lws.Annotations = map[string]string{leaderworkersetv1.ExclusiveKeyAnnotationKey: rack}
	}))
	s.checkExclusive()
	s.KillPod(pod("a-1-1"))
	s.recovers()
	s.checkExclusive()
	s.changes("3 groups", scaledTo(3))
	s.Settle()
	s.checkExclusive()
	s.addsRack("rack-c")
	s.recovers()
	s.checkExclusive()
}

// playPlacement asks for placement of a set that runs, for another one, and for none. Each change replaces the groups
// one after the other.
func playPlacement(s scene) {
	asks := func(annotation string) change {
		return func(lws *leaderworkersetv1.LeaderWorkerSet) {
			lws.Annotations = map[string]string{annotation: rack}
		}
	}
	for _, name := range []string{"rack-a", "rack-b", "rack-c"} {
		s.addsRack(name)
	}
	s.starts("2 groups of 2, maxUnavailable 1", newSet(2, 2, withBudget(1, 0)))
	s.becomes("each group in one rack", asks(leaderworkersetv1.ShareTopologyAnnotationKey))
	s.checkTogether()
	s.KillPod(pod("a-1-1"))
	s.recovers()
	s.checkTogether()
	s.becomes("each group in a rack of its own", asks(leaderworkersetv1.ExclusiveKeyAnnotationKey))
	s.checkExclusive()
	s.becomes("no placement", func(lws *leaderworkersetv1.LeaderWorkerSet) { lws.Annotations = nil })
}

// playUnbounded crashes a group again and again, as soon as it is ready. The delay of its restart grows up to a limit.
func playUnbounded(s scene) {
	s.starts("1 group of 1", newSet(1, 1))
	for range 8 {
		s.RestartContainer(pod("a-0"))
		s.recovers()
	}
	s.Elapse(10 * time.Minute)
	s.RestartContainer(pod("a-0"))
	s.recovers()
}

// playBackoff crashes a worker again and again, as soon as its group is ready. The other group isn't concerned.
func playBackoff(s scene) {
	s.starts("2 groups of 2", newSet(2, 2))
	for range 4 {
		s.RestartContainer(pod("a-1-1"))
		s.recovers()
	}
}

// playBounded crashes a group until it has no restarts left, and resumes it.
func playBounded(s scene) {
	s.starts("2 groups of 2, at most 2 restarts", newSet(2, 2, withMaxRestarts(2)))
	for range 3 {
		s.RestartContainer(pod("a-1-1"))
		s.Settle()
	}
	s.RestartContainer(pod("a-1-1"))
	s.Elapse(time.Second)
	s.Restart()
	s.Settle()
	s.DeletePod(pod("a-1"), metav1.DeletePropagationBackground)
	s.recovers()
	s.RestartContainer(pod("a-1-1"))
	s.recovers()
}

// playLeaderFailsAgain fails a leader again and again. The StatefulSet controller replaces it at once, and the delay of
// the restart grows all the same.
func playLeaderFailsAgain(s scene) {
	s.starts("2 groups of 2", newSet(2, 2))
	for range 3 {
		s.FailPod(pod("a-1"), "Evicted")
		s.recovers()
	}
}

// playLeaderBounded fails a leader until its group has no restarts left. The group doesn't start over, also if the
// operator restarts, until somebody raises the limit or deletes the leader.
func playLeaderBounded(s scene) {
	s.starts("2 groups of 2, at most 1 restart", newSet(2, 2, withMaxRestarts(1)))
	s.FailPod(pod("a-1"), "")
	s.recovers()
	s.FailPod(pod("a-1"), "")
	s.Settle()
	s.Restart()
	s.Settle()
	s.becomes("at most 2 restarts", withMaxRestarts(2))
	s.FailPod(pod("a-1"), "")
	s.Settle()
	s.DeletePod(pod("a-1"), metav1.DeletePropagationBackground)
	s.recovers()
}

// playRecover annotates the leaders of two groups without restarts left: one whose pods run, and one whose leader
// waits.
func playRecover(s scene) {
	s.starts("2 groups of 2, no restarts", newSet(2, 2, withMaxRestarts(0)))
	s.RestartContainer(pod("a-0-1"))
	s.FailPod(pod("a-1"), "")
	s.Settle()
	s.AnnotatePod(pod("a-0"), leaderworkersetv1.RecoverAnnotationKey, "true")
	s.AnnotatePod(pod("a-1"), leaderworkersetv1.RecoverAnnotationKey, "true")
	s.recovers()
}
