// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/release"
)

// film is what has happened so far.
type film struct {
	lines []line

	// revisions are the numbers of revisions by key: what a key is changes with the version of Kubernetes' types.
	revisions map[string]int64
}

// line is one or more things of the same kind that happened one after the other.
type line struct {
	at          time.Duration
	actor, verb string
	objects     []string
	reason      string // of what the operator writes; empty for others
}

// String is the line as people read it.
func (l line) String() string {
	text := fmt.Sprintf("%7.1fs  %-24s %s %s", l.at.Seconds(), l.actor, l.verb, strings.Join(l.objects, ", "))
	if l.reason != "" {
		text += ": " + l.reason
	}
	return strings.TrimRight(text, " ")
}

// tell adds to the film.
func (w *World) tell(actor, verb, object string) { w.tellWhy(actor, verb, object, "") }

// tellWhy adds to the film something that the operator writes for a reason.
func (w *World) tellWhy(actor, verb, object, reason string) {
	now := w.clock.Since(w.began)
	next := line{at: now, actor: actor, verb: verb, objects: []string{object}, reason: w.film.withoutKeys(reason)}
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

// User has a user do something, and says what.
func (w *World) User(what string, do func() error) {
	w.t.Helper()
	w.tell("user", what, "")
	w.accident(func() { w.must(do()) })
}

// Film is everything that happened, one line for each thing.
func (w *World) Film() string { return w.film.text(0) }

// end is the last part of the film.
func (f *film) end() string { return f.text(max(len(f.lines)-150, 0)) }

func (f *film) text(from int) string {
	var text strings.Builder
	for _, line := range f.lines[from:] {
		text.WriteString(line.String() + "\n")
	}
	return text.String()
}

// watch learns the numbers of revisions.
func (f *film) watch(change Change) {
	revision, ok := change.New.(*appsv1.ControllerRevision)
	if !ok {
		return
	}
	if key := revision.Labels[leaderworkersetv1.RevisionLabelKey]; key != "" && revision.Revision > 0 && f.revisions[key] == 0 {
		if f.revisions == nil {
			f.revisions = map[string]int64{}
		}
		f.revisions[key] = revision.Revision
	}
}

// noun is what films call the kind of an object.
func noun(object client.Object) string {
	kind := fmt.Sprintf("%T", object)
	kind = kind[strings.LastIndex(kind, ".")+1:]
	if kind == kindPod {
		return "pod"
	}
	return kind
}

// nameOf is what films call an object: revisions by their number, those of StatefulSets by whose they are.
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

// described is an object's name, and what is worth to be known of a new one.
func (w *World) described(object client.Object) string {
	if sts, ok := object.(*appsv1.StatefulSet); ok {
		return fmt.Sprintf("%s (%s)", sts.Name, strings.Join(w.facts(sts), ", "))
	}
	return nameOf(object)
}

// facts are what films tell of a StatefulSet, always in the same order.
func (w *World) facts(sts *appsv1.StatefulSet) []string {
	facts := []string{fmt.Sprintf("replicas %d", ptr.Deref(sts.Spec.Replicas, 1))}
	if isLeaders(sts) {
		facts = append(facts, fmt.Sprintf("partition %d", release.Of(sts).Partition))
	}
	return append(facts, fmt.Sprintf("revision %d", w.film.revisions[sts.Labels[leaderworkersetv1.RevisionLabelKey]]))
}

// allFacts are those, and what they tell of a StatefulSet only when it changes.
func (w *World) allFacts(sts *appsv1.StatefulSet) []string {
	also := strings.Trim(fmt.Sprint(release.Of(sts).Also), "[]")
	return append(w.facts(sts), "strategy "+string(sts.Spec.UpdateStrategy.Type), "also "+cmp.Or(also, "none"))
}

// difference is an object's name and what has changed.
func (w *World) difference(old, updated client.Object) string {
	before, isSet := old.(*appsv1.StatefulSet)
	after, isStillSet := updated.(*appsv1.StatefulSet)
	if !isSet || !isStillSet {
		return nameOf(updated)
	}
	var changes []string
	was := w.allFacts(before)
	for i, is := range w.allFacts(after) {
		if _, value, _ := strings.Cut(is, " "); is != was[i] {
			changes = append(changes, was[i]+" to "+value)
		}
	}
	return fmt.Sprintf("%s (%s)", after.Name, cmp.Or(strings.Join(changes, ", "), "metadata"))
}

// isLeaders says whether a StatefulSet of a LeaderWorkerSet is the one of its leaders.
func isLeaders(sts *appsv1.StatefulSet) bool {
	return sts.Labels[leaderworkersetv1.SetNameLabelKey] != "" && sts.Labels[leaderworkersetv1.GroupIndexLabelKey] == ""
}

// statusWords are the counts, and the conditions that hold.
func statusWords(status *leaderworkersetv1.LeaderWorkerSetStatus) string {
	var holding []string
	for _, condition := range status.Conditions {
		if condition.Status == metav1.ConditionTrue {
			holding = append(holding, condition.Type)
		}
	}
	return fmt.Sprintf("replicas %d, ready %d, updated %d; %s",
		status.Replicas, status.ReadyReplicas, status.UpdatedReplicas, strings.Join(holding, " "))
}

// withoutKeys has revisions' keys in a text replaced by their numbers.
func (f *film) withoutKeys(text string) string {
	for key, number := range f.revisions {
		text = strings.ReplaceAll(text, key, fmt.Sprintf("<%d>", number))
	}
	return text
}
