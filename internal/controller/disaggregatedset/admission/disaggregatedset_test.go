// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"
	ctrladmission "sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	disaggregatedsetv1 "github.com/leaderworkerset/lws-operator/api/disaggregatedset/v1"
	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

type dset = disaggregatedsetv1.DisaggregatedSet

// newSet returns a valid set of 4 groups of prefill and 2 of decode, with the changes applied.
func newSet(changes ...func(*dset)) *dset {
	set := &dset{ObjectMeta: metav1.ObjectMeta{Namespace: "ml", Name: "llama"}}
	for i, name := range []string{"prefill", "decode"} {
		role := disaggregatedsetv1.DisaggregatedRoleSpec{Name: name}
		role.Spec.Replicas = ptr.To([]int32{4, 2}[i])
		role.Spec.LeaderWorkerTemplate.Size = ptr.To[int32](2)
		role.Spec.LeaderWorkerTemplate.WorkerTemplate.Spec.Containers = []corev1.Container{{Name: "a", Image: "a:1"}}
		set.Spec.Roles = append(set.Spec.Roles, role)
	}
	set.Default()
	for _, change := range changes {
		change(set)
	}
	return set
}

func external(set *dset) {
	set.Spec.Roles[1].Scaling = &disaggregatedsetv1.RoleScaling{Mode: disaggregatedsetv1.ExternalScaling}
}

func decodeReplicas(replicas int32) func(*dset) {
	return func(set *dset) { set.Spec.Roles[1].Spec.Replicas = &replicas }
}

// limits sets the limits of decode.
func limits(surge, unavailable intstr.IntOrString) func(*dset) {
	return func(set *dset) {
		configuration := set.Spec.Roles[1].Spec.RolloutStrategy.RollingUpdateConfiguration
		configuration.MaxSurge, configuration.MaxUnavailable = &surge, &unavailable
	}
}

func placement(kind disaggregatedsetv1.PlacementType, topology string) func(*dset) {
	return func(set *dset) {
		set.Spec.PlacementPolicy = &disaggregatedsetv1.PlacementPolicy{Type: kind, Topology: topology}
	}
}

func annotation(key string) func(*dset) {
	return func(set *dset) { set.Spec.Roles[0].Metadata.Annotations = map[string]string{key: "rack"} }
}

func named(name string) func(*dset) { return func(set *dset) { set.Name = name } }

// newWebhook returns a webhook that finds nothing wrong with the LeaderWorkerSets of roles, and lists them.
func newWebhook(checked *[]string) *webhook {
	return &webhook{timeout: time.Minute, check: func(_ context.Context, lws *leaderworkersetv1.LeaderWorkerSet) error {
		if checked != nil {
			*checked = append(*checked, lws.Labels[disaggregatedsetv1.RoleLabelKey])
		}
		return nil
	}}
}

// TestProblems compares the fields that are rejected. An update that doesn't change a problem passes.
func TestProblems(t *testing.T) {
	const rollingUpdate = "spec.roles[1].spec.rolloutStrategy.rollingUpdateConfiguration"
	for _, tc := range []struct {
		name    string
		changes []func(*dset)
		want    []string // fields
	}{
		{"nothing", nil, nil},
		{"another type of rollout", []func(*dset){
			func(set *dset) { set.Spec.Roles[0].Spec.RolloutStrategy.Type = "OnDelete" },
		}, []string{"spec.roles[0].spec.rolloutStrategy.type"}},
		{"a partition", []func(*dset){func(set *dset) {
			set.Spec.Roles[1].Spec.RolloutStrategy.RollingUpdateConfiguration.Partition = ptr.To[int32](1)
		}}, []string{rollingUpdate + ".partition"}},
		{
			"no surge and no unavailability",
			[]func(*dset){limits(intstr.FromInt32(0), intstr.FromInt32(0))},
			[]string{rollingUpdate + ".maxUnavailable"},
		},
		{
			"less than one group unavailable", // 40% of 2, rounded down
			[]func(*dset){limits(intstr.FromInt32(0), intstr.FromString("40%"))},
			[]string{rollingUpdate + ".maxUnavailable"},
		},
		{"a surge of less than one group", []func(*dset){limits(intstr.FromString("10%"), intstr.FromInt32(0))}, nil},
		{"no limits of a role without groups", []func(*dset){
			limits(intstr.FromInt32(0), intstr.FromInt32(0)), decodeReplicas(0),
		}, nil},
		{
			"no limits of a role whose number others have",
			[]func(*dset){limits(intstr.FromInt32(0), intstr.FromInt32(0)), external}, nil,
		},
		{"groups of another identity", []func(*dset){func(set *dset) {
			set.Spec.Roles[0].Spec.GroupIdentity = "Random"
		}}, []string{"spec.roles[0].spec.groupIdentity"}},
		{"no topology", []func(*dset){placement("ExclusiveSlice", "")}, []string{"spec.placementPolicy.topology"}},
		{"no label", []func(*dset){placement("ExclusiveSlice", "a b")}, []string{"spec.placementPolicy.topology"}},
		{"no placement", []func(*dset){placement("None", "")}, nil},
		{"a placement", []func(*dset){placement("ExclusiveTopology", "example.com/rack")}, nil},
		{
			"two placements",
			[]func(*dset){placement("ExclusiveSlice", "rack"), annotation(leaderworkersetv1.ExclusiveKeyAnnotationKey)},
			[]string{"spec.roles[0].metadata.annotations[" + leaderworkersetv1.ExclusiveKeyAnnotationKey + "]"},
		},
		{
			"an exclusive role without a policy",
			[]func(*dset){annotation(leaderworkersetv1.ExclusiveKeyAnnotationKey)}, nil,
		},
		{"the longest name", []func(*dset){named(strings.Repeat("a", 31))}, nil}, // 52 - "-0-12345678-prefill" - "-4"
		{
			"a name of one character more", []func(*dset){named(strings.Repeat("a", 32))}, []string{"metadata.name"},
		},
		{"two digits of slices", []func(*dset){
			named(strings.Repeat("a", 31)), func(set *dset) { set.Spec.Slices = ptr.To[int32](11) },
		}, []string{"metadata.name"}},
		{"the name of a scaler", []func(*dset){
			named(strings.Repeat("a", 250)), external,
		}, []string{"metadata.name", "spec.roles[1].name"}},
		{"a role with the name of a group", []func(*dset){
			func(set *dset) { set.Spec.Roles[1].Name = "prefill-0" },
		}, []string{"spec.roles[1].name"}},
	} {
		set := newSet(tc.changes...)
		got := fieldsOf(newWebhook(nil).ValidateCreate(t.Context(), set))
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, diff)
		}
		relabeled := set.DeepCopy()
		relabeled.Labels = map[string]string{"team": "a"}
		if got := fieldsOf(newWebhook(nil).ValidateUpdate(t.Context(), set, relabeled)); len(got) > 0 {
			t.Errorf("%s: an update that changes nothing of it is rejected: %v", tc.name, got)
		}
	}
}

// fieldsOf returns the rejected fields, in the order of the names; a verdict without fields is the error's text.
func fieldsOf(_ ctrladmission.Warnings, err error) []string {
	if err == nil {
		return nil
	}
	var rejected *apierrors.StatusError
	if !errors.As(err, &rejected) || rejected.ErrStatus.Details == nil {
		return []string{err.Error()}
	}
	var fields []string
	for _, cause := range rejected.ErrStatus.Details.Causes {
		fields = append(fields, cause.Field)
	}
	slices.Sort(fields)
	return fields
}

// TestRolesChecked compares which roles' LeaderWorkerSets the webhook checks, and what it says of one that is rejected.
func TestRolesChecked(t *testing.T) {
	for _, tc := range []struct {
		name   string
		before *dset
		change func(*dset)
		want   []string
	}{
		{"a new set", nil, func(*dset) {}, []string{"prefill", "decode"}},
		{"nothing changes", newSet(), func(*dset) {}, nil},
		{"one role changes", newSet(), decodeReplicas(3), []string{"decode"}},
		{"a role has another name", newSet(), func(set *dset) { set.Spec.Roles[1].Name = "answer" }, []string{"answer"}},
		{"the set is being deleted", newSet(), func(set *dset) {
			set.DeletionTimestamp = &metav1.Time{}
			set.Spec.Roles[0].Spec.RolloutStrategy.Type = "OnDelete"
		}, nil},
	} {
		var checked []string
		set := newSet(tc.change)
		var err error
		if tc.before == nil {
			_, err = newWebhook(&checked).ValidateCreate(t.Context(), set)
		} else {
			_, err = newWebhook(&checked).ValidateUpdate(t.Context(), tc.before, set)
		}
		if diff := cmp.Diff(tc.want, checked); diff != "" || err != nil {
			t.Errorf("%s: error %v, roles (-want +got):\n%s", tc.name, err, diff)
		}
	}
}

// TestRejectedRole compares the fields of a set that a rejected LeaderWorkerSet of a role has its problems in.
func TestRejectedRole(t *testing.T) {
	invalid := apierrors.NewInvalid(leaderworkersetv1.GroupVersion.WithKind("LeaderWorkerSet").GroupKind(), "any",
		field.ErrorList{
			field.Required(field.NewPath("spec", "leaderWorkerTemplate", "workerTemplate", "spec", "containers"), "is empty"),
			field.Invalid(field.NewPath("metadata", "labels"), "?", "is no label"),
		})
	for _, tc := range []struct {
		name   string
		answer error
		want   []string
	}{
		{"invalid", invalid, []string{
			"spec.roles[0].metadata.labels", "spec.roles[0].spec.leaderWorkerTemplate.workerTemplate.spec.containers",
			"spec.roles[1].metadata.labels", "spec.roles[1].spec.leaderWorkerTemplate.workerTemplate.spec.containers",
		}},
		{"the check fails", errors.New("no answer"), []string{"no answer"}},
	} {
		hook := newWebhook(nil)
		hook.check = func(context.Context, *leaderworkersetv1.LeaderWorkerSet) error { return tc.answer }
		if diff := cmp.Diff(tc.want, fieldsOf(hook.ValidateCreate(t.Context(), newSet()))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, diff)
		}
	}
}

// TestWarnings warns of a number that means nothing.
func TestWarnings(t *testing.T) {
	for _, tc := range []struct {
		name    string
		changes []func(*dset)
		want    int
	}{
		{"all roles are static", nil, 0},
		{"a number beside a scaler", []func(*dset){external}, 1},
		{"1, the default, beside a scaler", []func(*dset){external, decodeReplicas(1)}, 0},
	} {
		got, err := newWebhook(nil).ValidateCreate(t.Context(), newSet(tc.changes...))
		if err != nil || len(got) != tc.want {
			t.Errorf("%s: warnings %q, error %v", tc.name, got, err)
		}
	}
}

// TestDefault fills in defaults, and checks what a role without limits may do.
func TestDefault(t *testing.T) {
	set := &dset{}
	set.Spec.Roles = []disaggregatedsetv1.DisaggregatedRoleSpec{{Name: "a"}}
	if err := newWebhook(nil).Default(t.Context(), set); err != nil {
		t.Fatal(err)
	}
	role := &set.Spec.Roles[0]
	limits := role.Spec.RolloutStrategy.RollingUpdateConfiguration
	got := []any{
		*set.Spec.Slices, role.Scaling.Mode, *role.Spec.Replicas, *role.Spec.LeaderWorkerTemplate.Size,
		limits.MaxSurge.IntValue(), limits.MaxUnavailable.IntValue(), *limits.Partition,
	}
	want := []any{int32(1), disaggregatedsetv1.StaticScaling, int32(1), int32(1), 1, 0, int32(0)}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, err := newWebhook(nil).ValidateDelete(t.Context(), set); err != nil {
		t.Errorf("a deletion is rejected: %v", err)
	}
}
