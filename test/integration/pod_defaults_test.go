// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/revision"
	"github.com/leaderworkerset/lws-operator/test/cluster"
)

// gatedDefaults are parts of a pod spec with such fields, by the feature gate that they need. Kubernetes 1.34 has these
// gates off.
var gatedDefaults = map[string]string{
	"EnvFiles": `
containers:
- name: files
  image: files
  env: [{name: FILE, valueFrom: {fileKeyRef: {volumeName: empty, path: env, key: FILE}}}]
`,
	"ImageVolume": `
volumes:
- {name: image, image: {reference: "registry.example.com/models:latest"}}
- {name: pinned, image: {reference: "registry.example.com/models:1"}}
`,
}

// everyDefault is a pod spec with many fields that have defaults. It leaves out all of those fields.
const everyDefault = `
serviceAccountName: serve
initContainers:
- name: init
  image: registry.example.com:5000/init
containers:
- name: probes
  image: registry.example.com/serve:1
  ports: [{containerPort: 8080}]
  env:
  - {name: IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}
  - {name: CPU, valueFrom: {resourceFieldRef: {resource: limits.cpu}}}
  - {name: SECRET, valueFrom: {secretKeyRef: {name: hub, key: token}}}
  livenessProbe: {grpc: {port: 8080}}
  readinessProbe: {httpGet: {port: 8080}}
  startupProbe: {tcpSocket: {port: 8080}}
  lifecycle: {preStop: {httpGet: {port: 8080}}, postStart: {exec: {command: [a]}}}
  resources: {limits: {cpu: 1500m, memory: 1Gi}}
- {name: latest, image: "registry.example.com/serve:latest"}
- {name: untagged, image: serve}
- {name: digest, image: "serve@sha256:9834876dcfb05cb167a5c24953eba58c4ac89b1adf57f28f2f9d09af107ee8f0"}
- {name: both, image: "serve:latest@sha256:9834876dcfb05cb167a5c24953eba58c4ac89b1adf57f28f2f9d09af107ee8f0"}
volumes:
- {name: none}
- {name: empty, emptyDir: {}}
- {name: host, hostPath: {path: /dev}}
- {name: secret, secret: {secretName: a}}
- {name: config, configMap: {name: a}}
- {name: downward, downwardAPI: {items: [{path: labels, fieldRef: {fieldPath: metadata.labels}}]}}
- name: projected
  projected:
    sources:
    - serviceAccountToken: {path: token}
    - downwardAPI: {items: [{path: labels, fieldRef: {fieldPath: metadata.labels}}]}
    - secret: {name: a}
- {name: iscsi, iscsi: {targetPortal: "10.0.0.1", iqn: "iqn.2001-04.com.example:storage", lun: 0}}
- {name: rbd, rbd: {monitors: [a], image: a}}
- {name: scaleio, scaleIO: {gateway: a, system: a, secretRef: {name: a}, volumeName: a}}
- {name: azure, azureDisk: {diskName: a, diskURI: "https://blob/a"}}
- name: ephemeral
  ephemeral:
    volumeClaimTemplate: {spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}
affinity:
  podAntiAffinity:
    requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: a, labelSelector: {matchLabels: {a: b}}}]
topologySpreadConstraints:
- {maxSkew: 1, topologyKey: a, whenUnsatisfiable: DoNotSchedule, labelSelector: {matchLabels: {a: b}}}
tolerations: [{key: a, operator: Exists}]
`

// podWithEveryDefault returns a pod spec of everyDefault, and of those gatedDefaults that the API server knows.
func podWithEveryDefault(t *testing.T) corev1.PodSpec {
	t.Helper()
	spec := decoded(t, everyDefault)
	for gate, text := range gatedDefaults {
		enabled, err := cluster.FeatureEnabled(t.Context(), suite.config, gate)
		if err != nil {
			t.Fatal(err)
		}
		if enabled {
			part := decoded(t, text)
			spec.Containers = append(spec.Containers, part.Containers...)
			spec.Volumes = append(spec.Volumes, part.Volumes...)
		}
	}
	return spec
}

// decoded returns the pod spec of a YAML text.
func decoded(t *testing.T, text string) corev1.PodSpec {
	t.Helper()
	var spec corev1.PodSpec
	if err := yaml.UnmarshalStrict([]byte(text), &spec); err != nil {
		t.Fatal(err)
	}
	return spec
}

// TestPodDefaultsKeepRevision makes the API server fill in the defaults of pods, in the templates of a StatefulSet and
// of a LeaderWorkerSet. The templates are still of the same revision.
func TestPodDefaultsKeepRevision(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t, webhooksOn)
	var before leaderworkersetv1.LeaderWorkerSet
	before.Namespace, before.Name = namespace, "set"
	template := &before.Spec.LeaderWorkerTemplate
	template.WorkerTemplate.Labels = map[string]string{"a": "b"}
	template.WorkerTemplate.Spec = podWithEveryDefault(t)
	template.VolumeClaimTemplates = []corev1.PersistentVolumeClaim{{
		ObjectMeta: metav1.ObjectMeta{Name: "models"},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources: corev1.VolumeResourceRequirements{
				Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")},
			},
		},
	}}

	sts := &appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "set"},
		Spec: appsv1.StatefulSetSpec{
			Selector:             &metav1.LabelSelector{MatchLabels: template.WorkerTemplate.Labels},
			Template:             *template.WorkerTemplate.DeepCopy(),
			VolumeClaimTemplates: before.DeepCopy().Spec.LeaderWorkerTemplate.VolumeClaimTemplates,
		},
	}
	stored := before.DeepCopy()
	if err := suite.client.Create(t.Context(), sts, dryRun); err != nil {
		t.Fatal(err)
	}
	if err := suite.client.Create(t.Context(), stored, dryRun); err != nil {
		t.Fatal(err)
	}
	filledIn := before.DeepCopy()
	filledIn.Spec.LeaderWorkerTemplate.WorkerTemplate = sts.Spec.Template
	filledIn.Spec.LeaderWorkerTemplate.VolumeClaimTemplates = sts.Spec.VolumeClaimTemplates
	for kind, after := range map[string]*leaderworkersetv1.LeaderWorkerSet{
		"StatefulSet": filledIn, "LeaderWorkerSet": stored,
	} {
		if equality.Semantic.DeepEqual(before.Spec.LeaderWorkerTemplate, after.Spec.LeaderWorkerTemplate) {
			t.Errorf("the API server has filled in no default in a %s", kind)
		}
		if !revision.TemplateOf(after).Equal(revision.TemplateOf(&before)) {
			t.Errorf("the template of a %s has another revision (-before +after):\n%s", kind,
				cmp.Diff(before.Spec.LeaderWorkerTemplate, after.Spec.LeaderWorkerTemplate))
		}
	}
}
