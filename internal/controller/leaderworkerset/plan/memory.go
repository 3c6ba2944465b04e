// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"time"

	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/measure"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/refusal"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/release"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/restart"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/snapshot"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/status"
)

// Memory is what this process remembers of a set from one pass to the next. It is lost with the process, and learned
// again. What has to outlive the process is in the record, see the restart package.
type Memory struct {
	// Incarnations are those that passes over the groups followed, by index.
	Incarnations map[int32]restart.Incarnation

	// Observations are those of the last passes over the groups, by index. The set as it was observed has them as well, if
	// their leaders are still there.
	Observations map[int32]snapshot.Observation

	// FreedAt is when a pod of the set was last deleted; zero if none was. Passes over the groups observe that.
	FreedAt time.Time

	// Unknown says that no pass of this process has observed the set yet.
	Unknown bool

	// Missing is what is remembered of missing leaders.
	Missing refusal.Memory

	// Holds are what the rollout doesn't repeat for a while.
	Holds release.Holds

	// Measured is what metrics have counted.
	Measured measure.Memory

	// Leaders are the leaders that the last pass over the set observed.
	Leaders restart.Leaders

	// FailedLeaders are the leaders that the watch saw fail last, by index.
	FailedLeaders map[int32]restart.FailedLeader

	// Record is the record that the last pass read.
	Record restart.StoredRecord

	// RecordedAt is when the record was last written; zero if it wasn't.
	RecordedAt time.Time

	// StatusWrittenAt is when the status was last written; zero if it wasn't.
	StatusWrittenAt time.Time

	// Obstacles are what was in the way of the last pass over the set, and over each group, in the order of groups.
	Obstacles []status.Obstacle
}
