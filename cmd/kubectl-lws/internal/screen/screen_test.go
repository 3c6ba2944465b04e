// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package screen

import (
	"bytes"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/cmd/kubectl-lws/internal/fixture"
	"github.com/leaderworkerset/lws-operator/cmd/kubectl-lws/internal/preflight"
	"github.com/leaderworkerset/lws-operator/cmd/kubectl-lws/internal/view"
)

var update = flag.Bool("update", false, "write the golden files")

// TestScreens compares each screen with a golden file.
func TestScreens(t *testing.T) {
	t.Parallel()
	for name, show := range map[string]func(io.Writer) error{
		"list": list(fixture.Rolling(), fixture.Broken(), fixture.Held(), fixture.Degraded(),
			fixture.OtherController()),
		"status-rolling":   statusOf(fixture.Rolling(), Style{}),
		"status-broken":    statusOf(fixture.Broken(), Style{}),
		"status-held":      statusOf(fixture.Held(), Style{}),
		"status-degraded":  statusOf(fixture.Degraded(), Style{}),
		"status-500":       statusOf(fixture.Large(500), Style{}),
		"status-ready":     statusOf(fixture.Set("llama", 2, 1), Style{}),
		"status-other":     statusOf(fixture.OtherController(), Style{}),
		"status-color":     statusOf(fixture.Broken(), Style{Color: true}),
		"status-no-rights": statusOf(withoutRights(fixture.Rolling()), Style{}),
		"status-wide":      statusOf(fixture.Held(), Style{Wide: true}),
		"why-rolling":      why(fixture.Rolling(), 1),
		"why-crash":        why(fixture.Broken(), 1),
		"why-quota":        why(fixture.Broken(), 2),
		"why-gate":         why(fixture.Broken(), 3),
		"why-configmap":    why(fixture.Broken(), 4),
		"why-probe":        why(fixture.Broken(), 5),
		"why-ready":        why(fixture.Broken(), 0),
		"why-degraded":     why(fixture.Degraded(), 1),
		"why-set":          whySet(fixture.Broken()),
		"why-set-held":     whySet(fixture.Held()),
		"tree":             tree(fixture.Held()),
		"history":          history(fixture.Held()),
		"diff":             diff(fixture.Held()),
		"drain":            drain(fixture.Rolling(), "gpu-05", "gpu-06", "gpu-21"),
		"check":            check(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var text bytes.Buffer
			if err := show(&text); err != nil {
				t.Fatal(err)
			}
			compare(t, name, text.Bytes())
		})
	}
}

func compare(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name+".txt")
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, got) {
		t.Errorf("want:\n%s\ngot:\n%s", want, got)
	}
}

func list(scenes ...*view.Objects) func(io.Writer) error {
	sets := make([]leaderworkersetv1.LeaderWorkerSet, 0, len(scenes))
	for i, objects := range scenes {
		objects.LWS.Name += strings.Repeat("a", i)
		sets = append(sets, *objects.LWS)
	}
	return func(out io.Writer) error { return List(out, sets, Style{Namespaces: true, Wide: true}, fixture.Now) }
}

func statusOf(objects *view.Objects, style Style) func(io.Writer) error {
	return func(out io.Writer) error { return Status(out, view.New(objects, fixture.Now), style) }
}

func why(objects *view.Objects, index int32) func(io.Writer) error {
	return func(out io.Writer) error {
		set := view.New(objects, fixture.Now)
		explained := set.Explain(set.Group(index))
		log := Log{}
		if explained.Ended != nil {
			log = Log{Of: explained.Ended.Pod, Lines: []string{"loading layer 70", "loading layer 71"}}
		}
		return Why(out, set, set.Group(index), explained, log, Style{})
	}
}

func whySet(objects *view.Objects) func(io.Writer) error {
	return func(out io.Writer) error { return WhySet(out, view.New(objects, fixture.Now), Style{}) }
}

func tree(objects *view.Objects) func(io.Writer) error {
	return func(out io.Writer) error { return Tree(out, view.New(objects, fixture.Now), Style{}) }
}

func history(objects *view.Objects) func(io.Writer) error {
	objects.Revisions[1].Annotations = map[string]string{"kubernetes.io/change-cause": "server v2"}
	return func(out io.Writer) error { return History(out, view.New(objects, fixture.Now), Style{}) }
}

func diff(objects *view.Objects) func(io.Writer) error {
	return func(out io.Writer) error {
		text, err := Diff(objects.Revisions[1], objects.Revisions[2], Style{})
		if err == nil {
			_, err = io.WriteString(out, text)
		}
		return err
	}
}

func drain(objects *view.Objects, nodes ...string) func(io.Writer) error {
	objects.Budgets = []*policyv1.PodDisruptionBudget{{
		ObjectMeta: metav1.ObjectMeta{Name: "llama"},
		Spec:       policyv1.PodDisruptionBudgetSpec{Selector: &metav1.LabelSelector{}},
	}}
	return func(out io.Writer) error {
		return Drain(out, view.Drain([]*view.Set{view.New(objects, fixture.Now)}, nodes), Style{})
	}
}

func check() func(io.Writer) error {
	facts := &preflight.Facts{ServerVersion: "v1.33.1", Now: fixture.Now, Hidden: map[string]string{
		preflight.CheckCRD: "you may not read what it looks at: customresourcedefinitions",
	}, Webhooks: []preflight.Webhook{{Name: "mpod.leaderworkerset.x-k8s.io"}}}
	return func(out io.Writer) error { return Check(out, preflight.Run(facts, true), Style{}) }
}

// withoutRights returns what a user sees who may read sets and nothing else.
func withoutRights(objects *view.Objects) *view.Objects {
	return &view.Objects{LWS: objects.LWS, Hidden: []string{"pods", "statefulsets.apps", "events"}}
}

// TestNodes writes nodes in short.
func TestNodes(t *testing.T) {
	t.Parallel()
	for want, nodes := range map[string][]string{
		"":                  {"", ""},
		"a":                 {"a"},
		"gpu-1":             {"gpu-1", "gpu-1"},
		"gpu-[1-3,5]":       {"gpu-1", "gpu-2", "gpu-3", "gpu-5"},
		"gpu-[9-10]":        {"gpu-9", "gpu-10"},
		"gpu-[09,010]":      {"gpu-09", "gpu-010"},
		"gpu-[08-10],-,-":   {"gpu-08", "gpu-09", "", "", "gpu-10"},
		"gpu-1,-×4":         {"gpu-1", "", "", "", ""},
		"a,b,rack1-[1-2],x": {"x", "b", "a", "rack1-2", "rack1-1"},
	} {
		if got := Nodes(nodes); got != want {
			t.Errorf("Nodes(%q) = %q, want %q", nodes, got, want)
		}
	}
}

// BenchmarkStatus1000 writes the screen of 1,000 groups of 4 pods.
func BenchmarkStatus1000(b *testing.B) {
	objects := fixture.Large(1000)
	for b.Loop() {
		if err := Status(io.Discard, view.New(objects, fixture.Now), Style{}); err != nil {
			b.Fatal(err)
		}
	}
}

// TestAgrees compares the reasons of the plugin with those that the operator wrote.
func TestAgrees(t *testing.T) {
	t.Parallel()
	for _, objects := range []*view.Objects{fixture.Rolling(), fixture.Broken(), fixture.Degraded()} {
		set := view.New(objects, fixture.Now)
		for _, entry := range objects.LWS.Status.UnreadyGroups {
			group := set.Group(entry.Index)
			if group.Reason != entry.Reason || group.Message != entry.Message || group.Restarts != entry.Restarts {
				t.Errorf("group %d: %s, %q, want %s, %q", entry.Index, group.Reason, group.Message, entry.Reason, entry.Message)
			}
		}
	}
}

// TestWithoutStatus derives the same reasons from the objects alone, but for those that only the operator knows.
func TestWithoutStatus(t *testing.T) {
	t.Parallel()
	objects := fixture.Broken()
	wanted := objects.LWS.Status.UnreadyGroups
	objects.LWS.Status = leaderworkersetv1.LeaderWorkerSetStatus{}
	set := view.New(objects, fixture.Now)
	for _, entry := range wanted {
		if group := set.Group(entry.Index); group.Reason != entry.Reason || group.Message != entry.Message {
			t.Errorf("group %d: %s, %q, want %s, %q", entry.Index, group.Reason, group.Message, entry.Reason, entry.Message)
		}
	}
	if pod := set.Group(1).Pods[2]; pod.Status.Phase != corev1.PodRunning {
		t.Errorf("the pod isn't the one of the API server: %+v", pod.Status)
	}
}
