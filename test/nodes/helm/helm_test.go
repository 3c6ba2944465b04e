// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package helm installs, upgrades and removes the operator with Helm on real nodes.
package helm

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/test/nodes/bed"
	"github.com/leaderworkerset/lws-operator/test/operator"
	"github.com/leaderworkerset/lws-operator/test/testmain"
)

var (
	program = flag.String("helm", "", "path of helm")
	chart   = flag.String("chart", "", "path of the chart's package")
)

const (
	release = "lws"
	crd     = "leaderworkersets.leaderworkerset.x-k8s.io"
)

var (
	suite *bed.Bed
	// repository and digest name the operator's image.
	repository, digest string
)

func TestMain(m *testing.M) {
	flag.Parse()
	testmain.Run(m, func(ctx context.Context, m *testing.M) (code int, err error) {
		if *program == "" || *chart == "" {
			return 0, errors.New("the flags -helm and -chart are required")
		}
		if suite, err = bed.Open(ctx, apiextensionsv1.AddToScheme); err != nil {
			return 0, err
		}
		if err := suite.CheckNotInstalled(ctx); err != nil {
			return 0, err
		}
		pushed, err := suite.Push(ctx, suite.Root, ".", "manager")
		if err != nil {
			return 0, err
		}
		repository, digest, _ = strings.Cut(pushed, "@")
		return m.Run(), nil
	})
}

// TestRelease installs the chart, upgrades it, removes it and installs it again. The pods of a set stay through all of
// that.
func TestRelease(t *testing.T) {
	helm(t, "install", release, *chart, "--create-namespace")
	lws := createSet(t)
	suite.UntilAvailable(t, lws)
	before := uids(t, lws)

	t.Run("the values of an upgrade reach the operator", func(t *testing.T) {
		helm(t, "upgrade", release, *chart, "--set", "config.clientConnection.qps=50", "--set", "replicas=1")
		configuration := &corev1.ConfigMap{}
		key := client.ObjectKey{Namespace: operator.Namespace, Name: "lws-operator-config"}
		if err := suite.Client.Get(t.Context(), key, configuration); err != nil {
			t.Fatal(err)
		}
		deployment, err := suite.OperatorDeployment(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if *deployment.Spec.Replicas != 1 || deployment.Spec.Template.Annotations["checksum/config"] == "" {
			t.Errorf("the Deployment has %d replicas, and the annotations %v", *deployment.Spec.Replicas,
				deployment.Spec.Template.Annotations)
		}
		scale(t, lws, 2)
		suite.UntilAvailable(t, lws)
		checkKept(t, lws, before)
	})

	t.Run("a mistake in the configuration leaves the old operator running", func(t *testing.T) {
		arguments := arguments("upgrade", release, *chart, "--set", "config.clientConnections.qps=50", "--set", "replicas=1")
		arguments = append(arguments, "--timeout", "20s")
		if output, err := exec.CommandContext(t.Context(), *program, arguments...).CombinedOutput(); err == nil {
			t.Errorf("helm upgrade succeeds: %s", output)
		}
		scale(t, lws, 3)
		suite.UntilAvailable(t, lws)
		helm(t, "rollback", release)
		checkKept(t, lws, before)
	})

	t.Run("sets and their pods stay without the release", func(t *testing.T) {
		helm(t, "uninstall", release)
		bed.Eventually(t, func(ctx context.Context) error {
			if _, err := suite.OperatorDeployment(ctx); !apierrors.IsNotFound(err) {
				return fmt.Errorf("the Deployment still exists: %w", err)
			}
			return nil
		})
		if err := suite.Client.Get(t.Context(), client.ObjectKeyFromObject(lws), lws); err != nil {
			t.Error(err)
		}
		checkKept(t, lws, before)
	})

	t.Run("the next release takes over the definition and the sets", func(t *testing.T) {
		helm(t, "install", release, *chart)
		scale(t, lws, 1)
		suite.UntilAvailable(t, lws)
		checkKept(t, lws, map[string]string{"served-0": before["served-0"], "served-0-1": before["served-0-1"]})
	})

	helm(t, "uninstall", release)
	suite.Remove(t, &apiextensionsv1.CustomResourceDefinition{ObjectMeta: metav1.ObjectMeta{Name: crd}})
}

func createSet(t *testing.T) *leaderworkersetv1.LeaderWorkerSet {
	t.Helper()
	namespace := suite.NewNamespace(t)
	lws := suite.NewSet(namespace, "served", 1, 2)
	// The API server observes a webhook's endpoints with delay.
	bed.Eventually(t, func(ctx context.Context) error { return suite.Client.Create(ctx, lws) })
	return lws
}

// arguments returns the arguments of a call of helm, which waits.
func arguments(verb string, rest ...string) []string {
	result := append([]string{verb}, rest...)
	result = append(result, "--namespace", operator.Namespace, "--wait")
	if verb == "install" || verb == "upgrade" {
		result = append(result, "--set", "image.repository="+repository, "--set", "image.digest="+digest)
	}
	return result
}

// helm calls helm, and ends the test if it fails.
func helm(t *testing.T, verb string, rest ...string) {
	t.Helper()
	command := exec.CommandContext(t.Context(), *program, arguments(verb, rest...)...)
	command.Env = append(os.Environ(), "HELM_CACHE_HOME="+t.TempDir())
	output, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("helm %s: %v\n%s", verb, err, output)
	}
	t.Logf("helm %s: %s", verb, output)
}

func scale(t *testing.T, lws *leaderworkersetv1.LeaderWorkerSet, replicas int32) {
	t.Helper()
	bed.Eventually(t, func(ctx context.Context) error {
		if err := suite.Client.Get(ctx, client.ObjectKeyFromObject(lws), lws); err != nil {
			return err
		}
		lws.Spec.Replicas = &replicas
		return suite.Client.Update(ctx, lws)
	})
}

// uids returns the UIDs of a set's pods by their names.
func uids(t *testing.T, lws *leaderworkersetv1.LeaderWorkerSet) map[string]string {
	t.Helper()
	result := map[string]string{}
	for name, pod := range suite.Pods(t, lws) {
		result[name] = string(pod.UID)
	}
	return result
}

// checkKept checks that pods are still there, under the same UIDs.
func checkKept(t *testing.T, lws *leaderworkersetv1.LeaderWorkerSet, want map[string]string) {
	t.Helper()
	now := uids(t, lws)
	for name, uid := range want {
		if now[name] != uid {
			t.Errorf("the pod %s has the UID %q, not %q", name, now[name], uid)
		}
	}
}
