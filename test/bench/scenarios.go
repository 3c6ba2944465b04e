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
	// updateUnavailable is how many groups a rolling update of instant pods may take down at once.
	updateUnavailable = "10%"

	// The rolling update of slow pods: 20 groups, half of them at a time. Two rounds of readyAfter are the least it can take.
	slowGroups, slowUnavailable, slowReadyAfter = 20, "50%", "5s"

	// killEvery is the distance between groups that lose a worker: every tenth group.
	killEvery = 10

	// killTimeout is how long killed groups may take to be restarted. Those that aren't by then are told of.
	killTimeout = 30 * time.Second

	// strangerGroups are the groups of the set in a cluster with strangers' pods.
	strangerGroups = 20

	// starts is how often the operator is started to learn how much memory that takes, which differs by some MiB. It is odd: the middle
	// counts.
	starts = 5

	// parallelRequests is how many requests the benchmark itself makes at a time.
	parallelRequests = 20
)

// errUntold is that the status of the set doesn't say what it should.
var errUntold = errors.New("the status doesn't say so")

// scenarios runs on one cluster after the other.
type scenarios struct {
	options options
	report  *report.Report
}

// sequence is everything that happens to one set of instant pods, and before that to the same pods without a controller.
func (s *scenarios) sequence(ctx context.Context, replicas, size int) error {
	return s.onBed(ctx, func(ctx context.Context, b *bed) error {
		if err := s.floors(ctx, b, replicas, size, b.replacement(report.UpdateFloor, replicas, size, updateUnavailable)); err != nil {
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

// slowUpdate is the rolling update of pods that take seconds to become ready, and before that the replacement of the same pods without a
// controller.
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

// large is one set of few groups with many pods.
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

// strangers tells what pods cost the operator that it has nothing to do with.
func (s *scenarios) strangers(ctx context.Context, count, size int) error {
	return s.onBed(ctx, func(ctx context.Context, b *bed) error {
		if err := b.install(ctx); err != nil {
			return err
		}
		if _, err := b.measure(ctx, b.creation(report.Create, newSet(strangerGroups, size, updateUnavailable, ""))); err != nil {
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

// onBed calls the function with a cluster that is there for it alone.
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

// measure adds what tasks took to the report, one after the other.
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

// medianStart starts the operator several times, and adds to the report the start that left it with the memory in the middle.
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

// floors warms the cluster up with a few pods, measures how long StatefulSets alone take to make all of them, and further tasks with those.
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

// replacement has the floor's StatefulSets make the pods of all groups anew, with as many groups at a time as a rolling update may take down:
// a client deletes those of the next group as soon as one is back. An update does that and more: it replaces the workers' StatefulSets, too.
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

// replace deletes the pods of a group of the floor and waits until others are ready in their places.
func (b *bed) replace(ctx context.Context, group, size int) error {
	for worker := range size {
		if err := b.api.CoreV1().Pods(namespace).Delete(ctx, podName(group, worker), metav1.DeleteOptions{}); err != nil {
			return err
		}
	}
	return wait.PollUntilContextCancel(ctx, podsPoll, true, func(context.Context) (bool, error) { return b.groups.isBack(group), nil })
}

// creation creates a set.
func (b *bed) creation(scenario string, set *leaderworkersetv1.LeaderWorkerSet) task {
	replicas, size := int(*set.Spec.Replicas), int(*set.Spec.LeaderWorkerTemplate.Size)
	return task{
		key:  report.Key{Scenario: scenario, Groups: replicas, Size: size},
		do:   func(ctx context.Context) error { return b.sets.Create(ctx, set) },
		pods: b.pods(replicas*size, image),
		told: b.told(replicas),
	}
}

// idleness is that nothing happens.
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

// killing deletes a pod of every tenth group, the last of the group.
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
				return fmt.Errorf("%d of %d groups were restarted", restarted, len(killed))
			}
			return b.pods(replicas*size, image)(ctx)
		},
		told:   b.told(replicas),
		killed: killed,
	}
}

// update changes the image of all pods.
func (b *bed) update(scenario string, replicas, size int) task {
	return task{
		key: report.Key{Scenario: scenario, Groups: replicas, Size: size},
		do: func(ctx context.Context) error {
			return b.edit(ctx, func(set *leaderworkersetv1.LeaderWorkerSet) {
				set.Spec.LeaderWorkerTemplate.WorkerTemplate.Spec.Containers[0].Image = nextImage
			})
		},
		pods:    b.pods(replicas*size, nextImage),
		told:    b.told(replicas),
		rollout: true,
	}
}

// restart stops the operator and takes the time of its start.
func (b *bed) restart(scenario string, replicas, size int) task {
	return task{
		key:     report.Key{Scenario: scenario, Groups: replicas, Size: size},
		prepare: func(ctx context.Context) error { return b.controller.Stop(ctx) },
		do:      func(ctx context.Context) error { return b.controller.Start(ctx) },
	}
}

// scaling changes the number of groups of a set that has been updated.
func (b *bed) scaling(scenario string, replicas, size, to int) task {
	return task{
		key: report.Key{Scenario: scenario, Groups: replicas, Size: size},
		do: func(ctx context.Context) error {
			return b.edit(ctx, func(set *leaderworkersetv1.LeaderWorkerSet) {
				set.Spec.Replicas = ptr.To(int32(to)) //nolint:gosec // A number of groups.
			})
		},
		pods: b.pods(to*size, nextImage),
		told: b.told(to),
	}
}

// deletion deletes the set.
func (b *bed) deletion(scenario string, replicas, size int) task {
	return task{
		key: report.Key{Scenario: scenario, Groups: replicas, Size: size},
		do: func(ctx context.Context) error {
			return b.sets.Delete(ctx, newSet(replicas, size, updateUnavailable, ""), client.PropagationPolicy(metav1.DeletePropagationBackground))
		},
		pods: b.pods(0, image),
	}
}

// arrival is that of the strangers' pods.
func (b *bed) arrival(count, size int) task {
	arrived := newGroups()
	return task{
		key: report.Key{Scenario: report.Strangers, Groups: strangerGroups, Size: size},
		do: func(ctx context.Context) error {
			if err := b.makeNamespace(ctx, strangersNamespace); err != nil {
				return err
			}
			if err := arrived.follow(ctx, b.api, strangersNamespace); err != nil {
				return err
			}
			return inParallel(ctx, count, func(i int) error {
				_, err := b.api.CoreV1().Pods(strangersNamespace).Create(ctx, stranger(i, b.nodes), metav1.CreateOptions{})
				return err
			})
		},
		pods: func(context.Context) error { return arrived.are(count, image) },
	}
}

// pods says what is missing before there are that many pods, all of them ready with the image, and no others.
func (b *bed) pods(count int, image string) func(context.Context) error {
	return func(context.Context) error { return b.groups.are(count, image) }
}

// told says what the status of the set doesn't say yet.
func (b *bed) told(replicas int) func(context.Context) error {
	return func(ctx context.Context) error {
		set := &leaderworkersetv1.LeaderWorkerSet{}
		if err := b.sets.Get(ctx, client.ObjectKey{Namespace: namespace, Name: setName}, set); err != nil {
			return err
		}
		status := &set.Status
		if int(status.ReadyReplicas) != replicas || int(status.UpdatedReplicas) != replicas || int(status.Replicas) != replicas {
			return fmt.Errorf("%w: %d groups, %d ready, %d updated", errUntold, status.Replicas, status.ReadyReplicas, status.UpdatedReplicas)
		}
		if !meta.IsStatusConditionTrue(status.Conditions, leaderworkersetv1.ConditionAvailable) {
			return errUntold
		}
		return nil
	}
}

// edit changes the set.
func (b *bed) edit(ctx context.Context, change func(*leaderworkersetv1.LeaderWorkerSet)) error {
	set := &leaderworkersetv1.LeaderWorkerSet{}
	if err := b.sets.Get(ctx, client.ObjectKey{Namespace: namespace, Name: setName}, set); err != nil {
		return err
	}
	before := set.DeepCopy()
	change(set)
	return b.sets.Patch(ctx, set, client.MergeFrom(before))
}

// inParallel calls the function for each number below count, many at a time, and returns what went wrong.
func inParallel(ctx context.Context, count int, do func(int) error) error {
	return atMost(ctx, parallelRequests, count, do)
}

// atMost does what inParallel does, with a limit of its own.
func atMost(ctx context.Context, limit, count int, do func(int) error) error {
	errs := make([]error, count)
	workqueue.ParallelizeUntil(ctx, limit, count, func(i int) { errs[i] = do(i) })
	return errors.Join(ctx.Err(), errors.Join(errs...))
}
