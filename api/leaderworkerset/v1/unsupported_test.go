// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package v1

import (
	"slices"
	"testing"
)

func TestUnsupported(t *testing.T) {
	t.Parallel()
	for title, tc := range map[string]struct {
		spec LeaderWorkerSetSpec
		want []string
	}{
		"no field": {},
		"defaults of other controllers": {spec: LeaderWorkerSetSpec{
			GroupIdentity: GroupIdentityOrdinal, GroupReplacementPolicy: GroupReplacementPostTermination,
			PodTerminationPolicy: DefaultPodTerminationPolicy,
		}},
		"parallel termination": {spec: LeaderWorkerSetSpec{PodTerminationPolicy: ParallelPodTerminationPolicy}},
		"groups without an index": {
			spec: LeaderWorkerSetSpec{GroupIdentity: "Hash", GroupReplacementPolicy: "Immediate"},
			want: []string{"spec.groupIdentity", "spec.groupReplacementPolicy"},
		},
		"gangs of groups": {spec: LeaderWorkerSetSpec{Scheduling: &Scheduling{Replica: &ReplicaScheduling{}}}},
		"a gang of all groups": {
			spec: LeaderWorkerSetSpec{Scheduling: &Scheduling{
				SchedulingPolicy: &SchedulingPolicy{}, DisruptionMode: &DisruptionMode{},
				SchedulingConstraints: &SchedulingConstraints{}, ResourceClaims: []SchedulingResourceClaim{{Name: "a"}},
			}},
			want: []string{
				"spec.scheduling.schedulingPolicy", "spec.scheduling.schedulingConstraints",
				"spec.scheduling.disruptionMode", "spec.scheduling.resourceClaims",
			},
		},
		"a value of tomorrow": {spec: LeaderWorkerSetSpec{GroupIdentity: "Random"}, want: []string{"spec.groupIdentity"}},
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, err := range tc.spec.Unsupported() {
				got = append(got, err.Field)
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("unsupported: %v; want %v", got, tc.want)
			}
		})
	}
}
