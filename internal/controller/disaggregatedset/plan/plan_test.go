// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	disaggregatedsetv1 "github.com/leaderworkerset/lws-operator/api/disaggregatedset/v1"
	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/disaggregatedset/plan"
	"github.com/leaderworkerset/lws-operator/internal/controller/disaggregatedset/snapshot"
	"github.com/leaderworkerset/lws-operator/internal/controller/disaggregatedset/status"
	"github.com/leaderworkerset/lws-operator/internal/controller/write"
)

var now = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

// world is a set with its objects, as an API server would store them. Groups are ready at once.
type world struct {
	t        *testing.T
	set      *disaggregatedsetv1.DisaggregatedSet
	children map[string]*leaderworkersetv1.LeaderWorkerSet
	scalers  map[string]*disaggregatedsetv1.DisaggregatedSetRoleScaler
	services []*corev1.Service
	created  int
}

func newWorld(t *testing.T, roles ...disaggregatedsetv1.DisaggregatedRoleSpec) *world {
	t.Helper()
	set := &disaggregatedsetv1.DisaggregatedSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ml", Name: "llama", UID: "1", Generation: 1},
		Spec:       disaggregatedsetv1.DisaggregatedSetSpec{Roles: roles},
	}
	set.Default()
	return &world{
		t: t, set: set, children: map[string]*leaderworkersetv1.LeaderWorkerSet{},
		scalers: map[string]*disaggregatedsetv1.DisaggregatedSetRoleScaler{},
	}
}

func role(name string, replicas int32) disaggregatedsetv1.DisaggregatedRoleSpec {
	template := leaderworkersetv1.LeaderWorkerTemplate{WorkerTemplate: corev1.PodTemplateSpec{
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "serve:1"}}},
	}}
	return disaggregatedsetv1.DisaggregatedRoleSpec{Name: name, Spec: leaderworkersetv1.LeaderWorkerSetSpec{
		Replicas: ptr.To(replicas), LeaderWorkerTemplate: template,
	}}
}

func (w *world) edit(change func(*disaggregatedsetv1.DisaggregatedSetSpec)) {
	change(&w.set.Spec)
	w.set.Default()
	w.set.Generation++
}

func (w *world) setImage(image string) {
	w.edit(func(s *disaggregatedsetv1.DisaggregatedSetSpec) {
		for i := range s.Roles {
			s.Roles[i].Spec.LeaderWorkerTemplate.WorkerTemplate.Spec.Containers[0].Image = image
		}
	})
}

// pass plans and applies one pass.
func (w *world) pass() plan.Set {
	w.t.Helper()
	all := []*leaderworkersetv1.LeaderWorkerSet{}
	for _, child := range w.children {
		all = append(all, child)
	}
	planned, err := plan.ForSet(&snapshot.Set{
		DSet: w.set, Children: snapshot.Owned(w.set, all), Scalers: w.scalers, Services: w.services,
	}, &plan.Memory{Current: true}, now)
	if err != nil {
		w.t.Fatal(err)
	}
	for i := range planned.Writes {
		w.apply(&planned.Writes[i])
	}
	for _, scaler := range planned.Scalers {
		w.scalers[scaler.Updated.Labels[disaggregatedsetv1.RoleLabelKey]] = scaler.Updated
	}
	w.set.Status = planned.Status
	return planned
}

func (w *world) apply(planned *write.Write) {
	w.created++
	switch object := planned.Create.(type) {
	case *leaderworkersetv1.LeaderWorkerSet:
		object.UID, object.Generation = types.UID(object.Name), 1
		object.CreationTimestamp = metav1.NewTime(now.Add(time.Duration(w.created) * time.Second))
		w.children[object.Name] = object
		ready(object)
	case *disaggregatedsetv1.DisaggregatedSetRoleScaler:
		w.scalers[object.Labels[disaggregatedsetv1.RoleLabelKey]] = object
	}
	if planned.Patch != nil {
		child, ok := planned.Patch.To.(*leaderworkersetv1.LeaderWorkerSet)
		if !ok {
			w.t.Fatalf("patch of %T", planned.Patch.To)
		}
		child.Generation++
		w.children[child.Name] = child
		ready(child)
	}
	for _, object := range planned.Delete {
		delete(w.children, object.GetName())
		delete(w.scalers, object.GetLabels()[disaggregatedsetv1.RoleLabelKey])
		w.services = slices.DeleteFunc(w.services, func(s *corev1.Service) bool { return s.Name == object.GetName() })
	}
}

// ready makes all groups of a LeaderWorkerSet ready.
func ready(child *leaderworkersetv1.LeaderWorkerSet) {
	child.Status.ObservedGeneration = child.Generation
	child.Status.Replicas, child.Status.ReadyReplicas = *child.Spec.Replicas, *child.Spec.Replicas
}

// settle makes passes until one has nothing to write, and returns the reasons of all events.
func (w *world) settle() []string {
	w.t.Helper()
	var reasons []string
	for range 50 {
		planned := w.pass()
		for _, event := range slices.Concat(planned.WriteEvents, planned.StatusEvents) {
			reasons = append(reasons, event.Reason)
		}
		if len(planned.Writes)+len(planned.Scalers) == 0 {
			return reasons
		}
	}
	w.t.Fatal("the passes have no end")
	return nil
}

// names returns the children, each with its replicas and baseline.
func (w *world) names() []string {
	var names []string
	for name, child := range w.children {
		names = append(names, fmt.Sprintf("%s: %d of %s", strings.ReplaceAll(name, w.set.Status.UpdateRevision, "R"),
			*child.Spec.Replicas, child.Annotations[disaggregatedsetv1.InitialReplicasAnnotationKey]))
	}
	slices.Sort(names)
	return names
}

func (w *world) expect(want ...string) {
	w.t.Helper()
	if diff := cmp.Diff(want, w.names()); diff != "" {
		w.t.Errorf("children (-want +got):\n%s", diff)
	}
}

func TestCreate(t *testing.T) {
	t.Parallel()
	w := newWorld(t, role("prefill", 2), role("decode", 1))
	w.settle()
	w.expect("llama-0-R-decode: 1 of 1", "llama-0-R-prefill: 2 of 2")
	if w.set.Status.Summary != "prefill 2/2, decode 1/1" {
		t.Errorf("summary %s", w.set.Status.Summary)
	}
	if planned := w.pass(); len(planned.Writes)+len(planned.WriteEvents)+len(planned.StatusEvents) > 0 {
		t.Errorf("a pass at rest does %+v", planned)
	}
	for _, c := range w.set.Status.Conditions {
		if c.Type == disaggregatedsetv1.ConditionUpdateInProgress && c.Status != metav1.ConditionFalse {
			t.Error("a new set updates")
		}
	}
}

func TestScaleAndSlices(t *testing.T) {
	t.Parallel()
	w := newWorld(t, role("prefill", 2), role("decode", 1))
	w.settle()
	w.edit(func(s *disaggregatedsetv1.DisaggregatedSetSpec) {
		s.Slices, s.Roles[1].Spec.Replicas = ptr.To[int32](2), ptr.To[int32](3)
	})
	events := w.settle()
	w.expect("llama-0-R-decode: 3 of 3", "llama-0-R-prefill: 2 of 2",
		"llama-1-R-decode: 3 of 3", "llama-1-R-prefill: 2 of 2")
	if !slices.Contains(events, disaggregatedsetv1.ReasonScalingUp) {
		t.Errorf("events %v", events)
	}
	w.edit(func(s *disaggregatedsetv1.DisaggregatedSetSpec) { s.Slices = ptr.To[int32](1) })
	events = w.settle()
	w.expect("llama-0-R-decode: 3 of 3", "llama-0-R-prefill: 2 of 2")
	if !slices.Contains(events, disaggregatedsetv1.ReasonLWSDeleted) {
		t.Errorf("events %v", events)
	}
}

func TestRollout(t *testing.T) {
	t.Parallel()
	w := newWorld(t, role("prefill", 3), role("decode", 2))
	w.settle()
	first := w.set.Status.UpdateRevision
	w.setImage("serve:2")
	events := w.settle()
	w.expect("llama-0-R-decode: 2 of 2", "llama-0-R-prefill: 3 of 3")
	if w.set.Status.UpdateRevision == first {
		t.Error("another image is no other revision")
	}
	for _, reason := range []string{
		disaggregatedsetv1.ReasonRollingUpdateStarted, disaggregatedsetv1.ReasonRollingUpdateCompleted,
	} {
		if !slices.Contains(events, reason) {
			t.Errorf("no event %s in %v", reason, events)
		}
	}
}

// TestPoliciesReachOldChildren changes a policy while a rollout is under way: the old children take it on at once, and
// keep their pods.
func TestPoliciesReachOldChildren(t *testing.T) {
	t.Parallel()
	w := newWorld(t, role("prefill", 3), role("decode", 2))
	w.settle()
	first := w.set.Status.UpdateRevision
	w.setImage("serve:2")
	w.pass()
	w.edit(func(s *disaggregatedsetv1.DisaggregatedSetSpec) {
		s.Roles[0].Spec.LeaderWorkerTemplate.RestartPolicy = leaderworkersetv1.NoneRestartPolicy
		s.Roles[0].Metadata.Labels = map[string]string{"team": "a"}
	})
	w.pass()
	old := w.children["llama-0-"+first+"-prefill"]
	if old == nil || old.Spec.LeaderWorkerTemplate.RestartPolicy != leaderworkersetv1.NoneRestartPolicy ||
		old.Labels["team"] != "a" {
		t.Fatalf("the old child is %+v", old)
	}
	if image := old.Spec.LeaderWorkerTemplate.WorkerTemplate.Spec.Containers[0].Image; image != "serve:1" {
		t.Errorf("the old child has image %s", image)
	}
	if old.Annotations[disaggregatedsetv1.InitialReplicasAnnotationKey] != "3" {
		t.Errorf("the baseline is %v", old.Annotations)
	}
}

// TestAdopt takes over children of other controllers: with other names, and without slice and baseline.
func TestAdopt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, role("prefill", 2), role("decode", 1))
	w.settle()
	key := w.set.Status.UpdateRevision
	for _, name := range []string{"prefill", "decode"} {
		child := w.children["llama-0-"+key+"-"+name]
		delete(w.children, child.Name)
		child.Name = "llama-0a1b2c3d-" + name
		child.Labels[disaggregatedsetv1.RevisionLabelKey] = "0a1b2c3d"
		delete(child.Labels, disaggregatedsetv1.SliceLabelKey)
		delete(child.Annotations, disaggregatedsetv1.InitialReplicasAnnotationKey)
		w.children[child.Name] = child
	}
	w.services = []*corev1.Service{{ObjectMeta: metav1.ObjectMeta{Name: "llama-0a1b2c3d-prefill-prv"}}}
	w.settle()
	w.expect("llama-R-decode: 1 of 1", "llama-R-prefill: 2 of 2")
	if len(w.services) > 0 {
		t.Error("the Service of another controller stays")
	}
	if slice := w.children["llama-0a1b2c3d-decode"].Labels[disaggregatedsetv1.SliceLabelKey]; slice != "0" {
		t.Errorf("slice %q", slice)
	}
}

// TestForeign leaves alone what belongs to an earlier set of the same name.
func TestForeign(t *testing.T) {
	t.Parallel()
	w := newWorld(t, role("prefill", 2), role("decode", 1))
	w.settle()
	w.set.UID = "2"
	if planned := w.pass(); len(planned.Writes) != 2 || planned.Writes[0].Create == nil {
		t.Errorf("writes %+v", planned.Writes)
	}
}

func TestScaler(t *testing.T) {
	t.Parallel()
	w := newWorld(t, role("prefill", 2), role("decode", 4))
	w.settle()
	external := func(mode disaggregatedsetv1.ScalingMode) {
		w.edit(func(s *disaggregatedsetv1.DisaggregatedSetSpec) { s.Roles[1].Scaling.Mode = mode })
	}
	external(disaggregatedsetv1.ExternalScaling)
	w.settle()
	if got := w.scalers["decode"]; got == nil || got.Spec.Replicas != 4 || got.Status.Replicas != 4 {
		t.Fatalf("scaler %+v", got)
	}
	w.scalers["decode"].Spec.Replicas = 6
	w.settle()
	w.expect("llama-0-R-decode: 6 of 6", "llama-0-R-prefill: 2 of 2")
	want := "disaggregatedset.x-k8s.io/name=llama,disaggregatedset.x-k8s.io/role=decode," +
		"leaderworkerset.sigs.k8s.io/worker-index=0"
	if got := w.scalers["decode"].Status.Selector; got != want {
		t.Errorf("selector %s", got)
	}
	external(disaggregatedsetv1.StaticScaling)
	events := w.settle()
	w.expect("llama-0-R-decode: 4 of 4", "llama-0-R-prefill: 2 of 2")
	if len(w.scalers) > 0 || !slices.Contains(events, disaggregatedsetv1.ReasonScalerDeleted) {
		t.Errorf("scalers %v, events %v", w.scalers, events)
	}
}

// TestObstacle reports what was in the way of the last pass.
func TestObstacle(t *testing.T) {
	t.Parallel()
	w := newWorld(t, role("prefill", 1), role("decode", 1))
	planned, err := plan.ForSet(&snapshot.Set{DSet: w.set}, &plan.Memory{Obstacle: &status.Obstacle{
		Reason: disaggregatedsetv1.ReasonScalerConflict, Message: "taken",
	}}, now)
	if err != nil {
		t.Fatal(err)
	}
	if planned.RequeueAfter != 5*time.Minute {
		t.Errorf("requeue after %s", planned.RequeueAfter)
	}
	i := slices.IndexFunc(planned.StatusEvents, func(e write.Event) bool {
		return e.Reason == disaggregatedsetv1.ReasonScalerConflict && e.Type == corev1.EventTypeWarning
	})
	if i < 0 {
		t.Errorf("events %+v", planned.StatusEvents)
	}
}
