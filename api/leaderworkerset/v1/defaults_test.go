// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package v1_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// defaults is the spec of a set that doesn't say anything.
func defaults() leaderworkersetv1.LeaderWorkerSetSpec {
	return leaderworkersetv1.LeaderWorkerSetSpec{
		Replicas:      ptr.To[int32](1),
		StartupPolicy: leaderworkersetv1.LeaderCreatedStartupPolicy,
		RolloutStrategy: leaderworkersetv1.RolloutStrategy{
			Type: leaderworkersetv1.RollingUpdateStrategyType,
			RollingUpdateConfiguration: &leaderworkersetv1.RollingUpdateConfiguration{
				Partition:      ptr.To[int32](0),
				MaxUnavailable: ptr.To(intstr.FromInt32(1)),
				MaxSurge:       ptr.To(intstr.FromInt32(0)),
			},
		},
		NetworkConfig:        &leaderworkersetv1.NetworkConfig{SubdomainPolicy: ptr.To(leaderworkersetv1.SubdomainShared)},
		RevisionHistoryLimit: ptr.To[int32](10),
		LeaderWorkerTemplate: leaderworkersetv1.LeaderWorkerTemplate{
			Size:          ptr.To[int32](1),
			RestartPolicy: leaderworkersetv1.RecreateGroupOnPodRestart,
		},
	}
}

func TestDefault(t *testing.T) {
	type spec = leaderworkersetv1.LeaderWorkerSetSpec
	for _, tc := range []struct {
		name      string
		set, want func(*spec) // Of the spec before Default, and of the defaults after it.
	}{
		{"nothing is set", func(*spec) {}, func(*spec) {}},
		{
			"zero replicas are a wish",
			func(s *spec) { s.Replicas = ptr.To[int32](0) },
			func(s *spec) { s.Replicas = ptr.To[int32](0) },
		},
		{
			"size",
			func(s *spec) { s.LeaderWorkerTemplate.Size = ptr.To[int32](4) },
			func(s *spec) { s.LeaderWorkerTemplate.Size = ptr.To[int32](4) },
		},
		{
			"no history is a wish",
			func(s *spec) { s.RevisionHistoryLimit = ptr.To[int32](0) },
			func(s *spec) { s.RevisionHistoryLimit = ptr.To[int32](0) },
		},
		{
			"startupPolicy",
			func(s *spec) { s.StartupPolicy = leaderworkersetv1.LeaderReadyStartupPolicy },
			func(s *spec) { s.StartupPolicy = leaderworkersetv1.LeaderReadyStartupPolicy },
		},
		{
			"the old restartPolicy Default is None",
			func(s *spec) {
				s.LeaderWorkerTemplate.RestartPolicy = leaderworkersetv1.DeprecatedDefaultRestartPolicy
			},
			func(s *spec) { s.LeaderWorkerTemplate.RestartPolicy = leaderworkersetv1.NoneRestartPolicy },
		},
		{
			"restartPolicy",
			func(s *spec) { s.LeaderWorkerTemplate.RestartPolicy = leaderworkersetv1.RecreateGroupAfterStart },
			func(s *spec) { s.LeaderWorkerTemplate.RestartPolicy = leaderworkersetv1.RecreateGroupAfterStart },
		},
		{
			"networkConfig without subdomainPolicy",
			func(s *spec) { s.NetworkConfig = &leaderworkersetv1.NetworkConfig{} },
			func(*spec) {},
		},
		{
			"subdomainPolicy",
			func(s *spec) {
				policy := leaderworkersetv1.SubdomainUniquePerReplica
				s.NetworkConfig = &leaderworkersetv1.NetworkConfig{SubdomainPolicy: &policy}
			},
			func(s *spec) { s.NetworkConfig.SubdomainPolicy = ptr.To(leaderworkersetv1.SubdomainUniquePerReplica) },
		},
		{
			"part of the rollout's configuration",
			func(s *spec) {
				s.RolloutStrategy.RollingUpdateConfiguration = &leaderworkersetv1.RollingUpdateConfiguration{
					MaxSurge: ptr.To(intstr.FromString("25%")),
				}
			},
			func(s *spec) {
				s.RolloutStrategy.RollingUpdateConfiguration.MaxSurge = ptr.To(intstr.FromString("25%"))
			},
		},
		{
			"maxUnavailable 0 and partition",
			func(s *spec) {
				s.RolloutStrategy.RollingUpdateConfiguration = &leaderworkersetv1.RollingUpdateConfiguration{
					Partition: ptr.To[int32](3), MaxUnavailable: ptr.To(intstr.FromInt32(0)),
				}
			},
			func(s *spec) {
				s.RolloutStrategy.RollingUpdateConfiguration.Partition = ptr.To[int32](3)
				s.RolloutStrategy.RollingUpdateConfiguration.MaxUnavailable = ptr.To(intstr.FromInt32(0))
			},
		},
		{
			"subGroupPolicy without a type",
			func(s *spec) {
				s.LeaderWorkerTemplate.SubGroupPolicy = &leaderworkersetv1.SubGroupPolicy{SubGroupSize: ptr.To[int32](2)}
			},
			func(s *spec) {
				s.LeaderWorkerTemplate.SubGroupPolicy = &leaderworkersetv1.SubGroupPolicy{
					Type: leaderworkersetv1.SubGroupPolicyTypeLeaderWorker, SubGroupSize: ptr.To[int32](2),
				}
			},
		},
		{
			"an empty subGroupPolicy, which older versions stored, gets no size",
			func(s *spec) { s.LeaderWorkerTemplate.SubGroupPolicy = &leaderworkersetv1.SubGroupPolicy{} },
			func(s *spec) {
				s.LeaderWorkerTemplate.SubGroupPolicy = &leaderworkersetv1.SubGroupPolicy{
					Type: leaderworkersetv1.SubGroupPolicyTypeLeaderWorker,
				}
			},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var lws leaderworkersetv1.LeaderWorkerSet
			tc.set(&lws.Spec)
			want := defaults()
			tc.want(&want)

			lws.Default()
			if diff := cmp.Diff(want, lws.Spec); diff != "" {
				t.Errorf("spec after Default (-want +got):\n%s", diff)
			}
			lws.Default()
			if diff := cmp.Diff(want, lws.Spec); diff != "" {
				t.Errorf("spec after a second Default (-want +got):\n%s", diff)
			}
		})
	}
}
