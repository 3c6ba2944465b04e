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

// TestOLM has the operator meet what OLM v0 makes in an upgrade: first nothing of it, then all but the permissions, then those as well.
func TestOLM(t *testing.T) {
	csv := bundledCSV(t)
	t.Setenv(olm.ConditionNameVariable, csv.GetName())

	stranger := startForOLM(t)
	stranger.untilAnswers(t, http.StatusOK)
	stranger.hasLogged(t, "the cluster doesn't have its API")

	world := newOLM(t, csv)
	secret := world.createSecret(t)
	replica := startForOLM(t)
	replica.untilAnswers(t, http.StatusInternalServerError) // It may not do yet what it has to.
	world.allow(t)
	replica.untilAnswers(t, http.StatusOK)
	replica.hasLogged(t, "The webhooks' certificate stays")

	owned := world.read(t, secret)
	want := append(slices.Clone(secret.GetOwnerReferences()), metav1.OwnerReference{
		APIVersion: "operators.coreos.com/v1alpha1", Kind: "ClusterServiceVersion", Name: csv.GetName(), UID: csv.GetUID(),
		Controller: ptr.To(false), BlockOwnerDeletion: ptr.To(false),
	})
	byUID := func(a, b metav1.OwnerReference) int { return strings.Compare(string(a.UID), string(b.UID)) }
	if diff := cmp.Diff(slices.SortedFunc(slices.Values(want), byUID), slices.SortedFunc(slices.Values(owned.GetOwnerReferences()), byUID)); diff != "" {
		t.Errorf("owners (-want +got):\n%s", diff)
	}
	if !cmp.Equal(secret.Data, owned.Data) {
		t.Error("the certificate has changed")
	}

	// Another replica finds nothing to do.
	another := startForOLM(t)
	another.untilAnswers(t, http.StatusOK)
	if again := world.read(t, secret); again.GetResourceVersion() != owned.GetResourceVersion() {
		t.Errorf("the Secret was written again: %v", again.GetOwnerReferences())
	}
	another.stop(t)

	world.testUpgradeable(t)

	// Where OLM has yet to make the Secret, it will do so with the right owner.
	if err := world.client.Delete(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	late := startForOLM(t)
	late.untilAnswers(t, http.StatusOK)
	late.hasLogged(t, "OLM has yet to make a certificate")
}

// bundledCSV is the ClusterServiceVersion of the bundle, in the operator's namespace.
func bundledCSV(t *testing.T) *unstructured.Unstructured {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(suite.root, "bundle", "manifests", "lws-operator.clusterserviceversion.yaml"))
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

// olmWorld is what OLM makes.
type olmWorld struct {
	client    client.Client
	csv       *unstructured.Unstructured
	condition *operatorsv2.OperatorCondition
}

// newOLM installs OLM's API, and makes the ClusterServiceVersion and its OperatorCondition.
func newOLM(t *testing.T, csv *unstructured.Unstructured) *olmWorld {
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
	w := &olmWorld{client: admin, csv: csv}
	w.create(t, csv)
	controls := metav1.OwnerReference{APIVersion: csv.GetAPIVersion(), Kind: csv.GetKind(), Name: csv.GetName(), UID: csv.GetUID(), Controller: ptr.To(true)}
	w.condition = &operatorsv2.OperatorCondition{
		ObjectMeta: metav1.ObjectMeta{Namespace: csv.GetNamespace(), Name: csv.GetName(), OwnerReferences: []metav1.OwnerReference{controls}},
		Spec:       operatorsv2.OperatorConditionSpec{Deployments: []string{"lws-controller-manager"}},
	}
	w.create(t, w.condition)
	return w
}

func (w *olmWorld) create(t *testing.T, object client.Object) {
	t.Helper()
	if err := w.client.Create(t.Context(), object); err != nil {
		t.Fatal(err)
	}
}

// createSecret makes the Secret with the certificate, as it is in the middle of an upgrade: the version before owns it. So does somebody else.
func (w *olmWorld) createSecret(t *testing.T) *corev1.Secret {
	t.Helper()
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: operatorNamespace, Name: "lws-controller-manager-service-cert",
			OwnerReferences: []metav1.OwnerReference{
				{APIVersion: "v1", Kind: "ConfigMap", Name: "somebody-else", UID: "1"},
				{APIVersion: w.csv.GetAPIVersion(), Kind: w.csv.GetKind(), Name: "lws-operator.v0.1.0", UID: "2", Controller: ptr.To(false), BlockOwnerDeletion: ptr.To(false)},
			},
		},
		Type: corev1.SecretTypeTLS,
		Data: map[string][]byte{corev1.TLSCertKey: []byte("certificate"), corev1.TLSPrivateKeyKey: []byte("key")},
	}
	w.create(t, secret)
	return secret
}

func (w *olmWorld) read(t *testing.T, secret *corev1.Secret) *corev1.Secret {
	t.Helper()
	read := &corev1.Secret{}
	if err := w.client.Get(t.Context(), client.ObjectKeyFromObject(secret), read); err != nil {
		t.Fatal(err)
	}
	return read
}

// allow gives the operator the namespaced permissions that the bundle asks for, and those that OLM adds for the OperatorCondition.
func (w *olmWorld) allow(t *testing.T) {
	t.Helper()
	list, _, err := unstructured.NestedSlice(w.csv.Object, "spec", "install", "spec", "permissions")
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
	name := metav1.ObjectMeta{Namespace: operatorNamespace, Name: w.csv.GetName()}
	w.create(t, &rbacv1.Role{
		ObjectMeta: name,
		Rules: append(permissions.Rules, rbacv1.PolicyRule{
			APIGroups: []string{operatorsv2.GroupVersion.Group}, Resources: []string{"operatorconditions"}, ResourceNames: []string{w.condition.Name},
			Verbs: []string{"get", "update", "patch"},
		}),
	})
	w.create(t, &rbacv1.RoleBinding{
		ObjectMeta: name,
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: name.Name},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: operatorNamespace, Name: permissions.ServiceAccountName}},
	})
}

// byHand is what docs/olm.md has users say to OLM in place of the operator.
const byHand = `{"spec":{"overrides":[{"type":"Upgradeable","status":"True","reason":"ByHand","message":"","lastTransitionTime":"2026-01-31T00:00:00Z"}]}}`

// testUpgradeable has a LeaderWorkerSet begin and end a rolling update, by its status.
func (w *olmWorld) testUpgradeable(t *testing.T) {
	t.Helper()
	w.untilUpgradeable(t, metav1.ConditionTrue, "No LeaderWorkerSet is in a rolling update")
	set := create(t, newNamespace(t, webhooksOff), "llama", `{}`)
	update := func(status metav1.ConditionStatus) {
		t.Helper()
		condition := fmt.Sprintf(`{conditions: [{type: UpdateInProgress, status: %q, reason: Test, message: "", lastTransitionTime: %q}]}`,
			status, metav1.Now().UTC().Format("2006-01-02T15:04:05Z"))
		if err := w.client.Status().Patch(t.Context(), set, statusOf(t, condition)); err != nil {
			t.Fatal(err)
		}
	}
	update(metav1.ConditionTrue)
	if _, err := kubectl(t.Context(), "patch", "operatorconditions.operators.coreos.com", w.condition.Name, "-n", w.condition.Namespace,
		"--type", "merge", "-p", byHand); err != nil {
		t.Error(err)
	}
	w.untilUpgradeable(t, metav1.ConditionFalse, "1 LeaderWorkerSet is in a rolling update: "+set.GetNamespace()+"/llama")
	update(metav1.ConditionFalse)
	w.untilUpgradeable(t, metav1.ConditionTrue, "No LeaderWorkerSet is in a rolling update")
	if !meta.IsStatusConditionTrue(w.condition.Spec.Overrides, operatorsv2.Upgradeable) {
		t.Errorf("what was said by hand is gone: %+v", w.condition.Spec.Overrides)
	}
}

// untilUpgradeable waits until OLM is told so.
func (w *olmWorld) untilUpgradeable(t *testing.T, status metav1.ConditionStatus, message string) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), poll, deadline, true, func(ctx context.Context) (bool, error) {
		if err := w.client.Get(ctx, client.ObjectKeyFromObject(w.condition), w.condition); err != nil {
			return false, err
		}
		told := meta.FindStatusCondition(w.condition.Spec.Conditions, operatorsv2.Upgradeable)
		return told != nil && told.Status == status && told.Message == message, nil
	})
	if err != nil {
		t.Fatalf("want Upgradeable %s, %s; got %+v: %v", status, message, w.condition.Spec.Conditions, err)
	}
}

// replica is what a replica of the operator does for OLM, and nothing else of it.
type replica struct {
	readyz string
	cancel context.CancelFunc
	ended  chan error
	mutex  sync.Mutex
	logged []string
}

// startForOLM starts a replica, which ends with the test.
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
	if err := errors.Join(mgr.AddReadyzCheck("ping", healthz.Ping), olm.Setup(mgr, operatorNamespace)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	go func() { r.ended <- mgr.Start(ctx) }()
	t.Cleanup(func() { r.stop(t) })
	return r
}

// stop ends the replica, if it runs.
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

// hasLogged checks that there is a line with that text.
func (r *replica) hasLogged(t *testing.T, text string) {
	t.Helper()
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if !slices.ContainsFunc(r.logged, func(line string) bool { return strings.Contains(line, text) }) {
		t.Errorf("want %q in the log:\n%s", text, strings.Join(r.logged, "\n"))
	}
}

// untilAnswers waits until the replica answers with a status whether it is ready.
func (r *replica) untilAnswers(t *testing.T, status int) {
	t.Helper()
	got := 0
	err := wait.PollUntilContextTimeout(t.Context(), poll, deadline, true, func(ctx context.Context) (bool, error) {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.readyz, nil)
		if err != nil {
			return false, err
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return false, nil // It doesn't answer yet.
		}
		defer func() { _ = response.Body.Close() }()
		got = response.StatusCode
		return got == status, nil
	})
	if err != nil {
		t.Fatalf("the replica answers with %d; want %d: %v", got, status, err)
	}
}
