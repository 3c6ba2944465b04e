// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package certificates

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/webhook"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/certificates"
	"github.com/leaderworkerset/lws-operator/internal/controller"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/admission"
	"github.com/leaderworkerset/lws-operator/internal/controller/scheduling"
	"github.com/leaderworkerset/lws-operator/test/cluster"
	"github.com/leaderworkerset/lws-operator/test/objects"
	"github.com/leaderworkerset/lws-operator/test/operator"
)

const (
	loopback = "127.0.0.1"

	// Names of objects in config/default.
	mutatingName   = "lws-operator-mutating-webhook-configuration"
	validatingName = "lws-operator-validating-webhook-configuration"
	configMapName  = "lws-metrics-authority"
	metricsHost    = "lws-operator-controller-manager-metrics-service." + operator.Namespace + ".svc"
)

var secretKey = types.NamespacedName{Namespace: operator.Namespace, Name: "lws-webhook-authority"}

// shiftedClock is a clock that tests put forward by offset, a number of nanoseconds.
type shiftedClock struct{ offset atomic.Int64 }

// Now returns the shifted time.
func (c *shiftedClock) Now() time.Time { return time.Now().Add(time.Duration(c.offset.Load())) }

// Since returns the time between t and the shifted time.
func (c *shiftedClock) Since(t time.Time) time.Duration { return c.Now().Sub(t) }

// installation is a pair of replicas. The API server calls one of them for mutating and the other one for validating
// webhooks, so both answer each request.
type installation struct {
	clock    *shiftedClock
	replicas []replica
	mutex    sync.Mutex
	log      strings.Builder // of both replicas
	admitted atomic.Int64    // number of successful requests of keepAdmitting
}

// replica has the addresses on which a replica serves its webhooks and its health checks.
type replica struct{ webhooks, health string }

// write adds a line to the log.
func (i *installation) write(_, line string) {
	i.mutex.Lock()
	defer i.mutex.Unlock()
	i.log.WriteString(line + "\n")
}

// logged returns the log of both replicas. Quotes in it aren't escaped.
func (i *installation) logged() string {
	i.mutex.Lock()
	defer i.mutex.Unlock()
	return strings.ReplaceAll(i.log.String(), `\"`, `"`)
}

// newInstallation returns an installation whose replicas don't run.
func newInstallation(t *testing.T) *installation {
	t.Helper()
	i := &installation{clock: &shiftedClock{}}
	for range 2 {
		ports, err := cluster.FreePorts("webhooks", "health")
		if err != nil {
			t.Fatal(err)
		}
		i.replicas = append(i.replicas,
			replica{net.JoinHostPort(loopback, ports["webhooks"]), net.JoinHostPort(loopback, ports["health"])})
	}
	return i
}

// install starts two replicas at the same time, in a cluster without earlier replicas. A Secret exists only if secret
// has data. install returns when the replicas are ready.
func install(t *testing.T, secret map[string][]byte) *installation {
	t.Helper()
	i := newInstallation(t)
	reset(t)
	if secret != nil {
		create(t, newSecret(secret))
	}
	mutating, validating := suite.mutating.DeepCopy(), suite.validating.DeepCopy()
	for n := range mutating.Webhooks {
		redirect(&mutating.Webhooks[n].ClientConfig, i.replicas[0])
	}
	for n := range validating.Webhooks {
		redirect(&validating.Webhooks[n].ClientConfig, i.replicas[1])
	}
	create(t, mutating)
	create(t, validating)
	for _, replica := range i.replicas {
		i.start(t, replica)
	}
	i.untilReady(t)
	return i
}

// reset deletes the Secret, the ConfigMap and the webhook configurations.
func reset(t *testing.T) {
	t.Helper()
	for _, object := range []client.Object{
		newSecret(nil),
		&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: secretKey.Namespace, Name: configMapName}},
		suite.mutating.DeepCopy(),
		suite.validating.DeepCopy(),
	} {
		if err := client.IgnoreNotFound(suite.client.Delete(t.Context(), object)); err != nil {
			t.Fatal(err)
		}
	}
}

// newSecret returns the Secret of the authority with this data.
func newSecret(data map[string][]byte) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: secretKey.Namespace, Name: secretKey.Name},
		Data:       data,
	}
}

// redirect makes the API server call a replica instead of a Service.
func redirect(config *admissionregistrationv1.WebhookClientConfig, r replica) {
	*config = admissionregistrationv1.WebhookClientConfig{URL: ptr.To("https://" + r.webhooks + *config.Service.Path)}
}

// start starts a replica with the operator's permissions. The replica ends with the test.
func (i *installation) start(t *testing.T, r replica) {
	t.Helper()
	mgr, err := i.newManager(r)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- mgr.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func (i *installation) newManager(r replica) (ctrl.Manager, error) {
	scheme, err := controller.Scheme()
	if err != nil {
		return nil, err
	}
	rotator := certificates.New(certificates.Options{
		Secret:                         secretKey,
		MutatingWebhookConfiguration:   mutatingName,
		ValidatingWebhookConfiguration: validatingName,
		Hosts:                          []string{metricsHost},
		ConfigMap:                      configMapName,
		Clock:                          i.clock,
	})
	cached := controller.CacheOptions()
	rotator.LimitCache(&cached)
	_, text, err := net.SplitHostPort(r.webhooks)
	if err != nil {
		return nil, err
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		return nil, err
	}
	mgr, err := ctrl.NewManager(asOperator(), ctrl.Options{
		Scheme:                 scheme,
		Cache:                  cached,
		Client:                 controller.ClientOptions(),
		Metrics:                metricsserver.Options{BindAddress: "0"},
		HealthProbeBindAddress: r.health,
		Logger:                 funcr.New(i.write, funcr.Options{}),
		WebhookServer: webhook.NewServer(webhook.Options{
			Host: loopback, Port: port, TLSOpts: []func(*tls.Config){rotator.ServeBy},
		}),
		// Both replicas run in this process, so names of controllers aren't unique.
		Controller: config.Controller{SkipNameValidation: ptr.To(true)},
	})
	if err != nil {
		return nil, err
	}
	return mgr, errors.Join(
		leaderworkerset.AddIndexes(context.Background(), mgr.GetFieldIndexer()),
		admission.Setup(mgr, scheduling.NoFeatures, admission.DefaultOptions()), rotator.Setup(mgr))
}

// asOperator returns a configuration of clients with the operator's rights.
func asOperator() *rest.Config {
	restConfig := rest.CopyConfig(suite.config)
	restConfig.Impersonate = rest.ImpersonationConfig{
		UserName: operator.User,
		Groups:   []string{"system:serviceaccounts", "system:serviceaccounts:" + operator.Namespace, "system:authenticated"},
	}
	return restConfig
}

// verify connects to the certificate of the replica as a reader of the metrics, who knows the published authority and
// the name of the Service.
func (r replica) verify(ctx context.Context) error {
	published := &corev1.ConfigMap{}
	key := types.NamespacedName{Namespace: secretKey.Namespace, Name: configMapName}
	if err := suite.client.Get(ctx, key, published); err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(published.Data["ca.crt"]))
	dialer := tls.Dialer{Config: &tls.Config{RootCAs: roots, ServerName: metricsHost, MinVersion: tls.VersionTLS12}}
	connection, err := dialer.DialContext(ctx, "tcp", r.webhooks)
	if err != nil {
		return err
	}
	return connection.Close()
}

// ready returns an error unless the replica is ready.
func (r replica) ready(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.health+"/readyz", nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", r.health, response.Status)
	}
	return errors.Join(err, response.Body.Close())
}

// connect connects like an API server with these authorities. It returns the certificate of the replica.
func (r replica) connect(ctx context.Context, bundle []byte) (*x509.Certificate, error) {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(bundle)
	dialer := tls.Dialer{Config: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	connection, err := dialer.DialContext(ctx, "tcp", r.webhooks)
	if err != nil {
		return nil, err
	}
	secured, ok := connection.(*tls.Conn)
	if !ok {
		return nil, errors.New("no TLS")
	}
	return secured.ConnectionState().PeerCertificates[0], connection.Close()
}

// untilReady waits until both replicas are ready and the API server can call their webhooks.
func (i *installation) untilReady(t *testing.T) {
	t.Helper()
	until(t, func(ctx context.Context) error {
		for _, replica := range i.replicas {
			if err := replica.ready(ctx); err != nil {
				return err
			}
		}
		return admit(ctx)
	})
}

// advance puts the operator's clock forward. It changes the Secret, so that the operator checks the authority at once.
func (i *installation) advance(t *testing.T, by time.Duration) {
	t.Helper()
	i.clock.offset.Add(int64(by))
	secret := newSecret(nil)
	annotation := fmt.Appendf(nil, `{"metadata": {"annotations": {"test": "%d"}}}`, i.clock.offset.Load())
	if err := suite.client.Patch(t.Context(), secret, client.RawPatch(types.MergePatchType, annotation)); err != nil {
		t.Fatal(err)
	}
}

// admit creates a set by a dry run, for which the API server calls the webhooks.
func admit(ctx context.Context) error {
	set := &leaderworkersetv1.LeaderWorkerSet{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "any"}}
	set.Spec.LeaderWorkerTemplate.WorkerTemplate.Spec.Containers = []corev1.Container{{Name: "server", Image: "server"}}
	return suite.client.Create(ctx, set, client.DryRunAll)
}

// keepAdmitting makes requests and connections, one after the other, until the test calls stop. stop reports the first
// failure.
func (i *installation) keepAdmitting(t *testing.T) (stop func()) {
	t.Helper()
	stopped, failed := make(chan struct{}), make(chan error, 1)
	go func() {
		for {
			select {
			case <-stopped:
				failed <- nil
				return
			default:
			}
			if err := i.admitAndConnect(t.Context()); err != nil {
				failed <- err
				return
			}
			i.admitted.Add(1)
		}
	}()
	return func() {
		t.Helper()
		close(stopped)
		err := <-failed
		t.Logf("%d requests and twice as many connections", i.admitted.Load())
		if err != nil {
			t.Errorf("the last request failed: %v", err)
		}
	}
}

// admitMore waits for 20 more successful requests.
func (i *installation) admitMore(t *testing.T) {
	t.Helper()
	want := i.admitted.Load() + 20
	until(t, func(context.Context) error {
		if got := i.admitted.Load(); got < want {
			return fmt.Errorf("%d requests, want %d", got, want)
		}
		return nil
	})
}

func (i *installation) admitAndConnect(ctx context.Context) error {
	known, err := bundles(ctx)
	if err != nil {
		return err
	}
	if err := admit(ctx); err != nil {
		return err
	}
	for n, bundle := range known {
		if _, err := i.replicas[n].connect(ctx, bundle); err != nil {
			return err
		}
	}
	return nil
}

// bundles returns the caBundles of the mutating and the validating webhook configuration.
func bundles(ctx context.Context) ([][]byte, error) {
	mutating, validating, err := configurations(ctx)
	if err != nil {
		return nil, err
	}
	return [][]byte{mutating.Webhooks[0].ClientConfig.CABundle, validating.Webhooks[0].ClientConfig.CABundle}, nil
}

// configurations returns the webhook configurations of the API server.
func configurations(ctx context.Context) (
	*admissionregistrationv1.MutatingWebhookConfiguration, *admissionregistrationv1.ValidatingWebhookConfiguration, error,
) {
	mutating := &admissionregistrationv1.MutatingWebhookConfiguration{}
	validating := &admissionregistrationv1.ValidatingWebhookConfiguration{}
	return mutating, validating, errors.Join(
		suite.client.Get(ctx, types.NamespacedName{Name: mutatingName}, mutating),
		suite.client.Get(ctx, types.NamespacedName{Name: validatingName}, validating),
	)
}

func create(t *testing.T, object client.Object) {
	t.Helper()
	if err := suite.client.Create(t.Context(), object); err != nil {
		t.Fatal(err)
	}
}

// until waits until a check returns no error.
func until(t *testing.T, check func(context.Context) error) {
	t.Helper()
	if err := objects.Until(t.Context(), deadline, check); err != nil {
		t.Fatal(err)
	}
}
