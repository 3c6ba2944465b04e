// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package record is what the operator has to remember of groups while it isn't running: in an annotation of the leader StatefulSet, as
// JSON, about 40 bytes for each group. What happens to a group meanwhile shows as a difference.
package record

import (
	"encoding/json"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/types"
)

// MaxSize bounds the annotation. The API server takes 262144 bytes for all annotations of an object; this leaves room for those of users.
// Groups beyond it, from about 4,500 on, aren't remembered: failures of theirs are seen only while the operator runs.
const MaxSize = 180_000

// Groups are the remembered groups by index.
type Groups map[int32]Group

// Group is what is remembered of one group.
type Group struct {
	// Life is the fingerprint of the group's pods since it was complete; empty before.
	Life string `json:"life,omitempty"`

	// Restarts is how often in a row the group was recreated because it failed.
	Restarts int32 `json:"restarts,omitempty"`

	// LastRestart is when that was last, in seconds since 1970.
	LastRestart int64 `json:"lastRestart,omitempty"`

	// Reason is why.
	Reason string `json:"reason,omitempty"`

	// Failed is the leader pod of the life that has used up the group's restarts; empty while there are more.
	Failed types.UID `json:"failed,omitempty"`
}

// Parse reads the annotation. Anything that isn't one counts as nothing remembered: it is written anew.
func Parse(annotation string) Groups {
	var groups Groups
	if err := json.Unmarshal([]byte(annotation), &groups); err != nil {
		return nil
	}
	return groups
}

// Format writes the annotation: the groups in the order of their index as far as they fit in, which Parse reads back. Empty if there is
// nothing to remember.
func Format(groups Groups) string {
	kept, size := Groups{}, 0
	for _, index := range slices.Sorted(maps.Keys(groups)) {
		group := groups[index]
		if group == (Group{}) {
			continue
		}
		entry, err := json.Marshal(Groups{index: group})
		if size += len(entry); err != nil || size > MaxSize {
			break
		}
		kept[index] = group
	}
	if len(kept) == 0 {
		return ""
	}
	text, err := json.Marshal(kept)
	if err != nil {
		return "" // Strings and numbers always can be written.
	}
	return string(text)
}
