// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package v1

import (
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
)

// Default sets every unset optional field that has a default, and replaces the deprecated restart policy Default by
// None. The schema of the CRD has the same defaults. Default serves objects that did not pass through the schema, and
// makes the one replacement that a schema cannot make.
func (lws *LeaderWorkerSet) Default() {
	spec := &lws.Spec
	setDefault(&spec.Replicas, 1)
	if spec.StartupPolicy == "" {
		spec.StartupPolicy = LeaderCreatedStartupPolicy
	}
	spec.RolloutStrategy.setDefaults()
	if spec.NetworkConfig == nil {
		spec.NetworkConfig = &NetworkConfig{}
	}
	setDefault(&spec.NetworkConfig.SubdomainPolicy, SubdomainShared)
	setDefault(&spec.RevisionHistoryLimit, 10)
	spec.LeaderWorkerTemplate.setDefaults()
}

func (s *RolloutStrategy) setDefaults() {
	if s.Type == "" {
		s.Type = RollingUpdateStrategyType
	}
	if s.RollingUpdateConfiguration == nil {
		s.RollingUpdateConfiguration = &RollingUpdateConfiguration{}
	}
	setDefault(&s.RollingUpdateConfiguration.Partition, 0)
	setDefault(&s.RollingUpdateConfiguration.MaxUnavailable, intstr.FromInt32(1))
	setDefault(&s.RollingUpdateConfiguration.MaxSurge, intstr.FromInt32(0))
}

func (t *LeaderWorkerTemplate) setDefaults() {
	setDefault(&t.Size, 1)
	switch t.RestartPolicy {
	case "":
		t.RestartPolicy = RecreateGroupOnPodRestart
	case DeprecatedDefaultRestartPolicy:
		t.RestartPolicy = NoneRestartPolicy
	}
	if t.SubGroupPolicy != nil && t.SubGroupPolicy.Type == "" {
		t.SubGroupPolicy.Type = SubGroupPolicyTypeLeaderWorker
	}
}

func setDefault[T any](field **T, value T) {
	if *field == nil {
		*field = ptr.To(value)
	}
}
