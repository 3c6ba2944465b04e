// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"fmt"
	"slices"
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
		t.Errorf("got %d replicas, want exactly those asked for, 2", got)
	}
	if diff := cmp.Diff([]string{leaderworkersetv1.ReasonCreatingRevision, leaderworkersetv1.ReasonGroupsProgressing}, reasons(planned)); diff != "" {
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
			if told := reasons(planned); len(told) > 0 {
				t.Errorf("events at rest: %v", told)
			}
		})
	}
}

// TestForSetKeepsWhatOthersAdded has the API server fill in defaults of the StatefulSet, and others label it.
func TestForSetKeepsWhatOthersAdded(t *testing.T) {
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
	lws.Spec.LeaderWorkerTemplate.RestartPolicy = leaderworkersetv1.NoneRestartPolicy // Nobody follows the lives of its groups here.
	observed := settled(t, lws)
	oldKey := observed.Leaders.Labels[leaderworkersetv1.RevisionLabelKey]
	setImage(observed.LWS, "serve:2")
	next, err := revision.New(observed.LWS, observed.Revisions)
	if err != nil {
		t.Fatal(err)
	}
	key := revision.Key(next)

	planned := forSet(t, observed)
	wantWrites(t, "the change", planned.Writes, "create *v1.ControllerRevision "+next.Name, "patch *v1.StatefulSet llama")
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
	if diff := cmp.Diff([]string{leaderworkersetv1.ReasonCreatingRevision, leaderworkersetv1.ReasonGroupsProgressing, leaderworkersetv1.ReasonGroupsUpdating}, reasons(planned)); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}

	carryOut(observed, planned)
	wantWrites(t, "before the StatefulSet controller has observed the partition", forSet(t, observed).Writes)

	observed.Leaders.Status.ObservedGeneration = observed.Leaders.Generation
	planned = forSet(t, observed)
	wantWrites(t, "after it", planned.Writes, "delete *v1.Pod llama-1")
	if got, want := string(planned.Writes[0].Delete[0].GetUID()), "leader-1-"+oldKey; got != want {
		t.Errorf("the deletion is of UID %q, want %q", got, want)
	}

	carryOut(observed, planned)
	wantWrites(t, "while group 1 is missing", forSet(t, observed).Writes)

	settle(observed)
	wantWrites(t, "once group 1 is ready", forSet(t, observed).Writes, "patch *v1.StatefulSet llama")
	carryOut(observed, forSet(t, observed))
	settle(observed)
	wantWrites(t, "then", forSet(t, observed).Writes, "delete *v1.Pod llama-0")
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

// TestForSetAtAnotherPush has groups and a surge group in the middle of a rollout when the templates change again: the partition
// first protects them all, or the StatefulSet controller would replace them on its own. The group that is missing comes back at the
// latest revision, ahead of the partition.
func TestForSetAtAnotherPush(t *testing.T) {
	lws := newSet()
	lws.Spec.Replicas = ptr.To[int32](1)
	lws.Spec.RolloutStrategy.RollingUpdateConfiguration.MaxSurge = ptr.To(intstr.FromInt32(1))
	lws.Spec.RolloutStrategy.RollingUpdateConfiguration.MaxUnavailable = ptr.To(intstr.FromInt32(0))
	observed := settled(t, lws)
	setImage(lws, "serve:2")
	carryOut(observed, forSet(t, observed)) // Asks for the surge group.
	settle(observed)
	carryOut(observed, forSet(t, observed)) // Lets group 0 go.
	settle(observed)
	carryOut(observed, forSet(t, observed)) // Deletes it: the surge group serves alone.

	setImage(lws, "serve:3")
	carryOut(observed, forSet(t, observed))
	if got, want := release.Of(observed.Leaders), (release.Release{Partition: 2, Also: []int32{0}}); !cmp.Equal(want, got) {
		t.Errorf("order is %+v, want %+v: the partition above the surge group, the only ready one", got, want)
	}
	if got := observed.Leaders.Spec.UpdateStrategy.Type; got != appsv1.OnDeleteStatefulSetStrategyType {
		t.Errorf("strategy is %s, want OnDelete, by which group 0 is created at the latest revision", got)
	}
	if got := *observed.Leaders.Spec.Replicas; got != 2 {
		t.Errorf("replicas are %d, want 2", got)
	}
}

func TestForSetPatchesOnlyMetadataAndBehavior(t *testing.T) {
	for name, change := range map[string]func(*leaderworkersetv1.LeaderWorkerSet){
		"a label":         func(lws *leaderworkersetv1.LeaderWorkerSet) { lws.Labels = map[string]string{"team": "inference"} },
		"an annotation":   func(lws *leaderworkersetv1.LeaderWorkerSet) { lws.Annotations = map[string]string{"note": "mine"} },
		"scaling":         func(lws *leaderworkersetv1.LeaderWorkerSet) { lws.Spec.Replicas = ptr.To[int32](5) },
		"scaling to none": func(lws *leaderworkersetv1.LeaderWorkerSet) { lws.Spec.Replicas = ptr.To[int32](0) },
		"claim retention": func(lws *leaderworkersetv1.LeaderWorkerSet) {
			lws.Spec.LeaderWorkerTemplate.PersistentVolumeClaimRetentionPolicy = &appsv1.StatefulSetPersistentVolumeClaimRetentionPolicy{
				WhenDeleted: appsv1.DeletePersistentVolumeClaimRetentionPolicyType,
			}
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

func TestForSetWritesNothingForAChangeOfPolicy(t *testing.T) {
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

func TestForSetScalesDownToWhatIsAskedFor(t *testing.T) {
	lws := newSet()
	lws.Spec.Replicas = ptr.To[int32](4)
	lws.Spec.RolloutStrategy.RollingUpdateConfiguration.MaxSurge = ptr.To(intstr.FromInt32(1))
	observed := settled(t, lws)
	observed.Groups[0].Leader.Status.Conditions = nil // Not ready: nobody stands in for it, it isn't rolled out.

	lws.Spec.Replicas = ptr.To[int32](2)
	carryOut(observed, forSet(t, observed))
	if got := *observed.Leaders.Spec.Replicas; got != 2 {
		t.Errorf("the leader StatefulSet has %d replicas, want 2", got)
	}
}

func TestForSetReturnsToAnEarlierRevision(t *testing.T) {
	observed := settled(t, newSet())
	first := observed.Revisions[0]
	setImage(observed.LWS, "serve:2")
	for range 2 { // Group 1 is let go, then deleted.
		carryOut(observed, forSet(t, observed))
		settle(observed)
	}
	setImage(observed.LWS, "serve:1")

	planned := forSet(t, observed)
	wantWrites(t, "the way back", planned.Writes, "patch *v1.ControllerRevision "+first.Name, "patch *v1.StatefulSet llama")
	if got := as[*appsv1.ControllerRevision](t, planned.Writes[0].Patch.To).Revision; got != 3 {
		t.Errorf("the earlier revision gets number %d, want 3", got)
	}
	if got, want := as[*appsv1.StatefulSet](t, planned.Writes[1].Patch.To).Labels[leaderworkersetv1.RevisionLabelKey], revision.Key(first); got != want {
		t.Errorf("key is %q, want the earlier one, %q", got, want)
	}
	carryOut(observed, planned)
	settle(observed)
	wantWrites(t, "for the group that had left it", forSet(t, observed).Writes, "delete *v1.Pod llama-1")
}

func TestForSetSwitchesServices(t *testing.T) {
	observed := settled(t, newSet())
	observed.LWS.Spec.NetworkConfig.SubdomainPolicy = ptr.To(leaderworkersetv1.SubdomainUniquePerReplica)
	for range 4 {
		planned := forSet(t, observed)
		for _, line := range described(planned.Writes) {
			if line == "delete *v1.Service llama" {
				t.Fatal("the shared Service goes while groups use it")
			}
		}
		carryOut(observed, planned)
		settle(observed)
	}
	wantWrites(t, "when no group uses it", forSet(t, observed).Writes, "delete *v1.Service llama")
}

func TestForSetMeetsForeignObjects(t *testing.T) {
	other := []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "Deployment", Name: "x", UID: "x", Controller: ptr.To(true)}}
	earlier := []metav1.OwnerReference{{APIVersion: "leaderworkerset.x-k8s.io/v1", Kind: "LeaderWorkerSet", Name: "llama", UID: "earlier", Controller: ptr.To(true)}}
	for _, tc := range []struct {
		name       string
		owners     []metav1.OwnerReference
		isDeleted  bool
		wantReport bool
	}{
		{"of nobody, and not labeled", nil, false, true},
		{"of somebody", other, false, true},
		{"of somebody, about to go", other, true, false},
		{"of an earlier set of the same name", earlier, false, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			old := settled(t, newSet())
			foreign := metav1.ObjectMeta{Name: "llama", Namespace: "default", UID: "foreign", OwnerReferences: tc.owners}
			if tc.isDeleted {
				foreign.DeletionTimestamp = &now
			}
			lws := newSet()
			lws.UID = "new"
			leaders := old.Leaders.DeepCopy()
			leaders.ObjectMeta = foreign
			observed := &world{Set: snapshot.Set{LWS: lws, Leaders: leaders, Service: &corev1.Service{ObjectMeta: foreign}, Revisions: old.Revisions}}
			for _, group := range old.Groups {
				group.Leader.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(leaders, appsv1.SchemeGroupVersion.WithKind("StatefulSet"))}
				observed.Groups = append(observed.Groups, snapshot.OwnedGroups(lws, leaders, []*corev1.Pod{group.Leader}, []*appsv1.StatefulSet{group.Workers})...)
			}

			planned := forSet(t, observed)
			if len(planned.Writes) != 1 || planned.Writes[0].Create == nil {
				t.Errorf("got writes %q, want only a revision of its own", described(planned.Writes))
			} else if got := as[*appsv1.ControllerRevision](t, planned.Writes[0].Create); revision.Find(old.Revisions, revision.Key(got)) != nil {
				t.Errorf("revision %s has the key of another set's", got.Name)
			}
			condition := meta.FindStatusCondition(planned.Status.Conditions, leaderworkersetv1.ConditionReplicaFailure)
			switch {
			case !tc.wantReport && condition != nil:
				t.Errorf("got %+v, want to wait quietly", condition)
			case tc.wantReport && (condition == nil || condition.Message != `Service "llama" exists and does not belong to this LeaderWorkerSet; `+
				`StatefulSet "llama" exists and does not belong to this LeaderWorkerSet`):
				t.Errorf("got %+v, want the objects that are in the way", condition)
			}
			if planned.Status.Replicas != 0 || meta.IsStatusConditionTrue(planned.Status.Conditions, leaderworkersetv1.ConditionAvailable) {
				t.Errorf("status counts the groups of someone else: %+v", planned.Status)
			}
		})
	}
}

func TestForSetPrunesRevisions(t *testing.T) {
	for name, tc := range map[string]struct {
		limit *int32
		want  int
	}{
		"as of old":        {nil, 10 + 2},
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
				// Nothing comes of these pushes: both groups stay as they are.
				setImage(observed.LWS, fmt.Sprintf("serve:%d", push+2))
				observed.LWS.Spec.RolloutStrategy.RollingUpdateConfiguration.Partition = ptr.To[int32](2)
				carryOut(observed, forSet(t, observed))
			}
			carryOut(observed, forSet(t, observed))
			// Those of the history, that of the groups, and the current one.
			if got := len(observed.Revisions); got != tc.want {
				t.Errorf("%d revisions remain, want %d", got, tc.want)
			}
			if revision.Find(observed.Revisions, used) == nil {
				t.Error("the revision of the groups is gone")
			}
			if got := revision.Latest(observed.Revisions); got != 51 {
				t.Errorf("the latest revision is %d, want 51", got)
			}
		})
	}
}

// TestForSetKeepsTheRevisionThatGroupsComeBackAt has the only group below the partition die: the StatefulSet controller is about to create
// it again from its current revision, which no pod has at that moment.
func TestForSetKeepsTheRevisionThatGroupsComeBackAt(t *testing.T) {
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
			t.Errorf("%s: the revision is gone that the group comes back at", what)
		}
	}
	observed.Leaders.Status.CurrentRevision = "llama-current"
	kept("the current revision isn't known")
	observed.CurrentKey = revision.Key(first)
	kept("the current revision is known")

	// With the rollout complete, nobody comes back at it.
	observed.CurrentKey = observed.Leaders.Labels[leaderworkersetv1.RevisionLabelKey]
	wantWrites(t, "afterwards", forSet(t, observed).Writes, "delete *v1.ControllerRevision "+first.Name)
}

func TestForSetOfAnEmptySpec(t *testing.T) {
	// A set from before its fields were required says almost nothing.
	lws := &leaderworkersetv1.LeaderWorkerSet{ObjectMeta: metav1.ObjectMeta{Name: "llama", Namespace: "default"}}
	lws.Default()
	if got := len(forSet(t, &world{Set: snapshot.Set{LWS: lws}}).Writes); got != 3 {
		t.Errorf("%d writes, want 3", got)
	}
}

func TestForSetTellsOfFailuresElsewhere(t *testing.T) {
	observed := settled(t, newSet())
	observed.memory.Obstacles = []status.Obstacle{{Group: 1, Reason: leaderworkersetv1.ReasonFailedCreate, Message: "group 1: quota"}}
	planned := forSet(t, observed)
	condition := meta.FindStatusCondition(planned.Status.Conditions, leaderworkersetv1.ConditionReplicaFailure)
	if condition == nil || condition.Message != "group 1: quota" {
		t.Errorf("got %+v, want the group's failure", condition)
	}
	if len(observed.memory.Obstacles) != 1 {
		t.Errorf("the plan changed what was observed: %v", observed.memory.Obstacles)
	}
}

// TestForSetPacesTheStatus has a status that only counts on wait for the one before to be a second old, or some in a large set.
func TestForSetPacesTheStatus(t *testing.T) {
	for _, tc := range []struct {
		name   string
		ago    time.Duration // since the status was written
		change func(*world)
		want   int32 // ready replicas
		after  time.Duration
	}{
		{"a second ago", time.Second, func(*world) {}, 1, 0},
		{"a moment ago", 300 * time.Millisecond, func(*world) {}, 0, 700 * time.Millisecond},
		{"a second ago, in a large set", time.Second, func(s *world) { s.LWS.Spec.Replicas = ptr.To[int32](500) }, 0, time.Second},
		{"five seconds ago, in a huge set", 5 * time.Second, func(s *world) { s.LWS.Spec.Replicas = ptr.To[int32](10_000) }, 1, 0},
		{"a moment ago, and there is no more to come", 300 * time.Millisecond, func(s *world) {
			s.Groups[1].Leader.Status.Conditions = s.Groups[0].Leader.Status.Conditions
			s.LWS.Status.Conditions = forSet(t, s).Status.Conditions
		}, 2, 0},
		{"a moment ago, and the set has changed since", 300 * time.Millisecond, func(s *world) { s.LWS.Generation++ }, 1, 0},
		{"a moment ago, and something is in the way since", 300 * time.Millisecond, func(s *world) {
			s.memory.Obstacles = []status.Obstacle{{Reason: leaderworkersetv1.ReasonFailedCreate, Message: "quota"}}
		}, 1, 0},
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
			if got := planned.Status.ReadyReplicas; got != tc.want || planned.RequeueAfter != tc.after {
				t.Errorf("got %d ready replicas and another look after %s, want %d and %s", got, planned.RequeueAfter, tc.want, tc.after)
			}
		})
	}
}

// TestForSetReplacesWhileTheOrderMovesOn has the budget grow while a group goes: what the StatefulSet controller knows of may go on.
func TestForSetReplacesWhileTheOrderMovesOn(t *testing.T) {
	observed := settled(t, newSet())
	setImage(observed.LWS, "serve:2")
	carryOut(observed, forSet(t, observed))
	wantPartition(t, "the first step", observed, 1)
	observed.LWS.Spec.RolloutStrategy.RollingUpdateConfiguration.MaxUnavailable = ptr.To(intstr.FromInt32(2))
	wantWrites(t, "before its controller knows of the first", forSet(t, observed).Writes)

	observed.Leaders.Status.ObservedGeneration = observed.Leaders.Generation
	planned := forSet(t, observed)
	wantWrites(t, "the second step", planned.Writes, "patch *v1.StatefulSet llama", "delete *v1.Pod llama-1")
	carryOut(observed, planned)
	wantPartition(t, "the second step", observed, 0)
	wantWrites(t, "before its controller knows of the second", forSet(t, observed).Writes)
	observed.LWS.Spec.RolloutStrategy.RollingUpdateConfiguration.Partition = ptr.To[int32](1)
	wantWrites(t, "when the user takes the second back", forSet(t, observed).Writes, "patch *v1.StatefulSet llama")
	observed.LWS.Spec.RolloutStrategy.RollingUpdateConfiguration.Partition = ptr.To[int32](0)

	observed.Leaders.Status.ObservedGeneration = observed.Leaders.Generation
	wantWrites(t, "after it", forSet(t, observed).Writes, "delete *v1.Pod llama-0")
}

func wantPartition(t *testing.T, when string, observed *world, want int32) {
	t.Helper()
	if got := *observed.Leaders.Spec.UpdateStrategy.RollingUpdate.Partition; got != want {
		t.Errorf("%s: partition %d, want %d", when, got, want)
	}
}
