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
	"k8s.io/utils/ptr"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/desired"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/revision"
	"github.com/leaderworkerset/lws-operator/internal/controller/write"
)

// othersKey is the key of a revision as another controller computes it.
const othersKey = "7f6c4d9b88"

// withoutRevision is a set that another controller made and whose revision was deleted: its groups are ready, its
// StatefulSets have the API server's defaults and another key.
func withoutRevision(t *testing.T, lws *leaderworkersetv1.LeaderWorkerSet) *world {
	t.Helper()
	lws.Spec.LeaderWorkerTemplate.LeaderTemplate = lws.Spec.LeaderWorkerTemplate.WorkerTemplate.DeepCopy()
	lws.Spec.LeaderWorkerTemplate.LeaderTemplate.Labels = map[string]string{"role": "leader"}
	observed := settled(t, lws)
	observed.Revisions, observed.memory.Leaders = nil, nil
	leaders := observed.Leaders
	leaders.Labels[leaderworkersetv1.RevisionLabelKey] = othersKey
	leaders.Spec.Template = asOthersWrite(&leaders.Spec.Template)
	for i, group := range observed.Groups {
		group.Leader.Labels = maps.Clone(group.Leader.Labels)
		group.Leader.Labels[leaderworkersetv1.RevisionLabelKey] = othersKey
		template := revision.TemplateOf(lws)
		of := desired.Group{Index: group.Index, Leader: group.Leader}
		workers := desired.WorkerStatefulSet(lws, &template, othersKey, of)
		workers.UID, workers.Status = group.Workers.UID, group.Workers.Status
		observed.Groups[i].Workers = workers
	}
	observed.LostWorkers = observed.Groups[1].Workers.DeepCopy()
	observed.LostWorkers.Spec.Template = asOthersWrite(&observed.LostWorkers.Spec.Template)
	return observed
}

// asOthersWrite returns a pod template in other words: with defaults, another key, and a selector for a node.
func asOthersWrite(template *corev1.PodTemplateSpec) corev1.PodTemplateSpec {
	written := *template.DeepCopy()
	written.Labels[leaderworkersetv1.RevisionLabelKey] = othersKey
	written.Labels[leaderworkersetv1.MetadataPrefix+"something-new"] = "x"
	delete(written.Annotations, leaderworkersetv1.SubGroupPolicyTypeAnnotationKey)
	if key := written.Annotations[leaderworkersetv1.ExclusiveKeyAnnotationKey]; key != "" {
		written.Spec.NodeSelector = map[string]string{key: "r1"}
	}
	written.Spec.RestartPolicy = corev1.RestartPolicyAlways
	written.Spec.Containers[0].ImagePullPolicy = corev1.PullIfNotPresent
	written.Spec.Containers[0].TerminationMessagePath = corev1.TerminationMessagePathDefault
	return written
}

// TestRestoreDeletedRevision checks that the revision of groups that are what the set asks for is created with their
// key, and that nothing restarts.
func TestRestoreDeletedRevision(t *testing.T) {
	withSubGroups := func(lws *leaderworkersetv1.LeaderWorkerSet) {
		lws.Spec.LeaderWorkerTemplate.SubGroupPolicy = &leaderworkersetv1.SubGroupPolicy{SubGroupSize: ptr.To[int32](1)}
		lws.Default()
	}
	for name, change := range map[string]func(*leaderworkersetv1.LeaderWorkerSet){
		"plain":     func(*leaderworkersetv1.LeaderWorkerSet) {},
		"subgroups": withSubGroups,
		"claims": func(lws *leaderworkersetv1.LeaderWorkerSet) {
			lws.Spec.LeaderWorkerTemplate.VolumeClaimTemplates = claims("1Gi")
		},
		"exclusive": func(lws *leaderworkersetv1.LeaderWorkerSet) {
			lws.Annotations = map[string]string{leaderworkersetv1.ExclusiveKeyAnnotationKey: "rack"}
		},
	} {
		t.Run(name, func(t *testing.T) {
			lws := newSet()
			change(lws)
			observed := withoutRevision(t, lws)
			planned := forSet(t, observed)
			if len(planned.Writes) == 0 {
				t.Fatal("nothing is written")
			}
			created := as[*appsv1.ControllerRevision](t, planned.Writes[0].Create)
			if got := revision.Key(created); got != othersKey || created.Name != "llama-"+othersKey+"-1" {
				t.Errorf("revision %s has the key %s, want %s", created.Name, got, othersKey)
			}
			if template, err := revision.Parse(created); err != nil || !template.Equal(revision.TemplateOf(lws)) {
				t.Errorf("the revision isn't what the set asks for: %v", err)
			}
			wantUntouched(t, planned.Writes)
			carryOut(observed, planned)
			wantUntouched(t, forSet(t, observed).Writes)
		})
	}
}

// TestRestoreOnlyWhatIsAskedFor checks that groups are updated as ever if a StatefulSet shows that they aren't what the
// set asks for.
func TestRestoreOnlyWhatIsAskedFor(t *testing.T) {
	for name, change := range map[string]func(*world){
		"other leaders": func(w *world) { w.Leaders.Spec.Template.Spec.Containers[0].Image = "serve:0" },
		"other labels":  func(w *world) { w.Leaders.Spec.Template.Labels["role"] = "x" },
		"another size": func(w *world) {
			w.Leaders.Spec.Template.Annotations[leaderworkersetv1.SizeAnnotationKey] = "3"
		},
		"another subdomain": func(w *world) {
			key := leaderworkersetv1.SubdomainPolicyAnnotationKey
			w.Leaders.Spec.Template.Annotations[key] = string(leaderworkersetv1.SubdomainUniquePerReplica)
		},
		"another placement": func(w *world) {
			w.Leaders.Spec.Template.Annotations[leaderworkersetv1.ExclusiveKeyAnnotationKey] = "rack"
		},
		"other claims":  func(w *world) { w.Leaders.Spec.VolumeClaimTemplates = claims("1Gi") },
		"other workers": func(w *world) { w.LostWorkers.Spec.Template.Spec.Containers[0].Image = "serve:0" },
		"more workers":  func(w *world) { w.LostWorkers.Spec.Replicas = ptr.To[int32](7) },
		"a revision of that key that means something else": func(w *world) {
			other := newSet()
			setImage(other, "serve:0")
			created, err := revision.Restored(other, nil, othersKey)
			if err != nil {
				panic(err)
			}
			w.Revisions = append(w.Revisions, created)
		},
	} {
		t.Run(name, func(t *testing.T) {
			observed := withoutRevision(t, newSet())
			change(observed)
			planned := forSet(t, observed)
			created := as[*appsv1.ControllerRevision](t, planned.Writes[0].Create)
			if got := revision.Key(created); got == othersKey {
				t.Error("the revision has the key of groups that are something else")
			}
		})
	}
}

// TestRestoreWithoutWorkers checks that the leader StatefulSet is enough where no worker shows anything else.
func TestRestoreWithoutWorkers(t *testing.T) {
	observed := withoutRevision(t, newSet())
	observed.LostWorkers = nil
	created := as[*appsv1.ControllerRevision](t, forSet(t, observed).Writes[0].Create)
	if got := revision.Key(created); got != othersKey {
		t.Errorf("the key is %s, want %s", got, othersKey)
	}
}

// wantUntouched checks that no pod is deleted and no StatefulSet gets another template or key.
func wantUntouched(t *testing.T, writes []write.Write) {
	t.Helper()
	for i := range writes {
		line := described(writes[i : i+1])[0]
		if strings.HasPrefix(line, "delete") {
			t.Error(line)
		}
		if writes[i].Patch == nil {
			continue
		}
		from, isStatefulSet := writes[i].Patch.From.(*appsv1.StatefulSet)
		to, _ := writes[i].Patch.To.(*appsv1.StatefulSet)
		if isStatefulSet && (!cmp.Equal(from.Spec, to.Spec) || from.Labels[leaderworkersetv1.RevisionLabelKey] != othersKey) {
			t.Errorf("%s: %s", line, cmp.Diff(from, to))
		}
	}
}
