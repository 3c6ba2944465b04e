// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package security

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/leaderworkerset/lws-operator/test/cluster"
	"github.com/leaderworkerset/lws-operator/test/operator"
)

const (
	loopback = "127.0.0.1"

	// prefix is the beginning of the names of config/default. Each operator has another one.
	prefix = "lws-operator-"

	// stopTimeout bounds the end of an operator.
	stopTimeout = 30 * time.Second
)

// installed is an operator with its objects. All names begin with the name of the installation.
type installed struct {
	name             string
	webhook, metrics string
	health           string
	manifests        []*unstructured.Unstructured
	// managed are the namespaces whose LeaderWorkerSets the operator manages.
	managed []string
	before  map[types.UID]bool // the pods before the last disruption
	ended   chan error         // gets the result of the operator's program when that ends

	mutex sync.Mutex
	log   bytes.Buffer
}

// system is the namespace of the operator, sets that of its LeaderWorkerSets, and other that of another controller.
func (i *installed) system() string { return i.name + "-system" }
func (i *installed) sets() string   { return i.name + "-sets" }
func (i *installed) other() string  { return i.name + "-other" }

// Write adds output of the operator to its log.
func (i *installed) Write(output []byte) (int, error) {
	i.mutex.Lock()
	defer i.mutex.Unlock()
	return i.log.Write(output)
}

// logged returns the log of the operator. Quotes in it aren't escaped.
func (i *installed) logged() string {
	i.mutex.Lock()
	defer i.mutex.Unlock()
	return strings.ReplaceAll(i.log.String(), `\"`, `"`)
}

// install installs the manifests under another name, without one right of a role, and starts the operator. It manages
// the namespace sets, and further ones.
func install(
	t *testing.T, name string, manifests []*unstructured.Unstructured, role string, dropped right, env []string,
	further ...string,
) *installed {
	t.Helper()
	ports, err := cluster.FreePorts("webhook", "metrics", "health")
	if err != nil {
		t.Fatal(err)
	}
	i := &installed{
		name:    name,
		webhook: net.JoinHostPort(loopback, ports["webhook"]),
		metrics: net.JoinHostPort(loopback, ports["metrics"]),
		health:  net.JoinHostPort(loopback, ports["health"]),
		ended:   make(chan error, 1),
	}
	i.managed = append([]string{i.sets()}, further...)
	for _, namespace := range append([]string{i.system(), i.other()}, i.managed...) {
		create(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}})
	}
	for _, manifest := range manifests {
		manifest = manifest.DeepCopy()
		if manifest.GetName() == role {
			dropRight(t, manifest, dropped)
		}
		renamed := rename(t, manifest, name)
		i.manifests = append(i.manifests, renamed)
		i.adapt(t, renamed)
		create(t, renamed)
	}
	t.Cleanup(func() { i.removeWebhooks(t) })
	create(t, leaseOf(i.other(), "first"))
	i.start(t, ports["webhook"], env)
	return i
}

// rename returns a copy of an object whose names begin with another prefix, references included.
func rename(t *testing.T, object *unstructured.Unstructured, name string) *unstructured.Unstructured {
	t.Helper()
	data, err := object.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	renamed := &unstructured.Unstructured{}
	if err := renamed.UnmarshalJSON(bytes.ReplaceAll(data, []byte(prefix), []byte(name+"-"))); err != nil {
		t.Fatal(err)
	}
	return renamed
}

// dropRight takes one right from a role.
func dropRight(t *testing.T, role *unstructured.Unstructured, dropped right) {
	t.Helper()
	rules := rulesOf(t, role)
	left := without(rules, dropped)
	if len(left) != len(rightsOf(rules))-1 {
		t.Fatalf("%s has %v %d times", role.GetName(), dropped, len(rightsOf(rules))-len(left))
	}
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&rbacv1.ClusterRole{Rules: left})
	if err != nil {
		t.Fatal(err)
	}
	role.Object["rules"] = content["rules"]
}

// rulesOf returns the rules of a Role or a ClusterRole.
func rulesOf(t *testing.T, role *unstructured.Unstructured) []rbacv1.PolicyRule {
	t.Helper()
	typed := &rbacv1.ClusterRole{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(role.Object, typed); err != nil {
		t.Fatal(err)
	}
	return typed.Rules
}

// adapt makes the API server call the webhooks at the operator's process, and only for the operator's sets.
func (i *installed) adapt(t *testing.T, object *unstructured.Unstructured) {
	t.Helper()
	webhooks, found, err := unstructured.NestedSlice(object.Object, "webhooks")
	if err != nil {
		t.Fatal(err)
	}
	if !found {
		return
	}
	selector, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&metav1.LabelSelector{
		MatchExpressions: []metav1.LabelSelectorRequirement{{
			Key: corev1.LabelMetadataName, Operator: metav1.LabelSelectorOpIn, Values: i.managed,
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for n := range webhooks {
		webhook, ok := webhooks[n].(map[string]any)
		if !ok {
			t.Fatalf("%s: webhook %d is no object", object.GetName(), n)
		}
		path, _, err := unstructured.NestedString(webhook, "clientConfig", "service", "path")
		if err != nil {
			t.Fatal(err)
		}
		webhook["clientConfig"] = map[string]any{"url": "https://" + i.webhook + path}
		webhook["namespaceSelector"] = selector
	}
	object.Object["webhooks"] = webhooks
}

// removeWebhooks deletes the webhook configurations: nobody answers them any more.
func (i *installed) removeWebhooks(t *testing.T) {
	t.Helper()
	for _, object := range i.manifests {
		if object.GroupVersionKind().Group != admissionregistrationv1.GroupName {
			continue
		}
		if err := suite.client.Delete(context.WithoutCancel(t.Context()), object); err != nil {
			t.Error(err)
		}
	}
}

// start starts the operator's program. The program ends with the test.
func (i *installed) start(t *testing.T, port string, env []string) {
	t.Helper()
	user := "system:serviceaccount:" + i.system() + ":" + i.name + "-controller-manager"
	kubeconfig, err := suite.cluster.UserKubeconfig(user, "system:serviceaccounts", "system:serviceaccounts:"+i.system())
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(file, []byte(i.configuration(port)), 0o600); err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), suite.program, "--config="+file, "--kubeconfig="+kubeconfig)
	command.Env = append(os.Environ(), env...)
	command.Stdout, command.Stderr = i, i
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	command.WaitDelay = stopTimeout
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		i.ended <- command.Wait()
	}()
	t.Cleanup(func() { <-done })
}

// configuration returns the content of the operator's configuration file. The lease lasts for longer than usual. On a
// busy machine, the second holder may come after a usual lease has ended. By then the operator would have taken the
// lease over from the first holder. It would lead, and end when the second one appears.
func (i *installed) configuration(port string) string {
	return fmt.Sprintf(`apiVersion: config.leaderworkerset.x-k8s.io/v1alpha1
kind: OperatorConfiguration
namespaces: [%[6]s]
takeOverFrom: [%[1]s-other]
controllers: {restarts: {baseDelay: 1ms, maxDelay: 1ms}}
leaderElection: {namespace: %[1]s-system, leaseDuration: 10m, retryPeriod: 200ms}
webhook:
  host: %[2]s
  port: %[3]s
  certificate:
    authority:
      secret: {namespace: %[1]s-system, name: lws-webhook-authority}
      mutatingWebhookConfiguration: %[1]s-mutating-webhook-configuration
      validatingWebhookConfiguration: %[1]s-validating-webhook-configuration
metrics: {bindAddress: %[4]q, authorityConfigMap: lws-metrics-authority}
health: {bindAddress: %[5]q}
shutdown: {delay: 0s}
`, i.name, loopback, port, i.metrics, i.health, strings.Join(i.managed, ", "))
}

// roles are the rules of the roles that the bindings of the manifests give to the operator, by the name of the role.
func roles(t *testing.T, manifests []*unstructured.Unstructured) map[string][]rbacv1.PolicyRule {
	t.Helper()
	bound := map[string]bool{}
	for _, object := range manifests {
		if !strings.HasSuffix(object.GetKind(), "RoleBinding") {
			continue
		}
		binding := &rbacv1.ClusterRoleBinding{}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, binding); err != nil {
			t.Fatal(err)
		}
		for _, subject := range binding.Subjects {
			if subject.Kind == rbacv1.ServiceAccountKind && subject.Namespace == operator.Namespace {
				bound[binding.RoleRef.Kind+"/"+binding.RoleRef.Name] = true
			}
		}
	}
	found := map[string][]rbacv1.PolicyRule{}
	for _, object := range manifests {
		if bound[object.GetKind()+"/"+object.GetName()] {
			found[object.GetName()] = rulesOf(t, object)
		}
	}
	if len(found) != len(bound) {
		t.Fatalf("%d roles for %d bindings", len(found), len(bound))
	}
	return found
}

// installable are the kinds that an installation needs beside the program.
var installable = []string{
	"ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding",
	"MutatingWebhookConfiguration", "ValidatingWebhookConfiguration",
}

// render returns the installable objects of a kustomization. The kustomization may name directories of the repository
// by the root {root}.
func render(t *testing.T, kustomization string) []*unstructured.Unstructured {
	t.Helper()
	dir := t.TempDir()
	root, err := filepath.Rel(dir, suite.root)
	if err != nil {
		t.Fatal(err)
	}
	content := strings.ReplaceAll(kustomization, "{root}", root)
	if err := os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	manifests, err := operator.Manifests(t.Context(), suite.root, dir)
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(manifests, func(object *unstructured.Unstructured) bool {
		return !slices.Contains(installable, object.GetKind())
	})
}

func create(t *testing.T, object client.Object) {
	t.Helper()
	if err := suite.client.Create(t.Context(), object); err != nil {
		t.Fatalf("create %T %s: %v", object, object.GetName(), err)
	}
}

// patchOf returns a merge patch with this content.
func patchOf(content any) (client.Patch, error) {
	data, err := json.Marshal(content)
	return client.RawPatch(types.MergePatchType, data), err
}
