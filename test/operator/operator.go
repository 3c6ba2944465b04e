// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package operator runs the operator as a process beside a local cluster, for the demo, tests and benchmarks: with the objects of
// config/default, as its own service account, and with its webhooks reached over loopback. It runs other controllers just as well, so that
// benchmarks can compare them.
package operator

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/util/cert"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/leaderworkerset/lws-operator/test/cluster"
	"github.com/leaderworkerset/lws-operator/test/objects"
)

const (
	// Namespace is where config/default puts the operator.
	Namespace = "lws-system"

	// User is the service account that config/default gives the operator.
	User = "system:serviceaccount:" + Namespace + ":lws-controller-manager"

	// name is that of the operator's process and of its directory in the cluster's.
	name = "operator"

	// loopback is the address that everything is served on.
	loopback = "127.0.0.1"

	// readyTimeout bounds the start of the operator.
	readyTimeout = time.Minute
)

// installable are the kinds of manifests that a cluster without kubelets has a use for.
var installable = map[string]bool{
	"Namespace":                      true,
	"CustomResourceDefinition":       true,
	"ServiceAccount":                 true,
	"Role":                           true,
	"RoleBinding":                    true,
	"ClusterRole":                    true,
	"ClusterRoleBinding":             true,
	"MutatingWebhookConfiguration":   true,
	"ValidatingWebhookConfiguration": true,
}

// Operator is a running operator, or another controller.
type Operator struct {
	cluster *cluster.Cluster
	program *cluster.Program
	path    string
	args    []string
	// Addresses that it serves on.
	webhooks, health, metrics string
}

// Build compiles the operator into bin/ below root and returns its path. The Go build cache makes the second time quick.
func Build(ctx context.Context, root string) (string, error) {
	path := filepath.Join(root, "bin", "manager")
	build := exec.CommandContext(ctx, "go", "build", "-o", path, ".")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the operator: %w\n%s", err, out)
	}
	return path, nil
}

// Install puts the CRD, the RBAC rules and the webhooks of config/default below root on the cluster, starts the operator built at
// path, with extra flags, and returns when it is ready.
func Install(ctx context.Context, c *cluster.Cluster, root, path string, extraFlags ...string) (*Operator, error) {
	return InstallController(ctx, c, root, Ours(root, path, extraFlags...))
}

// InstallController does for any controller what Install does for this repository's operator.
func InstallController(ctx context.Context, c *cluster.Cluster, root string, controller Controller) (*Operator, error) {
	manifests, err := controller.objects(ctx, root)
	if err != nil {
		return nil, err
	}
	admin, err := client.New(c.RESTConfig(), client.Options{})
	if err != nil {
		return nil, err
	}
	var webhooks []*unstructured.Unstructured
	for _, object := range manifests {
		if _, isWebhook := object.Object["webhooks"]; isWebhook {
			webhooks = append(webhooks, object)
		} else if err := objects.Apply(ctx, admin, object); err != nil {
			return nil, err
		}
	}
	o, bundle, err := prepare(c, controller)
	if err != nil {
		return nil, err
	}
	if err := o.Start(ctx); err != nil {
		return nil, err
	}
	for _, object := range webhooks {
		if err := o.redirect(object, bundle); err != nil {
			return nil, err
		}
		if err := objects.Apply(ctx, admin, object); err != nil {
			return nil, err
		}
	}
	return o, nil
}

// Start starts the operator, or starts it again after Stop or Kill, and returns when it is ready.
func (o *Operator) Start(ctx context.Context) error {
	program, err := o.cluster.RunProgram(name, o.path, o.args...)
	if err != nil {
		return err
	}
	o.program = program
	err = wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, readyTimeout, true, func(ctx context.Context) (bool, error) {
		if !program.Alive() {
			return false, errors.New("it ended")
		}
		return o.get(ctx, "http://"+o.health+"/readyz", io.Discard) == nil, nil
	})
	if err != nil {
		return fmt.Errorf("the operator didn't become ready: %w\n%s", err, program.LogTail())
	}
	return nil
}

// Stop asks the operator to end, and waits for it.
func (o *Operator) Stop(ctx context.Context) error { return o.program.Stop(ctx) }

// Kill ends the operator by SIGKILL, as a node that loses power would.
func (o *Operator) Kill(ctx context.Context) error { return o.program.Kill(ctx) }

// PID is the process id of the operator. Each start gives it another one.
func (o *Operator) PID() int { return o.program.PID() }

// LogFile is the path of the operator's log.
func (o *Operator) LogFile() string { return o.program.LogFile() }

// Metrics are the operator's metrics, in Prometheus' text format.
func (o *Operator) Metrics(ctx context.Context) (string, error) {
	var text bytes.Buffer
	err := o.get(ctx, "http://"+o.metrics+"/metrics", &text)
	return text.String(), err
}

func (o *Operator) get(ctx context.Context, url string, into io.Writer) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, response.Status)
	}
	_, err = io.Copy(into, response.Body)
	return err
}

// prepare chooses ports, and makes a certificate for the webhooks, credentials for the user, and the controller's files.
func prepare(c *cluster.Cluster, controller Controller) (o *Operator, bundle []byte, err error) {
	dir, err := c.ProgramDir(name)
	if err != nil {
		return nil, nil, err
	}
	certificate, key, err := cert.GenerateSelfSignedCertKey(loopback, []net.IP{net.ParseIP(loopback)}, nil)
	if err != nil {
		return nil, nil, err
	}
	err = errors.Join(
		os.WriteFile(filepath.Join(dir, "tls.crt"), certificate, 0o600),
		os.WriteFile(filepath.Join(dir, "tls.key"), key, 0o600))
	if err != nil {
		return nil, nil, err
	}
	kubeconfig, err := c.UserKubeconfig(controller.User, groupsOf(controller.User)...)
	if err != nil {
		return nil, nil, err
	}
	ports, err := cluster.FreePorts("webhooks", "health", "metrics")
	if err != nil {
		return nil, nil, err
	}
	fill := strings.NewReplacer(
		"{kubeconfig}", kubeconfig, "{dir}", dir, "{host}", loopback,
		"{webhook-port}", ports["webhooks"], "{health-port}", ports["health"], "{metrics-port}", ports["metrics"])
	for file, content := range controller.Files {
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(file)), []byte(fill.Replace(content)), 0o600); err != nil {
			return nil, nil, err
		}
	}
	command := make([]string, len(controller.Command))
	for i, word := range controller.Command {
		command[i] = fill.Replace(word)
	}
	return &Operator{
		cluster:  c,
		path:     command[0],
		args:     command[1:],
		webhooks: net.JoinHostPort(loopback, ports["webhooks"]),
		health:   net.JoinHostPort(loopback, ports["health"]),
		metrics:  net.JoinHostPort(loopback, ports["metrics"]),
	}, certificate, nil
}

// redirect has the API server call the webhooks of a configuration at this process instead of a Service.
func (o *Operator) redirect(configuration *unstructured.Unstructured, bundle []byte) error {
	webhooks, _, err := unstructured.NestedSlice(configuration.Object, "webhooks")
	if err != nil {
		return err
	}
	for i := range webhooks {
		webhook, ok := webhooks[i].(map[string]any)
		if !ok {
			return fmt.Errorf("%s: webhook %d is no object", configuration.GetName(), i)
		}
		path, _, err := unstructured.NestedString(webhook, "clientConfig", "service", "path")
		if err != nil {
			return err
		}
		webhook["clientConfig"] = map[string]any{
			"url":      "https://" + o.webhooks + path,
			"caBundle": base64.StdEncoding.EncodeToString(bundle),
		}
	}
	return unstructured.SetNestedSlice(configuration.Object, webhooks, "webhooks")
}
