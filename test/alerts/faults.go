// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/test/cluster"
	"github.com/leaderworkerset/lws-operator/test/objects"
	"github.com/leaderworkerset/lws-operator/test/operator"
)

// fault is one thing that breaks, and the alert that reports it.
type fault struct {
	// what breaks and how it ends, for the table.
	what, end string
	alert     string
	// set is the set that the alert names. It is empty for an alert about the operator.
	set string
	// also are alerts that may fire for the same reason.
	also []subject
	// leaderless faults last longer than rules keep the values of sets without a leader. They wait until the alerts about
	// sets have ended.
	leaderless bool
	// prepare makes what the fault needs. It may be nil.
	prepare func(context.Context, *bed) error
	begin   func(context.Context, *bed) error
	// hold is repeated each second while the fault lasts. It may be nil.
	hold   func(context.Context, *bed) error
	finish func(context.Context, *bed) error
}

// spot is the label of the node on which the set "unavailable" runs.
const spot = "pool.example/spot"

// faultsOfSets happen at the same time, each to a set of its own.
func faultsOfSets() []fault {
	return []fault{
		{
			what: "The only node of a set is cordoned, and a pod of its only group is deleted", end: "The node is uncordoned",
			alert: "LeaderWorkerSetUnavailable", set: "unavailable",
			prepare: func(ctx context.Context, b *bed) error {
				return errors.Join(b.patchNode(ctx, func(n *corev1.Node) { n.Labels[spot] = "true" }),
					b.newSet(ctx, "unavailable", 1, func(lws *leaderworkersetv1.LeaderWorkerSet) {
						lws.Spec.LeaderWorkerTemplate.WorkerTemplate.Spec.NodeSelector = map[string]string{spot: "true"}
					}))
			},
			begin: func(ctx context.Context, b *bed) error {
				pod, err := b.pod(ctx, "unavailable", "unavailable-0-1")
				return errors.Join(err, b.patchNode(ctx, func(n *corev1.Node) { n.Spec.Unschedulable = true }),
					b.api.Delete(ctx, pod))
			},
			finish: func(ctx context.Context, b *bed) error {
				return b.patchNode(ctx, func(n *corev1.Node) { n.Spec.Unschedulable = false })
			},
		},
		{
			what: "The readiness probe of a worker fails", end: "The probe succeeds",
			alert: "LeaderWorkerSetGroupsNotReady", set: "partial",
			prepare: func(ctx context.Context, b *bed) error { return b.newSet(ctx, "partial", 2) },
			begin:   setReady("partial", "partial-1-1", corev1.ConditionFalse),
			finish:  setReady("partial", "partial-1-1", corev1.ConditionTrue),
		},
		{
			what: "A new version never gets ready", end: "The template is set back",
			alert: "LeaderWorkerSetRolloutStuck", set: "stuck",
			prepare: func(ctx context.Context, b *bed) error { return b.newSet(ctx, "stuck", 3) },
			begin:   roll("stuck", cluster.ReadyNever), finish: roll("stuck", "1s"),
		},
		{
			what: "A container crashes, and the group has no restarts left", end: "The leader is annotated with recover",
			alert: "LeaderWorkerSetGroupsFailed", set: "failed",
			prepare: func(ctx context.Context, b *bed) error {
				return b.newSet(ctx, "failed", 2, func(lws *leaderworkersetv1.LeaderWorkerSet) {
					lws.Spec.LeaderWorkerTemplate.MaxGroupRestarts = ptr.To(int32(0))
				})
			},
			begin: crash("failed", "failed-1-1"),
			finish: func(ctx context.Context, b *bed) error {
				pod, err := b.pod(ctx, "failed", "failed-1")
				before := pod.DeepCopy()
				metav1.SetMetaDataAnnotation(&pod.ObjectMeta, leaderworkersetv1.RecoverAnnotationKey, "true")
				return errors.Join(err, b.api.Patch(ctx, pod, client.MergeFrom(before)))
			},
		},
		{
			what: "A container crashes whenever its group is ready", end: "The container runs on",
			alert: "LeaderWorkerSetRestartStorm", set: "storm",
			prepare: func(ctx context.Context, b *bed) error { return b.newSet(ctx, "storm", 2) },
			begin:   crash("storm", "storm-1-1"), hold: crash("storm", "storm-1-1"), finish: nothing,
		},
		{
			what: "Pods are evicted again and again", end: "The evictions end",
			alert: "LeaderWorkerSetDisruptedOften", set: "disrupted",
			prepare: func(ctx context.Context, b *bed) error { return b.newSet(ctx, "disrupted", 1) },
			begin:   evict("disrupted", "disrupted-0-1"), hold: evict("disrupted", "disrupted-0-1"), finish: nothing,
		},
		{
			what: "A quota refuses the StatefulSet of a further group's workers", end: "The quota is deleted",
			alert: "LeaderWorkerSetReplicaFailure", set: "refused",
			prepare: func(ctx context.Context, b *bed) error {
				return errors.Join(b.newSet(ctx, "refused", 1), b.api.Create(ctx, quota()))
			},
			begin: func(ctx context.Context, b *bed) error {
				return b.edit(ctx, "refused", func(lws *leaderworkersetv1.LeaderWorkerSet) { lws.Spec.Replicas = ptr.To(int32(2)) })
			},
			finish: func(ctx context.Context, b *bed) error { return b.api.Delete(ctx, quota()) },
		},
	}
}

// faultsOfOperator happen one after the other.
func faultsOfOperator() []fault {
	const user = "scaled"
	return []fault{
		{
			what: "The operator loses the right to write the status, while an autoscaler scales a set",
			end:  "The right is back", alert: "LeaderWorkerSetNotReconciled", set: user,
			prepare: func(ctx context.Context, b *bed) error { return b.newSet(ctx, user, 1) },
			begin:   withoutStatus(true), hold: rescale(user), finish: withoutStatus(false),
		},
		{
			what: "The same, and the passes fail that end with the status",
			end:  "The right is back", alert: "LwsOperatorReconcileErrors",
			begin: withoutStatus(true), hold: rescale(user), finish: withoutStatus(false),
		},
		{
			what: "The API server reaches a webhook whose certificate another authority signed, while users apply sets",
			end:  "The certificate is right again", alert: "LwsOperatorWebhookUnreachable",
			begin: setGateway(impostor), hold: call, finish: setGateway(passes),
		},
		{
			what: "The network delays the calls of the webhooks by more than a second, while users apply sets",
			end:  "The delay ends", alert: "LwsOperatorWebhookSlow",
			begin: setGateway(slow), hold: call, finish: func(ctx context.Context, b *bed) error {
				return errors.Join(setGateway(passes)(ctx, b), call(ctx, b))
			},
		},
		{
			what: "Nobody renews the certificate that a replica gets from outside, and it ends in 10 hours",
			end:  "The certificate is renewed", alert: "LwsOperatorCertificateExpiring",
			begin: certificateFromOutside, finish: renewCertificate,
		},
		{
			what: "The operator loses the right to its lease",
			end:  "The right is back", alert: "LwsOperatorNoLeader", leaderless: true,
			begin: withoutLease(true), finish: withoutLease(false),
		},
		{
			what: "Both replicas are killed, and don't start again",
			end:  "The replicas start", alert: "LwsOperatorDown", leaderless: true,
			begin: setDown(true), finish: setDown(false),
		},
	}
}

func nothing(context.Context, *bed) error { return nil }

// patchNode changes the node of the pool.
func (b *bed) patchNode(ctx context.Context, change func(*corev1.Node)) error {
	node := &corev1.Node{}
	if err := b.api.Get(ctx, client.ObjectKey{Name: "node-0"}, node); err != nil {
		return err
	}
	before := node.DeepCopy()
	change(node)
	return b.api.Patch(ctx, node, client.MergeFrom(before))
}

// setReady sets the condition Ready of a pod, as its kubelet does after a probe.
func setReady(set, pod string, ready corev1.ConditionStatus) func(context.Context, *bed) error {
	return func(ctx context.Context, b *bed) error {
		return b.setStatus(ctx, set, pod, func(status *corev1.PodStatus) {
			for i := range status.Conditions {
				if kind := status.Conditions[i].Type; kind == corev1.PodReady || kind == corev1.ContainersReady {
					status.Conditions[i].Status = ready
				}
			}
			status.ContainerStatuses[0].Ready = ready == corev1.ConditionTrue
		})
	}
}

// roll changes the template of a set: its pods get ready after a time, or never.
func roll(set, readyAfter string) func(context.Context, *bed) error {
	return func(ctx context.Context, b *bed) error {
		return b.edit(ctx, set, func(lws *leaderworkersetv1.LeaderWorkerSet) {
			lws.Spec.LeaderWorkerTemplate.WorkerTemplate.Annotations[cluster.ReadyAfterAnnotation] = readyAfter
		})
	}
}

// crash restarts the container of a pod that is ready, as its kubelet does.
func crash(set, name string) func(context.Context, *bed) error {
	return func(ctx context.Context, b *bed) error {
		pod, err := b.pod(ctx, set, name)
		if err != nil || !objects.PodReady(pod) {
			return err
		}
		return b.setStatus(ctx, set, name, func(status *corev1.PodStatus) {
			status.ContainerStatuses[0].RestartCount++
			status.ContainerStatuses[0].LastTerminationState.Terminated =
				&corev1.ContainerStateTerminated{ExitCode: 1, Reason: "Error"}
		})
	}
}

// evict evicts a pod that is ready by the API for that.
func evict(set, name string) func(context.Context, *bed) error {
	return func(ctx context.Context, b *bed) error {
		pod, err := b.pod(ctx, set, name)
		if err != nil || !objects.PodReady(pod) {
			return err
		}
		return b.api.SubResource("eviction").Create(ctx, pod, &policyv1.Eviction{
			ObjectMeta: metav1.ObjectMeta{Namespace: set, Name: name},
		})
	}
}

// quota has room for the StatefulSets of one group: that of the leaders, and that of its workers.
func quota() *corev1.ResourceQuota {
	return &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Namespace: "refused", Name: "statefulsets"},
		Spec:       corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{"count/statefulsets.apps": resource.MustParse("2")}},
	}
}

// withoutStatus takes away the right to write the status of sets, or gives it back.
func withoutStatus(taken bool) func(context.Context, *bed) error {
	const status, disabled = "leaderworkersets/status", "leaderworkersets/no-status"
	from, to := disabled, status
	if taken {
		from, to = status, disabled
	}
	return func(ctx context.Context, b *bed) error {
		role := &rbacv1.ClusterRole{}
		if err := b.api.Get(ctx, client.ObjectKey{Name: "lws-operator-manager-role"}, role); err != nil {
			return err
		}
		for i := range role.Rules {
			for k, name := range role.Rules[i].Resources {
				if name == from {
					role.Rules[i].Resources[k] = to
				}
			}
		}
		return b.api.Update(ctx, role)
	}
}

// withoutLease takes away the rights to the lease, or gives them back.
func withoutLease(taken bool) func(context.Context, *bed) error {
	binding := &rbacv1.RoleBinding{}
	key := client.ObjectKey{Namespace: operator.Namespace, Name: "lws-operator-leader-election-rolebinding"}
	return func(ctx context.Context, b *bed) error {
		if err := b.api.Get(ctx, key, binding); err != nil {
			return err
		}
		binding.Subjects = []rbacv1.Subject{{
			Kind: rbacv1.ServiceAccountKind, Namespace: operator.Namespace, Name: "lws-operator-controller-manager",
		}}
		if taken {
			binding.Subjects[0].Name = "nobody"
		}
		return b.api.Update(ctx, binding)
	}
}

// rescale changes the number of groups of a set between one and two.
func rescale(set string) func(context.Context, *bed) error {
	return func(ctx context.Context, b *bed) error {
		return b.edit(ctx, set, func(lws *leaderworkersetv1.LeaderWorkerSet) {
			lws.Spec.Replicas = ptr.To(3 - *lws.Spec.Replicas)
		})
	}
}

func setGateway(m mode) func(context.Context, *bed) error {
	return func(_ context.Context, b *bed) error { b.gateway.set(m); return nil }
}

// call makes the API server call the webhooks of sets: a set is created, but not stored.
func call(ctx context.Context, b *bed) error {
	lws, err := b.set(ctx, "partial")
	if err != nil {
		return err
	}
	lws.ObjectMeta = metav1.ObjectMeta{Namespace: "partial", Name: "tried"}
	return b.api.Create(ctx, lws, client.DryRunAll)
}

// setDown kills all replicas, or starts them again.
func setDown(down bool) func(context.Context, *bed) error {
	return func(ctx context.Context, b *bed) (err error) {
		for _, r := range b.replicas {
			err = errors.Join(err, r.setDown(ctx, down))
		}
		return err
	}
}
