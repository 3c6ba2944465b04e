// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/test/cluster"
)

const (
	// lastImage is what pods are updated to after nextImage, or instead of it.
	lastImage = "registry.k8s.io/pause:3.8"

	// badImage never becomes ready.
	badImage = "registry.k8s.io/pause:none"
)

// rollout is a case: a set, what happens to it, and what must have come of that. In all cases the budget holds and groups are made of one
// thing.
type rollout struct {
	replicas, size int32
	budget         budget

	// manifest is changed before the set is created.
	manifest []func(*leaderworkersetv1.LeaderWorkerSet)

	// steps follow each other, from the creation on.
	steps []step

	// restarts is how often each group was created again, by index. Groups that came on top, or that had to go, are among them.
	restarts []span

	// fewestReady is how many groups were ready when fewest were; 0 where that is a matter of speed.
	fewestReady int
}

// step is something that is done to a set, or waited for.
type step func(*testing.T, *rolling)

// rolling is a set in the middle of its case.
type rolling struct {
	lws      *leaderworkersetv1.LeaderWorkerSet
	budget   budget
	film     *film
	versions *recording[*leaderworkersetv1.LeaderWorkerSet]

	// lost are the leaders that groups had when they lost a pod, by index.
	lost map[int]*corev1.Pod
}

// budget are the numbers or percentages of a rollout strategy; maxUnavailable is 1 and maxSurge 0 if they are left out.
type budget struct{ maxUnavailable, maxSurge string }

// span is a number of restarts, from the least to the most.
type span struct{ least, most int }

var never, once, twice, atMostOnce, onceOrTwice = span{0, 0}, span{1, 1}, span{2, 2}, span{0, 1}, span{1, 2}

// run plays a case, and checks all that can be said of any.
func (c rollout) run(t *testing.T) *rolling {
	t.Helper()
	namespace := newNamespace(t)
	r := &rolling{
		budget:   c.budget,
		film:     newFilm(t, namespace, "roll"),
		versions: recordSets(t, namespace),
		lost:     map[int]*corev1.Pod{},
		lws:      newSet(namespace, "roll", c.replicas, c.size, c.budget.apply, readyAfter("500ms"), terminateAfter("200ms")),
	}
	for _, change := range c.manifest {
		change(r.lws)
	}
	create(t, r.lws)
	for _, step := range c.steps {
		step(t, r)
	}
	for _, err := range []error{r.film.overspent(t, c.budget), r.film.mixed(t), r.wrongRestarts(t, c.restarts)} {
		if err != nil {
			t.Error(err)
		}
	}
	if fewest := r.film.fewestReady(t); c.fewestReady > 0 {
		check(t, "fewest ready groups", c.fewestReady, fewest)
	}
	return r
}

// wrongRestarts is an error if groups were created again more or less often than that.
func (r *rolling) wrongRestarts(t *testing.T, want []span) error {
	t.Helper()
	lives := r.film.lives(t)
	wrong := len(lives) > len(want)
	var got []int
	for index, span := range want {
		restarts := len(lives[index]) - 1
		got = append(got, restarts)
		wrong = wrong || restarts < span.least || restarts > span.most
	}
	return unless(!wrong, "%d groups, restarts %v, want %v", len(lives), got, want)
}

// apply puts the budget into a set.
func (b budget) apply(lws *leaderworkersetv1.LeaderWorkerSet) {
	unavailable, surge := b.parsed()
	lws.Spec.RolloutStrategy.RollingUpdateConfiguration = &leaderworkersetv1.RollingUpdateConfiguration{
		MaxUnavailable: &unavailable, MaxSurge: &surge,
	}
}

func (b budget) parsed() (unavailable, surge intstr.IntOrString) {
	return intstr.Parse(cmp.Or(b.maxUnavailable, "1")), intstr.Parse(cmp.Or(b.maxSurge, "0"))
}

// of is the budget for so many replicas, in groups.
func (b budget) of(t *testing.T, replicas int) (maxUnavailable, maxSurge int) {
	t.Helper()
	unavailable, surge := b.parsed()
	maxUnavailable, err := intstr.GetScaledValueFromIntOrPercent(&unavailable, replicas, false)
	if err != nil {
		t.Fatal(err)
	}
	if maxSurge, err = intstr.GetScaledValueFromIntOrPercent(&surge, replicas, true); err != nil {
		t.Fatal(err)
	}
	return maxUnavailable, min(maxSurge, replicas)
}

// terminateAfter has all pods of the set take their time to stop, in simulation.
func terminateAfter(duration string) func(*leaderworkersetv1.LeaderWorkerSet) {
	return func(lws *leaderworkersetv1.LeaderWorkerSet) {
		template := &lws.Spec.LeaderWorkerTemplate.WorkerTemplate
		*template = annotated(*template, cluster.TerminateAfterAnnotation, duration)
	}
}

// withImage has the pods run an image. Those of badImage don't become ready, the others do after a while.
func withImage(image string) func(*leaderworkersetv1.LeaderWorkerSet) {
	return func(lws *leaderworkersetv1.LeaderWorkerSet) {
		lws.Spec.LeaderWorkerTemplate.WorkerTemplate.Spec.Containers[0].Image = image
		if image == badImage {
			readyAfter(cluster.ReadyNever)(lws)
		} else {
			readyAfter("500ms")(lws)
		}
	}
}

func withReplicas(replicas int32) func(*leaderworkersetv1.LeaderWorkerSet) {
	return func(lws *leaderworkersetv1.LeaderWorkerSet) { lws.Spec.Replicas = ptr.To(replicas) }
}

func withSize(size int32) func(*leaderworkersetv1.LeaderWorkerSet) {
	return func(lws *leaderworkersetv1.LeaderWorkerSet) { lws.Spec.LeaderWorkerTemplate.Size = ptr.To(size) }
}

func withPartition(partition int32) func(*leaderworkersetv1.LeaderWorkerSet) {
	return func(lws *leaderworkersetv1.LeaderWorkerSet) {
		lws.Spec.RolloutStrategy.RollingUpdateConfiguration.Partition = ptr.To(partition)
	}
}

// update edits the set.
func update(changes ...func(*leaderworkersetv1.LeaderWorkerSet)) step {
	return func(t *testing.T, r *rolling) {
		t.Helper()
		edit(t, r.lws, func(lws *leaderworkersetv1.LeaderWorkerSet) {
			for _, change := range changes {
				change(lws)
			}
		})
	}
}

// settled waits until the set is as it is wished, and says so: the groups from the partition on are what the set says now, and all are
// ready.
func settled(t *testing.T, r *rolling) {
	t.Helper()
	untilAvailable(t, r.lws)
	r.versions.until(t, seenAvailable(r.lws))
	eventually(t, func(context.Context) error { return r.unsettled(r.film.current(t), len(r.film.pods.current(t))) })
}

func (r *rolling) unsettled(now frame, pods int) error {
	wanted := r.lws.Spec.LeaderWorkerTemplate
	replicas, partition := int(*r.lws.Spec.Replicas), int(*r.lws.Spec.RolloutStrategy.RollingUpdateConfiguration.Partition)
	members := 0
	for index := range replicas {
		group := now.groups[index]
		if !group.ready {
			return fmt.Errorf("group %d isn't ready", index)
		}
		current := imageOf(group.leader) == wanted.WorkerTemplate.Spec.Containers[0].Image && groupSize(group.leader) == int(*wanted.Size)
		if !current && index >= partition {
			return fmt.Errorf("group %d is of %d pods with %s", index, groupSize(group.leader), imageOf(group.leader))
		}
		members += groupSize(group.leader)
	}
	return unless(len(now.groups) == replicas && pods == members, "%d groups with %d pods, want %d with %d",
		len(now.groups), pods, replicas, members)
}

// until waits for a group.
func until(index int, what string, holds func(liveGroup) bool) step {
	return func(t *testing.T, r *rolling) {
		t.Helper()
		eventually(t, func(context.Context) error {
			group := r.film.current(t).groups[index]
			return unless(group.leader != nil && holds(group), "group %d isn't %s", index, what)
		})
	}
}

// updating waits until a group has been created with an image.
func updating(index int, image string) step {
	return until(index, "of "+image, func(group liveGroup) bool { return imageOf(group.leader) == image })
}

// updated waits until a group is ready with an image.
func updated(index int, image string) step {
	return until(index, "ready with "+image, func(group liveGroup) bool { return imageOf(group.leader) == image && group.ready })
}

// holdsStill waits until nothing has happened to the set and its children for a while.
func holdsStill(t *testing.T, r *rolling) {
	t.Helper()
	const rest = 2 * time.Second
	events, since := r.events(t), time.Now()
	eventually(t, func(context.Context) error {
		if latest := r.events(t); latest != events {
			events, since = latest, time.Now()
		}
		return unless(time.Since(since) >= rest, "the set is being worked on")
	})
}

// events is how much has happened to the set and its children.
func (r *rolling) events(t *testing.T) int {
	t.Helper()
	return len(r.film.pods.sofar(t)) + len(r.film.statefulSets.sofar(t)) + len(r.versions.sofar(t))
}

// loses has a group lose one of its pods, as soon as it is ready.
func loses(index, worker int) step {
	return func(t *testing.T, r *rolling) {
		t.Helper()
		until(index, "ready", func(group liveGroup) bool { return group.ready })(t, r)
		leader := r.film.current(t).groups[index].leader
		r.film.disturbed[leader.UID] = true
		r.lost[index] = leader
		pod := r.film.pods.current(t)[groupNames(r.lws.Name, int32(index), int32(worker)+1)[worker]] //nolint:gosec // Small numbers.
		remove(t, pod, client.Preconditions{UID: &pod.UID})
	}
}

// regains waits until a group that has lost a pod is ready again. It is what it was before, of its own revision and size: it must not be
// its turn before that.
func regains(index int) step {
	return func(t *testing.T, r *rolling) {
		t.Helper()
		lost := r.lost[index]
		var lives []*corev1.Pod
		isLost := func(leader *corev1.Pod) bool { return leader.UID == lost.UID }
		eventually(t, func(context.Context) error {
			lives = r.film.lives(t)[index]
			return unless(!isLost(lives[len(lives)-1]) && r.film.current(t).groups[index].ready, "group %d isn't back", index)
		})
		check(t, fmt.Sprintf("what group %d was made of and is again", index), makeOf(lost), makeOf(lives[slices.IndexFunc(lives, isLost)+1]))
	}
}
