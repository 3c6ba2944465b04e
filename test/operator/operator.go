// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package operator runs the operator as a process beside a local cluster, for the demo, tests and benchmarks. The
// operator has the objects of config/default and its own service account, and the API server calls its webhooks over
// loopback. The package also runs other controllers, so that benchmarks can compare them.
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
	"syscall"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/util/cert"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/leaderworkerset/lws-operator/test/cluster"
	"github.com/leaderworkerset/lws-operator/test/objects"
)

const (
	// Namespace is the operator's namespace in config/default.
	Namespace = "lws-operator-system"

	// User is the operator's service account in config/default.
	User = "system:serviceaccount:" + Namespace + ":lws-operator-controller-manager"

	// name is the name of the operator's process and of its directory in the cluster's directory.
	name = "operator"

	// loopback is the address on which the operator serves.
	loopback = "127.0.0.1"

	// readyTimeout bounds the time from the start of the operator until it is ready.
	readyTimeout = time.Minute
)

// installable has the kinds of objects that work in a cluster without kubelets.
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

// Operator is a running controller: this repository's operator or another one.
type Operator struct {
	cluster *cluster.Cluster
	program *cluster.Program
	name    string
	path    string
	args    []string
	// dir has the controller's files.
	dir string
	// Addresses on which the controller serves.
	webhooks, health, metrics string
}

// Build compiles the operator into bin/ below root and returns the binary's path. The Go build cache speeds up later
// builds.
func Build(ctx context.Context, root string) (string, error) {
	path := filepath.Join(root, "bin", "manager")
	build := exec.CommandContext(ctx, "go", "build", "-o", path, ".")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the operator: %w\n%s", err, out)
	}
	return path, nil
}

// Install installs the CRD, the RBAC rules and the webhooks of config/default below root, and starts the operator's
// binary at path with extra flags. It returns when the operator is ready.
func Install(ctx context.Context, c *cluster.Cluster, root, path string, extraFlags ...string) (*Operator, error) {
	return InstallController(ctx, c, root, Ours(root, path, extraFlags...))
}

// InstallController does the same as Install for any controller.
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
	o, bundle, err := prepare(c, name, controller)
	if err != nil {
		return nil, err
	}
	if err := o.Start(ctx); err != nil {
		return nil, err
	}
	if len(webhooks) > 0 {
		if err := o.untilWebhooksServed(ctx); err != nil {
			return nil, err
		}
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

// Start starts the operator, also after Stop or Kill. It returns when the operator is ready.
func (o *Operator) Start(ctx context.Context) error {
	program, err := o.cluster.RunProgram(o.name, o.path, o.args...)
	if err != nil {
		return err
	}
	o.program = program
	ready := func(ctx context.Context) (bool, error) {
		if !program.Alive() {
			return false, errors.New("the process ended")
		}
		return o.get(ctx, "http://"+o.health+"/readyz", io.Discard) == nil, nil
	}
	err = wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, readyTimeout, true, ready)
	if err != nil {
		return fmt.Errorf("the operator didn't become ready: %w\n%s", err, program.LogTail())
	}
	return nil
}

// untilWebhooksServed waits until the webhooks accept connections. Other controllers can be ready before.
func (o *Operator) untilWebhooksServed(ctx context.Context) error {
	var dialer net.Dialer
	served := func(ctx context.Context) (bool, error) {
		connection, err := dialer.DialContext(ctx, "tcp", o.webhooks)
		if err != nil {
			return false, nil //nolint:nilerr // Nobody listens yet.
		}
		return true, connection.Close()
	}
	return wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, readyTimeout, true, served)
}

// Stop terminates the operator and waits for its end.
func (o *Operator) Stop(ctx context.Context) error { return o.program.Stop(ctx) }

// Kill ends the operator by SIGKILL, as a power failure of its node would.
func (o *Operator) Kill(ctx context.Context) error { return o.program.Kill(ctx) }

// PID returns the process ID of the operator. It changes with each start.
func (o *Operator) PID() int { return o.program.PID() }

// LogFile returns the path of the operator's log.
func (o *Operator) LogFile() string { return o.program.LogFile() }

// ConfigFile returns the path of the operator's configuration file. The operator reads the file when it starts.
func (o *Operator) ConfigFile() string { return filepath.Join(o.dir, configFile) }

// Metrics returns the operator's metrics in the text format of Prometheus.
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

// Replica starts another replica of the controller. Its webhooks present the certificate of the first one, whose
// address the API server calls. Both need leader election.
func (o *Operator) Replica(ctx context.Context, name string, controller Controller) (*Operator, error) {
	replica, _, err := prepare(o.cluster, name, controller)
	if err != nil {
		return nil, err
	}
	for _, file := range []string{"tls.crt", "tls.key"} {
		data, err := os.ReadFile(filepath.Join(o.dir, file))
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(filepath.Join(replica.dir, file), data, 0o600); err != nil {
			return nil, err
		}
	}
	return replica, replica.Start(ctx)
}

// Signal sends a signal to the process, such as SIGSTOP and SIGCONT.
func (o *Operator) Signal(signal syscall.Signal) error { return o.program.Signal(signal) }

// Alive reports whether the process runs.
func (o *Operator) Alive() bool { return o.program.Alive() }

// Webhooks returns the address on which the webhooks are served.
func (o *Operator) Webhooks() string { return o.webhooks }

// prepare chooses ports and creates the webhooks' certificate, the user's kubeconfig and the controller's files.
func prepare(c *cluster.Cluster, name string, controller Controller) (o *Operator, bundle []byte, err error) {
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
		name:     name,
		path:     command[0],
		args:     command[1:],
		dir:      dir,
		webhooks: net.JoinHostPort(loopback, ports["webhooks"]),
		health:   net.JoinHostPort(loopback, ports["health"]),
		metrics:  net.JoinHostPort(loopback, ports["metrics"]),
	}, certificate, nil
}

// redirect makes the API server call the webhooks of a configuration at the operator's process instead of a Service.
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
