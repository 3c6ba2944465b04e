// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"runtime"
	"strings"
	"testing"
	"time"

	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/restart"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/snapshot"
)

// huge is the largest number of groups that a set may ask for.
const huge = 1_000_000

// hugeSet is a set of which most groups don't exist.
type hugeSet struct {
	name string

	// configure changes the set before its objects are created, and observe what is observed of them after.
	configure func(lws *leaderworkersetv1.LeaderWorkerSet)
	observe   func(observed *world)
}

// hugeSets are what a set can be in the middle of while most of its groups don't exist.
var hugeSets = []hugeSet{
	{name: "creation"},
	{
		name: "refused pods",
		observe: func(observed *world) {
			observed.Refusal = snapshot.Refusal{Event: "quota", At: now.Time, Message: "exceeded quota"}
		},
	},
	{name: "rollout", observe: pushImage},
	{
		name: "rollout with surge", observe: pushImage,
		configure: func(lws *leaderworkersetv1.LeaderWorkerSet) {
			lws.Spec.RolloutStrategy.RollingUpdateConfiguration.MaxSurge = ptr.To(intstr.FromString("100%"))
		},
	},
	{
		name: "rollout to a partition", observe: pushImage,
		configure: func(lws *leaderworkersetv1.LeaderWorkerSet) {
			lws.Spec.RolloutStrategy.RollingUpdateConfiguration.Partition = ptr.To(*lws.Spec.Replicas / 2)
		},
	},
	{
		name: "rollout after a release in another order", observe: func(observed *world) {
			pushImage(observed)
			observed.Leaders.Annotations[leaderworkersetv1.AheadAnnotationKey] = `{"partition":2147483647,"groups":[4,2,0]}`
		},
	},
}

func pushImage(observed *world) { setImage(observed.LWS, "serve:2") }

// start returns a set of that many groups, of which few exist and are ready.
func (h hugeSet) start(tb testing.TB, replicas, existing int32) *world {
	tb.Helper()
	lws := newSet()
	lws.Spec.Replicas, lws.Spec.LeaderWorkerTemplate.Size = ptr.To(replicas), ptr.To[int32](1)
	if h.configure != nil {
		h.configure(lws)
	}
	observed := &world{Set: snapshot.Set{LWS: lws}}
	planned, err := planAt(observed, now.Time)
	if err != nil {
		tb.Fatal(err)
	}
	carryOut(observed, planned)
	observed.Leaders.Status.ObservedGeneration = observed.Leaders.Generation
	for index := range existing {
		key := observed.Leaders.Labels[leaderworkersetv1.RevisionLabelKey]
		observed.Groups = append(observed.Groups, readyGroup(observed.LWS, observed.Leaders, key, index))
	}
	if h.observe != nil {
		h.observe(observed)
	}
	return observed
}

// passes makes the passes of the next seconds. The StatefulSet controller observes what they write, and creates no pod.
func (h hugeSet) passes(tb testing.TB, observed *world) {
	tb.Helper()
	for second := range 4 {
		at := now.Add(time.Duration(3*second) * time.Second)
		if observed.Refusal.Message != "" {
			observed.Refusal.At = at // The controller reports it again.
		}
		planned, err := planAt(observed, at)
		if err != nil {
			tb.Fatal(err)
		}
		carryOut(observed, planned)
		observed.memory.Missing, observed.memory.Holds = planned.Missing, planned.Holds
		observed.Leaders.Status.ObservedGeneration = observed.Leaders.Generation
	}
}

// TestMissingGroupsCostNothing checks that a pass over a million groups that don't exist needs about as much memory as
// one over ten thousand.
func TestMissingGroupsCostNothing(t *testing.T) {
	const existing, limit = 10, 1.5
	for _, huges := range hugeSets {
		few, many := huges.bytes(t, 10_000, existing), huges.bytes(t, huge, existing)
		t.Logf("%s: %d KiB with 10,000 groups, %d KiB with %d", huges.name, few>>10, many>>10, huge)
		if float64(many) > limit*float64(few) {
			t.Errorf("%s: a pass allocates %d bytes with %d groups, and %d with 10,000", huges.name, many, huge, few)
		}
	}
}

// bytes returns how much memory the passes over a set allocate.
func (h hugeSet) bytes(tb testing.TB, replicas, existing int32) uint64 {
	tb.Helper()
	observed := h.start(tb, replicas, existing)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	h.passes(tb, observed)
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestAnnotationsFit checks that the record of thousands of groups leaves the room that the annotations of a set need:
// the API server would refuse each change of the leader StatefulSet else. The first groups are recorded as far as there
// is room.
func TestAnnotationsFit(t *testing.T) {
	const groups = 6000
	for _, kib := range []int{0, 64, 200, 254} {
		huges := hugeSet{configure: func(lws *leaderworkersetv1.LeaderWorkerSet) {
			lws.Annotations = map[string]string{"example.com/note": strings.Repeat("x", kib<<10)}
		}}
		observed := huges.start(t, groups, groups)
		complete(observed)
		huges.passes(t, observed)
		annotations := observed.Leaders.Annotations
		if err := apivalidation.ValidateAnnotationsSize(annotations); err != nil {
			t.Errorf("annotation of %d KiB: %v", kib, err)
		}
		record := annotations[leaderworkersetv1.GroupRecordAnnotationKey]
		entries := restart.ReadRecord(record, restart.StoredRecord{}).Entries
		_, first := entries[0]
		t.Logf("annotation of %d KiB: %d groups recorded in %d bytes", kib, len(entries), len(record))
		if !first || len(entries) == groups {
			t.Errorf("annotation of %d KiB: %d groups are recorded, of which the first: %t", kib, len(entries), first)
		}
	}
}

// BenchmarkHugeSet measures four passes over a set of a million groups, of which ten exist.
func BenchmarkHugeSet(b *testing.B) {
	for _, huges := range hugeSets {
		for _, size := range []struct {
			name     string
			replicas int32
		}{{"10", 10}, {"1000000", huge}} {
			b.Run(huges.name+"/"+size.name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					b.StopTimer()
					observed := huges.start(b, size.replicas, 10)
					b.StartTimer()
					huges.passes(b, observed)
				}
			})
		}
	}
}
