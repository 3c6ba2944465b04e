// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package status_test

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/yaml"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/release"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/restart"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/rollout"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/status"
)

var update = flag.Bool("update", false, "write the golden statuses instead of comparing them")

// golden is where the module test/gitops reads the statuses for which it checks the health checks of other tools.
const golden = "../../../../test/gitops/testdata"

// refusedByQuota is an obstacle of group 1.
var refusedByQuota = []status.Obstacle{{
	Group: 1, Reason: leaderworkersetv1.ReasonFailedCreate,
	Message: `pods "llama-1" is forbidden: exceeded quota: gpus, requested: requests.nvidia.com/gpu=8`,
	Refusal: true,
}}

// TestGoldenStatuses compares the sets that other tools judge with golden files, which people have reviewed.
func TestGoldenStatuses(t *testing.T) {
	for name, object := range map[string]map[string]any{
		"fresh":    objectOf(t, nil, 7),
		"creating": objectOf(t, with(newInput(3, "nw")), 7),
		"ready":    objectOf(t, with(newInput(3, "nnn")), 7),
		"rolling":  objectOf(t, rolling(), 7),
		"canary":   objectOf(t, canary(), 7),
		"bad-image": objectOf(t, rolling(func(in *status.Input) {
			in.Set.Groups[2].Observed = observed(fault(leaderworkersetv1.UnreadyImagePull, "llama-2 llama-2-1", notFound))
		}), 7),
		"degraded": objectOf(t, with(newInput(3, "nnw"), func(in *status.Input) {
			in.Crashes = map[int32]restart.Crash{2: {Restarts: 3, Exhausted: "a container restarted in pod llama-2-1"}}
		}), 7),
		"refused":          objectOf(t, with(newInput(3, "nxn"), refuse), 7),
		"refused-for-long": objectOf(t, refusedForLong(), 7),
		"behind":           objectOf(t, with(newInput(3, "nnn")), 8),
	} {
		text, err := yaml.Marshal(object)
		if err != nil {
			t.Fatal(err)
		}
		compareGolden(t, filepath.Join(golden, name+".yaml"), string(text))
	}
}

func compareGolden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("the status differs from %s; to accept it, run the test with -update (-want +got):\n%s", path, diff)
	}
}

// fresh is the status that clients read before the operator has written one: the default of the CRD.
var fresh = map[string]any{"observedGeneration": -1, "readyReplicas": 0, "replicas": 0, "updatedReplicas": 0}

// objectOf returns a set of a generation, with the status that the operator writes for the input. Without an input,
// the operator hasn't written a status yet.
func objectOf(t *testing.T, in *status.Input, generation int64) map[string]any {
	t.Helper()
	object := map[string]any{
		"apiVersion": leaderworkersetv1.GroupVersion.String(), "kind": "LeaderWorkerSet",
		"metadata": map[string]any{"name": "llama", "namespace": "default", "generation": generation},
	}
	if in == nil {
		object["status"] = fresh
		return object
	}
	next, _ := status.Next(*in)
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&next)
	if err != nil {
		t.Fatal(err)
	}
	object["status"] = content
	return object
}

// with returns an input after changes.
func with(in status.Input, changes ...func(*status.Input)) *status.Input {
	for _, change := range changes {
		change(&in)
	}
	return &in
}

// rolling is a rollout that waits for a group.
func rolling(changes ...func(*status.Input)) *status.Input {
	in := newInput(3, "oow")
	in.Release = release.Decision{Replicas: 3, Outdated: 2, Progress: rollout.WaitingForGroups}
	return with(in, changes...)
}

// canary is a rollout that its partition holds.
func canary() *status.Input {
	return with(newInput(3, "oon"), func(in *status.Input) {
		in.Set.LWS.Spec.RolloutStrategy.RollingUpdateConfiguration.Partition = ptr.To[int32](2)
		in.Release = release.Decision{Replicas: 3, Progress: rollout.HeldByPartition}
	})
}

func refuse(in *status.Input) { in.Obstacles = refusedByQuota }

func refusedForLong() *status.Input {
	in := with(newInput(3, "nxn"), refuse)
	writeEarlier(*in)
	return in
}
