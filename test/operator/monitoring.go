// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/leaderworkerset/lws-operator/test/cluster"
	"github.com/leaderworkerset/lws-operator/test/objects"
)

// Names of objects in config/monitoring.
const (
	webhookService   = "lws-operator-webhook-service"
	mutatingWebhooks = "lws-operator-mutating-webhook-configuration"
	validatingHooks  = "lws-operator-validating-webhook-configuration"
	metricsService   = "lws-operator-controller-manager-metrics-service"
)

// monitoredConfiguration is the operator's configuration with the flags of config/default as fields: the operator makes
// the certificates of webhooks and metrics, and serves metrics to authorized clients only.
const monitoredConfiguration = `apiVersion: config.leaderworkerset.x-k8s.io/v1alpha1
kind: OperatorConfiguration
controllers: {restarts: {baseDelay: 0s, maxDelay: 1s}}
leaderElection:
  namespace: ` + Namespace + `
  leaseDuration: 6s
  renewDeadline: 4s
  retryPeriod: 1s
webhook:
  host: "{host}"
  port: {webhook-port}
  certificate:
    authority:
      secret: {namespace: ` + Namespace + `, name: lws-webhook-authority}
      mutatingWebhookConfiguration: ` + mutatingWebhooks + `
      validatingWebhookConfiguration: ` + validatingHooks + `
metrics:
  bindAddress: "{host}:{metrics-port}"
  serviceName: ` + metricsService + `
  authorityConfigMap: lws-metrics-authority
health: {bindAddress: "{host}:{health-port}"}
shutdown: {delay: 0s}
`

// Monitored describes this repository's operator as config/monitoring configures it, with short leases and delays.
func Monitored(root, path string) Controller {
	controller := Ours(root, path)
	controller.Files = map[string]string{configFile: monitoredConfiguration}
	controller.Manifests = []string{filepath.Join(root, "config", "monitoring")}
	return controller
}

// Add prepares a replica of a controller, for Start. It installs no objects.
func Add(c *cluster.Cluster, name string, controller Controller) (*Operator, error) {
	o, _, err := prepare(c, name, controller)
	return o, err
}

// Dir returns the directory with the controller's files.
func (o *Operator) Dir() string { return o.dir }

// MetricsAddress returns the address on which the metrics are served.
func (o *Operator) MetricsAddress() string { return o.metrics }

// InstallMonitored applies the objects of config/monitoring that work in a cluster without kubelets. The API server
// reaches the Service of the webhooks at the address gateway, and verifies the certificate for the Service's name.
func InstallMonitored(
	ctx context.Context, c *cluster.Cluster, root string, controller Controller, gateway string,
) error {
	admin, err := client.New(c.RESTConfig(), client.Options{})
	if err != nil {
		return err
	}
	for _, path := range controller.Manifests {
		decoded, err := Manifests(ctx, root, path)
		if err != nil {
			return err
		}
		for _, object := range decoded {
			if err := leadTo(object, gateway); err != nil {
				return err
			}
			kind := object.GetKind()
			if !installable[kind] && kind != "Service" && kind != "Secret" {
				continue
			}
			if err := objects.Apply(ctx, admin, object); err != nil {
				return err
			}
		}
	}
	return nil
}

// leadTo makes the Service of the webhooks an alias of the gateway's host, and sets the gateway's port in the webhook
// configurations. The API server resolves such a Service itself, so no kube-proxy is needed.
func leadTo(object *unstructured.Unstructured, gateway string) error {
	host, port, err := net.SplitHostPort(gateway)
	if err != nil {
		return err
	}
	number, err := strconv.ParseInt(port, 10, 32)
	if err != nil {
		return err
	}
	if object.GetKind() == "Service" && object.GetName() == webhookService {
		object.Object["spec"] = map[string]any{"type": string(corev1.ServiceTypeExternalName), "externalName": host}
	}
	webhooks, _, err := unstructured.NestedSlice(object.Object, "webhooks")
	if err != nil || len(webhooks) == 0 {
		return err
	}
	for _, webhook := range webhooks {
		fields, ok := webhook.(map[string]any)
		if !ok {
			return fmt.Errorf("%s has a webhook that is no object", object.GetName())
		}
		if err := unstructured.SetNestedField(fields, number, "clientConfig", "service", "port"); err != nil {
			return err
		}
	}
	return unstructured.SetNestedSlice(object.Object, webhooks, "webhooks")
}

// Access is what a client needs to read the metrics, from the objects that the ServiceMonitor of config/monitoring
// names.
type Access struct {
	// Job is the name of the Service, Path the path of the metrics, and ServerName what the certificate is verified for.
	Job, Path, ServerName string
	HonorLabels           bool
	// Token authenticates the client, and Authority has the certificates that sign those of the servers.
	Token, Authority []byte
}

// serviceMonitor has the fields of a ServiceMonitor that Access needs.
type serviceMonitor struct {
	Spec struct {
		Endpoints []struct {
			Path, Scheme  string
			HonorLabels   bool
			Authorization struct{ Credentials selector }
			TLSConfig     struct {
				ServerName string
				CA         struct{ ConfigMap selector }
			}
		}
	}
}

// selector names a key of a Secret or of a ConfigMap.
type selector struct{ Name, Key string }

// MetricsAccess reads the ServiceMonitor of config/monitoring and the objects that it names. It returns an error until
// they are filled in.
func MetricsAccess(ctx context.Context, c *cluster.Cluster, root string) (Access, error) {
	endpoint := Access{Job: metricsService}
	decoded, err := Manifests(ctx, root, filepath.Join(root, "config", "monitoring"))
	if err != nil {
		return endpoint, err
	}
	var monitor serviceMonitor
	for _, object := range decoded {
		if object.GetKind() != "ServiceMonitor" {
			continue
		}
		text, err := yaml.Marshal(object.Object)
		if err := errors.Join(err, yaml.Unmarshal(text, &monitor)); err != nil {
			return endpoint, err
		}
	}
	if len(monitor.Spec.Endpoints) != 1 {
		return endpoint, errors.New("config/monitoring has no ServiceMonitor with one endpoint")
	}
	from := monitor.Spec.Endpoints[0]
	endpoint.Path, endpoint.ServerName, endpoint.HonorLabels = from.Path, from.TLSConfig.ServerName, from.HonorLabels
	admin, err := client.New(c.RESTConfig(), client.Options{})
	if err != nil {
		return endpoint, err
	}
	var secret corev1.Secret
	var authority corev1.ConfigMap
	err = errors.Join(
		admin.Get(ctx, client.ObjectKey{Namespace: Namespace, Name: from.Authorization.Credentials.Name}, &secret),
		admin.Get(ctx, client.ObjectKey{Namespace: Namespace, Name: from.TLSConfig.CA.ConfigMap.Name}, &authority))
	endpoint.Token = secret.Data[from.Authorization.Credentials.Key]
	endpoint.Authority = []byte(authority.Data[from.TLSConfig.CA.ConfigMap.Key])
	if err == nil && (len(endpoint.Token) == 0 || len(endpoint.Authority) == 0) {
		err = errors.New("the token or the authority of the metrics is empty")
	}
	return endpoint, err
}
