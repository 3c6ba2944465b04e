// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package record_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/record"
)

func TestFormat(t *testing.T) {
	for _, tc := range []struct {
		what   string
		groups record.Groups
		want   string
	}{
		{"nothing", nil, ""},
		{"nothing to remember of a group", record.Groups{3: {}}, ""},
		{"a complete group", record.Groups{0: {Life: "00000001-0000000000000002"}}, `{"0":{"life":"00000001-0000000000000002"}}`},
		{
			"one that crashed, next to one that has no restarts left",
			record.Groups{
				1: {Life: "x", Restarts: 2, LastRestart: 1700000000, Reason: "a container restarted in pod a-1"},
				2: {Failed: "uid"},
			},
			`{"1":{"life":"x","restarts":2,"lastRestart":1700000000,"reason":"a container restarted in pod a-1"},"2":{"failed":"uid"}}`,
		},
	} {
		if got := record.Format(tc.groups); got != tc.want {
			t.Errorf("%s: got %s, want %s", tc.what, got, tc.want)
		}
	}
}

// What doesn't fit is left out, highest index first, and the rest stays readable.
func TestFormatIsBounded(t *testing.T) {
	groups := record.Groups{}
	for index := range int32(10_000) {
		groups[index] = record.Group{Life: strings.Repeat("x", 25)}
	}
	text := record.Format(groups)
	if len(text) > record.MaxSize+10_000 || len(text) > 200_000 {
		t.Errorf("got %d bytes", len(text))
	}
	kept := record.Parse(text)
	if _, first := kept[0]; !first || len(kept) < 4_000 {
		t.Errorf("kept %d groups, of which the first: %v", len(kept), first)
	}
}

func TestParseOfAnythingElse(t *testing.T) {
	for _, text := range []string{"", "x", "[]", `{"x":{}}`, `{"0":1}`, `{"99999999999":{}}`} {
		if got := record.Parse(text); len(got) != 0 {
			t.Errorf("Parse(%q) = %v, want nothing", text, got)
		}
	}
}

// Format and Parse are inverses.
func FuzzFormat(f *testing.F) {
	f.Add(int32(0), "life", int32(1), int64(2), "reason")
	f.Fuzz(func(t *testing.T, index int32, life string, restarts int32, last int64, reason string) {
		want := record.Groups{index: {
			Life: strings.ToValidUTF8(life, "?"), Restarts: restarts, LastRestart: last, Reason: strings.ToValidUTF8(reason, "?"),
		}}
		if want[index] == (record.Group{}) || len(life)+len(reason) > 1000 {
			return
		}
		if diff := cmp.Diff(want, record.Parse(record.Format(want))); diff != "" {
			t.Error(diff)
		}
	})
}
