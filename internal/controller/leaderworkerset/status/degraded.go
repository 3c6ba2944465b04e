// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package status

import (
	"fmt"
	"slices"
	"strings"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/identity"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/snapshot"
)

// degradedMessage names the groups that have no restarts left, the last error of the first of them, and what to do. It
// is empty if there are none.
func degradedMessage(in Input) string {
	var exhausted []int32
	for index, crashed := range in.Crashes {
		if crashed.Exhausted != "" {
			exhausted = append(exhausted, index)
		}
	}
	if len(exhausted) == 0 {
		return ""
	}
	groups, first := Groups(exhausted), slices.Min(exhausted)
	return fmt.Sprintf("%s: no restarts left after %d; last error: %s. To try again, delete pod %s, "+
		"annotate it with %s=true, or raise maxGroupRestarts",
		strings.ToUpper(groups[:1])+groups[1:], in.Crashes[first].Restarts,
		snapshot.Shortened(in.Crashes[first].Exhausted, maxMessage/2),
		identity.Leader(in.Set.LWS.Name, first), leaderworkersetv1.RecoverAnnotationKey)
}
