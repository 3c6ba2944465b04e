// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	disaggregatedsetv1 "github.com/leaderworkerset/lws-operator/api/disaggregatedset/v1"
)

// TestLocalDisaggregatedAutoscaler lets the HorizontalPodAutoscaler of Kubernetes scale decode, by the memory of the
// leaders that the scaler selects: 100 MiB a group. The load grows, grows again in the middle of a rollout, and falls.
func TestLocalDisaggregatedAutoscaler(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	load := serveMetrics(t, namespace)
	load.Store(100)
	prefill, decode := newRole("prefill", 2), newRole("decode", 1)
	decode.Scaling = &disaggregatedsetv1.RoleScaling{Mode: disaggregatedsetv1.ExternalScaling}
	decode.Spec.LeaderWorkerTemplate.Size = ptr.To[int32](2) // The scaler counts groups, not pods.
	set := newDisaggregated(namespace, []dsetRole{prefill, decode}, limits(1, 0))
	create(t, set, newAutoscaler(namespace, "llama-decode"))
	untilSummary(t, set, "prefill 2/2, decode 1/1")

	load.Store(300)
	untilSummary(t, set, "prefill 2/2, decode 3/3")

	first, film := set.Status.UpdateRevision, newRoleFilm(t, set)
	edit(t, set, withRoleImages(nextImage, nextImage))
	film.until(t, func(childByID) error {
		return unless(len(film.states(t, first)) > 1, "the rollout hasn't begun")
	})
	load.Store(400)
	untilSummary(t, set, "prefill 2/2, decode 4/4")
	untilOnlyCurrent(t, set)
	film.checkFewest(t, map[string]int32{"prefill": 2, "decode": 3})
	film.checkMost(t, map[string]int32{"prefill": 3, "decode": 5})
	film.checkServes(t)

	load.Store(50)
	untilSummary(t, set, "prefill 2/2, decode 1/1")
}

// untilSummary waits until all roles are available with these numbers of groups.
func untilSummary(t *testing.T, set *dset, want string) {
	t.Helper()
	eventually(t, func(ctx context.Context) error {
		if err := suite.client.Get(ctx, client.ObjectKeyFromObject(set), set); err != nil {
			return err
		}
		return unless(rolesAvailable(set) && set.Status.Summary == want, "status %+v", set.Status)
	})
}

// newAutoscaler returns an autoscaler that gives a role one group for each 100 MiB, 1 to 5 groups.
func newAutoscaler(namespace, scaler string) *autoscalingv2.HorizontalPodAutoscaler {
	return &autoscalingv2.HorizontalPodAutoscaler{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: scaler},
		Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
			ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{
				APIVersion: disaggregatedsetv1.GroupVersion.String(), Kind: "DisaggregatedSetRoleScaler", Name: scaler,
			},
			MinReplicas: ptr.To[int32](1),
			MaxReplicas: 5,
			Metrics: []autoscalingv2.MetricSpec{{
				Type: autoscalingv2.ResourceMetricSourceType,
				Resource: &autoscalingv2.ResourceMetricSource{
					Name: corev1.ResourceMemory,
					Target: autoscalingv2.MetricTarget{
						Type: autoscalingv2.AverageValueMetricType, AverageValue: ptr.To(resource.MustParse("100Mi")),
					},
				},
			}},
			Behavior: &autoscalingv2.HorizontalPodAutoscalerBehavior{
				ScaleDown: &autoscalingv2.HPAScalingRules{StabilizationWindowSeconds: ptr.To[int32](0)},
			},
		},
	}
}

// metricsVersion is the API by which autoscalers read the memory of pods.
const metricsVersion = "metrics.k8s.io/v1beta1"

// serveMetrics serves that API until the test ends. The pods that an autoscaler selects share a load, in MiB.
func serveMetrics(t *testing.T, namespace string) *atomic.Int64 {
	t.Helper()
	load := &atomic.Int64{}
	mux := http.NewServeMux()
	mux.HandleFunc("/apis/"+metricsVersion, func(w http.ResponseWriter, _ *http.Request) {
		answer(w, metav1.APIResourceList{
			TypeMeta: metav1.TypeMeta{Kind: "APIResourceList", APIVersion: "v1"}, GroupVersion: metricsVersion,
			APIResources: []metav1.APIResource{{Name: "pods", Namespaced: true, Kind: "PodMetrics", Verbs: []string{"list"}}},
		})
	})
	mux.HandleFunc("/apis/"+metricsVersion+"/namespaces/{namespace}/pods", func(w http.ResponseWriter, r *http.Request) {
		selector, err := labels.Parse(r.URL.Query().Get("labelSelector"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		pods, err := podsIn(r.PathValue("namespace"), client.MatchingLabelsSelector{Selector: selector})(r.Context())
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		answer(w, usage(pods, load.Load()))
	})
	server := httptest.NewTLSServer(mux)
	t.Cleanup(server.Close) // After the API is gone: the garbage collector needs all that there are.
	registerMetrics(t, namespace, server.URL)
	return load
}

// usage returns the memory of pods as the API has it. Only pods that run use memory.
func usage(pods []*corev1.Pod, mebibytes int64) map[string]any {
	pods = slices.DeleteFunc(pods, func(pod *corev1.Pod) bool { return pod.Status.Phase != corev1.PodRunning })
	items := []map[string]any{}
	for _, pod := range pods {
		items = append(items, map[string]any{
			"metadata":  metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name, Labels: pod.Labels},
			"timestamp": metav1.Now(),
			"window":    metav1.Duration{Duration: time.Second},
			"containers": []map[string]any{{
				"name": pod.Spec.Containers[0].Name,
				"usage": corev1.ResourceList{
					corev1.ResourceMemory: *resource.NewQuantity(mebibytes<<20/int64(len(pods)), resource.BinarySI),
				},
			}},
		})
	}
	return map[string]any{"kind": "PodMetricsList", "apiVersion": metricsVersion, "items": items}
}

// registerMetrics registers the server of the API. The API server forwards requests for the API to it.
func registerMetrics(t *testing.T, namespace, address string) {
	t.Helper()
	at, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	host, portName, err := net.SplitHostPort(at.Host)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.ParseInt(portName, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	create(t, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "metrics"},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: host},
	})
	group, version, _ := strings.Cut(metricsVersion, "/")
	service := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
		"metadata": map[string]any{"name": version + "." + group},
		"spec": map[string]any{
			"group": group, "version": version, "groupPriorityMinimum": int64(100), "versionPriority": int64(100),
			"insecureSkipTLSVerify": true,
			"service":               map[string]any{"namespace": namespace, "name": "metrics", "port": port},
		},
	}}
	create(t, service)
	t.Cleanup(func() {
		if err := suite.client.Delete(context.WithoutCancel(t.Context()), service); err != nil {
			t.Error(err)
		}
	})
	eventually(t, func(ctx context.Context) error {
		list := &unstructured.UnstructuredList{}
		list.SetAPIVersion(metricsVersion)
		list.SetKind("PodMetricsList")
		return suite.client.List(ctx, list, client.InNamespace(namespace))
	})
}

func answer(w http.ResponseWriter, object any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(object)
}
