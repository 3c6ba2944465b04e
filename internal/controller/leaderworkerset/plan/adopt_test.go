// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/revision"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/status"
	"github.com/leaderworkerset/lws-operator/internal/controller/write"
)

// next returns the set that is created after another one of its name was deleted with --cascade=orphan.
func next() *leaderworkersetv1.LeaderWorkerSet {
	lws := newSet()
	lws.UID = "next"
	return lws
}

// orphans returns the children of a deleted set, as the next set of its name observes them.
func orphans(t *testing.T, lws *leaderworkersetv1.LeaderWorkerSet) *world {
	t.Helper()
	observed := settled(t, lws)
	observed.LWS = next()
	observed.Groups = nil // Their leader StatefulSet belongs to no set.
	observed.Leaders.OwnerReferences, observed.Service.OwnerReferences = nil, nil
	for _, orphan := range observed.Revisions {
		orphan.OwnerReferences = nil
	}
	return observed
}

// controlledBy returns the reference to a controller that isn't the next set.
func controlledBy(kind, name string) []metav1.OwnerReference {
	owner := &metav1.ObjectMeta{Name: name, UID: "another"}
	return []metav1.OwnerReference{*metav1.NewControllerRef(owner, leaderworkersetv1.GroupVersion.WithKind(kind))}
}

func TestAdopt(t *testing.T) {
	const (
		patchRevision = "patch *v1.ControllerRevision"
		patchService  = "patch *v1.Service llama"
		patchLeaders  = "patch *v1.StatefulSet llama"
	)
	type set = world
	for _, tc := range []struct {
		name   string
		change func(*set)
		want   []string // in short: without the names of revisions
	}{
		{"everything", func(*set) {}, []string{patchRevision, patchService, patchLeaders}},
		{
			"everything, for another image", func(s *set) { setImage(s.LWS, "serve:2") },
			[]string{patchRevision, patchService, patchLeaders},
		},
		{"without leader StatefulSet", func(s *set) { s.Leaders = nil }, []string{patchRevision, patchService}},
		{
			"also a StatefulSet with an owner that doesn't control it",
			func(s *set) {
				s.Leaders.OwnerReferences = []metav1.OwnerReference{{Kind: "ConfigMap", Name: "x", UID: "x"}}
			},
			[]string{patchRevision, patchService, patchLeaders},
		},
		{
			"not the leader StatefulSet before its revision",
			func(s *set) { s.Revisions[0].OwnerReferences = controlledBy("LeaderWorkerSet", "llama") },
			[]string{patchService},
		},
		{
			"the leader StatefulSet without its revision, if that is deleted",
			func(s *set) { s.Revisions = nil },
			[]string{patchService, patchLeaders},
		},
		{
			"the leader StatefulSet without its revision, if that has another owner",
			func(s *set) { s.Revisions[0].OwnerReferences = controlledBy("Other", "x") },
			[]string{patchService, patchLeaders},
		},
		{
			"no revision that can't be read",
			func(s *set) { s.Revisions[0].Data.Raw = []byte(`{"spec":{"template":{}}}`) },
			[]string{patchService, patchLeaders},
		},
		{
			"no terminating revision",
			func(s *set) { s.Revisions[0].DeletionTimestamp = &now },
			[]string{patchService, patchLeaders},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			observed := orphans(t, newSet())
			tc.change(observed)
			planned := forSet(t, observed)
			var got []string
			for _, line := range described(planned.Writes) {
				if strings.HasPrefix(line, patchRevision) {
					line = patchRevision
				}
				got = append(got, line)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("writes (-want +got):\n%s", diff)
			}
			for _, write := range planned.Writes {
				checkAdoption(t, observed.LWS, write.Patch)
			}
		})
	}
}

// checkAdoption checks that a patch adds the owner and nothing else.
func checkAdoption(t *testing.T, lws *leaderworkersetv1.LeaderWorkerSet, patch *write.Patch) {
	t.Helper()
	want, isObject := patch.From.DeepCopyObject().(write.Object)
	if !isObject {
		t.Fatalf("the copy of %T isn't an object", patch.From)
	}
	want.SetOwnerReferences(append(want.GetOwnerReferences(),
		*metav1.NewControllerRef(lws, leaderworkersetv1.GroupVersion.WithKind("LeaderWorkerSet"))))
	if diff := cmp.Diff(want, patch.To); diff != "" {
		t.Errorf("%s (-want +got):\n%s", patch.To.GetName(), diff)
	}
}

// TestNoWritesAfterAdoption checks that, once all is adopted, no revision is created and no template changed.
func TestNoWritesAfterAdoption(t *testing.T) {
	observed := orphans(t, newSet())
	groups := settled(t, newSet()).Groups
	carryOut(observed, forSet(t, observed))
	observed.Groups = groups
	wantWrites(t, "once all is adopted", forSet(t, observed).Writes)
}

// TestAdoptionReportsOnlyObstacles refuses an adoption. The status reports that, and nothing about groups, which aren't
// the set's yet. The set is Progressing: tools must not take it for ready.
func TestAdoptionReportsOnlyObstacles(t *testing.T) {
	observed := orphans(t, newSet())
	observed.LWS.Status = leaderworkersetv1.LeaderWorkerSetStatus{}
	if got := forSet(t, observed); len(got.Status.Conditions) != 0 || len(got.StatusEvents) != 0 {
		t.Errorf("conditions %v and events %v before anything is known", got.Status.Conditions, got.StatusEvents)
	}
	observed.memory.Obstacles = []status.Obstacle{
		{Group: status.WholeSet, Reason: leaderworkersetv1.ReasonFailedUpdate, Message: "forbidden"},
	}
	got := forSet(t, observed)
	var holds []string
	for _, condition := range got.Status.Conditions {
		if condition.Status == metav1.ConditionTrue {
			holds = append(holds, condition.Type)
		}
	}
	want := []string{
		leaderworkersetv1.ConditionProgressing, leaderworkersetv1.ConditionReplicaFailure,
		leaderworkersetv1.ConditionReconciling,
	}
	if diff := cmp.Diff(want, holds); diff != "" {
		t.Errorf("conditions that are True (-want +got):\n%s", diff)
	}
	events := []string{leaderworkersetv1.ReasonGroupsProgressing, leaderworkersetv1.ReasonFailedUpdate}
	if diff := cmp.Diff(events, reasons(got)); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

// TestAdoptKeepsTheKey creates an equal revision before the revision of the groups is adopted.
func TestAdoptKeepsTheKey(t *testing.T) {
	observed := orphans(t, newSet())
	key := revision.Key(observed.Revisions[0])
	created, err := revision.New(observed.LWS, observed.Revisions)
	if err != nil {
		t.Fatal(err)
	}
	observed.Revisions = append(observed.Revisions, created)
	carryOut(observed, forSet(t, observed))
	carryOut(observed, forSet(t, observed))
	if got := observed.Leaders.Labels[leaderworkersetv1.RevisionLabelKey]; got != key {
		t.Errorf("revision is %q, want that of the groups, %q", got, key)
	}
	wantWrites(t, "after that", forSet(t, observed).Writes)
}

func TestNotAdopted(t *testing.T) {
	const (
		taken     = `StatefulSet "llama" exists and does not belong to this LeaderWorkerSet`
		different = taken + "; it has no owner, but can't be adopted: its "
		fixed     = " can't be made like this LeaderWorkerSet's"
	)
	type set = world
	for _, tc := range []struct {
		name   string
		change func(*set)
		want   string // the message of the condition; empty for none
	}{
		{"another owner", func(s *set) { s.Leaders.OwnerReferences = controlledBy("Other", "llama") }, taken},
		{"another set", func(s *set) { s.Leaders.OwnerReferences = controlledBy("LeaderWorkerSet", "mistral") }, taken},
		{"an earlier set", func(s *set) { s.Leaders.OwnerReferences = controlledBy("LeaderWorkerSet", "llama") }, ""},
		{"without the name", func(s *set) { delete(s.Leaders.Labels, leaderworkersetv1.SetNameLabelKey) }, taken},
		{"with another name", func(s *set) { s.Leaders.Labels[leaderworkersetv1.SetNameLabelKey] = "mistral" }, taken},
		{"terminating", func(s *set) { s.Leaders.DeletionTimestamp = &now }, ""},
		{
			"another selector", func(s *set) { s.Leaders.Spec.Selector.MatchLabels["app"] = "x" },
			different + "selector" + fixed,
		},
		{
			"several differences",
			func(s *set) {
				s.Leaders.Spec.ServiceName, s.Leaders.Spec.PodManagementPolicy = "x", appsv1.OrderedReadyPodManagement
				s.Leaders.Spec.Ordinals = &appsv1.StatefulSetOrdinals{Start: 1}
			},
			different + "serviceName, podManagementPolicy, ordinals" + fixed,
		},
		{
			"claims that the set doesn't ask for",
			func(s *set) { s.Leaders.Spec.VolumeClaimTemplates = claims("1Gi") },
			different + "volumeClaimTemplates" + fixed,
		},
		{
			"no claims, and the set asks for some",
			func(s *set) { s.LWS.Spec.LeaderWorkerTemplate.VolumeClaimTemplates = claims("1Gi") },
			different + "volumeClaimTemplates" + fixed,
		},
		{
			"other claims",
			func(s *set) {
				s.LWS.Spec.LeaderWorkerTemplate.VolumeClaimTemplates = claims("1Gi")
				s.Leaders.Spec.VolumeClaimTemplates = claims("2Gi")
			},
			different + "volumeClaimTemplates" + fixed,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			observed := orphans(t, newSet())
			leaders := observed.Leaders
			tc.change(observed)
			carryOut(observed, forSet(t, observed)) // The Service and the revision are adopted.
			carryOut(observed, forSet(t, observed)) // If the set asks for another one, it is created.
			planned := forSet(t, observed)
			wantWrites(t, "at rest", planned.Writes)
			got := ""
			condition := meta.FindStatusCondition(planned.Status.Conditions, leaderworkersetv1.ConditionReplicaFailure)
			if condition != nil {
				got = condition.Message
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("condition (-want +got):\n%s", diff)
			}
			if observed.Leaders != leaders {
				t.Error("the StatefulSet was changed")
			}
		})
	}
}

// TestAdoptComparesClaimsByMeaning fills in defaults as the API server does.
func TestAdoptComparesClaimsByMeaning(t *testing.T) {
	observed := orphans(t, newSet())
	observed.LWS.Spec.LeaderWorkerTemplate.VolumeClaimTemplates = claims("1Gi")
	stored := claims("1024Mi")
	stored[0].TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "PersistentVolumeClaim"}
	stored[0].Spec.VolumeMode = ptr.To(corev1.PersistentVolumeFilesystem)
	stored[0].Status.Phase = corev1.ClaimPending
	observed.Leaders.Spec.VolumeClaimTemplates = stored
	carryOut(observed, forSet(t, observed))
	if !metav1.IsControlledBy(observed.Leaders, observed.LWS) {
		t.Error("the leader StatefulSet isn't adopted")
	}
}

func claims(size string) []corev1.PersistentVolumeClaim {
	return []corev1.PersistentVolumeClaim{{
		ObjectMeta: metav1.ObjectMeta{Name: "data", Labels: map[string]string{"tier": "fast"}},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources: corev1.VolumeResourceRequirements{
				Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse(size)},
			},
		},
	}}
}

func TestServiceIsNotAdopted(t *testing.T) {
	for name, change := range map[string]func(*corev1.Service){
		"not headless":  func(s *corev1.Service) { s.Spec.ClusterIP = "10.0.0.1" },
		"of other pods": func(s *corev1.Service) { s.Spec.Selector = map[string]string{"app": "x"} },
		"of fewer pods": func(s *corev1.Service) { s.Spec.Selector["app"] = "x" },
	} {
		t.Run(name, func(t *testing.T) {
			observed := orphans(t, newSet())
			change(observed.Service)
			service := observed.Service
			carryOut(observed, forSet(t, observed))
			planned := forSet(t, observed)
			if observed.Service != service {
				t.Error("it was changed")
			}
			want := `Service "llama" exists and does not belong to this LeaderWorkerSet`
			condition := meta.FindStatusCondition(planned.Status.Conditions, leaderworkersetv1.ConditionReplicaFailure)
			if condition == nil || condition.Message != want {
				t.Errorf("got %+v, want %q", condition, want)
			}
		})
	}
}

// TestRevisionLabelIsRestored changes the revision label of the leader StatefulSet, without which all groups would look
// outdated. The pod template still has the label.
func TestRevisionLabelIsRestored(t *testing.T) {
	for name, change := range map[string]func(labels map[string]string){
		"removed": func(labels map[string]string) { delete(labels, leaderworkersetv1.RevisionLabelKey) },
		"changed": func(labels map[string]string) { labels[leaderworkersetv1.RevisionLabelKey] = "x" },
	} {
		t.Run(name, func(t *testing.T) {
			observed := settled(t, newSet())
			labels := maps.Clone(observed.Leaders.Labels)
			change(observed.Leaders.Labels)
			planned := forSet(t, observed)
			wantWrites(t, "without it", planned.Writes, "patch *v1.StatefulSet llama")
			if diff := cmp.Diff(labels, planned.Writes[0].Patch.To.GetLabels()); diff != "" {
				t.Errorf("labels (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(observed.LWS.Status, planned.Status); diff != "" || len(planned.StatusEvents) > 0 {
				t.Errorf("events %v, status (-want +got):\n%s", planned.StatusEvents, diff)
			}
			carryOut(observed, planned)
			observed.Leaders.Status.ObservedGeneration = observed.Leaders.Generation
			wantWrites(t, "after that", forSet(t, observed).Writes)
		})
	}
}
