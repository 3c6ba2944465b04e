// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package leaderworkerset

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// part returns the metadata of an object of the set "llama". labels are pairs of a label, without its prefix, and its
// value.
func part(name string, labels ...string) metav1.ObjectMeta {
	all := map[string]string{leaderworkersetv1.SetNameLabelKey: "llama"}
	for pair := range slices.Chunk(labels, 2) {
		all[leaderworkersetv1.MetadataPrefix+pair[0]] = pair[1]
	}
	return metav1.ObjectMeta{Name: name, Namespace: "default", Labels: all}
}

func leaderOf(group int32) *corev1.Pod {
	name := fmt.Sprintf("llama-%d", group)
	return &corev1.Pod{ObjectMeta: part(name, "group-index", strconv.Itoa(int(group)), "worker-index", "0")}
}

func workerOf(group, worker int32) *corev1.Pod {
	name := fmt.Sprintf("llama-%d-%d", group, worker)
	return &corev1.Pod{ObjectMeta: part(name,
		"group-index", strconv.Itoa(int(group)), "worker-index", strconv.Itoa(int(worker)))}
}

func TestIndexes(t *testing.T) {
	workers := &appsv1.StatefulSet{ObjectMeta: part("llama-1", "group-index", "1")}
	noIndex := &corev1.Pod{ObjectMeta: part("debug", "group-index", "one")}
	revision := &appsv1.ControllerRevision{ObjectMeta: part("llama-abc-1")}
	for _, tc := range []struct {
		name  string
		index client.IndexerFunc
		of    client.Object
		want  []string
	}{
		{"leader of a set", indexLeadersOfSet, leaderOf(1), []string{"llama"}},
		{"worker is no leader", indexLeadersOfSet, workerOf(1, 2), nil},
		{"pod without labels is no leader", indexLeadersOfSet, &corev1.Pod{}, nil},
		{"worker StatefulSet of a set", indexWorkersOfSet, workers, []string{"llama"}},
		{"leader StatefulSet has no group", indexWorkersOfSet, &appsv1.StatefulSet{ObjectMeta: part("llama")}, nil},
		{"worker of a group", indexWorkersOfGroup, workerOf(1, 2), []string{"llama-1"}},
		{"leader is no worker", indexWorkersOfGroup, leaderOf(1), nil},
		{"pod without a group", indexWorkersOfGroup, &corev1.Pod{ObjectMeta: part("debug")}, nil},
		{"pod whose group index is no number", indexWorkersOfGroup, noIndex, nil},
		{"revision of a set", indexRevisionsOfSet, revision, []string{"llama"}},
		{"revision of a StatefulSet", indexRevisionsOfSet, statefulSetRevision(), nil},
	} {
		if diff := cmp.Diff(tc.want, tc.index(tc.of)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, diff)
		}
	}
}

func setOfSize(groups, size int32) *leaderworkersetv1.LeaderWorkerSet {
	lws := &leaderworkersetv1.LeaderWorkerSet{ObjectMeta: metav1.ObjectMeta{Name: "llama", Namespace: "default"}}
	lws.Spec.Replicas, lws.Spec.LeaderWorkerTemplate.Size = &groups, &size
	return lws
}

func trimmed[T client.Object](t *testing.T, trim func(any) (any, error), object T) T {
	t.Helper()
	result, err := trim(object)
	if err != nil {
		t.Fatal(err)
	}
	kept, isObject := result.(T)
	if !isObject {
		t.Fatalf("trimmed to a %T", result)
	}
	return kept
}

// fullPod returns a leader with the fields that passes read of a pod, and no others.
func fullPod() *corev1.Pod {
	full := leaderOf(1)
	full.UID, full.ResourceVersion, full.DeletionTimestamp = types.UID("uid"), "7", &metav1.Time{}
	full.Labels[appsv1.StatefulSetRevisionLabel] = "llama-5d4f8c"
	full.OwnerReferences = []metav1.OwnerReference{{Kind: "StatefulSet", UID: "leaders", Controller: ptr.To(true)}}
	full.Annotations = map[string]string{
		leaderworkersetv1.SizeAnnotationKey:         "2",
		leaderworkersetv1.ExclusiveKeyAnnotationKey: "rack",
	}
	full.Spec.NodeName = "n1"
	full.Spec.SchedulingGates = []corev1.PodSchedulingGate{
		{Name: leaderworkersetv1.PreviousGroupSchedulingGate}, {Name: "example.com/other"},
	}
	full.Status.Conditions = []corev1.PodCondition{
		{
			Type: corev1.PodScheduled, Status: corev1.ConditionFalse,
			Reason: corev1.PodReasonUnschedulable, Message: "0/3 nodes are available",
		},
		{
			Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue,
			Reason: corev1.PodReasonTerminationByKubelet, Message: "the node was low on memory",
		},
	}
	full.Status.Phase, full.Status.Reason = corev1.PodFailed, "Evicted"
	ended := corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
		ExitCode: 137, Reason: "OOMKilled", FinishedAt: metav1.Unix(1_700_000_000, 0),
	}}
	full.Status.InitContainerStatuses = []corev1.ContainerStatus{{Name: "load", RestartCount: 1, Ready: true}}
	full.Status.ContainerStatuses = []corev1.ContainerStatus{
		{
			Name: "main", RestartCount: 2, LastTerminationState: ended,
			State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}},
		},
		{Name: "server", State: ended},
		{
			Name: "proxy",
			State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{
				Reason: "ErrImagePull", Message: "proxy:typo: not found",
			}},
		},
	}
	return full
}

func TestTrimPodKeepsWhatIsRead(t *testing.T) {
	full := fullPod()
	want := full.DeepCopy()

	full.Labels["app"], full.Annotations["note"] = "x", "y"
	full.ManagedFields = []metav1.ManagedFieldsEntry{{}}
	full.Spec.Containers = []corev1.Container{{Name: "main"}}
	full.Status.PodIP = "10.0.0.1"
	full.Status.Conditions = append(full.Status.Conditions,
		corev1.PodCondition{Type: corev1.PodInitialized},
		corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionFalse})
	full.Status.ContainerStatuses[0].Image = "serve:1"
	full.Status.ContainerStatuses[0].LastTerminationState.Terminated.Message = "out of memory"
	full.Status.ContainerStatuses = append(full.Status.ContainerStatuses, corev1.ContainerStatus{Name: "sidecar"})
	before := full.DeepCopy()
	if diff := cmp.Diff(want, trimmed(t, trimPod, full)); diff != "" {
		t.Errorf("pod (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(before, full); diff != "" {
		t.Errorf("the pod was changed in place (-before +after):\n%s", diff)
	}
	delete(full.Annotations, leaderworkersetv1.ExclusiveKeyAnnotationKey)
	if got := trimmed(t, trimPod, full).Spec.NodeName; got != "" {
		t.Errorf("node %q is kept without exclusive placement, and nothing else reads it", got)
	}
}

// TestTrimReadyPod checks that a pod which is ready costs no memory for what was wrong with it. A container that has
// restarted keeps its last end: the kubelet may report both at once, and the end is the cause of a group's restart.
func TestTrimReadyPod(t *testing.T) {
	pod := workerOf(1, 2)
	pod.Status = fullPod().Status
	pod.Status.Conditions = []corev1.PodCondition{
		{Type: corev1.PodScheduled, Status: corev1.ConditionTrue}, {Type: corev1.PodReady, Status: corev1.ConditionTrue},
	}
	kept := trimmed(t, trimPod, pod)
	if len(kept.Status.Conditions) != 1 || len(kept.Status.ContainerStatuses) != 1 {
		t.Errorf("kept %+v, want one condition, and the container that has restarted", kept.Status)
	}
	if main := kept.Status.ContainerStatuses[0]; main.State.Waiting != nil ||
		main.LastTerminationState.Terminated.ExitCode != 137 {
		t.Errorf("kept %+v, want the last end alone", main)
	}
	for i := range pod.Status.ContainerStatuses {
		pod.Status.ContainerStatuses[i].RestartCount = 0
	}
	pod.Status.InitContainerStatuses = nil
	if kept := trimmed(t, trimPod, pod); len(kept.Status.ContainerStatuses) > 0 {
		t.Errorf("kept %+v of a pod without restarts, want nothing", kept.Status.ContainerStatuses)
	}
}

// BenchmarkTrimPod measures the memory of trimmed pods at rest, and of those that aren't ready.
func BenchmarkTrimPod(b *testing.B) {
	starting, ready := fullPod(), workerOf(1, 2)
	starting.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionFalse}}
	starting.Status.InitContainerStatuses = nil
	starting.Status.ContainerStatuses = []corev1.ContainerStatus{{
		Name:  "main",
		State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ContainerCreating"}},
	}}
	ready.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	ready.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "main", Ready: true}}
	for name, pod := range map[string]*corev1.Pod{"ready": ready, "starting": starting, "faulty": fullPod()} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := trimPod(pod); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func TestTrimStatefulSetKeepsWhatIsRead(t *testing.T) {
	spec := appsv1.StatefulSetSpec{
		Replicas:             ptr.To[int32](3),
		ServiceName:          "llama",
		Template:             corev1.PodTemplateSpec{Spec: corev1.PodSpec{Hostname: "h"}},
		VolumeClaimTemplates: []corev1.PersistentVolumeClaim{{}},
		UpdateStrategy: appsv1.StatefulSetUpdateStrategy{
			RollingUpdate: &appsv1.RollingUpdateStatefulSetStrategy{Partition: ptr.To[int32](2)},
		},
	}
	workersSpec := *spec.DeepCopy()
	workersSpec.Template, workersSpec.VolumeClaimTemplates = corev1.PodTemplateSpec{}, nil
	for _, tc := range []struct {
		meta metav1.ObjectMeta
		want appsv1.StatefulSetSpec
	}{
		{part("llama"), spec}, // Passes compare and patch its template.
		{part("llama-1", "group-index", "1"), workersSpec},
	} {
		full := &appsv1.StatefulSet{ObjectMeta: tc.meta, Spec: spec}
		full.Generation = 4
		want := full.DeepCopy()
		want.Spec = tc.want
		want.Status = appsv1.StatefulSetStatus{ObservedGeneration: 4, ReadyReplicas: 2, CurrentRevision: "x"}

		full.ManagedFields = []metav1.ManagedFieldsEntry{{}}
		full.Status = appsv1.StatefulSetStatus{
			ObservedGeneration: 4, CurrentRevision: "x", UpdateRevision: "y",
			Replicas: 3, ReadyReplicas: 2, AvailableReplicas: 1,
		}
		if diff := cmp.Diff(want, trimmed(t, trimStatefulSet, full)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.meta.Name, diff)
		}
	}
}

// TestReadyPodsShareTheirConditions checks that a pod that is ready keeps nothing else of its conditions.
func TestReadyPodsShareTheirConditions(t *testing.T) {
	full := fullPod()
	full.Status.Conditions = []corev1.PodCondition{
		{Type: corev1.PodScheduled, Status: corev1.ConditionTrue},
		{Type: corev1.PodReady, Status: corev1.ConditionTrue, Message: "for a while"},
	}
	if diff := cmp.Diff(readyConditions, trimmed(t, trimPod, full).Status.Conditions); diff != "" {
		t.Errorf("conditions (-want +got):\n%s", diff)
	}
}

// statefulSetRevision returns a revision that the StatefulSet controller keeps of the leader StatefulSet.
func statefulSetRevision() *appsv1.ControllerRevision {
	labels := []string{"worker-index", "0", "template-revision-hash", "abc"}
	revision := &appsv1.ControllerRevision{ObjectMeta: part("llama-5d4f8c", labels...)}
	revision.Labels[statefulSetRevisionLabel] = "5d4f8c"
	return revision
}

func TestTrimRevisionKeepsWhatIsRead(t *testing.T) {
	data := runtime.RawExtension{Raw: []byte("{}")}
	ofSet := &appsv1.ControllerRevision{ObjectMeta: part("llama-abc-1"), Data: data, Revision: 3}
	if diff := cmp.Diff(ofSet, trimmed(t, trimRevision, ofSet)); diff != "" {
		t.Errorf("of a LeaderWorkerSet (-want +got):\n%s", diff)
	}
	ofStatefulSet := statefulSetRevision()
	ofStatefulSet.Data, ofStatefulSet.Annotations = data, map[string]string{"note": "of the StatefulSet"}
	if diff := cmp.Diff(statefulSetRevision(), trimmed(t, trimRevision, ofStatefulSet)); diff != "" {
		t.Errorf("of a StatefulSet (-want +got):\n%s", diff)
	}
}

func TestTrimServiceKeepsWhatIsRead(t *testing.T) {
	full := &corev1.Service{
		ObjectMeta: part("llama"), Spec: corev1.ServiceSpec{ClusterIP: "None", Selector: map[string]string{"app": "x"}},
	}
	full.UID, full.OwnerReferences = "uid", []metav1.OwnerReference{{UID: "set"}}
	want := full.DeepCopy()
	full.Spec.ClusterIPs = []string{"None"}
	full.ManagedFields = []metav1.ManagedFieldsEntry{{}}
	if diff := cmp.Diff(want, trimmed(t, trimService, full)); diff != "" {
		t.Errorf("Service (-want +got):\n%s", diff)
	}
}

// TestTrimReturnsUnknownObjects checks the tombstones that informers deliver as well.
func TestTrimReturnsUnknownObjects(t *testing.T) {
	for name, trim := range map[string]func(any) (any, error){
		"pod": trimPod, "StatefulSet": trimStatefulSet, "ControllerRevision": trimRevision, "Service": trimService,
		"PersistentVolumeClaim": trimClaim, "LeaderWorkerSet": withDefaults,
	} {
		if got, err := trim("tombstone"); err != nil || got != "tombstone" {
			t.Errorf("%s: got %v and error %v", name, got, err)
		}
	}
}

// TestCacheSharesLongValues checks that the cache keeps a long annotation once that many objects have.
func TestCacheSharesLongValues(t *testing.T) {
	cached := func(object client.Object, trim func(any) (any, error)) *byte {
		t.Helper()
		object.SetAnnotations(map[string]string{"example.com/note": strings.Repeat("x", 1<<18)})
		trimmed, err := trim(object)
		if err != nil {
			t.Fatal(err)
		}
		accessor, err := meta.Accessor(trimmed)
		if err != nil {
			t.Fatal(err)
		}
		return unsafe.StringData(accessor.GetAnnotations()["example.com/note"]) //nolint:gosec // It is only compared.
	}
	first := cached(&appsv1.StatefulSet{}, trimStatefulSet)
	for name, other := range map[string]*byte{
		"StatefulSet":           cached(&appsv1.StatefulSet{}, trimStatefulSet),
		"PersistentVolumeClaim": cached(&corev1.PersistentVolumeClaim{}, trimClaim),
		"ControllerRevision":    cached(&appsv1.ControllerRevision{}, trimRevision),
	} {
		if first != other {
			t.Errorf("the annotation of another %s is a copy", name)
		}
	}
}
