// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package status

import (
	"fmt"
	"slices"
	"strings"
)

// maxRanges bounds how many ranges a message names.
const maxRanges = 10

// Groups returns the groups' names for a message: "group 3", "groups 3-17, 19". Long lists end in "and <n> more".
func Groups(indices []int32) string {
	indices = slices.Compact(slices.Sorted(slices.Values(indices)))
	if len(indices) == 1 {
		return fmt.Sprintf("group %d", indices[0])
	}
	var ranges []string
	for start := 0; start < len(indices); {
		end := start
		for end+1 < len(indices) && indices[end+1] == indices[end]+1 {
			end++
		}
		if len(ranges) == maxRanges {
			return fmt.Sprintf("groups %s and %d more", strings.Join(ranges, ", "), len(indices)-start)
		}
		if start == end {
			ranges = append(ranges, fmt.Sprint(indices[start]))
		} else {
			ranges = append(ranges, fmt.Sprintf("%d-%d", indices[start], indices[end]))
		}
		start = end + 1
	}
	return "groups " + strings.Join(ranges, ", ")
}
