// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package refusal decides which missing pods of a StatefulSet the API server refuses, and when the StatefulSet
// controller is asked to try again.
//
// The StatefulSet controller reports a refusal in an event about the StatefulSet, and nowhere else. The event says
// nothing about the present: the pod may exist by now. So a refusal counts only while a pod is missing, and only if it
// was reported in that time.
//
// The controller drops events that come too often: after 25 about one StatefulSet, it reports one in 5 minutes. So a
// pod also counts as refused if another one was refused shortly before, and nothing else explains why it is missing.
//
// After a refusal the controller tries again after a delay that doubles, up to 1,000 s. Any change of the StatefulSet
// makes it try at once. So the operator changes an annotation: soon after room was freed, and else once a minute.
package refusal

import (
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/snapshot"
)

// Options shape decisions.
type Options struct {
	// ConfirmAfter is how long a pod has to be missing until a refusal of it counts. A quota counts a deleted pod for a
	// short time.
	ConfirmAfter time.Duration

	// LookAfter is how long a pod has to be missing without a refusal until the operator looks for a pod of its name, and
	// the time between such looks.
	LookAfter time.Duration

	// UnreportedFor is how long after a reported refusal the controller may drop the events of others.
	UnreportedFor time.Duration

	// RetryDelays are the times before the first retry and between retries. The last one is that of all further retries.
	RetryDelays []time.Duration
}

// DefaultOptions returns the options that the operator runs with.
func DefaultOptions() Options {
	return Options{
		ConfirmAfter:  2 * time.Second,
		LookAfter:     5 * time.Second,
		UnreportedFor: 5 * time.Minute,
		RetryDelays: []time.Duration{
			0, 2 * time.Second, 10 * time.Second, 20 * time.Second, 40 * time.Second, time.Minute,
		},
	}
}

// firstRetry is the index of the delay before the first retry, if no room was freed. The StatefulSet controller itself
// tries often in the first seconds.
const firstRetry = 2

// Gap is a time in which one pod of a StatefulSet is missing.
type Gap struct {
	// Since is when the pod was first missing.
	Since time.Time

	// Earlier is the refusal that was known then, of an earlier gap.
	Earlier snapshot.Refusal
}

// Memory is what is remembered of one StatefulSet that lacks pods. The zero value is that of a complete one.
type Memory struct {
	// StatefulSet is the UID of the StatefulSet.
	StatefulSet types.UID

	// Gaps are the missing pods, by ordinal. Read-only.
	Gaps map[int32]Gap

	// Retries is how often the controller was asked to try again since room was freed, and RetriedAt when it last was, or
	// when the StatefulSet began to lack pods.
	Retries   int
	RetriedAt time.Time

	// LookedAt is when a pod of another owner was last looked for, and InTheWay what was found.
	LookedAt time.Time
	InTheWay Pod

	// Unexplained says that no refusal says why a pod is missing.
	Unexplained bool
}

// Pod is a pod of another owner that has the name of a missing one. The zero value is none.
type Pod struct {
	Name string

	// Terminating says that the pod terminates. Nobody has to know of it then.
	Terminating bool
}

// Input is what one decision looks at.
type Input struct {
	// Memory is that of the last pass.
	Memory Memory

	// StatefulSet is the UID of the StatefulSet that lacks pods, and Missing are their ordinals, lowest first.
	StatefulSet types.UID
	Missing     []int32

	// Latest is the latest refusal of a pod of the StatefulSet.
	Latest snapshot.Refusal

	// Looked says that a pod of another owner was looked for now, and InTheWay what was found.
	Looked   bool
	InTheWay Pod

	// Unknown says that the process hasn't seen the StatefulSet before.
	Unknown bool

	// FreedAt is when a pod of the set was last deleted; zero if none was.
	FreedAt time.Time

	Now     time.Time
	Options Options
}

// Decision is what is refused, and what to do about it.
type Decision struct {
	// Memory is for the next pass.
	Memory Memory

	// Refused are the missing pods that the API server refuses, and what it said, by ordinal.
	Refused map[int32]string

	// Unconfirmed says that the API server has refused a missing pod that doesn't count as refused yet.
	Unconfirmed bool

	// InTheWay is the message about a pod of another owner that has the name of a missing one; empty if there is none.
	InTheWay string

	// Stalled says that a pod has been missing for longer than its creation takes.
	Stalled bool

	// Retry says why the controller is asked to try again now; empty if it isn't.
	Retry string

	// RequeueAfter is when the next decision is due; 0 if it isn't.
	RequeueAfter time.Duration
}

// With returns the input with a StatefulSet, the ordinals of its missing pods, and what a pass observed of those. The
// StatefulSet is nil if there is none: then no pod is missing.
func (in Input) With(sts *appsv1.StatefulSet, missing []int32, observed snapshot.MissingPods) Input {
	if sts != nil {
		in.StatefulSet = sts.UID
	}
	in.Missing, in.Latest, in.Looked = missing, observed.Refusal, observed.LookedForPod
	if found := observed.InTheWay; found != nil {
		in.InTheWay = Pod{Name: found.Name, Terminating: found.DeletionTimestamp != nil}
	}
	return in
}

// Next decides on the missing pods of a StatefulSet.
func Next(in Input) Decision {
	if len(in.Missing) == 0 {
		return Decision{}
	}
	decision := Decision{Memory: in.remembered(), Refused: map[int32]string{}}
	memory := &decision.Memory
	if pod := memory.InTheWay; pod.Name != "" && !pod.Terminating {
		decision.InTheWay = snapshot.NameTaken("pod", pod.Name)
	}
	due := never
	for ordinal, gap := range memory.Gaps {
		wait, refused := gap.Since.Add(in.Options.ConfirmAfter).Sub(in.Now), in.Latest.IsAfter(gap.Earlier)
		switch {
		case refused && wait > 0:
			decision.Unconfirmed = true
			due = min(due, wait)
		case refused:
			decision.Refused[ordinal] = in.Latest.Message
		default:
			memory.Unexplained = true
			if in.isUnreported(memory, gap) {
				decision.Refused[ordinal] = in.Latest.Message
			}
		}
		decision.Stalled = decision.Stalled || wait <= 0
	}
	if memory.Unexplained {
		due = min(due, in.nextLook(memory).Sub(in.Now))
	}
	if wait := in.nextRetry(memory).Sub(in.Now); wait <= 0 {
		decision.Retry = in.whyRetry(memory)
		memory.Retries++
		memory.RetriedAt = in.Now
	}
	due = min(due, in.nextRetry(memory).Sub(in.Now))
	decision.RequeueAfter = max(due, time.Millisecond)
	return decision
}

// isUnreported reports whether the refusal of a missing pod is likely, though no event says so: another refusal was
// reported shortly before, the controller has had time to create the pod, and no other pod has its name.
func (in *Input) isUnreported(memory *Memory, gap Gap) bool {
	return in.Latest != (snapshot.Refusal{}) && in.Now.Sub(in.Latest.At) < in.Options.UnreportedFor &&
		memory.LookedAt.Sub(gap.Since) >= in.Options.LookAfter && memory.InTheWay == (Pod{})
}

// Said returns what the API server said of the refused pods; empty if none is refused.
func (d *Decision) Said() string {
	for _, message := range d.Refused {
		return message // That of the latest refusal, for all.
	}
	return ""
}

// RetriedAt returns the value of the annotation that makes the controller try again now; empty if it isn't asked to.
func (d *Decision) RetriedAt(now time.Time) string {
	if d.Retry == "" {
		return ""
	}
	return now.UTC().Format(time.RFC3339)
}

const never = time.Duration(1<<63 - 1)

// remembered returns the memory with the gaps of now, before any retry.
func (in *Input) remembered() Memory {
	memory := in.Memory
	if memory.StatefulSet != in.StatefulSet {
		memory = Memory{StatefulSet: in.StatefulSet, Retries: firstRetry, RetriedAt: in.Now}
		if in.Unknown && in.Latest != (snapshot.Refusal{}) {
			memory.Retries, memory.RetriedAt = 0, time.Time{}
		}
	}
	gaps := make(map[int32]Gap, len(in.Missing))
	for _, ordinal := range in.Missing {
		gap, known := memory.Gaps[ordinal]
		if !known {
			gap = Gap{Since: in.Now, Earlier: in.Latest}
		}
		gaps[ordinal] = gap
	}
	memory.Gaps, memory.Unexplained = gaps, false
	freed := in.FreedAt.After(memory.RetriedAt) && !in.FreedAt.Before(in.firstGap(&memory))
	if in.Looked {
		freed = freed || (memory.InTheWay != (Pod{}) && in.InTheWay == (Pod{}))
		memory.LookedAt, memory.InTheWay = in.Now, in.InTheWay
	}
	switch {
	case !freed:
	case in.Now.Sub(memory.RetriedAt) >= in.Options.RetryDelays[1]:
		memory.Retries = 0
	default:
		memory.Retries = min(memory.Retries, 1)
	}
	return memory
}

// firstGap returns when the first of the missing pods was first missing.
func (in *Input) firstGap(memory *Memory) time.Time {
	first := in.Now
	for _, gap := range memory.Gaps {
		if gap.Since.Before(first) {
			first = gap.Since
		}
	}
	return first
}

// nextRetry returns when the controller is asked to try again next. Without a sign of a refusal, that is as late as can
// be: the controller may be busy with other StatefulSets.
func (in *Input) nextRetry(memory *Memory) time.Time {
	delays := in.Options.RetryDelays
	last := len(delays) - 1
	if in.Latest == (snapshot.Refusal{}) && memory.InTheWay == (Pod{}) && memory.Retries >= firstRetry {
		return memory.RetriedAt.Add(delays[last])
	}
	return memory.RetriedAt.Add(delays[min(memory.Retries, last)])
}

// nextLook returns when a pod of another owner is looked for next.
func (in *Input) nextLook(memory *Memory) time.Time {
	after := in.firstGap(memory)
	if memory.LookedAt.After(after) {
		after = memory.LookedAt
	}
	return after.Add(in.Options.LookAfter)
}

// Looks reports whether a pass is to look for a pod of another owner that has the name of a missing one.
func (m *Memory) Looks(now time.Time, options Options) bool {
	in := Input{Now: now, Options: options}
	return m.Unexplained && !now.Before(in.nextLook(m))
}

// Unretried returns the memory after a pass that couldn't write: the controller wasn't asked to try again. before is
// the memory of the pass before.
func (m Memory) Unretried(before *Memory) Memory {
	if m.StatefulSet == before.StatefulSet {
		m.Retries, m.RetriedAt = before.Retries, before.RetriedAt
	}
	return m
}

// whyRetry returns why the controller is asked to try again.
func (in *Input) whyRetry(memory *Memory) string {
	if memory.Retries < firstRetry {
		return "pods are missing, and there may be room now"
	}
	return "pods are still missing"
}
