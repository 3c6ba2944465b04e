// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/operator-framework/api/pkg/manifests"
	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// examplesAnnotation holds the examples of a ClusterServiceVersion, as a JSON list.
const examplesAnnotation = "alm-examples"

// static makes a test of a check of the bundle.
func static(check func(*manifests.Bundle) error) func(context.Context, *subject) error {
	return func(_ context.Context, tested *subject) error {
		bundle, err := tested.read()
		if err != nil {
			return err
		}
		return check(bundle)
	}
}

// read reads the bundle.
func (s *subject) read() (*manifests.Bundle, error) {
	bundle, err := manifests.GetBundleFromDir(s.bundle)
	if err != nil {
		return nil, err
	}
	if bundle.CSV == nil || len(bundle.V1CRDs) != 1 {
		return nil, fmt.Errorf("%s: want a ClusterServiceVersion and one CustomResourceDefinition, got %d", s.bundle, len(bundle.V1CRDs))
	}
	return bundle, nil
}

// checkInstallModes checks that the operator is offered for all namespaces, and for nothing less.
func checkInstallModes(bundle *manifests.Bundle) error {
	var errs []error
	for _, mode := range bundle.CSV.Spec.InstallModes {
		if want := mode.Type == v1alpha1.InstallModeTypeAllNamespaces; mode.Supported != want {
			errs = append(errs, fmt.Errorf("%s is supported: %t; want %t", mode.Type, mode.Supported, want))
		}
	}
	return errors.Join(errs...)
}

// checkWebhooks checks that the webhooks are called for LeaderWorkerSets and their pods alone: one that fails would stop everything else. OLM v1
// wants their names to differ.
func checkWebhooks(bundle *manifests.Bundle) error {
	ofSets := metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{
		Key: leaderworkersetv1.SetNameLabelKey, Operator: metav1.LabelSelectorOpExists,
	}}}
	webhooks, names := bundle.CSV.Spec.WebhookDefinitions, map[string]bool{}
	var errs []error
	if len(webhooks) != 3 {
		errs = append(errs, fmt.Errorf("%d webhooks; want those of LeaderWorkerSets, that default and validate them, and that of pods", len(webhooks)))
	}
	for _, webhook := range webhooks {
		if names[webhook.GenerateName] {
			errs = append(errs, fmt.Errorf("two webhooks are called %s", webhook.GenerateName))
		}
		names[webhook.GenerateName] = true
		for _, rule := range webhook.Rules {
			own := slices.Equal(rule.APIGroups, []string{leaderworkersetv1.GroupVersion.Group})
			if !own && (webhook.ObjectSelector == nil || webhook.ObjectSelector.String() != ofSets.String()) {
				errs = append(errs, fmt.Errorf("%s is called for %v of %v with labels %v", webhook.GenerateName, rule.Resources, rule.APIGroups, webhook.ObjectSelector))
			}
		}
	}
	return errors.Join(errs...)
}

// checkPermissions checks that the operator may do nothing by wildcard, and nothing that would let it give itself more. The only Secret that it may
// touch is the one with its certificate, which OLM names after its Deployment.
func checkPermissions(bundle *manifests.Bundle) error {
	forbidden := []string{
		"*", "secrets", "roles", "rolebindings", "clusterroles", "clusterrolebindings", "serviceaccounts", "customresourcedefinitions",
		"mutatingwebhookconfigurations", "validatingwebhookconfigurations", "pods/exec", "deployments",
	}
	strategy := bundle.CSV.Spec.InstallStrategy.StrategySpec
	if len(strategy.DeploymentSpecs) != 1 {
		return errors.New("want one Deployment")
	}
	certificate := rbacv1.PolicyRule{
		APIGroups: []string{corev1.GroupName}, Resources: []string{"secrets"}, ResourceNames: []string{strategy.DeploymentSpecs[0].Name + "-service-cert"},
		Verbs: []string{"delete", "get", "patch"},
	}
	var errs []error
	for _, permission := range slices.Concat(strategy.ClusterPermissions, strategy.Permissions) {
		for _, rule := range permission.Rules {
			if equality.Semantic.DeepEqual(rule, certificate) {
				continue
			}
			for _, resource := range rule.Resources {
				if slices.Contains(forbidden, resource) || slices.Contains(rule.APIGroups, "*") || slices.Contains(rule.Verbs, "*") {
					errs = append(errs, fmt.Errorf("%s may %v %s of %v", permission.ServiceAccountName, rule.Verbs, resource, rule.APIGroups))
				}
			}
		}
	}
	return errors.Join(errs...)
}

// checkDeployment checks that the operator survives the loss of a pod, and runs where pod security is restricted.
func checkDeployment(bundle *manifests.Bundle) error {
	pod, err := operatorPod(bundle)
	if err != nil {
		return err
	}
	container := pod.Containers[0]
	security := container.SecurityContext
	var errs []error
	want := func(what string, holds bool) {
		if !holds {
			errs = append(errs, errors.New("the operator isn't what it should be: "+what))
		}
	}
	deployment := bundle.CSV.Spec.InstallStrategy.StrategySpec.DeploymentSpecs[0].Spec
	want("two replicas", deployment.Replicas != nil && *deployment.Replicas == 2)
	want("--leader-elect", slices.Contains(container.Args, "--leader-elect"))
	want("requests for CPU and memory", !container.Resources.Requests.Cpu().IsZero() && !container.Resources.Requests.Memory().IsZero())
	want("runAsNonRoot", pod.SecurityContext != nil && isTrue(pod.SecurityContext.RunAsNonRoot))
	want("seccompProfile RuntimeDefault", pod.SecurityContext != nil && pod.SecurityContext.SeccompProfile != nil &&
		pod.SecurityContext.SeccompProfile.Type == corev1.SeccompProfileTypeRuntimeDefault)
	if security == nil {
		return errors.Join(append(errs, errors.New("the operator's container has no securityContext"))...)
	}
	want("no allowPrivilegeEscalation", security.AllowPrivilegeEscalation != nil && !*security.AllowPrivilegeEscalation)
	want("readOnlyRootFilesystem", isTrue(security.ReadOnlyRootFilesystem))
	want("no capabilities", security.Capabilities != nil && slices.Equal(security.Capabilities.Drop, []corev1.Capability{"ALL"}))
	return errors.Join(errs...)
}

func isTrue(value *bool) bool { return value != nil && *value }

// operatorPod is the pod of the only Deployment, which has one container.
func operatorPod(bundle *manifests.Bundle) (*corev1.PodSpec, error) {
	deployments := bundle.CSV.Spec.InstallStrategy.StrategySpec.DeploymentSpecs
	if len(deployments) != 1 || len(deployments[0].Spec.Template.Spec.Containers) != 1 {
		return nil, errors.New("want one Deployment of pods with one container")
	}
	return &deployments[0].Spec.Template.Spec, nil
}

// checkImages checks that the operator's image is the same wherever it is named: mirrors copy those that are listed.
func checkImages(bundle *manifests.Bundle) error {
	pod, err := operatorPod(bundle)
	if err != nil {
		return err
	}
	image, related := pod.Containers[0].Image, bundle.CSV.Spec.RelatedImages
	var errs []error
	if annotated := bundle.CSV.Annotations["containerImage"]; annotated != image {
		errs = append(errs, fmt.Errorf("containerImage is %q; want %q", annotated, image))
	}
	if len(related) != 1 || related[0].Image != image {
		errs = append(errs, fmt.Errorf("related images are %v; want %q alone", related, image))
	}
	return errors.Join(errs...)
}

// checkExamples checks that the examples have no field that LeaderWorkerSets don't have, and what the CRD's schema asks for.
func checkExamples(bundle *manifests.Bundle) error {
	examples, err := examplesOf(bundle)
	if err != nil {
		return err
	}
	validator, err := validatorOf(bundle.V1CRDs[0])
	if err != nil {
		return err
	}
	var errs []error
	for _, example := range examples {
		if err := yaml.UnmarshalStrict(example, &leaderworkersetv1.LeaderWorkerSet{}); err != nil {
			errs = append(errs, fmt.Errorf("%w in %s", err, example))
			continue
		}
		var object map[string]any
		if err := json.Unmarshal(example, &object); err != nil {
			errs = append(errs, err)
			continue
		}
		if invalid := validation.ValidateCustomResource(nil, object, validator).ToAggregate(); invalid != nil {
			errs = append(errs, fmt.Errorf("%w in %s", invalid, example))
		}
	}
	return errors.Join(errs...)
}

// examplesOf returns the examples of the ClusterServiceVersion. There are some.
func examplesOf(bundle *manifests.Bundle) (examples []json.RawMessage, err error) {
	if err := json.Unmarshal([]byte(bundle.CSV.Annotations[examplesAnnotation]), &examples); err != nil {
		return nil, fmt.Errorf("annotation %s: %w", examplesAnnotation, err)
	}
	if len(examples) == 0 {
		return nil, fmt.Errorf("annotation %s: no example", examplesAnnotation)
	}
	return examples, nil
}

// validatorOf returns what checks objects by the schema of the CRD's only version.
func validatorOf(crd *apiextensionsv1.CustomResourceDefinition) (validation.SchemaValidator, error) {
	if len(crd.Spec.Versions) != 1 || crd.Spec.Versions[0].Schema == nil {
		return nil, errors.New("want a CustomResourceDefinition with one version and a schema")
	}
	schema := &apiextensions.JSONSchemaProps{}
	if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(crd.Spec.Versions[0].Schema.OpenAPIV3Schema, schema, nil); err != nil {
		return nil, err
	}
	validator, _, err := validation.NewSchemaValidator(schema)
	return validator, err
}
