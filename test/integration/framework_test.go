// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// minimal is the smallest valid spec of a LeaderWorkerSet.
const minimal = `
leaderWorkerTemplate: {workerTemplate: {spec: {containers: [{name: server, image: registry.k8s.io/pause:3.10}]}}}`

// dryRun makes the API server check a request without storing the object.
var dryRun = client.DryRunAll

// newNamespace creates a namespace for one test.
func newNamespace(tb testing.TB, m mode) string {
	tb.Helper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		GenerateName: "test-", Labels: map[string]string{webhooksLabel: string(m)},
	}}
	if err := suite.client.Create(tb.Context(), namespace); err != nil {
		tb.Fatal(err)
	}
	return namespace.Name
}

// switchTo changes the mode of a namespace, and waits until the API server applies the mode.
func switchTo(t *testing.T, namespace string, m mode) {
	t.Helper()
	object := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}
	label := client.RawPatch(types.MergePatchType,
		fmt.Appendf(nil, `{"metadata": {"labels": {%q: %q}}}`, webhooksLabel, m))
	if err := suite.client.Patch(t.Context(), object, label); err != nil {
		t.Fatal(err)
	}
	probe := newSet(t, namespace, "probe", `{leaderWorkerTemplate: {restartPolicy: Default}}`)
	err := wait.PollUntilContextTimeout(t.Context(), poll, deadline, true, func(ctx context.Context) (bool, error) {
		return modeOf(ctx, probe) == m, nil
	})
	if err != nil {
		t.Fatalf("webhooks aren't %s: %v", m, err)
	}
}

// modeOf finds out the mode of the probe's namespace. The probe has the deprecated restartPolicy "Default", which the
// webhooks replace.
func modeOf(ctx context.Context, probe *unstructured.Unstructured) mode {
	set := probe.DeepCopy()
	if err := suite.client.Create(ctx, set, dryRun); err != nil {
		return webhooksDown
	}
	policy, _, _ := unstructured.NestedString(set.Object, "spec", "leaderWorkerTemplate", "restartPolicy")
	if policy == "Default" {
		return webhooksOff
	}
	return webhooksOn
}

// newSet returns a set whose spec is minimal with the given spec, in YAML, merged into it.
func newSet(t *testing.T, namespace, name, spec string) *unstructured.Unstructured {
	t.Helper()
	set, err := manifest(namespace, name, spec)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func manifest(namespace, name, spec string) (*unstructured.Unstructured, error) {
	base, err := yaml.YAMLToJSON([]byte(minimal))
	if err != nil {
		return nil, err
	}
	patch, err := yaml.YAMLToJSON([]byte(spec))
	if err != nil {
		return nil, err
	}
	merged, err := jsonpatch.MergePatch(base, patch)
	if err != nil {
		return nil, err
	}
	set := &unstructured.Unstructured{}
	const object = `{"apiVersion": %q, "kind": "LeaderWorkerSet", "spec": %s}`
	if err := set.UnmarshalJSON(fmt.Appendf(nil, object, leaderworkersetv1.GroupVersion, merged)); err != nil {
		return nil, err
	}
	set.SetNamespace(namespace)
	set.SetName(name)
	return set, nil
}

// create creates the set that newSet returns. The test fails unless the API server accepts the set.
func create(t *testing.T, namespace, name, spec string) *unstructured.Unstructured {
	t.Helper()
	set := newSet(t, namespace, name, spec)
	if err := suite.client.Create(t.Context(), set); err != nil {
		t.Fatalf("create %s with spec %s: %v", name, spec, err)
	}
	return set
}

// edit merges a spec, in YAML, into the spec of a set.
func edit(t *testing.T, set client.Object, spec string, options ...client.PatchOption) error {
	t.Helper()
	patch, err := yaml.YAMLToJSON([]byte("spec: " + spec))
	if err != nil {
		t.Fatal(err)
	}
	return suite.client.Patch(t.Context(), set, client.RawPatch(types.MergePatchType, patch), options...)
}

// statusOf returns a merge patch of a status in YAML.
func statusOf(t *testing.T, status string) client.Patch {
	t.Helper()
	patch, err := yaml.YAMLToJSON([]byte("status: " + status))
	if err != nil {
		t.Fatal(err)
	}
	return client.RawPatch(types.MergePatchType, patch)
}

// read reads a set into the operator's type.
func read(t *testing.T, set client.Object) *leaderworkersetv1.LeaderWorkerSet {
	t.Helper()
	lws := &leaderworkersetv1.LeaderWorkerSet{}
	if err := suite.client.Get(t.Context(), client.ObjectKeyFromObject(set), lws); err != nil {
		t.Fatal(err)
	}
	return lws
}

// parse parses a value in YAML.
func parse(tb testing.TB, text string) map[string]any {
	tb.Helper()
	var value map[string]any
	if err := yaml.UnmarshalStrict([]byte(text), &value); err != nil {
		tb.Fatal(err)
	}
	return value
}

// normalized returns a value in the form that parse returns.
func normalized(tb testing.TB, value any) map[string]any {
	tb.Helper()
	text, err := yaml.Marshal(value)
	if err != nil {
		tb.Fatal(err)
	}
	return parse(tb, string(text))
}

// convert converts a manifest into a typed object.
func convert(t *testing.T, from *unstructured.Unstructured, into any) {
	t.Helper()
	data, err := from.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, into); err != nil {
		t.Fatal(err)
	}
}

// untilCached waits until the webhooks' cache has the object in this version.
func untilCached(t *testing.T, object client.Object) {
	t.Helper()
	cached, ok := object.DeepCopyObject().(client.Object)
	if !ok {
		t.Fatalf("%T is no object", object)
	}
	err := wait.PollUntilContextTimeout(t.Context(), poll, deadline, true, func(ctx context.Context) (bool, error) {
		err := suite.webhookCache.Get(ctx, client.ObjectKeyFromObject(object), cached)
		return err == nil && cached.GetResourceVersion() == object.GetResourceVersion(), client.IgnoreNotFound(err)
	})
	if err != nil {
		t.Fatalf("the webhooks' cache doesn't have %s: %v", object.GetName(), err)
	}
}

// refusal is the expected refusal of a request.
type refusal struct {
	// field is the path of the invalid field.
	field string

	// message is a part of the error message for the field.
	message string
}

// check checks that err is the expected refusal. The reason of each refusal is Invalid.
func (want refusal) check(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		t.Errorf("accepted; want a refusal of %s: %s", want.field, want.message)
		return
	}
	if !apierrors.IsInvalid(err) {
		t.Errorf("want a refusal as invalid of %s: %s; got: %v", want.field, want.message, err)
		return
	}
	found := causes(err)
	if !slices.ContainsFunc(found, func(cause metav1.StatusCause) bool {
		return cause.Field == want.field && strings.Contains(cause.Message, want.message)
	}) {
		t.Errorf("want a refusal of %s: %s; got %v; causes: %+v", want.field, want.message, err, found)
	}
	if strings.Contains(err.Error(), "evaluating rule") {
		t.Errorf("a rule of the schema failed: %v", err)
	}
}

// causes returns the errors of single fields in an error of the API server.
func causes(err error) []metav1.StatusCause {
	var status apierrors.APIStatus
	if !errors.As(err, &status) || status.Status().Details == nil {
		return nil
	}
	return status.Status().Details.Causes
}

// nameOf returns a name for the set with this index. No name is the name of a group of another set.
func nameOf(i int) string { return fmt.Sprintf("set-%d-x", i) }
