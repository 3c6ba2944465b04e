// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/test/objects"
)

// film records the history of the groups of the only set in a namespace.
type film struct {
	set          string
	pods         *recording[*corev1.Pod]
	statefulSets *recording[*appsv1.StatefulSet]

	began time.Time

	// disturbed has the leaders of the groups that the test itself has harmed.
	disturbed map[types.UID]bool
}

// frame is the state from one change to the next.
type frame struct {
	at time.Time

	// replicas is the number of desired groups that the operator has observed. existing is the number of replicas of the
	// leader StatefulSet.
	replicas, existing int

	// revision is the revision of the leader StatefulSet. The StatefulSet controller updates groups with an index of at
	// least partition to it. Without a partition in the spec, it updates none. partition is then equal to existing.
	revision  string
	partition int

	// groups has the groups that have a leader, by index.
	groups map[int]liveGroup
}

// liveGroup is a leader with the workers that belong to it.
type liveGroup struct {
	leader *corev1.Pod

	// ready is true if the leader and all its workers are ready and none of them is terminating.
	ready bool
}

// newFilm starts to record. At the end of the test it logs the film.
func newFilm(t *testing.T, namespace, set string) *film {
	t.Helper()
	f := &film{
		set:          set,
		pods:         record[*corev1.Pod](t, namespace, &corev1.PodList{}),
		statefulSets: record[*appsv1.StatefulSet](t, namespace, &appsv1.StatefulSetList{}),
		began:        time.Now(),
		disturbed:    map[types.UID]bool{},
	}
	t.Cleanup(func() {
		const legend = "a letter for each revision, upper case if ready, '-' if terminating, '.' if deleted"
		t.Logf("Groups of %s by index, %s:\n%s", namespace, legend, f.timeline(t))
	})
	return f
}

// current returns the last frame.
func (f *film) current(t *testing.T) frame {
	t.Helper()
	return f.frame(f.pods.current(t), f.statefulSets.current(t), f.leaders(t))
}

// frames returns all frames from the beginning. Resource versions are comparable across kinds, because they count the
// writes of one etcd.
func (f *film) frames(t *testing.T) []frame {
	t.Helper()
	type cut struct {
		version string
		at      time.Time
		apply   func()
	}
	var cuts []cut
	pods, statefulSets := f.pods.atStart(), f.statefulSets.atStart()
	for _, change := range f.pods.soFar(t) {
		cuts = append(cuts, cut{change.object.ResourceVersion, change.at, func() { change.apply(pods) }})
	}
	for _, change := range f.statefulSets.soFar(t) {
		cuts = append(cuts, cut{change.object.ResourceVersion, change.at, func() { change.apply(statefulSets) }})
	}
	slices.SortStableFunc(cuts, func(a, b cut) int {
		order, err := resourceversion.CompareResourceVersion(a.version, b.version)
		if err != nil {
			t.Fatal(err)
		}
		return order
	})

	leaders := f.leaders(t)
	frames := []frame{f.frame(pods, statefulSets, leaders)}
	frames[0].at = f.began
	for _, cut := range cuts {
		cut.apply()
		next := f.frame(pods, statefulSets, leaders)
		next.at = cut.at
		frames = append(frames, next)
	}
	return frames
}

// leaders returns the UIDs of the leader pods that own worker StatefulSets, by the UIDs of the StatefulSets.
func (f *film) leaders(t *testing.T) map[types.UID]types.UID {
	t.Helper()
	leaders := map[types.UID]types.UID{}
	for _, sts := range f.statefulSets.versions(t) {
		if owner := metav1.GetControllerOf(sts); owner != nil && owner.Kind == "Pod" {
			leaders[sts.UID] = owner.UID
		}
	}
	return leaders
}

func (f *film) frame(
	pods map[string]*corev1.Pod, statefulSets map[string]*appsv1.StatefulSet, leaders map[types.UID]types.UID,
) frame {
	result := frame{groups: map[int]liveGroup{}}
	if sts := statefulSets[f.set]; sts != nil {
		result.replicas = number(sts.Annotations[leaderworkersetv1.ReplicasAnnotationKey])
		result.existing = int(*sts.Spec.Replicas)
		result.revision = keyOf(sts)
		result.partition = result.existing
		if rolling := sts.Spec.UpdateStrategy.RollingUpdate; rolling != nil {
			result.partition = int(*rolling.Partition)
		}
	}
	for _, pod := range pods {
		if isLeader(pod) {
			result.groups[groupIndex(pod)] = liveGroup{leader: pod}
		}
	}
	ready := map[int]int{}
	for _, pod := range pods {
		group, exists := result.groups[groupIndex(pod)]
		if exists && objects.PodReady(pod) && leaderOf(pod, leaders) == group.leader.UID {
			ready[groupIndex(pod)]++
		}
	}
	for index, group := range result.groups {
		group.ready = objects.PodReady(group.leader) && ready[index] == groupSize(group.leader)
		result.groups[index] = group
	}
	return result
}

// ready counts the ready groups.
func (f frame) ready() int {
	count := 0
	for _, group := range f.groups {
		if group.ready {
			count++
		}
	}
	return count
}

// allReady reports whether as many groups are ready as are desired.
func (f frame) allReady() bool { return f.replicas > 0 && f.ready() >= f.replicas }

// fewestReady returns the smallest number of ready groups after all groups were ready for the first time.
func (f *film) fewestReady(t *testing.T) int {
	t.Helper()
	frames := f.frames(t)
	began := slices.IndexFunc(frames, frame.allReady)
	if began < 0 {
		return 0
	}
	fewest := slices.MinFunc(frames[began:], func(a, b frame) int { return cmp.Compare(a.ready(), b.ready()) })
	return fewest.ready()
}

// overspent returns an error if a rollout has exceeded the budget. It reports each ready group that anyone but the test
// took down while fewer than replicas - maxUnavailable groups remained ready. It also reports more than replicas +
// maxSurge groups.
//
// The check applies at the time when the partition releases a group. If another group fails after that, or the set is
// scaled up, the released group may still be taken down. Example: 3 of 3 groups are ready, the partition releases group
// 2, and the set is scaled to 5. When group 2 is deleted after that, 2 of 5 groups are ready.
func (f *film) overspent(t *testing.T, budget budget) error {
	t.Helper()
	var errs []error
	var before frame
	withinBudget := map[types.UID]bool{} // leaders of groups that were released within the budget
	for _, after := range f.frames(t) {
		unavailable, surge := budget.of(t, after.replicas)
		least := after.replicas - unavailable
		for index, group := range before.groups {
			down := group.ready && !after.groups[index].ready
			if down && after.ready() < least && !withinBudget[group.leader.UID] && !f.disturbed[group.leader.UID] {
				errs = append(errs, fmt.Errorf("group %d was taken down, %d groups remain ready, want %d",
					index, after.ready(), least))
			}
		}
		if before.existing != after.existing && after.existing > after.replicas+surge {
			errs = append(errs, fmt.Errorf("%d groups for %d replicas", after.existing, after.replicas))
		}
		if released, remaining := after.released(); remaining >= least {
			for _, leader := range released {
				withinBudget[leader.UID] = true
			}
		}
		before = after
	}
	return errors.Join(errs...)
}

// released returns the leaders of the groups that the partition has released, and how many other groups are ready.
func (f frame) released() (leaders []*corev1.Pod, remaining int) {
	for index, group := range f.groups {
		switch {
		case index >= f.partition && keyOf(group.leader) != f.revision:
			leaders = append(leaders, group.leader)
		case group.ready:
			remaining++
		}
	}
	return leaders, remaining
}

// mixed returns an error for each pod that was ever recorded and differs from its leader in revision, size, image or
// network.
func (f *film) mixed(t *testing.T) error {
	t.Helper()
	pods := f.everyPod(t)
	leaders := f.leaders(t)
	var errs []error
	for _, pod := range pods {
		leader := pods[leaderOf(pod, leaders)]
		if leader == nil {
			errs = append(errs, fmt.Errorf("pod %s of UID %s belongs to no leader", pod.Name, pod.UID))
			continue
		}
		traits := fmt.Sprintf("traits of leader %s and pod %s", leader.Name, pod.Name)
		if err := differs(traits, traitsOf(leader), traitsOf(pod)); err != nil {
			errs = append(errs, err)
		}
		if worker := number(pod.Labels[leaderworkersetv1.WorkerIndexLabelKey]); worker >= groupSize(leader) {
			errs = append(errs, fmt.Errorf("pod %s is in a group of %d", pod.Name, groupSize(leader)))
		}
	}
	return errors.Join(errs...)
}

// traitsOf returns the traits that all pods of a group have in common.
func traitsOf(pod *corev1.Pod) map[string]string {
	common := map[string]string{
		"revision":  keyOf(pod),
		"size":      pod.Annotations[leaderworkersetv1.SizeAnnotationKey],
		"image":     imageOf(pod),
		"subdomain": pod.Spec.Subdomain,
	}
	for _, variable := range pod.Spec.Containers[0].Env {
		if variable.Name == leaderworkersetv1.GroupSizeEnvVar || variable.Name == leaderworkersetv1.LeaderAddressEnvVar {
			common[variable.Name] = variable.Value
		}
	}
	return common
}

// everyPod returns each pod that was ever recorded, in its first version, by UID.
func (f *film) everyPod(t *testing.T) map[types.UID]*corev1.Pod {
	t.Helper()
	pods := map[types.UID]*corev1.Pod{}
	for _, pod := range f.pods.versions(t) {
		if pods[pod.UID] == nil {
			pods[pod.UID] = pod
		}
	}
	return pods
}

// incarnations returns the leaders that each group has had, by index, in the order of their creation.
func (f *film) incarnations(t *testing.T) map[int][]*corev1.Pod {
	t.Helper()
	counted := map[types.UID]bool{}
	incarnations := map[int][]*corev1.Pod{}
	for _, pod := range f.pods.versions(t) {
		if isLeader(pod) && !counted[pod.UID] {
			counted[pod.UID] = true
			incarnations[groupIndex(pod)] = append(incarnations[groupIndex(pod)], pod)
		}
	}
	return incarnations
}

// timeline renders the film, with a line for each frame that differs from the previous one.
func (f *film) timeline(t *testing.T) string {
	t.Helper()
	frames := f.frames(t)
	letters := map[string]string{}
	var text strings.Builder
	last := ""
	for _, frame := range frames {
		if line := fmt.Sprintf("%d replicas: %s", frame.replicas, frame.picture(letters)); line != last {
			fmt.Fprintf(&text, "%7.2f s  %s\n", frame.at.Sub(frames[0].at).Seconds(), line)
			last = line
		}
	}
	return text.String()
}

// picture renders a frame, with a character for each group. Revisions get letters in the order of their appearance.
func (f frame) picture(letters map[string]string) string {
	var text strings.Builder
	for index := range 1 + slices.Max(append(slices.Collect(maps.Keys(f.groups)), f.existing-1)) {
		group := f.groups[index]
		if group.leader == nil {
			text.WriteString(".")
			continue
		}
		key := keyOf(group.leader)
		if letters[key] == "" {
			letters[key] = string(rune('a' + len(letters))) //nolint:gosec // A few letters.
		}
		switch {
		case group.leader.DeletionTimestamp != nil:
			text.WriteString("-")
		case group.ready:
			text.WriteString(strings.ToUpper(letters[key]))
		default:
			text.WriteString(letters[key])
		}
	}
	return text.String()
}

// leaderOf returns the UID of the leader that the pod belongs to. A leader belongs to itself. The UID is empty if the
// leader is unknown.
func leaderOf(pod *corev1.Pod, leaders map[types.UID]types.UID) types.UID {
	if isLeader(pod) {
		return pod.UID
	}
	if owner := metav1.GetControllerOf(pod); owner != nil {
		return leaders[owner.UID]
	}
	return ""
}

func isLeader(pod *corev1.Pod) bool { return pod.Labels[leaderworkersetv1.WorkerIndexLabelKey] == "0" }

func groupIndex(pod *corev1.Pod) int { return number(pod.Labels[leaderworkersetv1.GroupIndexLabelKey]) }

func groupSize(leader *corev1.Pod) int {
	return number(leader.Annotations[leaderworkersetv1.SizeAnnotationKey])
}

func imageOf(pod *corev1.Pod) string { return pod.Spec.Containers[0].Image }

// number parses a number that the operator has written. It returns -1, which the operator never writes, for other text.
func number(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		return -1
	}
	return n
}
