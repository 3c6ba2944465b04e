// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package startup

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	disaggregatedsetv1 "github.com/leaderworkerset/lws-operator/api/disaggregatedset/v1"
	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/test/cluster"
	"github.com/leaderworkerset/lws-operator/test/operator"
)

// TestBeforeCRD starts the operator before the API server serves its API. The operator waits, isn't ready and says what
// for. It goes on when the CRD appears, and again when it starts after that.
func TestBeforeCRD(t *testing.T) {
	install(t, "CustomResourceDefinition")
	waiting := start(t, "")
	waiting.until(t, "/readyz/api", http.StatusInternalServerError,
		"the API server doesn't serve leaderworkersets.leaderworkerset.x-k8s.io of version v1: "+
			"apply the CustomResourceDefinition")
	waiting.until(t, "/readyz", http.StatusInternalServerError, "[-]api failed")
	waiting.until(t, "/healthz", http.StatusOK, "ok")

	install(t)
	waiting.until(t, "/readyz", http.StatusOK, "ok")
	const said = "The operator waits until the API server serves its API"
	if count := strings.Count(waiting.logged(), said); count != 1 {
		t.Errorf("the log says %d times what the operator waits for", count)
	}
	createNamespace(t, "late")
	untilManaged(t, createSet(t, "late"))

	after := start(t, "")
	after.until(t, "/readyz", http.StatusOK, "ok")
	if strings.Contains(after.logged(), said) {
		t.Error("the operator waits, though its API is served")
	}
}

// TestWithoutDisaggregatedSets runs the operator while the API server doesn't serve DisaggregatedSets. LeaderWorkerSets
// don't miss them. The operator says once what it waits for, and reconciles DisaggregatedSets once they are served.
func TestWithoutDisaggregatedSets(t *testing.T) {
	install(t)
	for _, kind := range []string{"disaggregatedsets", "disaggregatedsetrolescalers"} {
		removeCRD(t, kind+"."+disaggregatedsetv1.GroupVersion.Group)
	}
	without := start(t, "")
	without.until(t, "/readyz", http.StatusOK, "ok")
	createNamespace(t, "no-roles")
	untilManaged(t, createSet(t, "no-roles"))
	const said = "The API server doesn't serve an API that the operator can do without"
	if count := strings.Count(without.logged(), said); count != 1 {
		t.Errorf("the log says %d times what isn't served", count)
	}

	install(t)
	set := &disaggregatedsetv1.DisaggregatedSet{ObjectMeta: metav1.ObjectMeta{Namespace: "no-roles", Name: "llama"}}
	template := corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "a", Image: "pause"}}}}
	for _, name := range []string{"prefill", "decode"} {
		role := disaggregatedsetv1.DisaggregatedRoleSpec{Name: name}
		role.Spec.LeaderWorkerTemplate.WorkerTemplate = template
		set.Spec.Roles = append(set.Spec.Roles, role)
	}
	eventually(t, func(ctx context.Context) error { return suite.client.Create(ctx, set) })
	eventually(t, func(ctx context.Context) error {
		if err := suite.client.Get(ctx, client.ObjectKeyFromObject(set), set); err != nil {
			return err
		}
		if len(set.Status.RoleStatuses) != 2 {
			return errors.New("the set has no status")
		}
		return nil
	})
}

// removeCRD deletes a CustomResourceDefinition, and waits until it is gone.
func removeCRD(t *testing.T, name string) {
	t.Helper()
	crd := &unstructured.Unstructured{}
	crd.SetAPIVersion("apiextensions.k8s.io/v1")
	crd.SetKind("CustomResourceDefinition")
	crd.SetName(name)
	if err := client.IgnoreNotFound(suite.client.Delete(t.Context(), crd)); err != nil {
		t.Fatal(err)
	}
	eventually(t, func(ctx context.Context) error {
		err := suite.client.Get(ctx, client.ObjectKeyFromObject(crd), crd)
		if !apierrors.IsNotFound(err) {
			return fmt.Errorf("the CustomResourceDefinition %s still exists: %w", name, err)
		}
		return nil
	})
}

// TestNamespaces runs the operator in the namespace of the kustomization in docs/operate/configuration.md, with the
// rights of that kustomization. These have to be enough for the leader election, which looks for other controllers as
// well.
func TestNamespaces(t *testing.T) {
	dir := documentedKustomization(t)
	createNamespace(t, "team-a")
	createNamespace(t, "team-b")
	checkWebhooks(t, dir, "team-a")
	install(t)
	withdrawRights(t)
	apply(t, dir, webhooks...)

	selective := start(t, "namespaces: [team-a]\nleaderElection: {namespace: "+operator.Namespace+"}\n")
	selective.until(t, "/readyz", http.StatusOK, "ok")
	foreign := createSet(t, "team-b")
	untilManaged(t, createSet(t, "team-a"))

	err := suite.client.Get(t.Context(), client.ObjectKeyFromObject(foreign), &appsv1.StatefulSet{})
	if !apierrors.IsNotFound(err) {
		t.Errorf("a set of another namespace has a StatefulSet: %v", err)
	}
	if log := selective.logged(); strings.Contains(log, "forbidden") {
		t.Error("the operator lacks rights")
	}
}

// TestWithoutRights starts the operator without the right to list what it caches. It isn't ready, and ends when it is
// asked to.
func TestWithoutRights(t *testing.T) {
	install(t)
	withdrawRights(t)
	waiting := start(t, "namespaces: [team-c]\n")
	waiting.until(t, "/readyz/caches", http.StatusInternalServerError, "caches are not filled yet")
}

// TestServers checks that the configuration's restrictions of TLS hold, and that profiles are served where it says.
func TestServers(t *testing.T) {
	ports, err := cluster.FreePorts("profiles")
	if err != nil {
		t.Fatal(err)
	}
	profiles := net.JoinHostPort(loopback, ports["profiles"])
	install(t)
	configured := start(t, "tls: {minVersion: VersionTLS13}\nprofiling: {bindAddress: "+strconv.Quote(profiles)+"}\n")
	configured.until(t, "/healthz", http.StatusOK, "ok")
	if status, _, err := get(t.Context(), "http://"+profiles+"/debug/pprof/cmdline"); status != http.StatusOK {
		t.Errorf("profiles: %d, %v", status, err)
	}
	eventually(t, func(ctx context.Context) error { return handshake(ctx, configured.webhooks, tls.VersionTLS13) })
	if err := handshake(t.Context(), configured.webhooks, tls.VersionTLS12); err == nil {
		t.Error("the webhooks' server takes a version of TLS that the configuration excludes")
	}
}

// handshake connects to a server by one version of TLS.
func handshake(ctx context.Context, address string, version uint16) error {
	dialer := tls.Dialer{Config: &tls.Config{
		InsecureSkipVerify: true, MinVersion: version, MaxVersion: version, //nolint:gosec // The server is the test's own.
	}}
	connection, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	return connection.Close()
}

// webhooks are the kinds that no test installs: the API server would call replicas that are gone.
var webhooks = []string{"MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"}

// install applies config/default, but no webhooks and no objects of other kinds.
func install(t *testing.T, except ...string) {
	t.Helper()
	apply(t, filepath.Join(suite.root, "config", "default"), append(except, webhooks...)...)
}

// documentedKustomization writes the last kustomization of docs/operate/configuration.md into a directory, and returns
// the directory.
func documentedKustomization(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile(filepath.Join(suite.root, "docs", "operate", "configuration.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(page), "\n## Some namespaces only\n")
	if !found {
		t.Fatal("the page has no section about namespaces")
	}
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(section, -1)
	dir := t.TempDir()
	base, err := filepath.Rel(dir, suite.root)
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"kustomization.yaml": strings.ReplaceAll(blocks[0][1], "github.com/leaderworkerset/lws-operator", base),
		"rights.yaml":        blocks[1][1],
		"config.yaml":        "namespaces: [team-a]\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// checkWebhooks checks that all webhooks of a kustomization are called in one namespace only, and that the Deployment
// has the kustomization's own ConfigMap.
func checkWebhooks(t *testing.T, dir, namespace string) {
	t.Helper()
	manifests, err := operator.Manifests(t.Context(), suite.root, dir)
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, object := range manifests {
		calls, _, err := unstructured.NestedSlice(object.Object, "webhooks")
		if err != nil {
			t.Fatal(err)
		}
		for _, webhook := range calls {
			checked++
			if text := marshal(t, webhook); !strings.Contains(text, `"values":["`+namespace+`"]`) {
				t.Errorf("a webhook is called in other namespaces: %s", text)
			}
		}
		if object.GetKind() == "Deployment" && !strings.Contains(marshal(t, object), `"name":"lws-operator-config-`) {
			t.Error("the Deployment has no hash of its configuration")
		}
	}
	if checked != 5 {
		t.Errorf("%d webhooks; want 5", checked)
	}
}

func marshal(t *testing.T, value any) string {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// withdrawRights deletes the binding of config/default by which the operator has rights in all namespaces.
func withdrawRights(t *testing.T) {
	t.Helper()
	binding := &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "lws-operator-manager-rolebinding"}}
	if err := client.IgnoreNotFound(suite.client.Delete(t.Context(), binding)); err != nil {
		t.Fatal(err)
	}
}

func createNamespace(t *testing.T, name string) {
	t.Helper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if err := suite.client.Create(t.Context(), namespace); err != nil {
		t.Fatal(err)
	}
}

// createSet creates a set in a namespace.
func createSet(t *testing.T, namespace string) *leaderworkersetv1.LeaderWorkerSet {
	t.Helper()
	lws := &leaderworkersetv1.LeaderWorkerSet{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "plain"}}
	lws.Spec.LeaderWorkerTemplate.WorkerTemplate.Spec.Containers = []corev1.Container{{Name: "server", Image: "pause"}}
	if err := suite.client.Create(t.Context(), lws); err != nil {
		t.Fatal(err)
	}
	return lws
}

// untilManaged waits until the operator has written the status of a set, its last write.
func untilManaged(t *testing.T, lws *leaderworkersetv1.LeaderWorkerSet) {
	t.Helper()
	eventually(t, func(ctx context.Context) error {
		if err := suite.client.Get(ctx, client.ObjectKeyFromObject(lws), lws); err != nil {
			return err
		}
		if meta.FindStatusCondition(lws.Status.Conditions, leaderworkersetv1.ConditionProgressing) == nil {
			return errors.New("the set has no status")
		}
		return suite.client.Get(ctx, client.ObjectKeyFromObject(lws), &appsv1.StatefulSet{})
	})
}
