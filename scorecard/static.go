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

	disaggregatedsetv1 "github.com/leaderworkerset/lws-operator/api/disaggregatedset/v1"
	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// examplesAnnotation is the annotation with the examples of a ClusterServiceVersion, as a JSON list.
const examplesAnnotation = "alm-examples"

// The ConfigMap with the operator's configuration, and where it is mounted.
const (
	configMap       = "lws-operator-config"
	configDirectory = "/etc/lws-operator"
)

// static returns a test that checks the bundle.
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
	if bundle.CSV == nil || len(bundle.V1CRDs) != 3 {
		return nil, fmt.Errorf("%s: want a ClusterServiceVersion and three CustomResourceDefinitions, got %d",
			s.bundle, len(bundle.V1CRDs))
	}
	return bundle, nil
}

// checkInstallModes checks that the operator supports the install mode for all namespaces, and no other mode.
func checkInstallModes(bundle *manifests.Bundle) error {
	var errs []error
	for _, mode := range bundle.CSV.Spec.InstallModes {
		if want := mode.Type == v1alpha1.InstallModeTypeAllNamespaces; mode.Supported != want {
			errs = append(errs, fmt.Errorf("%s is supported: %t; want %t", mode.Type, mode.Supported, want))
		}
	}
	return errors.Join(errs...)
}

// checkWebhooks checks that API servers call the webhooks only for the operator's kinds and for pods of
// LeaderWorkerSets. Otherwise a failing webhook would block other objects. OLM v1 requires that the names differ.
func checkWebhooks(bundle *manifests.Bundle) error {
	ofSets := metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{
		Key: leaderworkersetv1.SetNameLabelKey, Operator: metav1.LabelSelectorOpExists,
	}}}
	webhooks, names := bundle.CSV.Spec.WebhookDefinitions, map[string]bool{}
	var errs []error
	ownGroups := []string{leaderworkersetv1.GroupVersion.Group, disaggregatedsetv1.GroupVersion.Group}
	if len(webhooks) != 5 {
		errs = append(errs, fmt.Errorf("%d webhooks; want two that default and validate LeaderWorkerSets, "+
			"two for DisaggregatedSets, and one for pods", len(webhooks)))
	}
	for _, webhook := range webhooks {
		if names[webhook.GenerateName] {
			errs = append(errs, fmt.Errorf("two webhooks are called %s", webhook.GenerateName))
		}
		names[webhook.GenerateName] = true
		for _, rule := range webhook.Rules {
			forSets := len(rule.APIGroups) == 1 && slices.Contains(ownGroups, rule.APIGroups[0])
			selector := webhook.ObjectSelector
			if !forSets && (selector == nil || selector.String() != ofSets.String()) {
				errs = append(errs, fmt.Errorf("%s is called for %v of %v with labels %v",
					webhook.GenerateName, rule.Resources, rule.APIGroups, selector))
			}
		}
	}
	return errors.Join(errs...)
}

// checkPermissions checks that the operator has no permission by wildcard, and none that would let it extend its
// permissions. It has access to one Secret only, which has its certificate. OLM names that Secret after the Deployment.
func checkPermissions(bundle *manifests.Bundle) error {
	forbidden := []string{
		"*", "secrets", "roles", "rolebindings", "clusterroles", "clusterrolebindings", "serviceaccounts",
		"customresourcedefinitions", "mutatingwebhookconfigurations", "validatingwebhookconfigurations",
		"pods/exec", "deployments",
	}
	strategy := bundle.CSV.Spec.InstallStrategy.StrategySpec
	if len(strategy.DeploymentSpecs) != 1 {
		return errors.New("want one Deployment")
	}
	certificate := rbacv1.PolicyRule{
		APIGroups: []string{corev1.GroupName}, Resources: []string{"secrets"},
		ResourceNames: []string{strategy.DeploymentSpecs[0].Name + "-service-cert"},
		Verbs:         []string{"delete", "get", "patch"},
	}
	var errs []error
	for _, permission := range slices.Concat(strategy.ClusterPermissions, strategy.Permissions) {
		for _, rule := range permission.Rules {
			if equality.Semantic.DeepEqual(rule, certificate) {
				continue
			}
			for _, resource := range rule.Resources {
				wildcard := slices.Contains(rule.APIGroups, "*") || slices.Contains(rule.Verbs, "*")
				if wildcard || slices.Contains(forbidden, resource) {
					errs = append(errs, fmt.Errorf("%s may %v %s of %v",
						permission.ServiceAccountName, rule.Verbs, resource, rule.APIGroups))
				}
			}
		}
	}
	return errors.Join(errs...)
}

// checkDeployment checks that the operator survives the loss of a pod, that users can configure it, and that it runs
// under the restricted pod security standard.
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
			errs = append(errs, errors.New("the operator's Deployment: want "+what))
		}
	}
	deployment := bundle.CSV.Spec.InstallStrategy.StrategySpec.DeploymentSpecs[0].Spec
	want("two replicas", deployment.Replicas != nil && *deployment.Replicas == 2)
	want("no flags, which a configuration file couldn't override", len(container.Args) == 0)
	want("the optional ConfigMap "+configMap+" at "+configDirectory, mountsConfiguration(pod))
	requests := container.Resources.Requests
	want("requests for CPU and memory", !requests.Cpu().IsZero() && !requests.Memory().IsZero())
	want("runAsNonRoot", pod.SecurityContext != nil && isTrue(pod.SecurityContext.RunAsNonRoot))
	want("seccompProfile RuntimeDefault", pod.SecurityContext != nil && pod.SecurityContext.SeccompProfile != nil &&
		pod.SecurityContext.SeccompProfile.Type == corev1.SeccompProfileTypeRuntimeDefault)
	if security == nil {
		return errors.Join(append(errs, errors.New("the operator's container has no securityContext"))...)
	}
	want("no allowPrivilegeEscalation", security.AllowPrivilegeEscalation != nil && !*security.AllowPrivilegeEscalation)
	want("readOnlyRootFilesystem", isTrue(security.ReadOnlyRootFilesystem))
	capabilities := security.Capabilities
	want("no capabilities", capabilities != nil && slices.Equal(capabilities.Drop, []corev1.Capability{"ALL"}))
	return errors.Join(errs...)
}

// mountsConfiguration reports whether the operator's container finds its configuration in a ConfigMap, and starts
// without that ConfigMap.
func mountsConfiguration(pod *corev1.PodSpec) bool {
	return slices.ContainsFunc(pod.Volumes, func(volume corev1.Volume) bool {
		source := volume.ConfigMap
		return source != nil && source.Name == configMap && isTrue(source.Optional) &&
			slices.ContainsFunc(pod.Containers[0].VolumeMounts, func(mount corev1.VolumeMount) bool {
				return mount.Name == volume.Name && mount.MountPath == configDirectory
			})
	})
}

func isTrue(value *bool) bool { return value != nil && *value }

// operatorPod returns the pod of the bundle's single Deployment. The pod must have one container.
func operatorPod(bundle *manifests.Bundle) (*corev1.PodSpec, error) {
	deployments := bundle.CSV.Spec.InstallStrategy.StrategySpec.DeploymentSpecs
	if len(deployments) != 1 || len(deployments[0].Spec.Template.Spec.Containers) != 1 {
		return nil, errors.New("want one Deployment of pods with one container")
	}
	return &deployments[0].Spec.Template.Spec, nil
}

// checkImages checks that the bundle names the same image of the operator everywhere. Mirrors copy the images in
// relatedImages.
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
		errs = append(errs, fmt.Errorf("related images are %v; want only %q", related, image))
	}
	return errors.Join(errs...)
}

// checkExamples checks that the examples have no unknown field, and that they are valid by the schemas of the CRDs.
func checkExamples(bundle *manifests.Bundle) error {
	examples, err := examplesOf(bundle)
	if err != nil {
		return err
	}
	var errs []error
	for _, example := range examples {
		if err := checkExample(bundle, example); err != nil {
			errs = append(errs, fmt.Errorf("%w in %s", err, example))
		}
	}
	return errors.Join(errs...)
}

// checkExample checks one example by the Go type and the CRD of its kind.
func checkExample(bundle *manifests.Bundle, example json.RawMessage) error {
	var object map[string]any
	if err := json.Unmarshal(example, &object); err != nil {
		return err
	}
	var typed any = &leaderworkersetv1.LeaderWorkerSet{}
	if object["kind"] == "DisaggregatedSet" {
		typed = &disaggregatedsetv1.DisaggregatedSet{}
	}
	if err := yaml.UnmarshalStrict(example, typed); err != nil {
		return err
	}
	i := slices.IndexFunc(bundle.V1CRDs, func(crd *apiextensionsv1.CustomResourceDefinition) bool {
		return crd.Spec.Names.Kind == object["kind"]
	})
	if i < 0 {
		return fmt.Errorf("no CustomResourceDefinition of kind %v", object["kind"])
	}
	validator, err := validatorOf(bundle.V1CRDs[i])
	if err != nil {
		return err
	}
	return validation.ValidateCustomResource(nil, object, validator).ToAggregate()
}

// examplesOf returns the examples of the ClusterServiceVersion. There must be at least one.
func examplesOf(bundle *manifests.Bundle) (examples []json.RawMessage, err error) {
	if err := json.Unmarshal([]byte(bundle.CSV.Annotations[examplesAnnotation]), &examples); err != nil {
		return nil, fmt.Errorf("annotation %s: %w", examplesAnnotation, err)
	}
	if len(examples) == 0 {
		return nil, fmt.Errorf("annotation %s: no example", examplesAnnotation)
	}
	return examples, nil
}

// validatorOf returns the validator for the schema of the CRD's single version.
func validatorOf(crd *apiextensionsv1.CustomResourceDefinition) (validation.SchemaValidator, error) {
	if len(crd.Spec.Versions) != 1 || crd.Spec.Versions[0].Schema == nil {
		return nil, errors.New("want a CustomResourceDefinition with one version and a schema")
	}
	schema := &apiextensions.JSONSchemaProps{}
	err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(
		crd.Spec.Versions[0].Schema.OpenAPIV3Schema, schema, nil)
	if err != nil {
		return nil, err
	}
	validator, _, err := validation.NewSchemaValidator(schema)
	return validator, err
}
