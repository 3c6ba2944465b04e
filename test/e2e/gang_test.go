// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/scheduling"
	"github.com/leaderworkerset/lws-operator/test/cluster"
	"github.com/leaderworkerset/lws-operator/test/gangs"
	"github.com/leaderworkerset/lws-operator/test/measure"
	"github.com/leaderworkerset/lws-operator/test/objects"
)

const (
	// room is the resource that each pod of a gang test takes one of. setRoom says how many there are.
	room = "example.com/room"

	// gangGroups and gangSize are the groups of a gang test, and the pods of each.
	gangGroups, gangSize = 3, 3

	// scheduler is the user as which the scheduler asks the API server.
	scheduler = "system:kube-scheduler"

	// schedulerDeadline bounds each wait for the scheduler. It may miss room that comes while it looks at a gang. It tries
	// all waiting pods again every 5 minutes.
	schedulerDeadline = 6 * time.Minute

	// roomForTwo is room for two groups, and for some pods of a third one.
	roomForTwo = 2*gangSize + gangSize - 1
)

// podGroupVersions are the versions of PodGroups that Kubernetes serves, by its minor version. Earlier ones serve none.
var podGroupVersions = map[string]string{"1.36": "v1alpha2", "1.37": "v1beta1"}

// gangSettings are those of a cluster with PodGroups, and of an operator that makes them.
func gangSettings(version string) settings {
	gates := map[string]bool{"GenericWorkload": true}
	if version == "v1alpha2" {
		gates["GangScheduling"] = true
	}
	return settings{
		featureGates:  gates,
		runtimeConfig: map[string]bool{scheduling.APIGroup + "/" + version: true},
		provider:      scheduling.Kubernetes,
	}
}

// TestLocalGangs runs sets with spec.scheduling in a cluster with the scheduler's gangs. There is room for two groups
// and a part of a third one: two groups run, and of the third one no pod is bound to a node.
func TestLocalGangs(t *testing.T) {
	version := podGroupVersions[cluster.Version()]
	if version == "" {
		t.Run("NotServed", testGangsNotServed)
		return
	}
	inClusterWith(t, gangSettings(version))
	t.Run("WithoutGangs", testWithoutGangs)
	t.Run("Creation", testGangCreation)
	t.Run("Restart", testGangRestart)
	t.Run("Rollout", func(t *testing.T) { testGangRollout(t, 1, 0) })
	t.Run("RolloutWithSurge", func(t *testing.T) { testGangRollout(t, 0, 1) })
	t.Run("Roles", testGangOfWorkers)
	t.Run("Rounds", testGangRounds)
	t.Run("Refusals", testGangRefusals)
	t.Run("Sample", testGangSample)
	t.Run("ProviderTurnedOff", testProviderTurnedOff)
	t.Run("WithoutRights", testGangsWithoutRights)
	if err := nothingForbidden(); err != nil {
		t.Error(err)
	}
}

// TestLocalNoGangs runs a set in a cluster whose operator has no provider: it asks for nothing of scheduling.k8s.io.
func TestLocalNoGangs(t *testing.T) {
	t.Parallel()
	lws := newSet(newNamespace(t), "one-by-one", 2, 2)
	create(t, lws)
	untilAvailable(t, lws)
	asked, err := operatorRequests(0, func(r measure.Request) bool {
		return r.ObjectRef.APIGroup == scheduling.APIGroup || strings.Contains(r.RequestURI, "/apis/"+scheduling.APIGroup)
	})
	if err != nil || len(asked) > 0 {
		t.Errorf("the operator asked for %v: %v", asked, err)
	}
}

// testGangSample creates the sample.
func testGangSample(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(suite.root, "config", "podgroups", "sample.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	lws := &leaderworkersetv1.LeaderWorkerSet{}
	if err := yaml.UnmarshalStrict(text, lws); err != nil {
		t.Fatal(err)
	}
	lws.Namespace = newNamespace(t)
	create(t, lws)
	untilAvailable(t, lws)
	podGroups, err := podGroupsIn(t.Context(), lws.Namespace)
	if err != nil || len(podGroups) != 2 {
		t.Errorf("%d PodGroups: %v", len(podGroups), err)
	}
}

// testWithoutGangs shows the reason for gangs: the scheduler starts a part of the third group.
func testWithoutGangs(t *testing.T) {
	g := newGangs(t, func(lws *leaderworkersetv1.LeaderWorkerSet) { lws.Spec.Scheduling = nil })
	g.untilBound(t, func(bound map[string]int) error {
		return unless(sum(bound) == roomForTwo && slices.Min(slices.Collect(maps.Values(bound))) < gangSize,
			"bound: %v", bound)
	})
	check(t, "PodGroups", 0, len(g.podGroups(t)))
}

// testGangCreation creates a set without room for all groups, and makes room.
func testGangCreation(t *testing.T) {
	g := newGangs(t)
	g.untilTwoRun(t)
	g.untilExplained(t)
	setRoom(t, gangGroups*gangSize)
	g.untilAvailable(t)
	g.checkPodGroups(t)
}

// testGangRestart deletes pods of groups that run, with the operator killed at any step.
func testGangRestart(t *testing.T) {
	const rounds, seed = 12, 1
	g := newGangs(t)
	g.untilTwoRun(t)
	random := rand.New(rand.NewPCG(seed, seed)) //nolint:gosec // Which pods are deleted is no secret.
	for round := range rounds {
		victim := g.boundPods(t)[random.IntN(2*gangSize)]
		switch round % 4 {
		case 0: // It is killed before the deletion.
			whileDown(t, func() { remove(t, victim) })
		case 1: // It is killed just after the deletion.
			remove(t, victim)
			whileDown(t, func() {})
		case 2: // It is killed once the next leader is there, and mostly before the PodGroup is.
			remove(t, victim)
			g.untilRenewed(t, victim)
			whileDown(t, func() {})
		default:
			remove(t, victim)
		}
		g.untilRenewed(t, victim)
		g.untilGone(t, victim.UID)
		g.untilTwoRun(t)
	}
	setRoom(t, gangGroups*gangSize)
	g.untilAvailable(t)
	g.checkPodGroups(t)
}

// testGangRollout updates a set whose third group has no room. The operator is killed in the middle.
func testGangRollout(t *testing.T, maxUnavailable, maxSurge int) {
	t.Helper()
	g := newGangs(t, readyAfter("500ms"), func(lws *leaderworkersetv1.LeaderWorkerSet) {
		lws.Spec.RolloutStrategy.RollingUpdateConfiguration = &leaderworkersetv1.RollingUpdateConfiguration{
			MaxUnavailable: ptr.To(intstr.FromInt(maxUnavailable)), MaxSurge: ptr.To(intstr.FromInt(maxSurge)),
		}
	})
	g.untilTwoRun(t)
	edit(t, g.lws, withNextImage)
	whileDown(t, func() {})
	eventually(t, func(context.Context) error { // The third group is of the new revision, and has no room either.
		refresh(t, g.lws)
		return unless(g.lws.Status.UpdatedReplicas > 0, "status: %+v", g.lws.Status)
	})
	g.untilTwoRun(t)
	setRoom(t, (gangGroups+maxSurge)*gangSize)
	g.untilAvailable(t)
	g.checkPodGroups(t)
}

// testGangOfWorkers runs groups whose workers are a gang, and wait for a ready leader.
func testGangOfWorkers(t *testing.T) {
	g := newGangs(t, func(lws *leaderworkersetv1.LeaderWorkerSet) {
		lws.Spec.StartupPolicy = leaderworkersetv1.LeaderReadyStartupPolicy
		lws.Spec.Scheduling.Replica = &leaderworkersetv1.ReplicaScheduling{
			Leader: &leaderworkersetv1.RoleScheduling{},
			Worker: &leaderworkersetv1.RoleScheduling{SchedulingPolicy: &leaderworkersetv1.SchedulingPolicy{
				Gang: &leaderworkersetv1.GangSchedulingPolicy{},
			}},
		}
	})
	g.untilBound(t, func(bound map[string]int) error {
		return unless(slices.Equal(sizesOf(bound), []int{1, gangSize, gangSize}), "bound: %v", bound)
	})
	setRoom(t, gangGroups*gangSize)
	g.untilAvailable(t)
	eventually(t, func(ctx context.Context) error {
		podGroups, err := podGroupsIn(ctx, g.lws.Namespace)
		return unless(err == nil && len(podGroups) == 2*gangGroups, "%d PodGroups: %v", len(podGroups), err)
	})
}

// testGangRounds restarts all groups many times. There are as many PodGroups as groups at the end.
func testGangRounds(t *testing.T) {
	const rounds = 50
	g := newGangs(t)
	g.untilTwoRun(t) // The scheduler may miss room that comes while it tries.
	setRoom(t, gangGroups*gangSize)
	for round := range rounds {
		g.untilAvailable(t)
		before := g.boundPods(t)
		for group := range gangGroups {
			remove(t, named(t, before, groupNames(g.lws.Name, int32(group), gangSize)[(round+group)%gangSize]))
		}
		for _, pod := range before {
			g.untilGone(t, pod.UID)
		}
	}
	g.untilAvailable(t)
	g.checkPodGroups(t)
	g.checkIncarnations(t)
}

// testGangRefusals asks for what isn't possible, and for changes of what is.
func testGangRefusals(t *testing.T) {
	namespace := newNamespace(t)
	for what, tc := range map[string]struct {
		change  func(*leaderworkersetv1.LeaderWorkerSet)
		refusal string
	}{
		"a field without its feature gate": {
			change: func(lws *leaderworkersetv1.LeaderWorkerSet) {
				lws.Spec.Scheduling.Replica = &leaderworkersetv1.ReplicaScheduling{
					SchedulingConstraints: &leaderworkersetv1.SchedulingConstraints{
						Topology: []leaderworkersetv1.TopologyConstraint{{Key: "rack"}},
					},
				}
			},
			refusal: "spec.scheduling.replica.schedulingConstraints: ",
		},
		"workers that wait": {
			change: func(lws *leaderworkersetv1.LeaderWorkerSet) {
				lws.Spec.StartupPolicy = leaderworkersetv1.LeaderReadyStartupPolicy
			},
			refusal: `spec.startupPolicy: Invalid value: "LeaderReady": a gang of leader and workers is scheduled as a whole`,
		},
	} {
		err := suite.client.Create(t.Context(), newSet(namespace, "refused", 1, 2, inGangs, tc.change))
		if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), tc.refusal) {
			t.Errorf("%s: %v; want %s", what, err, tc.refusal)
		}
	}
	lws := newSet(namespace, "fixed", 1, 2, inGangs)
	create(t, lws)
	removal := client.RawPatch(types.MergePatchType, []byte(`{"spec":{"scheduling":null}}`))
	err := suite.client.Patch(t.Context(), lws, removal)
	if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "spec.scheduling: Forbidden: field is immutable") {
		t.Errorf("removing spec.scheduling: %v", err)
	}
	remove(t, lws, client.PropagationPolicy(metav1.DeletePropagationForeground))
	untilDeleted(t, lws)
}

// testProviderTurnedOff restarts the operator without a provider. A set that has gangs stays as it is, until the
// provider is back.
func testProviderTurnedOff(t *testing.T) {
	g := newGangs(t)
	g.untilTwoRun(t)
	setRoom(t, gangGroups*gangSize)
	g.untilAvailable(t)
	g.untilCondition(t, metav1.ConditionTrue, leaderworkersetv1.ReasonPodGroupsCreated, "Each group has the PodGroups")
	configure(t, "provider: Kubernetes", "provider: None")
	t.Cleanup(func() { configure(t, "provider: None", "provider: Kubernetes") })
	const off = "the operator has no provider for gang scheduling: scheduling.provider is None in its configuration"
	g.untilCondition(t, metav1.ConditionFalse, leaderworkersetv1.ReasonUnsupportedProviderCapability, off)
	err := suite.client.Create(t.Context(), newSet(g.lws.Namespace, "refused", 1, 2, inGangs))
	if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "spec.scheduling: Forbidden: "+off) {
		t.Errorf("creation without a provider: %v", err)
	}
	victim := g.boundPods(t)[0]
	remove(t, victim)
	g.untilGone(t, victim.UID)
	configure(t, "provider: None", "provider: Kubernetes")
	g.untilAvailable(t)
	g.untilCondition(t, metav1.ConditionTrue, leaderworkersetv1.ReasonPodGroupsCreated, "Each group has the PodGroups")
	g.checkPodGroups(t)
}

// testGangsWithoutRights takes the rights for PodGroups from an operator that has a provider. The operator runs on, and
// says what it needs. Once it has the rights, a set of gangs goes on.
func testGangsWithoutRights(t *testing.T) {
	g := newGangs(t)
	g.untilTwoRun(t)
	setRoom(t, gangGroups*gangSize)
	g.untilAvailable(t)
	binding := &rbacv1.ClusterRoleBinding{}
	binding.Name = "lws-operator-podgroups-rolebinding"
	refresh(t, binding)
	whileDown(t, func() { remove(t, binding.DeepCopy()) })
	binding.ResourceVersion, binding.UID = "", ""
	restored := false
	restore := func() {
		if !restored {
			restored = true
			if err := suite.client.Create(context.WithoutCancel(t.Context()), binding); err != nil {
				t.Error(err)
			}
		}
	}
	t.Cleanup(restore)
	const denied = "the operator has no right to create podgroups.scheduling.k8s.io: give it the rights of " +
		"config/podgroups"
	g.untilCondition(t, metav1.ConditionFalse, leaderworkersetv1.ReasonUnsupportedProviderCapability, denied)
	err := suite.client.Create(t.Context(), newSet(g.lws.Namespace, "refused", 1, 2, inGangs))
	if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "spec.scheduling: Forbidden: "+denied) {
		t.Errorf("creation without rights: %v", err)
	}
	restore()
	g.untilCondition(t, metav1.ConditionTrue, leaderworkersetv1.ReasonPodGroupsCreated, "Each group has the PodGroups")
	victim := g.boundPods(t)[0]
	remove(t, victim)
	g.untilGone(t, victim.UID)
	g.untilAvailable(t)
	g.checkPodGroups(t)
}

// testGangsNotServed asks for gangs in a cluster that serves no PodGroups.
func testGangsNotServed(t *testing.T) {
	t.Helper()
	inClusterWith(t, settings{provider: scheduling.Kubernetes})
	err := suite.client.Create(t.Context(), newSet(newNamespace(t), "refused", 1, 2, inGangs))
	const notServed = "spec.scheduling: Forbidden: the API server doesn't serve PodGroups: it needs the feature gate " +
		"GenericWorkload and the API scheduling.k8s.io/v1beta1, or v1alpha2 with Kubernetes 1.36"
	if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), notServed) {
		t.Errorf("creation without PodGroups: %v", err)
	}
}

// TestLocalGangsNotServed does the same with the feature gate off.
func TestLocalGangsNotServed(t *testing.T) { testGangsNotServed(t) }

// configure replaces a text in the operator's configuration, and restarts the operator.
func configure(t *testing.T, before, after string) {
	t.Helper()
	file, ctx := suite.operator.ConfigFile(), context.WithoutCancel(t.Context())
	content, err := os.ReadFile(file)
	if err == nil {
		err = os.WriteFile(file, []byte(strings.Replace(string(content), before, after, 1)), 0o600)
	}
	if err == nil {
		err = suite.operator.Stop(ctx)
	}
	if err == nil {
		err = suite.operator.Start(ctx)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// podGroupManifests returns the paths of the rights that PodGroups need.
func podGroupManifests(root string) []string {
	dir := filepath.Join(root, "config", "podgroups")
	return []string{filepath.Join(dir, "cluster_role.yaml"), filepath.Join(dir, "cluster_role_binding.yaml")}
}

// setRoom says how many pods of gang tests the cluster takes.
func setRoom(t *testing.T, pods int) {
	t.Helper()
	var nodes corev1.NodeList
	if err := suite.client.List(t.Context(), &nodes); err != nil {
		t.Fatal(err)
	}
	for i := range nodes.Items {
		node, share := &nodes.Items[i], pods/len(nodes.Items)
		if i < pods%len(nodes.Items) {
			share++
		}
		before := node.DeepCopy()
		quantity := *resource.NewQuantity(int64(share), resource.DecimalSI)
		node.Status.Capacity[room], node.Status.Allocatable[room] = quantity, quantity
		if err := suite.client.Status().Patch(t.Context(), node, client.MergeFrom(before)); err != nil {
			t.Fatal(err)
		}
	}
}

// inGangs makes each group of a set a gang, and each pod take some room.
func inGangs(lws *leaderworkersetv1.LeaderWorkerSet) {
	lws.Spec.Scheduling = &leaderworkersetv1.Scheduling{}
	for i := range lws.Spec.LeaderWorkerTemplate.WorkerTemplate.Spec.Containers {
		container := &lws.Spec.LeaderWorkerTemplate.WorkerTemplate.Spec.Containers[i]
		container.Resources.Limits = corev1.ResourceList{room: resource.MustParse("1")}
	}
}

// gangSet is a set of gangs, and what was recorded of its pods.
type gangSet struct {
	lws  *leaderworkersetv1.LeaderWorkerSet
	pods *recording[*corev1.Pod]
}

// newGangs creates a set with room for two groups.
func newGangs(t *testing.T, changes ...func(*leaderworkersetv1.LeaderWorkerSet)) *gangSet {
	t.Helper()
	setRoom(t, roomForTwo)
	namespace := newNamespace(t)
	all := append([]func(*leaderworkersetv1.LeaderWorkerSet){inGangs}, changes...)
	g := &gangSet{
		lws:  newSet(namespace, "gangs", gangGroups, gangSize, all...),
		pods: record[*corev1.Pod](t, namespace, &corev1.PodList{}),
	}
	createGangs(t, g.lws)
	return g
}

// createGangs creates a set, which is deleted at the end of the test: the next test needs its room. Its pods and
// PodGroups go with it.
func createGangs(t *testing.T, lws *leaderworkersetv1.LeaderWorkerSet) {
	t.Helper()
	create(t, lws)
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		if err := suite.client.Delete(ctx, lws, client.PropagationPolicy(metav1.DeletePropagationForeground)); err != nil {
			t.Error(err)
		}
		err := objects.Until(ctx, deadline, func(ctx context.Context) error {
			left, err := podGroupsIn(ctx, lws.Namespace)
			pods, podsErr := podsIn(lws.Namespace)(ctx)
			return unless(err == nil && podsErr == nil && len(left)+len(pods) == 0, "%d PodGroups, %d pods are left: %v",
				len(left), len(pods), err)
		})
		if err != nil {
			t.Error(err)
		}
	})
}

// boundPods returns the pods that have a node and aren't being deleted.
func (g *gangSet) boundPods(t *testing.T) []*corev1.Pod {
	t.Helper()
	return boundPods(t, g.lws)
}

// untilAvailable waits until all groups are ready, and none has to be updated. It gives the scheduler the time to try
// all waiting pods again.
func (g *gangSet) untilAvailable(t *testing.T) {
	t.Helper()
	err := objects.Until(t.Context(), schedulerDeadline, func(context.Context) error {
		refresh(t, g.lws)
		return unless(isUpdated(g.lws), "status: %+v", g.lws.Status)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// untilBound waits until the numbers of bound pods, by group, pass the check, and go on to pass it.
func (g *gangSet) untilBound(t *testing.T, check func(map[string]int) error) {
	t.Helper()
	bound := func(context.Context) error {
		counts := map[string]int{}
		for _, pod := range listed(t, podsIn(g.lws.Namespace)) {
			index := pod.Labels[leaderworkersetv1.GroupIndexLabelKey]
			counts[index] += 0
			if pod.Spec.NodeName != "" {
				counts[index]++
			}
		}
		return check(counts)
	}
	if err := objects.Until(t.Context(), schedulerDeadline, bound); err != nil {
		t.Fatalf("%v; PodGroups: %v", err, g.podGroups(t))
	}
	consistently(t, time.Second, func() error { return bound(t.Context()) })
}

// untilTwoRun waits until two groups are bound, and no pod of any other one.
func (g *gangSet) untilTwoRun(t *testing.T) {
	t.Helper()
	g.untilBound(t, func(bound map[string]int) error {
		maps.DeleteFunc(bound, func(_ string, pods int) bool { return pods == 0 })
		return unless(slices.Equal(sizesOf(bound), []int{gangSize, gangSize}), "bound: %v", bound)
	})
}

func sizesOf(bound map[string]int) []int { return slices.Sorted(maps.Values(bound)) }

// untilExplained waits until the status says why the third group doesn't run.
func (g *gangSet) untilExplained(t *testing.T) {
	t.Helper()
	eventually(t, func(context.Context) error {
		refresh(t, g.lws)
		unready := g.lws.Status.UnreadyGroups
		explained := len(unready) == 1 && unready[0].Reason == leaderworkersetv1.UnreadyUnschedulable
		return unless(explained, "unready: %+v", unready)
	})
	t.Logf("unready: %+v", g.lws.Status.UnreadyGroups)
}

// untilRenewed waits until the group of a pod has a leader in another PodGroup.
func (g *gangSet) untilRenewed(t *testing.T, before *corev1.Pod) {
	t.Helper()
	group := before.Labels[leaderworkersetv1.GroupIndexLabelKey]
	eventually(t, func(ctx context.Context) error {
		pods, err := podsIn(g.lws.Namespace)(ctx)
		isRenewed := func(pod *corev1.Pod) bool {
			return pod.Name == g.lws.Name+"-"+group && scheduling.NameOf(pod) != scheduling.NameOf(before)
		}
		return unless(err == nil && slices.ContainsFunc(pods, isRenewed), "group %s has no other leader: %v", group, err)
	})
}

// untilGone waits until a pod doesn't exist any more.
func (g *gangSet) untilGone(t *testing.T, uid types.UID) {
	t.Helper()
	eventually(t, func(ctx context.Context) error {
		pods, err := podsIn(g.lws.Namespace)(ctx)
		isIt := func(pod *corev1.Pod) bool { return pod.UID == uid }
		return unless(err == nil && !slices.ContainsFunc(pods, isIt), "pod %s is there: %v", uid, err)
	})
}

// untilCondition waits for the condition WorkloadSchedulingCreated. The operator looks for rights and for APIs once a
// minute, and so do passes over sets that need them.
func (g *gangSet) untilCondition(t *testing.T, status metav1.ConditionStatus, reason, message string) {
	t.Helper()
	err := objects.Until(t.Context(), 2*deadline, func(context.Context) error {
		refresh(t, g.lws)
		is := meta.FindStatusCondition(g.lws.Status.Conditions, leaderworkersetv1.ConditionWorkloadSchedulingCreated)
		return unless(is != nil && is.Status == status && is.Reason == reason && strings.Contains(is.Message, message),
			"condition: %+v", is)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// podGroupsIn returns the PodGroups of a namespace.
func podGroupsIn(ctx context.Context, namespace string) ([]metav1.PartialObjectMetadata, error) {
	kind := scheduling.Kind(podGroupVersions[cluster.Version()])
	list := &metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(kind.GroupVersion().WithKind(kind.Kind + "List"))
	err := suite.client.List(ctx, list, client.InNamespace(namespace))
	return list.Items, err
}

func (g *gangSet) podGroups(t *testing.T) []metav1.PartialObjectMetadata {
	t.Helper()
	podGroups, err := podGroupsIn(t.Context(), g.lws.Namespace)
	if err != nil {
		t.Fatal(err)
	}
	return podGroups
}

// checkPodGroups waits until there is one PodGroup for each group, which all pods of the group name.
func (g *gangSet) checkPodGroups(t *testing.T) {
	t.Helper()
	eventually(t, func(ctx context.Context) error {
		podGroups, err := podGroupsIn(ctx, g.lws.Namespace)
		if err != nil {
			return err
		}
		pods := map[string]int{}
		for _, pod := range listed(t, podsIn(g.lws.Namespace)) {
			pods[scheduling.NameOf(pod)]++
		}
		for _, podGroup := range podGroups {
			if pods[podGroup.Name] != gangSize {
				return fmt.Errorf("PodGroup %s has %d pods", podGroup.Name, pods[podGroup.Name])
			}
		}
		return unless(len(podGroups) == gangGroups && len(pods) == gangGroups, "%d PodGroups, pods: %v", len(podGroups), pods)
	})
	g.checkIncarnations(t)
}

// checkIncarnations checks all that was recorded: no incarnation is split over two PodGroups, none shares its PodGroup
// with another one, and the scheduler has bound none in part.
func (g *gangSet) checkIncarnations(t *testing.T) {
	t.Helper()
	requests, _, err := measure.Requests(suite.cluster.AuditLog(), 0, scheduler)
	if err != nil {
		t.Fatal(err)
	}
	tried := map[types.UID]bool{}
	for _, request := range requests {
		if request.Verb == "create" && request.Resource() == "pods/binding" {
			tried[types.UID(request.ObjectRef.UID)] = true
		}
	}
	var versions []gangs.Version
	for _, change := range g.pods.soFar(t) {
		versions = append(versions, gangs.Version{Pod: change.object, Deleted: change.kind == watch.Deleted})
	}
	wasTried := func(uid types.UID) bool { return tried[uid] }
	for _, fault := range gangs.Faults(versions, gangSize, wasTried) {
		t.Error(fault)
	}
}
