// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package desired_test

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/desired"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/revision"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/rollout"
)

var update = flag.Bool("update", false, "write the golden files")

// checkGolden compares an object with the file of that name.
func checkGolden(t *testing.T, name string, object any) {
	t.Helper()
	got, err := yaml.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

// fullSet returns a set that uses every field that its children depend on.
func fullSet(t *testing.T) *leaderworkersetv1.LeaderWorkerSet {
	t.Helper()
	manifest, err := os.ReadFile(filepath.Join("testdata", "full.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	lws := &leaderworkersetv1.LeaderWorkerSet{}
	if err := yaml.UnmarshalStrict(manifest, lws); err != nil {
		t.Fatal(err)
	}
	lws.Default()
	return lws
}

func leaderPod(annotations map[string]string) *corev1.Pod {
	leaders := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Name: "llama", UID: "leaders-uid"}}
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Name: "llama-1", Namespace: "default", UID: "leader-uid", Annotations: annotations,
		OwnerReferences: []metav1.OwnerReference{
			*metav1.NewControllerRef(leaders, appsv1.SchemeGroupVersion.WithKind("StatefulSet")),
		},
	}}
}

func TestGoldenObjects(t *testing.T) {
	simple, full := newSet(2), fullSet(t)
	simpleTemplate, fullTemplate := revision.TemplateOf(simple), revision.TemplateOf(full)
	step := rollout.Step{Partition: 1, Replicas: 4}
	leader := leaderPod(map[string]string{leaderworkersetv1.ExclusiveKeyAnnotationKey: "example.com/rack"})
	group := desired.Group{Index: 1, Leader: leader, Topology: desired.Topology{Key: "example.com/rack", Value: "r1"}}
	simpleGroup := desired.Group{Index: 1, Leader: leaderPod(nil)}

	checkGolden(t, "simple-leaders.golden.yaml", desired.LeaderStatefulSet(simple, &simpleTemplate, key, step))
	checkGolden(t, "simple-workers.golden.yaml", desired.WorkerStatefulSet(simple, &simpleTemplate, key, simpleGroup))
	checkGolden(t, "full-leaders.golden.yaml", desired.LeaderStatefulSet(full, &fullTemplate, key, step))
	checkGolden(t, "full-workers.golden.yaml", desired.WorkerStatefulSet(full, &fullTemplate, key, group))
	checkGolden(t, "shared-service.golden.yaml", desired.SharedService(full))
	checkGolden(t, "group-service.golden.yaml", desired.GroupService(full, group))
}

// TestBuildersDoNotChangeTheirInput changes what builders return. All groups share a template, and the cache shares the
// leader pods.
func TestBuildersDoNotChangeTheirInput(t *testing.T) {
	lws := fullSet(t)
	template := revision.TemplateOf(lws)
	leader := leaderPod(map[string]string{leaderworkersetv1.ExclusiveKeyAnnotationKey: "rack"})
	group := desired.Group{Index: 1, Leader: leader}
	lwsBefore, leaderBefore := lws.DeepCopy(), group.Leader.DeepCopy()

	desired.LeaderStatefulSet(lws, &template, key, rollout.Step{}).Spec.Template.Labels["x"] = "y"
	workers := desired.WorkerStatefulSet(lws, &template, key, group)
	workers.Spec.Template.Labels["x"], workers.Labels["x"], workers.Annotations["x"] = "y", "y", "y"
	desired.GroupService(lws, group).Labels["x"] = "y"
	if diff := cmp.Diff(revision.TemplateOf(lwsBefore), template); diff != "" {
		t.Errorf("the template changed (-before +after):\n%s", diff)
	}
	if diff := cmp.Diff(lwsBefore, lws); diff != "" {
		t.Errorf("the set changed (-before +after):\n%s", diff)
	}
	if diff := cmp.Diff(leaderBefore, group.Leader); diff != "" {
		t.Errorf("the leader changed (-before +after):\n%s", diff)
	}
}

// TestOperatorsLabelsWin has a set whose templates set the operator's labels and annotations.
func TestOperatorsLabelsWin(t *testing.T) {
	lws := newSet(2)
	mine := map[string]string{}
	for _, name := range []string{
		"name", "group-index", "worker-index", "group-key", "template-revision-hash", "size", "leader-name",
	} {
		mine[prefix+name] = "mine"
	}
	lws.Labels, lws.Annotations = mine, mine
	lws.Spec.LeaderWorkerTemplate.WorkerTemplate.Labels = mine
	lws.Spec.LeaderWorkerTemplate.WorkerTemplate.Annotations = mine
	for _, pod := range injectedPods(t, lws) {
		for _, name := range []string{"name", "group-index", "worker-index", "group-key", "template-revision-hash"} {
			if pod.Labels[prefix+name] == "mine" {
				t.Errorf("%s: label %s is the user's", pod.Name, name)
			}
		}
		if got := pod.Annotations[prefix+"size"]; got != "2" {
			t.Errorf("%s: annotation size is %q, want 2", pod.Name, got)
		}
	}
}

// TestOperatorsLabelsAreNotInherited has the operator's labels on a set and in its templates. On an object, they would
// say that the object belongs elsewhere.
func TestOperatorsLabelsAreNotInherited(t *testing.T) {
	lws := newSet(2)
	stray := map[string]string{
		leaderworkersetv1.WorkerIndexLabelKey: "0",
		leaderworkersetv1.GroupIndexLabelKey:  "7",
		"team":                                "a",
	}
	lws.Labels = stray
	lws.Spec.LeaderWorkerTemplate.WorkerTemplate.Labels = stray
	template := revision.TemplateOf(lws)
	leaders := desired.LeaderStatefulSet(lws, &template, "key", rollout.Step{Replicas: 1})
	workers := desired.WorkerStatefulSet(lws, &template, "key", desired.Group{Leader: leaderPod(nil)})
	for what, labels := range map[string]map[string]string{
		"group-index of the leader StatefulSet": leaders.Labels,
		"group-index of leader pods":            leaders.Spec.Template.Labels,
	} {
		if got, found := labels[leaderworkersetv1.GroupIndexLabelKey]; found {
			t.Errorf("%s: got %q, want none", what, got)
		}
	}
	if got, found := workers.Spec.Template.Labels[leaderworkersetv1.WorkerIndexLabelKey]; found {
		t.Errorf("worker-index of worker pods: got %q, want none before admission", got)
	}
	for what, labels := range map[string]map[string]string{
		"StatefulSet": workers.Labels, "pods": workers.Spec.Template.Labels,
	} {
		if labels["team"] != "a" {
			t.Errorf("the user's own label on %s is lost", what)
		}
	}
}

func TestClaimRetention(t *testing.T) {
	type policy = appsv1.StatefulSetPersistentVolumeClaimRetentionPolicy
	const keep = appsv1.RetainPersistentVolumeClaimRetentionPolicyType
	const drop = appsv1.DeletePersistentVolumeClaimRetentionPolicyType
	for _, tc := range []struct {
		set  *policy
		want policy
	}{
		{nil, policy{WhenDeleted: keep, WhenScaled: keep}},
		{&policy{}, policy{WhenDeleted: keep, WhenScaled: keep}},
		{&policy{WhenDeleted: drop}, policy{WhenDeleted: drop, WhenScaled: keep}},
		{&policy{WhenScaled: drop}, policy{WhenDeleted: keep, WhenScaled: drop}},
	} {
		lws := newSet(1)
		lws.Spec.LeaderWorkerTemplate.PersistentVolumeClaimRetentionPolicy = tc.set
		if got := *desired.ClaimRetention(lws); got != tc.want {
			t.Errorf("%+v becomes %+v, want %+v", tc.set, got, tc.want)
		}
	}
}
