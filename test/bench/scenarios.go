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

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/test/bench/report"
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
	return s.onBed(ctx, func(ctx context.Context, b *bed) error {
		replacement := b.replacement(report.UpdateFloor, replicas, size, updateUnavailable)
		if err := s.floors(ctx, b, replicas, size, replacement); err != nil {
			return err
		}
		if err := b.install(ctx); err != nil {
			return err
		}
		more, half := replicas+replicas/2, max(1, replicas/2)
		return s.measure(ctx, b,
			b.creation(report.Create, newSet(replicas, size, updateUnavailable, "")),
			b.idleness(replicas, size),
			b.killing(replicas, size),
			b.update(report.Update, replicas, size),
			b.restart(report.Restart, replicas, size),
			b.scaling(report.ScaleUp, replicas, size, more),
			b.scaling(report.ScaleDown, replicas, size, half),
			b.deletion(report.Delete, replicas, size))
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
		if err := b.deleteFloor(ctx, slowGroups, size); err != nil {
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
// those pods. Before that, it warms the cluster up with a few pods.
func (s *scenarios) floors(ctx context.Context, b *bed, replicas, size int, more ...task) error {
	const warmUp = 5
	if err := b.createFloor(ctx, warmUp, size, ""); err != nil {
		return err
	}
	if err := b.until(ctx, "warm up", podsPoll, b.pods(warmUp*size, image)); err != nil {
		return err
	}
	if err := b.deleteFloor(ctx, warmUp, size); err != nil {
		return err
	}
	created := task{
		key:  report.Key{Scenario: report.Floor, Groups: replicas, Size: size},
		do:   func(ctx context.Context) error { return b.createFloor(ctx, replicas, size, "") },
		pods: b.pods(replicas*size, image),
	}
	if err := s.measure(ctx, b, append([]task{created}, more...)...); err != nil {
		return err
	}
	return b.deleteFloor(ctx, replicas, size)
}

func (b *bed) createFloor(ctx context.Context, replicas, size int, readyAfter string) error {
	sets := floorSets(replicas, size, readyAfter)
	return inParallel(ctx, len(sets), func(i int) error {
		_, err := b.api.AppsV1().StatefulSets(namespace).Create(ctx, sets[i], metav1.CreateOptions{})
		return err
	})
}

func (b *bed) deleteFloor(ctx context.Context, replicas, size int) error {
	sets := floorSets(replicas, size, "")
	err := inParallel(ctx, len(sets), func(i int) error {
		return b.api.AppsV1().StatefulSets(namespace).Delete(ctx, sets[i].Name, metav1.DeleteOptions{})
	})
	if err != nil {
		return err
	}
	return b.until(ctx, "delete the floor", podsPoll, b.pods(0, image))
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

// killing returns the task that deletes the last pod of every tenth group.
func (b *bed) killing(replicas, size int) task {
	killed := map[int]string{}
	for group := 0; group < replicas; group += killEvery {
		killed[group] = podName(group, size-1)
	}
	names := slices.Collect(maps.Values(killed))
	var began time.Time
	return task{
		key: report.Key{Scenario: report.Kill, Groups: replicas, Size: size},
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
		status := &set.Status
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
