// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// The sample has three groups of four pods. The tests write the expected objects out instead of using the operator's
// constants. Users depend on every letter of them.
const (
	prefix     = "leaderworkerset.sigs.k8s.io/"
	sampleName = "leaderworkerset-sample"
)

func TestSample(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	restrict(t, namespace)
	lws := sample(t)
	lws.Namespace, lws.Labels = namespace, map[string]string{"team": "inference"}
	create(t, lws)
	untilAvailable(t, lws)
	untilNamed(t, podsIn(namespace), podNames(sampleName, 3, 4)...)
	untilNamed(t, statefulSetsIn(namespace), statefulSetNames(sampleName, 3)...)
	untilNamed(t, servicesIn(namespace), sampleName)

	key := checkSampleRevision(t, lws)
	statefulSets := listed(t, statefulSetsIn(namespace))
	pods := listed(t, podsIn(namespace))
	leaders := named(t, statefulSets, sampleName)
	checkSampleLeaders(t, lws, leaders, key)
	for group := range 3 {
		leader := named(t, pods, fmt.Sprintf("%s-%d", sampleName, group))
		workers := named(t, statefulSets, leader.Name)
		checkSampleWorkers(t, lws, leader, workers, group, key)
		checkSamplePod(t, leader, leaders, group, 0, key)
		for worker := 1; worker < 4; worker++ {
			checkSamplePod(t, named(t, pods, fmt.Sprintf("%s-%d", leader.Name, worker)), workers, group, worker, key)
		}
	}
	checkSampleService(t, lws, listed(t, servicesIn(namespace))[0])
	checkSampleStatus(t, lws, key)
}

// restrict makes the API server refuse pods in a namespace that the Pod Security Standard "restricted" doesn't allow.
func restrict(t *testing.T, name string) {
	t.Helper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	label := []byte(`{"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}`)
	if err := suite.client.Patch(t.Context(), namespace, client.RawPatch(types.MergePatchType, label)); err != nil {
		t.Fatal(err)
	}
}

// sample returns the set of config/samples.
func sample(t *testing.T) *leaderworkersetv1.LeaderWorkerSet {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(suite.root, "config", "samples", "leaderworkerset_v1_leaderworkerset.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	lws := &leaderworkersetv1.LeaderWorkerSet{}
	if err := yaml.UnmarshalStrict(data, lws); err != nil {
		t.Fatal(err)
	}
	return lws
}

// checkSampleRevision checks the set's only revision, and returns its key.
func checkSampleRevision(t *testing.T, lws *leaderworkersetv1.LeaderWorkerSet) string {
	t.Helper()
	var revisions []*appsv1.ControllerRevision
	for _, revision := range listed(t, revisionsIn(lws.Namespace)) {
		if metav1.IsControlledBy(revision, lws) {
			revisions = append(revisions, revision)
		}
	}
	if len(revisions) != 1 {
		t.Fatalf("revisions of the set: want 1, got %v", namesOf(revisions))
	}
	revision := revisions[0]
	key := revision.Labels[prefix+"template-revision-hash"]
	check(t, "name of the revision", fmt.Sprintf("%s-%s-1", sampleName, key), revision.Name)
	labels := map[string]string{prefix + "name": sampleName, prefix + "template-revision-hash": key}
	check(t, "labels of the revision", labels, revision.Labels)
	check(t, "owners of the revision", []metav1.OwnerReference{ownedBySet(lws)}, revision.OwnerReferences)
	check(t, "number of the revision", int64(1), revision.Revision)
	if !regexp.MustCompile("^[0-9a-z]{1,10}$").MatchString(key) {
		t.Errorf("key of the revision: %q", key)
	}
	checkSampleData(t, revision.Data.Raw)
	return key
}

// checkSampleData checks the patch in the revision.
func checkSampleData(t *testing.T, data []byte) {
	t.Helper()
	var patch struct {
		Spec map[string]map[string]any
	}
	if err := json.Unmarshal(data, &patch); err != nil {
		t.Fatal(err)
	}
	template := patch.Spec["leaderWorkerTemplate"]
	check(t, "parts of the patch", 2, len(patch.Spec))
	check(t, "directive of the templates", any("replace"), template["$patch"])
	check(t, "size in the revision", any(float64(4)), template["size"])
	if template["workerTemplate"] == nil {
		t.Errorf("no worker template in %s", data)
	}
	check(t, "network in the revision", map[string]any{"$patch": "replace", "subdomainPolicy": "Shared"},
		patch.Spec["networkConfig"])
}

// statefulSetFacts has the fields of a StatefulSet that users depend on.
type statefulSetFacts struct {
	Labels, Annotations map[string]string
	Owners              []metav1.OwnerReference
	Replicas            int32
	ServiceName         string
	Management          appsv1.PodManagementPolicyType
	Ordinals            *appsv1.StatefulSetOrdinals
	Selector            map[string]string
}

func factsOf(sts *appsv1.StatefulSet) statefulSetFacts {
	// Users don't depend on the operator's memory of groups.
	delete(sts.Annotations, leaderworkersetv1.GroupRecordAnnotationKey)
	return statefulSetFacts{
		Labels: sts.Labels, Annotations: sts.Annotations, Owners: sts.OwnerReferences,
		Replicas: *sts.Spec.Replicas, ServiceName: sts.Spec.ServiceName, Management: sts.Spec.PodManagementPolicy,
		Ordinals: sts.Spec.Ordinals, Selector: sts.Spec.Selector.MatchLabels,
	}
}

func checkSampleLeaders(t *testing.T, lws *leaderworkersetv1.LeaderWorkerSet, leaders *appsv1.StatefulSet, key string) {
	t.Helper()
	check(t, "leader StatefulSet", statefulSetFacts{
		Labels: with(lws.Labels, map[string]string{
			prefix + "name": sampleName, prefix + "template-revision-hash": key,
		}),
		Annotations: map[string]string{prefix + "replicas": "3"},
		Owners:      []metav1.OwnerReference{ownedBySet(lws)},
		Replicas:    3,
		ServiceName: sampleName,
		Management:  appsv1.ParallelPodManagement,
		Selector:    map[string]string{prefix + "name": sampleName, prefix + "worker-index": "0"},
	}, factsOf(leaders))
}

func checkSampleWorkers(
	t *testing.T, lws *leaderworkersetv1.LeaderWorkerSet, leader *corev1.Pod, workers *appsv1.StatefulSet,
	group int, key string,
) {
	t.Helper()
	selector := map[string]string{
		prefix + "name":        sampleName,
		prefix + "group-index": strconv.Itoa(group),
		prefix + "group-key":   sha1Hex(leader.Namespace + "/" + leader.Name),
	}
	check(t, "worker StatefulSet "+workers.Name, statefulSetFacts{
		Labels:      with(with(lws.Labels, selector), map[string]string{prefix + "template-revision-hash": key}),
		Owners:      []metav1.OwnerReference{ownedBy("v1", "Pod", leader)},
		Replicas:    3,
		ServiceName: sampleName,
		Management:  appsv1.ParallelPodManagement,
		Ordinals:    &appsv1.StatefulSetOrdinals{Start: 1},
		Selector:    selector,
	}, factsOf(workers))
}

// podFacts has the fields of a pod that users depend on.
type podFacts struct {
	Labels, Annotations map[string]string
	Owners              []metav1.OwnerReference
	Hostname, Subdomain string
	Env                 []corev1.EnvVar
}

// checkSamplePod checks the pod with the index worker in its group. The leader has index 0.
func checkSamplePod(t *testing.T, pod *corev1.Pod, owner *appsv1.StatefulSet, group, worker int, key string) {
	t.Helper()
	leader := fmt.Sprintf("%s-%d", sampleName, group)
	annotations := map[string]string{prefix + "size": "4"}
	if worker > 0 {
		annotations[prefix+"leader-name"] = leader
	}
	labels := map[string]string{
		prefix + "name":                   sampleName,
		prefix + "group-index":            strconv.Itoa(group),
		prefix + "worker-index":           strconv.Itoa(worker),
		prefix + "group-key":              sha1Hex(pod.Namespace + "/" + leader),
		prefix + "template-revision-hash": key,
	}
	check(t, "pod "+pod.Name, podFacts{
		Labels:      labels,
		Annotations: annotations,
		Owners:      []metav1.OwnerReference{ownedBy("apps/v1", "StatefulSet", owner)},
		Hostname:    pod.Name,
		Subdomain:   sampleName,
		Env: []corev1.EnvVar{
			{Name: "LWS_LEADER_ADDRESS", Value: leader + "." + sampleName + "." + pod.Namespace},
			{Name: "LWS_GROUP_SIZE", Value: "4"},
			{Name: "LWS_WORKER_INDEX", Value: strconv.Itoa(worker)},
		},
	}, podFacts{
		Labels: withoutKubernetes(pod.Labels), Annotations: pod.Annotations, Owners: pod.OwnerReferences,
		Hostname: pod.Spec.Hostname, Subdomain: pod.Spec.Subdomain, Env: pod.Spec.Containers[0].Env,
	})
}

// withoutKubernetes removes the labels that the StatefulSet controller and the API server add to a pod.
func withoutKubernetes(labels map[string]string) map[string]string {
	labels = maps.Clone(labels)
	for _, added := range []string{
		appsv1.ControllerRevisionHashLabelKey, appsv1.StatefulSetPodNameLabel, appsv1.PodIndexLabel,
		corev1.LabelTopologyZone, corev1.LabelTopologyRegion,
	} {
		delete(labels, added)
	}
	return labels
}

func checkSampleService(t *testing.T, lws *leaderworkersetv1.LeaderWorkerSet, service *corev1.Service) {
	t.Helper()
	selector := map[string]string{prefix + "name": sampleName}
	check(t, "name of the Service", sampleName, service.Name)
	check(t, "labels of the Service", selector, service.Labels)
	check(t, "owners of the Service", []metav1.OwnerReference{ownedBySet(lws)}, service.OwnerReferences)
	check(t, "selector of the Service", selector, service.Spec.Selector)
	check(t, "clusterIP of the Service", corev1.ClusterIPNone, service.Spec.ClusterIP)
	check(t, "publishNotReadyAddresses of the Service", true, service.Spec.PublishNotReadyAddresses)
}

func checkSampleStatus(t *testing.T, lws *leaderworkersetv1.LeaderWorkerSet, key string) {
	t.Helper()
	refresh(t, lws)
	got := *lws.Status.DeepCopy()
	for i := range got.Conditions {
		got.Conditions[i].Message, got.Conditions[i].LastTransitionTime = "", metav1.Time{}
	}
	condition := func(kind string, status metav1.ConditionStatus, reason string) metav1.Condition {
		return metav1.Condition{Type: kind, Status: status, Reason: reason, ObservedGeneration: lws.Generation}
	}
	check(t, "status", leaderworkersetv1.LeaderWorkerSetStatus{
		Replicas: 3, ReadyReplicas: 3, UpdatedReplicas: 3, ObservedGeneration: lws.Generation,
		UpdateRevision: key,
		HPAPodSelector: prefix + "name=" + sampleName + "," + prefix + "worker-index=0",
		Conditions: []metav1.Condition{
			condition("Available", metav1.ConditionTrue, "AllGroupsReady"),
			condition("Progressing", metav1.ConditionFalse, "AllGroupsReady"),
			condition("UpdateInProgress", metav1.ConditionFalse, "AllGroupsUpToDate"),
		},
	}, got)
}

// ownedBySet returns the owner reference of a child of the set.
func ownedBySet(lws *leaderworkersetv1.LeaderWorkerSet) metav1.OwnerReference {
	return ownedBy("leaderworkerset.x-k8s.io/v1", "LeaderWorkerSet", lws)
}

// ownedBy returns a reference to an owner that controls the object. In foreground deletion, the owner is deleted after
// the object.
func ownedBy(version, kind string, owner metav1.Object) metav1.OwnerReference {
	return metav1.OwnerReference{
		APIVersion: version, Kind: kind, Name: owner.GetName(), UID: owner.GetUID(),
		Controller: ptr.To(true), BlockOwnerDeletion: ptr.To(true),
	}
}
