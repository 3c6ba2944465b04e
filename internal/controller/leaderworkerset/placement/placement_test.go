// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

const (
	group    = leaderworkersetv1.ExclusiveKeyAnnotationKey
	subGroup = leaderworkersetv1.SubGroupExclusiveKeyAnnotationKey
	scope    = leaderworkersetv1.ExclusiveScopeAnnotationKey
	share    = leaderworkersetv1.ShareTopologyAnnotationKey
)

type annotations = map[string]string

func TestOf(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ annotations, want annotations }{
		{nil, annotations{}},
		{annotations{"other": "x", group: ""}, annotations{}},
		{annotations{group: "rack", subGroup: "host", share: "zone"}, annotations{
			group: "rack", subGroup: "host", share: "zone",
		}},
		{annotations{group: "rack", scope: "Namespace"}, annotations{group: "rack"}},
		{annotations{subGroup: "rack", scope: "LeaderWorkerSet"}, annotations{subGroup: "rack", scope: "LeaderWorkerSet"}},
		{annotations{share: "rack", scope: "LeaderWorkerSet"}, annotations{share: "rack"}},
	} {
		if diff := cmp.Diff(tc.want, Of(tc.annotations)); diff != "" {
			t.Errorf("%v (-want +got):\n%s", tc.annotations, diff)
		}
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	const path = "metadata.annotations[leaderworkerset.sigs.k8s.io/"
	const exclusive = "leaderworkerset.sigs.k8s.io/exclusive-topology"
	sameLabel := path + `share-topology]: Invalid value: "rack": must be another node label than that of ` + exclusive +
		": a group can't share what it has for itself"
	for _, tc := range []struct {
		before, after annotations // nil before is a creation
		want          []string
	}{
		{after: annotations{group: "rack", share: "topology.kubernetes.io/zone", scope: "LeaderWorkerSet"}},
		{after: annotations{subGroup: "rack", scope: "Namespace"}},
		{after: annotations{group: "", share: "", scope: ""}},
		{after: annotations{share: "a/b/c"}, want: []string{path + `share-topology]: Invalid value: "a/b/c": a valid label ` +
			"key must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric " +
			`character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is ` +
			`'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS subdomain prefix and '/' (e.g. ` +
			`'example.com/MyName')`}},
		{after: annotations{group: "rack", share: "rack"}, want: []string{sameLabel}},
		{before: annotations{group: "rack"}, after: annotations{group: "rack", share: "rack"}, want: []string{sameLabel}},
		{before: annotations{group: "rack", share: "rack"}, after: annotations{group: "rack", share: "rack", "other": "x"}},
		{after: annotations{group: "rack", scope: "Cluster"}, want: []string{
			path + `exclusive-topology-scope]: Unsupported value: "Cluster": supported values: "LeaderWorkerSet", "Namespace"`,
		}},
		{
			before: annotations{group: "rack", scope: "LeaderWorkerSet"}, after: annotations{scope: "LeaderWorkerSet"},
			want: []string{path + "exclusive-topology-scope]: Forbidden: needs " + exclusive +
				" or leaderworkerset.sigs.k8s.io/subgroup-exclusive-topology"},
		},
	} {
		var before *leaderworkersetv1.LeaderWorkerSet
		if tc.before != nil {
			before = &leaderworkersetv1.LeaderWorkerSet{}
			before.Annotations = tc.before
		}
		after := &leaderworkersetv1.LeaderWorkerSet{}
		after.Annotations = tc.after
		var got []string
		for _, mistake := range Validate(before, after) {
			got = append(got, mistake.Error())
		}
		if !slices.Equal(got, tc.want) {
			t.Errorf("%v to %v:\n%s", tc.before, tc.after, cmp.Diff(tc.want, got))
		}
	}
}
