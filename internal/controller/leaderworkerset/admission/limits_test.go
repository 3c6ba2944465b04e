// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	ctrladmission "sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/desired"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/revision"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/rollout"
	"github.com/leaderworkerset/lws-operator/internal/controller/scheduling"
)

// BenchmarkLimits measures the answers to requests with objects that are as large as the API server takes them, from
// the JSON of the object to that of the answer. The name of a benchmark is that of its row in
// docs/operate/benchmarks.md. Requests to the API server take no time here.
func BenchmarkLimits(b *testing.B) {
	for _, large := range largeSets() {
		lws := large.set
		for _, siblings := range large.siblings {
			name := fmt.Sprintf("%s/siblings=%d", large.name, siblings)
			sets, handlers := newHandlers(b, lws, siblings)
			edited := lws.DeepCopy()
			edited.Spec.LeaderWorkerTemplate.WorkerTemplate.Spec.Containers[0].Image = "serve:2"
			for _, request := range []struct {
				name, path string
				request    ctrladmission.Request
			}{
				{"defaults", setDefaultsPath, setRequest(b, lws, nil)},
				{"complete", setDefaultsPath, setRequest(b, sets, nil)},
				{"creation", setValidationPath, setRequest(b, sets, nil)},
				{"update", setValidationPath, setRequest(b, edited, sets)},
				{"pod", podPath, newRequest(b, leaderOf(lws))},
			} {
				b.Run(name+"/"+request.name, func(b *testing.B) {
					b.ReportAllocs()
					for b.Loop() {
						answer(b, handlers[request.path], request.request, large.refused)
					}
					b.ReportMetric(float64(len(request.request.Object.Raw))/1024, "KiB")
				})
			}
		}
	}
}

// TestLimits checks that the objects of the benchmark are admitted, or refused with a reason.
func TestLimits(t *testing.T) {
	for _, large := range largeSets() {
		t.Run(large.name, func(t *testing.T) {
			sets, handlers := newHandlers(t, large.set, 1)
			answer(t, handlers[setDefaultsPath], setRequest(t, large.set, nil), "")
			answer(t, handlers[setValidationPath], setRequest(t, sets, nil), large.refused)
			answer(t, handlers[podPath], newRequest(t, leaderOf(large.set)), large.refused)
		})
	}
}

// largeSet is a set at a limit.
type largeSet struct {
	name string
	set  *leaderworkersetv1.LeaderWorkerSet

	// siblings are numbers of equally large sets in the namespace.
	siblings []int

	// refused is a part of the message by which the set is refused; empty if it is admitted.
	refused string
}

func largeSets() []largeSet {
	with := func(change func(*leaderworkersetv1.LeaderWorkerSet)) *leaderworkersetv1.LeaderWorkerSet {
		lws := newSet("a", 1, 8)
		change(lws)
		return lws
	}
	container := newServingContainer("server", 0)
	tpu := newServingContainer("server", 0)
	tpu.Resources.Limits = corev1.ResourceList{leaderworkersetv1.TPUResourceName: resource.MustParse("1")}
	annotated := func(kib int) *leaderworkersetv1.LeaderWorkerSet {
		return with(func(lws *leaderworkersetv1.LeaderWorkerSet) {
			lws.Annotations = map[string]string{"example.com/note": strings.Repeat("x", kib<<10)}
		})
	}
	containers := func(list []corev1.Container, size int32) *leaderworkersetv1.LeaderWorkerSet {
		return with(func(lws *leaderworkersetv1.LeaderWorkerSet) {
			lws.Spec.LeaderWorkerTemplate.Size = ptr.To(size)
			lws.Spec.LeaderWorkerTemplate.WorkerTemplate.Spec.Containers = list
		})
	}
	return []largeSet{
		{name: "small", set: newSet("a", 1, 8), siblings: []int{0, 1000}},
		{name: "annotation of 64 KiB", set: annotated(64), siblings: []int{0}},
		{name: "annotation of 256 KiB", set: annotated(255), siblings: []int{0}},
		{name: "300 containers", set: containers(repeated(container, 300), 8), siblings: []int{0, 100}},
		{name: "template of 1 MiB", set: containers(filled(container, 1<<20), 8), siblings: []int{0, 100}},
		{name: "1,000,000 groups of 1,000", set: with(func(lws *leaderworkersetv1.LeaderWorkerSet) {
			lws.Spec.Replicas, lws.Spec.LeaderWorkerTemplate.Size = ptr.To(int32(1_000_000)), ptr.To(int32(1000))
		}), siblings: []int{0}},
		{name: "TPUs of 1,000 pods", set: containers(repeated(tpu, 2), 1000), siblings: []int{0}},
		{name: "300 containers with TPUs, 1,000 pods", set: containers(repeated(tpu, 300), 1000), siblings: []int{0},
			refused: "TPU_WORKER_HOSTNAMES would have more than"},
	}
}

// repeated returns copies of a container with names of their own.
func repeated(container corev1.Container, count int) []corev1.Container {
	list := make([]corev1.Container, count)
	for i := range list {
		list[i] = *container.DeepCopy()
		list[i].Name = fmt.Sprintf("%s-%d", container.Name, i)
	}
	return list
}

// filled returns a container with as many variables as fit into a number of bytes of JSON.
func filled(container corev1.Container, bytes int) []corev1.Container {
	const value, each = "some value of these options.", 64
	for i := range bytes / each {
		container.Env = append(container.Env, corev1.EnvVar{Name: fmt.Sprintf("OPTION_%06d", i), Value: value})
	}
	return []corev1.Container{container}
}

// newHandlers returns what answers requests in a namespace with a number of sets that are as large as this one. It also
// returns the set with its defaults.
func newHandlers(
	tb testing.TB, lws *leaderworkersetv1.LeaderWorkerSet, siblings int,
) (*leaderworkersetv1.LeaderWorkerSet, map[string]ctrladmission.Handler) {
	tb.Helper()
	created := interceptor.Funcs{
		Create: func(_ context.Context, _ client.WithWatch, o client.Object, _ ...client.CreateOption) error {
			_, err := json.Marshal(o) // As a client does.
			return err
		},
	}
	c := newCluster(tb, created)
	sets := &leaderWorkerSetWebhook{
		reader: namespaceOf(lws, siblings), dryRun: c, features: scheduling.NoFeatures, options: DefaultOptions(),
	}
	pods := podWebhook{decoder: ctrladmission.NewDecoder(c.Scheme()), live: previousPod{}, options: DefaultOptions()}
	return defaulted(lws), handlers(c.Scheme(), sets, pods)
}

// cachedSets is a cache of sets. Like the operator's, it doesn't copy what it returns.
type cachedSets struct {
	client.Reader
	sets []leaderworkersetv1.LeaderWorkerSet
}

func namespaceOf(lws *leaderworkersetv1.LeaderWorkerSet, siblings int) cachedSets {
	var cached cachedSets
	for i := range siblings {
		sibling := lws.DeepCopy()
		sibling.Name = fmt.Sprintf("b%d", i)
		cached.sets = append(cached.sets, *sibling)
	}
	return cached
}

func (c cachedSets) List(_ context.Context, list client.ObjectList, _ ...client.ListOption) error {
	sets, ok := list.(*leaderworkersetv1.LeaderWorkerSetList)
	if !ok {
		return errors.New("not a list of sets")
	}
	sets.Items = c.sets
	return nil
}

// setRequest returns a request to create a set, or to update it.
func setRequest(tb testing.TB, lws, before *leaderworkersetv1.LeaderWorkerSet) ctrladmission.Request {
	tb.Helper()
	raw, err := json.Marshal(lws)
	if err != nil {
		tb.Fatal(err)
	}
	request := ctrladmission.Request{AdmissionRequest: admissionv1.AdmissionRequest{
		Operation: admissionv1.Create, Namespace: lws.Namespace, Object: runtime.RawExtension{Raw: raw},
	}}
	if before != nil {
		request.Operation = admissionv1.Update
		if request.OldObject.Raw, err = json.Marshal(before); err != nil {
			tb.Fatal(err)
		}
	}
	return request
}

// leaderOf returns the leader of the first group, as the StatefulSet controller creates it.
func leaderOf(lws *leaderworkersetv1.LeaderWorkerSet) *corev1.Pod {
	lws = defaulted(lws)
	template := revision.TemplateOf(lws)
	made := desired.LeaderStatefulSet(lws, &template, "", rollout.Step{Replicas: *lws.Spec.Replicas}).Spec.Template
	leader := newLeaderPod()
	leader.Labels, leader.Annotations = made.Labels, made.Annotations
	leader.Spec = made.Spec
	leader.Spec.Subdomain = "a"
	return leader
}

// answer answers a request, up to the JSON of the answer, and checks it.
func answer(tb testing.TB, handler ctrladmission.Handler, request ctrladmission.Request, refused string) {
	tb.Helper()
	response := handler.Handle(tb.Context(), request)
	if err := response.Complete(request); err != nil {
		tb.Fatal(err)
	}
	if !response.Allowed && (refused == "" || !strings.Contains(response.Result.Message, refused)) {
		tb.Fatalf("refused: %+v", response.Result)
	}
}
