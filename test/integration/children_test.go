// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
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
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
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

// validations is how often a set is posted whose children are refused. The webhook admits a set if the API server takes
// too long to validate its StatefulSets, as it does now and then on a busy machine. A gap in the validation admits the
// set each time.
const validations = 3

// postRandomSet creates the set of a number and then its children, in dry runs. It returns how many children there are:
// none of a set that is refused.
func postRandomSet(t *testing.T, namespace string, n uint64) (children uint64) {
	t.Helper()
	posted := setOfSpec(namespace, generatedSpec(t, n))
	posted.SetName(nameOf(int(n))) //nolint:gosec // A number of tests.
	var refused []string
	for range validations {
		created := posted.DeepCopy()
		if err := suite.client.Create(t.Context(), created, dryRun); err != nil {
			(&answers{}).check(t, posted.Object["spec"], err)
			return 0
		}
		if children, refused = postChildren(t, created); len(refused) == 0 {
			return children
		}
	}
	t.Errorf("set %d is accepted, and children are refused: %v\nspec %v", n, refused, posted.Object["spec"])
	return children
}

// postChildren creates the children of a set that is accepted, in dry runs. It returns how many there are, and why some
// are refused as invalid.
func postChildren(t *testing.T, accepted *unstructured.Unstructured) (children uint64, refused []string) {
	t.Helper()
	lws := &leaderworkersetv1.LeaderWorkerSet{}
	convert(t, accepted, lws)
	lws.UID = "1"
	lws.Default()
	for _, child := range childrenOf(t, lws) {
		err := suite.client.Create(t.Context(), child, dryRun)
		if apierrors.IsInvalid(err) || apierrors.IsBadRequest(err) || apierrors.IsInternalError(err) {
			refused = append(refused, fmt.Sprintf("%T: %v", child, err))
		}
		children++
	}
	return children, refused
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

// BenchmarkAdmission measures how long the API server and the webhooks take for random sets. It reports the answer that
// only one of 100 is slower than, and the slowest one, as well.
func BenchmarkAdmission(b *testing.B) {
	namespace := newNamespace(b, webhooksOn)
	var answers []time.Duration
	for b.Loop() {
		b.StopTimer()
		posted := setOfSpec(namespace, generatedSpec(b, uint64(len(answers)+1)))
		b.StartTimer()
		began := time.Now()
		_ = suite.client.Create(b.Context(), posted, dryRun) // It may refuse the set.
		answers = append(answers, time.Since(began))
	}
	slices.Sort(answers)
	milliseconds := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	b.ReportMetric(milliseconds(answers[len(answers)*99/100]), "p99-ms")
	b.ReportMetric(milliseconds(answers[len(answers)-1]), "slowest-ms")
}
