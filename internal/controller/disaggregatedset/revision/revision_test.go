// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package revision_test

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	disaggregatedsetv1 "github.com/leaderworkerset/lws-operator/api/disaggregatedset/v1"
	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/disaggregatedset/desired"
	"github.com/leaderworkerset/lws-operator/internal/controller/disaggregatedset/revision"
	"github.com/leaderworkerset/lws-operator/internal/controller/disaggregatedset/snapshot"
)

func newSet() *disaggregatedsetv1.DisaggregatedSet {
	set := &disaggregatedsetv1.DisaggregatedSet{ObjectMeta: metav1.ObjectMeta{Name: "llama", UID: "1"}}
	for _, name := range []string{"prefill", "decode"} {
		set.Spec.Roles = append(set.Spec.Roles, disaggregatedsetv1.DisaggregatedRoleSpec{
			Name: name,
			Spec: leaderworkersetv1.LeaderWorkerSetSpec{LeaderWorkerTemplate: leaderworkersetv1.LeaderWorkerTemplate{
				WorkerTemplate: corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{
					Name: "main", Image: "serve:1", Resources: corev1.ResourceRequirements{
						Requests: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("1Gi")},
					},
				}}}},
			}},
		})
	}
	set.Default()
	return set
}

// current returns the revision of a set whose children were created from another one.
func current(t *testing.T, created, set *disaggregatedsetv1.DisaggregatedSet, key string) string {
	t.Helper()
	var children []*leaderworkersetv1.LeaderWorkerSet
	for i := range created.Spec.Roles {
		at := desired.Position{Revision: key, Role: &created.Spec.Roles[i]}
		child := desired.Child(created, at, 1, 1)
		child.Default()
		children = append(children, child)
	}
	got, err := revision.Current(&snapshot.Set{DSet: set, Children: snapshot.Owned(set, children)})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// TestKeeps lists changes that roll nothing out: the revision keeps its key, whoever made it.
func TestKeeps(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*disaggregatedsetv1.DisaggregatedSet){
		"nothing":  func(*disaggregatedsetv1.DisaggregatedSet) {},
		"order":    func(s *disaggregatedsetv1.DisaggregatedSet) { slices.Reverse(s.Spec.Roles) },
		"slices":   func(s *disaggregatedsetv1.DisaggregatedSet) { s.Spec.Slices = ptr.To[int32](3) },
		"replicas": func(s *disaggregatedsetv1.DisaggregatedSet) { s.Spec.Roles[0].Spec.Replicas = ptr.To[int32](7) },
		"scaling": func(s *disaggregatedsetv1.DisaggregatedSet) {
			s.Spec.Roles[0].Scaling.Mode = disaggregatedsetv1.ExternalScaling
		},
		"metadata": func(s *disaggregatedsetv1.DisaggregatedSet) {
			s.Spec.Roles[0].Metadata.Labels = map[string]string{"a": "b"}
		},
		"restarts": func(s *disaggregatedsetv1.DisaggregatedSet) {
			template := &s.Spec.Roles[0].Spec.LeaderWorkerTemplate
			template.MaxGroupRestarts, template.RestartPolicy = ptr.To[int32](1), leaderworkersetv1.NoneRestartPolicy
		},
		"placement": func(s *disaggregatedsetv1.DisaggregatedSet) {
			s.Spec.PlacementPolicy = &disaggregatedsetv1.PlacementPolicy{
				Type: disaggregatedsetv1.ExclusiveTopologyPlacement, Topology: "rack",
			}
		},
		"other words": func(s *disaggregatedsetv1.DisaggregatedSet) {
			container := &s.Spec.Roles[0].Spec.LeaderWorkerTemplate.WorkerTemplate.Spec.Containers[0]
			container.Resources.Requests[corev1.ResourceMemory] = resource.MustParse("1024Mi")
			container.ImagePullPolicy = corev1.PullIfNotPresent
		},
	} {
		set := newSet()
		change(set)
		if got := current(t, newSet(), set, "0a1b2c3d"); got != "0a1b2c3d" {
			t.Errorf("%s: the revision becomes %s", name, got)
		}
		if got := current(t, set, newSet(), "0a1b2c3d"); got != "0a1b2c3d" {
			t.Errorf("%s, back: the revision becomes %s", name, got)
		}
	}
}

// TestChanges lists what makes a new revision, also if the hash of the templates is the same.
func TestChanges(t *testing.T) {
	t.Parallel()
	hash, err := revision.Hash(newSet().Spec.Roles, 0)
	if err != nil || len(hash) != 8 {
		t.Fatalf("hash %q, error %v", hash, err)
	}
	for name, change := range map[string]func(*disaggregatedsetv1.DisaggregatedRoleSpec){
		"image": func(r *disaggregatedsetv1.DisaggregatedRoleSpec) {
			r.Spec.LeaderWorkerTemplate.WorkerTemplate.Spec.Containers[0].Image = "serve:2"
		},
		"name": func(r *disaggregatedsetv1.DisaggregatedRoleSpec) { r.Name = "encode" },
		"size": func(r *disaggregatedsetv1.DisaggregatedRoleSpec) { r.Spec.LeaderWorkerTemplate.Size = ptr.To[int32](4) },
		"startup": func(r *disaggregatedsetv1.DisaggregatedRoleSpec) {
			r.Spec.StartupPolicy = leaderworkersetv1.LeaderReadyStartupPolicy
		},
		"network": func(r *disaggregatedsetv1.DisaggregatedRoleSpec) {
			r.Spec.NetworkConfig.SubdomainPolicy = ptr.To(leaderworkersetv1.SubdomainUniquePerReplica)
		},
		"claims": func(r *disaggregatedsetv1.DisaggregatedRoleSpec) {
			r.Spec.LeaderWorkerTemplate.VolumeClaimTemplates = []corev1.PersistentVolumeClaim{{}}
		},
	} {
		set := newSet()
		change(&set.Spec.Roles[0])
		if got := current(t, newSet(), set, hash); got == hash || len(got) != 8 {
			t.Errorf("%s: the revision is %s, as before", name, got)
		}
	}
	removed, added := newSet(), newSet()
	removed.Spec.Roles = removed.Spec.Roles[:1]
	if current(t, added, removed, hash) == hash || current(t, removed, added, "0a1b2c3d") == "0a1b2c3d" {
		t.Error("a role that is removed or added makes no new revision")
	}
}

// TestHash leaves maxGroupRestarts out, and tells revisions of one hash apart.
func TestHash(t *testing.T) {
	t.Parallel()
	roles := newSet().Spec.Roles
	one, err := revision.Hash(roles, 0)
	if err != nil {
		t.Fatal(err)
	}
	roles[0].Spec.LeaderWorkerTemplate.MaxGroupRestarts = ptr.To[int32](3)
	if two, _ := revision.Hash(roles, 0); two != one {
		t.Errorf("maxGroupRestarts changes the hash from %s to %s", one, two)
	}
	if three, _ := revision.Hash(roles, 1); three == one {
		t.Error("a second attempt has the same hash")
	}
}
