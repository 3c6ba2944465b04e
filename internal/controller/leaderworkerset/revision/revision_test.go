// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package revision_test

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/yaml"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/revision"
)

// update writes the fixtures of the next release. Clusters have stored the fixtures of earlier releases, which are
// never written again.
var update = flag.Bool("update", false, "write the missing revisions of the manifests in testdata/v*")

func read(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// readSet returns a manifest as an API server returns it.
func readSet(t *testing.T, name string) *leaderworkersetv1.LeaderWorkerSet {
	t.Helper()
	lws := &leaderworkersetv1.LeaderWorkerSet{}
	if err := yaml.UnmarshalStrict(read(t, name), lws); err != nil {
		t.Fatal(err)
	}
	lws.Default()
	return lws
}

func newRevision(
	t *testing.T, lws *leaderworkersetv1.LeaderWorkerSet, named ...*appsv1.ControllerRevision,
) *appsv1.ControllerRevision {
	t.Helper()
	created, err := revision.New(lws, named)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	return created
}

// stored returns a revision with that data, as clusters have stored it.
func stored(key string, number int64, data string) *appsv1.ControllerRevision {
	return &appsv1.ControllerRevision{
		ObjectMeta: metav1.ObjectMeta{
			Name:   fmt.Sprintf("llama-%s-%d", key, number),
			Labels: map[string]string{leaderworkersetv1.RevisionLabelKey: key},
		},
		Data:     runtime.RawExtension{Raw: []byte(data)},
		Revision: number,
	}
}

// TestReleases finds the revisions that released versions have written, and no other ones. Each release adds a
// directory of manifests, as API servers return them, and runs the test with -update.
func TestReleases(t *testing.T) {
	manifests, err := filepath.Glob(filepath.Join("testdata", "v*", "*.yaml"))
	if err != nil || len(manifests) == 0 {
		t.Fatalf("manifests of releases: %v, error %v", manifests, err)
	}
	for _, manifest := range manifests {
		name := strings.TrimPrefix(manifest, "testdata"+string(filepath.Separator))
		fixture := strings.TrimSuffix(name, ".yaml") + ".json"
		t.Run(name, func(t *testing.T) {
			lws := readSet(t, name)
			if *update {
				writeFixture(t, fixture, newRevision(t, lws))
			}
			released := &appsv1.ControllerRevision{}
			if err := json.Unmarshal(read(t, fixture), released); err != nil {
				t.Fatal(err)
			}
			owned := []*appsv1.ControllerRevision{released}
			if got := revision.Equivalent(lws, owned); got != released || revision.Key(got) == "" {
				t.Fatalf("found %v, want the released revision", got)
			}
			for what, change := range map[string]func(*leaderworkersetv1.LeaderWorkerTemplate){
				"image": func(t *leaderworkersetv1.LeaderWorkerTemplate) { t.WorkerTemplate.Spec.Containers[0].Image += "-next" },
				"size":  func(t *leaderworkersetv1.LeaderWorkerTemplate) { *t.Size *= 2 },
				"annotation": func(t *leaderworkersetv1.LeaderWorkerTemplate) {
					t.WorkerTemplate.Annotations = map[string]string{"a": "b"}
				},
			} {
				changed := lws.DeepCopy()
				change(&changed.Spec.LeaderWorkerTemplate)
				if got := revision.Equivalent(changed, owned); got != nil {
					t.Errorf("with another %s the released revision is found", what)
				}
			}
		})
	}
}

// writeFixture writes a revision to a file, unless the file exists.
func writeFixture(t *testing.T, name string, created *appsv1.ControllerRevision) {
	t.Helper()
	created.SetGroupVersionKind(appsv1.SchemeGroupVersion.WithKind("ControllerRevision"))
	text, err := json.MarshalIndent(created, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.OpenFile(filepath.Join("testdata", name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if errors.Is(err, fs.ErrExist) {
		t.Logf("%s exists, and stays as it is", name)
		return
	}
	if err == nil {
		_, err = file.Write(append(text, '\n'))
		err = errors.Join(err, file.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestOtherControllers finds the revisions that versions of other controllers have stored for minimal.yaml with size 2.
func TestOtherControllers(t *testing.T) {
	const containers = `"containers":[{"name":"main","image":"serve:1","resources":{}}]`
	for _, tc := range []struct{ name, data string }{
		{
			"null timestamps in the templates' metadata",
			`{"spec":{"leaderWorkerTemplate":{"$patch":"replace","restartPolicy":"RecreateGroupOnPodRestart","size":2,` +
				`"workerTemplate":{"metadata":{"creationTimestamp":null},"spec":{` + containers + `}}},` +
				`"networkConfig":{"$patch":"replace","subdomainPolicy":"Shared"}}}`,
		},
		{
			"no networkConfig",
			`{"spec":{"leaderWorkerTemplate":{"workerTemplate":{"metadata":{},"spec":{` + containers + `}},` +
				`"size":2,"$patch":"replace"}}}`,
		},
		{
			"networkConfig null",
			`{"spec":{"networkConfig":null,"leaderWorkerTemplate":{"workerTemplate":{"spec":{` + containers + `}},` +
				`"size":2,"leaderTemplate":null,"$patch":"replace"}}}`,
		},
		{
			"networkConfig empty",
			`{"spec":{"networkConfig":{"$patch":"replace"},"leaderWorkerTemplate":{` +
				`"workerTemplate":{"spec":{` + containers + `}},"size":2,"$patch":"replace"}}}`,
		},
		{
			"the leader's template written out, and the old name of a restartPolicy",
			`{"spec":{"leaderWorkerTemplate":{"leaderTemplate":{"metadata":{"creationTimestamp":null},` +
				`"spec":{` + containers + `}},"restartPolicy":"Default",` +
				`"workerTemplate":{"metadata":{"creationTimestamp":null},"spec":{` + containers + `}},` +
				`"size":2,"$patch":"replace"}}}`,
		},
		{
			"no $patch, spaces, and fields that this version doesn't know",
			`{ "spec": { "leaderWorkerTemplate": {"size": 2, "future": {"a": 1}, ` +
				`"workerTemplate": {"spec": {` + containers + `}}},` +
				` "networkConfig": {"subdomainPolicy": "Shared", "future": true} } }`,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			lws := readSet(t, "minimal.yaml")
			lws.Spec.LeaderWorkerTemplate.Size = ptr.To[int32](2)
			known := stored("5b8d7f9c6", 3, tc.data)
			got := revision.Equivalent(lws, []*appsv1.ControllerRevision{known})
			if got != known {
				t.Fatal("the revision isn't found")
			}
			if key := revision.Key(got); key != "5b8d7f9c6" {
				t.Errorf("key is %q, want the other controller's, 5b8d7f9c6", key)
			}
		})
	}
}

// TestAllFieldsOfOtherControllers finds the revision that another controller has stored for full.yaml. With any part of
// it changed, it isn't found.
func TestAllFieldsOfOtherControllers(t *testing.T) {
	data := string(read(t, "full-other.json"))
	find := func(data string) bool {
		owned := []*appsv1.ControllerRevision{stored("5b8d7f9c6", 3, data)}
		return revision.Equivalent(readSet(t, "full.yaml"), owned) != nil
	}
	if !find(data) {
		t.Error("the revision isn't found")
	}
	for old, replacement := range map[string]string{
		"UniquePerReplica": "Shared", `"role":"leader"`: `"role":"head"`, "fetch:1": "fetch:2", "serve:1": "serve:2",
		`"containerPort":8080`: `"containerPort":80`, "POD_IP": "IP", "/ready": "/healthy", "accelerator": "size",
		"1500m": "1", "google.com/tpu": "nvidia.com/gpu", "LeaderExcluded": "LeaderWorker", `"size":5`: `"size":7`,
		"inference": "training", "10Gi": "20Gi", "fast": "slow",
		`"terminationGracePeriodSeconds":30`: `"terminationGracePeriodSeconds":40`,
	} {
		if changed := strings.Replace(data, old, replacement, 1); changed == data || find(changed) {
			t.Errorf("with %s for %s the revision is found", replacement, old)
		}
	}
}

func TestParseIsTheInverseOfNew(t *testing.T) {
	for _, manifest := range []string{"minimal.yaml", "full.yaml"} {
		lws := readSet(t, manifest)
		got, err := revision.Parse(newRevision(t, lws))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(revision.TemplateOf(lws), got); diff != "" {
			t.Errorf("%s (-of the set +parsed):\n%s", manifest, diff)
		}
		if !got.Equal(revision.TemplateOf(lws)) {
			t.Errorf("%s: not Equal after Parse", manifest)
		}
	}
}

func TestParseFillsInDefaults(t *testing.T) {
	const data = `{"spec":{"leaderWorkerTemplate":{"workerTemplate":{"spec":{"hostname":"h"}},"subGroupPolicy":{}}}}`
	template, err := revision.Parse(stored("a", 1, data))
	if err != nil {
		t.Fatal(err)
	}
	if got := *template.LeaderWorkerTemplate.Size; got != 1 {
		t.Errorf("size is %d, want 1", got)
	}
	if got := template.Subdomain(); got != leaderworkersetv1.SubdomainShared {
		t.Errorf("subdomain policy is %q, want Shared", got)
	}
	if got := template.LeaderWorkerTemplate.SubGroupPolicy.Type; got != leaderworkersetv1.SubGroupPolicyTypeLeaderWorker {
		t.Errorf("subgroup policy is %q, want LeaderWorker", got)
	}
	if got := template.Leader().Spec.Hostname; got != "h" {
		t.Errorf("leader's template isn't the worker's: hostname %q", got)
	}
}

func TestParseErrors(t *testing.T) {
	for data, want := range map[string]string{
		``:                    `revision llama-a-1: unexpected end of JSON input`,
		`nonsense`:            `revision llama-a-1: invalid character 'o' in literal null`,
		`{}`:                  `revision llama-a-1: no spec.leaderWorkerTemplate`,
		`{"spec":{"size":4}}`: `revision llama-a-1: no spec.leaderWorkerTemplate`,
		`{"spec":{"leaderWorkerTemplate":{"size":"four"}}}`: `revision llama-a-1: json: cannot unmarshal string`,
	} {
		_, err := revision.Parse(stored("a", 1, data))
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("Parse(%s): got error %v, want one that begins with %q", data, err, want)
		}
	}
}

// TestEqual changes the set of full.yaml.
func TestEqual(t *testing.T) {
	type spec = leaderworkersetv1.LeaderWorkerSetSpec
	worker := func(s *spec) *corev1.Container { return &s.LeaderWorkerTemplate.WorkerTemplate.Spec.Containers[0] }
	for _, tc := range []struct {
		name   string
		change func(*spec)
		want   bool
	}{
		// Fields that don't change pods.
		{"replicas", func(s *spec) { s.Replicas = ptr.To[int32](9) }, true},
		{"startupPolicy", func(s *spec) { s.StartupPolicy = leaderworkersetv1.LeaderCreatedStartupPolicy }, true},
		{"rolloutStrategy", func(s *spec) { s.RolloutStrategy = leaderworkersetv1.RolloutStrategy{} }, true},
		{"restartPolicy", func(s *spec) { s.LeaderWorkerTemplate.RestartPolicy = leaderworkersetv1.NoneRestartPolicy }, true},
		{"deprecated restartPolicy", func(s *spec) {
			s.LeaderWorkerTemplate.RestartPolicy = leaderworkersetv1.DeprecatedDefaultRestartPolicy
		}, true},
		{"revisionHistoryLimit", func(s *spec) { s.RevisionHistoryLimit = ptr.To[int32](0) }, true},
		{"maxGroupRestarts", func(s *spec) { s.LeaderWorkerTemplate.MaxGroupRestarts = ptr.To[int32](3) }, true},
		{"claim retention", func(s *spec) { s.LeaderWorkerTemplate.PersistentVolumeClaimRetentionPolicy = nil }, true},

		// Equal values.
		{"1500m of CPU as 1.5", func(s *spec) {
			worker(s).Resources.Limits[corev1.ResourceCPU] = resource.MustParse("1.5")
		}, true},
		{"1Gi of memory as 1024Mi", func(s *spec) {
			worker(s).Resources.Limits[corev1.ResourceMemory] = resource.MustParse("1024Mi")
		}, true},
		{"empty lists and maps", func(s *spec) {
			s.LeaderWorkerTemplate.WorkerTemplate.Labels = map[string]string{}
			s.LeaderWorkerTemplate.WorkerTemplate.Spec.InitContainers = []corev1.Container{}
		}, true},

		{"defaults of pods", func(s *spec) {
			pod := &s.LeaderWorkerTemplate.WorkerTemplate.Spec
			pod.TerminationGracePeriodSeconds, pod.DNSPolicy = ptr.To[int64](30), corev1.DNSClusterFirst
			pod.Containers[0].ImagePullPolicy = corev1.PullIfNotPresent
			leader := &s.LeaderWorkerTemplate.LeaderTemplate.Spec.Containers[0]
			leader.ReadinessProbe.TimeoutSeconds, leader.ReadinessProbe.HTTPGet.Scheme = 1, corev1.URISchemeHTTP
			leader.Ports[0].Protocol = corev1.ProtocolTCP
			leader.Env[0].ValueFrom.FieldRef.APIVersion = "v1"
		}, true},
		{"defaults of claims", func(s *spec) {
			claim := &s.LeaderWorkerTemplate.VolumeClaimTemplates[0]
			claim.Kind, claim.Status.Phase = "PersistentVolumeClaim", corev1.ClaimPending
			claim.Spec.VolumeMode = ptr.To(corev1.PersistentVolumeFilesystem)
		}, true},

		// Other values.
		{"pull policy that isn't the default", func(s *spec) {
			s.LeaderWorkerTemplate.WorkerTemplate.Spec.Containers[0].ImagePullPolicy = corev1.PullAlways
		}, false},
		{"grace period that isn't the default", func(s *spec) {
			s.LeaderWorkerTemplate.WorkerTemplate.Spec.TerminationGracePeriodSeconds = ptr.To[int64](0)
		}, false},
		{"image", func(s *spec) { s.LeaderWorkerTemplate.WorkerTemplate.Spec.Containers[0].Image = "serve:2" }, false},
		{"leader's image", func(s *spec) {
			s.LeaderWorkerTemplate.LeaderTemplate.Spec.Containers[0].Image = "serve:2"
		}, false},
		{"no leader template", func(s *spec) { s.LeaderWorkerTemplate.LeaderTemplate = nil }, false},
		{"label of a template", func(s *spec) { s.LeaderWorkerTemplate.LeaderTemplate.Labels["role"] = "head" }, false},
		{"annotation of a template", func(s *spec) {
			s.LeaderWorkerTemplate.WorkerTemplate.Annotations["note"] = "other"
		}, false},
		{"CPU", func(s *spec) {
			worker(s).Resources.Limits[corev1.ResourceCPU] = resource.MustParse("2")
		}, false},
		{"size", func(s *spec) { s.LeaderWorkerTemplate.Size = ptr.To[int32](7) }, false},
		{"subgroup type", func(s *spec) {
			s.LeaderWorkerTemplate.SubGroupPolicy.Type = leaderworkersetv1.SubGroupPolicyTypeLeaderWorker
		}, false},
		{"subgroup size", func(s *spec) { s.LeaderWorkerTemplate.SubGroupPolicy.SubGroupSize = ptr.To[int32](4) }, false},
		{"no subgroups", func(s *spec) { s.LeaderWorkerTemplate.SubGroupPolicy = nil }, false},
		{"claim's size", func(s *spec) {
			claim := &s.LeaderWorkerTemplate.VolumeClaimTemplates[0]
			claim.Spec.Resources.Requests[corev1.ResourceStorage] = resource.MustParse("20Gi")
		}, false},
		{"claim's label", func(s *spec) {
			s.LeaderWorkerTemplate.VolumeClaimTemplates[0].Labels["team"] = "training"
		}, false},
		{"subdomain policy", func(s *spec) {
			s.NetworkConfig.SubdomainPolicy = ptr.To(leaderworkersetv1.SubdomainShared)
		}, false},
		{"no networkConfig is Shared", func(s *spec) { s.NetworkConfig = nil }, false},
	} {
		lws := readSet(t, "full.yaml")
		before := revision.TemplateOf(lws)
		known := newRevision(t, lws)
		tc.change(&lws.Spec)
		if got := revision.TemplateOf(lws).Equal(before); got != tc.want {
			t.Errorf("%s: Equal is %t, want %t", tc.name, got, tc.want)
		}
		if got := revision.Equivalent(lws, []*appsv1.ControllerRevision{known}) != nil; got != tc.want {
			t.Errorf("%s: Equivalent finds the revision: %t, want %t", tc.name, got, tc.want)
		}
	}
}

// TestEqualWithoutLeaderTemplate changes the set of minimal.yaml, whose fields are mostly defaults.
// TestPlacement stores placements, and compares revisions that say theirs with one that doesn't.
func TestPlacement(t *testing.T) {
	const share = leaderworkersetv1.ShareTopologyAnnotationKey
	lws := readSet(t, "minimal.yaml")
	none := newRevision(t, lws)
	lws.Annotations = map[string]string{share: "rack"}
	rack := newRevision(t, lws)
	unsaid := rack.DeepCopy()
	unsaid.Annotations = nil
	garbage := rack.DeepCopy()
	garbage.Annotations = map[string]string{leaderworkersetv1.PlacementAnnotationKey: `{"`}
	if revision.Key(none) == revision.Key(rack) {
		t.Error("two placements have one key")
	}
	if diff := cmp.Diff(map[string]string{share: "rack"}, revision.PlacementOf(rack)); diff != "" {
		t.Errorf("placement (-want +got):\n%s", diff)
	}
	for what, tc := range map[string]struct {
		stored *appsv1.ControllerRevision
		want   bool
	}{"none": {none, false}, "the same": {rack, true}, "not said": {unsaid, true}, "garbage": {garbage, true}} {
		template, err := revision.Parse(tc.stored)
		if err != nil || template.Equal(revision.TemplateOf(lws)) != tc.want {
			t.Errorf("%s: equal is %v, want %v; %v", what, !tc.want, tc.want, err)
		}
	}
}

func TestEqualWithoutLeaderTemplate(t *testing.T) {
	for name, change := range map[string]func(*leaderworkersetv1.LeaderWorkerSetSpec){
		"an explicit leader template that is the worker's": func(s *leaderworkersetv1.LeaderWorkerSetSpec) {
			s.LeaderWorkerTemplate.LeaderTemplate = s.LeaderWorkerTemplate.WorkerTemplate.DeepCopy()
		},
		"no networkConfig": func(s *leaderworkersetv1.LeaderWorkerSetSpec) { s.NetworkConfig = nil },
		"no size":          func(s *leaderworkersetv1.LeaderWorkerSetSpec) { s.LeaderWorkerTemplate.Size = nil },
	} {
		lws := readSet(t, "minimal.yaml")
		before := revision.TemplateOf(lws)
		change(&lws.Spec)
		if !revision.TemplateOf(lws).Equal(before) {
			t.Errorf("%s: not Equal", name)
		}
	}
}

func TestNew(t *testing.T) {
	lws := readSet(t, "full.yaml")
	created := newRevision(t, lws, stored("a", 4, `{}`), stored("b", 17, `{}`))
	key := revision.Key(created)

	if !regexp.MustCompile(`^[a-z0-9]{5,10}$`).MatchString(key) {
		t.Errorf("key %q isn't a short word", key)
	}
	if want := "llama-" + key + "-18"; created.Name != want || created.Revision != 18 {
		t.Errorf("got %s with number %d, want %s with 18", created.Name, created.Revision, want)
	}
	labels := map[string]string{
		"leaderworkerset.sigs.k8s.io/name":                   "llama",
		"leaderworkerset.sigs.k8s.io/template-revision-hash": key,
	}
	if diff := cmp.Diff(labels, created.Labels); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
	owners := []metav1.OwnerReference{{
		APIVersion: "leaderworkerset.x-k8s.io/v1", Kind: "LeaderWorkerSet", Name: "llama", UID: lws.UID,
		Controller: ptr.To(true), BlockOwnerDeletion: ptr.To(true),
	}}
	if diff := cmp.Diff(owners, created.OwnerReferences); diff != "" {
		t.Errorf("owners (-want +got):\n%s", diff)
	}
	if first := newRevision(t, lws); first.Revision != 1 {
		t.Errorf("the first revision has number %d, want 1", first.Revision)
	}
	if again := newRevision(t, lws); revision.Key(again) != key {
		t.Errorf("the same set gives keys %q and %q", key, revision.Key(again))
	}
}

func TestNewAvoidsTakenKeys(t *testing.T) {
	lws := readSet(t, "minimal.yaml")
	var taken []*appsv1.ControllerRevision
	var keys []string
	for range 5 {
		created := newRevision(t, lws, taken...)
		if slices.Contains(keys, revision.Key(created)) {
			t.Fatalf("key %q of another template is used again", revision.Key(created))
		}
		keys = append(keys, revision.Key(created))
		created.Data.Raw = []byte(`{"spec":{"leaderWorkerTemplate":{}}}`)
		taken = append(taken, created)
	}
}

func TestEquivalent(t *testing.T) {
	lws := readSet(t, "minimal.yaml")
	data := string(newRevision(t, lws).Data.Raw)
	other := strings.Replace(data, "serve:1", "serve:2", 1)
	for _, tc := range []struct {
		name  string
		owned []*appsv1.ControllerRevision
		want  string
	}{
		{"none", nil, ""},
		{"only another one", []*appsv1.ControllerRevision{stored("a", 1, other)}, ""},
		{"the newest of equal ones", []*appsv1.ControllerRevision{stored("a", 1, data), stored("b", 2, data)}, "b"},
		{"an earlier one, after a rollback", []*appsv1.ControllerRevision{stored("a", 1, data), stored("b", 2, other)}, "a"},
		{"one that can't be read", []*appsv1.ControllerRevision{stored("a", 1, data), stored("b", 2, `{`)}, "a"},
	} {
		got := ""
		if found := revision.Equivalent(lws, tc.owned); found != nil {
			got = revision.Key(found)
		}
		if got != tc.want {
			t.Errorf("%s: got %q, want %q", tc.name, got, tc.want)
		}
	}
}

func TestFindAndLatest(t *testing.T) {
	revisions := []*appsv1.ControllerRevision{stored("a", 7, ""), stored("b", 2, "")}
	if got := revision.Find(revisions, "b"); got != revisions[1] {
		t.Errorf("Find(b) is %v", got)
	}
	if got := revision.Find(revisions, "c"); got != nil {
		t.Errorf("Find(c) is %v, want none", got)
	}
	if got := revision.Latest(revisions); got != 7 {
		t.Errorf("Latest is %d, want 7", got)
	}
	if got := revision.Latest(nil); got != 0 {
		t.Errorf("Latest of none is %d, want 0", got)
	}
}

// TestSurplusOfOneKey prunes revisions of one key: a pass with a late view may create a revision once more.
func TestSurplusOfOneKey(t *testing.T) {
	newer, older := stored("a", 3, ""), stored("a", 2, "")
	all := func(string) bool { return true }
	got := revision.Surplus([]*appsv1.ControllerRevision{newer, stored("b", 1, ""), older}, all, 0)
	if len(got) != 1 || got[0] != older {
		t.Errorf("got %v, want the older one of two", got)
	}
}

func TestSurplus(t *testing.T) {
	owned := []*appsv1.ControllerRevision{
		stored("e", 5, ""), stored("a", 1, ""), stored("d", 4, ""), stored("b", 2, ""), stored("c", 3, ""),
	}
	for _, tc := range []struct {
		used  string
		limit int
		want  []string
	}{
		{"", 5, nil},
		{"", 9, nil},
		{"", 3, []string{"a", "b"}},
		{"ae", 2, []string{"b"}},
		{"ae", 0, []string{"b", "c", "d"}},
		{"abcde", 0, nil},
	} {
		inUse := func(key string) bool { return strings.Contains(tc.used, key) }
		var got []string
		for _, surplus := range revision.Surplus(owned, inUse, tc.limit) {
			got = append(got, revision.Key(surplus))
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%q in use, limit %d (-want +got):\n%s", tc.used, tc.limit, diff)
		}
	}
}
