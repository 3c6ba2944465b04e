// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package restart

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/types"

	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/identity"
)

// MaxRecordSize bounds the record, in bytes. The API server takes 262144 bytes for all annotations of an object; this
// leaves room for those of users. Groups beyond it, from about 4,500 on, aren't recorded: their failures are noticed
// only while the operator runs.
const MaxRecordSize = 180_000

// Record is what the operator remembers of groups while it isn't running, by index. It is an annotation of the leader
// StatefulSet, as JSON: about 40 bytes for each group. A failure that happens meanwhile shows as a difference.
type Record map[int32]Entry

// Entry is what is remembered of one group.
type Entry struct {
	// Fingerprint is that of the group's incarnation since it was complete; empty before.
	Fingerprint string `json:"life,omitempty"`

	// Restarts is how often in a row the group was restarted because it crashed.
	Restarts int32 `json:"restarts,omitempty"`

	// LastRestart is the time of the last of those restarts, in seconds since 1970.
	LastRestart int64 `json:"lastRestart,omitempty"`

	// Reason is the message of the last crash.
	Reason string `json:"reason,omitempty"`

	// FailedLeader is the leader pod whose own failure ended an incarnation of the group last; empty if none did.
	FailedLeader types.UID `json:"failedLeader,omitempty"`

	// Waiting is the cause of that failure while the group's restart is yet to be counted; empty after.
	Waiting Cause `json:"waiting,omitempty"`

	// ExhaustedLeader is the leader pod of the incarnation that had no restarts left when it crashed; empty while some are
	// left.
	ExhaustedLeader types.UID `json:"failed,omitempty"`

	// Uninjected is how often in a row the group was restarted because a pod was created without the webhook.
	Uninjected int32 `json:"uninjected,omitempty"`
}

// entryOf returns the entry of one group, without reading those of the others: the webhook reads one for each leader of
// a set. In the text that Format writes, no string contains an index in quotes: their quotes are escaped.
func entryOf(annotation string, index int32) Entry {
	key := `"` + identity.FormatIndex(index) + `":`
	_, rest, found := strings.Cut(annotation, "{"+key)
	if !found {
		_, rest, found = strings.Cut(annotation, ","+key)
	}
	var entry Entry
	if !found || json.NewDecoder(strings.NewReader(rest)).Decode(&entry) != nil {
		return Entry{}
	}
	return entry
}

// StoredRecord is a record as it is stored, and as it was read.
type StoredRecord struct {
	Text    string
	Entries Record
}

// ReadRecord reads the annotation. Parsing takes time for many groups, and most passes find the text of the last one:
// then its entries, which are read-only, are returned again. Text that is no record is like an empty one, and is
// written anew.
func ReadRecord(annotation string, last StoredRecord) StoredRecord {
	if annotation == last.Text {
		return last
	}
	read := StoredRecord{Text: annotation}
	if err := json.Unmarshal([]byte(annotation), &read.Entries); err != nil {
		read.Entries = nil
	}
	return read
}

// Format returns the annotation: the groups in the order of their index, as far as they fit into a number of bytes, and
// into [MaxRecordSize]. It is empty if nothing has to be remembered.
func (r Record) Format(room int) string {
	kept, size := Record{}, 0
	for _, index := range slices.Sorted(maps.Keys(r)) {
		if r[index] == (Entry{}) {
			continue
		}
		entry, err := json.Marshal(Record{index: r[index]})
		if size += len(entry); err != nil || size > min(room, MaxRecordSize) {
			break
		}
		kept[index] = r[index]
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
