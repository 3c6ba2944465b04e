// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
)

// film is what has happened so far.
type film struct {
	lines []line

	// revisions are the numbers of revisions by key. Films show numbers, as keys change with the version of Kubernetes'
	// types.
	revisions map[string]int64

	// hashes are the numbers of revisions of DisaggregatedSets by hash, in the order in which they were created.
	hashes map[string]int
}

// line is one event, or several of the same kind in a row.
type line struct {
	at          time.Duration
	actor, verb string
	objects     []string
	reason      string // of the operator's write; empty for others
}

// String is the line as people read it.
func (l line) String() string {
	text := fmt.Sprintf("%7.1fs  %-24s %s %s", l.at.Seconds(), l.actor, l.verb, strings.Join(l.objects, ", "))
	if l.reason != "" {
		text += ": " + l.reason
	}
	return strings.TrimRight(text, " ")
}

// record adds an event to the film.
func (w *World) record(actor, verb, object string) { w.recordWhy(actor, verb, object, "") }

// recordWhy adds a write of the operator to the film, with its reason.
func (w *World) recordWhy(actor, verb, object, reason string) {
	now := w.clock.Since(w.began)
	next := line{
		at: now, actor: w.film.withoutHashes(actor), verb: verb, objects: []string{w.film.withoutHashes(object)},
		reason: w.film.withoutHashes(w.film.withoutKeys(reason)),
	}
	object = next.objects[0]
	if last := len(w.film.lines) - 1; last >= 0 && object != "" {
		if previous := &w.film.lines[last]; previous.continuedBy(&next) {
			previous.objects = append(previous.objects, object)
			return
		}
	}
	w.film.lines = append(w.film.lines, next)
}

// continuedBy reports whether the next line only adds an object.
func (l *line) continuedBy(next *line) bool {
	return l.at == next.at && l.actor == next.actor && l.verb == next.verb && l.reason == next.reason
}

// User makes a change as a user. what describes the change in the film.
func (w *World) User(what string, do func() error) {
	w.t.Helper()
	w.record("user", what, "")
	w.accident(func() { w.must(do()) })
}

// Film returns all that happened, a line for each event.
func (w *World) Film() string { return w.film.text(0) }

// end returns the last part of the film.
func (f *film) end() string { return f.text(max(len(f.lines)-150, 0)) }

func (f *film) text(from int) string {
	var text strings.Builder
	for _, line := range f.lines[from:] {
		text.WriteString(line.String() + "\n")
	}
	return text.String()
}

// watch records the numbers of new revisions.
func (f *film) watch(change Change) {
	f.watchHashes(change)
	revision, ok := change.New.(*appsv1.ControllerRevision)
	if !ok {
		return
	}
	if key := revisionOf(revision); key != "" && revision.Revision > 0 && f.revisions[key] == 0 {
		if f.revisions == nil {
			f.revisions = map[string]int64{}
		}
		f.revisions[key] = revision.Revision
	}
}

// noun returns the word of films for the kind of an object.
func noun(object client.Object) string {
	if object.GetObjectKind().GroupVersionKind().Kind == kindPodGroup {
		return kindPodGroup
	}
	kind := fmt.Sprintf("%T", object)
	kind = kind[strings.LastIndex(kind, ".")+1:]
	if kind == kindPod {
		return "pod"
	}
	return kind
}

// nameOf returns the name of an object in films: the number of a revision, and the owner of a StatefulSet's revision.
func nameOf(object client.Object) string {
	revision, ok := object.(*appsv1.ControllerRevision)
	switch {
	case !ok:
		return object.GetName()
	case revision.Revision > 0:
		return fmt.Sprintf("%d of %s", revision.Revision, revision.Labels[leaderworkersetv1.SetNameLabelKey])
	default:
		owner := ptr.Deref(metav1.GetControllerOf(revision), metav1.OwnerReference{})
		return fmt.Sprintf("of %s %s", owner.Kind, owner.Name)
	}
}

// described returns the name of a new object, and its facts.
func (w *World) described(object client.Object) string {
	switch object := object.(type) {
	case *appsv1.StatefulSet:
		return fmt.Sprintf("%s (%s)", object.Name, strings.Join(w.facts(object), ", "))
	case *leaderworkersetv1.LeaderWorkerSet:
		return fmt.Sprintf("%s (%s)", object.Name, strings.Join(childFacts(object), ", "))
	}
	return nameOf(object)
}

// facts returns the facts of a StatefulSet that films show, always in the same order.
func (w *World) facts(sts *appsv1.StatefulSet) []string {
	facts := []string{fmt.Sprintf("replicas %d", ptr.Deref(sts.Spec.Replicas, 1))}
	if isLeaders(sts) {
		facts = append(facts, fmt.Sprintf("partition %d", releaseOf(sts).Partition))
	}
	return append(facts, fmt.Sprintf("revision %d", w.film.revisions[revisionOf(sts)]))
}

// allFacts returns those, and the facts that films show only when they change.
func (w *World) allFacts(sts *appsv1.StatefulSet) []string {
	released := releaseOf(sts)
	return append(w.facts(sts), "strategy "+string(sts.Spec.UpdateStrategy.Type),
		"also "+listed(released.Also), "deferred "+listed(released.Deferred))
}

// listed returns indices with blanks between them.
func listed(indices []int32) string { return cmp.Or(strings.Trim(fmt.Sprint(indices), "[]"), "none") }

// difference returns the name of an object, and its changes.
func (w *World) difference(old, updated client.Object) string {
	var earlier, later []string
	switch before := old.(type) {
	case *appsv1.StatefulSet:
		if after, ok := updated.(*appsv1.StatefulSet); ok {
			earlier, later = w.allFacts(before), w.allFacts(after)
		}
	case *leaderworkersetv1.LeaderWorkerSet:
		if after, ok := updated.(*leaderworkersetv1.LeaderWorkerSet); ok {
			earlier, later = childFacts(before), childFacts(after)
		}
	default:
		return nameOf(updated)
	}
	var changes []string
	for i, fact := range later {
		if _, value, _ := strings.Cut(fact, " "); fact != earlier[i] {
			changes = append(changes, earlier[i]+" to "+value)
		}
	}
	return fmt.Sprintf("%s (%s)", updated.GetName(), cmp.Or(strings.Join(changes, ", "), "metadata"))
}

// isLeaders reports whether a StatefulSet is the leader StatefulSet of a LeaderWorkerSet.
func isLeaders(sts *appsv1.StatefulSet) bool {
	_, ofGroup := sts.Labels[leaderworkersetv1.GroupIndexLabelKey]
	return sts.Labels[leaderworkersetv1.SetNameLabelKey] != "" && !ofGroup
}

// statusWords returns the counts of a status, the conditions that are True, and why pods aren't ready. Reconciling is
// left out: it is True whenever Progressing is and Stalled isn't.
func statusWords(status *leaderworkersetv1.LeaderWorkerSetStatus) string {
	var conditions []string
	for _, condition := range status.Conditions {
		if condition.Status == metav1.ConditionTrue && condition.Type != leaderworkersetv1.ConditionReconciling {
			conditions = append(conditions, condition.Type)
		}
	}
	words := []string{
		fmt.Sprintf("replicas %d, ready %d, updated %d", status.Replicas, status.ReadyReplicas, status.UpdatedReplicas),
		strings.Join(conditions, " "),
	}
	for _, group := range status.UnreadyGroups {
		if slices.Contains(reasonsOfPods, group.Reason) {
			words = append(words, fmt.Sprintf("group %d %s, %s", group.Index, group.Reason, group.Message))
		}
	}
	return strings.Join(words, "; ")
}

// reasonsOfPods are the reasons of unready groups that tell more than their pods' readiness.
var reasonsOfPods = []leaderworkersetv1.UnreadyReason{
	leaderworkersetv1.UnreadyDisrupted, leaderworkersetv1.UnreadyGated, leaderworkersetv1.UnreadyUnschedulable,
	leaderworkersetv1.UnreadyImagePull, leaderworkersetv1.UnreadyCannotStart, leaderworkersetv1.UnreadyCrashLoop,
}

// withoutKeys returns a text with the numbers of revisions instead of their keys.
func (f *film) withoutKeys(text string) string {
	for key, number := range f.revisions {
		text = strings.ReplaceAll(text, key, fmt.Sprintf("<%d>", number))
	}
	return text
}
