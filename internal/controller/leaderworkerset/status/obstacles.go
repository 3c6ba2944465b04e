// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package status

import (
	"fmt"
	"strings"

	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/snapshot"
)

// Obstacle is something that the API server refused, or that is in the way of a write.
type Obstacle struct {
	// Group is the group's index, or WholeSet.
	Group int32

	// Reason is the reason of the event and condition that report it: FailedCreate or FailedUpdate.
	Reason string

	// Message is what the API server said, or why the write couldn't be made.
	Message string

	// Refusal says that the API server refuses pods. The same cause for several pods is reported once.
	Refusal bool

	// PodGroup says that the group lacks a PodGroup.
	PodGroup bool
}

// WholeSet stands in the place of a group's index for an obstacle of the whole set.
const WholeSet int32 = -1

// maxObstacles bounds how many obstacles the condition's message quotes.
const maxObstacles = 3

// replicaFailure reports what can't be written; empty if everything can.
func replicaFailure(obstacles []Obstacle) (reason, message string) {
	obstacles = causes(obstacles)
	if len(obstacles) == 0 {
		return "", ""
	}
	return obstacles[0].Reason, obstacleMessage(obstacles)
}

// maxMessage bounds what the condition's message quotes, in bytes. With the text around it, it fits into the 1024 bytes
// that the note of an event may have.
const maxMessage = 900

func obstacleMessage(obstacles []Obstacle) string {
	var messages []string
	shown := obstacles[:min(len(obstacles), maxObstacles)]
	for _, obstacle := range shown {
		messages = append(messages, snapshot.Shortened(obstacle.Message, maxMessage/len(shown)))
	}
	if more := len(obstacles) - maxObstacles; more > 0 {
		messages = append(messages, fmt.Sprintf("and %d more groups", more))
	}
	return strings.Join(messages, "; ")
}
