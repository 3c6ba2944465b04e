// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/test/bench/report"
	"github.com/leaderworkerset/lws-operator/test/measure"
)

const (
	// updateUnavailable is maxUnavailable for the rolling update of pods that are ready at once.
	updateUnavailable = "10%"

	// The rolling update of slow pods replaces 20 groups, half of them at a time. It takes two rounds of slowReadyAfter at
	// least.
	slowGroups, slowUnavailable, slowReadyAfter = 20, "50%", "5s"

	// killEvery is the distance between groups that lose a worker.
	killEvery = 10

	// killTimeout limits the time for groups to restart. The result reports groups that haven't restarted by then.
	killTimeout = 30 * time.Second

	// manySize is the number of pods in the group of each of many sets. One check of all their statuses is expensive.
	manySize       = 2
	manyStatusPoll = 500 * time.Millisecond

	// strangerGroups is the number of groups in the scenario with strangers, which are pods of no LeaderWorkerSet.
	strangerGroups = 20

	// starts is how often the benchmark starts the operator to measure the memory after a start, which differs by some
	// MiB. The number is odd because the median counts.
	starts = 5

	// parallelRequests limits the concurrent requests of the benchmark itself.
	parallelRequests = 20
)

// errStatus is the error while the status of the set isn't as expected.
var errStatus = errors.New("the status isn't up to date")

// scenarios runs scenarios on one cluster after the other.
type scenarios struct {
	options options
	report  *report.Report
}

// sequence runs all scenarios with one set whose pods are ready at once. Before that, it measures the same pods without
// a controller.
func (s *scenarios) sequence(ctx context.Context, replicas, size int) error {
	return s.afterFloors(ctx, replicas, size, func(ctx context.Context, b *bed) error {
		more, half := replicas+replicas/2, max(1, replicas/2)
		return s.measure(ctx, b,
			b.creation(report.Create, newSet(replicas, size, updateUnavailable, "")),
			b.idleness(replicas, size),
			b.killing(report.Kill, replicas, size, killEvery),
			b.update(report.Update, replicas, size),
			b.restart(report.Restart, replicas, size),
			b.scaling(report.ScaleUp, replicas, size, more),
			b.scaling(report.ScaleDown, replicas, size, half),
			b.deletion(report.Delete, replicas, size))
	})
}

// rollout runs the part of the sequence that creates and updates the set.
func (s *scenarios) rollout(ctx context.Context, replicas, size int) error {
	return s.afterFloors(ctx, replicas, size, func(ctx context.Context, b *bed) error {
		return s.measure(ctx, b,
			b.creation(report.Create, newSet(replicas, size, updateUnavailable, "")),
			b.update(report.Update, replicas, size))
	})
}

// afterFloors calls the function with a new cluster with the operator. Before that, it measures the floors of creation
// and update, unless they are left out.
func (s *scenarios) afterFloors(
	ctx context.Context, replicas, size int, run func(context.Context, *bed) error,
) error {
	return s.onBed(ctx, func(ctx context.Context, b *bed) error {
		if s.options.floors {
			replacement := b.replacement(report.UpdateFloor, replicas, size, updateUnavailable)
			if err := s.floors(ctx, b, replicas, size, replacement); err != nil {
				return err
			}
		}
		if err := b.installWarm(ctx); err != nil {
			return err
		}
		return run(ctx, b)
	})
}

// edit changes the image and the number of groups of a set at once.
func (s *scenarios) edit(ctx context.Context, replicas, size int) error {
	return s.onBed(ctx, func(ctx context.Context, b *bed) error {
		if err := b.installWarm(ctx); err != nil {
			return err
		}
		set := newSet(replicas, size, updateUnavailable, "")
		if _, err := b.measure(ctx, b.creation(report.Create, set)); err != nil {
			return err
		}
		return s.measure(ctx, b, b.updateAndScale(replicas, size, replicas+replicas/2))
	})
}

// recovery creates sets one after the other. In each group of a set, a worker dies. The floor is the creation of the
// set.
func (s *scenarios) recovery(ctx context.Context, sets []dimensions) error {
	return s.onBed(ctx, func(ctx context.Context, b *bed) error {
		if err := b.installWarm(ctx); err != nil {
			return err
		}
		for _, d := range sets {
			created := b.creation(report.RecoveryCreate, newSet(d.groups, d.size, updateUnavailable, ""))
			if err := s.measure(ctx, b, created, b.killing(report.Recovery, d.groups, d.size, 1)); err != nil {
				return err
			}
			if err := b.deleteSet(ctx, d.groups, d.size); err != nil {
				return err
			}
		}
		return nil
	})
}

// many creates many sets of one group each.
func (s *scenarios) many(ctx context.Context, count int) error {
	return s.onBed(ctx, func(ctx context.Context, b *bed) error {
		if s.options.floors {
			floor := task{
				key:  report.Key{Scenario: report.ManyFloor, Groups: count, Size: manySize},
				do:   func(ctx context.Context) error { return b.createStatefulSets(ctx, floorPairs(count, manySize)) },
				pods: b.pods(count*manySize, image),
			}
			if err := s.floor(ctx, b, floor, manySize); err != nil {
				return err
			}
			if err := b.deleteFloor(ctx); err != nil {
				return err
			}
		}
		if err := b.installWarm(ctx); err != nil {
			return err
		}
		return s.measure(ctx, b, b.manyCreations(newSets(count, manySize), manySize))
	})
}

// slowUpdate measures the rolling update of pods that take seconds to become ready. Before that, it measures the
// replacement of the same pods without a controller.
func (s *scenarios) slowUpdate(ctx context.Context, size int) error {
	return s.onBed(ctx, func(ctx context.Context, b *bed) error {
		if err := b.createFloor(ctx, slowGroups, size, slowReadyAfter); err != nil {
			return err
		}
		if err := b.until(ctx, report.SlowFloor, podsPoll, b.pods(slowGroups*size, image)); err != nil {
			return err
		}
		if err := s.measure(ctx, b, b.replacement(report.SlowFloor, slowGroups, size, slowUnavailable)); err != nil {
			return err
		}
		if err := b.deleteFloor(ctx); err != nil {
			return err
		}
		if err := b.install(ctx); err != nil {
			return err
		}
		set := newSet(slowGroups, size, slowUnavailable, slowReadyAfter)
		return s.measure(ctx, b, b.creation(report.SlowCreate, set), b.update(report.SlowUpdate, slowGroups, size))
	})
}

// large measures one set of few groups with many pods.
func (s *scenarios) large(ctx context.Context, replicas, size int) error {
	return s.onBed(ctx, func(ctx context.Context, b *bed) error {
		if err := s.floors(ctx, b, replicas, size); err != nil {
			return err
		}
		if err := b.install(ctx); err != nil {
			return err
		}
		return s.measure(ctx, b,
			b.creation(report.Large, newSet(replicas, size, updateUnavailable, "")),
			b.deletion(report.LargeDelete, replicas, size))
	})
}

// strangers measures what pods of no LeaderWorkerSet cost the operator.
func (s *scenarios) strangers(ctx context.Context, count, size int) error {
	return s.onBed(ctx, func(ctx context.Context, b *bed) error {
		if err := b.install(ctx); err != nil {
			return err
		}
		set := newSet(strangerGroups, size, updateUnavailable, "")
		if _, err := b.measure(ctx, b.creation(report.Create, set)); err != nil {
			return err
		}
		if err := s.medianStart(ctx, b, report.Alone, size); err != nil {
			return err
		}
		if err := s.measure(ctx, b, b.arrival(count, size)); err != nil {
			return err
		}
		return s.medianStart(ctx, b, report.Among, size)
	})
}

// onBed calls the function with a new cluster.
func (s *scenarios) onBed(ctx context.Context, run func(context.Context, *bed) error) error {
	return withBed(ctx, s.options, func(ctx context.Context, b *bed) error {
		version, err := b.api.Discovery().ServerVersion()
		if err != nil {
			return err
		}
		s.report.Kubernetes = version.GitVersion
		return run(ctx, b)
	})
}

// measure runs tasks one after the other, and adds their results to the report.
func (s *scenarios) measure(ctx context.Context, b *bed, tasks ...task) error {
	for _, t := range tasks {
		result, err := b.measure(ctx, t)
		if err != nil {
			return fmt.Errorf("%s: %w", t.key.Scenario, err)
		}
		s.report.Results = append(s.report.Results, result)
	}
	return nil
}

// medianStart starts the operator several times. It adds the start with the median of the memory to the report.
func (s *scenarios) medianStart(ctx context.Context, b *bed, scenario string, size int) error {
	var results []report.Result
	for range starts {
		result, err := b.measure(ctx, b.restart(scenario, strangerGroups, size))
		if err != nil {
			return err
		}
		results = append(results, result)
	}
	slices.SortFunc(results, func(a, b report.Result) int { return int(a.ResidentMiB*1000 - b.ResidentMiB*1000) })
	s.report.Results = append(s.report.Results, results[starts/2])
	return nil
}

// floors measures the floor, which is the creation of the pods by StatefulSets alone, and then runs more tasks with
// those pods.
func (s *scenarios) floors(ctx context.Context, b *bed, replicas, size int, more ...task) error {
	created := task{
		key:  report.Key{Scenario: report.Floor, Groups: replicas, Size: size},
		do:   func(ctx context.Context) error { return b.createFloor(ctx, replicas, size, "") },
		pods: b.pods(replicas*size, image),
	}
	if err := s.floor(ctx, b, created, size); err != nil {
		return err
	}
	if err := s.measure(ctx, b, more...); err != nil {
		return err
	}
	return b.deleteFloor(ctx)
}

// floor measures a task of a cluster without the operator. Before that, it warms the cluster up with a few pods.
func (s *scenarios) floor(ctx context.Context, b *bed, measured task, size int) error {
	const warmUp = 5
	if err := b.createFloor(ctx, warmUp, size, ""); err != nil {
		return err
	}
	if err := b.until(ctx, "warm up", podsPoll, b.pods(warmUp*size, image)); err != nil {
		return err
	}
	if err := b.deleteFloor(ctx); err != nil {
		return err
	}
	return s.measure(ctx, b, measured)
}

func (b *bed) createFloor(ctx context.Context, replicas, size int, readyAfter string) error {
	return b.createStatefulSets(ctx, floorSets(replicas, size, readyAfter))
}

func (b *bed) createStatefulSets(ctx context.Context, sets []*appsv1.StatefulSet) error {
	return inParallel(ctx, len(sets), func(i int) error {
		_, err := b.api.AppsV1().StatefulSets(namespace).Create(ctx, sets[i], metav1.CreateOptions{})
		return err
	})
}

// deleteFloor deletes all StatefulSets and their pods, which the garbage collector would delete slowly. It waits until
// the garbage collector is at rest: the next scenario begins with all the requests that limits allow.
func (b *bed) deleteFloor(ctx context.Context) error {
	none, all := metav1.DeleteOptions{}, metav1.ListOptions{}
	if err := b.api.AppsV1().StatefulSets(namespace).DeleteCollection(ctx, none, all); err != nil {
		return err
	}
	if err := b.api.CoreV1().Pods(namespace).DeleteCollection(ctx, none, all); err != nil {
		return err
	}
	if err := b.until(ctx, "delete the floor", podsPoll, b.pods(0, image)); err != nil {
		return err
	}
	return b.untilGarbageCollected(ctx)
}

// untilGarbageCollected waits until the garbage collector is at rest.
func (b *bed) untilGarbageCollected(ctx context.Context) error {
	mark, err := measure.End(b.cluster.AuditLog())
	if err != nil {
		return err
	}
	return b.untilRest(ctx, mark, garbageCollector)
}

// deleteSet deletes the set, and waits until the garbage collector is at rest.
func (b *bed) deleteSet(ctx context.Context, replicas, size int) error {
	deleted := b.deletion(report.Delete, replicas, size)
	if err := deleted.do(ctx); err != nil {
		return err
	}
	if err := b.until(ctx, report.Delete, podsPoll, deleted.pods); err != nil {
		return err
	}
	return b.untilGarbageCollected(ctx)
}

// warmUp creates and deletes a small set, because a floor isn't the first work of its controllers either.
func (b *bed) warmUp(ctx context.Context) error {
	const replicas, size = 2, 4
	created := b.creation(report.Create, newSet(replicas, size, updateUnavailable, ""))
	if err := created.do(ctx); err != nil {
		return err
	}
	if err := b.until(ctx, "warm up", statusPoll, created.status); err != nil {
		return err
	}
	return b.deleteSet(ctx, replicas, size)
}

// installWarm installs the controller under test and warms it up.
func (b *bed) installWarm(ctx context.Context) error {
	if err := b.install(ctx); err != nil {
		return err
	}
	return b.warmUp(ctx)
}

// replacement replaces the pods of all groups of the floor. A client deletes the pods of as many groups at a time as a
// rolling update may. Once a group is recreated, the client continues with the next one. A rolling update costs more
// than that, because it also replaces the workers' StatefulSets.
func (b *bed) replacement(scenario string, replicas, size int, unavailable string) task {
	return task{
		key: report.Key{Scenario: scenario, Groups: replicas, Size: size},
		do: func(ctx context.Context) error {
			atOnce, err := intstr.GetScaledValueFromIntOrPercent(ptr.To(intstr.FromString(unavailable)), replicas, false)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeoutCause(ctx, b.options.timeout, errUnfinished)
			defer cancel()
			err = atMost(ctx, max(atOnce, 1), replicas, func(group int) error { return b.replace(ctx, group, size) })
			return errors.Join(err, context.Cause(ctx))
		},
		pods:    b.pods(replicas*size, image),
		rollout: true,
	}
}

// replace deletes the pods of a group of the floor and waits until new ones are ready.
func (b *bed) replace(ctx context.Context, group, size int) error {
	for worker := range size {
		if err := b.api.CoreV1().Pods(namespace).Delete(ctx, podName(group, worker), metav1.DeleteOptions{}); err != nil {
			return err
		}
	}
	return wait.PollUntilContextCancel(ctx, podsPoll, true, func(context.Context) (bool, error) {
		return b.groups.recreated(group), nil
	})
}

// creation returns the task that creates a set.
func (b *bed) creation(scenario string, set *leaderworkersetv1.LeaderWorkerSet) task {
	replicas, size := int(*set.Spec.Replicas), int(*set.Spec.LeaderWorkerTemplate.Size)
	return task{
		key:    report.Key{Scenario: scenario, Groups: replicas, Size: size},
		do:     func(ctx context.Context) error { return b.sets.Create(ctx, set) },
		pods:   b.pods(replicas*size, image),
		status: b.status(replicas),
	}
}

// manyCreations returns the task that creates sets of one group each.
func (b *bed) manyCreations(sets []*leaderworkersetv1.LeaderWorkerSet, size int) task {
	return task{
		key: report.Key{Scenario: report.Many, Groups: len(sets), Size: size},
		do: func(ctx context.Context) error {
			return inParallel(ctx, len(sets), func(i int) error { return b.sets.Create(ctx, sets[i]) })
		},
		pods:       b.pods(len(sets)*size, image),
		status:     b.manyStatuses(len(sets)),
		statusPoll: manyStatusPoll,
	}
}

// idleness returns the task in which nothing happens.
func (b *bed) idleness(replicas, size int) task {
	return task{
		key: report.Key{Scenario: report.Idle, Groups: replicas, Size: size},
		do: func(ctx context.Context) error {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(b.options.idle):
				return nil
			}
		},
	}
}

// killing returns the task that deletes the last pod of groups at a distance: 1 is every group.
func (b *bed) killing(scenario string, replicas, size, distance int) task {
	killed := map[int]string{}
	for group := 0; group < replicas; group += distance {
		killed[group] = podName(group, size-1)
	}
	names := slices.Collect(maps.Values(killed))
	var began time.Time
	return task{
		key: report.Key{Scenario: scenario, Groups: replicas, Size: size},
		do: func(ctx context.Context) error {
			began = time.Now()
			return inParallel(ctx, len(names), func(i int) error {
				return b.api.CoreV1().Pods(namespace).Delete(ctx, names[i], metav1.DeleteOptions{})
			})
		},
		pods: func(ctx context.Context) error {
			if restarted := b.groups.restarts(killed).Restarted; restarted < len(killed) && time.Since(began) < killTimeout {
				return fmt.Errorf("%d of %d groups have restarted", restarted, len(killed))
			}
			return b.pods(replicas*size, image)(ctx)
		},
		status: b.status(replicas),
		killed: killed,
	}
}

// update returns the task that changes the image of all pods.
func (b *bed) update(scenario string, replicas, size int) task {
	return task{
		key: report.Key{Scenario: scenario, Groups: replicas, Size: size},
		do: func(ctx context.Context) error {
			return b.edit(ctx, func(set *leaderworkersetv1.LeaderWorkerSet) {
				set.Spec.LeaderWorkerTemplate.WorkerTemplate.Spec.Containers[0].Image = nextImage
			})
		},
		pods:    b.pods(replicas*size, nextImage),
		status:  b.status(replicas),
		rollout: true,
	}
}

// updateAndScale returns the task that changes the image of all pods and the number of groups in one edit.
func (b *bed) updateAndScale(replicas, size, to int) task {
	return task{
		key: report.Key{Scenario: report.Edit, Groups: replicas, Size: size},
		do: func(ctx context.Context) error {
			return b.edit(ctx, func(set *leaderworkersetv1.LeaderWorkerSet) {
				set.Spec.LeaderWorkerTemplate.WorkerTemplate.Spec.Containers[0].Image = nextImage
				set.Spec.Replicas = ptr.To(int32(to)) //nolint:gosec // A number of groups.
			})
		},
		pods:    b.pods(to*size, nextImage),
		status:  b.status(to),
		rollout: true,
	}
}

// restart returns the task that stops the operator and measures its next start.
func (b *bed) restart(scenario string, replicas, size int) task {
	return task{
		key:     report.Key{Scenario: scenario, Groups: replicas, Size: size},
		prepare: func(ctx context.Context) error { return b.controller.Stop(ctx) },
		do:      func(ctx context.Context) error { return b.controller.Start(ctx) },
	}
}

// scaling returns the task that changes the number of groups of the updated set.
func (b *bed) scaling(scenario string, replicas, size, to int) task {
	return task{
		key: report.Key{Scenario: scenario, Groups: replicas, Size: size},
		do: func(ctx context.Context) error {
			return b.edit(ctx, func(set *leaderworkersetv1.LeaderWorkerSet) {
				set.Spec.Replicas = ptr.To(int32(to)) //nolint:gosec // A number of groups.
			})
		},
		pods:   b.pods(to*size, nextImage),
		status: b.status(to),
	}
}

// deletion returns the task that deletes the set.
func (b *bed) deletion(scenario string, replicas, size int) task {
	return task{
		key: report.Key{Scenario: scenario, Groups: replicas, Size: size},
		do: func(ctx context.Context) error {
			set := newSet(replicas, size, updateUnavailable, "")
			return b.sets.Delete(ctx, set, client.PropagationPolicy(metav1.DeletePropagationBackground))
		},
		pods: b.pods(0, image),
	}
}

// arrival returns the task that creates the strangers.
func (b *bed) arrival(count, size int) task {
	arrived := newGroups()
	return task{
		key: report.Key{Scenario: report.Strangers, Groups: strangerGroups, Size: size},
		do: func(ctx context.Context) error {
			if err := b.makeNamespace(ctx, strangersNamespace); err != nil {
				return err
			}
			if err := arrived.watchPods(ctx, b.api, strangersNamespace); err != nil {
				return err
			}
			return inParallel(ctx, count, func(i int) error {
				_, err := b.api.CoreV1().Pods(strangersNamespace).Create(ctx, stranger(i, b.nodes), metav1.CreateOptions{})
				return err
			})
		},
		pods: func(context.Context) error { return arrived.check(count, image) },
	}
}

// pods returns a check that there are that many pods, all of them ready with the image.
func (b *bed) pods(count int, image string) func(context.Context) error {
	return func(context.Context) error { return b.groups.check(count, image) }
}

// status returns a check that the status reports all groups ready, updated and available.
func (b *bed) status(replicas int) func(context.Context) error {
	return func(ctx context.Context) error {
		set := &leaderworkersetv1.LeaderWorkerSet{}
		if err := b.sets.Get(ctx, client.ObjectKey{Namespace: namespace, Name: setName}, set); err != nil {
			return err
		}
		return reportsAll(&set.Status, replicas)
	}
}

// manyStatuses returns a check that the statuses of that many sets of one group report it.
func (b *bed) manyStatuses(count int) func(context.Context) error {
	return func(ctx context.Context) error {
		list := &leaderworkersetv1.LeaderWorkerSetList{}
		if err := b.sets.List(ctx, list, client.InNamespace(namespace)); err != nil {
			return err
		}
		if len(list.Items) != count {
			return fmt.Errorf("%w: %d of %d sets exist", errStatus, len(list.Items), count)
		}
		for i := range list.Items {
			if err := reportsAll(&list.Items[i].Status, 1); err != nil {
				return fmt.Errorf("%s: %w", list.Items[i].Name, err)
			}
		}
		return nil
	}
}

// reportsAll returns an error unless a status reports all groups ready, updated and available.
func reportsAll(status *leaderworkersetv1.LeaderWorkerSetStatus, replicas int) error {
	if int(status.ReadyReplicas) != replicas || int(status.UpdatedReplicas) != replicas ||
		int(status.Replicas) != replicas {
		return fmt.Errorf("%w: %d groups, %d ready, %d updated",
			errStatus, status.Replicas, status.ReadyReplicas, status.UpdatedReplicas)
	}
	if !meta.IsStatusConditionTrue(status.Conditions, leaderworkersetv1.ConditionAvailable) {
		return errStatus
	}
	return nil
}

// edit patches the set.
func (b *bed) edit(ctx context.Context, change func(*leaderworkersetv1.LeaderWorkerSet)) error {
	set := &leaderworkersetv1.LeaderWorkerSet{}
	if err := b.sets.Get(ctx, client.ObjectKey{Namespace: namespace, Name: setName}, set); err != nil {
		return err
	}
	before := set.DeepCopy()
	change(set)
	return b.sets.Patch(ctx, set, client.MergeFrom(before))
}

// inParallel calls the function for each number below count, parallelRequests at a time, and returns all errors.
func inParallel(ctx context.Context, count int, do func(int) error) error {
	return atMost(ctx, parallelRequests, count, do)
}

// atMost is inParallel with another limit.
func atMost(ctx context.Context, limit, count int, do func(int) error) error {
	errs := make([]error, count)
	workqueue.ParallelizeUntil(ctx, limit, count, func(i int) { errs[i] = do(i) })
	return errors.Join(ctx.Err(), errors.Join(errs...))
}
