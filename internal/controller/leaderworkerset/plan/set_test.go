// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/plan"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/release"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/revision"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/snapshot"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/status"
	"github.com/leaderworkerset/lws-operator/internal/controller/write"
)

func wantWrites(t *testing.T, what string, got []write.Write, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, described(got)); diff != "" {
		t.Errorf("%s: writes (-want +got):\n%s", what, diff)
	}
}

func reasons(planned plan.Set) []string {
	var all []string
	for _, event := range append(planned.WriteEvents, planned.StatusEvents...) {
		all = append(all, event.Reason)
	}
	return all
}

func TestForSetOnAnEmptyWorld(t *testing.T) {
	lws := newSet()
	lws.Spec.RolloutStrategy.RollingUpdateConfiguration = &leaderworkersetv1.RollingUpdateConfiguration{
		Partition: ptr.To[int32](1), MaxSurge: ptr.To(intstr.FromInt32(2)), MaxUnavailable: ptr.To(intstr.FromInt32(1)),
	}
	planned := forSet(t, &world{Set: snapshot.Set{LWS: lws}})

	created, err := revision.New(lws, nil)
	if err != nil {
		t.Fatal(err)
	}
	wantWrites(t, "first pass", planned.Writes,
		"create *v1.ControllerRevision "+created.Name,
		"create *v1.Service llama",
		"create *v1.StatefulSet llama")
	if got := *as[*appsv1.StatefulSet](t, planned.Writes[2].Create).Spec.Replicas; got != 2 {
		t.Errorf("got %d replicas, want 2, without surge", got)
	}
	wanted := []string{leaderworkersetv1.ReasonCreatingRevision, leaderworkersetv1.ReasonGroupsProgressing}
	if diff := cmp.Diff(wanted, reasons(planned)); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	if meta.IsStatusConditionTrue(planned.Status.Conditions, leaderworkersetv1.ConditionUpdateInProgress) {
		t.Error("a new set shows UpdateInProgress")
	}
}

func TestForSetOnAnUnchangedWorld(t *testing.T) {
	for name, change := range map[string]func(*leaderworkersetv1.LeaderWorkerSet){
		"as it is":    func(*leaderworkersetv1.LeaderWorkerSet) {},
		"size 1":      func(lws *leaderworkersetv1.LeaderWorkerSet) { lws.Spec.LeaderWorkerTemplate.Size = ptr.To[int32](1) },
		"scaled to 0": func(lws *leaderworkersetv1.LeaderWorkerSet) { lws.Spec.Replicas = ptr.To[int32](0) },
		"a Service for each group": func(lws *leaderworkersetv1.LeaderWorkerSet) {
			lws.Spec.NetworkConfig.SubdomainPolicy = ptr.To(leaderworkersetv1.SubdomainUniquePerReplica)
		},
	} {
		t.Run(name, func(t *testing.T) {
			lws := newSet()
			change(lws)
			observed := settled(t, lws)
			planned, err := planAt(observed, now.Add(time.Hour))
			if err != nil {
				t.Fatal(err)
			}
			wantWrites(t, "at rest", planned.Writes)
			if diff := cmp.Diff(lws.Status, planned.Status); diff != "" {
				t.Errorf("status at rest (-before +after):\n%s", diff)
			}
			if events := reasons(planned); len(events) > 0 {
				t.Errorf("events at rest: %v", events)
			}
		})
	}
}

// TestForSetWithFieldsOfOtherControllers adds fields to a set at rest that say what happens anyway.
func TestForSetWithFieldsOfOtherControllers(t *testing.T) {
	observed := settled(t, newSet())
	observed.LWS.Spec.GroupIdentity = leaderworkersetv1.GroupIdentityOrdinal
	observed.LWS.Spec.GroupReplacementPolicy = leaderworkersetv1.GroupReplacementPostTermination
	observed.LWS.Spec.PodTerminationPolicy = leaderworkersetv1.ParallelPodTerminationPolicy
	wantWrites(t, "with the fields", forSet(t, observed).Writes)
}

// TestForSetLeavesUnsupportedSetsAlone makes passes over sets that another controller's CRD admitted.
func TestForSetLeavesUnsupportedSetsAlone(t *testing.T) {
	for want, change := range map[string]func(*leaderworkersetv1.LeaderWorkerSetSpec){
		"groups are identified by index": func(s *leaderworkersetv1.LeaderWorkerSetSpec) { s.GroupIdentity = "Hash" },
		"the operator has no provider for gang scheduling": func(s *leaderworkersetv1.LeaderWorkerSetSpec) {
			s.Scheduling = &leaderworkersetv1.Scheduling{}
		},
	} {
		for title, observed := range map[string]*world{
			"without children": {Set: snapshot.Set{LWS: newSet()}}, "with children": settled(t, newSet()),
		} {
			change(&observed.LWS.Spec)
			setImage(observed.LWS, "serve:2")
			planned := forSet(t, observed)
			wantWrites(t, title, planned.Writes)
			failure := meta.FindStatusCondition(planned.Status.Conditions, leaderworkersetv1.ConditionReplicaFailure)
			if failure == nil || !strings.Contains(failure.Message, want) {
				t.Errorf("%s: condition %+v; want one that says %q", title, failure, want)
			}
		}
	}
}

// TestForSetKeepsForeignFields fills in defaults of the StatefulSet as the API server does, and adds labels.
func TestForSetKeepsForeignFields(t *testing.T) {
	observed := settled(t, newSet())
	leaders := observed.Leaders.DeepCopy()
	leaders.Labels["team"] = "inference"
	leaders.Annotations["note"] = "mine"
	leaders.Spec.RevisionHistoryLimit = ptr.To[int32](10)
	leaders.Spec.UpdateStrategy.RollingUpdate.MaxUnavailable = ptr.To(intstr.FromInt32(1))
	leaders.Spec.Template.Spec.RestartPolicy = corev1.RestartPolicyAlways
	leaders.Spec.Template.Spec.SchedulerName = corev1.DefaultSchedulerName
	observed.Leaders = leaders
	wantWrites(t, "with defaults filled in", forSet(t, observed).Writes)
}

func TestForSetRollsOutATemplateChange(t *testing.T) {
	lws := newSet()
	lws.Spec.LeaderWorkerTemplate.RestartPolicy = leaderworkersetv1.NoneRestartPolicy // Then no record is written.
	observed := settled(t, lws)
	earlierKey := observed.Leaders.Labels[leaderworkersetv1.RevisionLabelKey]
	setImage(observed.LWS, "serve:2")
	next, err := revision.New(observed.LWS, observed.Revisions)
	if err != nil {
		t.Fatal(err)
	}
	key := revision.Key(next)

	planned := forSet(t, observed)
	wantWrites(t, "the change", planned.Writes,
		"create *v1.ControllerRevision "+next.Name, "patch *v1.StatefulSet llama", "delete *v1.Pod llama-1")
	changed := as[*appsv1.StatefulSet](t, planned.Writes[1].Patch.To)
	if got := changed.Spec.Template.Spec.Containers[0].Image; got != "serve:2" {
		t.Errorf("image is %q, want serve:2", got)
	}
	if got := changed.Labels[leaderworkersetv1.RevisionLabelKey]; got != key {
		t.Errorf("revision is %q, want %q", got, key)
	}
	if got := *changed.Spec.UpdateStrategy.RollingUpdate.Partition; got != 1 {
		t.Errorf("partition is %d, want 1", got)
	}
	wanted := []string{
		leaderworkersetv1.ReasonCreatingRevision, leaderworkersetv1.ReasonGroupsProgressing,
		leaderworkersetv1.ReasonGroupsUpdating,
	}
	if diff := cmp.Diff(wanted, reasons(planned)); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}

	if got, want := string(planned.Writes[2].Delete[0].GetUID()), "leader-1-"+earlierKey; got != want {
		t.Errorf("the deletion is of UID %q, want %q", got, want)
	}

	carryOut(observed, planned)
	wantWrites(t, "while group 1 is missing", forSet(t, observed).Writes)

	settle(observed)
	wantWrites(t, "once group 1 is ready", forSet(t, observed).Writes,
		"patch *v1.StatefulSet llama", "delete *v1.Pod llama-0")
	carryOut(observed, forSet(t, observed))
	settle(observed)
	planned = forSet(t, observed)
	wantWrites(t, "at the end", planned.Writes)
	if diff := cmp.Diff([]string{leaderworkersetv1.ReasonAllGroupsReady}, reasons(planned)); diff != "" {
		t.Errorf("events at the end (-want +got):\n%s", diff)
	}
}

func TestForSetDoesNotReplaceATerminatingGroupAgain(t *testing.T) {
	observed := settled(t, newSet())
	setImage(observed.LWS, "serve:2")
	carryOut(observed, forSet(t, observed))
	settle(observed)
	observed.Groups[1].Leader.DeletionTimestamp = &now
	wantWrites(t, "with the leader terminating", forSet(t, observed).Writes)
}

// TestForSetAtAnotherPush changes the templates again in the middle of a rollout with a surge group. The partition
// first protects all groups, or the StatefulSet controller would replace them on its own. The missing group is created
// at the latest revision, below the partition.
func TestForSetAtAnotherPush(t *testing.T) {
	lws := newSet()
	lws.Spec.Replicas = ptr.To[int32](1)
	lws.Spec.RolloutStrategy.RollingUpdateConfiguration.MaxSurge = ptr.To(intstr.FromInt32(1))
	lws.Spec.RolloutStrategy.RollingUpdateConfiguration.MaxUnavailable = ptr.To(intstr.FromInt32(0))
	observed := settled(t, lws)
	setImage(lws, "serve:2")
	carryOut(observed, forSet(t, observed)) // Adds the surge group.
	settle(observed)
	carryOut(observed, forSet(t, observed)) // Releases and deletes group 0: the surge group serves alone.

	setImage(lws, "serve:3")
	carryOut(observed, forSet(t, observed))
	if got, want := release.Of(observed.Leaders),
		(release.Release{Partition: 2, Also: []int32{0}}); !cmp.Equal(want, got) {
		t.Errorf("release is %+v, want %+v: the partition above the surge group, the only ready one", got, want)
	}
	if got := observed.Leaders.Spec.UpdateStrategy.Type; got != appsv1.OnDeleteStatefulSetStrategyType {
		t.Errorf("strategy is %s, want OnDelete, with which group 0 is created at the latest revision", got)
	}
	if got := *observed.Leaders.Spec.Replicas; got != 2 {
		t.Errorf("replicas are %d, want 2", got)
	}
}

func TestForSetPatchesOnlyMetadataAndBehavior(t *testing.T) {
	for name, change := range map[string]func(*leaderworkersetv1.LeaderWorkerSet){
		"a label": func(lws *leaderworkersetv1.LeaderWorkerSet) {
			lws.Labels = map[string]string{"team": "inference"}
		},
		"an annotation": func(lws *leaderworkersetv1.LeaderWorkerSet) {
			lws.Annotations = map[string]string{"note": "mine"}
		},
		"scaling":         func(lws *leaderworkersetv1.LeaderWorkerSet) { lws.Spec.Replicas = ptr.To[int32](5) },
		"scaling to none": func(lws *leaderworkersetv1.LeaderWorkerSet) { lws.Spec.Replicas = ptr.To[int32](0) },
		"claim retention": func(lws *leaderworkersetv1.LeaderWorkerSet) {
			policy := &appsv1.StatefulSetPersistentVolumeClaimRetentionPolicy{
				WhenDeleted: appsv1.DeletePersistentVolumeClaimRetentionPolicyType,
			}
			lws.Spec.LeaderWorkerTemplate.PersistentVolumeClaimRetentionPolicy = policy
		},
		"partition": func(lws *leaderworkersetv1.LeaderWorkerSet) {
			lws.Spec.RolloutStrategy.RollingUpdateConfiguration.Partition = ptr.To[int32](1)
		},
	} {
		t.Run(name, func(t *testing.T) {
			observed := settled(t, newSet())
			before := observed.Leaders.DeepCopy()
			change(observed.LWS)
			planned := forSet(t, observed)
			wantWrites(t, "the change", planned.Writes, "patch *v1.StatefulSet llama")
			changed := as[*appsv1.StatefulSet](t, planned.Writes[0].Patch.To)
			if diff := cmp.Diff(before.Spec.Template, changed.Spec.Template); diff != "" {
				t.Errorf("the pod template changed, which restarts pods (-before +after):\n%s", diff)
			}
			carryOut(observed, planned)
			wantWrites(t, "the pass after", forSet(t, observed).Writes)
		})
	}
}

func TestForSetIgnoresPolicies(t *testing.T) {
	for name, change := range map[string]func(*leaderworkersetv1.LeaderWorkerSetSpec){
		"restartPolicy": func(s *leaderworkersetv1.LeaderWorkerSetSpec) {
			s.LeaderWorkerTemplate.RestartPolicy = leaderworkersetv1.NoneRestartPolicy
		},
		"startupPolicy": func(s *leaderworkersetv1.LeaderWorkerSetSpec) {
			s.StartupPolicy = leaderworkersetv1.LeaderReadyStartupPolicy
		},
		"budget": func(s *leaderworkersetv1.LeaderWorkerSetSpec) {
			s.RolloutStrategy.RollingUpdateConfiguration.MaxSurge = ptr.To(intstr.FromString("100%"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			observed := settled(t, newSet())
			change(&observed.LWS.Spec)
			wantWrites(t, "the change", forSet(t, observed).Writes)
		})
	}
}

func TestForSetScalesDownWithoutSurge(t *testing.T) {
	lws := newSet()
	lws.Spec.Replicas = ptr.To[int32](4)
	lws.Spec.RolloutStrategy.RollingUpdateConfiguration.MaxSurge = ptr.To(intstr.FromInt32(1))
	observed := settled(t, lws)
	observed.Groups[0].Leader.Status.Conditions = nil // Not ready, but no rollout: no surge.

	lws.Spec.Replicas = ptr.To[int32](2)
	carryOut(observed, forSet(t, observed))
	if got := *observed.Leaders.Spec.Replicas; got != 2 {
		t.Errorf("the leader StatefulSet has %d replicas, want 2", got)
	}
}

func TestForSetRollsBack(t *testing.T) {
	observed := settled(t, newSet())
	first := observed.Revisions[0]
	setImage(observed.LWS, "serve:2")
	carryOut(observed, forSet(t, observed)) // Group 1 is released and deleted.
	settle(observed)
	setImage(observed.LWS, "serve:1")

	planned := forSet(t, observed)
	wantWrites(t, "the rollback", planned.Writes, "patch *v1.ControllerRevision "+first.Name,
		"patch *v1.StatefulSet llama", "delete *v1.Pod llama-1")
	if got := as[*appsv1.ControllerRevision](t, planned.Writes[0].Patch.To).Revision; got != 3 {
		t.Errorf("the earlier revision gets number %d, want 3", got)
	}
	patched := as[*appsv1.StatefulSet](t, planned.Writes[1].Patch.To)
	if got, want := patched.Labels[leaderworkersetv1.RevisionLabelKey], revision.Key(first); got != want {
		t.Errorf("key is %q, want the earlier one, %q", got, want)
	}
}

func TestForSetSwitchesServices(t *testing.T) {
	observed := settled(t, newSet())
	observed.LWS.Spec.NetworkConfig.SubdomainPolicy = ptr.To(leaderworkersetv1.SubdomainUniquePerReplica)
	for range 2 {
		planned := forSet(t, observed)
		for _, line := range described(planned.Writes) {
			if line == "delete *v1.Service llama" {
				t.Fatal("the shared Service is deleted while groups use it")
			}
		}
		carryOut(observed, planned)
		settle(observed)
	}
	wantWrites(t, "when no group uses it", forSet(t, observed).Writes, "delete *v1.Service llama")
}

func TestForSetWithForeignObjects(t *testing.T) {
	other := []metav1.OwnerReference{{
		APIVersion: "apps/v1", Kind: "Deployment", Name: "x", UID: "x", Controller: ptr.To(true),
	}}
	earlierSet := []metav1.OwnerReference{{
		APIVersion: "leaderworkerset.x-k8s.io/v1", Kind: "LeaderWorkerSet", Name: "llama", UID: "earlier",
		Controller: ptr.To(true),
	}}
	for _, tc := range []struct {
		name       string
		owners     []metav1.OwnerReference
		isDeleted  bool
		wantReport bool
	}{
		{"without owner and labels", nil, false, true},
		{"of another owner", other, false, true},
		{"of another owner, terminating", other, true, false},
		{"of an earlier set of the same name", earlierSet, false, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			earlier := settled(t, newSet())
			foreign := metav1.ObjectMeta{Name: "llama", Namespace: "default", UID: "foreign", OwnerReferences: tc.owners}
			if tc.isDeleted {
				foreign.DeletionTimestamp = &now
			}
			lws := newSet()
			lws.UID = "new"
			leaders := earlier.Leaders.DeepCopy()
			leaders.ObjectMeta = foreign
			observed := &world{Set: snapshot.Set{
				LWS: lws, Leaders: leaders, Service: &corev1.Service{ObjectMeta: foreign}, Revisions: earlier.Revisions,
			}}
			for _, group := range earlier.Groups {
				owner := metav1.NewControllerRef(leaders, appsv1.SchemeGroupVersion.WithKind("StatefulSet"))
				group.Leader.OwnerReferences = []metav1.OwnerReference{*owner}
				pods, workers := []*corev1.Pod{group.Leader}, []*appsv1.StatefulSet{group.Workers}
				observed.Groups = append(observed.Groups, snapshot.OwnedGroups(lws, leaders, pods, workers)...)
			}

			planned := forSet(t, observed)
			if len(planned.Writes) != 1 || planned.Writes[0].Create == nil {
				t.Fatalf("got writes %q, want only the set's own revision", described(planned.Writes))
			}
			created := as[*appsv1.ControllerRevision](t, planned.Writes[0].Create)
			if revision.Find(earlier.Revisions, revision.Key(created)) != nil {
				t.Errorf("revision %s has the key of another set's revision", created.Name)
			}
			condition := meta.FindStatusCondition(planned.Status.Conditions, leaderworkersetv1.ConditionReplicaFailure)
			switch {
			case !tc.wantReport && condition != nil:
				t.Errorf("got %+v, want no condition", condition)
			case tc.wantReport && (condition == nil ||
				condition.Message != `Service "llama" exists and does not belong to this LeaderWorkerSet; `+
					`StatefulSet "llama" exists and does not belong to this LeaderWorkerSet`):
				t.Errorf("got %+v, want the objects whose names are taken", condition)
			}
			if planned.Status.Replicas != 0 ||
				meta.IsStatusConditionTrue(planned.Status.Conditions, leaderworkersetv1.ConditionAvailable) {
				t.Errorf("status counts the groups of another owner: %+v", planned.Status)
			}
		})
	}
}

func TestForSetPrunesRevisions(t *testing.T) {
	for name, tc := range map[string]struct {
		limit *int32
		want  int
	}{
		"the default":      {nil, 10 + 2},
		"one":              {ptr.To[int32](1), 1 + 2},
		"none":             {ptr.To[int32](0), 0 + 2},
		"more than pushes": {ptr.To[int32](100), 51},
	} {
		t.Run(name, func(t *testing.T) {
			observed := settled(t, newSet())
			used := observed.Groups[0].Revision()
			observed.LWS.Spec.RevisionHistoryLimit = tc.limit
			observed.LWS.Default()
			for push := range 50 {
				// The partition protects both groups from these pushes.
				setImage(observed.LWS, fmt.Sprintf("serve:%d", push+2))
				observed.LWS.Spec.RolloutStrategy.RollingUpdateConfiguration.Partition = ptr.To[int32](2)
				carryOut(observed, forSet(t, observed))
			}
			carryOut(observed, forSet(t, observed))
			// The history, the revision of the groups, and the current one.
			if got := len(observed.Revisions); got != tc.want {
				t.Errorf("%d revisions remain, want %d", got, tc.want)
			}
			if revision.Find(observed.Revisions, used) == nil {
				t.Error("the revision of the groups was deleted")
			}
			if got := revision.Latest(observed.Revisions); got != 51 {
				t.Errorf("the latest revision is %d, want 51", got)
			}
		})
	}
}

// TestForSetKeepsTheRevisionBelowThePartition deletes the only group below the partition. The StatefulSet controller
// creates it again from its current revision, which no pod has in between.
func TestForSetKeepsTheRevisionBelowThePartition(t *testing.T) {
	observed := settled(t, newSet())
	first := observed.Revisions[0]
	observed.LWS.Spec.RevisionHistoryLimit = ptr.To[int32](0)
	observed.LWS.Spec.RolloutStrategy.RollingUpdateConfiguration.Partition = ptr.To[int32](1)
	setImage(observed.LWS, "serve:2")
	for range 3 {
		carryOut(observed, forSet(t, observed))
		settle(observed)
	}
	observed.Groups = observed.Groups[1:]
	kept := func(what string) {
		t.Helper()
		if slices.Contains(described(forSet(t, observed).Writes), "delete *v1.ControllerRevision "+first.Name) {
			t.Errorf("%s: the revision of the missing group is deleted", what)
		}
	}
	observed.Leaders.Status.CurrentRevision = "llama-current"
	kept("the current revision isn't known")
	observed.BelowPartitionKey = revision.Key(first)
	kept("the current revision is known")

	// Once the rollout is complete, no group is created at it.
	observed.BelowPartitionKey = observed.Leaders.Labels[leaderworkersetv1.RevisionLabelKey]
	wantWrites(t, "afterwards", forSet(t, observed).Writes, "delete *v1.ControllerRevision "+first.Name)
}

func TestForSetOfAnEmptySpec(t *testing.T) {
	// A set that was stored before its fields were required has almost no spec.
	lws := &leaderworkersetv1.LeaderWorkerSet{ObjectMeta: metav1.ObjectMeta{Name: "llama", Namespace: "default"}}
	lws.Default()
	if got := len(forSet(t, &world{Set: snapshot.Set{LWS: lws}}).Writes); got != 3 {
		t.Errorf("%d writes, want 3", got)
	}
}

func TestForSetReportsObstaclesOfGroups(t *testing.T) {
	observed := settled(t, newSet())
	observed.memory.Obstacles = []status.Obstacle{
		{Group: 1, Reason: leaderworkersetv1.ReasonFailedCreate, Message: "group 1: quota"},
	}
	planned := forSet(t, observed)
	condition := meta.FindStatusCondition(planned.Status.Conditions, leaderworkersetv1.ConditionReplicaFailure)
	if condition == nil || condition.Message != "group 1: quota" {
		t.Errorf("got %+v, want the group's obstacle", condition)
	}
	if len(observed.memory.Obstacles) != 1 {
		t.Errorf("the plan changed the memory: %v", observed.memory.Obstacles)
	}
}

// TestForSetDelaysTheStatus changes only the counts of a status. It is written a second after the status before, or
// later in a large set.
func TestForSetDelaysTheStatus(t *testing.T) {
	replicas := func(count int32) func(*world) {
		return func(s *world) { s.LWS.Spec.Replicas = &count }
	}
	for _, tc := range []struct {
		name   string
		ago    time.Duration // since the status was written
		change func(*world)
		want   int32 // ready replicas
		wait   time.Duration
	}{
		{"a second ago", time.Second, func(*world) {}, 1, 0},
		{"300 ms ago", 300 * time.Millisecond, func(*world) {}, 0, 700 * time.Millisecond},
		{"a second ago, in a large set", time.Second, replicas(500), 0, time.Second},
		{"five seconds ago, in a huge set", 5 * time.Second, replicas(10_000), 1, 0},
		{"300 ms ago, and all groups are ready", 300 * time.Millisecond, func(s *world) {
			s.Groups[1].Leader.Status.Conditions = s.Groups[0].Leader.Status.Conditions
			s.LWS.Status.Conditions = forSet(t, s).Status.Conditions
		}, 2, 0},
		{"300 ms ago, and the set has changed since", 300 * time.Millisecond, func(s *world) { s.LWS.Generation++ }, 1, 0},
		{"300 ms ago, and there is an obstacle since", 300 * time.Millisecond, func(s *world) {
			s.memory.Obstacles = []status.Obstacle{{Reason: leaderworkersetv1.ReasonFailedCreate, Message: "quota"}}
		}, 1, 5 * time.Minute}, // Then the set is stalled.
	} {
		t.Run(tc.name, func(t *testing.T) {
			observed := settled(t, newSet())
			ready := observed.Groups[0].Leader.Status.Conditions
			for i := range observed.Groups {
				observed.Groups[i].Leader.Status.Conditions = nil
			}
			observed.LWS.Status = forSet(t, observed).Status
			observed.Groups[0].Leader.Status.Conditions = ready
			observed.memory.StatusWrittenAt = now.Add(-tc.ago)
			tc.change(observed)
			planned := forSet(t, observed)
			if got := planned.Status.ReadyReplicas; got != tc.want || planned.RequeueAfter != tc.wait {
				t.Errorf("got %d ready replicas and another pass after %s, want %d and %s",
					got, planned.RequeueAfter, tc.want, tc.wait)
			}
		})
	}
}

// TestForSetDelaysTexts changes what a status says of the same pods. It is written a minute after the status before.
func TestForSetDelaysTexts(t *testing.T) {
	const before, after = "0/3 nodes are available", "0/4 nodes are available"
	faults := func(text string, pods ...string) *snapshot.Observation {
		return &snapshot.Observation{Faults: []snapshot.Fault{
			{Reason: leaderworkersetv1.UnreadyUnschedulable, Pods: pods, Text: text},
		}}
	}
	for _, tc := range []struct {
		name string
		ago  time.Duration // since the status was written
		next *snapshot.Observation
		want string
		wait time.Duration
	}{
		{"the same", time.Second, faults(before, "llama-1-1"), "llama-1-1: " + before, 0},
		{"another text, 20 s ago", 20 * time.Second, faults(after, "llama-1-1"), "llama-1-1: " + before, 40 * time.Second},
		{"another text, a minute ago", time.Minute, faults(after, "llama-1-1"), "llama-1-1: " + after, 0},
		{
			"another pod, 2 s ago", 2 * time.Second, faults(before, "llama-1-1", "llama-1-2"),
			"llama-1-1, llama-1-2: " + before, 0,
		},
		{
			"another pod, 300 ms ago", 300 * time.Millisecond, faults(before, "llama-1-1", "llama-1-2"),
			"llama-1-1: " + before, 700 * time.Millisecond,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			observed := settled(t, newSet())
			observed.Groups[1].Leader.Status.Conditions = nil
			observed.Groups[1].Observed = faults(before, "llama-1-1")
			observed.LWS.Status = forSet(t, observed).Status
			observed.memory.StatusWrittenAt, observed.Groups[1].Observed = now.Add(-tc.ago), tc.next
			planned := forSet(t, observed)
			if got := planned.Status.UnreadyGroups[0].Message; got != tc.want || planned.RequeueAfter != tc.wait {
				t.Errorf("got %q and another pass after %s, want %q and %s", got, planned.RequeueAfter, tc.want, tc.wait)
			}
		})
	}
}

// TestForSetReplacesWhatItReleases raises the budget while a group is released and, after a crash, not deleted yet. A
// group is deleted in the pass that releases it, or in the next one, unless the user takes the release back.
func TestForSetReplacesWhatItReleases(t *testing.T) {
	observed := settled(t, newSet())
	setImage(observed.LWS, "serve:2")
	carryOutUntilDeletions(observed, forSet(t, observed))
	wantPartition(t, "the first step", observed, 1)
	wantWrites(t, "after the crash", forSet(t, observed).Writes, "check *v1.StatefulSet llama", "delete *v1.Pod llama-1")
	update := observed.LWS.Spec.RolloutStrategy.RollingUpdateConfiguration
	update.MaxUnavailable = ptr.To(intstr.FromInt32(2))
	planned := forSet(t, observed)
	wantWrites(t, "the second step", planned.Writes,
		"patch *v1.StatefulSet llama", "delete *v1.Pod llama-0", "delete *v1.Pod llama-1")
	carryOutUntilDeletions(observed, planned)
	wantPartition(t, "the second step", observed, 0)
	update.Partition = ptr.To[int32](1)
	wantWrites(t, "when the user reverts the second", forSet(t, observed).Writes,
		"patch *v1.StatefulSet llama", "delete *v1.Pod llama-1")
}

func wantPartition(t *testing.T, when string, observed *world, want int32) {
	t.Helper()
	if got := *observed.Leaders.Spec.UpdateStrategy.RollingUpdate.Partition; got != want {
		t.Errorf("%s: partition %d, want %d", when, got, want)
	}
}
