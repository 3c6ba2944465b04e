// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package install

import (
	"path/filepath"
	"slices"
	"testing"

	"github.com/operator-framework/api/pkg/manifests"
	operatorsv1alpha1 "github.com/operator-framework/api/pkg/operators/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestInstallModes checks that the operator is offered for all namespaces, and for nothing less.
func TestInstallModes(t *testing.T) {
	for _, mode := range csv(t).Spec.InstallModes {
		check(t, "install mode "+string(mode.Type), mode.Type == operatorsv1alpha1.InstallModeTypeAllNamespaces, mode.Supported)
	}
}

// TestWebhooks checks that the webhooks are called for LeaderWorkerSets and their pods alone: one that fails would stop everything else.
func TestWebhooks(t *testing.T) {
	ofSets := metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{
		Key: "leaderworkerset.sigs.k8s.io/name", Operator: metav1.LabelSelectorOpExists,
	}}}
	webhooks := csv(t).Spec.WebhookDefinitions
	check(t, "webhooks", 3, len(webhooks))
	names := map[string]bool{}
	for _, webhook := range webhooks {
		if names[webhook.GenerateName] {
			t.Errorf("two webhooks are called %s", webhook.GenerateName)
		}
		names[webhook.GenerateName] = true
		for _, rule := range webhook.Rules {
			own := slices.Equal(rule.APIGroups, []string{"leaderworkerset.x-k8s.io"})
			if !own && (webhook.ObjectSelector == nil || webhook.ObjectSelector.String() != ofSets.String()) {
				t.Errorf("%s is called for %v of %v, whatever their labels: %v", webhook.GenerateName, rule.Resources, rule.APIGroups, webhook.ObjectSelector)
			}
		}
	}
}

// TestPermissions checks that the operator may do nothing by wildcard, and nothing that would let it give itself more.
func TestPermissions(t *testing.T) {
	strategy := csv(t).Spec.InstallStrategy.StrategySpec
	forbidden := []string{
		"*", "secrets", "roles", "rolebindings", "clusterroles", "clusterrolebindings", "serviceaccounts", "customresourcedefinitions",
		"mutatingwebhookconfigurations", "validatingwebhookconfigurations", "pods/exec", "deployments",
	}
	for _, permission := range slices.Concat(strategy.ClusterPermissions, strategy.Permissions) {
		for _, rule := range permission.Rules {
			for _, resource := range rule.Resources {
				if slices.Contains(forbidden, resource) || slices.Contains(rule.APIGroups, "*") || slices.Contains(rule.Verbs, "*") {
					t.Errorf("%s may %v %s of %v", permission.ServiceAccountName, rule.Verbs, resource, rule.APIGroups)
				}
			}
		}
	}
}

// TestDeployment checks that the operator survives the loss of a pod, and runs where pod security is restricted.
func TestDeployment(t *testing.T) {
	deployments := csv(t).Spec.InstallStrategy.StrategySpec.DeploymentSpecs
	check(t, "deployments", 1, len(deployments))
	check(t, "replicas", 2, *deployments[0].Spec.Replicas)
	pod := deployments[0].Spec.Template.Spec
	check(t, "runAsNonRoot", true, *pod.SecurityContext.RunAsNonRoot)
	check(t, "seccomp profile", corev1.SeccompProfileTypeRuntimeDefault, pod.SecurityContext.SeccompProfile.Type)
	check(t, "containers", 1, len(pod.Containers))

	container := pod.Containers[0]
	check(t, "allowPrivilegeEscalation", false, *container.SecurityContext.AllowPrivilegeEscalation)
	check(t, "readOnlyRootFilesystem", true, *container.SecurityContext.ReadOnlyRootFilesystem)
	check(t, "drops all capabilities", true, slices.Equal(container.SecurityContext.Capabilities.Drop, []corev1.Capability{"ALL"}))
	check(t, "elects a leader", true, slices.Contains(container.Args, "--leader-elect"))
	check(t, "asks for CPU and memory", false, container.Resources.Requests.Cpu().IsZero() || container.Resources.Requests.Memory().IsZero())
}

// TestImages checks that the operator's image is the same wherever it is named: mirrors copy those that are listed.
func TestImages(t *testing.T) {
	bundled := csv(t)
	image := bundled.Spec.InstallStrategy.StrategySpec.DeploymentSpecs[0].Spec.Template.Spec.Containers[0].Image
	check(t, "containerImage", image, bundled.Annotations["containerImage"])
	check(t, "related images", 1, len(bundled.Spec.RelatedImages))
	check(t, "related image", image, bundled.Spec.RelatedImages[0].Image)
}

// csv is the ClusterServiceVersion of the bundle.
func csv(t *testing.T) *operatorsv1alpha1.ClusterServiceVersion {
	t.Helper()
	bundle, err := manifests.GetBundleFromDir(filepath.Join(root, "bundle"))
	if err != nil {
		t.Fatal(err)
	}
	return bundle.CSV
}
