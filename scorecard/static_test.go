// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/operator-framework/api/pkg/apis/scorecard/v1alpha3"
	"github.com/operator-framework/api/pkg/manifests"
	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/yaml"
)

var root = ".."

// testsOfBundle has the tests that need no cluster.
var testsOfBundle = []string{"install-modes", "webhooks", "permissions", "deployment", "images", "examples"}

// TestBundle runs the tests on the bundle of this repository.
func TestBundle(t *testing.T) {
	var output bytes.Buffer
	passed, err := run(t.Context(), append([]string{"-bundle", filepath.Join(root, "bundle")}, testsOfBundle...), &output)
	if err != nil {
		t.Fatal(err)
	}
	var status v1alpha3.TestStatus
	decoder := json.NewDecoder(&output)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&status); err != nil || decoder.More() {
		t.Fatalf("the output isn't a status: %v", err)
	}
	var names []string
	for _, result := range status.Results {
		names = append(names, result.Name)
		if result.State != v1alpha3.PassState || !passed {
			t.Errorf("%s: %s, %q; passed: %t", result.Name, result.State, result.Errors, passed)
		}
	}
	if !slices.Equal(names, testsOfBundle) {
		t.Errorf("got results of %v; want %v", names, testsOfBundle)
	}
}

func TestChecksFail(t *testing.T) {
	type csv = v1alpha1.ClusterServiceVersion
	operatorRules := func(c *csv) *v1alpha1.StrategyDeploymentPermissions {
		return &c.Spec.InstallStrategy.StrategySpec.ClusterPermissions[0]
	}
	certificateRule := func(c *csv) *rbacv1.PolicyRule {
		rules := c.Spec.InstallStrategy.StrategySpec.Permissions[0].Rules
		return &rules[slices.IndexFunc(rules, func(rule rbacv1.PolicyRule) bool {
			return slices.Contains(rule.Resources, "secrets")
		})]
	}
	deployment := func(c *csv) *v1alpha1.StrategyDeploymentSpec {
		return &c.Spec.InstallStrategy.StrategySpec.DeploymentSpecs[0]
	}
	annotate := func(key, from, to string) func(*csv) {
		return func(c *csv) { c.Annotations[key] = strings.ReplaceAll(c.Annotations[key], from, to) }
	}
	for name, test := range map[string]struct {
		check  func(*manifests.Bundle) error
		change func(*csv)
		want   string
	}{
		"one namespace": {
			checkInstallModes, func(c *csv) { c.Spec.InstallModes[0].Supported = true }, "OwnNamespace is supported: true",
		},
		"a webhook for all pods": {
			checkWebhooks, func(c *csv) { c.Spec.WebhookDefinitions[2].ObjectSelector = nil },
			"mpod.leaderworkerset.x-k8s.io is called for [pods]",
		},
		"two webhooks of the same name": {
			checkWebhooks,
			func(c *csv) { c.Spec.WebhookDefinitions[1].GenerateName = c.Spec.WebhookDefinitions[0].GenerateName },
			"two webhooks are called",
		},
		"no webhook": {
			checkWebhooks, func(c *csv) { c.Spec.WebhookDefinitions = nil }, "0 webhooks",
		},
		"all verbs": {
			checkPermissions, func(c *csv) { operatorRules(c).Rules[0].Verbs = []string{"*"} }, "may [*] nodes",
		},
		"secrets": {
			checkPermissions, func(c *csv) { operatorRules(c).Rules[0].Resources = []string{"secrets"} }, "secrets of",
		},
		"all of a namespace's secrets": {
			checkPermissions, func(c *csv) { certificateRule(c).ResourceNames = nil }, "may [delete get patch] secrets of",
		},
		"another secret": {
			checkPermissions, func(c *csv) { certificateRule(c).ResourceNames[0] = "other" },
			"may [delete get patch] secrets of",
		},
		"another verb for the certificate's secret": {
			checkPermissions, func(c *csv) { certificateRule(c).Verbs[0] = "update" }, "may [update get patch] secrets of",
		},
		"one more verb for the certificate's secret": {
			checkPermissions, func(c *csv) { certificateRule(c).Verbs = []string{"delete", "get", "patch", "update"} },
			"may [delete get patch update] secrets of",
		},
		"the certificate's secret, and others of that name": {
			checkPermissions, func(c *csv) { certificateRule(c).APIGroups[0] = "*" }, "may [delete get patch] secrets of [*]",
		},
		"one replica": {
			checkDeployment, func(c *csv) { *deployment(c).Spec.Replicas = 1 }, "two replicas",
		},
		"a flag": {
			checkDeployment, func(c *csv) {
				deployment(c).Spec.Template.Spec.Containers[0].Args = []string{"--leader-elect=false"}
			}, "no flags",
		},
		"a required configuration": {
			checkDeployment, func(c *csv) { deployment(c).Spec.Template.Spec.Volumes[0].ConfigMap.Optional = nil },
			"the optional ConfigMap",
		},
		"root": {
			checkDeployment, func(c *csv) { deployment(c).Spec.Template.Spec.SecurityContext.RunAsNonRoot = nil },
			"runAsNonRoot",
		},
		"no security context": {
			checkDeployment, func(c *csv) { deployment(c).Spec.Template.Spec.Containers[0].SecurityContext = nil },
			"no securityContext",
		},
		"no deployment": {
			checkDeployment, func(c *csv) { c.Spec.InstallStrategy.StrategySpec.DeploymentSpecs = nil }, "one Deployment",
		},
		"another image": {
			checkImages, annotate("containerImage", ":v", ":w"), "containerImage is",
		},
		"an image that isn't listed": {
			checkImages, func(c *csv) { c.Spec.RelatedImages = nil }, "related images are []",
		},
		"an unknown field": {checkExamples, annotate("alm-examples", `"replicas"`, `"replica"`), "unknown field"},
		"an invalid value": {checkExamples, annotate("alm-examples", `"replicas": 3`, `"replicas": -3`), "spec.replicas"},
		"no examples":      {checkExamples, func(c *csv) { c.Annotations["alm-examples"] = "[]" }, "no example"},
		"no annotation": {checkExamples, func(c *csv) { delete(c.Annotations, "alm-examples") },
			"annotation alm-examples"},
	} {
		t.Run(name, func(t *testing.T) {
			bundle, err := (&subject{bundle: filepath.Join(root, "bundle")}).read()
			if err != nil {
				t.Fatal(err)
			}
			if err := test.check(bundle); err != nil {
				t.Fatalf("before the change: %v", err)
			}
			test.change(bundle.CSV)
			if err := test.check(bundle); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v; want an error with %q", err, test.want)
			}
		})
	}
}

// TestRunFails checks the errors of wrong arguments, and the status of a test that fails.
func TestRunFails(t *testing.T) {
	for name, test := range map[string]struct {
		arguments []string
		want      string
	}{
		"no test":      {nil, "no test named: want some of install-modes, "},
		"unknown test": {[]string{"other"}, `no test "other"`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := run(t.Context(), test.arguments, &bytes.Buffer{})
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v; want an error with %q", err, test.want)
			}
		})
	}
	t.Run("no bundle", func(t *testing.T) {
		var output bytes.Buffer
		passed, err := run(t.Context(), []string{"-bundle", t.TempDir(), "webhooks"}, &output)
		if err != nil || passed || !strings.Contains(output.String(), `"state": "fail"`) {
			t.Errorf("passed: %t, %v; output %s", passed, err, &output)
		}
	})
}

// TestConfiguration checks that the scorecard's configuration names each test once.
func TestConfiguration(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(root, "config", "scorecard", "config.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var configuration v1alpha3.Configuration
	if err := yaml.UnmarshalStrict(data, &configuration); err != nil {
		t.Fatal(err)
	}
	var configured, existing []string
	for _, stage := range configuration.Stages {
		for _, test := range stage.Tests {
			if test.Entrypoint[0] == "/scorecard" {
				configured = append(configured, test.Entrypoint[1:]...)
			}
		}
	}
	for _, one := range tests() {
		existing = append(existing, one.name)
	}
	if !slices.Equal(configured, existing) {
		t.Errorf("got tests %v; want %v", configured, existing)
	}
}
