// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"flag"
	"maps"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/desired"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/identity"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/revision"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/rollout"
)

var (
	generatedSets = flag.Uint64("sets", 500, "how many random sets TestChildrenOfRandomSets generates")
	firstSet      = flag.Uint64("first", 1, "the number of the first random set")
	chosenSets    = flag.String("set", "", "generate only the random sets of these numbers, such as 3,17")
)

// posters is how many requests for random sets are under way at a time.
const posters = 8

// TestChildrenOfRandomSets creates the children of random sets that the API server accepts, in dry runs. It refuses
// none of them as invalid. Other refusals are those of policies, which may change.
func TestChildrenOfRandomSets(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t, webhooksOn)
	if *chosenSets != "" {
		for text := range strings.SplitSeq(*chosenSets, ",") {
			n, err := strconv.ParseUint(text, 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("set %d: %d children", n, postRandomSet(t, namespace, n))
		}
		return
	}
	var posted, accepted, children atomic.Uint64
	var group sync.WaitGroup
	for range posters {
		group.Go(func() {
			for {
				n := posted.Add(1)
				if n > *generatedSets || t.Context().Err() != nil {
					return
				}
				if created := postRandomSet(t, namespace, *firstSet+n-1); created > 0 {
					accepted.Add(1)
					children.Add(created)
				}
			}
		})
	}
	group.Wait()
	t.Logf("%d of %d sets accepted, and %d children", accepted.Load(), *generatedSets, children.Load())
	if accepted.Load() == 0 || accepted.Load() == *generatedSets {
		t.Error("want both accepted and refused sets")
	}
}

// postRandomSet creates the set of a number and then its children, in dry runs. It returns how many children there are:
// none of a set that is refused.
func postRandomSet(t *testing.T, namespace string, n uint64) (children uint64) {
	t.Helper()
	posted := setOfSpec(namespace, generatedSpec(t, n))
	posted.SetName(nameOf(int(n))) //nolint:gosec // A number of tests.
	err := suite.client.Create(t.Context(), posted, dryRun)
	if err != nil {
		(&answers{}).check(t, posted.Object["spec"], err)
		return 0
	}
	lws := &leaderworkersetv1.LeaderWorkerSet{}
	convert(t, posted, lws)
	lws.UID = "1"
	lws.Default()
	for _, child := range childrenOf(t, lws) {
		err := suite.client.Create(t.Context(), child, dryRun)
		if apierrors.IsInvalid(err) || apierrors.IsBadRequest(err) || apierrors.IsInternalError(err) {
			t.Errorf("set %d is accepted, and its %T is refused: %v\nspec %v", n, child, err, posted.Object["spec"])
		}
		children++
	}
	return children
}

// generatedSpec returns the spec of a random set: one of random fields, or a valid one with damage.
func generatedSpec(tb testing.TB, n uint64) map[string]any {
	tb.Helper()
	if n%2 == 0 {
		set := &leaderworkersetv1.LeaderWorkerSet{}
		newFiller(n).Fill(&set.Spec)
		return normalized(tb, set.Spec)
	}
	random := rand.New(rand.NewPCG(seed, n)) //nolint:gosec // The test must be reproducible.
	spec := parse(tb, fullSpec)
	for range 1 + random.IntN(3) {
		damage(random, spec)
	}
	return spec
}

// childrenOf returns the children of a set with the highest index: those that have the longest names.
func childrenOf(t *testing.T, lws *leaderworkersetv1.LeaderWorkerSet) []client.Object {
	t.Helper()
	stored, err := revision.New(lws, nil)
	if err != nil {
		t.Fatal(err)
	}
	template, key := revision.TemplateOf(lws), revision.Key(stored)
	highest, size := max(*lws.Spec.Replicas-1, 0), *lws.Spec.LeaderWorkerTemplate.Size
	leaders := desired.LeaderStatefulSet(lws, &template, key, rollout.Step{Replicas: *lws.Spec.Replicas})
	leader, claims := createdBy(leaders, identity.Leader(lws.Name, highest))
	group := desired.Group{Index: highest, Leader: leader}
	children := []client.Object{stored, leaders, leader, desired.SharedService(lws), desired.GroupService(lws, group)}
	if size > 1 {
		workers := desired.WorkerStatefulSet(lws, &template, key, group)
		worker, more := createdBy(workers, identity.Worker(leader.Name, size-1))
		children, claims = append(children, workers, worker), append(claims, more...)
	}
	return append(children, claims...)
}

// createdBy returns a pod of a StatefulSet and its volume claims, as the StatefulSet controller creates them.
func createdBy(sts *appsv1.StatefulSet, name string) (pod *corev1.Pod, claims []client.Object) {
	template := sts.Spec.Template.DeepCopy()
	pod = &corev1.Pod{ObjectMeta: template.ObjectMeta, Spec: template.Spec}
	pod.Namespace, pod.Name, pod.UID = sts.Namespace, name, "1"
	pod.Labels[appsv1.StatefulSetPodNameLabel] = name
	pod.Labels[appsv1.StatefulSetRevisionLabel] = sts.Name + "-5bf4c8d4f9"
	pod.Spec.Hostname, pod.Spec.Subdomain = name, sts.Spec.ServiceName
	pod.OwnerReferences = []metav1.OwnerReference{{
		APIVersion: "apps/v1", Kind: "StatefulSet", Name: sts.Name, UID: "1", Controller: ptr.To(true),
	}}
	for i := range sts.Spec.VolumeClaimTemplates {
		claim := sts.Spec.VolumeClaimTemplates[i].DeepCopy()
		volume := claim.Name
		claim.Name, claim.Namespace = volume+"-"+name, sts.Namespace
		claim.Labels = maps.Clone(claim.Labels)
		if claim.Labels == nil {
			claim.Labels = map[string]string{}
		}
		maps.Copy(claim.Labels, sts.Spec.Selector.MatchLabels)
		claims = append(claims, claim)
		pod.Spec.Volumes = append(without(pod.Spec.Volumes, volume), corev1.Volume{
			Name: volume, VolumeSource: corev1.VolumeSource{
				PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim.Name},
			},
		})
	}
	return pod, claims
}

// without returns the volumes that have other names.
func without(volumes []corev1.Volume, name string) []corev1.Volume {
	var others []corev1.Volume
	for i := range volumes {
		if volumes[i].Name != name {
			others = append(others, volumes[i])
		}
	}
	return others
}

// BenchmarkAdmission measures how long the API server and the webhooks take for random sets. It reports the slowest
// answer as well.
func BenchmarkAdmission(b *testing.B) {
	namespace := newNamespace(b, webhooksOn)
	var number uint64
	var slowest time.Duration
	for b.Loop() {
		b.StopTimer()
		number++
		posted := setOfSpec(namespace, generatedSpec(b, number))
		b.StartTimer()
		began := time.Now()
		_ = suite.client.Create(b.Context(), posted, dryRun) // It may refuse the set.
		slowest = max(slowest, time.Since(began))
	}
	b.ReportMetric(float64(slowest.Microseconds())/1000, "slowest-ms")
}
