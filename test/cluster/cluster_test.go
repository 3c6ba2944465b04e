// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"

	"github.com/leaderworkerset/lws-operator/test/objects"
)

// deadline limits the wait for changes in a cluster that should happen soon.
const deadline = 20 * time.Second

// programsFor builds the programs, if they aren't up to date, and returns their directory.
func programsFor(t *testing.T) string {
	t.Helper()
	root, err := Root()
	if err != nil {
		t.Fatal(err)
	}
	bin, err := Build(t.Context(), root, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	return bin
}

// startCluster starts a cluster. At the end of the test, it stops the cluster and checks that nothing is left of it.
func startCluster(t *testing.T, options Options) *Cluster {
	t.Helper()
	options.Bin = programsFor(t)
	options.Dir = filepath.Join(t.TempDir(), "cluster")
	options.Log = t.Output()
	c, err := Start(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stopCompletely(t, c)
	})
	return c
}

// stopCompletely stops a cluster and checks that nothing is left of it.
func stopCompletely(t *testing.T, c *Cluster) {
	t.Helper()
	if err := c.Stop(context.WithoutCancel(t.Context())); err != nil {
		t.Error(err)
	}
	for _, p := range c.state.Processes {
		if p.alive() {
			t.Errorf("%s still runs", p.Name)
		}
	}
	checkRemoved(t, c.Dir())
}

// checkRemoved checks that a directory no longer exists.
func checkRemoved(t *testing.T, dir string) {
	t.Helper()
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		entries, err := os.ReadDir(dir)
		t.Errorf("%s still exists, with the entries %v, error %v", dir, entries, err)
	}
}

// clientOf returns a client for an administrator.
func clientOf(t *testing.T, c *Cluster) kubernetes.Interface {
	t.Helper()
	client, err := kubernetes.NewForConfig(c.RESTConfig())
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// eventually polls until the check returns no error.
func eventually(t *testing.T, check func(context.Context) error) {
	t.Helper()
	if err := objects.Until(t.Context(), deadline, check); err != nil {
		t.Fatal(err)
	}
}

// clusterTest is a test that shares its cluster with other tests.
type clusterTest struct {
	*testing.T
	cluster *Cluster
	client  kubernetes.Interface
}

const (
	// optionalFeature is a feature gate that is off by default in every version of Kubernetes, and optionalVersion is its
	// API version.
	optionalFeature = "CoordinatedLeaderElection"
	optionalVersion = "coordination.k8s.io/v1beta1"
)

func TestCluster(t *testing.T) {
	c := startCluster(t, Options{
		Nodes:         7,
		Racks:         3,
		Zones:         2,
		CRDs:          []string{widgetCRD(t)},
		FeatureGates:  map[string]bool{optionalFeature: true},
		RuntimeConfig: map[string]bool{optionalVersion: true},
		Audit:         true,
	})
	for name, test := range map[string]func(clusterTest){
		"Kubernetes has the version that was asked for":       testVersion,
		"nodes have labels":                                   testNodeLabels,
		"a pod is ready at once":                              testReadyAtOnce,
		"a pod is ready after the annotated time":             testReadyAfter,
		"a pod is never ready":                                testReadyNever,
		"a pod terminates after the annotated time":           testTerminateAfter,
		"a pod terminates within its grace period":            testTerminateWithinGrace,
		"a patched status stays":                              testPatchedStatus,
		"a lost node stays lost":                              testLostNode,
		"a user may do what RBAC allows":                      testUser,
		"feature gates reach the API server":                  testFeatureGates,
		"custom objects are owners for the garbage collector": testCustomOwner,
		"requests are in the audit log":                       testAudit,
		"processes are known":                                 testPIDs,
		"a second cluster can't use the directory":            testRunning,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(clusterTest{T: t, cluster: c, client: clientOf(t, c)})
		})
	}
}

func testVersion(t clusterTest) {
	found, err := t.client.Discovery().ServerVersion()
	if err != nil {
		t.Fatal(err)
	}
	version := found.Major + "." + found.Minor
	if version != Version() || !strings.HasPrefix(found.GitVersion, "v"+version+".") {
		t.Errorf("got %+v, want %s", found, Version())
	}
}

func testNodeLabels(t clusterTest) {
	list, err := t.client.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{LabelSelector: RackLabel + "=rack-0"})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, node := range list.Items {
		names = append(names, node.Labels[corev1.LabelHostname])
		if zone := node.Labels[corev1.LabelTopologyZone]; zone != "zone-0" {
			t.Errorf("%s is in %s", node.Name, zone)
		}
	}
	if want := []string{"node-0", "node-3", "node-6"}; !slices.Equal(names, want) {
		t.Errorf("rack-0 has %v, want %v", names, want)
	}
}

// newPod returns a pod with annotations, two containers, an init container and a sidecar.
func newPod(name string, annotations map[string]string) *corev1.Pod {
	always := corev1.ContainerRestartPolicyAlways
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: metav1.NamespaceDefault, Annotations: annotations},
		Spec: corev1.PodSpec{
			InitContainers: []corev1.Container{
				{Name: "init", Image: "image"},
				{Name: "sidecar", Image: "image", RestartPolicy: &always},
			},
			Containers: []corev1.Container{{Name: "one", Image: "image"}, {Name: "two", Image: "image"}},
		},
	}
}

// create creates a pod, and returns the pod when it runs.
func create(t clusterTest, pod *corev1.Pod) *corev1.Pod {
	t.Helper()
	client := t.client.CoreV1().Pods(pod.Namespace)
	if _, err := client.Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	var running *corev1.Pod
	eventually(t.T, func(ctx context.Context) (err error) {
		running, err = client.Get(ctx, pod.Name, metav1.GetOptions{})
		if err == nil && running.Status.Phase != corev1.PodRunning {
			err = fmt.Errorf("%s is %s", pod.Name, running.Status.Phase)
		}
		return err
	})
	return running
}

// ready reports whether the pod's Ready condition is True.
func ready(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(condition corev1.PodCondition) bool {
		return condition.Type == corev1.PodReady && condition.Status == corev1.ConditionTrue
	})
}

func testReadyAtOnce(t clusterTest) {
	pod := create(t, newPod("at-once", nil))
	if !ready(pod) {
		t.Errorf("the pod runs, but isn't Ready: %+v", pod.Status.Conditions)
	}
	if pod.Status.PodIP == "" || pod.Status.HostIP == "" {
		t.Errorf("the pod has the IP %q, its host %q", pod.Status.PodIP, pod.Status.HostIP)
	}
	if init := pod.Status.InitContainerStatuses[0].State; init.Terminated == nil || init.Terminated.ExitCode != 0 {
		t.Errorf("the init container hasn't completed: %+v", init)
	}
	for _, status := range append(pod.Status.ContainerStatuses, pod.Status.InitContainerStatuses[1]) {
		if status.State.Running == nil || !status.Ready || !*status.Started {
			t.Errorf("container %s doesn't run: %+v", status.Name, status)
		}
	}
}

func testReadyAfter(t clusterTest) {
	const after = 1500 * time.Millisecond
	pod := create(t, newPod("after", map[string]string{ReadyAfterAnnotation: after.String()}))
	runningSince := time.Now()
	if ready(pod) {
		t.Fatal("the pod is Ready from the start")
	}
	eventually(t.T, func(ctx context.Context) (err error) {
		pod, err = t.client.CoreV1().Pods(pod.Namespace).Get(ctx, pod.Name, metav1.GetOptions{})
		if err == nil && !ready(pod) {
			err = errors.New("the pod isn't Ready")
		}
		return err
	})
	// The pod may have run for a while before create found it running.
	if took := time.Since(runningSince); took < after/2 {
		t.Errorf("Ready after %s, want %s", took, after)
	}
	for _, status := range pod.Status.ContainerStatuses {
		if !status.Ready || status.State.Running == nil {
			t.Errorf("container %s of a Ready pod: %+v", status.Name, status)
		}
	}
}

func testReadyNever(t clusterTest) {
	pod := create(t, newPod("never", map[string]string{ReadyAfterAnnotation: ReadyNever}))
	checkStays(t, pod, time.Second)
	if ready(pod) {
		t.Error("the pod is Ready")
	}
}

// checkStays checks that a pod doesn't change for a while.
func checkStays(t clusterTest, pod *corev1.Pod, duration time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), duration)
	defer cancel()
	watcher, err := t.client.CoreV1().Pods(pod.Namespace).Watch(ctx, metav1.ListOptions{
		FieldSelector:   "metadata.name=" + pod.Name,
		ResourceVersion: pod.ResourceVersion,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer watcher.Stop()
	select {
	case <-ctx.Done():
	case event, ok := <-watcher.ResultChan():
		if ok {
			data, err := json.Marshal(event.Object)
			t.Errorf("%s was changed, %s: %s, %v", pod.Name, event.Type, data, err)
		}
	}
}

// terminate deletes a pod, and returns the time until the pod no longer exists.
func terminate(t clusterTest, pod *corev1.Pod) time.Duration {
	t.Helper()
	client := t.client.CoreV1().Pods(pod.Namespace)
	began := time.Now()
	if err := client.Delete(t.Context(), pod.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t.T, func(ctx context.Context) error {
		_, err := client.Get(ctx, pod.Name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return errors.Join(err, errors.New("the pod exists"))
	})
	return time.Since(began)
}

func testTerminateAfter(t clusterTest) {
	pod := create(t, newPod("terminates", map[string]string{TerminateAfterAnnotation: "1.5s"}))
	if took := terminate(t, pod); took < 1500*time.Millisecond {
		t.Errorf("the pod disappeared after %s", took)
	}
}

func testTerminateWithinGrace(t clusterTest) {
	pod := newPod("short-grace", map[string]string{TerminateAfterAnnotation: "10m"})
	pod.Spec.TerminationGracePeriodSeconds = new(int64(2))
	// The API server stores the end of the grace period in whole seconds.
	if took := terminate(t, create(t, pod)); took < time.Second {
		t.Errorf("the pod disappeared after %s", took)
	}
}

func testPatchedStatus(t clusterTest) {
	pod := create(t, newPod("patched", map[string]string{ReadyAfterAnnotation: "1s"}))
	patch := []byte(`{"status": {"containerStatuses": [
		{"name": "one", "image": "image", "imageID": "", "ready": false, "restartCount": 1}
	]}}`)
	patched, err := t.client.CoreV1().Pods(pod.Namespace).
		Patch(t.Context(), pod.Name, types.MergePatchType, patch, metav1.PatchOptions{}, "status")
	if err != nil {
		t.Fatal(err)
	}
	checkStays(t, patched, 2*time.Second)
}

func testLostNode(t clusterTest) {
	node := buildNodes(Options{Nodes: 1})[0]
	node.Name = "lost"
	node.Spec.Unschedulable = true // The pods of other tests must not use the node.
	if _, err := t.client.CoreV1().Nodes().Create(t.Context(), node, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	getNode := func(ctx context.Context) (err error) {
		node, err = t.client.CoreV1().Nodes().Get(ctx, "lost", metav1.GetOptions{})
		return err
	}
	eventually(t.T, func(ctx context.Context) error {
		if err := getNode(ctx); err != nil || nodeReady(node) {
			return err
		}
		return errors.New("the node isn't Ready")
	})
	patch := []byte(`{"status": {"conditions": [{"type": "Ready", "status": "Unknown"}]}}`)
	if _, err := t.client.CoreV1().Nodes().PatchStatus(t.Context(), "lost", patch); err != nil {
		t.Fatal(err)
	}
	eventually(t.T, func(ctx context.Context) error {
		err := getNode(ctx)
		if slices.ContainsFunc(node.Spec.Taints, func(taint corev1.Taint) bool {
			return taint.Key == corev1.TaintNodeUnreachable && taint.Effect == corev1.TaintEffectNoExecute
		}) {
			return err
		}
		return errors.Join(err, fmt.Errorf("the node has the taints %v", node.Spec.Taints))
	})
	if nodeReady(node) {
		t.Error("the lost node is Ready")
	}
}

func testUser(t clusterTest) {
	const user, group = "system:serviceaccount:lws-operator-system:operator", "system:serviceaccounts:lws-operator-system"
	kubeconfig, err := t.cluster.UserKubeconfig(user, group)
	if err != nil {
		t.Fatal(err)
	}
	config, err := loadConfig(kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	self, err := client.AuthenticationV1().SelfSubjectReviews().
		Create(t.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if info := self.Status.UserInfo; info.Username != user || !slices.Contains(info.Groups, group) {
		t.Errorf("the API server identifies the user as %+v", info)
	}
	listPods := func(ctx context.Context) error {
		_, err := client.CoreV1().Pods(metav1.NamespaceDefault).List(ctx, metav1.ListOptions{})
		return err
	}
	if err := listPods(t.Context()); !apierrors.IsForbidden(err) {
		t.Errorf("without a role the user gets %v", err)
	}
	_, err = t.client.RbacV1().ClusterRoleBindings().Create(t.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "operator"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "view"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: "lws-operator-system", Name: "operator"}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t.T, listPods)
}

func testFeatureGates(t clusterTest) {
	resources, err := t.client.Discovery().ServerResourcesForGroupVersion(optionalVersion)
	if err != nil {
		t.Fatal(err)
	}
	if len(resources.APIResources) == 0 {
		t.Error("the API version is empty")
	}
	enabled, err := FeatureEnabled(t.Context(), t.cluster.RESTConfig(), optionalFeature)
	if err != nil {
		t.Fatal(err)
	}
	if !enabled {
		t.Errorf("%s is off", optionalFeature)
	}
}

// widgetCRD writes the CustomResourceDefinition of widgets to a file and returns its path.
func widgetCRD(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "widgets.yaml")
	if err := os.WriteFile(path, []byte(`
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: widgets.example.com
spec:
  group: example.com
  scope: Namespaced
  names: {kind: Widget, plural: widgets}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object}}
`), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func testCustomOwner(t clusterTest) {
	client, err := dynamic.NewForConfig(t.cluster.RESTConfig())
	if err != nil {
		t.Fatal(err)
	}
	resource := schema.GroupVersionResource{Group: "example.com", Version: "v1", Resource: "widgets"}
	widgets := client.Resource(resource).Namespace(metav1.NamespaceDefault)
	widget, err := widgets.Create(t.Context(), &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "example.com/v1", "kind": "Widget", "metadata": map[string]any{"name": "owner"},
	}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	configMaps := t.client.CoreV1().ConfigMaps(metav1.NamespaceDefault)
	_, err = configMaps.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{
		Name: "owned",
		OwnerReferences: []metav1.OwnerReference{
			{APIVersion: "example.com/v1", Kind: "Widget", Name: "owner", UID: widget.GetUID()},
		},
	}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := widgets.Delete(t.Context(), "owner", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t.T, func(ctx context.Context) error {
		_, err := configMaps.Get(ctx, "owned", metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return errors.Join(err, errors.New("the ConfigMap exists"))
	})
}

func testAudit(t clusterTest) {
	eventually(t.T, func(context.Context) error {
		data, err := os.ReadFile(t.cluster.AuditLog())
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(data)) {
			var event struct{ User authenticationv1.UserInfo }
			if json.Unmarshal([]byte(line), &event) == nil && event.User.Username == "system:kube-scheduler" {
				return nil
			}
		}
		return errors.New("the scheduler made no request")
	})
}

func testPIDs(t clusterTest) {
	pids := t.cluster.PIDs()
	for _, pid := range pids {
		if err := syscall.Kill(pid, 0); err != nil {
			t.Errorf("process %d: %v", pid, err)
		}
	}
	const components = 5
	slices.Sort(pids)
	if len(slices.Compact(pids)) != components {
		t.Errorf("got the processes %v of %d components", pids, components)
	}
}

func testRunning(t clusterTest) {
	_, err := Start(t.Context(), Options{Dir: t.cluster.Dir(), Bin: programsFor(t.T)})
	if !errors.Is(err, ErrRunning) {
		t.Errorf("got the error %v", err)
	}
}

func TestSeveralClusters(t *testing.T) {
	options := Options{Nodes: 1, Bin: programsFor(t), Log: t.Output()}
	dirs := []string{filepath.Join(t.TempDir(), "attached"), filepath.Join(t.TempDir(), "detached")}
	var group sync.WaitGroup
	for i, dir := range dirs {
		o := options
		o.Dir, o.Detached = dir, i == 1
		group.Go(func() {
			if _, err := Start(t.Context(), o); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()

	uids := map[types.UID]bool{}
	for _, dir := range dirs {
		c, err := Load(dir)
		if err != nil {
			t.Fatal(err)
		}
		namespace, err := clientOf(t, c).CoreV1().Namespaces().Get(t.Context(), metav1.NamespaceDefault, metav1.GetOptions{})
		if err != nil {
			t.Error(err)
		} else {
			uids[namespace.UID] = true
		}
		stopCompletely(t, c)
	}
	if len(uids) != len(dirs) {
		t.Errorf("%d clusters have %d default namespaces", len(dirs), len(uids))
	}
}

// cancelOnWrite cancels a context when something is written to it.
type cancelOnWrite struct {
	cancel context.CancelFunc
}

func (w cancelOnWrite) Write(data []byte) (int, error) {
	w.cancel()
	return len(data), nil
}

func TestCanceledStartLeavesNothing(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	dir := filepath.Join(t.TempDir(), "cluster")
	_, err := Start(ctx, Options{Dir: dir, Bin: programsFor(t), Log: cancelOnWrite{cancel}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got the error %v", err)
	}
	checkRemoved(t, dir)
	if _, err := Load(dir); !errors.Is(err, ErrNoCluster) {
		t.Errorf("Load: %v", err)
	}
}

func TestFailedComponentIsNamed(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cluster")
	_, err := Start(t.Context(), Options{Dir: dir, Bin: programsFor(t), FeatureGates: map[string]bool{"NoSuchGate": true}})
	if err == nil || !strings.Contains(err.Error(), apiServer+" has ended") ||
		!strings.Contains(err.Error(), "NoSuchGate") {
		t.Errorf("got the error %v", err)
	}
	checkRemoved(t, dir)

	// A second cluster in the same directory starts, although this process has connected to the first one.
	c, err := Start(t.Context(), Options{Dir: dir, Bin: programsFor(t)})
	if err != nil {
		t.Fatal(err)
	}
	stopCompletely(t, c)
}

func TestTakenPortIsRecognized(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(log, []byte("listen tcp 127.0.0.1:20000: bind: address already in use"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := &Cluster{state: state{Processes: []process{{Name: etcd, Lock: log + ".lock", Log: log}}}}
	if err := c.ended(); !errors.Is(err, errPortTaken) {
		t.Errorf("got the error %v", err)
	}
}

func TestDirectoryWithOtherFilesIsRefused(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "precious")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Start(t.Context(), Options{Dir: dir, Bin: dir}); err == nil {
		t.Error("started a cluster in a directory with other files")
	}
	if _, err := os.Stat(file); err != nil {
		t.Error(err)
	}
}

func TestOptions(t *testing.T) {
	for name, o := range map[string]Options{
		"no directory":             {Bin: "bin"},
		"no programs":              {Dir: "dir"},
		"a negative number":        {Dir: "dir", Bin: "bin", Nodes: -1},
		"more racks than nodes":    {Dir: "dir", Bin: "bin", Nodes: 1, Racks: 2},
		"more zones than racks":    {Dir: "dir", Bin: "bin", Nodes: 4, Racks: 2, Zones: 3},
		"simulated and real nodes": {Dir: "dir", Bin: "bin", Nodes: 1, Address: "10.0.0.1"},
		"no IP address":            {Dir: "dir", Bin: "bin", Address: "localhost"},
	} {
		if _, err := o.complete(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	o, err := Options{Dir: "dir", Bin: "bin", Nodes: 4, Racks: 2, Zones: 2}.complete()
	if err != nil {
		t.Fatal(err)
	}
	if !filepath.IsAbs(o.Dir) || !filepath.IsAbs(o.Bin) || o.Log == nil {
		t.Errorf("completed to %+v", o)
	}
}
