// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package scheduling

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	schedulingv1beta1 "k8s.io/api/scheduling/v1beta1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/yaml"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// setOf returns a set of groups of 4 with its defaults. spec is the YAML of spec.scheduling.
func setOf(t *testing.T, spec string) *leaderworkersetv1.LeaderWorkerSet {
	t.Helper()
	lws := &leaderworkersetv1.LeaderWorkerSet{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "a", UID: "set"}}
	lws.Spec.LeaderWorkerTemplate.Size = ptr.To[int32](4)
	lws.Spec.LeaderWorkerTemplate.LeaderTemplate = &corev1.PodTemplateSpec{}
	lws.Default()
	if err := yaml.UnmarshalStrict([]byte(spec), &lws.Spec.Scheduling); err != nil {
		t.Fatal(err)
	}
	return lws
}

// leaderOf returns a leader pod in a PodGroup; in none if that has no name.
func leaderOf(podGroup string) *corev1.Pod {
	leader := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Namespace: "default", Name: "a-0", UID: "leader",
		Labels: map[string]string{leaderworkersetv1.RevisionLabelKey: "key"},
	}}
	if podGroup != "" {
		leader.Spec.SchedulingGroup = &corev1.PodSchedulingGroup{PodGroupName: &podGroup}
	}
	return leader
}

// TestPodGroups lists the PodGroups of a group, with the specs that the API server takes.
func TestPodGroups(t *testing.T) {
	t.Parallel()
	workers := Name("a-0", "leader")
	const gangOf4, gangOf3 = `{schedulingPolicy: {gang: {minCount: 4}}}`, `{schedulingPolicy: {gang: {minCount: 3}}}`
	const basic = `{schedulingPolicy: {basic: {}}}`
	for _, tc := range []struct {
		title, spec, leader string
		want                map[string]string
	}{
		{"nothing", `null`, "x", map[string]string{}},
		{"the short form", `{}`, "x", map[string]string{"x": gangOf4}},
		{"the long form", `{replica: {schedulingPolicy: {gang: {minCount: 4}}}}`, "x", map[string]string{"x": gangOf4}},
		{"pod by pod", `{replica: {schedulingPolicy: {basic: {}}}}`, "x", map[string]string{"x": basic}},
		{"a leader without a PodGroup", `{}`, "", map[string]string{}},
		{"workers", `{replica: {worker: {schedulingPolicy: {gang: {}}}}}`, "", map[string]string{workers: gangOf3}},
		{
			"both roles", `{replica: {leader: {}, worker: {schedulingPolicy: {gang: {}}}}}`, "x",
			map[string]string{"x": basic, workers: gangOf3},
		},
		{
			"everything", `{replica: {schedulingConstraints: {topology: [{key: rack}]}, disruptionMode: {all: {}},
				resourceClaims: [{name: domain, resourceClaimTemplateName: imex}, {name: shared, resourceClaimName: b}]}}`, "x",
			map[string]string{"x": `{schedulingPolicy: {gang: {minCount: 4}}, priorityClassName: high,
				schedulingConstraints: {topology: [{key: rack}]}, disruptionMode: {all: {}},
				resourceClaims: [{name: domain, resourceClaimTemplateName: imex}, {name: shared, resourceClaimName: b}]}`},
		},
	} {
		group := Group{Set: setOf(t, tc.spec), Index: "0", Leader: leaderOf(tc.leader), Size: 4}
		if tc.title == "everything" {
			group.PriorityClassName = "high"
		}
		got := map[string]string{}
		for _, podGroup := range group.PodGroups() {
			got[podGroup.Name] = specOf(t, &podGroup)
		}
		want := map[string]string{}
		for name, spec := range tc.want {
			want[name] = normal(t, spec)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.title, diff)
		}
	}
}

// specOf returns the spec of a PodGroup at v1beta1. The types of Kubernetes know all its fields.
func specOf(t *testing.T, podGroup *PodGroup) string {
	t.Helper()
	object := podGroup.Object(v1beta1)
	typed := &schedulingv1beta1.PodGroup{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(object.Object, typed, true); err != nil {
		t.Fatal(err)
	}
	isOwned := metav1.IsControlledBy(typed, &metav1.ObjectMeta{UID: "set"})
	if typed.Labels[leaderworkersetv1.GroupIndexLabelKey] != "0" || !isOwned {
		t.Errorf("metadata: %+v", typed.ObjectMeta)
	}
	text, err := yaml.Marshal(object.Object["spec"])
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func normal(t *testing.T, text string) string {
	t.Helper()
	var value any
	if err := yaml.Unmarshal([]byte(text), &value); err != nil {
		t.Fatal(err)
	}
	normal, err := yaml.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(normal)
}

// TestDisruptionModes compares the words of v1alpha2 with the fields of later versions.
func TestDisruptionModes(t *testing.T) {
	t.Parallel()
	for spec, want := range map[string]any{"{all: {}}": "PodGroup", "{single: {}}": "Pod"} {
		group := Group{Set: setOf(t, "{replica: {disruptionMode: "+spec+"}}"), Index: "0", Leader: leaderOf("x"), Size: 4}
		podGroup := group.PodGroups()[0]
		got := podGroup.spec(v1alpha2)["disruptionMode"]
		if got != want {
			t.Errorf("%s: %v, want %v", spec, got, want)
		}
	}
}

// TestNames checks that names differ by incarnation, and how long they are.
func TestNames(t *testing.T) {
	t.Parallel()
	leader := strings.Repeat("a", 50) + "-7"
	first, second := Name(leader, "uid-1"), Name(leader, "uid-2")
	if first == second || first != Name(leader, "uid-1") || len(first) > 63 {
		t.Errorf("names %s and %s", first, second)
	}
}

// TestWorkersName checks that workers are in a PodGroup exactly if their leader is, or if they have one of their own.
func TestWorkersName(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ spec, leader, want string }{
		{`null`, "", ""},
		{`{}`, "x", "x"},
		{`{}`, "", ""},
		{`{replica: {leader: {}}}`, "x", ""},
		{`{replica: {worker: {}}}`, "", Name("a-0", "leader")},
	} {
		if got := WorkersName(setOf(t, tc.spec).Spec.Scheduling, leaderOf(tc.leader)); got != tc.want {
			t.Errorf("%s with leader in %q: %q, want %q", tc.spec, tc.leader, got, tc.want)
		}
	}
}

func TestProblem(t *testing.T) {
	t.Parallel()
	gangs, none := setOf(t, `{}`), setOf(t, `null`)
	for _, tc := range []struct {
		features Features
		want     string
	}{
		{Features{}, leaderworkersetv1.ReasonUnsupportedProviderCapability},
		{Features{Provider: None, PodGroups: v1beta1}, leaderworkersetv1.ReasonUnsupportedProviderCapability},
		{Features{Provider: Kubernetes}, leaderworkersetv1.ReasonAPINotAvailable},
		{Features{Provider: Kubernetes, PodGroups: v1alpha2}, ""},
	} {
		got := ""
		if problem := tc.features.Problem(gangs); problem != nil {
			got = problem.Reason
		}
		if got != tc.want || tc.features.Problem(none) != nil {
			t.Errorf("%+v: %q, want %q", tc.features, got, tc.want)
		}
	}
}

// TestValidate lists what spec.scheduling may not ask for, and the field that each refusal names.
func TestValidate(t *testing.T) {
	t.Parallel()
	const replica = "spec.scheduling.replica"
	claim := corev1.PodResourceClaim{Name: "domain", ResourceClaimTemplateName: ptr.To("imex")}
	named := func(lws *leaderworkersetv1.LeaderWorkerSet) {
		lws.Spec.LeaderWorkerTemplate.WorkerTemplate.Spec.ResourceClaims = []corev1.PodResourceClaim{claim}
	}
	leaderReady := func(lws *leaderworkersetv1.LeaderWorkerSet) {
		lws.Spec.StartupPolicy = leaderworkersetv1.LeaderReadyStartupPolicy
	}
	size1 := func(lws *leaderworkersetv1.LeaderWorkerSet) { lws.Spec.LeaderWorkerTemplate.Size = ptr.To[int32](1) }
	exclusive := func(lws *leaderworkersetv1.LeaderWorkerSet) {
		lws.Annotations = map[string]string{
			leaderworkersetv1.ExclusiveKeyAnnotationKey: "rack", leaderworkersetv1.SubGroupExclusiveKeyAnnotationKey: "rack",
		}
	}
	otherPods := func(lws *leaderworkersetv1.LeaderWorkerSet) {
		leader := &lws.Spec.LeaderWorkerTemplate.LeaderTemplate.Spec
		leader.PriorityClassName, leader.SchedulerName = "high", "other"
		leader.SchedulingGroup = &corev1.PodSchedulingGroup{}
		lws.Spec.LeaderWorkerTemplate.WorkerTemplate.Spec.SchedulingGroup = &corev1.PodSchedulingGroup{}
	}
	for _, tc := range []struct {
		spec   string
		change func(*leaderworkersetv1.LeaderWorkerSet)
		want   []string
	}{
		{spec: `null`, change: otherPods},
		{spec: `{}`},
		{spec: `{}`, change: size1},
		{spec: `{replica: {schedulingPolicy: {gang: {minCount: 4}}}}`},
		{
			spec: `{replica: {schedulingPolicy: {gang: {minCount: 3}}}}`,
			want: []string{replica + ".schedulingPolicy.gang.minCount"},
		},
		{
			spec: `{replica: {schedulingPolicy: {gang: {minGroupCount: 2}}}}`,
			want: []string{replica + ".schedulingPolicy.gang.minGroupCount"},
		},
		{spec: `{replica: {schedulingPolicy: {}}}`, want: []string{replica + ".schedulingPolicy"}},
		{spec: `{replica: {schedulingPolicy: {gang: {}, basic: {}}}}`, want: []string{replica + ".schedulingPolicy"}},
		{spec: `{replica: {disruptionMode: {}}}`, want: []string{replica + ".disruptionMode"}},
		{
			spec: `{replica: {schedulingConstraints: {topology: [{key: "a b"}]}}}`,
			want: []string{replica + ".schedulingConstraints.topology[0].key"},
		},
		{spec: `{replica: {leader: {}, schedulingPolicy: {basic: {}}}}`, want: []string{replica + ".schedulingPolicy"}},
		{
			spec: `{replica: {leader: {}, worker: {}}}`, change: size1,
			want: []string{replica + ".leader", replica + ".worker"},
		},
		{
			spec: `{replica: {worker: {schedulingPolicy: {gang: {minCount: 4}}}}}`,
			want: []string{replica + ".worker.schedulingPolicy.gang.minCount"},
		},
		{spec: `{}`, change: leaderReady, want: []string{"spec.startupPolicy"}},
		{spec: `{replica: {schedulingPolicy: {basic: {}}}}`, change: leaderReady},
		{spec: `{replica: {leader: {}, worker: {schedulingPolicy: {gang: {}}}}}`, change: leaderReady},
		{spec: `{}`, change: exclusive, want: []string{
			"metadata.annotations[leaderworkerset.sigs.k8s.io/exclusive-topology]",
			"metadata.annotations[leaderworkerset.sigs.k8s.io/subgroup-exclusive-topology]",
		}},
		{spec: `{}`, change: otherPods, want: []string{
			"spec.leaderWorkerTemplate.leaderTemplate.spec.priorityClassName",
			"spec.leaderWorkerTemplate.leaderTemplate.spec.schedulerName",
			"spec.leaderWorkerTemplate.leaderTemplate.spec.schedulingGroup",
			"spec.leaderWorkerTemplate.workerTemplate.spec.schedulingGroup",
		}},
		{spec: `{replica: {resourceClaims: [{name: domain, resourceClaimTemplateName: imex}]}}`, change: named},
		{
			spec: `{replica: {resourceClaims: [{name: domain, resourceClaimTemplateName: imex}]}}`,
			want: []string{replica + ".resourceClaims[0]"},
		},
		{
			spec:   `{replica: {leader: {resourceClaims: [{name: domain, resourceClaimTemplateName: imex}]}}}`,
			change: named, want: []string{replica + ".leader.resourceClaims[0]"},
		},
		{
			spec: `{replica: {resourceClaims: [{name: "a b"}]}}`,
			want: []string{replica + ".resourceClaims[0]", replica + ".resourceClaims[0].name", replica + ".resourceClaims[0]"},
		},
	} {
		lws := setOf(t, tc.spec)
		if tc.change != nil {
			tc.change(lws)
		}
		var got []string
		for _, mistake := range Validate(lws) {
			got = append(got, mistake.Field)
		}
		if !slices.Equal(got, tc.want) {
			t.Errorf("%s: %v, want %v", tc.spec, got, tc.want)
		}
	}
}

// TestValidateUpdate changes sets.
func TestValidateUpdate(t *testing.T) {
	t.Parallel()
	resized := func(lws *leaderworkersetv1.LeaderWorkerSet) { lws.Spec.LeaderWorkerTemplate.Size = ptr.To[int32](5) }
	for _, tc := range []struct {
		before, after string
		change        func(*leaderworkersetv1.LeaderWorkerSet)
		want          []string
	}{
		{before: `null`, after: `null`, change: resized},
		{before: `{}`, after: `{}`, change: resized},
		{before: `null`, after: `{}`, want: []string{"spec.scheduling"}},
		{before: `{}`, after: `null`, want: []string{"spec.scheduling"}},
		{before: `{}`, after: `{replica: {schedulingPolicy: {basic: {}}}}`, want: []string{"spec.scheduling"}},
		{
			before: `{replica: {schedulingPolicy: {gang: {minCount: 4}}}}`,
			after:  `{replica: {schedulingPolicy: {gang: {minCount: 5}}}}`, change: resized,
		},
		{
			before: `{replica: {worker: {schedulingPolicy: {gang: {minCount: 3}}}}}`,
			after:  `{replica: {worker: {schedulingPolicy: {gang: {minCount: 3}}}}}`, change: resized,
			want: []string{"spec.scheduling.replica.worker.schedulingPolicy.gang.minCount"},
		},
		{before: `{replica: {disruptionMode: {}}}`, after: `{replica: {disruptionMode: {}}}`},
	} {
		before, after := setOf(t, tc.before), setOf(t, tc.after)
		if tc.change != nil {
			tc.change(after)
		}
		var got []string
		for _, mistake := range ValidateUpdate(before, after) {
			got = append(got, mistake.Field)
		}
		if !slices.Equal(got, tc.want) {
			t.Errorf("%s to %s: %v, want %v", tc.before, tc.after, got, tc.want)
		}
	}
}

// TestDropped compares what was sent with what the API server stored.
func TestDropped(t *testing.T) {
	t.Parallel()
	set := setOf(t, `{replica: {schedulingConstraints: {topology: [{key: rack}]}, disruptionMode: {all: {}}}}`)
	group := Group{Set: set, Index: "0", Leader: leaderOf("x"), Size: 4}
	podGroup := group.PodGroups()[0]
	sent := podGroup.Object(v1beta1)
	stored := sent.DeepCopy()
	if dropped := Dropped(sent, stored); len(dropped) > 0 {
		t.Errorf("dropped: %v", dropped)
	}
	unstructured.RemoveNestedField(stored.Object, "spec", "schedulingConstraints")
	want := map[string]string{"schedulingConstraints": "TopologyAwareWorkloadScheduling"}
	if diff := cmp.Diff(want, Dropped(sent, stored)); diff != "" {
		t.Error(diff)
	}
}
