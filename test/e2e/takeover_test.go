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

// The sets of testdata/takeover have 2 groups of 3 pods.
const takeoverReplicas, takeoverSize = 2, 3

// TestLocalTakeover starts the operator in a cluster where another controller has created the groups of two sets. Their
// names are the operator's; their revisions have other keys and contents. The operator adopts the groups without a
// restart. Then it updates and restarts them like its own groups.
func TestLocalTakeover(t *testing.T) {
	namespace := newNamespace(t)
	outage := startOutage(t)
	var sets []*leaderworkersetv1.LeaderWorkerSet
	for _, name := range []string{"plain", "full"} {
		sets = append(sets, createAsOtherController(t, namespace, name))
	}
	pods := record[*corev1.Pod](t, namespace, &corev1.PodList{})
	statefulSets := record[*appsv1.StatefulSet](t, namespace, &appsv1.StatefulSetList{})
	services := uidsOf(listed(t, servicesIn(namespace)))
	revisions := map[string]*appsv1.ControllerRevision{}
	for _, lws := range sets {
		revisions[lws.Name] = revisionsOf(t, lws)[0]
	}
	mark := now(t)
	outage.end(t)

	for _, lws := range sets {
		untilAvailable(t, lws)
	}
	untilOperatorIdle(t)
	// The operator handles this change after all changes that the takeover causes.
	for _, lws := range sets {
		edit(t, lws, func(lws *leaderworkersetv1.LeaderWorkerSet) {
			metav1.SetMetaDataAnnotation(&lws.ObjectMeta, "example.com/note", "taken over")
		})
	}
	statefulSets.until(t, func(state map[string]*appsv1.StatefulSet) error {
		for name, sts := range state {
			if sts.Annotations["example.com/note"] == "" {
				return fmt.Errorf("StatefulSet %s has no note", name)
			}
		}
		return nil
	})
	untilOperatorIdle(t)

	t.Run("nothing restarts", func(t *testing.T) {
		check(t, "incarnations of the pods", takeoverIncarnations(1), pods.incarnations(t))
		for _, change := range pods.soFar(t) {
			if change.kind == watch.Deleted || change.object.DeletionTimestamp != nil {
				t.Errorf("pod %s is deleted", change.object.Name)
			}
		}
		check(t, "incarnations of the StatefulSets",
			each(slices.Collect(maps.Keys(statefulSets.atStart())), 1), statefulSets.incarnations(t))
		for _, change := range statefulSets.soFar(t) {
			before := statefulSets.atStart()[change.object.Name]
			check(t, "template of StatefulSet "+before.Name, before.Spec.Template, change.object.Spec.Template)
			check(t, "update revision of StatefulSet "+before.Name,
				before.Status.UpdateRevision, change.object.Status.UpdateRevision)
		}
		check(t, "Services", services, uidsOf(listed(t, servicesIn(namespace))))
		for _, lws := range sets {
			checkRevisionOnTakeover(t, revisions[lws.Name], revisionsOf(t, lws))
		}
		writes := writesIn(t, mark, namespace)
		for write := range writes {
			if verb, resource, _ := strings.Cut(write, " "); resource != "events" && verb != "patch" || resource == "pods" {
				t.Errorf("unexpected write of the operator: %s", write)
			}
		}
		t.Logf("Writes of the takeover: %v", writes)
	})
	t.Run("a worker fails", func(t *testing.T) {
		worker := named(t, listed(t, podsIn(namespace)), "plain-1-2")
		remove(t, worker)
		eventually(t, func(context.Context) error {
			return differs("incarnations of the pods",
				with(takeoverIncarnations(1), each(groupNames("plain", 1, takeoverSize), 2)), incarnationsInGroups(t, pods))
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
		pods.until(t, exactlyReady(slices.Collect(maps.Keys(takeoverIncarnations(1))), nextImage))
		check(t, "incarnations of the pods",
			with(takeoverIncarnations(2), each(groupNames("plain", 1, takeoverSize), 3)), incarnationsInGroups(t, pods))
		for _, lws := range sets {
			before, after := revisions[lws.Name], revisionsOf(t, lws)
			check(t, "revisions of "+lws.Name, []string{before.Name, fmt.Sprint(before.Revision + 1)},
				[]string{after[0].Name, fmt.Sprint(after[1].Revision)})
		}
	})
	t.Run("a rollback", func(t *testing.T) {
		for _, lws := range sets {
			edit(t, lws, withImages(image))
			untilAvailable(t, lws)
			before, after := revisions[lws.Name], revisionsOf(t, lws)
			check(t, "revisions of "+lws.Name, []string{before.Name, fmt.Sprint(before.Revision + 2)},
				[]string{after[1].Name, fmt.Sprint(after[1].Revision)})
		}
		pods.until(t, exactlyReady(slices.Collect(maps.Keys(takeoverIncarnations(1))), image))
		for _, pod := range listed(t, podsIn(namespace)) {
			check(t, "key of "+pod.Name, keyOf(revisions[pod.Labels[leaderworkersetv1.SetNameLabelKey]]), keyOf(pod))
		}
	})
}

// withImages sets the image of all pods of a set.
func withImages(image string) func(*leaderworkersetv1.LeaderWorkerSet) {
	return func(lws *leaderworkersetv1.LeaderWorkerSet) {
		template := &lws.Spec.LeaderWorkerTemplate
		template.WorkerTemplate.Spec.Containers[0].Image = image
		if template.LeaderTemplate != nil {
			template.LeaderTemplate.Spec.Containers[0].Image = image
		}
	}
}

// takeoverIncarnations returns the same number of incarnations for each pod of both sets.
func takeoverIncarnations(incarnations int) map[string]int {
	return with(
		each(podNames("plain", takeoverReplicas, takeoverSize), incarnations),
		each(podNames("full", takeoverReplicas, takeoverSize), incarnations))
}

// outage is a time without operator and webhooks. webhooks has the configurations that its end restores.
type outage struct{ webhooks []client.Object }

// startOutage stops the operator and deletes its webhook configurations. The outage ends with the test at the latest.
func startOutage(t *testing.T) *outage {
	t.Helper()
	o := &outage{}
	var mutating admissionv1.MutatingWebhookConfigurationList
	var validating admissionv1.ValidatingWebhookConfigurationList
	err := errors.Join(suite.client.List(t.Context(), &mutating), suite.client.List(t.Context(), &validating))
	if err != nil {
		t.Fatal(err)
	}
	for i := range mutating.Items {
		o.webhooks = append(o.webhooks, &mutating.Items[i])
	}
	for i := range validating.Items {
		o.webhooks = append(o.webhooks, &validating.Items[i])
	}
	if err := suite.operator.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { o.end(t) })
	for _, configuration := range o.webhooks {
		remove(t, configuration)
	}
	untilWebhooks(t, func(err error, lws *leaderworkersetv1.LeaderWorkerSet) bool {
		return err == nil && lws.Spec.LeaderWorkerTemplate.RestartPolicy == leaderworkersetv1.DeprecatedDefaultRestartPolicy
	})
	return o
}

// end starts the operator and restores the webhook configurations.
func (o *outage) end(t *testing.T) {
	t.Helper()
	if o.webhooks == nil {
		return
	}
	ctx := context.WithoutCancel(t.Context())
	if err := suite.operator.Start(ctx); err != nil {
		t.Fatal(err)
	}
	for _, configuration := range o.webhooks {
		configuration.SetResourceVersion("")
		configuration.SetUID("")
		if err := suite.client.Create(ctx, configuration); err != nil {
			t.Fatal(err)
		}
	}
	o.webhooks = nil
	untilWebhooks(t, func(err error, lws *leaderworkersetv1.LeaderWorkerSet) bool {
		return err == nil && lws.Spec.LeaderWorkerTemplate.RestartPolicy == leaderworkersetv1.NoneRestartPolicy
	})
}

// untilWebhooks waits until the check accepts the API server's answer to a dry-run creation. The API server observes
// changes of webhook configurations with a delay.
func untilWebhooks(t *testing.T, check func(error, *leaderworkersetv1.LeaderWorkerSet) bool) {
	t.Helper()
	eventually(t, func(ctx context.Context) error {
		lws := newSet(metav1.NamespaceDefault, "probe", 1, 1)
		lws.Spec.LeaderWorkerTemplate.RestartPolicy = leaderworkersetv1.DeprecatedDefaultRestartPolicy
		err := suite.client.Create(ctx, lws, client.DryRunAll)
		return unless(check(err, lws), "error %w, restartPolicy %s", err, lws.Spec.LeaderWorkerTemplate.RestartPolicy)
	})
}

// takeoverValues are the values for the templates in testdata/takeover.
type takeoverValues struct {
	Namespace string
	Set       types.UID
	Groups    []int

	Group   int
	Leader  types.UID
	Node    string
	Workers []int
}

// createAsOtherController creates a set and all children that another controller creates for it. It waits until all
// pods are ready.
func createAsOtherController(t *testing.T, namespace, name string) *leaderworkersetv1.LeaderWorkerSet {
	t.Helper()
	values := takeoverValues{Namespace: namespace, Groups: []int{0, 1}, Workers: []int{1, 2}}
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

// fixtures returns the objects of a file in testdata/takeover.
func fixtures(t *testing.T, file string, values takeoverValues) []client.Object {
	t.Helper()
	functions := template.FuncMap{"sha1": func(parts ...any) string { return sha1Hex(fmt.Sprint(parts...)) }}
	path := filepath.Join("testdata", "takeover", file)
	parsed, err := template.New(filepath.Base(file)).Funcs(functions).ParseFiles(path)
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

// createAll creates objects. The pods of a StatefulSet have to exist before the StatefulSet, because the other
// controller has injected their variables. The StatefulSet controller adopts the pods.
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

// createAround creates a StatefulSet that adopts existing pods. The partition protects the pods until they have the
// label of the StatefulSet's revision.
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

// takeoverPlacements are the annotations for placement of the sets, as the operator records them in their revisions.
var takeoverPlacements = map[string]string{
	"plain": `{}`,
	"full":  `{"` + leaderworkersetv1.ExclusiveKeyAnnotationKey + `":"kubernetes.io/hostname"}`,
}

// checkRevisionOnTakeover checks that a set has the same revision as before. The operator only records the placement,
// which another controller doesn't.
func checkRevisionOnTakeover(t *testing.T, before *appsv1.ControllerRevision, now []*appsv1.ControllerRevision) {
	t.Helper()
	name := before.Labels[leaderworkersetv1.SetNameLabelKey]
	if len(now) != 1 {
		t.Fatalf("%s has %d revisions", name, len(now))
	}
	want := before.DeepCopy()
	metav1.SetMetaDataAnnotation(&want.ObjectMeta, leaderworkersetv1.PlacementAnnotationKey, takeoverPlacements[name])
	want.ResourceVersion, want.ManagedFields = now[0].ResourceVersion, now[0].ManagedFields
	check(t, "revision of "+name, want, now[0])
}
