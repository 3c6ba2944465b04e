// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	disaggregatedsetv1 "github.com/leaderworkerset/lws-operator/api/disaggregatedset/v1"
	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/test/cluster"
)

type (
	dset      = disaggregatedsetv1.DisaggregatedSet
	dsetRole  = disaggregatedsetv1.DisaggregatedRoleSpec
	childByID = map[string]*leaderworkersetv1.LeaderWorkerSet
)

// newDisaggregated returns a DisaggregatedSet with the changes applied. It doesn't create the set.
func newDisaggregated(namespace string, roles []dsetRole, changes ...func(*dset)) *dset {
	set := &dset{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "llama"},
		Spec:       disaggregatedsetv1.DisaggregatedSetSpec{Roles: roles},
	}
	for _, change := range changes {
		change(set)
	}
	return set
}

// newRole returns a role with groups of one pod.
func newRole(name string, replicas int32) dsetRole {
	return dsetRole{Name: name, Spec: newSet("", "", replicas, 1).Spec}
}

// limits sets what a rollout of all roles may add and make unavailable.
func limits(surge, unavailable int) func(*dset) {
	return func(set *dset) {
		for i := range set.Spec.Roles {
			set.Spec.Roles[i].Spec.RolloutStrategy.RollingUpdateConfiguration = &leaderworkersetv1.RollingUpdateConfiguration{
				MaxSurge: ptr.To(intstr.FromInt(surge)), MaxUnavailable: ptr.To(intstr.FromInt(unavailable)),
			}
		}
	}
}

// withRoleImages sets the images of roles, in their order.
func withRoleImages(images ...string) func(*dset) {
	return func(set *dset) {
		for i, name := range images {
			set.Spec.Roles[i].Spec.LeaderWorkerTemplate.WorkerTemplate.Spec.Containers[0].Image = name
		}
	}
}

// untilRolesAvailable waits until the operator has observed the set's spec and all roles are available.
func untilRolesAvailable(t *testing.T, set *dset) {
	t.Helper()
	eventually(t, func(ctx context.Context) error {
		if err := suite.client.Get(ctx, client.ObjectKeyFromObject(set), set); err != nil {
			return err
		}
		return unless(rolesAvailable(set), "generation %d, status %+v", set.Generation, set.Status)
	})
}

// rolesAvailable reports whether the status is of the set's latest generation, all roles are available and no update is
// in progress.
func rolesAvailable(set *dset) bool {
	return set.Status.ObservedGeneration == set.Generation &&
		meta.IsStatusConditionTrue(set.Status.Conditions, disaggregatedsetv1.ConditionAvailable) &&
		meta.IsStatusConditionFalse(set.Status.Conditions, disaggregatedsetv1.ConditionUpdateInProgress)
}

func lwsIn(namespace string) func(context.Context) ([]*leaderworkersetv1.LeaderWorkerSet, error) {
	return func(ctx context.Context) ([]*leaderworkersetv1.LeaderWorkerSet, error) {
		var list leaderworkersetv1.LeaderWorkerSetList
		err := suite.client.List(ctx, &list, client.InNamespace(namespace))
		return pointers(list.Items), err
	}
}

// childNames returns the names of the LeaderWorkerSets of the current revision.
func childNames(set *dset) []string {
	var names []string
	for slice := range *set.Spec.Slices {
		for i := range set.Spec.Roles {
			names = append(names, fmt.Sprintf("%s-%d-%s-%s", set.Name, slice, set.Status.UpdateRevision, set.Spec.Roles[i].Name))
		}
	}
	return names
}

// untilOnlyCurrent waits until exactly the LeaderWorkerSets of the current revision exist.
func untilOnlyCurrent(t *testing.T, set *dset) {
	t.Helper()
	untilRolesAvailable(t, set)
	untilNamed(t, lwsIn(set.Namespace), childNames(set)...)
}

// TestDisaggregatedCreate creates a set with two slices and looks at all that it consists of. Then it scales a role,
// takes a slice away, and has three slices for a while: no pod that stays is touched.
func TestDisaggregatedCreate(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	prefill, decode := newRole("prefill", 2), newRole("decode", 1)
	prefill.Spec.LeaderWorkerTemplate.Size = ptr.To[int32](2)
	leader := podTemplate()
	prefill.Spec.LeaderWorkerTemplate.LeaderTemplate = &leader
	prefill.Metadata.Labels = map[string]string{"team": "a", disaggregatedsetv1.RoleLabelKey: "none"}
	set := newDisaggregated(namespace, []dsetRole{prefill, decode}, func(s *dset) { s.Spec.Slices = ptr.To[int32](2) })
	create(t, set)
	untilOnlyCurrent(t, set)
	check(t, "summary", "prefill 4/4, decode 2/2", set.Status.Summary)
	for _, role := range set.Status.RoleStatuses {
		check(t, "counts of "+role.Name, role.Replicas, role.ReadyReplicas)
		check(t, "counts of "+role.Name, role.Replicas, role.UpdatedReplicas)
	}
	pods := listed(t, podsIn(namespace))
	check(t, "pods", 2*(2*2+1), len(pods))
	for _, pod := range pods {
		checkPodOfRole(t, set, pod)
	}

	before := uidsOf(pods)
	edit(t, set, func(s *dset) { s.Spec.Roles[1].Spec.Replicas = ptr.To[int32](3) })
	untilOnlyCurrent(t, set)
	check(t, "summary", "prefill 4/4, decode 6/6", set.Status.Summary)
	after := uidsOf(listed(t, podsIn(namespace)))
	for name, uid := range before {
		check(t, "UID of "+name, uid, after[name])
	}
	edit(t, set, func(s *dset) { s.Spec.Slices = ptr.To[int32](1) })
	untilOnlyCurrent(t, set)
	check(t, "summary", "prefill 2/2, decode 3/3", set.Status.Summary)
	edit(t, set, func(s *dset) { s.Spec.Slices = ptr.To[int32](3) })
	untilOnlyCurrent(t, set)
	check(t, "summary", "prefill 6/6, decode 9/9", set.Status.Summary)
	edit(t, set, func(s *dset) { s.Spec.Slices = ptr.To[int32](1) })
	untilOnlyCurrent(t, set)
	after = uidsOf(listed(t, podsIn(namespace)))
	for name, uid := range before {
		if strings.HasPrefix(name, set.Name+"-0-") {
			check(t, "UID of "+name, uid, after[name])
		}
	}
	for _, child := range listed(t, lwsIn(namespace)) {
		check(t, "slice of "+child.Name, "0", child.Labels[disaggregatedsetv1.SliceLabelKey])
		if owner := metav1.GetControllerOf(child); owner == nil || owner.UID != set.UID {
			t.Errorf("%s is owned by %v", child.Name, owner)
		}
	}
}

// checkPodOfRole checks the labels that routers select by, and the environment of containers.
func checkPodOfRole(t *testing.T, set *dset, pod *corev1.Pod) {
	t.Helper()
	labels := pod.Labels
	slice, role := labels[disaggregatedsetv1.SliceLabelKey], labels[disaggregatedsetv1.RoleLabelKey]
	check(t, "name", set.Name, labels[disaggregatedsetv1.SetNameLabelKey])
	check(t, "revision", set.Status.UpdateRevision, labels[disaggregatedsetv1.RevisionLabelKey])
	check(t, "app", set.Name+"-"+slice+"-"+role, labels["app"])
	child := fmt.Sprintf("%s-%s-%s-%s", set.Name, slice, set.Status.UpdateRevision, role)
	if !strings.HasPrefix(pod.Name, child) {
		t.Errorf("%s isn't of %s", pod.Name, child)
	}
	variables := map[string]string{}
	for _, variable := range pod.Spec.Containers[0].Env {
		variables[variable.Name] = variable.Value
	}
	for name, want := range map[string]string{
		"DISAGGREGATEDSET_NAME": set.Name, "DISAGGREGATEDSET_ROLE": role,
		"DISAGGREGATEDSET_SLICE": slice, "DISAGGREGATEDSET_REVISION": set.Status.UpdateRevision,
	} {
		check(t, name+" of "+pod.Name, want, variables[name])
	}
}

// TestDisaggregatedBadTemplate rolls out a decode that is never ready. The old roles keep serving. Going back touches
// no pod of theirs.
func TestDisaggregatedBadTemplate(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	set := newDisaggregated(namespace, []dsetRole{newRole("prefill", 3), newRole("decode", 2)}, limits(1, 0))
	create(t, set)
	untilOnlyCurrent(t, set)
	first, before := set.Status.UpdateRevision, uidsOf(listed(t, podsIn(namespace)))
	film := newRoleFilm(t, set)
	edit(t, set, slowly(1, cluster.ReadyNever))
	film.until(t, func(state childByID) error {
		stuck := state[childName(set, "decode", state, first)]
		return unless(stuck != nil && stuck.Status.Replicas > 0, "no group has the bad template yet")
	})
	edit(t, set, func(s *dset) { s.Spec.Roles[0].Spec.LeaderWorkerTemplate.MaxGroupRestarts = ptr.To[int32](7) })
	film.until(t, func(state childByID) error { // A policy reaches old children while the rollout is stuck.
		old := state["llama-0-"+first+"-prefill"]
		limit := old.Spec.LeaderWorkerTemplate.MaxGroupRestarts
		return unless(limit != nil && *limit == 7, "prefill has maxGroupRestarts %v", limit)
	})
	consistently(t, pollInterval*4, func() error {
		return unless(film.ready(t, "prefill") >= 3 && film.ready(t, "decode") >= 2, "the old roles don't serve")
	})
	edit(t, set, func(s *dset) { s.Spec.Roles[1].Spec.LeaderWorkerTemplate.WorkerTemplate.Annotations = nil })
	untilOnlyCurrent(t, set)
	t.Log(film.states(t, first))
	check(t, "revision", first, set.Status.UpdateRevision)
	film.checkFewest(t, map[string]int32{"prefill": 3, "decode": 2})
	after := uidsOf(listed(t, podsIn(namespace)))
	for name, uid := range before {
		check(t, "UID of "+name, uid, after[name])
	}
}

// childName returns the name of a role's LeaderWorkerSet that isn't of a revision.
func childName(set *dset, role string, state childByID, not string) string {
	for name, child := range state {
		if child.Labels[disaggregatedsetv1.RoleLabelKey] == role && child.Labels[disaggregatedsetv1.RevisionLabelKey] != not {
			return name
		}
	}
	return set.Name
}

// TestDisaggregatedRename gives one role, and then all roles, other names. Then it adds a role and removes one. All are
// rollouts like any other.
func TestDisaggregatedRename(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	set := newDisaggregated(namespace, []dsetRole{newRole("prefill", 2), newRole("decode", 2)}, limits(1, 0))
	create(t, set)
	untilOnlyCurrent(t, set)
	film := newRoleFilm(t, set)
	for _, names := range [][]string{
		{"prefill", "generate"}, {"encode", "answer"}, {"encode", "answer", "route"}, {"route", "answer"},
	} {
		edit(t, set, func(s *dset) {
			s.Spec.Roles = nil
			for _, name := range names {
				s.Spec.Roles = append(s.Spec.Roles, newRole(name, 2))
			}
			limits(1, 0)(s)
		})
		untilOnlyCurrent(t, set)
	}
	check(t, "summary", "route 2/2, answer 2/2", set.Status.Summary)
	film.checkServes(t)
}

// TestDisaggregatedExternal scales a role by its scaler, as an autoscaler does.
func TestDisaggregatedExternal(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	set := newDisaggregated(namespace, []dsetRole{newRole("prefill", 1), newRole("decode", 1)}, func(s *dset) {
		s.Spec.Roles[1].Scaling = &disaggregatedsetv1.RoleScaling{Mode: disaggregatedsetv1.ExternalScaling}
	})
	create(t, set)
	untilOnlyCurrent(t, set)
	scaler := &disaggregatedsetv1.DisaggregatedSetRoleScaler{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "llama-decode"},
	}
	refresh(t, scaler)
	scale := &autoscalingv1.Scale{Spec: autoscalingv1.ScaleSpec{Replicas: 3}}
	err := suite.client.SubResource("scale").Update(t.Context(), scaler, client.WithSubResourceBody(scale))
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, func(ctx context.Context) error {
		if err := suite.client.SubResource("scale").Get(ctx, scaler, scale); err != nil {
			return err
		}
		return unless(scale.Status.Replicas == 3, "the scaler counts %d groups", scale.Status.Replicas)
	})
	selected, err := metav1.ParseToLabelSelector(scale.Status.Selector)
	if err != nil {
		t.Fatal(err)
	}
	ofRole := client.MatchingLabels(selected.MatchLabels)
	check(t, "pods that the scaler selects", 3, len(listed(t, podsIn(namespace, ofRole))))
	edit(t, set, withRoleImages(nextImage, nextImage)) // The number stays the scaler's during a rollout.
	untilOnlyCurrent(t, set)
	check(t, "summary", "prefill 1/1, decode 3/3", set.Status.Summary)

	edit(t, set, func(s *dset) {
		s.Spec.Roles[1].Scaling = nil
		s.Spec.Roles[1].Spec.Replicas = ptr.To[int32](2)
	})
	untilDeleted(t, scaler)
	untilOnlyCurrent(t, set)
	check(t, "summary", "prefill 1/1, decode 2/2", set.Status.Summary)
	edit(t, set, func(s *dset) {
		s.Spec.Roles[1].Scaling = &disaggregatedsetv1.RoleScaling{Mode: disaggregatedsetv1.ExternalScaling}
	})
	eventually(t, func(ctx context.Context) error { // A scaler of a living role begins with what the role has.
		if err := suite.client.Get(ctx, client.ObjectKeyFromObject(scaler), scaler); err != nil {
			return err
		}
		return unless(scaler.Spec.Replicas == 2, "the scaler wants %d groups", scaler.Spec.Replicas)
	})
}

// TestDisaggregatedForeign creates a set while a LeaderWorkerSet and a scaler of somebody else have names that the set
// needs. The set says so, leaves them alone, and goes on once they are gone.
func TestDisaggregatedForeign(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	probe := newDisaggregated(namespace, []dsetRole{newRole("prefill", 1), newRole("decode", 1)})
	create(t, probe)
	untilRolesAvailable(t, probe)
	name := childNames(probe)[1]
	remove(t, probe)
	untilDeleted(t, probe)
	untilNamed(t, lwsIn(namespace))

	foreign := newSet(namespace, name, 1, 1)
	scaler := &disaggregatedsetv1.DisaggregatedSetRoleScaler{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "llama-prefill"},
	}
	create(t, foreign, scaler)
	untilAvailable(t, foreign)
	set := newDisaggregated(namespace, []dsetRole{newRole("prefill", 1), newRole("decode", 1)})
	create(t, set)
	untilFailure(t, set, disaggregatedsetv1.ReasonFailedCreate, name)
	uid := foreign.UID
	refresh(t, foreign)
	check(t, "UID of the other set", uid, foreign.UID)
	check(t, "owners of the other set", 0, len(foreign.OwnerReferences))
	remove(t, foreign)
	untilRolesAvailable(t, set)

	edit(t, set, func(s *dset) {
		s.Spec.Roles[0].Scaling = &disaggregatedsetv1.RoleScaling{Mode: disaggregatedsetv1.ExternalScaling}
	})
	untilFailure(t, set, disaggregatedsetv1.ReasonScalerConflict, scaler.Name)
	remove(t, scaler)
	eventually(t, func(ctx context.Context) error {
		err := suite.client.Get(ctx, client.ObjectKeyFromObject(scaler), scaler)
		return cmp.Or(err, unless(metav1.IsControlledBy(scaler, set), "the scaler belongs to somebody else"))
	})
	check(t, "groups that the scaler begins with", int32(1), scaler.Spec.Replicas)
}

// untilFailure waits until the set's ReplicaFailure has a reason and names an object.
func untilFailure(t *testing.T, set *dset, reason, object string) {
	t.Helper()
	eventually(t, func(ctx context.Context) error {
		if err := suite.client.Get(ctx, client.ObjectKeyFromObject(set), set); err != nil {
			return err
		}
		c := meta.FindStatusCondition(set.Status.Conditions, disaggregatedsetv1.ConditionReplicaFailure)
		return unless(c != nil && c.Reason == reason && strings.Contains(c.Message, object), "condition %+v", c)
	})
}

// TestDisaggregatedDelete deletes a set. Orphaned LeaderWorkerSets and scalers stay and are nobody's. A new set of the
// name doesn't take them, and says so.
func TestDisaggregatedDelete(t *testing.T) {
	t.Parallel()
	for name, policy := range map[string]metav1.DeletionPropagation{
		"background": metav1.DeletePropagationBackground,
		"foreground": metav1.DeletePropagationForeground,
		"orphan":     metav1.DeletePropagationOrphan,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			namespace := newNamespace(t)
			set := newDisaggregated(namespace, []dsetRole{newRole("prefill", 1), newRole("decode", 2)}, func(s *dset) {
				s.Spec.Roles[1].Scaling = &disaggregatedsetv1.RoleScaling{Mode: disaggregatedsetv1.ExternalScaling}
			})
			create(t, set)
			untilRolesAvailable(t, set)
			names, children := childNames(set), record[*leaderworkersetv1.LeaderWorkerSet](t, namespace,
				&leaderworkersetv1.LeaderWorkerSetList{})
			remove(t, set, client.PropagationPolicy(policy))
			untilDeleted(t, set)
			if policy != metav1.DeletePropagationOrphan {
				untilNamed(t, lwsIn(namespace))
				untilNamed(t, podsIn(namespace))
				check(t, "incarnations", each(names, 1), children.incarnations(t))
				return
			}
			untilNamed(t, lwsIn(namespace), names...)
			orphans := listed(t, lwsIn(namespace))
			again := newDisaggregated(namespace, set.Spec.Roles)
			create(t, again)
			untilFailure(t, again, disaggregatedsetv1.ReasonScalerConflict, "llama-decode")
			for _, orphan := range orphans {
				uid := orphan.UID
				refresh(t, orphan)
				check(t, "owners of "+orphan.Name, 0, len(orphan.OwnerReferences))
				check(t, "UID of "+orphan.Name, uid, orphan.UID)
			}
		})
	}
}

// roleFilm records the LeaderWorkerSets of a namespace from now on.
type roleFilm struct {
	*recording[*leaderworkersetv1.LeaderWorkerSet]
	roles []string

	// set is the name of the set whose LeaderWorkerSets count; empty for all.
	set string
}

func newRoleFilm(t *testing.T, set *dset) *roleFilm {
	t.Helper()
	film := &roleFilm{recording: record[*leaderworkersetv1.LeaderWorkerSet](t, set.Namespace,
		&leaderworkersetv1.LeaderWorkerSetList{})}
	for i := range set.Spec.Roles {
		film.roles = append(film.roles, set.Spec.Roles[i].Name)
	}
	return film
}

// of returns the film of one of several sets in the namespace.
func (f *roleFilm) of(set *dset) *roleFilm {
	return &roleFilm{recording: f.recording, roles: f.roles, set: set.Name}
}

// ready returns how many groups of a role are ready now.
func (f *roleFilm) ready(t *testing.T, role string) int32 {
	t.Helper()
	return readyOf(f.current(t), role)
}

// readyOf counts the ready groups of a role that aren't about to go.
func readyOf(state childByID, role string) int32 {
	ready := int32(0)
	for _, child := range state {
		if child.Labels[disaggregatedsetv1.RoleLabelKey] == role {
			ready += readyGroups(child)
		}
	}
	return ready
}

// readyGroups counts the ready groups of a LeaderWorkerSet that aren't about to go; 0 for nil.
func readyGroups(child *leaderworkersetv1.LeaderWorkerSet) int32 {
	if child == nil || child.DeletionTimestamp != nil {
		return 0
	}
	return min(child.Status.ReadyReplicas, *child.Spec.Replicas)
}

// each visits all states of the LeaderWorkerSets, one after the other.
func (f *roleFilm) each(t *testing.T, visit func(childByID)) {
	t.Helper()
	counts := func(child *leaderworkersetv1.LeaderWorkerSet) bool {
		return f.set == "" || child.Labels[disaggregatedsetv1.SetNameLabelKey] == f.set
	}
	state := f.atStart()
	maps.DeleteFunc(state, func(_ string, child *leaderworkersetv1.LeaderWorkerSet) bool { return !counts(child) })
	visit(state)
	for _, change := range f.soFar(t) {
		if counts(change.object) {
			change.apply(state)
			visit(state)
		}
	}
}

// checkFewest checks that no role has ever had fewer ready groups.
func (f *roleFilm) checkFewest(t *testing.T, fewest map[string]int32) {
	t.Helper()
	f.each(t, func(state childByID) {
		for role, floor := range fewest {
			if ready := readyOf(state, role); ready < floor {
				t.Errorf("%s has %d ready groups, fewer than %d: %s", role, ready, floor, describe(state))
			}
		}
	})
}

// describe writes the counts of all LeaderWorkerSets.
func describe(state childByID) string {
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(state)) {
		child := state[name]
		lines = append(lines, fmt.Sprintf("%s: %d of generation %d; of generation %d: %d, %d ready", name,
			*child.Spec.Replicas, child.Generation,
			child.Status.ObservedGeneration, child.Status.Replicas, child.Status.ReadyReplicas))
	}
	return strings.Join(lines, "; ")
}

// replicas writes the replicas of all roles in the way of the contract's tables: first those of a revision, and after a
// slash those of all others.
func (f *roleFilm) replicas(state childByID, first string) string {
	old, current := make([]int32, len(f.roles)), make([]int32, len(f.roles))
	for _, child := range state {
		counted := current
		if child.Labels[disaggregatedsetv1.RevisionLabelKey] == first {
			counted = old
		}
		if i := slices.Index(f.roles, child.Labels[disaggregatedsetv1.RoleLabelKey]); i >= 0 {
			counted[i] += *child.Spec.Replicas
		}
	}
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(old), " ", ""), "[]") + "/" +
		strings.Trim(strings.ReplaceAll(fmt.Sprint(current), " ", ""), "[]")
}

// states returns all replicas that the roles have had, one after the other.
func (f *roleFilm) states(t *testing.T, first string) []string {
	t.Helper()
	var states []string
	f.each(t, func(state childByID) {
		if next := f.replicas(state, first); len(states) == 0 || next != states[len(states)-1] {
			states = append(states, next)
		}
	})
	return states
}
