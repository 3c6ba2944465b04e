// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"net"
	"net/url"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/test/cluster"
	"github.com/leaderworkerset/lws-operator/test/monitoring"
	"github.com/leaderworkerset/lws-operator/test/nodes/bed"
	"github.com/leaderworkerset/lws-operator/test/objects"
	"github.com/leaderworkerset/lws-operator/test/operator"
)

// binary is the flag of Prometheus. make builds it.
var binary = flag.String("prometheus", "", "the binary of Prometheus; by default bin/prometheus of the repository")

const (
	// scrapeInterval is shorter than that of most installations, so that the rules see each step of an upgrade.
	scrapeInterval = 5 * time.Second
	// metricsPort is the port of the operator's metrics in the bundle.
	metricsPort = "8443"
	// metricsReader is the ClusterRole of the bundle that allows to read the metrics.
	metricsReader = "lws-operator-metrics-reader"
	// podInterval is the time between two creations of a pod, by dry run.
	podInterval = time.Second
	// lookback is a little more than the 5 minutes for which rules keep the values of replicas that are gone. An alert
	// about an upgrade is pending after that at the latest.
	lookback = 5*time.Minute + 6*scrapeInterval
	// calmTimeout bounds the time until no alert is pending any more. The longest range of a rule about the operator is 10
	// minutes.
	calmTimeout = 12 * time.Minute
)

// TestNoAlertInUpgrade checks that no alert of config/prometheus fires while OLM upgrades the operator, and that none
// is about to fire after that. A real Prometheus reads the replicas of both versions and the API server, and evaluates
// the rules with the durations that users have. Pods are created all the time, and one set is in a rollout.
func TestNoAlertInUpgrade(t *testing.T) {
	s := subscribe(t, published.prepared())
	untilInstalled(t, published.prepared())
	namespace := suite.NewNamespace(t)
	steady := suite.NewSet(namespace, "steady", 2, 2)
	rolling := suite.NewSet(namespace, "rolling", 4, 2, bed.Draining(drain))
	suite.Create(t, steady, rolling)
	suite.UntilAvailable(t, steady)
	suite.UntilAvailable(t, rolling)
	p := startPrometheus(t, namespace)
	p.untilTwoReplicasReport(t, 2)

	prober := startProbing(t, namespace, podInterval)
	began := time.Now()
	s.move(t, successor)
	bed.Eventually(t, func(ctx context.Context) error { return installing(ctx, successor) })
	roll(t, rolling, func(lws *leaderworkersetv1.LeaderWorkerSet) {
		container := &bed.PodSpec(lws).Containers[0]
		container.Env = append(container.Env, corev1.EnvVar{Name: "ROLLED", Value: "true"})
	})
	untilInstalled(t, successor)
	bed.Eventually(t, func(ctx context.Context) error { return updated(ctx, rolling) })
	upgraded := time.Now()
	prober.stop()
	p.untilTwoReplicasReport(t, 4)
	p.untilCalm(t, upgraded.Add(lookback))
	t.Logf("the upgrade took %.0f s, and no alert is pending %.0f s after it",
		upgraded.Sub(began).Seconds(), time.Since(upgraded).Seconds())
	p.checkAlerts(t)
}

// prometheus is a running Prometheus.
type prometheus struct {
	monitoring.Prometheus
	output bytes.Buffer
}

// startPrometheus starts Prometheus with the rules as they are. It reads the operator with a token that the bundle's
// ClusterRole allows to, and the API server as the administrator does. The end of the test stops it.
func startPrometheus(t *testing.T, namespace string) *prometheus {
	t.Helper()
	if *binary == "" {
		*binary = filepath.Join(suite.Root, "bin", "prometheus")
	}
	rules, err := monitoring.Rules(suite.Root)
	if err != nil {
		t.Fatal(err)
	}
	apiServer, err := url.Parse(suite.Config.Host)
	if err != nil {
		t.Fatal(err)
	}
	admin := rest.CopyConfig(suite.Config)
	if err := rest.LoadTLSFiles(admin); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	flags, err := monitoring.Write(monitoring.Settings{
		Dir: dir, Rules: rules, Interval: scrapeInterval,
		Operator: monitoring.Endpoint{
			Job: "lws-controller-manager-metrics-service", HonorLabels: true, Token: metricsToken(t, namespace),
		},
		APIServer: monitoring.Endpoint{
			Job: "apiserver", Targets: []string{apiServer.Host}, Authority: admin.CAData,
			Certificate: admin.CertData, Key: admin.KeyData, Token: []byte(admin.BearerToken),
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ports, err := cluster.FreePorts("prometheus")
	if err != nil {
		t.Fatal(err)
	}
	address := net.JoinHostPort("127.0.0.1", ports["prometheus"])
	p := &prometheus{Prometheus: monitoring.Prometheus{URL: "http://" + address}}
	command := exec.CommandContext(t.Context(), *binary, append(flags, "--web.listen-address="+address)...)
	command.Stdout, command.Stderr = &p.output, &p.output
	keepTargets(t, dir)
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Wait() // The end of the test's context has killed it.
		if t.Failed() {
			t.Log(p.output.String())
		}
	})
	bed.Eventually(t, p.Ready)
	return p
}

// metricsToken returns a token of a service account that may read the metrics.
func metricsToken(t *testing.T, namespace string) []byte {
	t.Helper()
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "prometheus"}}
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: namespace + "-prometheus"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: metricsReader},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: account.Name}},
	}
	suite.Create(t, account, binding)
	t.Cleanup(func() {
		if err := suite.Client.Delete(context.WithoutCancel(t.Context()), binding); err != nil {
			t.Error(err)
		}
	})
	request := &authenticationv1.TokenRequest{
		Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: ptr.To[int64](3600)},
	}
	token, err := suite.Clientset.CoreV1().ServiceAccounts(namespace).
		CreateToken(t.Context(), account.Name, request, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return []byte(token.Status.Token)
}

// keepTargets writes the addresses of the operator's pods for Prometheus, until the end of the test. Prometheus reads a
// pod from its address until its deletion, as it does with a ServiceMonitor.
func keepTargets(t *testing.T, dir string) {
	t.Helper()
	write := func(ctx context.Context) error {
		var pods corev1.PodList
		if err := suite.Client.List(ctx, &pods, client.InNamespace(operator.Namespace)); err != nil {
			return err
		}
		addresses := []string{}
		for i := range pods.Items {
			if pod := &pods.Items[i]; isReplica(pod) && pod.Status.PodIP != "" {
				addresses = append(addresses, net.JoinHostPort(pod.Status.PodIP, metricsPort))
			}
		}
		slices.Sort(addresses)
		return monitoring.WriteTargets(dir, addresses)
	}
	bed.Eventually(t, write)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(time.Second)
		defer ticker.Stop()
		for {
			select {
			case <-t.Context().Done():
				return
			case <-ticker.C:
				_ = write(t.Context()) // The next one tries again.
			}
		}
	}()
	t.Cleanup(func() { <-ended })
}

// untilTwoReplicasReport waits until two replicas of the operator report themselves, one of them reports sets, and
// Prometheus has read that many replicas by now.
func (p *prometheus) untilTwoReplicasReport(t *testing.T, read int) {
	t.Helper()
	bed.Eventually(t, func(ctx context.Context) error {
		for query, want := range map[string]int{
			"lws_operator_build_info":                      2,
			"leaderworkerset_spec_replicas":                2,
			"count_over_time(lws_operator_build_info[1h])": read,
			"count(apiserver_admission_webhook_admission_duration_seconds_count{name=~'mpod.*'})": 1,
		} {
			found, err := p.Query(ctx, query)
			if err != nil {
				return err
			}
			if len(found) != want {
				return fmt.Errorf("%s has %d series, want %d: %+v", query, len(found), want, found)
			}
		}
		return nil
	})
}

// untilCalm waits until no alert is pending or firing, and a time has passed.
func (p *prometheus) untilCalm(t *testing.T, earliest time.Time) {
	t.Helper()
	err := objects.Until(t.Context(), calmTimeout, func(ctx context.Context) error {
		alerts, err := p.Alerts(ctx)
		if err == nil && (len(alerts) > 0 || time.Now().Before(earliest)) {
			err = fmt.Errorf("these alerts are pending or firing until %s: %+v", earliest, alerts)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// checkAlerts fails the test if an alert has fired. It logs those that were pending.
func (p *prometheus) checkAlerts(t *testing.T) {
	t.Helper()
	series, err := p.Query(t.Context(), "count_over_time(ALERTS[1h])")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range series {
		text := fmt.Sprintf("%s was %s: %v", s.Metric["alertname"], s.Metric["alertstate"], s.Metric)
		if s.Metric["alertstate"] == "firing" {
			t.Error(text)
		} else {
			t.Log(text)
		}
	}
}
