// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/revision"
)

const exclusiveTopology, sharedTopology = leaderworkersetv1.ExclusiveKeyAnnotationKey,
	leaderworkersetv1.ShareTopologyAnnotationKey

// TestForSetRollsOutAPlacement checks that a change of an annotation for placement is a rolling update, and that the
// way back returns to the earlier revision.
func TestForSetRollsOutAPlacement(t *testing.T) {
	lws := newSet()
	lws.Spec.LeaderWorkerTemplate.RestartPolicy = leaderworkersetv1.NoneRestartPolicy // Then no record is written.
	observed := settled(t, lws)
	before := observed.Revisions[0].Name
	observed.LWS.Annotations = map[string]string{sharedTopology: "rack"}
	planned := forSet(t, observed)
	created := as[*appsv1.ControllerRevision](t, planned.Writes[0].Create)
	wantWrites(t, "the request", planned.Writes,
		"create *v1.ControllerRevision "+created.Name, "patch *v1.StatefulSet llama", "delete *v1.Pod llama-1")
	leaders := as[*appsv1.StatefulSet](t, planned.Writes[1].Patch.To)
	if got := leaders.Spec.Template.Annotations[sharedTopology]; got != "rack" {
		t.Errorf("the pod template asks for %q, want rack", got)
	}
	carryOut(observed, planned)
	settle(observed)

	observed.LWS.Annotations = nil
	planned = forSet(t, observed)
	wantWrites(t, "the withdrawal", planned.Writes,
		"patch *v1.ControllerRevision "+before, "patch *v1.StatefulSet llama", "delete *v1.Pod llama-1")
	leaders = as[*appsv1.StatefulSet](t, planned.Writes[1].Patch.To)
	if got, found := leaders.Spec.Template.Annotations[sharedTopology]; found {
		t.Errorf("the pod template asks for %q, want nothing", got)
	}
}

// TestForSetIgnoresOtherAnnotations checks that annotations that change no placement restart nothing.
func TestForSetIgnoresOtherAnnotations(t *testing.T) {
	lws := newSet()
	lws.Annotations = map[string]string{exclusiveTopology: "rack"}
	observed := settled(t, lws)
	observed.LWS.Annotations = map[string]string{
		exclusiveTopology: "rack", leaderworkersetv1.ExclusiveScopeAnnotationKey: leaderworkersetv1.ExclusiveScopeNamespace,
		sharedTopology: "", "example.com/note": "x",
	}
	wantWrites(t, "the annotations", forSet(t, observed).Writes, "patch *v1.StatefulSet llama")
}

// TestForSetRecordsThePlacement has revisions that don't say their placement. Earlier versions changed the placement
// within a revision. Nothing restarts.
func TestForSetRecordsThePlacement(t *testing.T) {
	for _, tc := range []struct{ what, leaders, template, set, recorded string }{
		{"none", "-", "-", "", `{}`},
		{"at creation", "rack", "rack", "rack", `{"leaderworkerset.sigs.k8s.io/exclusive-topology":"rack"}`},
		{"within the revision", "rack", "-", "rack", `{"leaderworkerset.sigs.k8s.io/exclusive-topology":"rack"}`},
		{"withdrawn within the revision", "", "rack", "", `{}`},
	} {
		observed := settled(t, newSet())
		set := func(annotations map[string]string, value string) {
			delete(annotations, exclusiveTopology)
			if value != "-" {
				annotations[exclusiveTopology] = value
			}
		}
		observed.Leaders = observed.Leaders.DeepCopy()
		set(observed.Leaders.Annotations, tc.leaders)
		set(observed.Leaders.Spec.Template.Annotations, tc.template)
		if tc.set != "" {
			observed.LWS.Annotations = map[string]string{exclusiveTopology: tc.set}
		}
		name := observed.Revisions[0].Name
		delete(observed.Revisions[0].Annotations, leaderworkersetv1.PlacementAnnotationKey)

		planned := forSet(t, observed)
		wantWrites(t, tc.what, planned.Writes, "patch *v1.ControllerRevision "+name)
		recorded := as[*appsv1.ControllerRevision](t, planned.Writes[0].Patch.To)
		if diff := cmp.Diff(tc.recorded, recorded.Annotations[leaderworkersetv1.PlacementAnnotationKey]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.what, diff)
		}
		observed.Revisions[0] = recorded
		wantWrites(t, tc.what+", then", forSet(t, observed).Writes)
	}
}

// TestForSetRollsAnUnrecordedPlacement changes the placement of a set whose revision doesn't say its own.
func TestForSetRollsAnUnrecordedPlacement(t *testing.T) {
	observed := settled(t, newSet())
	delete(observed.Revisions[0].Annotations, leaderworkersetv1.PlacementAnnotationKey)
	observed.LWS.Annotations = map[string]string{exclusiveTopology: "rack"}
	planned := forSet(t, observed)
	created := as[*appsv1.ControllerRevision](t, planned.Writes[1].Create)
	if revision.Key(created) == revision.Key(observed.Revisions[0]) {
		t.Error("the placement is that of the groups")
	}
	if recorded := as[*appsv1.ControllerRevision](t, planned.Writes[0].Patch.To); revision.PlacementOf(recorded) == nil {
		t.Error("the earlier revision doesn't say its placement")
	}
}
