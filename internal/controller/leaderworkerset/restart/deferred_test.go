// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package restart_test

import (
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/restart"
)

// TestNextOfDeferredGroups defers a group that has no restarts left, for longer than it has to run for its count to
// start over. The operator deletes its leader, so nobody has asked for the count to start over. The group gets pods
// again, and its next crash is one too many.
func TestNextOfDeferredGroups(t *testing.T) {
	const limit = 2
	failure := restart.Failure{Cause: restart.ContainerRestart, Message: "a-0: it crashed", Crashed: true}
	record := restart.Record{0: {
		Restarts: limit, LastRestart: createdAt.Unix(), Reason: failure.Message, ExhaustedLeader: "exhausted",
	}}
	known := restart.Leaders{0: {UID: "exhausted"}}
	next := func(after time.Duration, leader types.UID, change func(*restart.Input)) restart.Decision {
		in := uninjected(after, restart.Entry{}, func(*restart.Input) {})
		in.Record, in.Leaders, in.RecordedAt = record, known, in.Now
		in.Set.LWS.Spec.LeaderWorkerTemplate.MaxGroupRestarts = ptr.To[int32](limit)
		in.Set.Groups[0].Uninjected, in.Set.Groups[0].Leader.UID = nil, leader
		if leader == "" {
			in.Set.Groups = nil
		}
		change(&in)
		decision := restart.Next(in)
		if decision.WriteRecord {
			record = decision.Record
		}
		return decision
	}
	crashes := func(leader types.UID) func(*restart.Input) {
		return func(in *restart.Input) {
			in.Incarnations = map[int32]restart.Incarnation{0: {Leader: leader, Failure: failure}}
		}
	}

	deferred := next(time.Minute, "exhausted", func(in *restart.Input) {
		crashes("exhausted")(in)
		in.Deferred = []int32{0}
	})
	if entry := record[0]; !deferred.WriteRecord || entry.ExhaustedLeader != "" || entry.Restarts != limit {
		t.Errorf("the group is deferred: the entry is %+v", entry)
	}
	late := next(time.Minute, "exhausted", func(in *restart.Input) {
		crashes("exhausted")(in)
		in.Deferred = []int32{0}
	})
	if late.WriteRecord || len(late.Restarts) > 0 {
		t.Errorf("a late view of the leader: got %+v", late)
	}
	const again = time.Hour
	next(again, "", func(in *restart.Input) { in.Returning = []int32{0} })
	if entry := record[0]; entry.Restarts != limit || entry.LastRestart != createdAt.Add(again).Unix() {
		t.Errorf("the group is no longer deferred: the entry is %+v", entry)
	}
	if got := next(again+time.Second, "new", func(*restart.Input) {}); got.Crashes[0].Exhausted != "" {
		t.Errorf("the group has another leader: got %+v", got)
	}
	crashed := next(again+time.Minute, "new", crashes("new"))
	if crashed.Crashes[0].Exhausted == "" || len(crashed.Restarts) > 0 {
		t.Errorf("the group crashes once more: got %+v", crashed)
	}
}
