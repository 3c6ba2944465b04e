// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package security

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"
	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/test/cluster"
	"github.com/leaderworkerset/lws-operator/test/objects"
)

// Namespaces beside that of alice. In restricted, Pod Security enforces its standard of that name.
const (
	bobs       = "tenants-bob"
	restricted = "tenants-restricted"
)

// tenants is the situation of most tests: alice has the editor's role for LeaderWorkerSets in one namespace, and no
// other right. The set victim belongs to somebody else. There is one in her namespace, and one in bob's.
type tenants struct {
	*installed
	alice client.Client
}

// TestTenants tests what alice can and can't reach through the operator.
func TestTenants(t *testing.T) {
	i := install(t, "tenants", render(t, everywhere), "", right{}, nil, bobs, restricted)
	begin(t, i)
	tenants := &tenants{installed: i, alice: asUser(t, "alice", "system:authenticated")}
	bind(t, "alice", i.sets(), i.name+"-leaderworkerset-editor-role")
	bind(t, "alice", restricted, i.name+"-leaderworkerset-editor-role")
	enforceRestricted(t)
	for _, namespace := range []string{i.sets(), bobs} {
		victim := i.newSet("victim")
		victim.Namespace = namespace
		create(t, victim)
		untilAvailable(t, namespace, "victim")
	}
	for _, test := range tenants.tests() {
		t.Run(test.name, func(t *testing.T) {
			before := victims(t)
			test.run(t)
			if diff := cmp.Diff(before, victims(t)); diff != "" {
				t.Errorf("objects of others (-before +after):\n%s", diff)
			}
		})
	}
}

// test is one of the tests that share an operator.
type test struct {
	name string
	run  func(*testing.T)
}

// tests are the tests, in their order.
func (s *tenants) tests() []test {
	return []test{
		{"alice has no rights but her own", s.testRights},
		{"pods are alice's, in her namespace", s.testPods},
		{"forged metadata of a set", s.testForgedMetadata},
		{"forged owners of a set", s.testForgedOwners},
		{"Pod Security holds", s.testPodSecurity},
		{"claims are mounted by their name", s.testClaims},
		{"a forged status is corrected", s.testForgedStatus},
		{"a forged record is replaced", s.testForgedRecord},
		{"labels of a group on other pods", s.testStrangers},
		{"a label of a node is disclosed", s.testNodes},
		{"anybody may ask the webhooks", s.testWebhooks},
		{"metrics ask for a token and a right", s.testMetrics},
		{"profiles are off unless they are on", s.testProfiles},
		{"a set that exists counts in its quota", s.testQuota},
	}
}

// victims returns the versions of the spec of what belongs to the sets named victim, and the UIDs.
func victims(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, namespace := range []string{"tenants-sets", bobs} {
		for _, list := range []client.ObjectList{
			&leaderworkersetv1.LeaderWorkerSetList{}, &appsv1.StatefulSetList{}, &corev1.PodList{}, &corev1.ServiceList{},
			&appsv1.ControllerRevisionList{},
		} {
			if err := suite.client.List(t.Context(), list, client.InNamespace(namespace)); err != nil {
				t.Fatal(err)
			}
			err := meta.EachListItem(list, func(item runtime.Object) error {
				object, err := meta.Accessor(item)
				if err == nil && strings.HasPrefix(object.GetName(), "victim") {
					key := fmt.Sprintf("%T %s/%s", item, namespace, object.GetName())
					found[key] = fmt.Sprintf("%s, generation %d, deleted %v", object.GetUID(), object.GetGeneration(),
						object.GetDeletionTimestamp())
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	return found
}

func (s *tenants) testRights(t *testing.T) {
	t.Helper()
	meta := metav1.ObjectMeta{Namespace: s.sets(), Name: "direct"}
	spec := corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "i"}}}
	foreign := s.newSet("foreign")
	foreign.Namespace = bobs
	for what, request := range map[string]func() error{
		"create a pod": func() error { return s.alice.Create(t.Context(), &corev1.Pod{ObjectMeta: meta, Spec: spec}) },
		"read a pod":   func() error { return s.alice.Get(t.Context(), s.key("victim-0"), &corev1.Pod{}) },
		"list Secrets": func() error {
			return s.alice.List(t.Context(), &corev1.SecretList{}, client.InNamespace(s.sets()))
		},
		"create a set in bob's namespace": func() error { return s.alice.Create(t.Context(), foreign) },
		"read a set in bob's namespace": func() error {
			key := client.ObjectKey{Namespace: bobs, Name: "victim"}
			return s.alice.Get(t.Context(), key, &leaderworkersetv1.LeaderWorkerSet{})
		},
		"write a status": func() error {
			return s.alice.Status().Patch(t.Context(), s.newSet("victim"), mergePatch(t, "{}"))
		},
		"write a StatefulSet": func() error {
			sts := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Namespace: s.sets(), Name: "victim"}}
			return s.alice.Patch(t.Context(), sts, mergePatch(t, "{}"))
		},
		"read the operator's Secret": func() error {
			return s.alice.Get(t.Context(),
				client.ObjectKey{Namespace: s.system(), Name: "lws-webhook-authority"}, &corev1.Secret{})
		},
		"hold the operator's lease": func() error {
			return s.alice.Create(t.Context(), leaseOf(s.system(), "alice"))
		},
	} {
		if err := request(); !apierrors.IsForbidden(err) {
			t.Errorf("%s: got %v, want that it is forbidden", what, err)
		}
	}
}

// testPods creates a set whose pods run as a service account of the namespace, mount its Secrets, and are reached
// through its Services. Alice could do none of it without the set.
func (s *tenants) testPods(t *testing.T) {
	t.Helper()
	create(t, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: s.sets(), Name: "powerful"}})
	lws := s.newSet("mine")
	template := &lws.Spec.LeaderWorkerTemplate.WorkerTemplate
	template.Labels = map[string]string{"app": "shop"}
	template.Spec.ServiceAccountName = "powerful"
	template.Spec.Volumes = []corev1.Volume{{
		Name: "s", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "of-others"}},
	}}
	s.createAsAlice(t, lws)
	untilAvailable(t, s.sets(), "mine")
	for _, name := range []string{"mine-0", "mine-0-1", "mine-1", "mine-1-1"} {
		pod := &corev1.Pod{}
		if err := suite.client.Get(t.Context(), s.key(name), pod); err != nil {
			t.Fatal(err)
		}
		if pod.Spec.ServiceAccountName != "powerful" || pod.Labels["app"] != "shop" ||
			pod.Spec.Volumes[0].Secret.SecretName != "of-others" {
			t.Errorf("%s isn't as its template", name)
		}
	}
}

// testForgedMetadata creates a set whose labels and annotations say that it belongs to the set victim, that groups are
// released, and that they were restarted. The same labels are on its pods and claims.
func (s *tenants) testForgedMetadata(t *testing.T) {
	t.Helper()
	labels := map[string]string{
		leaderworkersetv1.SetNameLabelKey: "victim", leaderworkersetv1.GroupIndexLabelKey: "0",
		leaderworkersetv1.WorkerIndexLabelKey: "0", leaderworkersetv1.RevisionLabelKey: "forged",
		leaderworkersetv1.GroupUniqueHashLabelKey: "forged",
	}
	records := map[string]string{
		leaderworkersetv1.AheadAnnotationKey:       `{"revision":"forged","partition":0,"groups":[0]}`,
		leaderworkersetv1.GroupRecordAnnotationKey: `{"0":{"restarts":1000,"lastRestart":1}}`,
	}
	lws := s.newSet("forged")
	lws.Labels, lws.Annotations = labels, records
	template := &lws.Spec.LeaderWorkerTemplate.WorkerTemplate
	template.Labels = labels
	template.Annotations = map[string]string{
		leaderworkersetv1.SizeAnnotationKey: "1000", leaderworkersetv1.SubGroupSizeAnnotationKey: "0",
		leaderworkersetv1.LeaderPodNameAnnotationKey: "victim-0",
	}
	s.createAsAlice(t, lws)
	untilAvailable(t, s.sets(), "forged")

	for _, list := range []client.ObjectList{&appsv1.StatefulSetList{}, &corev1.PodList{}} {
		if err := suite.client.List(t.Context(), list, client.InNamespace(s.sets())); err != nil {
			t.Fatal(err)
		}
		err := meta.EachListItem(list, func(item runtime.Object) error {
			object, err := meta.Accessor(item)
			if err == nil && strings.HasPrefix(object.GetName(), "forged") {
				checkNotForged(t, object, records)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// checkNotForged checks that an object of the set forged belongs to that set, and has none of the records.
func checkNotForged(t *testing.T, object metav1.Object, records map[string]string) {
	t.Helper()
	labels := object.GetLabels()
	if labels[leaderworkersetv1.SetNameLabelKey] != "forged" ||
		labels[leaderworkersetv1.GroupUniqueHashLabelKey] == "forged" ||
		labels[leaderworkersetv1.RevisionLabelKey] == "forged" {
		t.Errorf("%s has the labels %v", object.GetName(), labels)
	}
	for key, value := range object.GetAnnotations() {
		if value == records[key] {
			t.Errorf("%s has the annotation %s", object.GetName(), key)
		}
	}
}

// testForgedOwners creates a set that claims to be owned, and controlled, by the set victim. Only the set itself is
// concerned: Kubernetes deletes it with its owner.
func (s *tenants) testForgedOwners(t *testing.T) {
	t.Helper()
	victim := &leaderworkersetv1.LeaderWorkerSet{}
	if err := suite.client.Get(t.Context(), s.key("victim"), victim); err != nil {
		t.Fatal(err)
	}
	lws := s.newSet("owned")
	lws.OwnerReferences = []metav1.OwnerReference{{
		APIVersion: leaderworkersetv1.GroupVersion.String(), Kind: "LeaderWorkerSet",
		Name: victim.Name, UID: victim.UID, Controller: ptr.To(true),
	}}
	s.createAsAlice(t, lws)
	untilAvailable(t, s.sets(), "owned")
	if err := s.alice.Delete(t.Context(), lws); err != nil {
		t.Fatal(err)
	}
	eventually(t, s.gone(&appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Name: "owned"}}))
}

// testPodSecurity creates a set with a host path in a namespace that enforces the standard restricted. No pod is
// created, and the status says why.
func (s *tenants) testPodSecurity(t *testing.T) {
	t.Helper()
	lws := s.newSet("escape")
	lws.Namespace = restricted
	lws.Spec.LeaderWorkerTemplate.WorkerTemplate.Spec.Volumes = []corev1.Volume{{
		Name: "host", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/"}},
	}}
	s.createAsAlice(t, lws)
	eventually(t, func(ctx context.Context) error {
		if err := s.alice.Get(ctx, client.ObjectKeyFromObject(lws), lws); err != nil {
			return err
		}
		if !strings.Contains(fmt.Sprint(lws.Status), "violates PodSecurity") {
			return fmt.Errorf("the status is %+v", lws.Status)
		}
		return nil
	})
	var pods corev1.PodList
	if err := suite.client.List(t.Context(), &pods, client.InNamespace(restricted)); err != nil || len(pods.Items) > 0 {
		t.Errorf("%d pods; %v", len(pods.Items), err)
	}
}

// testClaims creates claims with the names that the pods of a set look for. The pods mount them. The operator changes
// and deletes no claim without its labels, even if the set says that claims are deleted with it.
func (s *tenants) testClaims(t *testing.T) {
	t.Helper()
	claim := claimTemplate()
	claim.Namespace, claim.Name = s.sets(), "data-found-0-1"
	create(t, &claim)
	lws := s.newSet("found")
	lws.Spec.Replicas = ptr.To(int32(1))
	lws.Spec.LeaderWorkerTemplate.VolumeClaimTemplates = []corev1.PersistentVolumeClaim{claimTemplate()}
	lws.Spec.LeaderWorkerTemplate.PersistentVolumeClaimRetentionPolicy =
		&appsv1.StatefulSetPersistentVolumeClaimRetentionPolicy{
			WhenDeleted: appsv1.DeletePersistentVolumeClaimRetentionPolicyType,
		}
	s.createAsAlice(t, lws)
	worker := &corev1.Pod{}
	eventually(t, func(ctx context.Context) error { return suite.client.Get(ctx, s.key("found-0-1"), worker) })
	if mounted := worker.Spec.Volumes[0].PersistentVolumeClaim; mounted == nil || mounted.ClaimName != claim.Name {
		t.Errorf("the volumes of the worker are %+v", worker.Spec.Volumes)
	}
	if err := s.alice.Delete(t.Context(), lws); err != nil {
		t.Fatal(err)
	}
	eventually(t, s.gone(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "found-0-1"}}))
	kept := &corev1.PersistentVolumeClaim{}
	if err := suite.client.Get(t.Context(), client.ObjectKeyFromObject(&claim), kept); err != nil ||
		kept.DeletionTimestamp != nil || len(kept.OwnerReferences) > 0 {
		t.Errorf("the claim is %+v; %v", kept.ObjectMeta, err)
	}
}

// testForgedStatus writes a status as somebody who may. The operator corrects it, and decides nothing by it.
func (s *tenants) testForgedStatus(t *testing.T) {
	t.Helper()
	lws := &leaderworkersetv1.LeaderWorkerSet{}
	if err := suite.client.Get(t.Context(), s.key("victim"), lws); err != nil {
		t.Fatal(err)
	}
	want := lws.Status.DeepCopy()
	forged := mergePatch(t,
		`{"status": {"replicas": 77, "readyReplicas": 77, "updatedReplicas": 0, "hpaPodSelector": "a=b"}}`)
	if err := suite.client.Status().Patch(t.Context(), lws, forged); err != nil {
		t.Fatal(err)
	}
	eventually(t, func(ctx context.Context) error {
		if err := suite.client.Get(ctx, s.key("victim"), lws); err != nil {
			return err
		}
		if diff := cmp.Diff(want, &lws.Status); diff != "" {
			return fmt.Errorf("the status (-want +got):\n%s", diff)
		}
		return nil
	})
}

// testForgedRecord writes the annotations in which the operator remembers groups and releases, as somebody who may
// write StatefulSets. The operator replaces the annotations. No pod restarts.
func (s *tenants) testForgedRecord(t *testing.T) {
	t.Helper()
	forged := map[string]string{
		leaderworkersetv1.GroupRecordAnnotationKey: `{"0": {"life": "forged", "restarts": 2147483647}, "-1": {}}`,
		leaderworkersetv1.AheadAnnotationKey:       `{"revision": "forged", "partition": -1, "groups": [2147483647]}`,
	}
	for _, values := range []map[string]string{forged, {
		leaderworkersetv1.GroupRecordAnnotationKey: strings.Repeat("[", 100_000),
		leaderworkersetv1.AheadAnnotationKey:       "null",
	}} {
		patch, err := patchOf(map[string]any{"metadata": map[string]any{"annotations": values}})
		if err != nil {
			t.Fatal(err)
		}
		sts := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Namespace: s.sets(), Name: "victim"}}
		if err := suite.client.Patch(t.Context(), sts, patch); err != nil {
			t.Fatal(err)
		}
		eventually(t, func(ctx context.Context) error {
			if err := suite.client.Get(ctx, s.key("victim"), sts); err != nil {
				return err
			}
			for key, value := range values {
				if sts.Annotations[key] == value {
					return fmt.Errorf("the annotation %s is still forged", key)
				}
			}
			return nil
		})
		untilAvailable(t, s.sets(), "victim")
	}
}

// testStrangers creates pods with the labels and annotations of a worker: in a namespace of somebody else with the
// worker's name, and beside the set under another name. The operator deletes neither, and the set doesn't count them.
func (s *tenants) testStrangers(t *testing.T) {
	t.Helper()
	worker := &corev1.Pod{}
	if err := suite.client.Get(t.Context(), s.key("victim-0-1"), worker); err != nil {
		t.Fatal(err)
	}
	elsewhere := metav1.ObjectMeta{Namespace: "default", Name: worker.Name}
	beside := metav1.ObjectMeta{Namespace: s.sets(), Name: "stranger"}
	var strangers []*corev1.Pod
	for _, place := range []metav1.ObjectMeta{elsewhere, beside} {
		stranger := &corev1.Pod{ObjectMeta: place, Spec: worker.Spec}
		stranger.Labels, stranger.Annotations = maps.Clone(worker.Labels), worker.Annotations
		stranger.Spec.NodeName, stranger.Spec.Volumes, stranger.Spec.Containers[0].VolumeMounts = "", nil, nil
		create(t, stranger)
		strangers = append(strangers, stranger)
		// It fails, as a worker would whose group is restarted.
		failed := mergePatch(t, `{"status": {"phase": "Failed"}}`)
		if err := suite.client.Status().Patch(t.Context(), stranger, failed); err != nil {
			t.Fatal(err)
		}
	}
	s.untilNextPass(t)
	for _, stranger := range strangers {
		err := suite.client.Get(t.Context(), client.ObjectKeyFromObject(stranger), stranger)
		if err != nil || stranger.DeletionTimestamp != nil {
			t.Errorf("%s/%s is deleted: %v", stranger.Namespace, stranger.Name, err)
		}
	}
}

// testNodes creates a set with exclusive placement by a label of nodes that alice can't read. The StatefulSets of her
// workers have the label's value.
func (s *tenants) testNodes(t *testing.T) {
	t.Helper()
	if err := s.alice.List(t.Context(), &corev1.NodeList{}); !apierrors.IsForbidden(err) {
		t.Errorf("alice lists nodes: %v", err)
	}
	lws := s.newSet("curious")
	lws.Spec.Replicas = ptr.To(int32(1))
	lws.Annotations = map[string]string{leaderworkersetv1.ExclusiveKeyAnnotationKey: cluster.RackLabel}
	s.createAsAlice(t, lws)
	untilAvailable(t, s.sets(), "curious")
	workers := &appsv1.StatefulSet{}
	if err := suite.client.Get(t.Context(), s.key("curious-0"), workers); err != nil {
		t.Fatal(err)
	}
	if value := workers.Spec.Template.Spec.NodeSelector[cluster.RackLabel]; !strings.HasPrefix(value, "rack-") {
		t.Errorf("the workers' label %s is %q", cluster.RackLabel, value)
	}
}

// testWebhooks asks a webhook without credentials to validate a set in bob's namespace. The webhook answers. The
// API server stores nothing.
func (s *tenants) testWebhooks(t *testing.T) {
	t.Helper()
	lws := s.newSet("spoofed")
	lws.Namespace = bobs
	raw, err := json.Marshal(lws)
	if err != nil {
		t.Fatal(err)
	}
	review := admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"},
		Request: &admissionv1.AdmissionRequest{
			UID: "1", Operation: admissionv1.Create, Namespace: bobs, Name: lws.Name, Object: runtime.RawExtension{Raw: raw},
		},
	}
	for _, path := range []string{
		"/mutate-leaderworkerset-x-k8s-io-v1-leaderworkerset", "/validate-leaderworkerset-x-k8s-io-v1-leaderworkerset",
	} {
		if answer := s.ask(t, path, review); !answer.Response.Allowed {
			t.Errorf("%s: %+v", path, answer.Response)
		}
	}
	s.untilNextPass(t)
	var all appsv1.StatefulSetList
	if err := suite.client.List(t.Context(), &all, client.InNamespace(bobs)); err != nil {
		t.Fatal(err)
	}
	for _, sts := range all.Items {
		if strings.HasPrefix(sts.Name, lws.Name) {
			t.Errorf("there is a StatefulSet %s", sts.Name)
		}
	}
}

// ask sends a review to a webhook, as anybody can who reaches its port.
func (s *tenants) ask(
	t *testing.T, path string, review admissionv1.AdmissionReview,
) (answer admissionv1.AdmissionReview) {
	t.Helper()
	body, err := json.Marshal(review)
	if err != nil {
		t.Fatal(err)
	}
	url := "https://" + s.webhook + path
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	transport := trusting()
	defer transport.CloseIdleConnections()
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	content, err := io.ReadAll(response.Body)
	if err := errors.Join(err, json.Unmarshal(content, &answer)); err != nil || answer.Response == nil {
		t.Fatalf("%v: %s", err, content)
	}
	return answer
}

// testMetrics reads the metrics without a token, and with one of a service account that may not read them.
func (s *tenants) testMetrics(t *testing.T) {
	t.Helper()
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: s.sets(), Name: "default"}}
	token := &authenticationv1.TokenRequest{}
	eventually(t, func(ctx context.Context) error { return suite.client.SubResource("token").Create(ctx, account, token) })
	transport := trusting()
	defer transport.CloseIdleConnections()
	for name, test := range map[string]struct{ token, want string }{
		"no token":          {"", "401 Unauthorized"},
		"without the right": {token.Status.Token, "403 Forbidden"},
		// controller-runtime takes a token that the API server can't verify for an error of its own.
		"a token of nobody":       {"nobody", "500 Internal Server Error"},
		"a token that is changed": {token.Status.Token + "x", "500 Internal Server Error"},
	} {
		err := get(t.Context(), &http.Client{Transport: transport}, "https://"+s.metrics+"/metrics", test.token)
		if err == nil || !strings.HasSuffix(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %s", name, err, test.want)
		}
	}
}

// testProfiles looks for profiles where the operator serves other things.
func (s *tenants) testProfiles(t *testing.T) {
	t.Helper()
	transport := trusting()
	defer transport.CloseIdleConnections()
	for _, address := range []string{"http://" + s.health, "https://" + s.webhook, "https://" + s.metrics} {
		err := get(t.Context(), &http.Client{Transport: transport}, address+"/debug/pprof/", "")
		if err == nil {
			t.Errorf("%s serves profiles", address)
		}
	}
}

// testQuota limits the number of sets in a namespace.
func (s *tenants) testQuota(t *testing.T) {
	t.Helper()
	const counted = "count/leaderworkersets.leaderworkerset.x-k8s.io"
	quota := s.quota()
	quota.Namespace, quota.Name = restricted, "few-sets"
	quota.Spec.Hard = corev1.ResourceList{counted: resource.MustParse("0")}
	create(t, quota)
	t.Cleanup(func() {
		if err := suite.client.Delete(context.WithoutCancel(t.Context()), quota); err != nil {
			t.Error(err)
		}
	})
	eventually(t, func(ctx context.Context) error {
		if err := suite.client.Get(ctx, client.ObjectKeyFromObject(quota), quota); err != nil {
			return err
		}
		if len(quota.Status.Hard) == 0 {
			return errors.New("the quota isn't enforced")
		}
		return nil
	})
	lws := s.newSet("many")
	lws.Namespace = restricted
	if err := s.alice.Create(t.Context(), lws); !apierrors.IsForbidden(err) {
		t.Errorf("got %v, want that the quota forbids it", err)
	}
}

// createAsAlice creates a set as alice. The set is deleted at the end of the test.
func (s *tenants) createAsAlice(t *testing.T, lws *leaderworkersetv1.LeaderWorkerSet) {
	t.Helper()
	if err := s.alice.Create(t.Context(), lws); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := client.IgnoreNotFound(s.alice.Delete(context.WithoutCancel(t.Context()), lws)); err != nil {
			t.Error(err)
		}
	})
}

// untilNextPass waits until the operator has created the groups of a set that is created now. Passes over other sets
// had their turn as well.
func (s *tenants) untilNextPass(t *testing.T) {
	t.Helper()
	changed := s.newSet("next")
	changed.GenerateName, changed.Name = "next-x", ""
	changed.Spec.Replicas = ptr.To(int32(1))
	s.createAsAlice(t, changed)
	untilAvailable(t, s.sets(), changed.Name)
}

func (s *tenants) key(name string) types.NamespacedName {
	return types.NamespacedName{Namespace: s.sets(), Name: name}
}

// begin waits until the operator is ready. No other controller holds its lease.
func begin(t *testing.T, i *installed) {
	t.Helper()
	if err := i.holdBy("")(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, i.ready)
}

// trusting returns a transport that takes any certificate.
func trusting() *http.Transport {
	return &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}} //nolint:gosec // As an attacker does.
}

// asUser returns a client of a user.
func asUser(t *testing.T, name string, groups ...string) client.Client {
	t.Helper()
	config := suite.cluster.RESTConfig()
	config.Impersonate = rest.ImpersonationConfig{UserName: name, Groups: groups}
	c, err := client.New(config, client.Options{Scheme: suite.client.Scheme(), Mapper: suite.client.RESTMapper()})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// bind gives a user a ClusterRole in a namespace.
func bind(t *testing.T, user, namespace, role string) {
	t.Helper()
	create(t, &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: user},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}},
	})
}

func enforceRestricted(t *testing.T) {
	t.Helper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: restricted}}
	patch := mergePatch(t, `{"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}`)
	if err := suite.client.Patch(t.Context(), namespace, patch); err != nil {
		t.Fatal(err)
	}
}

func mergePatch(t *testing.T, text string) client.Patch {
	t.Helper()
	return client.RawPatch(types.MergePatchType, []byte(text))
}

// eventually waits until a check returns no error.
func eventually(t *testing.T, check func(context.Context) error) {
	t.Helper()
	if err := objects.Until(t.Context(), stepTimeout, check); err != nil {
		t.Fatal(err)
	}
}

func untilAvailable(t *testing.T, namespace, name string) {
	t.Helper()
	eventually(t, func(ctx context.Context) error { return available(ctx, namespace, name) })
}
