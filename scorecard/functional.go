// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	disaggregatedsetv1 "github.com/leaderworkerset/lws-operator/api/disaggregatedset/v1"
	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

const (
	// groups and groupSize are the number of groups, and of pods per group, of the sets that tests create.
	groups, groupSize = 2, 2

	// interval is the time between two checks of a condition.
	interval = 500 * time.Millisecond

	// cleanupTimeout limits the removal of a test's objects, which starts after the test.
	cleanupTimeout = time.Minute
)

// connect returns a client for the cluster.
func (s *subject) connect() (client.Client, error) {
	if s.namespace == "" {
		return nil, errors.New("no -namespace")
	}
	config, err := s.config()
	if err != nil {
		return nil, err
	}
	config.WarningHandler = rest.NoWarnings{}
	config.QPS = -1
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), leaderworkersetv1.AddToScheme(scheme),
		disaggregatedsetv1.AddToScheme(scheme)); err != nil {
		return nil, err
	}
	connected, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		return nil, err
	}
	return client.WithFieldValidation(connected, metav1.FieldValidationStrict), nil
}

// config returns the configuration of that client. In a pod it is the pod's own.
func (s *subject) config() (*rest.Config, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = s.kubeconfig
	return clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, nil).ClientConfig()
}

// examplesAdmitted checks by a dry run that the API server and its webhooks admit the examples.
func examplesAdmitted(ctx context.Context, tested *subject) error {
	bundle, err := tested.read()
	if err != nil {
		return err
	}
	examples, err := examplesOf(bundle)
	if err != nil {
		return err
	}
	cluster, err := tested.connect()
	if err != nil {
		return err
	}
	var errs []error
	for _, example := range examples {
		object := &unstructured.Unstructured{}
		if err := json.Unmarshal(example, &object.Object); err != nil {
			errs = append(errs, err)
			continue
		}
		object.SetNamespace(tested.namespace)
		if err := cluster.Create(ctx, object, client.DryRunAll); err != nil {
			errs = append(errs, fmt.Errorf("example %s: %w", object.GetName(), err))
		}
	}
	return errors.Join(errs...)
}

// trial is a test's own LeaderWorkerSet.
type trial struct {
	client.Client
	set *leaderworkersetv1.LeaderWorkerSet
}

// functional returns a test that creates a set, waits until all groups are ready, and runs the check. After that it
// deletes the set and checks that no object of the set is left.
func functional(check func(context.Context, *trial) error) func(context.Context, *subject) error {
	return func(ctx context.Context, tested *subject) (err error) {
		cluster, err := tested.connect()
		if err != nil {
			return err
		}
		t := &trial{Client: cluster, set: newSet(tested.namespace)}
		if err := t.Create(ctx, t.set); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, t.remove(ctx)) }()
		if err := t.untilReady(ctx, groups); err != nil {
			return err
		}
		return check(ctx, t)
	}
}

// newSet returns a set whose pods only pause.
func newSet(namespace string) *leaderworkersetv1.LeaderWorkerSet {
	return &leaderworkersetv1.LeaderWorkerSet{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "scorecard-", Namespace: namespace},
		Spec: leaderworkersetv1.LeaderWorkerSetSpec{
			Replicas: ptr.To[int32](groups),
			LeaderWorkerTemplate: leaderworkersetv1.LeaderWorkerTemplate{
				Size: ptr.To[int32](groupSize),
				WorkerTemplate: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
					SecurityContext: &corev1.PodSecurityContext{
						RunAsNonRoot:   ptr.To(true),
						SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
					},
					Containers: []corev1.Container{{
						Name: "pause", Image: "registry.k8s.io/pause:3.10",
						SecurityContext: &corev1.SecurityContext{
							AllowPrivilegeEscalation: ptr.To(false),
							Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
						},
					}},
				}},
			},
		},
	}
}

// becomesAvailable checks nothing more: functional has waited until the set is available.
func becomesAvailable(context.Context, *trial) error { return nil }

// rolls changes the template, and checks that a pod of another revision replaces each pod.
func rolls(ctx context.Context, t *trial) error {
	before, err := t.pods(ctx)
	if err != nil {
		return err
	}
	from := t.set.DeepCopy()
	metav1.SetMetaDataAnnotation(&t.set.Spec.LeaderWorkerTemplate.WorkerTemplate.ObjectMeta, "example.com/changed", "true")
	if err := t.Patch(ctx, t.set, client.MergeFrom(from)); err != nil {
		return err
	}
	if err := t.untilReady(ctx, groups); err != nil {
		return err
	}
	after, err := t.pods(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for name, pod := range after {
		old := before[name]
		if pod.UID == old.UID ||
			pod.Labels[leaderworkersetv1.RevisionLabelKey] == old.Labels[leaderworkersetv1.RevisionLabelKey] {
			errs = append(errs, fmt.Errorf("pod %s was not replaced by one of another revision", name))
		}
	}
	return errors.Join(errs...)
}

// restartsGroup deletes a worker, and checks that all pods of its group are replaced, and no others.
func restartsGroup(ctx context.Context, t *trial) error {
	before, err := t.pods(ctx)
	if err != nil {
		return err
	}
	worker := before[t.set.Name+"-1-1"]
	if err := t.Delete(ctx, &worker); err != nil {
		return err
	}
	return eventually(ctx, func(ctx context.Context) error {
		after, err := t.pods(ctx)
		if err != nil {
			return err
		}
		for name, pod := range after {
			failed := pod.Labels[leaderworkersetv1.GroupIndexLabelKey] == "1"
			if replaced := pod.UID != before[name].UID; replaced != failed {
				return fmt.Errorf("pod %s was replaced: %t; want %t", name, replaced, failed)
			}
		}
		return t.ready(ctx, groups)
	})
}

// scales adds a group and then removes two. The pods of the first group must stay.
func scales(ctx context.Context, t *trial) error {
	before, err := t.pods(ctx)
	if err != nil {
		return err
	}
	for _, replicas := range []int32{groups + 1, 1} {
		scale := &autoscalingv1.Scale{Spec: autoscalingv1.ScaleSpec{Replicas: replicas}}
		if err := t.SubResource("scale").Update(ctx, t.set, client.WithSubResourceBody(scale)); err != nil {
			return err
		}
		if err := t.untilReady(ctx, replicas); err != nil {
			return fmt.Errorf("scaled to %d: %w", replicas, err)
		}
	}
	after, err := t.pods(ctx)
	if err != nil {
		return err
	}
	for name, pod := range after {
		if pod.UID != before[name].UID {
			return fmt.Errorf("pod %s was replaced", name)
		}
	}
	return nil
}

// untilReady waits until the set has that many groups, all ready and up to date, and no other pod.
func (t *trial) untilReady(ctx context.Context, replicas int32) error {
	return eventually(ctx, func(ctx context.Context) error { return t.ready(ctx, replicas) })
}

// ready reads the set, and returns an error until the set is in the state that untilReady waits for.
func (t *trial) ready(ctx context.Context, replicas int32) error {
	if err := t.Get(ctx, client.ObjectKeyFromObject(t.set), t.set); err != nil {
		return err
	}
	status := t.set.Status
	available := meta.IsStatusConditionTrue(status.Conditions, leaderworkersetv1.ConditionAvailable)
	if status.ObservedGeneration != t.set.Generation || !available ||
		status.ReadyReplicas != replicas || status.UpdatedReplicas != replicas {
		return fmt.Errorf("of %d groups, %d are ready and %d up to date: %v",
			replicas, status.ReadyReplicas, status.UpdatedReplicas, status.Conditions)
	}
	pods, err := t.pods(ctx)
	if err != nil {
		return err
	}
	if len(pods) != int(replicas*groupSize) {
		return fmt.Errorf("%d pods; want %d", len(pods), replicas*groupSize)
	}
	for index := range replicas {
		leader := t.set.Name + "-" + strconv.Itoa(int(index))
		for _, name := range []string{leader, leader + "-1"} {
			if _, exists := pods[name]; !exists {
				return fmt.Errorf("no pod %s", name)
			}
		}
	}
	return nil
}

// pods returns the pods of the set, by name.
func (t *trial) pods(ctx context.Context) (map[string]corev1.Pod, error) {
	var list corev1.PodList
	if err := t.List(ctx, &list, t.selector()...); err != nil {
		return nil, err
	}
	byName := map[string]corev1.Pod{}
	for i := range list.Items {
		byName[list.Items[i].Name] = list.Items[i]
	}
	return byName, nil
}

// selector returns the options that list the objects of the set.
func (t *trial) selector() []client.ListOption {
	return []client.ListOption{
		client.InNamespace(t.set.Namespace),
		client.MatchingLabels{leaderworkersetv1.SetNameLabelKey: t.set.Name},
	}
}

// remove deletes the set and waits until none of its objects is left, even after the timeout of the test.
func (t *trial) remove(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	if err := client.IgnoreNotFound(t.Delete(ctx, t.set, client.Preconditions{UID: ptr.To(t.set.UID)})); err != nil {
		return err
	}
	return eventually(ctx, t.removed)
}

// removed returns an error until no object of the set exists.
func (t *trial) removed(ctx context.Context) error {
	err := t.Get(ctx, client.ObjectKeyFromObject(t.set), &leaderworkersetv1.LeaderWorkerSet{})
	if !apierrors.IsNotFound(err) {
		return fmt.Errorf("LeaderWorkerSet %s still exists: %w", t.set.Name, err)
	}
	for _, list := range []client.ObjectList{
		&corev1.PodList{}, &appsv1.StatefulSetList{}, &corev1.ServiceList{}, &appsv1.ControllerRevisionList{},
	} {
		if err := t.List(ctx, list, t.selector()...); err != nil {
			return err
		}
		if left := meta.LenList(list); left > 0 {
			return fmt.Errorf("%T: %d are left", list, left)
		}
	}
	return nil
}

// eventually repeats a check until it returns no error. When the context is done, eventually returns the last error.
func eventually(ctx context.Context, check func(context.Context) error) error {
	var last error
	err := wait.PollUntilContextCancel(ctx, interval, true, func(ctx context.Context) (bool, error) {
		err := check(ctx)
		if ctx.Err() == nil || last == nil {
			last = err
		}
		return err == nil, nil
	})
	if err != nil {
		return fmt.Errorf("%w: %w", err, last)
	}
	return nil
}
