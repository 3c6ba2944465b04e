// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/test/cluster"
	"github.com/leaderworkerset/lws-operator/test/objects"
)

// The tests of this file depend on the topology of the local cluster: 20 nodes in 10 racks in 2 zones.
const racks = 10

// TestLocalExclusive gives each group a rack of its own. The status reports the groups that find no rack as
// unschedulable.
func TestLocalExclusive(t *testing.T) {
	t.Parallel()
	const size, surplus = 3, 2
	namespace := newNamespace(t)
	lws := newSet(namespace, "racks", racks, size,
		placed(leaderworkersetv1.ExclusiveKeyAnnotationKey, cluster.RackLabel))
	create(t, lws)
	untilAvailable(t, lws)
	pods := listed(t, podsIn(namespace))
	check(t, "pods", slices.Sorted(slices.Values(podNames("racks", racks, size))), namesOf(pods))
	check(t, "racks", racks, len(exclusiveDomains(t, pods, cluster.RackLabel, leaderworkersetv1.GroupUniqueHashLabelKey)))

	edit(t, lws, func(lws *leaderworkersetv1.LeaderWorkerSet) { lws.Spec.Replicas = ptr.To(int32(racks + surplus)) })
	eventually(t, func(ctx context.Context) error {
		if err := suite.client.Get(ctx, client.ObjectKeyFromObject(lws), lws); err != nil {
			return err
		}
		unschedulable := 0
		for _, group := range lws.Status.UnreadyGroups {
			if group.Index >= racks && group.Reason == leaderworkersetv1.UnreadyUnschedulable && group.Message != "" {
				unschedulable++
			}
		}
		return unless(unschedulable == surplus && len(lws.Status.UnreadyGroups) == surplus,
			"unreadyGroups: %+v", lws.Status.UnreadyGroups)
	})
	waiting := []string{fmt.Sprintf("racks-%d", racks), fmt.Sprintf("racks-%d", racks+1)}
	untilNamed(t, podsIn(namespace), append(podNames("racks", racks, size), waiting...)...)

	edit(t, lws, func(lws *leaderworkersetv1.LeaderWorkerSet) { lws.Spec.Replicas = ptr.To(int32(racks)) })
	untilNamed(t, podsIn(namespace), podNames("racks", racks, size)...)
	untilAvailable(t, lws)
	check(t, "UIDs of the pods", uidsOf(pods), uidsOf(listed(t, podsIn(namespace))))
}

// TestLocalShareTopology puts each group into one rack. There are more groups than racks, and other sets on the racks.
// A rack that is cordoned takes no group that is recreated.
func TestLocalShareTopology(t *testing.T) {
	const size = 2
	namespace := newNamespace(t)
	lws := newSet(namespace, "shared", racks+2, size,
		placed(leaderworkersetv1.ShareTopologyAnnotationKey, cluster.RackLabel))
	create(t, lws)
	untilAvailable(t, lws)
	before := listed(t, podsIn(namespace))
	checkTogether(t, before, cluster.RackLabel)

	rack := domainOf(t, before[0], cluster.RackLabel)
	cordon(t, rack)
	remove(t, named(t, before, "shared-0-1"))
	for _, pod := range before {
		if pod.Labels[leaderworkersetv1.GroupIndexLabelKey] == "0" {
			untilDeleted(t, pod.DeepCopy())
		}
	}
	untilAvailable(t, lws)
	after := listed(t, podsIn(namespace))
	checkTogether(t, after, cluster.RackLabel)
	if domain := domainOf(t, named(t, after, "shared-0"), cluster.RackLabel); domain == rack {
		t.Errorf("group 0 is in %s, which is cordoned", domain)
	}
}

// TestLocalExclusiveScope runs two sets whose groups keep away from those of their own set only. Together, they have
// more groups than there are racks.
func TestLocalExclusiveScope(t *testing.T) {
	t.Parallel()
	const replicas, size = racks - 2, 2
	namespace := newNamespace(t)
	for _, name := range []string{"one", "two"} {
		lws := newSet(namespace, name, replicas, size,
			placed(leaderworkersetv1.ExclusiveKeyAnnotationKey, cluster.RackLabel),
			placed(leaderworkersetv1.ExclusiveScopeAnnotationKey, leaderworkersetv1.ExclusiveScopeLeaderWorkerSet))
		create(t, lws)
		untilAvailable(t, lws)
		ofSet := client.MatchingLabels{leaderworkersetv1.SetNameLabelKey: name}
		domains := exclusiveDomains(t, listed(t, podsIn(namespace, ofSet)), cluster.RackLabel,
			leaderworkersetv1.GroupUniqueHashLabelKey)
		check(t, "racks of "+name, replicas, len(domains))
	}
}

// TestLocalExclusiveBesideAffinity checks that exclusive placement keeps the affinity of the user's template.
func TestLocalExclusiveBesideAffinity(t *testing.T) {
	t.Parallel()
	const replicas, size, zone = 3, 2, "zone-1"
	own := &corev1.Affinity{
		NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
			NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchExpressions: []corev1.NodeSelectorRequirement{{
				Key: corev1.LabelTopologyZone, Operator: corev1.NodeSelectorOpIn, Values: []string{zone},
			}}}},
		}},
		PodAntiAffinity: &corev1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{{
			TopologyKey:   corev1.LabelHostname,
			LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "model"}},
		}}},
	}
	namespace := newNamespace(t)
	lws := newSet(namespace, "both", replicas, size,
		placed(leaderworkersetv1.ExclusiveKeyAnnotationKey, cluster.RackLabel),
		func(lws *leaderworkersetv1.LeaderWorkerSet) {
			template := &lws.Spec.LeaderWorkerTemplate.WorkerTemplate
			template.Labels = map[string]string{"app": "model"}
			template.Spec.Affinity = own.DeepCopy()
		})
	create(t, lws)
	untilAvailable(t, lws)
	pods := listed(t, podsIn(namespace))
	check(t, "racks", replicas,
		len(exclusiveDomains(t, pods, cluster.RackLabel, leaderworkersetv1.GroupUniqueHashLabelKey)))
	nodes := map[string]bool{}
	for _, pod := range pods {
		nodes[pod.Spec.NodeName] = true
		check(t, "zone of "+pod.Name, zone, domainOf(t, pod, corev1.LabelTopologyZone))
		check(t, "node affinity of "+pod.Name, own.NodeAffinity, pod.Spec.Affinity.NodeAffinity)
		check(t, "first anti-affinity of "+pod.Name, own.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution[0],
			pod.Spec.Affinity.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution[0])
	}
	check(t, "nodes", replicas*size, len(nodes))
}

// TestLocalUnlabeledNode runs the leader on a node without the topology label. The operator creates no workers until
// the node has the label.
func TestLocalUnlabeledNode(t *testing.T) {
	t.Parallel()
	const island = "example.com/island"
	node := &corev1.Node{}
	node.Name = "node-0"
	namespace := newNamespace(t)
	lws := newSet(namespace, "lost", 1, 3, placed(leaderworkersetv1.ExclusiveKeyAnnotationKey, island),
		func(lws *leaderworkersetv1.LeaderWorkerSet) {
			// NodeName bypasses the scheduler, which wouldn't choose this node.
			leader := podTemplate()
			leader.Spec.NodeName = node.Name
			lws.Spec.LeaderWorkerTemplate.LeaderTemplate = &leader
		})
	create(t, lws)
	untilFailing(t, lws, "node node-0 of leader pod lost-0 has no label "+island)
	untilUnready(t, lws, leaderworkersetv1.UnreadyGroup{
		Reason: leaderworkersetv1.UnreadyBlocked, Message: failureIn(lws),
	})
	check(t, "pods", []string{"lost-0"}, namesOf(listed(t, podsIn(namespace))))
	check(t, "StatefulSets", []string{"lost"}, namesOf(listed(t, statefulSetsIn(namespace))))

	edit(t, node, func(node *corev1.Node) { node.Labels[island] = "one" })
	untilRecovered(t, lws)
	pods := listed(t, podsIn(namespace))
	check(t, "pods", podNames("lost", 1, 3), namesOf(pods))
	for _, pod := range pods {
		check(t, "node of "+pod.Name, node.Name, pod.Spec.NodeName)
	}
}

// failureIn returns the message of the condition ReplicaFailure, or "" if the set has none.
func failureIn(lws *leaderworkersetv1.LeaderWorkerSet) string {
	condition := meta.FindStatusCondition(lws.Status.Conditions, leaderworkersetv1.ConditionReplicaFailure)
	if condition == nil {
		return ""
	}
	return condition.Message
}

// TestLocalExclusiveSubGroups gives each subgroup a rack of its own. If groups are exclusive as well, the rack is in
// the group's zone.
func TestLocalExclusiveSubGroups(t *testing.T) {
	t.Parallel()
	const subGroupSize = 2
	type set = leaderworkersetv1.LeaderWorkerSet
	tests := map[string]struct {
		policy                    leaderworkersetv1.SubGroupPolicyType
		replicas, size, subGroups int32
		exclusiveZones            bool
	}{
		"LeaderWorker":              {leaderworkersetv1.SubGroupPolicyTypeLeaderWorker, 4, 4, 8, false},
		"LeaderWorker and one more": {leaderworkersetv1.SubGroupPolicyTypeLeaderWorker, 4, 5, 8, false},
		"LeaderWorker in zones":     {leaderworkersetv1.SubGroupPolicyTypeLeaderWorker, 2, 4, 4, true},
		"LeaderExcluded":            {leaderworkersetv1.SubGroupPolicyTypeLeaderExcluded, 4, 5, 8, false},
		"LeaderExcluded in zones":   {leaderworkersetv1.SubGroupPolicyTypeLeaderExcluded, 2, 5, 4, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			namespace := newNamespace(t)
			lws := newSet(namespace, "sub", test.replicas, test.size,
				placed(leaderworkersetv1.SubGroupExclusiveKeyAnnotationKey, cluster.RackLabel), func(lws *set) {
					lws.Spec.LeaderWorkerTemplate.SubGroupPolicy = &leaderworkersetv1.SubGroupPolicy{
						SubGroupSize: ptr.To(int32(subGroupSize)), Type: test.policy,
					}
				})
			if test.exclusiveZones {
				placed(leaderworkersetv1.ExclusiveKeyAnnotationKey, corev1.LabelTopologyZone)(lws)
			}
			create(t, lws)
			untilAvailable(t, lws)
			pods := listed(t, podsIn(namespace))
			check(t, "pods", slices.Sorted(slices.Values(podNames("sub", test.replicas, test.size))), namesOf(pods))
			domains := exclusiveDomains(t, pods, cluster.RackLabel, leaderworkersetv1.SubGroupUniqueHashLabelKey)
			check(t, "subgroups", int(test.subGroups), len(domains))
			if test.exclusiveZones {
				zones := exclusiveDomains(t, pods, corev1.LabelTopologyZone, leaderworkersetv1.GroupUniqueHashLabelKey)
				check(t, "zones", int(test.replicas), len(zones))
			}
		})
	}
}

// TestLocalLostNode deletes a pod whose node is lost. A finalizer keeps the pod, as the missing kubelet would. The
// other pods of the group are deleted at once. The group is recreated as soon as the pod no longer exists.
func TestLocalLostNode(t *testing.T) {
	t.Parallel()
	const unreachable = "example.com/unreachable"
	for name, lost := range map[string]string{"of a worker": "held-1-2", "of the leader": "held-1"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			namespace := newNamespace(t)
			pods := record[*corev1.Pod](t, namespace, &corev1.PodList{})
			lws := newSet(namespace, "held", 2, 4)
			create(t, lws)
			untilAvailable(t, lws)
			pods.until(t, exactlyReady(podNames("held", 2, 4), image))
			before := pods.current(t)
			pod := before[lost].DeepCopy()
			edit(t, pod, func(pod *corev1.Pod) { pod.Finalizers = append(pod.Finalizers, unreachable) })

			began := time.Now()
			remove(t, pod)
			pods.until(t, func(state map[string]*corev1.Pod) error {
				for _, name := range groupNames("held", 1, 4) {
					if now := state[name]; name != lost && now != nil && now.UID == before[name].UID {
						return fmt.Errorf("%s still exists", name)
					}
				}
				return nil
			})
			t.Logf("the other pods of the group were deleted after %.1f s", time.Since(began).Seconds())
			consistently(t, 2*time.Second, func() error {
				state := pods.current(t)
				for _, worker := range []string{"held-1-1", "held-1-3"} {
					if state[worker] != nil {
						return fmt.Errorf("%s was created before %s was deleted", worker, lost)
					}
				}
				return unless(state[lost] != nil && state[lost].UID == before[lost].UID, "%s was deleted", lost)
			})

			edit(t, pod, func(pod *corev1.Pod) { pod.Finalizers = nil })
			pods.until(t, func(state map[string]*corev1.Pod) error {
				for _, name := range groupNames("held", 1, 4) {
					if now := state[name]; now == nil || now.UID == before[name].UID || !objects.PodReady(now) {
						return fmt.Errorf("%s isn't ready again", name)
					}
				}
				return nil
			})
			untilAvailable(t, lws)
			want := with(each(podNames("held", 1, 4), 1), each(groupNames("held", 1, 4), 2))
			check(t, "incarnations of the pods", want, pods.incarnations(t))
		})
	}
}

// TestLocalExclusiveMoves restarts a group whose rack is cordoned, while a worker of the previous incarnation
// terminates slowly. The group is recreated in another rack as soon as that worker is deleted. It doesn't wait for the
// scheduler's next attempt at all pods, which comes every 5 minutes. The test doesn't run in parallel, because other
// tests need all racks.
func TestLocalExclusiveMoves(t *testing.T) {
	const slow = "8s"
	namespace := newNamespace(t)
	lws := newSet(namespace, "moves", 1, 3, placed(leaderworkersetv1.ExclusiveKeyAnnotationKey, cluster.RackLabel),
		func(lws *leaderworkersetv1.LeaderWorkerSet) {
			template := &lws.Spec.LeaderWorkerTemplate
			template.LeaderTemplate = ptr.To(podTemplate())
			template.WorkerTemplate = annotated(template.WorkerTemplate, cluster.TerminateAfterAnnotation, slow)
		})
	create(t, lws)
	untilAvailable(t, lws)
	before := listed(t, podsIn(namespace))
	rack := domainOf(t, before[0], cluster.RackLabel)
	cordon(t, rack)

	began := time.Now()
	remove(t, named(t, before, "moves-0-1"))
	untilUnready(t, lws, leaderworkersetv1.UnreadyGroup{
		Reason:  leaderworkersetv1.UnreadyPreviousGroup,
		Message: "the leader pod waits for the pods of the group's previous incarnation to be gone",
	})
	for _, pod := range before {
		untilDeleted(t, pod.DeepCopy())
	}
	deleted := time.Now()
	untilAvailable(t, lws)
	t.Logf("the previous pods were deleted after %.1f s, the group was available %.1f s later",
		deleted.Sub(began).Seconds(), time.Since(deleted).Seconds())
	after := listed(t, podsIn(namespace))
	check(t, "pods", podNames("moves", 1, 3), namesOf(after))
	for _, pod := range after {
		check(t, "gates of "+pod.Name, []corev1.PodSchedulingGate(nil), pod.Spec.SchedulingGates)
		if domain := domainOf(t, pod, cluster.RackLabel); domain == rack {
			t.Errorf("%s is in %s, which is cordoned", pod.Name, domain)
		}
	}
}

// cordon makes the nodes of a rack unschedulable until the test ends.
func cordon(t *testing.T, rack string) {
	t.Helper()
	var nodes corev1.NodeList
	if err := suite.client.List(t.Context(), &nodes, client.MatchingLabels{cluster.RackLabel: rack}); err != nil {
		t.Fatal(err)
	}
	for _, node := range pointers(nodes.Items) {
		edit(t, node, func(node *corev1.Node) { node.Spec.Unschedulable = true })
		t.Cleanup(func() {
			uncordoned := client.RawPatch(types.MergePatchType, []byte(`{"spec":{"unschedulable":null}}`))
			if err := suite.client.Patch(context.WithoutCancel(t.Context()), node, uncordoned); err != nil {
				t.Error(err)
			}
		})
	}
}

// placed sets an annotation for placement, mostly with the name of a node label.
func placed(annotation, value string) func(*leaderworkersetv1.LeaderWorkerSet) {
	return func(lws *leaderworkersetv1.LeaderWorkerSet) {
		metav1.SetMetaDataAnnotation(&lws.ObjectMeta, annotation, value)
	}
}

// domainOf returns the topology domain of a pod: the value of the label of the pod's node.
func domainOf(t *testing.T, pod *corev1.Pod, nodeLabel string) string {
	t.Helper()
	node := &corev1.Node{}
	if err := suite.client.Get(t.Context(), client.ObjectKey{Name: pod.Spec.NodeName}, node); err != nil {
		t.Fatalf("node of pod %s: %v", pod.Name, err)
	}
	return node.Labels[nodeLabel]
}

// exclusiveDomains returns the topology domains of the pods by the value of their podLabel. Pods without the label
// don't count. It checks that each value has one domain, and that no two values share a domain.
func exclusiveDomains(t *testing.T, pods []*corev1.Pod, nodeLabel, podLabel string) map[string]string {
	t.Helper()
	domains, users := map[string]string{}, map[string]string{}
	for _, pod := range pods {
		key := pod.Labels[podLabel]
		if key == "" {
			continue
		}
		domain := domainOf(t, pod, nodeLabel)
		if known, ok := domains[key]; ok && known != domain {
			t.Errorf("%s is in %s, others with the same %s are in %s", pod.Name, domain, podLabel, known)
		}
		if other, ok := users[domain]; ok && other != key {
			t.Errorf("%s shares %s with pods that have another %s", pod.Name, domain, podLabel)
		}
		domains[key], users[domain] = domain, key
	}
	return domains
}
