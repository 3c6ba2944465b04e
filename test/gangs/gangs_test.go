// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package gangs_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/test/gangs"
)

// TestFaults plays histories of a gang of three pods: a leader L and the workers 1 and 2. Each word is a version of a
// pod: the pod, and "+" for its creation, "=" for its binding, "!" for its mark, or "-" for its end.
func TestFaults(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		what, history string
		tried         types.UID // the pod that the scheduler has asked to bind in vain
		want          []string
	}{
		{what: "bound as a whole", history: "L+ 1+ 2+ 2= L= 1="},
		{what: "never bound", history: "L+ 1+ 2+ L! L-"},
		{what: "deleted once it is bound", history: "L+ 1+ 2+ 2= L= 1= L! L- 1! 1- 2! 2-"},
		{what: "the leader is deleted between two bindings", history: "L+ 1+ 2+ 2= L! 1= L- 1! 2! 1- 2-"},
		{
			what: "the leader is deleted before the first binding, and after the decision", history: "L+ 1+ 2+ L! 2= 1= L-",
			tried: "L",
		},
		{what: "the leader is gone before the first binding", history: "L+ 1+ 2+ L! L- 2= 1=", tried: "L"},
		{
			what: "the leader is gone before the decision", history: "L+ 1+ 2+ L! L- 2= 1=",
			want: []string{"PodGroup g: 2 was bound when 2 of 3 pods existed"},
		},
		{
			what: "the leader is deleted before the decision", history: "L+ 1+ 2+ L! 2= 1= L-",
			want: []string{"PodGroup g: L was deleted before others were bound"},
		},
		{
			what: "a part is bound", history: "L+ 1+ 2+ 2= L=",
			want: []string{"PodGroup g: 1 has no node, and others have"},
		},
		{
			what: "bound before all exist", history: "L+ 1+ 1= L= 2+ 2=",
			want: []string{"PodGroup g: 1 was bound when 2 of 3 pods existed"},
		},
		{
			what: "bound after one is gone", history: "L+ 1+ 2+ 2! 2- 1= L=",
			want: []string{"PodGroup g: 1 was bound when 2 of 3 pods existed"},
		},
		{what: "a worker is replaced", history: "L+ 1+ 2+ 2= L= 1= 1! 1- 3+"},
		{
			what: "another leader", history: "L+ 1+ 2+ L! L- M+",
			want: []string{"PodGroup g has the leaders L and M"},
		},
		{
			what: "no leader", history: "1+ 2+ 3+ 1= 2= 3=",
			want: []string{"PodGroup g has no leader"},
		},
	} {
		wasTried := func(uid types.UID) bool { return uid == tc.tried }
		if diff := cmp.Diff(tc.want, gangs.Faults(historyOf(tc.history), 3, wasTried)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.what, diff)
		}
	}
	alone := gangs.Version{Pod: &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "alone"}}}
	want := []string{"pod alone is in no PodGroup"}
	if diff := cmp.Diff(want, gangs.Faults([]gangs.Version{alone}, 3, nil)); diff != "" {
		t.Errorf("a pod in no PodGroup (-want +got):\n%s", diff)
	}
}

// historyOf returns the versions that a history describes.
func historyOf(history string) []gangs.Version {
	var versions []gangs.Version
	pods := map[string]*corev1.Pod{}
	for word := range strings.FieldsSeq(history) {
		name, change := word[:1], word[1:]
		pod := pods[name].DeepCopy()
		switch change {
		case "+":
			pod = newPod(name)
		case "=":
			pod.Spec.NodeName = "node"
		case "!":
			pod.DeletionTimestamp = &metav1.Time{}
		}
		pods[name] = pod
		versions = append(versions, gangs.Version{Pod: pod, Deleted: change == "-"})
	}
	return versions
}

func newPod(name string) *corev1.Pod {
	index := name
	if name == "L" || name == "M" {
		index = "0"
	}
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: name, UID: types.UID(name), Labels: map[string]string{leaderworkersetv1.WorkerIndexLabelKey: index},
		},
		Spec: corev1.PodSpec{SchedulingGroup: &corev1.PodSchedulingGroup{PodGroupName: ptr.To("g")}},
	}
}
