// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/leaderworkerset/lws-operator/internal/config"
	"github.com/leaderworkerset/lws-operator/test/operator"
)

// TestNetworkPolicies enables the network policies in each kustomization, as its comment says. They select the pods of
// the operator, and also those of the bundle in the same namespace. They admit traffic to the ports of the webhooks and
// of the metrics. The kubelet reaches the port of the probes whatever policies say.
func TestNetworkPolicies(t *testing.T) {
	bundled := bundledPods(t)
	for _, name := range []string{"default", "certmanager"} {
		t.Run(name, func(t *testing.T) {
			manifests, err := operator.Manifests(t.Context(), suite.root, withNetworkPolicies(t, name))
			if err != nil {
				t.Fatal(err)
			}
			var pods corev1.PodTemplateSpec
			opened := map[string][]networkingv1.NetworkPolicyPeer{}
			var policies []networkingv1.NetworkPolicy
			for _, object := range manifests {
				switch object.GetKind() {
				case "Deployment":
					deployment := typed[appsv1.Deployment](t, object)
					pods = deployment.Spec.Template
					pods.Namespace = deployment.Namespace
				case "NetworkPolicy":
					policies = append(policies, typed[networkingv1.NetworkPolicy](t, object))
				}
			}
			for i := range policies {
				checkSelects(t, &policies[i], &pods)
				checkSelects(t, &policies[i], bundled)
				addOpened(t, opened, &policies[i])
			}
			want := map[string][]networkingv1.NetworkPolicyPeer{
				"webhook-server": nil, // Everybody: no selector matches the API server.
				"https": {{NamespaceSelector: &metav1.LabelSelector{
					MatchLabels: map[string]string{"metrics": "enabled"},
				}}},
			}
			if diff := cmp.Diff(want, byPortName(t, &pods, opened)); diff != "" {
				t.Errorf("opened ports (-want +got):\n%s", diff)
			}
		})
	}
}

// TestPorts checks that the pods declare the ports that the operator listens on.
func TestPorts(t *testing.T) {
	defaults := config.Default()
	want := map[string]string{"webhook-server": strconv.Itoa(int(defaults.Webhook.Port))}
	for name, address := range map[string]string{
		"https": defaults.Metrics.BindAddress, "probes": defaults.Health.BindAddress,
	} {
		_, port, err := net.SplitHostPort(address)
		if err != nil {
			t.Fatal(err)
		}
		want[name] = port
	}
	declared := map[string]string{}
	for _, container := range bundledPods(t).Spec.Containers {
		for _, port := range container.Ports {
			declared[port.Name] = strconv.Itoa(int(port.ContainerPort))
		}
	}
	if diff := cmp.Diff(want, declared); diff != "" {
		t.Errorf("ports of the bundle's pods (-want +got):\n%s", diff)
	}
}

// withNetworkPolicies copies the kustomizations of the repository, enables the network policies in one of them, and
// returns its directory.
func withNetworkPolicies(t *testing.T, name string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(suite.root, "config"))); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, name, "kustomization.yaml")
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	const disabled, enabled = "#- ../network-policy", "- ../network-policy"
	if strings.Count(string(content), disabled) != 1 {
		t.Fatalf("%s doesn't say how to enable the network policies", name)
	}
	content = []byte(strings.Replace(string(content), disabled, enabled, 1))
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, name)
}

// bundledPods returns the template of the operator's pods in the bundle, in the namespace of config/default.
func bundledPods(t *testing.T) *corev1.PodTemplateSpec {
	t.Helper()
	deployments, _, err := unstructured.NestedSlice(bundledCSV(t).Object, "spec", "install", "spec", "deployments")
	if err != nil || len(deployments) != 1 {
		t.Fatalf("%d Deployments; %v", len(deployments), err)
	}
	content, ok := deployments[0].(map[string]any)
	if !ok {
		t.Fatal("the Deployment isn't an object")
	}
	pods := typed[appsv1.Deployment](t, &unstructured.Unstructured{Object: content}).Spec.Template
	pods.Namespace = operatorNamespace
	return &pods
}

func typed[T any](t *testing.T, object *unstructured.Unstructured) T {
	t.Helper()
	var converted T
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &converted); err != nil {
		t.Fatal(err)
	}
	return converted
}

func checkSelects(t *testing.T, policy *networkingv1.NetworkPolicy, pods *corev1.PodTemplateSpec) {
	t.Helper()
	selector, err := metav1.LabelSelectorAsSelector(&policy.Spec.PodSelector)
	if err != nil {
		t.Fatal(err)
	}
	if policy.Namespace != pods.Namespace || selector.Empty() || !selector.Matches(labels.Set(pods.Labels)) {
		t.Errorf("%s in %s doesn't select the pods %v in %s", policy.Name, policy.Namespace, pods.Labels, pods.Namespace)
	}
}

// addOpened adds the ports that a policy opens, and to whom. A policy that names no ports opens all.
func addOpened(t *testing.T, opened map[string][]networkingv1.NetworkPolicyPeer, policy *networkingv1.NetworkPolicy) {
	t.Helper()
	for _, rule := range policy.Spec.Ingress {
		if len(rule.Ports) == 0 {
			t.Errorf("%s opens all ports", policy.Name)
		}
		for _, port := range rule.Ports {
			if port.Port == nil || port.EndPort != nil || port.Protocol == nil || *port.Protocol != corev1.ProtocolTCP {
				t.Errorf("%s opens %+v", policy.Name, port)
				continue
			}
			opened[port.Port.String()] = append(opened[port.Port.String()], rule.From...)
		}
	}
}

// byPortName replaces the numbers of ports by the names that the containers give them.
func byPortName(
	t *testing.T, pods *corev1.PodTemplateSpec, opened map[string][]networkingv1.NetworkPolicyPeer,
) map[string][]networkingv1.NetworkPolicyPeer {
	t.Helper()
	named := map[string][]networkingv1.NetworkPolicyPeer{}
	for _, container := range pods.Spec.Containers {
		for _, port := range container.Ports {
			number := strconv.Itoa(int(port.ContainerPort))
			if from, isOpened := opened[number]; isOpened {
				named[port.Name] = from
				delete(opened, number)
			}
		}
	}
	if len(opened) > 0 {
		t.Errorf("nothing listens on the opened ports %v", opened)
	}
	return named
}
