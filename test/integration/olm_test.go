// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/go-logr/logr/funcr"
	"github.com/google/go-cmp/cmp"
	"github.com/operator-framework/api/crds"
	operatorsv2 "github.com/operator-framework/api/pkg/operators/v2"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrlconfig "sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/yaml"

	"github.com/leaderworkerset/lws-operator/internal/controller"
	"github.com/leaderworkerset/lws-operator/internal/olm"
	"github.com/leaderworkerset/lws-operator/test/cluster"
)

// TestOLM runs replicas of the operator at the stages of an upgrade by OLM v0. OLM first creates nothing, then its
// objects, and then the operator's permissions.
func TestOLM(t *testing.T) {
	csv := bundledCSV(t)
	t.Setenv(olm.ConditionNameVariable, csv.GetName())

	withoutOLM := startForOLM(t)
	withoutOLM.untilReadyz(t, http.StatusOK)
	withoutOLM.checkLogged(t, "the cluster doesn't have its API")

	fixture := newOLM(t, csv)
	secret := fixture.createSecret(t)
	replica := startForOLM(t)
	replica.untilReadyz(t, http.StatusInternalServerError) // The replica lacks permissions.
	fixture.testRights(t)
	fixture.allow(t, "")
	replica.untilReadyz(t, http.StatusOK)
	replica.checkLogged(t, "The webhooks' certificate stays")

	owned := fixture.read(t, secret)
	want := append(slices.Clone(secret.GetOwnerReferences()), metav1.OwnerReference{
		APIVersion: "operators.coreos.com/v1alpha1", Kind: "ClusterServiceVersion", Name: csv.GetName(), UID: csv.GetUID(),
		Controller: ptr.To(false), BlockOwnerDeletion: ptr.To(false),
	})
	byUID := func(owners []metav1.OwnerReference) []metav1.OwnerReference {
		return slices.SortedFunc(slices.Values(owners), func(a, b metav1.OwnerReference) int {
			return strings.Compare(string(a.UID), string(b.UID))
		})
	}
	if diff := cmp.Diff(byUID(want), byUID(owned.GetOwnerReferences())); diff != "" {
		t.Errorf("owners (-want +got):\n%s", diff)
	}
	if !cmp.Equal(secret.Data, owned.Data) {
		t.Error("the certificate has changed")
	}

	// A second replica changes nothing.
	another := startForOLM(t)
	another.untilReadyz(t, http.StatusOK)
	if again := fixture.read(t, secret); again.GetResourceVersion() != owned.GetResourceVersion() {
		t.Errorf("the Secret was written again: %v", again.GetOwnerReferences())
	}
	another.stop(t)

	fixture.testUpgradeable(t)

	// If the Secret doesn't exist, OLM creates it with the right owner.
	if err := fixture.client.Delete(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	late := startForOLM(t)
	late.untilReadyz(t, http.StatusOK)
	late.checkLogged(t, "OLM has yet to make a certificate")
}

// bundledCSV returns the ClusterServiceVersion of the bundle, in the operator's namespace.
func bundledCSV(t *testing.T) *unstructured.Unstructured {
	t.Helper()
	manifests := filepath.Join(suite.root, "bundle", "manifests")
	content, err := os.ReadFile(filepath.Join(manifests, "lws-operator.clusterserviceversion.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	csv := &unstructured.Unstructured{}
	if err := yaml.Unmarshal(content, csv); err != nil {
		t.Fatal(err)
	}
	csv.SetNamespace(operatorNamespace)
	return csv
}

// olmFixture has the objects that OLM creates, and a client for them.
type olmFixture struct {
	client    client.Client
	csv       *unstructured.Unstructured
	condition *operatorsv2.OperatorCondition
}

// newOLM installs OLM's CustomResourceDefinitions, and creates the ClusterServiceVersion and its OperatorCondition.
func newOLM(t *testing.T, csv *unstructured.Unstructured) *olmFixture {
	t.Helper()
	definitions := []*apiextensionsv1.CustomResourceDefinition{crds.ClusterServiceVersion(), crds.OperatorCondition()}
	if _, err := envtest.InstallCRDs(suite.config, envtest.CRDInstallOptions{CRDs: definitions}); err != nil {
		t.Fatal(err)
	}
	scheme, err := controller.Scheme()
	if err := errors.Join(err, operatorsv2.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	admin, err := client.New(suite.config, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	o := &olmFixture{client: admin, csv: csv}
	o.create(t, csv)
	o.condition = &operatorsv2.OperatorCondition{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: csv.GetNamespace(), Name: csv.GetName(),
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: csv.GetAPIVersion(), Kind: csv.GetKind(), Name: csv.GetName(), UID: csv.GetUID(),
				Controller: ptr.To(true),
			}},
		},
		Spec: operatorsv2.OperatorConditionSpec{Deployments: []string{"lws-controller-manager"}},
	}
	o.create(t, o.condition)
	return o
}

func (o *olmFixture) create(t *testing.T, object client.Object) {
	t.Helper()
	if err := o.client.Create(t.Context(), object); err != nil {
		t.Fatal(err)
	}
}

// createSecret creates the Secret with the certificate in its state during an upgrade: the previous version and a
// ConfigMap own it.
func (o *olmFixture) createSecret(t *testing.T) *corev1.Secret {
	t.Helper()
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: operatorNamespace, Name: "lws-controller-manager-service-cert",
			OwnerReferences: []metav1.OwnerReference{
				{APIVersion: "v1", Kind: "ConfigMap", Name: "somebody-else", UID: "1"},
				{
					APIVersion: o.csv.GetAPIVersion(), Kind: o.csv.GetKind(), Name: "lws-operator.v0.1.0", UID: "2",
					Controller: ptr.To(false), BlockOwnerDeletion: ptr.To(false),
				},
			},
		},
		Type: corev1.SecretTypeTLS,
		Data: map[string][]byte{corev1.TLSCertKey: []byte("certificate"), corev1.TLSPrivateKeyKey: []byte("key")},
	}
	o.create(t, secret)
	return secret
}

func (o *olmFixture) read(t *testing.T, secret *corev1.Secret) *corev1.Secret {
	t.Helper()
	read := &corev1.Secret{}
	if err := o.client.Get(t.Context(), client.ObjectKeyFromObject(secret), read); err != nil {
		t.Fatal(err)
	}
	return read
}

// testRights starts replicas that lack one of the rights on the Secret. Each says so in its log.
func (o *olmFixture) testRights(t *testing.T) {
	t.Helper()
	for verb, said := range map[string]string{
		"get": `cannot get resource "secrets"`, "patch": `cannot patch resource "secrets"`,
		"delete": "cannot set an ownerRef on a resource you can't delete",
	} {
		withdraw := o.allow(t, verb)
		lacking := startForOLM(t)
		lacking.untilLogged(t, said)
		lacking.untilReadyz(t, http.StatusInternalServerError)
		lacking.stop(t)
		withdraw()
	}
}

// allow grants the operator the namespaced permissions of the bundle, and the permissions that OLM adds for the
// OperatorCondition. It leaves out one verb for Secrets. It returns a function that takes the permissions away.
func (o *olmFixture) allow(t *testing.T, except string) (withdraw func()) {
	t.Helper()
	list, _, err := unstructured.NestedSlice(o.csv.Object, "spec", "install", "spec", "permissions")
	if err != nil || len(list) != 1 {
		t.Fatalf("want permissions of one service account, got %d; %v", len(list), err)
	}
	content, err := yaml.Marshal(list[0])
	if err != nil {
		t.Fatal(err)
	}
	var permissions struct {
		Rules              []rbacv1.PolicyRule `json:"rules"`
		ServiceAccountName string              `json:"serviceAccountName"`
	}
	if err := yaml.UnmarshalStrict(content, &permissions); err != nil {
		t.Fatal(err)
	}
	for n := range permissions.Rules {
		if rule := &permissions.Rules[n]; slices.Contains(rule.Resources, "secrets") {
			rule.Verbs = slices.DeleteFunc(rule.Verbs, func(verb string) bool { return verb == except })
		}
	}
	name := metav1.ObjectMeta{Namespace: operatorNamespace, Name: o.csv.GetName()}
	role := &rbacv1.Role{
		ObjectMeta: name,
		Rules: append(permissions.Rules, rbacv1.PolicyRule{
			APIGroups:     []string{operatorsv2.GroupVersion.Group},
			Resources:     []string{"operatorconditions"},
			ResourceNames: []string{o.condition.Name},
			Verbs:         []string{"get", "update", "patch"},
		}),
	}
	binding := &rbacv1.RoleBinding{
		ObjectMeta: name,
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: name.Name},
		// Replicas run as the service account of config/default. The bundle's has another name.
		Subjects: []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: operatorUser}},
	}
	o.create(t, role)
	o.create(t, binding)
	return func() {
		t.Helper()
		if err := errors.Join(o.client.Delete(t.Context(), binding), o.client.Delete(t.Context(), role)); err != nil {
			t.Fatal(err)
		}
	}
}

// override is the patch by which docs/install/olm.md overrides the operator's condition Upgradeable.
const override = `{"spec":{"overrides":[{"type":"Upgradeable","status":"True","reason":"ByHand","message":"",` +
	`"lastTransitionTime":"2026-01-31T00:00:00Z"}]}}`

// testUpgradeable starts and ends a rolling update of a LeaderWorkerSet by its status, and checks the condition
// Upgradeable.
func (o *olmFixture) testUpgradeable(t *testing.T) {
	t.Helper()
	o.untilUpgradeable(t, metav1.ConditionTrue, "No LeaderWorkerSet is in a rolling update")
	set := create(t, newNamespace(t, webhooksOff), "llama", `{}`)
	update := func(status metav1.ConditionStatus) {
		t.Helper()
		const text = `{conditions: [{type: UpdateInProgress, status: %q, reason: Test, message: "", lastTransitionTime: %q}]}`
		condition := fmt.Sprintf(text, status, metav1.Now().UTC().Format("2006-01-02T15:04:05Z"))
		if err := o.client.Status().Patch(t.Context(), set, statusOf(t, condition)); err != nil {
			t.Fatal(err)
		}
	}
	update(metav1.ConditionTrue)
	_, err := kubectl(t.Context(), "patch", "operatorconditions.operators.coreos.com", o.condition.Name,
		"-n", o.condition.Namespace, "--type", "merge", "-p", override)
	if err != nil {
		t.Error(err)
	}
	o.untilUpgradeable(t, metav1.ConditionFalse, "1 LeaderWorkerSet is in a rolling update: "+set.GetNamespace()+"/llama")
	update(metav1.ConditionFalse)
	o.untilUpgradeable(t, metav1.ConditionTrue, "No LeaderWorkerSet is in a rolling update")
	if !meta.IsStatusConditionTrue(o.condition.Spec.Overrides, operatorsv2.Upgradeable) {
		t.Errorf("the override was removed: %+v", o.condition.Spec.Overrides)
	}
}

// untilUpgradeable waits until the condition Upgradeable has this status and message.
func (o *olmFixture) untilUpgradeable(t *testing.T, status metav1.ConditionStatus, message string) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), poll, deadline, true, func(ctx context.Context) (bool, error) {
		if err := o.client.Get(ctx, client.ObjectKeyFromObject(o.condition), o.condition); err != nil {
			return false, err
		}
		condition := meta.FindStatusCondition(o.condition.Spec.Conditions, operatorsv2.Upgradeable)
		return condition != nil && condition.Status == status && condition.Message == message, nil
	})
	if err != nil {
		t.Fatalf("want Upgradeable %s, %s; got %+v: %v", status, message, o.condition.Spec.Conditions, err)
	}
}

// replica is the part of an operator's replica that cooperates with OLM.
type replica struct {
	readyz string
	cancel context.CancelFunc
	ended  chan error
	mutex  sync.Mutex
	logged []string
}

// startForOLM starts a replica. The replica ends with the test.
func startForOLM(t *testing.T) *replica {
	t.Helper()
	ports, err := cluster.FreePorts("health")
	if err != nil {
		t.Fatal(err)
	}
	address := "127.0.0.1:" + ports["health"]
	r := &replica{readyz: "http://" + address + "/readyz", ended: make(chan error, 1)}
	scheme, err := controller.Scheme()
	if err != nil {
		t.Fatal(err)
	}
	mgr, err := ctrl.NewManager(asOperator(), ctrl.Options{
		Scheme:                 scheme,
		Cache:                  controller.CacheOptions(),
		Client:                 controller.ClientOptions(),
		Controller:             ctrlconfig.Controller{SkipNameValidation: ptr.To(true)},
		Metrics:                metricsserver.Options{BindAddress: "0"},
		HealthProbeBindAddress: address,
		Logger:                 funcr.New(r.log, funcr.Options{}),
	})
	if err != nil {
		t.Fatal(err)
	}
	uncounted := func(string, bool) {}
	err = errors.Join(mgr.AddReadyzCheck("ping", healthz.Ping), olm.Setup(mgr, operatorNamespace, uncounted))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	go func() { r.ended <- mgr.Start(ctx) }()
	t.Cleanup(func() { r.stop(t) })
	return r
}

// stop stops the replica if it runs.
func (r *replica) stop(t *testing.T) {
	t.Helper()
	if r.cancel == nil {
		return
	}
	r.cancel()
	r.cancel = nil
	if err := <-r.ended; err != nil {
		t.Error(err)
	}
}

func (r *replica) log(_, line string) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.logged = append(r.logged, line)
}

// checkLogged checks that a line of the log contains the text.
func (r *replica) checkLogged(t *testing.T, text string) {
	t.Helper()
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if !slices.ContainsFunc(r.logged, func(line string) bool { return strings.Contains(line, text) }) {
		t.Errorf("want %q in the log:\n%s", text, strings.Join(r.logged, "\n"))
	}
}

// untilLogged waits until a line of the log contains the text. Quotes in the log aren't escaped.
func (r *replica) untilLogged(t *testing.T, text string) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), poll, deadline, true, func(context.Context) (bool, error) {
		r.mutex.Lock()
		defer r.mutex.Unlock()
		return strings.Contains(strings.ReplaceAll(strings.Join(r.logged, "\n"), `\"`, `"`), text), nil
	})
	if err != nil {
		t.Fatalf("want %q in the log: %v", text, err)
	}
}

// untilReadyz waits until the replica's readiness endpoint answers with the HTTP status.
func (r *replica) untilReadyz(t *testing.T, status int) {
	t.Helper()
	got := 0
	err := wait.PollUntilContextTimeout(t.Context(), poll, deadline, true, func(ctx context.Context) (bool, error) {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.readyz, nil)
		if err != nil {
			return false, err
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return false, nil // The replica doesn't listen yet.
		}
		defer func() { _ = response.Body.Close() }()
		got = response.StatusCode
		return got == status, nil
	})
	if err != nil {
		t.Fatalf("the replica answers with %d; want %d: %v", got, status, err)
	}
}
