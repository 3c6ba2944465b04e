// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package restart_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/restart"
)

// parse returns the entries of a record that no pass has read before.
func parse(text string) restart.Record {
	return restart.ReadRecord(text, restart.StoredRecord{}).Entries
}

func TestFormat(t *testing.T) {
	for _, tc := range []struct {
		what   string
		groups restart.Record
		want   string
	}{
		{"no groups", nil, ""},
		{"a group without entry", restart.Record{3: {}}, ""},
		{
			"a complete group", restart.Record{0: {Fingerprint: "00000001-0000000000000002"}},
			`{"0":{"life":"00000001-0000000000000002"}}`,
		},
		{
			"one that crashed, and one that has no restarts left",
			restart.Record{
				1: {Fingerprint: "x", Restarts: 2, LastRestart: 1700000000, Reason: "a container restarted in pod a-1"},
				2: {ExhaustedLeader: "uid"},
			},
			`{"1":{"life":"x","restarts":2,"lastRestart":1700000000,"reason":"a container restarted in pod a-1"},` +
				`"2":{"failed":"uid"}}`,
		},
	} {
		if got := tc.groups.Format(restart.MaxRecordSize); got != tc.want {
			t.Errorf("%s: got %s, want %s", tc.what, got, tc.want)
		}
	}
}

// TestFormatIsBounded formats too many groups. Those with the highest indices are left out, and the rest can be parsed.
func TestFormatIsBounded(t *testing.T) {
	groups := restart.Record{}
	for index := range int32(10_000) {
		groups[index] = restart.Entry{Fingerprint: strings.Repeat("x", 25)}
	}
	text := groups.Format(restart.MaxRecordSize)
	if len(text) > 200_000 {
		t.Errorf("got %d bytes", len(text))
	}
	kept := parse(text)
	if _, first := kept[0]; !first || len(kept) < 4_000 {
		t.Errorf("kept %d groups, of which the first: %v", len(kept), first)
	}
	for _, room := range []int{0, 100, 1000} {
		if text := groups.Format(room); len(text) > room {
			t.Errorf("got %d bytes, and there is room for %d", len(text), room)
		}
	}
}

// TestReadRecordAgain reads the text of the last pass, as most passes do. It isn't parsed again.
func TestReadRecordAgain(t *testing.T) {
	last := restart.StoredRecord{Text: "the text of the last pass", Entries: restart.Record{3: {Fingerprint: "x"}}}
	if diff := cmp.Diff(last, restart.ReadRecord(last.Text, last)); diff != "" {
		t.Errorf("the same text (-want +got):\n%s", diff)
	}
	want := restart.StoredRecord{Text: `{"1":{"life":"y"}}`, Entries: restart.Record{1: {Fingerprint: "y"}}}
	if diff := cmp.Diff(want, restart.ReadRecord(want.Text, last)); diff != "" {
		t.Errorf("another text (-want +got):\n%s", diff)
	}
}

// TestParseInvalid parses texts that are no record.
func TestParseInvalid(t *testing.T) {
	for _, text := range []string{"", "x", "[]", `{"x":{}}`, `{"0":1}`, `{"99999999999":{}}`} {
		if got := parse(text); len(got) != 0 {
			t.Errorf("Parse(%q) = %v, want nothing", text, got)
		}
	}
}

// FuzzFormat checks that parsing is the inverse of formatting.
func FuzzFormat(f *testing.F) {
	f.Add(int32(0), "fingerprint", int32(1), int64(2), "reason")
	f.Fuzz(func(t *testing.T, index int32, fingerprint string, restarts int32, last int64, reason string) {
		want := restart.Record{index: {
			Fingerprint: strings.ToValidUTF8(fingerprint, "?"),
			Restarts:    restarts, LastRestart: last, Reason: strings.ToValidUTF8(reason, "?"),
		}}
		if want[index] == (restart.Entry{}) || len(fingerprint)+len(reason) > 1000 {
			return
		}
		if diff := cmp.Diff(want, parse(want.Format(restart.MaxRecordSize))); diff != "" {
			t.Error(diff)
		}
	})
}

// FuzzReadRecord reads annotations that anybody may have written. Whatever is read can be written, and is read again as
// the same.
func FuzzReadRecord(f *testing.F) {
	f.Add("")
	f.Add(`{"0":{"life":"a-b","restarts":2,"lastRestart":1,"reason":"OOMKilled"},"2147483647":{"failed":"uid"}}`)
	f.Add(`{"-1":{"restarts":-5},"1":{"lastRestart":9223372036854775807,"waiting":"PodFailed"},"1":null}`)
	f.Add(`{"0":{"reason":"\",\"1\":{"}}`)
	f.Add(`[{"0":1}]`)
	f.Fuzz(func(t *testing.T, annotation string) {
		text := parse(annotation).Format(restart.MaxRecordSize)
		if again := parse(text).Format(restart.MaxRecordSize); again != text {
			t.Errorf("written again the record is %q, want %q", again, text)
		}
	})
}
