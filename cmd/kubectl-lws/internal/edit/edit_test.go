// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package edit

import (
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/cmd/kubectl-lws/internal/fixture"
	"github.com/leaderworkerset/lws-operator/cmd/kubectl-lws/internal/view"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/revision"
)

// seen begins every patch: it holds for the generation that the user saw.
const seen = `[{"op":"test","path":"/metadata/generation","value":7},`

// TestPatches writes out what the plugin sends.
func TestPatches(t *testing.T) {
	t.Parallel()
	plain := fixture.Set("llama", 2, 2).LWS
	both := fixture.Set("llama", 2, 2).LWS
	both.Spec.LeaderWorkerTemplate.LeaderTemplate = both.Spec.LeaderWorkerTemplate.WorkerTemplate.DeepCopy()
	both.Spec.LeaderWorkerTemplate.LeaderTemplate.Annotations = map[string]string{"a": "b", restartedAt: "before"}
	stored := func(spec string) *appsv1.ControllerRevision {
		return &appsv1.ControllerRevision{Data: runtime.RawExtension{Raw: []byte(`{"spec":` + spec + `}`)}}
	}
	must := func(patch []byte, err error) string {
		if err != nil {
			t.Fatal(err)
		}
		return string(patch)
	}
	const stamp = `{"kubectl.kubernetes.io/restartedAt":"2026-03-01T13:00:00Z"}`
	for name, test := range map[string]struct{ got, want string }{
		"restart": {must(Restart(plain, fixture.Now)), seen +
			`{"op":"add","path":"/spec/leaderWorkerTemplate/workerTemplate/metadata","value":{"annotations":` + stamp + `}}]`},
		"restart of both templates": {must(Restart(both, fixture.Now)), seen +
			`{"op":"add","path":"/spec/leaderWorkerTemplate/workerTemplate/metadata","value":{"annotations":` + stamp + `}},` +
			`{"op":"add","path":"/spec/leaderWorkerTemplate/leaderTemplate/metadata","value":` +
			`{"annotations":{"a":"b","kubectl.kubernetes.io/restartedAt":"2026-03-01T13:00:00Z"}}}]`},
		"partition": {must(Partition(plain, 3)), seen +
			`{"op":"add","path":"/spec/rolloutStrategy/rollingUpdateConfiguration/partition","value":3}]`},
		"no partition": {must(Partition(plain, 0)), seen +
			`{"op":"add","path":"/spec/rolloutStrategy/rollingUpdateConfiguration/partition","value":0}]`},
		"partition of another controller's set": {must(Partition(&leaderworkersetv1.LeaderWorkerSet{
			ObjectMeta: plain.ObjectMeta}, 3)), seen +
			`{"op":"add","path":"/spec/rolloutStrategy","value":{"rollingUpdateConfiguration":{"partition":3},` +
			`"type":"RollingUpdate"}}]`},
		"undo": {must(Undo(plain, stored(`{"leaderWorkerTemplate":`+
			`{"$patch":"replace","workerTemplate":{"unknown":1},"size":3},`+
			`"networkConfig":{"$patch":"replace","subdomainPolicy":"UniquePerReplica"}}`))), seen +
			`{"op":"add","path":"/spec/leaderWorkerTemplate/leaderTemplate","value":{}},` +
			`{"op":"remove","path":"/spec/leaderWorkerTemplate/leaderTemplate"},` +
			`{"op":"add","path":"/spec/leaderWorkerTemplate/workerTemplate","value":{"unknown":1}},` +
			`{"op":"add","path":"/spec/leaderWorkerTemplate/size","value":3},` +
			`{"op":"add","path":"/spec/leaderWorkerTemplate/subGroupPolicy","value":{}},` +
			`{"op":"remove","path":"/spec/leaderWorkerTemplate/subGroupPolicy"},` +
			`{"op":"add","path":"/spec/networkConfig","value":{"subdomainPolicy":"UniquePerReplica"}}]`},
	} {
		if test.got != test.want {
			t.Errorf("%s:\n%s\nwant:\n%s", name, test.got, test.want)
		}
	}
	patch := must(Undo(plain, stored(`{"leaderWorkerTemplate":{"workerTemplate":{}}}`)))
	if !strings.Contains(patch, `{"subdomainPolicy":"Shared"}`) {
		t.Errorf("a revision without a network configuration: %s", patch)
	}
	for _, spec := range []string{`{}`, `{"leaderWorkerTemplate":{"size":1}}`, `[]`} {
		if patch, err := Undo(plain, stored(spec)); err == nil {
			t.Errorf("revision %s gives %s", spec, patch)
		}
	}
}

// TestUndoOfPlacement goes back to revisions that say their placement.
func TestUndoOfPlacement(t *testing.T) {
	t.Parallel()
	const share, scope = leaderworkersetv1.ShareTopologyAnnotationKey, leaderworkersetv1.ExclusiveScopeAnnotationKey
	const path = `"path":"/metadata/annotations/leaderworkerset.sigs.k8s.io~1`
	const addRack = `,{"op":"add",` + path + `share-topology","value":"rack"}`
	type annotations = map[string]string
	for what, test := range map[string]struct {
		lws, revision annotations
		want          string
	}{
		"not said": {annotations{share: "zone"}, nil, ``},
		"the same": {annotations{share: "rack"}, annotations{share: "rack"}, ``},
		"another":  {annotations{share: "zone"}, annotations{share: "rack"}, addRack},
		"withdrawn": {
			annotations{scope: "x", "other": "y"}, annotations{},
			`,{"op":"remove",` + path + `exclusive-topology-scope"}`,
		},
		"the first": {
			nil, annotations{share: "rack"},
			`,{"op":"add","path":"/metadata/annotations","value":{}}` + addRack,
		},
	} {
		lws := fixture.Set("llama", 2, 2).LWS
		target := &appsv1.ControllerRevision{
			Data: runtime.RawExtension{Raw: []byte(`{"spec":{"leaderWorkerTemplate":{"workerTemplate":{}}}}`)},
		}
		before, err := Undo(lws, target)
		if err != nil {
			t.Fatal(err)
		}
		lws.Annotations = test.lws
		if test.revision != nil {
			target = revision.WithPlacement(target, test.revision)
		}
		patch, err := Undo(lws, target)
		if want := strings.TrimSuffix(string(before), "]") + test.want + "]"; err != nil || string(patch) != want {
			t.Errorf("%s: %v\n%s\nwant:\n%s", what, err, patch, want)
		}
	}
}

// TestPauseAt stops a rolling update where it is.
func TestPauseAt(t *testing.T) {
	t.Parallel()
	released := func(objects *view.Objects, partition int32) *view.Objects {
		strategy := &objects.StatefulSets[0].Spec.UpdateStrategy
		strategy.Type = appsv1.RollingUpdateStatefulSetStrategyType
		strategy.RollingUpdate = &appsv1.RollingUpdateStatefulSetStrategy{Partition: ptr.To(partition)}
		return objects
	}
	unobserved := released(fixture.Rolling(), 2)
	unobserved.LWS.Generation++
	early := released(fixture.Rolling(), 2)
	early.StatefulSets[0].Labels[leaderworkersetv1.RevisionLabelKey] = fixture.Keys[2]
	for name, test := range map[string]struct {
		objects *view.Objects
		want    int32
	}{
		"before an update":                {fixture.Set("llama", 4, 2), 4},
		"in the middle":                   {released(fixture.Rolling(), 2), 2},
		"all groups released":             {released(fixture.Rolling(), 0), 0},
		"surge keeps the partition high":  {released(fixture.Rolling(), 8), 6},
		"change not observed":             {unobserved, 6},
		"StatefulSet not written yet":     {early, 6},
		"held by a partition already":     {released(fixture.Held(), 3), 4},
		"no leader StatefulSet, no group": {&view.Objects{LWS: fixture.Set("llama", 4, 2).LWS}, 4},
	} {
		if got := PauseAt(view.New(test.objects, fixture.Now)); got != test.want {
			t.Errorf("%s: %d, want %d", name, got, test.want)
		}
	}
}
