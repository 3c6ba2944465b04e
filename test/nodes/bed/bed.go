// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package bed is the common test bed of suites on real nodes: a cluster, a registry, and LeaderWorkerSets whose pods
// run. The flags name the kubeconfig and the registry. The cluster may be the one of the nodes package or any other.
package bed

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/config"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/test/cluster"
	"github.com/leaderworkerset/lws-operator/test/nodes/image"
	"github.com/leaderworkerset/lws-operator/test/operator"
)

// registry is the flag of the registry. The flag of the kubeconfig is controller-runtime's: -kubeconfig, by default
// $KUBECONFIG.
var registry = flag.String("registry", os.Getenv("REGISTRY"),
	"registry that this machine pushes to and the nodes pull from, like localhost:5000; "+
		"a local one serves without TLS; by default $REGISTRY")

// User is the number of the user that images run as. The operator's Dockerfile has the same number.
const User = 65532

// Bed is the cluster and the registry of a test suite.
type Bed struct {
	// Root is the root directory of the repository.
	Root string
	// Repository is the prefix of the names of this run's images: the registry and a path in it that is new in each run.
	Repository string
	// Config and Client have the permissions of an administrator.
	Config *rest.Config
	Client client.WithWatch
	// Clientset is for requests that Client has no methods for, such as calls of pods through the API server.
	Clientset kubernetes.Interface
	// Peer is the image of the sets' pods.
	Peer string
}

// Open returns the bed that the parsed flags describe, and makes the image of peers. The scheme of its client has the
// kinds of Kubernetes, LeaderWorkerSets, and the kinds that more adds.
func Open(ctx context.Context, more ...func(*runtime.Scheme) error) (*Bed, error) {
	if *registry == "" {
		return nil, errors.New("the flag -registry is required")
	}
	b := &Bed{Repository: *registry + "/lws-operator-test/" + strconv.FormatInt(time.Now().Unix(), 10)}
	var err error
	if b.Root, err = cluster.Root(); err != nil {
		return nil, err
	}
	if b.Config, err = config.GetConfig(); err != nil {
		return nil, err
	}
	b.Config.QPS = -1
	scheme := runtime.NewScheme()
	for _, add := range append(more, clientgoscheme.AddToScheme, leaderworkersetv1.AddToScheme) {
		if err := add(scheme); err != nil {
			return nil, err
		}
	}
	if b.Client, err = client.NewWithWatch(b.Config, client.Options{Scheme: scheme}); err != nil {
		return nil, err
	}
	if b.Clientset, err = kubernetes.NewForConfig(b.Config); err != nil {
		return nil, err
	}
	b.Peer, err = b.Push(ctx, filepath.Join(b.Root, "test", "nodes"), "./peer", "peer")
	return b, err
}

// Push compiles a program from a package of a module, and pushes an image with the program. It returns the name of the
// image.
func (b *Bed) Push(ctx context.Context, module, source, name string) (string, error) {
	dir, err := os.MkdirTemp("", "lws-operator-nodes-")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(dir) }() // A failure leaves files in the temporary directory only.
	program := filepath.Join(dir, name)
	if err := Build(ctx, module, source, program); err != nil {
		return "", err
	}
	return image.Push(ctx, b.Repository+"/"+name+":latest", image.Of(program, User))
}

// Build compiles a program for the nodes from a package of a module. The linker sets the variables, like
// "main.version=1.0.0".
func Build(ctx context.Context, module, source, program string, variables ...string) error {
	flags := strings.Join(append([]string{"-s -w"}, variables...), " -X ")
	build := exec.CommandContext(ctx, "go", "build",
		"-trimpath", "-buildvcs=false", "-ldflags", flags, "-o", program, source)
	build.Dir = module
	build.Env = append(os.Environ(), "GOWORK=off", "GOOS=linux", "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", filepath.Base(program), err, out)
	}
	return nil
}

// CheckNotInstalled returns an error if the cluster already has the operator. The tests would remove it at the end.
func (b *Bed) CheckNotInstalled(ctx context.Context) error {
	switch _, err := b.OperatorDeployment(ctx); {
	case err == nil:
		return errors.New("the operator is installed in this cluster: remove it first")
	case !apierrors.IsNotFound(err):
		return err
	}
	return nil
}

// OperatorDeployment returns the operator's Deployment. Its name depends on how the operator was installed.
func (b *Bed) OperatorDeployment(ctx context.Context) (*appsv1.Deployment, error) {
	var deployments appsv1.DeploymentList
	labels := client.MatchingLabels{"app.kubernetes.io/name": "lws-operator", "control-plane": "controller-manager"}
	if err := b.Client.List(ctx, &deployments, client.InNamespace(operator.Namespace), labels); err != nil {
		return nil, err
	}
	if len(deployments.Items) == 0 {
		return nil, apierrors.NewNotFound(appsv1.Resource("deployments"), "lws-operator")
	}
	return &deployments.Items[0], nil
}

// RolledOut returns an error unless all replicas of a Deployment's latest template are available, and no old replicas
// are left.
func RolledOut(deployment *appsv1.Deployment) error {
	want, status := *deployment.Spec.Replicas, deployment.Status
	if status.ObservedGeneration < deployment.Generation || status.UpdatedReplicas < want ||
		status.AvailableReplicas < want || status.Replicas > want {
		return fmt.Errorf("rollout of %s: %d of %d replicas are available, %d are updated, there are %d",
			deployment.Name, status.AvailableReplicas, want, status.UpdatedReplicas, status.Replicas)
	}
	return nil
}
