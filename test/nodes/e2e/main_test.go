// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/config"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/test/cluster"
	"github.com/leaderworkerset/lws-operator/test/nodes/image"
)

// Flags. That of the kubeconfig is controller-runtime's: -kubeconfig, by default $KUBECONFIG.
var (
	registry = flag.String("registry", os.Getenv("REGISTRY"),
		"registry that this machine pushes to and the nodes pull from, without TLS if it is local, like localhost:5000; by default $REGISTRY")
	power = flag.String("power", "", "command that takes a node from the power, `<command> stop <node>`, and turns it on again, "+
		"`<command> start <node>`; without it nothing of the kind is tested")
)

// suite is what all tests share. TestMain sets it before the first one.
var suite environment

// environment is where tests run.
type environment struct {
	root   string
	client client.WithWatch
	// clientset is for what client has no methods for: calls of pods through the API server.
	clientset kubernetes.Interface
	// peer is the image of the pods of the tests.
	peer string
}

func TestMain(m *testing.M) {
	flag.Parse()
	code, err := run(context.Background(), m)
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// run installs the operator, runs the tests, and removes the operator again.
func run(ctx context.Context, m *testing.M) (code int, err error) {
	if *registry == "" {
		return 0, errors.New("which registry? See the flag -registry")
	}
	if err := leaveOutPower(); err != nil {
		return 0, err
	}
	if suite.root, err = cluster.Root(); err != nil {
		return 0, err
	}
	if err := suite.connect(); err != nil {
		return 0, err
	}
	if err := suite.checkNotInstalled(ctx); err != nil {
		return 0, err
	}
	operatorImage, err := suite.push(ctx, suite.root, ".", "manager")
	if err != nil {
		return 0, err
	}
	if suite.peer, err = suite.push(ctx, filepath.Join(suite.root, "test", "nodes"), "./peer", "peer"); err != nil {
		return 0, err
	}
	objects, err := suite.operatorObjects(ctx, operatorImage)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, suite.remove(ctx, objects)) }()
	if err := suite.install(ctx, objects); err != nil {
		return 0, err
	}
	return m.Run(), nil
}

// leaveOutPower leaves out the tests that turn off nodes if nobody says how, unless the command line leaves out others.
func leaveOutPower() error {
	skips := flag.Lookup("test.skip")
	if *power != "" || skips.Value.String() != "" {
		return nil
	}
	return skips.Value.Set("^TestPower")
}

// connect makes the clients of all tests.
func (e *environment) connect() error {
	restConfig, err := config.GetConfig()
	if err != nil {
		return err
	}
	restConfig.QPS = -1
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), leaderworkersetv1.AddToScheme(scheme)); err != nil {
		return err
	}
	if e.client, err = client.NewWithWatch(restConfig, client.Options{Scheme: scheme}); err != nil {
		return err
	}
	e.clientset, err = kubernetes.NewForConfig(restConfig)
	return err
}

// push compiles a program from a package of a module, and returns the name of an image with it that nodes can pull.
func (e *environment) push(ctx context.Context, module, source, name string) (string, error) {
	dir, err := os.MkdirTemp("", "lws-operator-nodes-")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(dir) }() // in the temporary directory anyway
	program := filepath.Join(dir, name)
	build := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-o", program, source)
	build.Dir = module
	build.Env = append(os.Environ(), "GOWORK=off", "GOOS=linux", "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", name, err, out)
	}
	tag := strconv.FormatInt(time.Now().Unix(), 10)
	const user = 65532 // of the operator's Dockerfile
	return image.Push(ctx, *registry+"/lws-operator-test/"+name+":"+tag, image.Of(program, user))
}
