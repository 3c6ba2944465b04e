// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package edit

import "github.com/leaderworkerset/lws-operator/cmd/kubectl-lws/internal/view"

// PauseAt returns the partition that stops the rolling update of a set where it is. Groups that are released already
// stay so: a group above the partition comes back at the current revision. If no group has to be updated, the partition
// protects all groups from the next update.
func PauseAt(set *view.Set) int32 {
	if len(set.ToUpdate()) == 0 && !set.IsUpdating() {
		return *set.LWS.Spec.Replicas
	}
	return max(set.Partition, set.Released())
}
