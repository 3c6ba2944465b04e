// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"errors"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/identity"
	"github.com/leaderworkerset/lws-operator/internal/controller/scheduling"
)

// newCluster returns a client of an API server that holds the objects. The interceptors replace its answers.
func newCluster(tb testing.TB, answers interceptor.Funcs, objects ...client.Object) client.Client {
	tb.Helper()
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), leaderworkersetv1.AddToScheme(scheme)); err != nil {
		tb.Fatal(err)
	}
	byLeader := func(pod client.Object) []string {
		leader, _, _ := identity.Parse(pod.GetName())
		return []string{leader}
	}
	return fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).
		WithIndex(&corev1.Pod{}, identity.WorkersOfGroup, byLeader).WithInterceptorFuncs(answers).Build()
}

// newWebhook returns a webhook that validates against an API server as of newCluster.
func newWebhook(tb testing.TB, answers interceptor.Funcs, sets ...client.Object) *leaderWorkerSetWebhook {
	tb.Helper()
	c := newCluster(tb, answers, sets...)
	return &leaderWorkerSetWebhook{
		reader: c, dryRun: client.NewDryRunClient(c), features: scheduling.NoFeatures, options: DefaultOptions(),
	}
}

func newSet(name string, replicas, size int32) *leaderworkersetv1.LeaderWorkerSet {
	lws := &leaderworkersetv1.LeaderWorkerSet{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"}}
	lws.Spec.Replicas = ptr.To(replicas)
	lws.Spec.LeaderWorkerTemplate.Size = ptr.To(size)
	lws.Spec.LeaderWorkerTemplate.WorkerTemplate.Spec.Containers = []corev1.Container{{Name: "main", Image: "serve:1"}}
	return lws
}
