// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/test/nodes/bed"
)

// callPod calls a pod's server through the API server.
func callPod(ctx context.Context, pod client.Object, path string) ([]byte, error) {
	return suite.Clientset.CoreV1().RESTClient().Get().Namespace(pod.GetNamespace()).Resource("pods").
		Name(fmt.Sprintf("%s:%d", pod.GetName(), bed.Port)).SubResource("proxy").Suffix(path).DoRaw(ctx)
}

// workersSeenBy returns the names of the workers that have reached a leader.
func workersSeenBy(t *testing.T, leader client.Object) []string {
	t.Helper()
	data, err := callPod(t.Context(), leader, "workers")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	if err := json.Unmarshal(data, &names); err != nil {
		t.Fatal(err)
	}
	return names
}

// crash lets a pod's container crash.
func crash(t *testing.T, pod client.Object) {
	t.Helper()
	if answer, err := callPod(t.Context(), pod, "crash"); err == nil {
		t.Fatalf("%s answers %q instead of crashing", pod.GetName(), answer)
	}
}

// recreations returns the notes of the events about recreated groups of a set.
func recreations(ctx context.Context, lws *leaderworkersetv1.LeaderWorkerSet) ([]string, error) {
	list, err := suite.Clientset.EventsV1().Events(lws.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	var notes []string
	for _, event := range list.Items {
		if event.Regarding.UID == lws.UID && event.Reason == leaderworkersetv1.ReasonRecreateGroup {
			notes = append(notes, event.Note)
		}
	}
	return notes, nil
}
