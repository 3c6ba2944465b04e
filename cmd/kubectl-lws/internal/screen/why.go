// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package screen

import (
	"fmt"
	"io"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/cmd/kubectl-lws/internal/view"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/status"
)

// Log is what a container logged last.
type Log struct {
	Of    string
	Lines []string
}

// Why writes the chain of causes for a group, and what to do.
func Why(out io.Writer, set *view.Set, group *view.Group, explained view.Explanation, log Log, style Style) error {
	var text strings.Builder
	state := "is ready"
	if group.Reason != "" {
		state = "isn't ready"
		if group.IsReady {
			state = "is ready, but has no restarts left"
		}
	}
	if group.Reason != "" && !group.Since.IsZero() {
		state += ", for " + age(group.Since, set.Now)
	}
	fmt.Fprintf(&text, "Group %d of %s/%s %s.\n\n", group.Index, set.LWS.Namespace, set.LWS.Name, state)
	writeTree(&text, []node{causeNode(explained.Cause, style)})
	writeLog(&text, log)
	writeAdvice(&text, explained.Advice)
	_, err := io.WriteString(out, text.String())
	return err
}

// causeNode returns a cause as a node of a tree. The words of others are quoted below it.
func causeNode(cause view.Cause, style Style) node {
	n := node{text: cause.What}
	for _, words := range cause.Words {
		for line := range strings.Lines(words) {
			n.children = append(n.children, node{text: style.paint(red, strings.TrimRight(line, "\n"))})
		}
	}
	for _, because := range cause.Because {
		n.children = append(n.children, causeNode(because, style))
	}
	return n
}

func writeLog(text *strings.Builder, log Log) {
	if len(log.Lines) == 0 {
		return
	}
	fmt.Fprintf(text, "\nThe last lines that %s logged\n", log.Of)
	for _, line := range log.Lines {
		fmt.Fprintf(text, "  | %s\n", line)
	}
}

func writeAdvice(text *strings.Builder, advice []string) {
	if len(advice) == 0 {
		return
	}
	text.WriteString("\nWhat to do\n")
	for _, line := range advice {
		fmt.Fprintf(text, "  %s\n", line)
	}
}

// WhySet writes why a set isn't ready: first what concerns it as a whole, then a line for each different reason.
func WhySet(out io.Writer, set *view.Set, style Style) error {
	var text strings.Builder
	fmt.Fprintf(&text, "%s/%s is %s: %s.\n", set.LWS.Namespace, set.LWS.Name, style.state(set.State()), progress(set))
	for _, line := range setCauses(set) {
		fmt.Fprintf(&text, "\n%s\n", line)
	}
	for _, same := range sameReason(set.WorstFirst()) {
		first := same[0]
		named := status.Groups(view.Indices(same))
		fmt.Fprintf(&text, "\n%s: %s\n  %s\n", strings.ToUpper(named[:1])+named[1:], style.group(&first),
			oneLine(first.Message))
	}
	_, err := io.WriteString(out, text.String())
	return err
}

// setCauses returns what concerns a set as a whole.
func setCauses(set *view.Set) []string {
	var causes []string
	if set.State() == view.StateUnobserved {
		causes = append(causes, "No controller has written a status. Look whether one runs: kubectl lws check")
	}
	for _, unsupported := range set.LWS.Spec.Unsupported() {
		causes = append(causes, "Not supported by the LeaderWorkerSet operator: "+unsupported.Error())
	}
	failure := set.Condition(leaderworkersetv1.ConditionReplicaFailure)
	if failure != nil && !slices.ContainsFunc(set.Unready(), saysAs(failure)) {
		causes = append(causes, "The API server refuses objects:\n  "+oneLine(failure.Message))
	}
	if held := set.Held(); len(held) > 0 {
		causes = append(causes, fmt.Sprintf("The partition, %d, keeps %s at an earlier revision. To go on: %s",
			set.Partition, status.Groups(view.Indices(held)),
			set.Command("kubectl lws rollout resume "+set.LWS.Name)))
	}
	if waiting := set.ToUpdate(); len(waiting) > 0 && set.IsUpdating() {
		causes = append(causes, fmt.Sprintf("The rolling update has yet to replace %s; %d may be unavailable.",
			status.Groups(view.Indices(waiting)), set.MaxUnavailable))
	}
	return causes
}

// saysAs returns whether a group's message is that of a condition: then the group says it.
func saysAs(condition *metav1.Condition) func(view.Group) bool {
	return func(group view.Group) bool { return group.Message == condition.Message }
}

// sameReason puts groups with the same reason together, in the order in which the reasons appear.
func sameReason(groups []view.Group) [][]view.Group {
	var reasons [][]view.Group
	at := map[leaderworkersetv1.UnreadyReason]int{}
	for _, group := range groups {
		index, known := at[group.Reason]
		if !known {
			index = len(reasons)
			at[group.Reason] = index
			reasons = append(reasons, nil)
		}
		reasons[index] = append(reasons[index], group)
	}
	return reasons
}
