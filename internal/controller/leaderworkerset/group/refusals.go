// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package group

import (
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/refusal"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/snapshot"
	"github.com/leaderworkerset/lws-operator/internal/controller/write"
)

// MissingWorkers decides on the workers that the StatefulSet controller has yet to create. The input has all that isn't
// a member's.
func MissingWorkers(m *snapshot.GroupMembers, in refusal.Input) refusal.Decision {
	return refusal.Next(in.With(m.OwnWorkers(), m.MissingWorkers(), m.MissingPods))
}

// WithMissing adds to a verdict what the decision on missing workers asks for.
func (v Verdict) WithMissing(m *snapshot.GroupMembers, missing *refusal.Decision, now time.Time) Verdict {
	if v.Obstacle == "" {
		v.Obstacle = missing.InTheWay
	}
	changesWorkers := func(planned write.Write) bool { return planned.Patch != nil && planned.Patch.From == m.Workers }
	if missing.Retry == "" || slices.ContainsFunc(v.Writes, changesWorkers) {
		return v // Any change of the StatefulSet makes its controller try again.
	}
	retried := m.Workers.DeepCopy()
	metav1.SetMetaDataAnnotation(&retried.ObjectMeta, leaderworkersetv1.RetriedAtAnnotationKey, missing.RetriedAt(now))
	v.Writes = append(v.Writes, write.Write{
		Patch: &write.Patch{From: m.Workers, To: retried}, If: write.SameUID,
		Reason: "the StatefulSet controller tries again to create missing workers: " + missing.Retry,
	})
	return v
}
