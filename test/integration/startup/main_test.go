// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package startup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/util/cert"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/leaderworkerset/lws-operator/internal/controller"
	"github.com/leaderworkerset/lws-operator/test/cluster"
	"github.com/leaderworkerset/lws-operator/test/objects"
	"github.com/leaderworkerset/lws-operator/test/operator"
	"github.com/leaderworkerset/lws-operator/test/testmain"
)

const (
	loopback = "127.0.0.1"

	// deadline bounds each wait, also that for the operator's end.
	deadline = time.Minute
)

// suite is the environment that all tests share. TestMain sets it before the first test.
var suite struct {
	root    string
	program string
	client  client.Client

	// kubeconfig is that of the operator's service account.
	kubeconfig string
}

func TestMain(m *testing.M) {
	ctrl.SetLogger(logr.Discard())
	testmain.Run(m, run)
}

func run(ctx context.Context, m *testing.M) (code int, err error) {
	if suite.root, err = cluster.Root(); err != nil {
		return 0, err
	}
	bin, err := cluster.Build(ctx, suite.root, os.Stderr)
	if err != nil {
		return 0, err
	}
	if suite.program, err = operator.Build(ctx, suite.root); err != nil {
		return 0, err
	}
	environment := &envtest.Environment{BinaryAssetsDirectory: bin}
	config, err := environment.Start()
	defer func() { err = errors.Join(err, environment.Stop()) }()
	if err != nil {
		return 0, err
	}
	scheme, err := controller.Scheme()
	if err != nil {
		return 0, err
	}
	if suite.client, err = client.New(config, client.Options{Scheme: scheme}); err != nil {
		return 0, err
	}
	user, err := environment.AddUser(envtest.User{Name: operator.User}, nil)
	if err != nil {
		return 0, err
	}
	kubeconfig, err := user.KubeConfig()
	if err != nil {
		return 0, err
	}
	dir, err := os.MkdirTemp("", "lws-operator-startup-")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	suite.kubeconfig = filepath.Join(dir, "kubeconfig")
	if err := os.WriteFile(suite.kubeconfig, kubeconfig, 0o600); err != nil {
		return 0, err
	}
	return m.Run(), nil
}

// apply applies the objects of a kustomization or a file, except those of some kinds.
func apply(t *testing.T, path string, except ...string) {
	t.Helper()
	manifests, err := operator.Manifests(t.Context(), suite.root, path)
	if err != nil {
		t.Fatal(err)
	}
	for _, object := range manifests {
		if slices.Contains(except, object.GetKind()) {
			continue
		}
		if err := objects.Apply(t.Context(), suite.client, object); err != nil {
			t.Fatal(err)
		}
	}
}

// process is a running operator.
type process struct {
	// Addresses on which the operator serves.
	webhooks, health string

	mutex sync.Mutex
	log   bytes.Buffer
}

// Write adds output of the process to its log.
func (p *process) Write(output []byte) (int, error) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return p.log.Write(output)
}

// logged returns the log of the process.
func (p *process) logged() string {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return p.log.String()
}

// start starts the operator with a configuration, to which it adds addresses. The test must end with a process that
// still runs, and ends when it is asked to.
func start(t *testing.T, configuration string) *process {
	t.Helper()
	ports, err := cluster.FreePorts("webhooks", "health")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certificate, key, err := cert.GenerateSelfSignedCertKey(loopback, []net.IP{net.ParseIP(loopback)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	p := &process{
		webhooks: net.JoinHostPort(loopback, ports["webhooks"]), health: net.JoinHostPort(loopback, ports["health"]),
	}
	config := fmt.Sprintf(`apiVersion: config.leaderworkerset.x-k8s.io/v1alpha1
kind: OperatorConfiguration
webhook: {host: %s, port: %s, certificate: {files: {directory: %q}}}
metrics: {bindAddress: "0"}
health: {bindAddress: %q}
shutdown: {delay: 0s}
`, loopback, ports["webhooks"], dir, p.health) + configuration
	if !strings.Contains(configuration, "leaderElection:") {
		config += "leaderElection: {leaderElect: false}\n"
	}
	for name, content := range map[string][]byte{
		"tls.crt": certificate, "tls.key": key, "config.yaml": []byte(config),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	command := exec.CommandContext(t.Context(), suite.program,
		"--config="+filepath.Join(dir, "config.yaml"), "--kubeconfig="+suite.kubeconfig)
	command.Stdout, command.Stderr = p, p
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	command.WaitDelay = deadline
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := command.Wait(); !errors.Is(err, context.Canceled) || t.Failed() {
			t.Errorf("the operator ended: %v\n%s", err, p.logged())
		}
	})
	return p
}

// get returns the status and the body of a probe.
func (p *process) get(ctx context.Context, path string) (int, string, error) {
	return get(ctx, "http://"+p.health+path)
}

// get returns the status and the body of an answer.
func get(ctx context.Context, url string) (int, string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	return response.StatusCode, string(body), err
}

// until waits until a probe has a status and a body that contains a text.
func (p *process) until(t *testing.T, path string, status int, text string) {
	t.Helper()
	eventually(t, func(ctx context.Context) error {
		got, body, err := p.get(ctx, path)
		if err == nil && (got != status || !strings.Contains(body, text)) {
			err = fmt.Errorf("%s: %d, %s", path, got, body)
		}
		return err
	})
}

// eventually waits until the check returns no error.
func eventually(t *testing.T, check func(context.Context) error) {
	t.Helper()
	if err := objects.Until(t.Context(), deadline, check); err != nil {
		t.Fatal(err)
	}
}
