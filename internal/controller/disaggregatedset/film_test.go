// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package disaggregatedset

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/cache"

	disaggregatedsetv1 "github.com/leaderworkerset/lws-operator/api/disaggregatedset/v1"
	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/apply"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset"
	"github.com/leaderworkerset/lws-operator/test/simulate"
)

var (
	update = flag.Bool("update", false, "write the films to testdata/films instead of comparing them")
	seeds  = flag.Int("seeds", 25, "how many random worlds to run")
	seed   = flag.Uint64("seed", 0, "run only the random world of this seed, and log its film")
)

// operatorUnderTest returns an operator with the real reconcilers of both kinds and the real watches, for a simulated
// world.
func operatorUnderTest(t *testing.T) simulate.Operator {
	t.Helper()
	scheme := runtime.NewScheme()
	err := errors.Join(clientgoscheme.AddToScheme(scheme), leaderworkersetv1.AddToScheme(scheme),
		disaggregatedsetv1.AddToScheme(scheme))
	if err != nil {
		t.Fatal(err)
	}
	return simulate.Operator{
		Scheme: scheme,
		Cache: cache.Options{
			ByObject: leaderworkerset.CacheByObject(), DefaultTransform: cache.TransformStripManagedFields(),
		},
		ReadsYourWrites: true, Start: startOperator,
	}
}

func startOperator(in simulate.Environment) ([]simulate.Controller, error) {
	ctx, applier := context.Background(), &apply.Applier{Client: in.Client, Live: in.Live, Recorder: in.Recorder}
	below := leaderworkerset.DefaultOptions()
	below.Clock = in.Clock
	children, err := leaderworkerset.NewControllers(ctx, applier, in.Cache, below)
	if err != nil {
		return nil, err
	}
	err = errors.Join(
		in.Cache.IndexField(ctx, &leaderworkersetv1.LeaderWorkerSet{}, ownedBySet, indexByOwner),
		in.Cache.IndexField(ctx, &disaggregatedsetv1.DisaggregatedSetRoleScaler{}, ownedBySet, indexByOwner))
	options := DefaultOptions()
	options.Clock = in.Clock
	controllers := []simulate.Controller{{
		Name: "roles", Reconciler: newReconciler(applier, options), Sources: sources(in.Cache, options.BatchDelay),
		Limiter: newLimiter(options),
	}}
	for _, child := range children {
		controllers = append(controllers, simulate.Controller{
			Name: child.Name, Reconciler: child.Reconciler, Sources: child.Sources, Limiter: child.Limiter,
		})
	}
	return controllers, err
}

var theSet = types.NamespacedName{Namespace: "default", Name: "a"}

// change is a change of a DisaggregatedSet.
type change = func(*disaggregatedsetv1.DisaggregatedSet)

// role returns a role with groups of one pod. surge and unavailable are its budgets.
func role(name string, replicas, surge, unavailable int32) disaggregatedsetv1.DisaggregatedRoleSpec {
	return disaggregatedsetv1.DisaggregatedRoleSpec{Name: name, Spec: leaderworkersetv1.LeaderWorkerSetSpec{
		Replicas: &replicas,
		RolloutStrategy: leaderworkersetv1.RolloutStrategy{
			RollingUpdateConfiguration: &leaderworkersetv1.RollingUpdateConfiguration{
				MaxSurge: ptr.To(intstr.FromInt32(surge)), MaxUnavailable: ptr.To(intstr.FromInt32(unavailable)),
			},
		},
		LeaderWorkerTemplate: leaderworkersetv1.LeaderWorkerTemplate{
			WorkerTemplate: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
				Containers: []corev1.Container{{Name: "main", Image: "image:1"}},
			}},
		},
	}}
}

// newSet returns the DisaggregatedSet "a".
func newSet(roles ...disaggregatedsetv1.DisaggregatedRoleSpec) *disaggregatedsetv1.DisaggregatedSet {
	return &disaggregatedsetv1.DisaggregatedSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: theSet.Namespace, Name: theSet.Name},
		Spec:       disaggregatedsetv1.DisaggregatedSetSpec{Roles: roles},
	}
}

// withImage sets the image of the roles with these names; of all roles if there are none.
func withImage(image string, names ...string) change {
	return func(set *disaggregatedsetv1.DisaggregatedSet) {
		for i := range set.Spec.Roles {
			role := &set.Spec.Roles[i]
			if len(names) == 0 || slices.Contains(names, role.Name) {
				role.Spec.LeaderWorkerTemplate.WorkerTemplate.Spec.Containers[0].Image = image
			}
		}
	}
}

func withReplicas(name string, replicas int32) change {
	return func(set *disaggregatedsetv1.DisaggregatedSet) {
		for i := range set.Spec.Roles {
			if set.Spec.Roles[i].Name == name {
				set.Spec.Roles[i].Spec.Replicas = &replicas
			}
		}
	}
}

func withSlices(slices int32) change {
	return func(set *disaggregatedsetv1.DisaggregatedSet) { set.Spec.Slices = &slices }
}

func withName(from, to string) change {
	return func(set *disaggregatedsetv1.DisaggregatedSet) {
		for i := range set.Spec.Roles {
			if set.Spec.Roles[i].Name == from {
				set.Spec.Roles[i].Name = to
			}
		}
	}
}

// scene is a world in which a test makes changes as a user.
type scene struct {
	*testing.T
	*simulate.World
}

func (s scene) creates(what string, set *disaggregatedsetv1.DisaggregatedSet) {
	s.Helper()
	s.User("creates DisaggregatedSet a: "+what, func() error { return s.API.Create(set) })
}

func (s scene) changes(what string, change change) {
	s.Helper()
	s.User("changes DisaggregatedSet a: "+what, func() error { s.API.UpdateDisaggregatedSet(theSet, change); return nil })
}

func (s scene) deletes(policy metav1.DeletionPropagation) {
	s.Helper()
	s.User(fmt.Sprintf("deletes DisaggregatedSet a, propagation %s", policy), func() error {
		return s.API.Delete("DisaggregatedSet", theSet, nil, policy)
	})
}

// starts creates the set, and settles until it is reconciled.
func (s scene) starts(what string, roles ...disaggregatedsetv1.DisaggregatedRoleSpec) {
	s.Helper()
	s.creates(what, newSet(roles...))
	s.Settle()
	s.CheckRolesReconciled(theSet)
}

// becomes changes the set, and settles until it is reconciled.
func (s scene) becomes(what string, change change) {
	s.Helper()
	s.changes(what, change)
	s.Settle()
	s.CheckRolesReconciled(theSet)
}

// removesOrphans deletes what nobody owns.
func (s scene) removesOrphans() {
	s.Helper()
	for _, kind := range []string{"LeaderWorkerSet", "DisaggregatedSetRoleScaler"} {
		for _, object := range s.API.List(kind) {
			if metav1.GetControllerOf(object) == nil {
				role := object.GetLabels()[disaggregatedsetv1.RoleLabelKey]
				s.User(fmt.Sprintf("deletes a %s of %s that nobody owns", kind, role), func() error {
					return s.API.Delete(kind, types.NamespacedName{Namespace: object.GetNamespace(), Name: object.GetName()},
						nil, metav1.DeletePropagationBackground)
				})
			}
		}
	}
}

const threeAndTwo = "3 groups of prefill and 2 of decode, maxSurge 1"

func (s scene) startsThreeAndTwo() {
	s.Helper()
	s.starts(threeAndTwo, role("prefill", 3, 1, 0), role("decode", 2, 1, 0))
}

// TestFilms compares the films of orderly worlds with golden files, which people have reviewed.
func TestFilms(t *testing.T) {
	for name, play := range map[string]func(scene){
		"rollout": func(s scene) {
			s.startsThreeAndTwo()
			s.becomes("image:2 in both roles", withImage("image:2"))
		},
		"rollback-in-the-middle": func(s scene) {
			s.startsThreeAndTwo()
			s.changes("image:2 in both roles", withImage("image:2"))
			s.Elapse(5 * time.Second)
			s.becomes("image:1 again", withImage("image:1"))
		},
		"rename-a-role": func(s scene) {
			s.startsThreeAndTwo()
			s.becomes("prefill is called encode", withName("prefill", "encode"))
		},
		"slices-up": func(s scene) {
			s.startsThreeAndTwo()
			s.becomes("2 slices", withSlices(2))
			s.becomes("1 slice", withSlices(1))
		},
		"bad-image-in-one-role": func(s scene) {
			s.startsThreeAndTwo()
			s.changes("image:2 in prefill, and an image of decode that doesn't work", func(
				set *disaggregatedsetv1.DisaggregatedSet,
			) {
				withImage("image:2", "prefill")(set)
				withImage(simulate.BrokenImage, "decode")(set)
			})
			s.Settle()
			s.becomes("image:3 in decode", withImage("image:3", "decode"))
		},
		"names-taken": func(s scene) {
			s.startsThreeAndTwo()
			s.deletes(metav1.DeletePropagationOrphan)
			s.Settle()
			s.creates(threeAndTwo, newSet(role("prefill", 3, 1, 0), role("decode", 2, 1, 0)))
			s.Elapse(10 * time.Minute)
			s.Restart()
			s.Elapse(time.Minute)
			s.removesOrphans()
			s.Settle()
			s.CheckRolesReconciled(theSet)
		},
		"operator-killed": func(s scene) {
			s.startsThreeAndTwo()
			s.changes("image:2 in both roles", withImage("image:2"))
			for range 4 {
				s.Elapse(2 * time.Second)
				s.Restart()
			}
			s.Settle()
			s.CheckRolesReconciled(theSet)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := scene{t, simulate.New(t, operatorUnderTest(t))}
			play(s)
			simulate.CompareFilm(t, name, s.FilmOfRoles(), *update)
		})
	}
}
