// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package release

import "time"

// The shortest and the longest hold. Each one in a row is twice as long as the one before.
const (
	minHold = time.Minute
	maxHold = 16 * time.Minute
)

// Hold is a time in which a rollout to a revision doesn't repeat what the API server has refused. The zero value is
// none.
type Hold struct {
	// Key is the key of the revision.
	Key string

	// Times is how many holds in a row there were.
	Times int

	// Until is the end of the last one.
	Until time.Time

	// Refusal is what the API server said before it; empty if it said nothing.
	Refusal string
}

// Holds are those of a set.
type Holds struct {
	// Revision holds the release of further groups, Surge that of further surge groups, and Added the creation of groups
	// that were added during the rollout. Room holds that of deferred groups: after it, they aren't deferred for as long.
	// Withheld holds the surge that is withheld while other groups lack room: after it, surge isn't withheld for as long.
	Revision, Surge, Added, Room, Withheld Hold

	// SurgeFrom is the lowest surge group that gave way since Surge began to hold.
	SurgeFrom int32
}

// lasts reports whether something is held.
func (h Hold) lasts(key string, now time.Time) bool { return h.Key == key && now.Before(h.Until) }

// next returns the hold after another refusal.
func (h Hold) next(key, refusal string, now time.Time) Hold {
	if h.lasts(key, now) {
		return h
	}
	times := 0
	if h.Key == key {
		times = h.Times
	}
	return Hold{Key: key, Times: times + 1, Until: now.Add(duration(times + 1)), Refusal: refusal}
}

// duration returns how long a hold lasts of which that many in a row there were, itself included.
func duration(times int) time.Duration { return min(minHold<<min(times-1, 10), maxHold) }

// pause returns how much is left of the time after a hold that is as long as the hold was; 0 if the hold lasts, or if
// the time is over.
func (h Hold) pause(key string, now time.Time) time.Duration {
	if h.Key != key || h.Times == 0 || h.lasts(key, now) {
		return 0
	}
	return max(h.Until.Add(duration(h.Times)).Sub(now), 0)
}

// during returns the hold after a decision that needs it, or doesn't. A hold whose need ends in time has helped, and is
// forgotten. One that has run out is remembered: the next is longer.
func (h Hold) during(needed bool, key string, now time.Time) Hold {
	switch {
	case needed:
		return h.next(key, "", now)
	case h.lasts(key, now):
		return Hold{}
	default:
		return h
	}
}

// rest returns how long a hold lasts; 0 if it doesn't.
func (h Hold) rest(key string, now time.Time) time.Duration {
	if !h.lasts(key, now) {
		return 0
	}
	return h.Until.Sub(now)
}
