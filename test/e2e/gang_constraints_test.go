// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/scheduling"
	"github.com/leaderworkerset/lws-operator/test/cluster"
	"github.com/leaderworkerset/lws-operator/test/objects"
)

// TestLocalGangConstraints runs gangs in a cluster with the feature gates for what else PodGroups can ask for: one
// topology domain, and claims that the pods of a group share.
func TestLocalGangConstraints(t *testing.T) {
	version := podGroupVersions[cluster.Version()]
	if version == "" {
		t.Run("NotServed", testGangsNotServed)
		return
	}
	with := gangSettings(version)
	with.featureGates["TopologyAwareWorkloadScheduling"] = true
	with.featureGates["DRAWorkloadResourceClaims"] = true
	inClusterWith(t, with)
	t.Run("Topology", testGangTopology)
	t.Run("Claims", testGangClaims)
	if err := nothingForbidden(); err != nil {
		t.Error(err)
	}
}

// testGangTopology puts each group into one rack. Each rack has room for one group, and there is a group more than
// racks. A rack that is cordoned takes no group that is recreated.
func testGangTopology(t *testing.T) {
	const size = 2
	setRoom(t, racks*size)
	lws := newSet(newNamespace(t), "racks", racks+1, size, inGangs, func(lws *leaderworkersetv1.LeaderWorkerSet) {
		lws.Spec.Scheduling.Replica = &leaderworkersetv1.ReplicaScheduling{
			SchedulingConstraints: &leaderworkersetv1.SchedulingConstraints{
				Topology: []leaderworkersetv1.TopologyConstraint{{Key: cluster.RackLabel}},
			},
		}
	})
	createGangs(t, lws)
	untilGroupsRun(t, lws, racks)
	bound := boundPods(t, lws)
	checkTogether(t, bound, cluster.RackLabel)
	check(t, "racks", racks, len(domainsOf(t, bound, cluster.RackLabel)))

	rack := domainOf(t, bound[0], cluster.RackLabel)
	edit(t, lws, scaledTo(racks))
	untilGroupsRun(t, lws, racks)
	cordon(t, rack)
	remove(t, bound[0])
	untilDeleted(t, bound[0].DeepCopy())
	untilGroupsRun(t, lws, racks-1)
	if domains := domainsOf(t, boundPods(t, lws), cluster.RackLabel); slices.Contains(domains, rack) {
		t.Errorf("a group is in %s, which is cordoned", rack)
	}
	setRoom(t, 2*racks*size)
	untilGroupsRun(t, lws, racks)
	bound = boundPods(t, lws)
	checkTogether(t, bound, cluster.RackLabel)
	check(t, "racks", racks-1, len(domainsOf(t, bound, cluster.RackLabel)))
}

// testGangClaims shares a device between the pods of each group. There are two devices, and three groups.
func testGangClaims(t *testing.T) {
	const groups, size, devices = 3, 3, 2
	setRoom(t, groups*size)
	namespace := newNamespace(t)
	class := newDeviceClass("domains.example.com")
	slice := newResourceSlice("domains", "domains.example.com", devices)
	create(t, class, slice)
	t.Cleanup(func() {
		for _, object := range []client.Object{slice, class} {
			if err := suite.client.Delete(context.WithoutCancel(t.Context()), object); err != nil {
				t.Error(err)
			}
		}
	})
	create(t, newClaimTemplate(namespace, "domain", class.Name))
	lws := newSet(namespace, "claims", groups, size, inGangs, withSharedClaim("channel", "domain"))
	createGangs(t, lws)
	untilGroupsRun(t, lws, devices)
	shared := sharedClaims(t, boundPods(t, lws))
	check(t, "claims of the groups that run", devices, len(shared))

	victim := boundPods(t, lws)[0]
	index := victim.Labels[leaderworkersetv1.GroupIndexLabelKey]
	remove(t, victim)
	untilDeleted(t, victim.DeepCopy())
	untilGroupsRun(t, lws, devices)
	after := sharedClaims(t, boundPods(t, lws))
	if after[index] == shared[index] {
		t.Errorf("group %s has the claim %s again", index, after[index])
	}
	edit(t, slice, func(slice *resourcev1.ResourceSlice) {
		slice.Spec.Devices = append(slice.Spec.Devices, resourcev1.Device{Name: "another"})
	})
	untilGroupsRun(t, lws, groups)
	shared = sharedClaims(t, boundPods(t, lws))
	eventually(t, func(ctx context.Context) error { // One for each group: those of earlier incarnations are gone.
		var list resourcev1.ResourceClaimList
		err := suite.client.List(ctx, &list, client.InNamespace(namespace))
		names := namesOf(pointers(list.Items))
		return unless(err == nil && slices.Equal(names, slices.Sorted(maps.Values(shared))), "claims %v, of groups %v: %v",
			names, shared, err)
	})
	for index, name := range shared {
		claim := &resourcev1.ResourceClaim{}
		claim.Namespace, claim.Name = namespace, name
		refresh(t, claim)
		reserved := claim.Status.ReservedFor
		if len(reserved) != 1 || reserved[0].APIGroup != scheduling.APIGroup || reserved[0].Resource != scheduling.Resource {
			t.Errorf("the claim of group %s is reserved for %+v", index, reserved)
		}
	}
	edit(t, lws, scaledTo(0))
	eventually(t, func(ctx context.Context) error {
		var list resourcev1.ResourceClaimList
		err := suite.client.List(ctx, &list, client.InNamespace(namespace))
		return unless(err == nil && len(list.Items) == 0, "%d claims: %v", len(list.Items), err)
	})
}

// untilGroupsRun waits until that many groups have all their pods on nodes, and no other group has one.
func untilGroupsRun(t *testing.T, lws *leaderworkersetv1.LeaderWorkerSet, groups int) {
	t.Helper()
	size := int(*lws.Spec.LeaderWorkerTemplate.Size)
	err := objects.Until(t.Context(), schedulerDeadline, func(ctx context.Context) error {
		bound := map[string]int{}
		pods, err := podsIn(lws.Namespace)(ctx)
		for _, pod := range pods {
			if pod.Spec.NodeName != "" && pod.DeletionTimestamp == nil {
				bound[pod.Labels[leaderworkersetv1.GroupIndexLabelKey]]++
			}
		}
		isPart := func(pods int) bool { return pods != size }
		whole := !slices.ContainsFunc(slices.Collect(maps.Values(bound)), isPart)
		return unless(err == nil && whole && len(bound) == groups, "bound: %v; %v", bound, err)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// boundPods returns the pods of a set that have a node and aren't being deleted.
func boundPods(t *testing.T, lws *leaderworkersetv1.LeaderWorkerSet) []*corev1.Pod {
	t.Helper()
	return slices.DeleteFunc(listed(t, podsIn(lws.Namespace)), func(pod *corev1.Pod) bool {
		return pod.Spec.NodeName == "" || pod.DeletionTimestamp != nil
	})
}

// domainsOf returns the topology domains of pods.
func domainsOf(t *testing.T, pods []*corev1.Pod, nodeLabel string) []string {
	t.Helper()
	domains := map[string]bool{}
	for _, pod := range pods {
		domains[domainOf(t, pod, nodeLabel)] = true
	}
	return slices.Sorted(maps.Keys(domains))
}

// sharedClaims returns the name of the claim of each group, by index. It checks that the pods of a group have the same
// one, and pods of two groups don't.
func sharedClaims(t *testing.T, pods []*corev1.Pod) map[string]string {
	t.Helper()
	claims, groups := map[string]string{}, map[string]string{}
	for _, pod := range pods {
		index, statuses := pod.Labels[leaderworkersetv1.GroupIndexLabelKey], pod.Status.ResourceClaimStatuses
		if len(statuses) != 1 || statuses[0].ResourceClaimName == nil {
			t.Errorf("claims of %s: %+v", pod.Name, statuses)
			continue
		}
		name := *statuses[0].ResourceClaimName
		if known, ok := claims[index]; ok && known != name {
			t.Errorf("%s has the claim %s, others of its group have %s", pod.Name, name, known)
		}
		if known, ok := groups[name]; ok && known != index {
			t.Errorf("groups %s and %s have the claim %s", known, index, name)
		}
		claims[index], groups[name] = name, index
	}
	return claims
}

// withSharedClaim makes all pods of a group name a claim of their PodGroup.
func withSharedClaim(name, template string) func(*leaderworkersetv1.LeaderWorkerSet) {
	return func(lws *leaderworkersetv1.LeaderWorkerSet) {
		lws.Spec.Scheduling.Replica = &leaderworkersetv1.ReplicaScheduling{
			ResourceClaims: []leaderworkersetv1.SchedulingResourceClaim{{
				Name: name, ResourceClaimTemplateName: ptr.To(template),
			}},
		}
		pod := &lws.Spec.LeaderWorkerTemplate.WorkerTemplate.Spec
		pod.ResourceClaims = []corev1.PodResourceClaim{{Name: name, ResourceClaimTemplateName: ptr.To(template)}}
		pod.Containers[0].Resources.Claims = []corev1.ResourceClaim{{Name: name}}
	}
}

// newDeviceClass returns the class of the devices of a test driver.
func newDeviceClass(driver string) *resourcev1.DeviceClass {
	return &resourcev1.DeviceClass{
		ObjectMeta: metav1.ObjectMeta{Name: driver},
		Spec: resourcev1.DeviceClassSpec{Selectors: []resourcev1.DeviceSelector{{
			CEL: &resourcev1.CELDeviceSelector{Expression: fmt.Sprintf("device.driver == %q", driver)},
		}}},
	}
}

// newResourceSlice returns devices that every node can reach, as the driver of a network would publish them.
func newResourceSlice(name, driver string, devices int) *resourcev1.ResourceSlice {
	slice := &resourcev1.ResourceSlice{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: resourcev1.ResourceSliceSpec{
			Driver: driver, AllNodes: ptr.To(true),
			Pool: resourcev1.ResourcePool{Name: name, Generation: 1, ResourceSliceCount: 1},
		},
	}
	for i := range devices {
		slice.Spec.Devices = append(slice.Spec.Devices, resourcev1.Device{Name: fmt.Sprintf("device-%d", i)})
	}
	return slice
}

// newClaimTemplate returns a template of claims of one device.
func newClaimTemplate(namespace, name, class string) *resourcev1.ResourceClaimTemplate {
	return &resourcev1.ResourceClaimTemplate{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: resourcev1.ResourceClaimTemplateSpec{Spec: resourcev1.ResourceClaimSpec{
			Devices: resourcev1.DeviceClaim{Requests: []resourcev1.DeviceRequest{{
				Name: "channel", Exactly: &resourcev1.ExactDeviceRequest{DeviceClassName: class},
			}}},
		}},
	}
}
