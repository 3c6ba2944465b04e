// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// fullSpec is a spec with all fields. It includes fields that the operator's types always write, such as empty
// resources.
const fullSpec = `
replicas: 3
startupPolicy: LeaderReady
revisionHistoryLimit: 3
networkConfig: {subdomainPolicy: UniquePerReplica}
rolloutStrategy:
  type: RollingUpdate
  rollingUpdateConfiguration: {partition: 1, maxUnavailable: 50%, maxSurge: 2}
leaderWorkerTemplate:
  size: 5
  restartPolicy: RecreateGroupAfterStart
  subGroupPolicy: {subGroupPolicyType: LeaderExcluded, subGroupSize: 2}
  persistentVolumeClaimRetentionPolicy: {whenDeleted: Delete, whenScaled: Delete}
  leaderTemplate:
    metadata:
      labels: {role: leader}
      annotations: {a/b: "1", c: ""}
    spec:
      containers: [{name: leader, image: leader, resources: {}}]
  workerTemplate:
    metadata:
      name: kept-and-of-no-use
      namespace: kept-and-of-no-use
      labels: {role: worker}
      annotations: {a/b: "1"}
      finalizers: [example.com/on-pods]
    spec:
      serviceAccountName: server
      terminationGracePeriodSeconds: 7
      nodeSelector: {pool: fast}
      tolerations: [{key: gpu, operator: Exists}]
      topologySpreadConstraints: [{maxSkew: 1, topologyKey: zone, whenUnsatisfiable: DoNotSchedule}]
      affinity:
        nodeAffinity:
          requiredDuringSchedulingIgnoredDuringExecution:
            nodeSelectorTerms: [{matchExpressions: [{key: a, operator: Exists}]}]
      securityContext: {runAsNonRoot: true, fsGroup: 5}
      initContainers: [{name: init, image: init, resources: {}, restartPolicy: Always}]
      containers:
      - name: server
        image: server
        args: [--leader, $(LWS_LEADER_ADDRESS)]
        env: [{name: A, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]
        ports: [{containerPort: 80, name: http, protocol: TCP}]
        resources: {limits: {google.com/tpu: "4", memory: 1Gi}, requests: {cpu: 100m}}
        livenessProbe: {httpGet: {path: /, port: http}, periodSeconds: 3}
        readinessProbe: {tcpSocket: {port: 80}}
        lifecycle: {preStop: {exec: {command: ["true"]}}}
        volumeMounts: [{name: data, mountPath: /data}]
      volumes: [{name: tmp, emptyDir: {sizeLimit: 1Gi}}]
  volumeClaimTemplates:
  - metadata:
      name: data
      labels: {a: b}
      annotations: {c: d}
      finalizers: [example.com/on-claims]
    spec:
      accessModes: [ReadWriteOnce]
      storageClassName: fast
      resources: {requests: {storage: 1Gi}}
    status: {}
`

// TestRoundTrip checks that the API server stores each field of a manifest. An update through the operator's types
// loses none.
func TestRoundTrip(t *testing.T) {
	for _, m := range bothModes {
		t.Run("webhooks "+string(m), func(t *testing.T) {
			t.Parallel()
			namespace := newNamespace(t, m)
			want := parse(t, fullSpec)
			set := setOfSpec(namespace, want)
			set.SetLabels(map[string]string{"a": "b"})
			if err := suite.client.Create(t.Context(), set, client.FieldValidation(metav1.FieldValidationStrict)); err != nil {
				t.Fatal(err)
			}
			set = stored(t, set)
			if diff := cmp.Diff(want, normalized(t, set.Object["spec"])); diff != "" {
				t.Errorf("spec (-written +read):\n%s", diff)
			}

			lws := read(t, set)
			lws.Labels["edited"] = "with-types"
			if err := suite.client.Update(t.Context(), lws); err != nil {
				t.Fatal(err)
			}
			if lws.Generation != 1 {
				t.Errorf("generation after an update of a label: %d; want 1, the spec is the same", lws.Generation)
			}
			if diff := cmp.Diff(want, normalized(t, stored(t, set).Object["spec"])); diff != "" {
				t.Errorf("spec after an update with the operator's types (-written +read):\n%s", diff)
			}
		})
	}
}

// TestUnknownFields checks that the API server warns of unknown fields, or refuses them if the client requests strict
// validation. It never stores them.
func TestUnknownFields(t *testing.T) {
	const spec = `{sizes: 3, leaderWorkerTemplate: {sizes: 3, workerTemplate: {metadata: {uid: x}, spec: {images: b}}}}`
	unknown := []string{
		"spec.sizes",
		"spec.leaderWorkerTemplate.sizes",
		"spec.leaderWorkerTemplate.workerTemplate.metadata.uid",
		"spec.leaderWorkerTemplate.workerTemplate.spec.images",
	}
	for _, m := range bothModes {
		t.Run("webhooks "+string(m), func(t *testing.T) {
			t.Parallel()
			namespace := newNamespace(t, m)
			err := suite.client.Create(t.Context(), newSet(t, namespace, "strict", spec),
				client.FieldValidation(metav1.FieldValidationStrict))
			for _, field := range unknown {
				if !apierrors.IsBadRequest(err) || !strings.Contains(err.Error(), `unknown field "`+field+`"`) {
					t.Errorf("strict: %v; want a bad request for the unknown field %s", err, field)
				}
			}
			var warned warnings
			config := rest.CopyConfig(suite.config)
			config.WarningHandler = &warned
			warning, err := client.New(config, client.Options{Scheme: suite.client.Scheme(), Mapper: suite.client.RESTMapper()})
			if err != nil {
				t.Fatal(err)
			}
			set := newSet(t, namespace, "warn", spec)
			if err := warning.Create(t.Context(), set, client.FieldValidation(metav1.FieldValidationWarn)); err != nil {
				t.Fatal(err)
			}
			got := stored(t, set).Object
			for _, field := range unknown {
				if !slices.Contains(warned.messages, `unknown field "`+field+`"`) {
					t.Errorf("warnings %q; want one for %s", warned.messages, field)
				}
				if value, found, _ := unstructured.NestedFieldNoCopy(got, strings.Split(field, ".")...); found {
					t.Errorf("%s: %v was stored", field, value)
				}
			}
		})
	}
}

// warnings collects the warnings of the API server.
type warnings struct {
	mutex    sync.Mutex
	messages []string
}

// HandleWarningHeader records one warning.
func (w *warnings) HandleWarningHeader(_ int, _, message string) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.messages = append(w.messages, message)
}

// TestStatusSubresource checks that updates of a set don't change its status, and that updates of the status change
// nothing else.
func TestStatusSubresource(t *testing.T) {
	for _, m := range bothModes {
		t.Run("webhooks "+string(m), func(t *testing.T) {
			t.Parallel()
			namespace := newNamespace(t, m)
			set := newSet(t, namespace, "set", `{replicas: 2}`)
			set.Object["status"] = map[string]any{"replicas": int64(9)}
			if err := suite.client.Create(t.Context(), set); err != nil {
				t.Fatal(err)
			}
			lws := read(t, set)
			if lws.Status.Replicas != 0 {
				t.Errorf("status.replicas of a new set: %d; want 0, whatever the manifest said", lws.Status.Replicas)
			}

			lws.Status = leaderworkersetv1.LeaderWorkerSetStatus{
				Replicas: 1, ReadyReplicas: 1, UpdatedReplicas: 1, HPAPodSelector: "a=b", ObservedGeneration: 1,
			}
			meta.SetStatusCondition(&lws.Status.Conditions, metav1.Condition{
				Type: "Available", Status: metav1.ConditionTrue, Reason: "AllGroupsReady",
				LastTransitionTime: metav1.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
			})
			want := lws.Status.DeepCopy()
			lws.Spec.StartupPolicy, lws.Labels = leaderworkersetv1.LeaderReadyStartupPolicy, map[string]string{"a": "b"}
			if err := suite.client.Status().Update(t.Context(), lws); err != nil {
				t.Fatal(err)
			}
			lws = read(t, set)
			if diff := cmp.Diff(*want, lws.Status); diff != "" {
				t.Errorf("status (-written +read):\n%s", diff)
			}
			if lws.Spec.StartupPolicy != leaderworkersetv1.LeaderCreatedStartupPolicy ||
				len(lws.Labels) > 0 || lws.Generation != 1 {
				t.Errorf("a status update changed more: startupPolicy %s, labels %v, generation %d",
					lws.Spec.StartupPolicy, lws.Labels, lws.Generation)
			}

			lws.Spec.StartupPolicy = leaderworkersetv1.LeaderReadyStartupPolicy
			lws.Status = leaderworkersetv1.LeaderWorkerSetStatus{}
			if err := suite.client.Update(t.Context(), lws); err != nil {
				t.Fatal(err)
			}
			lws = read(t, set)
			if diff := cmp.Diff(*want, lws.Status); diff != "" {
				t.Errorf("status after an update of the set (-written +read):\n%s", diff)
			}
			if lws.Spec.StartupPolicy != leaderworkersetv1.LeaderReadyStartupPolicy || lws.Generation != 2 {
				t.Errorf("after an update: startupPolicy %s, generation %d; want LeaderReady, 2",
					lws.Spec.StartupPolicy, lws.Generation)
			}
		})
	}
}

// TestStatusBeforeTheOperator creates sets while no operator writes their status. Clients read a status that says so,
// also if the manifest has an empty one. The API server doesn't store that status with the creation. It does with the
// next write, even one that changes nothing else. From then on, a manifest that is applied again changes nothing.
func TestStatusBeforeTheOperator(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t, webhooksOn)
	for name, status := range map[string]map[string]any{"none": nil, "empty": {}} {
		for way, flags := range waysToApply {
			t.Run(name+" "+way, func(t *testing.T) {
				t.Parallel()
				set := newSet(t, namespace, strings.ReplaceAll(name+" "+way, " ", "-"), `{}`)
				if status != nil {
					set.Object["status"] = status
				}
				apply := slices.Concat([]string{"apply", "--filename", manifestFile(t, set)}, flags)
				mustKubectl(t, apply...)
				checkUnobserved(t, set)
				mustKubectl(t, apply...)
				before := stored(t, set).GetResourceVersion()
				mustKubectl(t, apply...)
				if after := stored(t, set).GetResourceVersion(); after != before {
					t.Errorf("applied again: resourceVersion %s became %s; want no write", before, after)
				}
				if err := edit(t, set, `{replicas: 2}`); err != nil {
					t.Fatal(err)
				}
				checkUnobserved(t, set)
				if err := suite.client.Status().Patch(t.Context(), set, statusOf(t, `{observedGeneration: 2}`)); err != nil {
					t.Fatal(err)
				}
				if got := read(t, set).Status.ObservedGeneration; got != 2 {
					t.Errorf("observed generation %d after the operator wrote it; want 2", got)
				}
			})
		}
	}
}

// checkUnobserved checks that a set has the status of one that no operator has observed.
func checkUnobserved(t *testing.T, set *unstructured.Unstructured) {
	t.Helper()
	want := map[string]any{
		"observedGeneration": int64(-1), "replicas": int64(0), "readyReplicas": int64(0), "updatedReplicas": int64(0),
	}
	if diff := cmp.Diff(want, stored(t, set).Object["status"]); diff != "" {
		t.Errorf("status (-want +read):\n%s", diff)
	}
}

// TestStatusConditions checks that conditions are a map by type: several owners apply conditions of their own, and no
// type occurs twice.
func TestStatusConditions(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t, webhooksOn)
	set := create(t, namespace, "set", `{}`)
	condition := func(name, status string) map[string]any {
		return map[string]any{
			"type": name, "status": status, "reason": "Reason", "message": "", "lastTransitionTime": "2026-01-02T03:04:05Z",
		}
	}
	apply := func(owner string, conditions ...any) error {
		object := setOfSpec(namespace, nil)
		object.SetName(set.GetName())
		object.Object = map[string]any{
			"apiVersion": object.GetAPIVersion(), "kind": object.GetKind(), "metadata": object.Object["metadata"],
			"status": map[string]any{"conditions": conditions},
		}
		configuration := client.ApplyConfigurationFromUnstructured(object)
		return suite.client.Status().Apply(t.Context(), configuration, client.FieldOwner(owner))
	}
	for _, step := range []struct {
		owner     string
		condition map[string]any
	}{
		{"operator", condition("Available", "True")},
		{"queue", condition("Admitted", "True")},
		{"operator", condition("Available", "False")},
	} {
		if err := apply(step.owner, step.condition); err != nil {
			t.Fatal(err)
		}
	}
	got := read(t, set).Status.Conditions
	if len(got) != 2 || !meta.IsStatusConditionFalse(got, "Available") || !meta.IsStatusConditionTrue(got, "Admitted") {
		t.Errorf("conditions %+v; want Available False of the operator and Admitted True of the queue", got)
	}
	lws := read(t, set)
	lws.Status.Conditions = append(lws.Status.Conditions, lws.Status.Conditions[0])
	if err := suite.client.Status().Update(t.Context(), lws); !apierrors.IsInvalid(err) {
		t.Errorf("a condition that occurs twice: %v; want it refused", err)
	}
}

// TestServerSideApply checks that applying a manifest again changes nothing, and that owners of different fields don't
// conflict.
func TestServerSideApply(t *testing.T) {
	for _, m := range bothModes {
		t.Run("webhooks "+string(m), func(t *testing.T) {
			t.Parallel()
			namespace := newNamespace(t, m)
			apply := func(owner, spec string) (*leaderworkersetv1.LeaderWorkerSet, error) {
				set := client.ApplyConfigurationFromUnstructured(newSet(t, namespace, "set", spec))
				err := suite.client.Apply(t.Context(), set, client.FieldOwner(owner))
				if err != nil {
					return nil, err
				}
				return read(t, newSet(t, namespace, "set", spec)), nil
			}
			mustApply := func(owner, spec string) *leaderworkersetv1.LeaderWorkerSet {
				t.Helper()
				lws, err := apply(owner, spec)
				if err != nil {
					t.Fatalf("%s applies %s: %v", owner, spec, err)
				}
				return lws
			}

			first := mustApply("user", `{leaderWorkerTemplate: {size: 2, restartPolicy: Default}}`)
			// The operator writes a status soon. Before, the API server would add the default to what it stores.
			if err := suite.client.Status().Patch(t.Context(), first, statusOf(t, `{observedGeneration: 1}`)); err != nil {
				t.Fatal(err)
			}
			second := mustApply("user", `{leaderWorkerTemplate: {size: 2, restartPolicy: Default}}`)
			if first.ResourceVersion != second.ResourceVersion {
				t.Errorf("applied again: resourceVersion %s became %s, generation %d became %d; want no write",
					first.ResourceVersion, second.ResourceVersion, first.Generation, second.Generation)
			}

			if err := scaleTo(t, first, 5); err != nil {
				t.Fatal(err)
			}
			third := mustApply("user", `{leaderWorkerTemplate: {size: 3}}`)
			if *third.Spec.Replicas != 5 || *third.Spec.LeaderWorkerTemplate.Size != 3 {
				t.Errorf("applied without replicas after scaling to 5: %d replicas of size %d; want 5 of 3",
					*third.Spec.Replicas, *third.Spec.LeaderWorkerTemplate.Size)
			}
			if _, err := apply("other", `{leaderWorkerTemplate: {size: 9}}`); !apierrors.IsConflict(err) {
				t.Errorf("applied with another size by another owner: %v; want a conflict", err)
			}
			fourth := mustApply("sidecars",
				`{leaderWorkerTemplate: {workerTemplate: {spec: {containers: [{name: sidecar, image: sidecar}]}}}}`)
			if containers := fourth.Spec.LeaderWorkerTemplate.WorkerTemplate.Spec.Containers; len(containers) != 2 {
				t.Errorf("containers after the apply of another owner: %+v; want both", containers)
			}
		})
	}
}

// stored reads a set from the API server.
func stored(t *testing.T, set *unstructured.Unstructured) *unstructured.Unstructured {
	t.Helper()
	got := &unstructured.Unstructured{}
	got.SetGroupVersionKind(set.GroupVersionKind())
	if err := suite.client.Get(t.Context(), client.ObjectKeyFromObject(set), got); err != nil {
		t.Fatal(err)
	}
	return got
}
