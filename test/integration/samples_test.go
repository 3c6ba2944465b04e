// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/yaml"

	disaggregatedsetv1 "github.com/leaderworkerset/lws-operator/api/disaggregatedset/v1"
	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// namespaceUser is the first user and group of an OpenShift namespace's range.
const namespaceUser int64 = 1_000_650_000

// TestSamplesRunRestricted creates the pods of each sample, and of each example of the bundle, in a namespace with the
// Pod Security Standard "restricted". The pods are as an OpenShift cluster makes them with the SCC restricted-v2.
func TestSamplesRunRestricted(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t, webhooksOff)
	mustKubectl(t, "label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
	refused := podOf("unrestricted", namespace, &corev1.PodTemplateSpec{
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "a", Image: "a"}}},
	}, nil)
	if err := suite.client.Create(t.Context(), refused, dryRun); err == nil {
		t.Fatal("the namespace admits any pod")
	}
	for source, lws := range samplesAndExamples(t) {
		if len(lws.Labels) > 0 {
			t.Errorf("%s: has the labels %v; want none: users copy it", source, lws.Labels)
		}
		group := &lws.Spec.LeaderWorkerTemplate
		for name, template := range map[string]*corev1.PodTemplateSpec{
			"leader": group.LeaderTemplate, "worker": &group.WorkerTemplate,
		} {
			if template == nil {
				continue
			}
			pod := podOf(name, namespace, template, group.VolumeClaimTemplates)
			if err := applyRestrictedV2(&pod.Spec); err != nil {
				t.Errorf("%s: %s: OpenShift refuses it: %v", source, name, err)
			}
			if err := suite.client.Create(t.Context(), pod, dryRun); err != nil {
				t.Errorf("%s: %s: %v", source, name, err)
			}
		}
	}
}

// applyRestrictedV2 does to a pod what OpenShift does with the SCC restricted-v2, as far as that differs from the Pod
// Security Standard: it sets users and groups of the namespace's range, and refuses all others.
func applyRestrictedV2(spec *corev1.PodSpec) error {
	if spec.SecurityContext == nil {
		spec.SecurityContext = &corev1.PodSecurityContext{}
	}
	security := spec.SecurityContext
	ids := map[string]*int64{"pod's runAsUser": security.RunAsUser, "pod's fsGroup": security.FSGroup}
	for i := range spec.Containers {
		container := &spec.Containers[i]
		if container.SecurityContext == nil {
			container.SecurityContext = &corev1.SecurityContext{}
		}
		ids[container.Name+"'s runAsUser"] = container.SecurityContext.RunAsUser
		container.SecurityContext.RunAsUser = ptr.To(namespaceUser)
	}
	security.FSGroup = ptr.To(namespaceUser)
	for field, id := range ids {
		if id != nil && (*id < namespaceUser || *id >= namespaceUser+10_000) {
			return fmt.Errorf("the %s, %d, isn't in the namespace's range", field, *id)
		}
	}
	return nil
}

// podOf returns a pod of a template, with a volume for each claim.
func podOf(
	name, namespace string, template *corev1.PodTemplateSpec, claims []corev1.PersistentVolumeClaim,
) *corev1.Pod {
	pod := &corev1.Pod{Spec: *template.Spec.DeepCopy()}
	pod.Name, pod.Namespace = name, namespace
	for i := range claims {
		pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{
			Name: claims[i].Name,
			VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{
				ClaimName: claims[i].Name + "-" + name,
			}},
		})
	}
	return pod
}

// samplesAndExamples returns the sets of config/samples and those that the bundle shows on OperatorHub, by source. The
// roles of a DisaggregatedSet count as sets.
func samplesAndExamples(t *testing.T) map[string]*leaderworkersetv1.LeaderWorkerSet {
	t.Helper()
	sets := map[string]*leaderworkersetv1.LeaderWorkerSet{}
	files, err := filepath.Glob(filepath.Join(suite.root, "config", "samples", "leaderworkerset_*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%d samples: %v", len(files), err)
	}
	for _, file := range files {
		lws := &leaderworkersetv1.LeaderWorkerSet{}
		readYAML(t, file, lws)
		sets[filepath.Base(file)] = lws
	}
	disaggregated, err := filepath.Glob(filepath.Join(suite.root, "config", "samples", "disaggregatedset_*.yaml"))
	if err != nil || len(disaggregated) == 0 {
		t.Fatalf("%d samples of DisaggregatedSets: %v", len(disaggregated), err)
	}
	for _, file := range disaggregated {
		addRoles(t, sets, filepath.Base(file), func(set any) { readYAML(t, file, set) })
	}
	manifests := filepath.Join(suite.root, "bundle", "manifests")
	var csv struct {
		Metadata struct{ Annotations map[string]string }
	}
	readYAML(t, filepath.Join(manifests, "lws-operator.clusterserviceversion.yaml"), &csv)
	var examples []json.RawMessage
	if err := json.Unmarshal([]byte(csv.Metadata.Annotations["alm-examples"]), &examples); err != nil {
		t.Fatal(err)
	}
	// The operator creates scalers: they are examples for OLM only, and have no pods.
	examples = slices.DeleteFunc(examples, func(example json.RawMessage) bool {
		return bytes.Contains(example, []byte(`"DisaggregatedSetRoleScaler"`))
	})
	if len(examples) != len(files)+len(disaggregated) {
		t.Errorf("%d examples in the bundle, %d samples", len(examples), len(files)+len(disaggregated))
	}
	for i, example := range examples {
		lws, source := &leaderworkersetv1.LeaderWorkerSet{}, fmt.Sprintf("example %d", i)
		readJSON(t, example, lws)
		if lws.Kind == "LeaderWorkerSet" {
			sets[source] = lws
		} else {
			addRoles(t, sets, source, func(set any) { readJSON(t, example, set) })
		}
	}
	return sets
}

// addRoles adds the roles of a DisaggregatedSet that read reads.
func addRoles(t *testing.T, sets map[string]*leaderworkersetv1.LeaderWorkerSet, source string, read func(set any)) {
	t.Helper()
	set := &disaggregatedsetv1.DisaggregatedSet{}
	read(set)
	for i := range set.Spec.Roles {
		sets[source+", role "+set.Spec.Roles[i].Name] = &leaderworkersetv1.LeaderWorkerSet{Spec: set.Spec.Roles[i].Spec}
	}
}

func readJSON(t *testing.T, data []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(data, into); err != nil {
		t.Fatal(err)
	}
}

func readYAML(t *testing.T, file string, into any) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(data, into); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}
