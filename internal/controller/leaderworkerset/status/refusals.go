// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package status

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// causeOf returns what is the same in the messages of one cause: the API server names the pod, and how much of a quota
// is used at the time.
func causeOf(message string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return -1
		}
		return r
	}, message)
}

// causes returns the obstacles without refusals of the same cause as one before.
func causes(obstacles []Obstacle) []Obstacle {
	var distinct []Obstacle
	for _, obstacle := range obstacles {
		isKnown := func(known Obstacle) bool {
			return known.Refusal && causeOf(known.Message) == causeOf(obstacle.Message)
		}
		if !obstacle.Refusal || !slices.ContainsFunc(distinct, isKnown) {
			distinct = append(distinct, obstacle)
		}
	}
	return distinct
}

// unlessSameCause returns the message of the condition ReplicaFailure: the present one while the pods are refused for
// the same cause. Each other message is an event.
func unlessSameCause(in Input, present []metav1.Condition, message string) string {
	known := meta.FindStatusCondition(present, leaderworkersetv1.ConditionReplicaFailure)
	onlyRefusals := !slices.ContainsFunc(in.Obstacles, func(obstacle Obstacle) bool { return !obstacle.Refusal })
	if message != "" && known != nil && onlyRefusals && causeOf(known.Message) == causeOf(message) {
		return known.Message
	}
	return message
}

// unlessSame returns the message about an unready group: the present one while the group is refused for the same cause.
func unlessSame(in Input, index int32, present, message string) string {
	blocked := blockedBy(in, index)
	if blocked != nil && blocked.Refusal && causeOf(present) == causeOf(message) {
		return present
	}
	return message
}

// blockedBy returns the first obstacle of a group; nil if there is none.
func blockedBy(in Input, index int32) *Obstacle {
	for i := range in.Obstacles {
		if in.Obstacles[i].Group == index {
			return &in.Obstacles[i]
		}
	}
	return nil
}

// withRefusedSurge returns the number of groups to report on: those that are asked for, and the surge up to the highest
// group that is refused.
func withRefusedSurge(in Input, replicas int32) int32 {
	highest := replicas - 1
	for _, obstacle := range in.Obstacles {
		if obstacle.Refusal {
			highest = max(highest, obstacle.Group)
		}
	}
	return highest + 1
}
