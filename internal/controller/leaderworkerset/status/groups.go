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

// indexRange is a range of groups: all from the first index to the last.
type indexRange struct{ first, last int32 }

func (r indexRange) String() string {
	if r.first == r.last {
		return fmt.Sprint(r.first)
	}
	return fmt.Sprintf("%d-%d", r.first, r.last)
}

// Groups returns the groups' names for a message: "group 3", "groups 3-17, 19". Long lists end in "and <n> more".
func Groups(indices []int32) string {
	var ranges []indexRange
	for _, index := range slices.Compact(slices.Sorted(slices.Values(indices))) {
		if last := len(ranges) - 1; last >= 0 && ranges[last].last+1 == index {
			ranges[last].last = index
		} else {
			ranges = append(ranges, indexRange{first: index, last: index})
		}
	}
	return groupRanges("group", ranges)
}

// SurgeGroups returns the names of surge groups in the same way: "surge group 4".
func SurgeGroups(indices []int32) string { return "surge " + Groups(indices) }

// groupRanges returns what Groups does of groups that are given as ranges, lowest first. noun is what one is called.
func groupRanges(noun string, ranges []indexRange) string {
	if len(ranges) == 1 && ranges[0].first == ranges[0].last {
		return noun + " " + ranges[0].String()
	}
	shown := ranges[:min(len(ranges), maxRanges)]
	texts := make([]string, 0, len(shown))
	for _, named := range shown {
		texts = append(texts, named.String())
	}
	text, more := noun+"s "+strings.Join(texts, ", "), int32(0)
	for _, others := range ranges[len(shown):] {
		more += others.last - others.first + 1
	}
	if more == 0 {
		return text
	}
	return fmt.Sprintf("%s and %d more", text, more)
}
