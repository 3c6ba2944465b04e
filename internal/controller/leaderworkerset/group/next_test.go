// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package group_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/group"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/identity"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/revision"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/snapshot"
)

const rack = "example.com/rack"

var deleted = &metav1.Time{}

// newMembers returns group 1 of a set of size 3, right after its leader was created. Its workers are created next.
func newMembers(t *testing.T, change func(*leaderworkersetv1.LeaderWorkerSet)) *snapshot.GroupMembers {
	t.Helper()
	lws := &leaderworkersetv1.LeaderWorkerSet{ObjectMeta: metav1.ObjectMeta{Name: "llama", Namespace: "default",
		UID: "set"}}
	lws.Spec.LeaderWorkerTemplate.Size = ptr.To[int32](3)
	lws.Default()
	change(lws)
	created, err := revision.New(lws, nil)
	if err != nil {
		t.Fatal(err)
	}
	leaders := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{
		Name: "llama", UID: "leaders", OwnerReferences: controlledBy("LeaderWorkerSet", "llama", "set"),
	}}
	return &snapshot.GroupMembers{
		LWS: lws, Leaders: leaders, Index: 1, Revisions: []*appsv1.ControllerRevision{created},
		Leader: &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
			Name: "llama-1", Namespace: "default", UID: "leader",
			Labels:          map[string]string{leaderworkersetv1.RevisionLabelKey: revision.Key(created)},
			OwnerReferences: controlledBy("StatefulSet", "llama", "leaders"),
		}},
	}
}

func controlledBy(kind, name, uid string) []metav1.OwnerReference {
	return []metav1.OwnerReference{{Kind: kind, Name: name, UID: types.UID(uid), Controller: ptr.To(true)}}
}

func unchanged(*leaderworkersetv1.LeaderWorkerSet) {}

func size1(lws *leaderworkersetv1.LeaderWorkerSet) {
	lws.Spec.LeaderWorkerTemplate.Size = ptr.To[int32](1)
}

func ownService(lws *leaderworkersetv1.LeaderWorkerSet) {
	lws.Spec.NetworkConfig.SubdomainPolicy = ptr.To(leaderworkersetv1.SubdomainUniquePerReplica)
}

func leaderReady(lws *leaderworkersetv1.LeaderWorkerSet) {
	lws.Spec.StartupPolicy = leaderworkersetv1.LeaderReadyStartupPolicy
}

// workersOf returns a worker StatefulSet whose owner is a pod of the leader's name with that UID.
func workersOf(uid string) *appsv1.StatefulSet {
	return &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{
		Name: "llama-1", UID: "workers", OwnerReferences: controlledBy("Pod", "llama-1", uid),
	}}
}

// orphanedWorker returns a worker pod of the group without an owner.
func orphanedWorker(m *snapshot.GroupMembers) *corev1.Pod {
	key := identity.GroupKey(m.Leader.Namespace, m.Leader.Name)
	labels := map[string]string{leaderworkersetv1.GroupUniqueHashLabelKey: key}
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "llama-1-1", Labels: labels}}
}

// previousWorker returns a worker pod that the present worker StatefulSet doesn't control.
func previousWorker() *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Name: "llama-1-1", OwnerReferences: controlledBy("Job", "other", "other"),
	}}
}

// asideWorker returns a worker pod that lost the label with the group's key.
func asideWorker() *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "llama-1-1"}}
}

// terminating marks a pod for deletion.
func terminating(pod *corev1.Pod) *corev1.Pod {
	pod.DeletionTimestamp = deleted
	return pod
}

// orphanedWorkers returns a worker StatefulSet of the group without an owner.
func orphanedWorkers() *appsv1.StatefulSet {
	workers := workersOf("leader")
	workers.OwnerReferences = nil
	workers.Labels = map[string]string{
		leaderworkersetv1.GroupUniqueHashLabelKey: identity.GroupKey("default", "llama-1"),
	}
	return workers
}

func serviceOf(uid string) *corev1.Service {
	return &corev1.Service{ObjectMeta: metav1.ObjectMeta{
		Name: "llama-1", UID: "service", OwnerReferences: controlledBy("Pod", "llama-1", uid),
	}}
}

func TestNext(t *testing.T) {
	type members = snapshot.GroupMembers
	for _, tc := range []struct {
		name   string
		set    func(*leaderworkersetv1.LeaderWorkerSet)
		change func(*members)
		action group.Action
		reason string
	}{
		{"workers can be created", unchanged, func(*members) {}, group.CreateWorkers, "the workers are missing"},

		{"no leader", unchanged, func(m *members) { m.Leader = nil }, group.Wait, "there is no leader pod"},
		{
			"no leader, and no other object", unchanged, func(m *members) { *m = members{Index: 1} },
			group.Wait, "there is no leader pod",
		},

		{
			"another controller's set", func(lws *leaderworkersetv1.LeaderWorkerSet) { lws.Spec.GroupIdentity = "Hash" },
			func(*members) {}, group.Wait,
			`spec.groupIdentity: Invalid value: "Hash": must be Ordinal: groups are identified by index here`,
		},
		{
			"leader terminates", unchanged, func(m *members) { m.Leader.DeletionTimestamp = deleted }, group.Wait,
			"the leader pod is terminating",
		},
		{
			"leader terminates, workers exist", unchanged,
			func(m *members) { m.Leader.DeletionTimestamp, m.Workers = deleted, workersOf("leader") },
			group.StopWorkers, "the leader pod is terminating",
		},
		{
			"leader and workers terminate", unchanged,
			func(m *members) {
				m.Leader.DeletionTimestamp, m.Workers = deleted, workersOf("leader")
				m.Workers.DeletionTimestamp = deleted
			},
			group.Wait, "the leader pod is terminating",
		},
		{
			"leader terminates, workers are of another incarnation", unchanged,
			func(m *members) { m.Leader.DeletionTimestamp, m.Workers = deleted, workersOf("earlier") },
			group.Wait, "the leader pod is terminating",
		},
		{
			"leader terminates, workers are orphans", unchanged,
			func(m *members) { m.Leader.DeletionTimestamp, m.Workers = deleted, orphanedWorkers() },
			group.StopWorkers, "the leader pod is terminating",
		},
		{
			"leader terminates, workers are orphans of a deleted set", unchanged,
			func(m *members) {
				m.Leader.DeletionTimestamp, m.Workers, m.LWS = deleted, orphanedWorkers(), nil
			},
			group.Wait, "the leader pod is terminating",
		},
		{
			"leader terminates because the set was deleted", unchanged,
			func(m *members) {
				m.Leader.DeletionTimestamp, m.Workers, m.LWS = deleted, workersOf("leader"), nil
			},
			group.StopWorkers, "the leader pod is terminating",
		},

		{
			"another controller's set has a leader that waits",
			func(lws *leaderworkersetv1.LeaderWorkerSet) { lws.Spec.GroupIdentity = "Hash" },
			func(m *members) { gate(m); m.WorkerPods = []*corev1.Pod{previousWorker()} }, group.UngateLeader,
			`spec.groupIdentity: Invalid value: "Hash": must be Ordinal: groups are identified by index here`,
		},

		{"set was deleted", unchanged, func(m *members) { m.LWS = nil }, group.Wait, notOwned},
		{
			"set was deleted, and its leader waits to be deleted", unchanged,
			func(m *members) { gate(m); m.LWS = nil }, group.Wait, notOwned,
		},
		{
			"set was deleted without its leader StatefulSet", unchanged,
			func(m *members) { gate(m); m.LWS, m.Leaders.OwnerReferences = nil, nil }, group.UngateLeader, notOwned,
		},
		{
			"set was deleted without its leader", unchanged,
			func(m *members) { gate(m); m.LWS, m.Leaders, m.Leader.OwnerReferences = nil, nil, nil },
			group.UngateLeader, notOwned,
		},
		{"set terminates", unchanged, func(m *members) { m.LWS.DeletionTimestamp = deleted }, group.Wait, notOwned},
		{"set is another one of the same name", unchanged, func(m *members) { m.LWS.UID = "new" }, group.Wait, notOwned},
		{"leader StatefulSet was deleted", unchanged, func(m *members) { m.Leaders = nil }, group.Wait, notOwned},
		{
			"leader StatefulSet terminates", unchanged, func(m *members) { m.Leaders.DeletionTimestamp = deleted }, group.Wait,
			notOwned,
		},
		{"leader was orphaned", unchanged, func(m *members) { m.Leader.OwnerReferences = nil }, group.Wait, notOwned},

		{
			"leader has waited for the previous group", unchanged, func(m *members) { gate(m) },
			group.UngateLeader, "the leader waits for no pod of the group's previous incarnation",
		},
		{
			"leader of a group of 1 has waited", size1, func(m *members) { gate(m) },
			group.UngateLeader, "the leader waits for no pod of the group's previous incarnation",
		},
		{
			"leader has waited, and another owner's StatefulSet has the name", unchanged,
			func(m *members) { gate(m); m.Workers = workersOf(""); m.Workers.OwnerReferences = nil },
			group.UngateLeader, "the leader waits for no pod of the group's previous incarnation",
		},
		{
			"leader waits for previous workers", unchanged,
			func(m *members) { gate(m); m.WorkerPods = []*corev1.Pod{previousWorker()} },
			group.Wait, "1 previous workers are still there",
		},
		{
			"leader doesn't wait for previous workers that terminate", unchanged,
			func(m *members) { gate(m); m.WorkerPods = []*corev1.Pod{terminating(previousWorker())} },
			group.UngateLeader, "the leader waits for no pod of the group's previous incarnation",
		},
		{
			"leader doesn't wait for a worker that was taken aside", unchanged,
			func(m *members) { gate(m); m.WorkerPods = []*corev1.Pod{asideWorker()} },
			group.UngateLeader, "the leader waits for no pod of the group's previous incarnation",
		},
		{
			"workers don't wait for one that was taken aside", unchanged,
			func(m *members) { m.WorkerPods = []*corev1.Pod{asideWorker()} },
			group.CreateWorkers, "the workers are missing",
		},
		{
			"leader with exclusive affinity waits for previous workers that terminate", unchanged,
			func(m *members) {
				gate(m)
				exclusive("", nil)(m)
				m.Leader.Labels[leaderworkersetv1.WorkerIndexLabelKey] = "0"
				m.WorkerPods = []*corev1.Pod{terminating(previousWorker())}
			},
			group.Wait, "1 previous workers are still there",
		},
		{
			"leader waits for previous workers to be stopped", unchanged,
			func(m *members) { gate(m); m.Workers = workersOf("earlier") },
			group.StopWorkers, "the previous workers outlived their leader",
		},
		{
			"leader has another gate", unchanged,
			func(m *members) {
				m.Leader.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "example.com/quota"}}
			},
			group.CreateWorkers, "the workers are missing",
		},

		{
			"revision was deleted", unchanged, func(m *members) {
				m.Revisions, m.Leader.Labels = nil, map[string]string{leaderworkersetv1.RevisionLabelKey: "abc"}
			},
			group.BlockedUnwatched, `leader pod llama-1 is of revision "abc", which doesn't exist`,
		},
		{
			"revision is of another set", unchanged,
			func(m *members) {
				m.Leader.Labels = map[string]string{leaderworkersetv1.RevisionLabelKey: "abc"}
				m.Revisions[0].Labels, m.Revisions[0].OwnerReferences = m.Leader.Labels, nil
			},
			group.BlockedUnwatched, `leader pod llama-1 is of revision "abc", which doesn't exist`,
		},
		{
			"revision can't be read", unchanged,
			func(m *members) { m.Revisions[0].Name, m.Revisions[0].Data.Raw = "llama-abc-1", []byte("{}") },
			group.BlockedUnwatched, "revision llama-abc-1: no spec.leaderWorkerTemplate",
		},

		{"own Service is missing", ownService, func(*members) {}, group.CreateService, "the group's Service is missing"},
		{
			"own Service is terminating", ownService,
			func(m *members) { m.Service = serviceOf("leader"); m.Service.DeletionTimestamp = deleted },
			group.Wait, "the Service of the group's previous leader is still there",
		},
		{
			"own Service is of the previous leader", ownService, func(m *members) { m.Service = serviceOf("earlier") },
			group.Wait, "the Service of the group's previous leader is still there",
		},
		{
			"own Service exists", ownService, func(m *members) { m.Service = serviceOf("leader") }, group.CreateWorkers,
			"the workers are missing",
		},
		{
			"own Service of a group of 1",
			func(lws *leaderworkersetv1.LeaderWorkerSet) { size1(lws); ownService(lws) },
			func(*members) {}, group.CreateService, "the group's Service is missing",
		},

		{"group of 1", size1, func(*members) {}, group.Nothing, "the group is its leader alone"},
		{
			"group of 1, and workers outlived their leader", size1, func(m *members) { m.Workers = orphanedWorkers() },
			group.StopWorkers, "the previous workers outlived their leader",
		},
		{
			"group of 1, and workers outlived their StatefulSet", size1,
			func(m *members) { m.WorkerPods = []*corev1.Pod{orphanedWorker(m)} },
			group.StopOrphans, "worker pods outlived their StatefulSet",
		},
		{
			"group of 1, and another owner's StatefulSet has the name", size1,
			func(m *members) { m.Workers = workersOf(""); m.Workers.OwnerReferences = nil },
			group.Nothing, "the group is its leader alone",
		},

		{
			"workers exist", unchanged, func(m *members) { m.Workers = workersOf("leader") }, group.UpdateWorkers,
			"the workers are there",
		},
		{
			"workers exist, of a leader that is no longer ready", leaderReady,
			func(m *members) { m.Workers = workersOf("leader") },
			group.UpdateWorkers, "the workers are there",
		},
		{
			"workers are terminating", unchanged,
			func(m *members) { m.Workers = workersOf("leader"); m.Workers.DeletionTimestamp = deleted },
			group.Wait, "the StatefulSet of the previous workers is still there",
		},
		{
			"workers are of the previous leader", unchanged, func(m *members) { m.Workers = workersOf("earlier") },
			group.StopWorkers, "the previous workers outlived their leader",
		},
		{
			"workers' name is taken", unchanged,
			func(m *members) { m.Workers = workersOf(""); m.Workers.OwnerReferences = nil },
			group.Blocked, `StatefulSet "llama-1" exists and does not belong to this LeaderWorkerSet`,
		},

		{
			"worker pods of the previous incarnation remain", unchanged,
			func(m *members) {
				m.WorkerPods = []*corev1.Pod{previousWorker(), {ObjectMeta: metav1.ObjectMeta{
					Name:              "llama-1-2",
					DeletionTimestamp: deleted, OwnerReferences: controlledBy("StatefulSet", "llama-1", "earlier"),
				}}}
			},
			group.Wait, "2 previous workers are still there",
		},
		{
			"worker pods exist, and the cache doesn't show their StatefulSet", unchanged,
			func(m *members) {
				m.WorkerPods = []*corev1.Pod{{ObjectMeta: metav1.ObjectMeta{
					OwnerReferences: controlledBy("StatefulSet", "llama-1", "unseen"),
				}}}
			},
			group.RelabelWorkers, "worker pods are there, and their StatefulSet isn't seen",
		},

		{
			"leader waits for its restart", unchanged,
			func(m *members) {
				m.Leader.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: leaderworkersetv1.RestartSchedulingGate}}
			},
			group.Wait, "the leader pod waits until its group, which crashed before, may run",
		},
		{
			"leader has to be ready", leaderReady, func(*members) {}, group.Wait,
			"the leader pod isn't ready, which startupPolicy LeaderReady waits for",
		},
		{
			"leader is ready", leaderReady,
			func(m *members) {
				m.Leader.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
			},
			group.CreateWorkers, "the workers are missing",
		},

		{"leader isn't scheduled", unchanged, exclusive("", nil), group.Wait, "the leader pod isn't scheduled"},
		{
			"node was deleted", unchanged, exclusive("n1", nil), group.BlockedUnwatched,
			"node n1 of leader pod llama-1 doesn't exist",
		},
		{
			"node has no such label", unchanged, exclusive("n1", map[string]string{"other": "x"}), group.BlockedUnwatched,
			"node n1 of leader pod llama-1 has no label example.com/rack, " +
				"which leaderworkerset.sigs.k8s.io/exclusive-topology asks for",
		},
		{
			"node has the label", unchanged, exclusive("n1", map[string]string{rack: "r1"}), group.CreateWorkers,
			"the workers are missing",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := newMembers(t, tc.set)
			tc.change(m)
			got := group.Next(m)
			want := group.Verdict{Action: tc.action, Reason: tc.reason}
			if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(group.Verdict{}, "Writes")); diff != "" {
				t.Errorf("Next (-want +got):\n%s", diff)
			}
			for _, planned := range got.Writes {
				if planned.Reason != tc.reason && tc.action != group.CreateService {
					t.Errorf("a write is for the reason %q, want the verdict's", planned.Reason)
				}
			}
		})
	}
}

// gate gates the leader until the group's previous incarnation is deleted, as the webhook does.
func gate(m *snapshot.GroupMembers) {
	m.Leader.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: leaderworkersetv1.PreviousGroupSchedulingGate}}
}

const notOwned = "the leader pod doesn't belong to a LeaderWorkerSet, or to one that is being deleted"

// exclusive gives the leader exclusive placement. Without labels there is no node.
func exclusive(nodeName string, labels map[string]string) func(*snapshot.GroupMembers) {
	return func(m *snapshot.GroupMembers) {
		m.Leader.Annotations = map[string]string{leaderworkersetv1.ExclusiveKeyAnnotationKey: rack}
		m.Leader.Spec.NodeName = nodeName
		if labels != nil {
			m.Node = &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: nodeName, Labels: labels}}
		}
	}
}

func TestNextBindsWorkersToTheLeadersTopology(t *testing.T) {
	m := newMembers(t, unchanged)
	exclusive("n1", map[string]string{rack: "r1"})(m)
	want := map[string]string{rack: "r1"}
	if diff := cmp.Diff(want, createdWorkers(t, group.Next(m)).Spec.Template.Spec.NodeSelector); diff != "" {
		t.Errorf("node selector (-want +got):\n%s", diff)
	}
}

// TestNextUsesTheGroupsOwnRevision changes the size of the set, which the group's revision doesn't have.
func TestNextUsesTheGroupsOwnRevision(t *testing.T) {
	m := newMembers(t, unchanged)
	m.LWS.Spec.LeaderWorkerTemplate.Size = ptr.To[int32](1)
	if got := *createdWorkers(t, group.Next(m)).Spec.Replicas; got != 2 {
		t.Errorf("got %d workers, want the 2 of a group of 3", got)
	}
}

// createdWorkers returns the worker StatefulSet that the verdict creates.
func createdWorkers(t *testing.T, verdict group.Verdict) *appsv1.StatefulSet {
	t.Helper()
	if verdict.Action != group.CreateWorkers || len(verdict.Writes) != 1 {
		t.Fatalf("got %+v, want the creation of workers", verdict)
	}
	workers, ok := verdict.Writes[0].Create.(*appsv1.StatefulSet)
	if !ok {
		t.Fatalf("a %T is created, want a StatefulSet", verdict.Writes[0].Create)
	}
	return workers
}

// TestOutlivedWorkers stops workers whose leader is deleted: each pod that isn't marked for deletion, in one step.
func TestOutlivedWorkers(t *testing.T) {
	worker := func(name, owner string) *corev1.Pod {
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
			Name: name, Labels: map[string]string{leaderworkersetv1.SetNameLabelKey: "llama"},
			OwnerReferences: controlledBy("StatefulSet", "llama-1", owner),
		}}
	}
	terminating := worker("llama-1-3", "workers")
	terminating.DeletionTimestamp = deleted
	pods := []*corev1.Pod{worker("llama-1-1", "workers"), worker("llama-1-2", "workers"), terminating}
	both := []string{"llama-1-1", "llama-1-2"}
	all := append([]string{"llama-1"}, both...)
	for name, tc := range map[string]struct {
		change func(*snapshot.GroupMembers)
		action group.Action
		owner  types.UID // that has to be gone
		want   []string
	}{
		"the leader is deleted": {
			func(m *snapshot.GroupMembers) { m.Leader, m.Workers = nil, workersOf("leader") },
			group.StopWorkers, "leader", all,
		},
		"the leader and the set are deleted": {
			func(m *snapshot.GroupMembers) { m.Leader, m.LWS, m.Workers = nil, nil, workersOf("leader") },
			group.StopWorkers, "leader", all,
		},
		"the leader and the StatefulSet are deleted": {
			func(m *snapshot.GroupMembers) { m.Leader = nil }, group.StopWorkers, "workers", both,
		},
		"the leader is deleted, and the workers stay without it": {
			func(m *snapshot.GroupMembers) { m.Leader, m.Workers = nil, orphanedWorkers() }, group.Wait, "", nil,
		},
		"the leader is another one": {
			func(m *snapshot.GroupMembers) { m.Workers = workersOf("earlier") }, group.StopWorkers, "", all,
		},
		"the leader is another one, and the StatefulSet terminates": {
			func(m *snapshot.GroupMembers) {
				m.Workers = workersOf("earlier")
				m.Workers.DeletionTimestamp = deleted
			},
			group.StopWorkers, "", both,
		},
		"the leader is another one, and the StatefulSet is deleted": {
			func(*snapshot.GroupMembers) {}, group.RelabelWorkers, "workers", both,
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMembers(t, unchanged)
			m.WorkerPods = pods
			tc.change(m)
			verdict := group.Next(m)
			var got []string
			var owner types.UID
			for _, write := range verdict.Writes {
				for _, object := range write.Delete {
					got = append(got, object.GetName())
				}
				if write.OwnerMustBeGone != nil {
					owner = write.OwnerMustBeGone.UID
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" || verdict.Action != tc.action || owner != tc.owner {
				t.Errorf("got %s with owner %q, want %s with %q; deleted (-want +got):\n%s",
					verdict.Action, owner, tc.action, tc.owner, diff)
			}
		})
	}
}

// TestOrder begins with all problems at once, and fixes them in the order of the checks.
func TestOrder(t *testing.T) {
	m := newMembers(t, func(lws *leaderworkersetv1.LeaderWorkerSet) { ownService(lws); leaderReady(lws) })
	leader, lws, revisions := m.Leader, m.LWS, m.Revisions
	exclusive("", nil)(m)
	leader.DeletionTimestamp = deleted
	m.Leader, m.LWS, m.Revisions = nil, nil, nil
	m.Workers = workersOf("earlier")
	m.WorkerPods = []*corev1.Pod{previousWorker()}
	for _, step := range []struct {
		want string
		fix  func()
	}{
		{"the workers outlived their leader", func() { m.Workers = nil }},
		{"there is no leader pod", func() { m.Leader, m.Workers = leader, workersOf("earlier") }},
		{"the leader pod is terminating", func() { leader.DeletionTimestamp = nil }},
		{notOwned, func() { m.LWS = lws }},
		{"the previous workers outlived their leader", func() { m.Workers = nil }},
		{
			`leader pod llama-1 is of revision "` + leader.Labels[leaderworkersetv1.RevisionLabelKey] + `", which doesn't exist`,
			func() { m.Revisions = revisions },
		},
		{"the group's Service is missing", func() { m.Service = serviceOf("leader") }},
		{"1 previous workers are still there", func() { m.WorkerPods = nil }},
		{"the leader pod isn't ready, which startupPolicy LeaderReady waits for", func() {
			leader.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
		}},
		{"the leader pod isn't scheduled", func() { exclusive("n1", map[string]string{rack: "r1"})(m) }},
		{"the workers are missing", func() { m.Workers = workersOf("leader") }},
		{"the workers are there", func() {}},
	} {
		if got := group.Next(m).Reason; got != step.want {
			t.Fatalf("got %q, want %q", got, step.want)
		}
		step.fix()
	}
}
