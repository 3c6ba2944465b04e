// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"text/template"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// The sets of testdata/takeover have 2 groups of 3.
const takenReplicas, takenSize = 2, 3

// TestLocalTakeover has the operator come to a cluster where another controller has made the groups of two sets: with the same names, and with
// revisions of its own keys and words. The groups go on as they are. Then the operator updates and restarts them like its own.
func TestLocalTakeover(t *testing.T) {
	namespace := newNamespace(t)
	away := withoutOperator(t)
	var sets []*leaderworkersetv1.LeaderWorkerSet
	for _, name := range []string{"plain", "full"} {
		sets = append(sets, createAsAnother(t, namespace, name))
	}
	pods := record[*corev1.Pod](t, namespace, &corev1.PodList{})
	statefulSets := record[*appsv1.StatefulSet](t, namespace, &appsv1.StatefulSetList{})
	services := uidsOf(listed(t, servicesIn(namespace)))
	revisions := map[string]*appsv1.ControllerRevision{}
	for _, lws := range sets {
		revisions[lws.Name] = revisionsOf(t, lws)[0]
	}
	mark := now(t)
	away.comeBack(t)

	for _, lws := range sets {
		untilAvailable(t, lws)
	}
	untilOperatorRests(t)
	// The change comes after all that taking over could bring about.
	for _, lws := range sets {
		edit(t, lws, func(lws *leaderworkersetv1.LeaderWorkerSet) {
			metav1.SetMetaDataAnnotation(&lws.ObjectMeta, "example.com/note", "taken over")
		})
	}
	statefulSets.until(t, func(state map[string]*appsv1.StatefulSet) error {
		for name, sts := range state {
			if sts.Annotations["example.com/note"] == "" {
				return fmt.Errorf("StatefulSet %s hasn't been looked at", name)
			}
		}
		return nil
	})
	untilOperatorRests(t)

	t.Run("nothing restarts", func(t *testing.T) {
		check(t, "pods that there were", takenLives(1), pods.lives(t))
		for _, change := range pods.sofar(t) {
			if change.kind == watch.Deleted || change.object.DeletionTimestamp != nil {
				t.Errorf("pod %s is deleted", change.object.Name)
			}
		}
		check(t, "StatefulSets that there were", each(slices.Collect(maps.Keys(statefulSets.atStart())), 1), statefulSets.lives(t))
		for _, change := range statefulSets.sofar(t) {
			before := statefulSets.atStart()[change.object.Name]
			check(t, "template of StatefulSet "+before.Name, before.Spec.Template, change.object.Spec.Template)
			check(t, "revision by which StatefulSet "+before.Name+" updates its pods", before.Status.UpdateRevision, change.object.Status.UpdateRevision)
		}
		check(t, "Services", services, uidsOf(listed(t, servicesIn(namespace))))
		for _, lws := range sets {
			check(t, "revisions of "+lws.Name, []*appsv1.ControllerRevision{revisions[lws.Name]}, revisionsOf(t, lws))
		}
		writes := writesIn(t, mark, namespace)
		for write := range writes {
			if verb, resource, _ := strings.Cut(write, " "); resource != "events" && verb != "patch" || resource == "pods" {
				t.Errorf("the operator wrote: %s", write)
			}
		}
		t.Logf("Taking over took these writes: %v", writes)
	})
	t.Run("a worker fails", func(t *testing.T) {
		worker := named(t, listed(t, podsIn(namespace)), "plain-1-2")
		remove(t, worker)
		eventually(t, func(context.Context) error {
			return differs("lives", with(takenLives(1), each(groupNames("plain", 1, takenSize), 2)), livesInGroups(t, pods))
		})
		untilAvailable(t, sets[0])
	})
	t.Run("a rollout", func(t *testing.T) {
		for _, lws := range sets {
			edit(t, lws, withImages(nextImage))
		}
		for _, lws := range sets {
			untilAvailable(t, lws)
		}
		pods.until(t, isExactly(slices.Collect(maps.Keys(takenLives(1))), nextImage))
		check(t, "pods that there were", with(takenLives(2), each(groupNames("plain", 1, takenSize), 3)), livesInGroups(t, pods))
		for _, lws := range sets {
			was, is := revisions[lws.Name], revisionsOf(t, lws)
			check(t, "revisions of "+lws.Name, []string{was.Name, fmt.Sprint(was.Revision + 1)}, []string{is[0].Name, fmt.Sprint(is[1].Revision)})
		}
	})
	t.Run("the way back", func(t *testing.T) {
		for _, lws := range sets {
			edit(t, lws, withImages(image))
			untilAvailable(t, lws)
			was, is := revisions[lws.Name], revisionsOf(t, lws)
			check(t, "revisions of "+lws.Name, []string{was.Name, fmt.Sprint(was.Revision + 2)}, []string{is[1].Name, fmt.Sprint(is[1].Revision)})
		}
		pods.until(t, isExactly(slices.Collect(maps.Keys(takenLives(1))), image))
		for _, pod := range listed(t, podsIn(namespace)) {
			check(t, "key of "+pod.Name, keyOf(revisions[pod.Labels[leaderworkersetv1.SetNameLabelKey]]), keyOf(pod))
		}
	})
}

// withImages has all pods of a set run an image.
func withImages(image string) func(*leaderworkersetv1.LeaderWorkerSet) {
	return func(lws *leaderworkersetv1.LeaderWorkerSet) {
		template := &lws.Spec.LeaderWorkerTemplate
		template.WorkerTemplate.Spec.Containers[0].Image = image
		if template.LeaderTemplate != nil {
			template.LeaderTemplate.Spec.Containers[0].Image = image
		}
	}
}

// takenLives are the lives of the pods of both sets.
func takenLives(lives int) map[string]int {
	return with(each(podNames("plain", takenReplicas, takenSize), lives), each(podNames("full", takenReplicas, takenSize), lives))
}

// absence is the time during which there is no operator, and no webhooks.
type absence struct{ webhooks []client.Object }

// withoutOperator stops the operator and takes its webhooks away, until it comes back or the test ends.
func withoutOperator(t *testing.T) *absence {
	t.Helper()
	a := &absence{}
	var mutating admissionv1.MutatingWebhookConfigurationList
	var validating admissionv1.ValidatingWebhookConfigurationList
	if err := errors.Join(suite.client.List(t.Context(), &mutating), suite.client.List(t.Context(), &validating)); err != nil {
		t.Fatal(err)
	}
	for i := range mutating.Items {
		a.webhooks = append(a.webhooks, &mutating.Items[i])
	}
	for i := range validating.Items {
		a.webhooks = append(a.webhooks, &validating.Items[i])
	}
	if err := suite.operator.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.comeBack(t) })
	for _, configuration := range a.webhooks {
		remove(t, configuration)
	}
	untilWebhooks(t, func(err error, lws *leaderworkersetv1.LeaderWorkerSet) bool {
		return err == nil && lws.Spec.LeaderWorkerTemplate.RestartPolicy == leaderworkersetv1.DeprecatedDefaultRestartPolicy
	})
	return a
}

// comeBack starts the operator and has its webhooks called again.
func (a *absence) comeBack(t *testing.T) {
	t.Helper()
	if a.webhooks == nil {
		return
	}
	ctx := context.WithoutCancel(t.Context())
	if err := suite.operator.Start(ctx); err != nil {
		t.Fatal(err)
	}
	for _, configuration := range a.webhooks {
		configuration.SetResourceVersion("")
		configuration.SetUID("")
		if err := suite.client.Create(ctx, configuration); err != nil {
			t.Fatal(err)
		}
	}
	a.webhooks = nil
	untilWebhooks(t, func(err error, lws *leaderworkersetv1.LeaderWorkerSet) bool {
		return err == nil && lws.Spec.LeaderWorkerTemplate.RestartPolicy == leaderworkersetv1.NoneRestartPolicy
	})
}

// untilWebhooks waits until the API server treats a set as the check asks for. It learns of webhooks a moment after they have changed.
func untilWebhooks(t *testing.T, check func(error, *leaderworkersetv1.LeaderWorkerSet) bool) {
	t.Helper()
	eventually(t, func(ctx context.Context) error {
		lws := newSet(metav1.NamespaceDefault, "probe", 1, 1)
		lws.Spec.LeaderWorkerTemplate.RestartPolicy = leaderworkersetv1.DeprecatedDefaultRestartPolicy
		err := suite.client.Create(ctx, lws, client.DryRunAll)
		return unless(check(err, lws), "error %w, restartPolicy %s", err, lws.Spec.LeaderWorkerTemplate.RestartPolicy)
	})
}

// taken is what the fixtures of testdata/takeover are filled in with.
type taken struct {
	Namespace string
	Set       types.UID
	Groups    []int

	Group   int
	Leader  types.UID
	Node    string
	Workers []int
}

// createAsAnother creates a set and everything that another controller makes for it, until all of it is ready.
func createAsAnother(t *testing.T, namespace, name string) *leaderworkersetv1.LeaderWorkerSet {
	t.Helper()
	values := taken{Namespace: namespace, Groups: []int{0, 1}, Workers: []int{1, 2}}
	lws, ok := fixtures(t, name+"/set.yaml", values)[0].(*leaderworkersetv1.LeaderWorkerSet)
	if !ok {
		t.Fatalf("%s/set.yaml has no LeaderWorkerSet", name)
	}
	create(t, lws)
	values.Set = lws.UID
	createAll(t, fixtures(t, name+"/children.yaml", values))
	for _, group := range values.Groups {
		leader := named(t, listed(t, podsIn(namespace)), fmt.Sprintf("%s-%d", name, group))
		values.Group, values.Leader, values.Node = group, leader.UID, leader.Spec.NodeName
		createAll(t, fixtures(t, name+"/group.yaml", values))
	}
	return lws
}

// fixtures are the objects of a file of testdata/takeover.
func fixtures(t *testing.T, file string, values taken) []client.Object {
	t.Helper()
	functions := template.FuncMap{"sha1": func(parts ...any) string { return sha1Hex(fmt.Sprint(parts...)) }}
	parsed, err := template.New(filepath.Base(file)).Funcs(functions).ParseFiles(filepath.Join("testdata", "takeover", file))
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	if err := parsed.Execute(&text, values); err != nil {
		t.Fatal(err)
	}
	decoder := serializer.NewCodecFactory(suite.client.Scheme(), serializer.EnableStrict).UniversalDeserializer()
	var objects []client.Object
	for documents := yaml.NewYAMLReader(bufio.NewReader(&text)); ; {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return objects
		}
		if err != nil {
			t.Fatal(err)
		}
		decoded, _, err := decoder.Decode(document, nil, nil)
		if err != nil {
			t.Fatalf("%s: %v\n%s", file, err, document)
		}
		object, ok := decoded.(client.Object)
		if !ok {
			t.Fatalf("%s has a %T", file, decoded)
		}
		objects = append(objects, object)
	}
}

// createAll creates objects. The pods of a StatefulSet come before it: their variables were injected by the other controller, and the
// StatefulSet controller adopts them.
func createAll(t *testing.T, objects []client.Object) {
	t.Helper()
	for _, object := range objects {
		if sts, ok := object.(*appsv1.StatefulSet); ok {
			createAround(t, sts)
		} else {
			create(t, object)
		}
	}
}

// createAround creates a StatefulSet around its pods. Until they are labeled as of its revision, the partition protects them.
func createAround(t *testing.T, sts *appsv1.StatefulSet) {
	t.Helper()
	replicas := sts.Spec.Replicas
	sts.Spec.UpdateStrategy = appsv1.StatefulSetUpdateStrategy{
		Type:          appsv1.RollingUpdateStatefulSetStrategyType,
		RollingUpdate: &appsv1.RollingUpdateStatefulSetStrategy{Partition: replicas},
	}
	create(t, sts)
	untilStatus(t, sts, func(status *appsv1.StatefulSetStatus) bool {
		return status.UpdateRevision != "" && status.ReadyReplicas == *replicas
	})
	for _, pod := range listed(t, podsIn(sts.Namespace)) {
		if metav1.IsControlledBy(pod, sts) {
			edit(t, pod, func(pod *corev1.Pod) { pod.Labels[appsv1.StatefulSetRevisionLabel] = sts.Status.UpdateRevision })
		}
	}
	untilStatus(t, sts, func(status *appsv1.StatefulSetStatus) bool { return status.UpdatedReplicas == *replicas })
	edit(t, sts, func(sts *appsv1.StatefulSet) { sts.Spec.UpdateStrategy.RollingUpdate.Partition = new(int32) })
	untilStatus(t, sts, func(status *appsv1.StatefulSetStatus) bool { return status.ObservedGeneration == sts.Generation })
}

func untilStatus(t *testing.T, sts *appsv1.StatefulSet, check func(*appsv1.StatefulSetStatus) bool) {
	t.Helper()
	eventually(t, func(ctx context.Context) error {
		if err := suite.client.Get(ctx, client.ObjectKeyFromObject(sts), sts); err != nil {
			return err
		}
		return unless(check(&sts.Status), "StatefulSet %s: status %+v", sts.Name, sts.Status)
	})
}
