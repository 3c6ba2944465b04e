// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"gomodules.xyz/jsonpatch/v2"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

func TestUpdatePlacement(t *testing.T) {
	const key = leaderworkersetv1.ExclusiveKeyAnnotationKey
	const path = "/metadata/annotations/leaderworkerset.sigs.k8s.io~1exclusive-topology"
	for _, tc := range []struct {
		what            string
		leaders, leader map[string]string
		want            map[string]string
		patch           []jsonpatch.Operation
	}{
		{
			"requested later", map[string]string{key: "rack"}, map[string]string{"size": "2"},
			map[string]string{"size": "2", key: "rack"}, []jsonpatch.Operation{{Operation: "add", Path: path, Value: "rack"}},
		},
		{
			"another label", map[string]string{key: "zone"}, map[string]string{key: "rack"},
			map[string]string{key: "zone"}, []jsonpatch.Operation{{Operation: "add", Path: path, Value: "zone"}},
		},
		{
			"as in the template", map[string]string{key: "rack"}, map[string]string{key: "rack"},
			map[string]string{key: "rack"}, nil,
		},
		{
			"withdrawn", map[string]string{key: ""}, map[string]string{key: "rack"},
			map[string]string{}, []jsonpatch.Operation{{Operation: "remove", Path: path}},
		},
		{"withdrawn before", map[string]string{key: ""}, map[string]string{}, map[string]string{}, nil},
		{
			"another controller's StatefulSet doesn't say", nil, map[string]string{key: "rack"},
			map[string]string{key: "rack"}, nil,
		},
		{"a leader without annotations is malformed", map[string]string{key: "rack"}, nil, nil, nil},
	} {
		leaders := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{UID: "leaders", Annotations: tc.leaders}}
		owner := metav1.OwnerReference{UID: "leaders", Controller: ptr.To(true)}
		leader := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
			Annotations: tc.leader, OwnerReferences: []metav1.OwnerReference{owner},
		}}
		if diff := cmp.Diff(tc.patch, UpdatePlacement(leader, leaders)); diff != "" {
			t.Errorf("%s: patch (-want +got):\n%s", tc.what, diff)
		}
		if diff := cmp.Diff(tc.want, leader.Annotations); diff != "" {
			t.Errorf("%s: annotations (-want +got):\n%s", tc.what, diff)
		}
	}
	earlier := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Annotations: map[string]string{key: "rack"}, Labels: map[string]string{leaderworkersetv1.RevisionLabelKey: "1"},
		OwnerReferences: []metav1.OwnerReference{{UID: "leaders", Controller: ptr.To(true)}},
	}}
	next := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{
		UID: "leaders", Annotations: map[string]string{key: ""},
		Labels: map[string]string{leaderworkersetv1.RevisionLabelKey: "2"},
	}}
	if UpdatePlacement(earlier, next) != nil {
		t.Error("a leader of an earlier revision gets the placement of the next one")
	}
	stranger := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{}}}
	leaders := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{key: "rack"}}}
	if UpdatePlacement(stranger, leaders) != nil || UpdatePlacement(stranger, nil) != nil {
		t.Error("the placement of a pod of another StatefulSet, or of none, is changed")
	}
}

// TestPlacementOf reads the placement from StatefulSets of this version, of earlier ones, and of other controllers.
func TestPlacementOf(t *testing.T) {
	const key, share = leaderworkersetv1.ExclusiveKeyAnnotationKey, leaderworkersetv1.ShareTopologyAnnotationKey
	type annotations = map[string]string
	for what, tc := range map[string]struct{ leaders, template, want annotations }{
		"none":                         {nil, nil, annotations{}},
		"the template has it":          {annotations{key: "rack"}, annotations{key: "rack"}, annotations{key: "rack"}},
		"only the template has it":     {nil, annotations{key: "rack", "size": "2"}, annotations{key: "rack"}},
		"requested within a revision":  {annotations{key: "rack"}, nil, annotations{key: "rack"}},
		"withdrawn within a revision":  {annotations{key: ""}, annotations{key: "rack"}, annotations{}},
		"withdrawn by a new revision":  {annotations{share: ""}, nil, annotations{}},
		"edited by others, not rolled": {annotations{share: "rack"}, annotations{share: "zone"}, annotations{share: "zone"}},
	} {
		leaders := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Annotations: tc.leaders}}
		leaders.Spec.Template.Annotations = tc.template
		if diff := cmp.Diff(tc.want, PlacementOf(leaders)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
}

func TestAdjustLeaders(t *testing.T) {
	const key = leaderworkersetv1.ExclusiveKeyAnnotationKey
	type annotations = map[string]string
	for _, tc := range []struct {
		what                             string
		existing, existingTemplate       annotations
		wanted, wantedTemplate           annotations
		newRevision                      bool
		wantAnnotations, wantPodTemplate annotations
	}{
		{
			what: "requested within the revision", wanted: annotations{key: "rack"}, wantedTemplate: annotations{key: "rack"},
			wantAnnotations: annotations{key: "rack"},
		},
		{
			what:            "withdrawn within the revision",
			existing:        annotations{key: "rack"},
			wantAnnotations: annotations{key: ""},
		},
		{
			what: "withdrawn, only the template has it", existingTemplate: annotations{key: "rack"},
			wantAnnotations: annotations{key: ""}, wantPodTemplate: annotations{key: "rack"},
		},
		{
			what:     "withdrawn with a new revision",
			existing: annotations{key: "rack"}, existingTemplate: annotations{key: "rack"},
			newRevision: true, wantAnnotations: annotations{key: ""},
		},
		{what: "never requested"},
		{what: "kubectl rollout restart", existingTemplate: annotations{restartedAt: "now"}, wantPodTemplate: annotations{}},
		{
			what:             "kubectl rollout restart of a template that has the annotation",
			existingTemplate: annotations{restartedAt: "now"},
			wantedTemplate:   annotations{restartedAt: "before"}, wantPodTemplate: annotations{restartedAt: "before"},
		},
		{
			what: "the template has the annotation", existingTemplate: annotations{restartedAt: "before"},
			wantedTemplate: annotations{restartedAt: "before"}, wantPodTemplate: annotations{restartedAt: "before"},
		},
		{
			what: "other words of another version", existingTemplate: annotations{"example.com/note": "x"},
			wantedTemplate: annotations{"size": "2"}, wantPodTemplate: annotations{"example.com/note": "x"},
		},
	} {
		existing, wanted := &appsv1.StatefulSet{}, &appsv1.StatefulSet{}
		existing.Annotations, existing.Spec.Template.Annotations = tc.existing, tc.existingTemplate
		wanted.Annotations, wanted.Spec.Template.Annotations = tc.wanted, tc.wantedTemplate
		before := existing.DeepCopy()
		adjusted := AdjustLeaders(existing, wanted, tc.newRevision)
		if diff := cmp.Diff(tc.wantAnnotations, adjusted.Annotations); diff != "" {
			t.Errorf("%s: annotations (-want +got):\n%s", tc.what, diff)
		}
		if diff := cmp.Diff(tc.wantPodTemplate, adjusted.Spec.Template.Annotations); diff != "" {
			t.Errorf("%s: template (-want +got):\n%s", tc.what, diff)
		}
		if diff := cmp.Diff(before, existing); diff != "" {
			t.Errorf("%s: the StatefulSet was changed in place (-before +after):\n%s", tc.what, diff)
		}
	}
}
