// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package rollout

// lockstep lowers the counts so that no role is ahead of the slowest by more than the window's width: 1 / the smallest
// positive size. A role's progress is its count / its size. Roles of size 0 have none. The slowest role keeps its
// count.
//
// Worked example: sizes 8 and 4, counts 4 and 4. Progress is 1/2 and 1, and the width is 1/4. The second role waits at
// 3/4, so the counts are 4 and 3.
func lockstep(counts, sizes []int32) []int32 {
	slowest, smallest := -1, int64(0)
	for role, size := range sizes {
		if size <= 0 {
			continue
		}
		if slowest < 0 || int64(counts[role])*int64(sizes[slowest]) < int64(counts[slowest])*int64(size) {
			slowest = role
		}
		if smallest == 0 || int64(size) < smallest {
			smallest = int64(size)
		}
	}
	result := append([]int32{}, counts...)
	for role, size := range sizes {
		if size > 0 {
			// size × (count / full + 1 / smallest), rounded down. It isn't below size × the slowest progress.
			count, full := int64(counts[slowest]), int64(sizes[slowest])
			limit := int64(size)*count/full + int64(size)/smallest
			if remainder := int64(size) * count % full; remainder*smallest+int64(size)%smallest*full >= full*smallest {
				limit++
			}
			result[role] = int32(min(int64(counts[role]), limit)) //nolint:gosec // At most the count.
		}
	}
	return result
}
