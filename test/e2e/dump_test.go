// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"testing"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/test/objects"
)

// logTail is how many bytes from the end of the operator's log a failed test shows.
const logTail = 8000

// dump logs the objects and events of the namespace, and the end of the operator's log.
func dump(t *testing.T, namespace string) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	var text bytes.Buffer
	dumpSets(ctx, &text, namespace)
	dumpChildren(ctx, &text, namespace)
	dumpEvents(ctx, &text, namespace)
	dumpLog(&text)
	t.Logf("Namespace %s at the end of the test:\n%s", namespace, text.String())
}

func dumpSets(ctx context.Context, text *bytes.Buffer, namespace string) {
	var list leaderworkersetv1.LeaderWorkerSetList
	if err := suite.client.List(ctx, &list, client.InNamespace(namespace)); err != nil {
		fmt.Fprintln(text, err)
	}
	for _, lws := range list.Items {
		lws.ManagedFields = nil
		data, err := yaml.Marshal(lws)
		if err != nil {
			fmt.Fprintln(text, err)
		}
		fmt.Fprintf(text, "%s---\n", data)
	}
}

func dumpChildren(ctx context.Context, text *bytes.Buffer, namespace string) {
	statefulSets, err := statefulSetsIn(namespace)(ctx)
	if err != nil {
		fmt.Fprintln(text, err)
	}
	for _, sts := range statefulSets {
		fmt.Fprintf(text, "StatefulSet %s replicas=%d ready=%d current=%d updated=%d deleted=%v labels=%v\n",
			sts.Name, *sts.Spec.Replicas, sts.Status.ReadyReplicas, sts.Status.CurrentReplicas,
			sts.Status.UpdatedReplicas, sts.DeletionTimestamp != nil, sts.Labels)
	}
	pods, err := podsIn(namespace)(ctx)
	if err != nil {
		fmt.Fprintln(text, err)
	}
	for _, pod := range pods[:min(len(pods), 100)] {
		fmt.Fprintf(text, "Pod %s phase=%s ready=%v deleted=%v node=%s uid=%s labels=%v\n",
			pod.Name, pod.Status.Phase, objects.PodReady(pod), pod.DeletionTimestamp != nil, pod.Spec.NodeName, pod.UID,
			pod.Labels)
	}
	services, err := servicesIn(namespace)(ctx)
	if err != nil {
		fmt.Fprintln(text, err)
	}
	for _, service := range services {
		fmt.Fprintf(text, "Service %s labels=%v\n", service.Name, service.Labels)
	}
}

func dumpEvents(ctx context.Context, text *bytes.Buffer, namespace string) {
	var list eventsv1.EventList
	if err := suite.client.List(ctx, &list, client.InNamespace(namespace)); err != nil {
		fmt.Fprintln(text, err)
	}
	for _, event := range list.Items {
		if event.Type == corev1.EventTypeWarning || event.Regarding.Kind == "LeaderWorkerSet" {
			fmt.Fprintf(text, "Event %s %s/%s %s: %s\n",
				event.Type, event.Regarding.Kind, event.Regarding.Name, event.Reason, event.Note)
		}
	}
}

func dumpLog(text *bytes.Buffer) {
	if suite.operator == nil {
		return
	}
	log, err := os.ReadFile(suite.operator.LogFile())
	if err != nil {
		fmt.Fprintln(text, err)
	}
	fmt.Fprintf(text, "The end of the operator's log:\n%s\n", log[max(0, len(log)-logTail):])
}
