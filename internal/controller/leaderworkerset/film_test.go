// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package leaderworkerset

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/apply"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/identity"
	"github.com/leaderworkerset/lws-operator/internal/controller/scheduling"
	"github.com/leaderworkerset/lws-operator/test/simulate"
)

var (
	update = flag.Bool("update", false, "write the films to testdata/films instead of comparing them")
	seeds  = flag.Int("seeds", 200, "how many random worlds to run")
	seed   = flag.Uint64("seed", 0, "run only the random world of this seed, and log its film")
)

// operatorUnderTest returns an operator with the real reconcilers and the real watches, for a simulated world.
func operatorUnderTest(t *testing.T) simulate.Operator {
	t.Helper()
	operator, _ := countedOperator(t)
	return operator
}

// schemeOfTests returns a scheme with the types that the reconcilers read and write.
func schemeOfTests(t *testing.T) *runtime.Scheme {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), leaderworkersetv1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	return scheme
}

// cacheOfTests returns the limits of the operator's cache.
func cacheOfTests() cache.Options {
	return cache.Options{ByObject: CacheByObject(), DefaultTransform: cache.TransformStripManagedFields()}
}

// startOperator starts an operator that schedules groups as gangs if their set asks for that.
func startOperator(in simulate.Environment, meter Meter) ([]simulate.Controller, error) {
	if err := AddIndexes(context.Background(), in.Cache); err != nil {
		return nil, err
	}
	options := DefaultOptions()
	options.Clock, options.Meter = in.Clock, meter
	applier := &apply.Applier{Client: in.Client, Live: in.Live, Recorder: in.Recorder, OnRefusal: meter.Refused}
	known, version := newPodGroups(), scheduling.Versions()[0]
	known.features = func() scheduling.Features {
		return scheduling.Features{Provider: scheduling.Kubernetes, PodGroups: version}
	}
	podGroups, err := known.begin(context.Background(), in.Cache, version)
	if err != nil {
		return nil, err
	}
	set, group := newControllers(applier, in.Cache, known, options)
	group.sources = append(group.sources, podGroups)
	return []simulate.Controller{
		{Name: "set", Reconciler: set.reconciler, Sources: set.sources, Limiter: set.limiter},
		{Name: "group", Reconciler: group.reconciler, Sources: group.sources, Limiter: group.limiter},
	}, nil
}

// change is a change of a LeaderWorkerSet.
type change = func(*leaderworkersetv1.LeaderWorkerSet)

var theSet = types.NamespacedName{Namespace: "default", Name: "a"}

// newSet returns the LeaderWorkerSet "a" with groups of a size.
func newSet(replicas, size int32, changes ...change) *leaderworkersetv1.LeaderWorkerSet {
	lws := &leaderworkersetv1.LeaderWorkerSet{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: theSet.Namespace, Name: theSet.Name,
			Labels: map[string]string{"team": "inference"}, Annotations: map[string]string{"note": "for tests"},
		},
		Spec: leaderworkersetv1.LeaderWorkerSetSpec{
			Replicas: &replicas,
			LeaderWorkerTemplate: leaderworkersetv1.LeaderWorkerTemplate{
				Size: &size,
				WorkerTemplate: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
					Containers: []corev1.Container{{Name: "main", Image: "image:1"}},
				}},
			},
		},
	}
	for _, change := range changes {
		change(lws)
	}
	return lws
}

func scaledTo(replicas int32) change {
	return func(lws *leaderworkersetv1.LeaderWorkerSet) { lws.Spec.Replicas = &replicas }
}

func withImage(version int) change {
	return func(lws *leaderworkersetv1.LeaderWorkerSet) {
		lws.Spec.LeaderWorkerTemplate.WorkerTemplate.Spec.Containers[0].Image = fmt.Sprintf("image:%d", version)
	}
}

func withBrokenImage(lws *leaderworkersetv1.LeaderWorkerSet) {
	lws.Spec.LeaderWorkerTemplate.WorkerTemplate.Spec.Containers[0].Image = simulate.BrokenImage
}

func withSize(size int32) change {
	return func(lws *leaderworkersetv1.LeaderWorkerSet) { lws.Spec.LeaderWorkerTemplate.Size = &size }
}

func withBudget(maxUnavailable, maxSurge int32) change {
	return func(lws *leaderworkersetv1.LeaderWorkerSet) {
		lws.Spec.RolloutStrategy.RollingUpdateConfiguration = &leaderworkersetv1.RollingUpdateConfiguration{
			MaxUnavailable: ptr.To(intstr.FromInt32(maxUnavailable)),
			MaxSurge:       ptr.To(intstr.FromInt32(maxSurge)),
		}
	}
}

func withHistory(limit int32) change {
	return func(lws *leaderworkersetv1.LeaderWorkerSet) { lws.Spec.RevisionHistoryLimit = &limit }
}

func withPartition(partition int32) change {
	return func(lws *leaderworkersetv1.LeaderWorkerSet) {
		lws.Spec.RolloutStrategy.RollingUpdateConfiguration.Partition = &partition
	}
}

func leaderReady(lws *leaderworkersetv1.LeaderWorkerSet) {
	lws.Spec.StartupPolicy = leaderworkersetv1.LeaderReadyStartupPolicy
}

func uniquePerReplica(lws *leaderworkersetv1.LeaderWorkerSet) {
	lws.Spec.NetworkConfig = &leaderworkersetv1.NetworkConfig{
		SubdomainPolicy: ptr.To(leaderworkersetv1.SubdomainUniquePerReplica),
	}
}

// scene is a world in which a test makes changes as a user.
type scene struct {
	*testing.T
	*simulate.World
}

func (s scene) creates(what string, lws *leaderworkersetv1.LeaderWorkerSet) {
	s.Helper()
	s.User("creates LeaderWorkerSet a: "+what, func() error { return s.API.Create(lws) })
}

func (s scene) changes(what string, change change) {
	s.Helper()
	s.User("changes LeaderWorkerSet a: "+what, func() error { s.API.Update(theSet, change); return nil })
}

func (s scene) deletes(policy metav1.DeletionPropagation) {
	s.Helper()
	s.User(fmt.Sprintf("deletes LeaderWorkerSet a, propagation %s", policy), func() error {
		return s.API.Delete("LeaderWorkerSet", theSet, nil, policy)
	})
}

func (s scene) breaks(pod string) {
	s.Helper()
	s.User("sees pod "+pod+" never ready again", func() error { s.API.Break(at(theSet, pod)); return nil })
}

func (s scene) removes(pod string) {
	s.Helper()
	s.User("deletes pod "+pod, func() error {
		return client.IgnoreNotFound(s.API.Delete("Pod", at(theSet, pod), nil, metav1.DeletePropagationBackground))
	})
}

// starts creates the set, and settles until it is reconciled.
func (s scene) starts(what string, lws *leaderworkersetv1.LeaderWorkerSet) {
	s.Helper()
	s.creates(what, lws)
	s.Settle()
	s.CheckReconciled(theSet)
}

// becomes changes the set, and settles until it is reconciled.
func (s scene) becomes(what string, change change) {
	s.Helper()
	s.changes(what, change)
	s.Settle()
	s.CheckReconciled(theSet)
}

// TestFilms compares the films of orderly worlds with golden files, which people have reviewed.
func TestFilms(t *testing.T) {
	compareFilms(t, "", map[string]func(scene){
		"create": func(s scene) { s.starts("3 groups of 4", newSet(3, 4)) },
		"leader-ready": func(s scene) {
			s.starts("2 groups of 3, workers after their leader is ready", newSet(2, 3, leaderReady))
		},
		"size-1": func(s scene) { s.starts("2 groups of 1", newSet(2, 1)) },
		"scale": func(s scene) {
			s.starts("3 groups of 2", newSet(3, 2))
			for _, replicas := range []int32{5, 0, 2} {
				s.becomes(fmt.Sprintf("%d groups", replicas), scaledTo(replicas))
			}
		},
		"unique-per-replica": func(s scene) {
			s.starts("2 groups of 2, each with its subdomain", newSet(2, 2, uniquePerReplica))
			s.becomes("1 group", scaledTo(1))
		},
		"delete-background": func(s scene) {
			s.starts("2 groups of 3", newSet(2, 3))
			s.deletes(metav1.DeletePropagationBackground)
			s.Settle()
			s.CheckDeleted()
		},
		"delete-foreground": func(s scene) {
			s.starts("2 groups of 3", newSet(2, 3))
			s.deletes(metav1.DeletePropagationForeground)
			s.Settle()
			s.CheckDeleted()
		},
		"recreate": func(s scene) {
			s.starts("2 groups of 2", newSet(2, 2))
			s.deletes(metav1.DeletePropagationBackground)
			s.Elapse(time.Second)
			s.starts("2 groups of 3", newSet(2, 3))
		},
		"adopt": func(s scene) {
			s.starts("2 groups of 2", newSet(2, 2))
			s.deletes(metav1.DeletePropagationOrphan)
			s.Settle()
			s.starts("2 groups of 2", newSet(2, 2))
		},
		"adopt-changed": func(s scene) {
			s.starts("2 groups of 2", newSet(2, 2))
			s.deletes(metav1.DeletePropagationOrphan)
			s.Settle()
			s.starts("2 groups of 2, image:2", newSet(2, 2, withImage(2)))
		},
		"leader-deleted": func(s scene) {
			s.starts("2 groups of 2", newSet(2, 2))
			s.removes("a-1")
			s.Settle()
			s.CheckReconciled(theSet)
		},
		"foreign-statefulset": playForeignStatefulSet,
		"update-1": func(s scene) {
			s.starts("3 groups of 2, maxUnavailable 1", newSet(3, 2, withBudget(1, 0)))
			s.becomes("image:2", withImage(2))
		},
		"update-2": func(s scene) {
			s.starts("4 groups of 2, maxUnavailable 2", newSet(4, 2, withBudget(2, 0)))
			s.becomes("image:2", withImage(2))
		},
		"update-placement": playPlacement,
		"update-overtaken": func(s scene) {
			s.starts("3 groups of 2, maxUnavailable 2", newSet(3, 2, withBudget(2, 0)))
			s.changes("image:2", withImage(2))
			s.Elapse(0)
			s.becomes("image:3", withImage(3))
		},
		"update-surge": func(s scene) {
			s.starts("2 groups of 2, maxUnavailable 0, maxSurge 1", newSet(2, 2, withBudget(0, 1)))
			s.becomes("image:2", withImage(2))
		},
		"update-broken-group": func(s scene) {
			s.starts("4 groups of 2, maxUnavailable 1", newSet(4, 2, withBudget(1, 0)))
			s.breaks("a-0-1")
			s.Elapse(time.Second)
			s.becomes("image:2", withImage(2))
		},
		"update-broken-group-while-another-fails": func(s scene) {
			s.starts("3 groups of 2, maxUnavailable 1", newSet(3, 2, withBudget(1, 0)))
			s.breaks("a-0-1")
			s.Elapse(time.Second)
			s.changes("image:2", withImage(2))
			s.Elapse(time.Second)
			s.removes("a-1")
			s.Settle()
			s.CheckReconciled(theSet)
		},
		"update-all-broken": func(s scene) {
			s.creates("4 groups of 2, an image that doesn't work", newSet(4, 2, withBudget(1, 0), withBrokenImage))
			s.Settle()
			s.becomes("image:2", withImage(2))
		},
		"update-bad-image": func(s scene) {
			s.starts("1 group of 2, maxUnavailable 0, maxSurge 1", newSet(1, 2, withBudget(0, 1)))
			s.changes("an image that doesn't work", withBrokenImage)
			s.Settle()
			s.becomes("image:1, as it was", withImage(1))
		},
		"update-stopped": func(s scene) {
			s.starts("4 groups of 2, maxUnavailable 1", newSet(4, 2, withBudget(1, 0)))
			s.changes("an image that doesn't work", withBrokenImage)
			s.Elapse(20 * time.Second)
			s.becomes("image:1, as it was", withImage(1))
		},
		"update-canary": func(s scene) {
			s.starts("4 groups of 2, maxUnavailable 1, partition 3",
				newSet(4, 2, withBudget(1, 0), withPartition(3)))
			s.changes("image:2", withImage(2))
			s.Elapse(20 * time.Second)
			s.becomes("partition 0", withPartition(0))
		},
		"sibling-in-the-way": playSiblingInTheWay,
		"sibling-too-early":  playSiblingTooEarly,
	})
}

// compareFilms plays each film in an orderly world, and compares it with the golden file that has the prefix and its
// name.
func compareFilms(t *testing.T, prefix string, films map[string]func(scene)) {
	t.Helper()
	for name, play := range films {
		t.Run(name, func(t *testing.T) {
			operator, counted := countedOperator(t)
			world := simulate.New(t, operator)
			play(scene{t, world})
			simulate.CompareFilm(t, prefix+name, world.Film()+counted.String(), *update)
		})
	}
}

// playAtRandom plays each film in random worlds.
func playAtRandom(t *testing.T, films map[string]func(scene)) {
	t.Helper()
	for name, play := range films {
		t.Run(name, func(t *testing.T) {
			inRandomWorlds(t, max(*seeds/40, 1), func(t *testing.T, seed uint64) string {
				t.Helper()
				world := simulate.NewRandom(t, operatorUnderTest(t), seed)
				play(scene{t, world})
				return world.Film()
			})
		})
	}
}

// playForeignStatefulSet creates a StatefulSet of the set's name before the set, and deletes that StatefulSet later.
func playForeignStatefulSet(s scene) {
	s.User("creates StatefulSet a, which has nothing to do with it", func() error {
		labels := map[string]string{"app": "other"}
		return s.API.Create(&appsv1.StatefulSet{
			ObjectMeta: metav1.ObjectMeta{Namespace: theSet.Namespace, Name: theSet.Name},
			Spec: appsv1.StatefulSetSpec{
				Replicas:            ptr.To[int32](1),
				PodManagementPolicy: appsv1.ParallelPodManagement,
				Selector:            &metav1.LabelSelector{MatchLabels: labels},
				Template:            corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}},
			},
		})
	})
	s.Settle()
	s.creates("1 group of 2", newSet(1, 2))
	s.Elapse(6 * time.Minute) // The set is stalled after 5.
	s.User("deletes StatefulSet a", func() error {
		return s.API.Delete("StatefulSet", theSet, nil, metav1.DeletePropagationBackground)
	})
	s.Settle()
	s.CheckReconciled(theSet)
}

// sibling returns the key of a set whose leader StatefulSet has the name of a worker StatefulSet of the set.
func sibling(group int32) types.NamespacedName {
	return at(theSet, identity.Leader(theSet.Name, group))
}

// createsSibling creates a sibling.
func (s scene) createsSibling(group int32) {
	s.Helper()
	lws := newSet(1, 2)
	lws.Name = sibling(group).Name
	s.User("creates LeaderWorkerSet "+lws.Name+": 1 group of 2", func() error { return s.API.Create(lws) })
}

// playSiblingInTheWay creates a sibling that takes the name of the set's last group, and deletes the sibling later.
func playSiblingInTheWay(s scene) {
	s.createsSibling(2)
	s.Settle()
	s.creates("3 groups of 2", newSet(3, 2))
	s.Elapse(time.Minute)
	s.User("deletes LeaderWorkerSet a-2", func() error {
		return s.API.Delete("LeaderWorkerSet", sibling(2), nil, metav1.DeletePropagationBackground)
	})
	s.Settle()
	s.CheckReconciled(theSet)
}

// playSiblingTooEarly creates a sibling while a group of the set, which terminates, still has its name.
func playSiblingTooEarly(s scene) {
	s.starts("1 group of 2", newSet(1, 2))
	s.deletes(metav1.DeletePropagationForeground)
	s.createsSibling(0)
	s.Settle()
	s.CheckReconciled(sibling(0))
}

// TestRandomWorlds scales and changes sets in random worlds: the cache is late, other actors act in between, writes
// fail, and the operator restarts. The invariants hold at every step, and at the end each world is as its user wants
// it. The flag -seed runs one world again.
func TestRandomWorlds(t *testing.T) {
	simulate.PlayWorlds(t, *seeds, *seed, playRandomly)
}

// maxGroups bounds the groups of random worlds.
const maxGroups int32 = 5

// playRandomly runs one random world and returns its film.
func playRandomly(t *testing.T, seed uint64) string {
	t.Helper()
	random := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // Not a secret: it has to repeat.
	s := scene{t, simulate.NewRandom(t, operatorUnderTest(t), seed)}

	unavailable := random.Int32N(3)
	surge := random.Int32N(3)
	if unavailable == 0 && surge == 0 {
		unavailable = 1
	}
	lws := newSet(random.Int32N(maxGroups), 1+random.Int32N(3), withBudget(unavailable, surge))
	if random.IntN(3) == 0 {
		leaderReady(lws)
	}
	if random.IntN(3) == 0 {
		uniquePerReplica(lws)
	}
	withHistory(random.Int32N(3))(lws)
	s.creates(fmt.Sprintf("%d groups of %d, maxUnavailable %d, maxSurge %d",
		*lws.Spec.Replicas, *lws.Spec.LeaderWorkerTemplate.Size, unavailable, surge), lws.DeepCopy())
	for range 2 + random.IntN(4) {
		s.stepsRandomly(random)
		changeRandomly(s, random, lws)
	}
	s.ends(lws)
	return s.Film()
}

// TestGroupsReturnAtTheirRevision deletes groups while others are released below the partition. Each group is created
// again at the revision that the rollout has decided on, also while the leader StatefulSet has the strategy OnDelete.
func TestGroupsReturnAtTheirRevision(t *testing.T) {
	for seed := range uint64(*seeds) { //nolint:gosec // A number of tests.
		t.Run(fmt.Sprintf("seed=%d", seed+1), func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(seed+1, 2)) //nolint:gosec // Not a secret: it has to repeat.
			s := scene{t, simulate.NewRandom(t, operatorUnderTest(t), seed+1)}
			s.starts("5 groups of 1, maxUnavailable 1", newSet(maxGroups, 1, withBudget(1, 0)))
			broken := random.Int32N(maxGroups - 1)
			s.breaks(identity.Leader(theSet.Name, broken))
			s.changes("image:2", withImage(2))
			for range 4 {
				for range random.IntN(15) {
					s.Step()
				}
				s.removes(identity.Leader(theSet.Name, random.Int32N(maxGroups)))
			}
			s.Settle()
			s.CheckReconciled(theSet)
		})
	}
}

// ends ends a random world. With an image that works, the rollout completes although groups are broken. Once the broken
// groups of the latest revision are deleted, the world is as the user wants it.
func (s scene) ends(lws *leaderworkersetv1.LeaderWorkerSet) {
	s.Helper()
	s.changes("image:5, partition 0", func(lws *leaderworkersetv1.LeaderWorkerSet) {
		withImage(5)(lws)
		withPartition(0)(lws)
	})
	s.Settle()
	s.CheckRolledOut(theSet)
	for index := range 2 * maxGroups {
		leader := identity.Leader(lws.Name, index)
		if s.API.IsBroken(at(theSet, leader)) {
			s.removes(leader)
		}
	}
	s.Settle()
	s.CheckReconciled(theSet)
}

// stepsRandomly takes a random number of steps, or settles. While a node is lost, a pod there may have the name of a
// missing leader. The operator then has the StatefulSet controller try again every minute, and nothing settles.
func (s scene) stepsRandomly(random *rand.Rand) {
	s.Helper()
	if random.IntN(4) == 0 {
		if s.IsNodeLost("node-1") {
			s.Elapse(10 * time.Minute)
		} else {
			s.Settle()
		}
		return
	}
	for range random.IntN(200) {
		s.Step()
	}
}

func changeRandomly(s scene, random *rand.Rand, lws *leaderworkersetv1.LeaderWorkerSet) {
	s.Helper()
	leader := identity.Leader(lws.Name, random.Int32N(maxGroups))
	switch random.IntN(18) {
	case 0, 1, 2, 3:
		replicas := random.Int32N(maxGroups)
		s.changes(fmt.Sprintf("%d groups", replicas), scaledTo(replicas))
	case 4, 5, 6, 7:
		version := 1 + random.IntN(4)
		s.changes(fmt.Sprintf("image:%d", version), withImage(version))
	case 8, 9:
		size := 1 + random.Int32N(3)
		s.changes(fmt.Sprintf("size %d", size), withSize(size))
	case 10, 11, 12:
		s.breaks(leader)
	case 13:
		s.changes("an image that doesn't work", withBrokenImage)
	case 14:
		s.removes(leader)
	case 15, 16:
		partition := random.Int32N(maxGroups)
		s.changes(fmt.Sprintf("partition %d", partition), withPartition(partition))
	default:
		policies := []metav1.DeletionPropagation{metav1.DeletePropagationBackground, metav1.DeletePropagationOrphan}
		s.deletes(policies[random.IntN(len(policies))])
		for range random.IntN(20) {
			s.Step()
		}
		for s.API.Get("LeaderWorkerSet", theSet) != nil {
			s.Step()
		}
		s.creates("again", lws.DeepCopy())
	}
}
