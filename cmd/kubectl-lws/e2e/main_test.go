// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	plugincluster "github.com/leaderworkerset/lws-operator/cmd/kubectl-lws/internal/cluster"
	"github.com/leaderworkerset/lws-operator/cmd/kubectl-lws/internal/command"
	"github.com/leaderworkerset/lws-operator/test/cluster"
	"github.com/leaderworkerset/lws-operator/test/objects"
	"github.com/leaderworkerset/lws-operator/test/operator"
	"github.com/leaderworkerset/lws-operator/test/testmain"
)

// suite is the environment that all tests share. TestMain sets it before the first test.
var suite struct {
	cluster *cluster.Cluster
	client  client.WithWatch
}

// deadline bounds each wait. On an idle machine, most waits take a second.
const deadline = 90 * time.Second

func TestMain(m *testing.M) {
	flag.Parse()
	testmain.Run(m, run)
}

// run runs the tests in a cluster with the operator that exists only for them.
func run(ctx context.Context, m *testing.M) (code int, err error) {
	root, err := cluster.Root()
	if err != nil {
		return 0, err
	}
	bin, err := cluster.Build(ctx, root, os.Stderr)
	if err != nil {
		return 0, err
	}
	manager, err := operator.Build(ctx, root)
	if err != nil {
		return 0, err
	}
	dir, err := os.MkdirTemp("", "kubectl-lws-e2e-")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	suite.cluster, err = cluster.Start(ctx, cluster.Options{
		Dir: dir, Bin: bin, Nodes: 4, CRDs: []string{filepath.Join(root, "config", "crd", "bases")},
	})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, suite.cluster.Stop(ctx)) }()
	if _, err = operator.Install(ctx, suite.cluster, root, manager); err != nil {
		return 0, err
	}
	scheme, err := plugincluster.Scheme()
	if err != nil {
		return 0, err
	}
	suite.client, err = client.NewWithWatch(suite.cluster.RESTConfig(), client.Options{Scheme: scheme})
	if err != nil {
		return 0, err
	}
	return m.Run(), nil
}

// user is somebody who runs the plugin in a namespace.
type user struct {
	kubeconfig, namespace string
}

// admin returns a user who may do everything, with a namespace of its own.
func admin(t *testing.T) user {
	t.Helper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "plugin-"}}
	create(t, namespace)
	return user{suite.cluster.Kubeconfig(), namespace.Name}
}

// withRole returns a user who has a cluster role in the namespace of another user, and no other right.
func (u user) withRole(t *testing.T, role string) user {
	t.Helper()
	name := role + "-" + u.namespace
	kubeconfig, err := suite.cluster.UserKubeconfig(name)
	if err != nil {
		t.Fatal(err)
	}
	create(t, &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: u.namespace, Name: name},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: name}},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
	})
	return user{kubeconfig, u.namespace}
}

// result is what a run of the plugin gave.
type result struct {
	code        int
	out, errOut string
}

// run runs the plugin.
func (u user) run(t *testing.T, args ...string) result {
	t.Helper()
	streams, _, out, errOut := genericiooptions.NewTestIOStreams()
	args = append([]string{"--kubeconfig", u.kubeconfig, "-n", u.namespace}, args...)
	code := command.Run(t.Context(), "test", streams, args)
	return result{code, out.String(), errOut.String()}
}

// wants runs the plugin, and fails the test unless it succeeds and its output has all of the texts.
func (u user) wants(t *testing.T, args []string, texts ...string) string {
	t.Helper()
	got := u.run(t, args...)
	if got.code != 0 {
		t.Fatalf("kubectl lws %v: exit code %d\n%s%s", args, got.code, got.out, got.errOut)
	}
	wantTexts(t, args, got.out, texts)
	return got.out
}

// wantsError runs the plugin, and fails the test unless it ends with 1 and says all of the texts.
func (u user) wantsError(t *testing.T, args []string, texts ...string) {
	t.Helper()
	got := u.run(t, args...)
	if got.code != 1 {
		t.Fatalf("kubectl lws %v: exit code %d, want 1\n%s%s", args, got.code, got.out, got.errOut)
	}
	wantTexts(t, args, got.out+got.errOut, texts)
}

func wantTexts(t *testing.T, args []string, output string, texts []string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(output, text) {
			t.Errorf("kubectl lws %v doesn't say %q:\n%s", args, text, output)
		}
	}
	if bytes.ContainsRune([]byte(output), '\x1b') {
		t.Errorf("kubectl lws %v writes colors, and no terminal reads them:\n%q", args, output)
	}
}

func create(t *testing.T, list ...client.Object) {
	t.Helper()
	for _, object := range list {
		if err := suite.client.Create(t.Context(), object); err != nil {
			t.Fatal(err)
		}
	}
}

// newSet creates a set of simulated pods, with changes.
func (u user) newSet(
	t *testing.T, name string, replicas, size int32, changes ...func(*leaderworkersetv1.LeaderWorkerSet),
) *leaderworkersetv1.LeaderWorkerSet {
	t.Helper()
	lws := &leaderworkersetv1.LeaderWorkerSet{ObjectMeta: metav1.ObjectMeta{Namespace: u.namespace, Name: name}}
	lws.Spec.Replicas = ptr.To(replicas)
	lws.Spec.LeaderWorkerTemplate.Size = ptr.To(size)
	lws.Spec.LeaderWorkerTemplate.WorkerTemplate.Spec.Containers = []corev1.Container{{Name: "server", Image: "v1"}}
	for _, change := range changes {
		change(lws)
	}
	create(t, lws)
	return lws
}

// available waits until the plugin says that the rollout of a set has ended.
func (u user) available(t *testing.T, name string) {
	t.Helper()
	u.wants(t, []string{"rollout", "status", name, "--timeout=90s"})
}

// eventually waits until a run of the plugin says all of the texts.
func (u user) eventually(t *testing.T, args []string, texts ...string) {
	t.Helper()
	err := objects.Until(t.Context(), deadline, func(context.Context) error {
		got := u.run(t, args...)
		for _, text := range texts {
			if !strings.Contains(got.out, text) {
				return errors.New("no " + text + " in:\n" + got.out + got.errOut)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatalf("kubectl lws %v: %v", args, err)
	}
}

// get reads an object by its name.
func (u user) get(t *testing.T, name string, into client.Object) {
	t.Helper()
	if err := suite.client.Get(t.Context(), client.ObjectKey{Namespace: u.namespace, Name: name}, into); err != nil {
		t.Fatal(err)
	}
}

// edit changes a set.
func (u user) edit(t *testing.T, name string, change func(*leaderworkersetv1.LeaderWorkerSet)) {
	t.Helper()
	lws := &leaderworkersetv1.LeaderWorkerSet{}
	u.get(t, name, lws)
	before := lws.DeepCopy()
	change(lws)
	if err := suite.client.Patch(t.Context(), lws, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
}

// image gives the pods of a set another image.
func image(name string) func(*leaderworkersetv1.LeaderWorkerSet) {
	return func(lws *leaderworkersetv1.LeaderWorkerSet) {
		lws.Spec.LeaderWorkerTemplate.WorkerTemplate.Spec.Containers[0].Image = name
	}
}
