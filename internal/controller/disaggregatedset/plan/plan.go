// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package plan turns a snapshot of a DisaggregatedSet into the writes, the status and the events of one pass.
package plan

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	disaggregatedsetv1 "github.com/leaderworkerset/lws-operator/api/disaggregatedset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/disaggregatedset/desired"
	"github.com/leaderworkerset/lws-operator/internal/controller/disaggregatedset/revision"
	"github.com/leaderworkerset/lws-operator/internal/controller/disaggregatedset/snapshot"
	"github.com/leaderworkerset/lws-operator/internal/controller/disaggregatedset/status"
	"github.com/leaderworkerset/lws-operator/internal/controller/kstatus"
	"github.com/leaderworkerset/lws-operator/internal/controller/write"
)

// Memory is what this process remembers of a set from one pass to the next.
type Memory struct {
	// Obstacle is what was in the way of the last pass; nil for nothing.
	Obstacle *status.Obstacle

	// Current says that the snapshot shows all that the operator has written before. An operator that has just started
	// can't know that, nor can one that got no answer to a write.
	Current bool
}

// Set is what one pass over a DisaggregatedSet does, in this order.
type Set struct {
	// Writes are the changes of child objects. The first one that fails ends them, unless it is optional.
	Writes []write.Write

	// WriteEvents are recorded once the writes are made.
	WriteEvents []write.Event

	// Scalers are the statuses of scalers that change.
	Scalers []ScalerStatus

	// Status is the status after this pass.
	Status disaggregatedsetv1.DisaggregatedSetStatus

	// StatusEvents are recorded once the status is written.
	StatusEvents []write.Event

	// RequeueAfter is when the next pass is due at the latest; 0 if it waits for an event.
	RequeueAfter time.Duration

	// Reason says in words where the rollout is.
	Reason string
}

// ScalerStatus is a change of a scaler's status.
type ScalerStatus struct {
	Observed, Updated *disaggregatedsetv1.DisaggregatedSetRoleScaler
}

// ForSet plans a pass over a DisaggregatedSet. An unchanged world gives no writes, an equal status and no events. now
// is the time of conditions that change. The error is that the set's templates can't be hashed.
func ForSet(set *snapshot.Set, memory *Memory, now time.Time) (Set, error) {
	key, err := revision.Current(set)
	if err != nil {
		return Set{}, err
	}
	planned := Set{}
	planned.addScalers(set, metav1.NewTime(now))
	updating, reason := false, ""
	for slice := range *set.DSet.Spec.Slices {
		s := observe(set, slice, key)
		decision := s.next()
		planned.add(s.writes(&decision))
		if s.updating(&decision) {
			updating = true
			if reason == "" {
				reason = s.explain(&decision)
			}
		}
	}
	planned.add(surplus(set))
	planned.add(leftOver(set))
	if !memory.Current && len(planned.Writes) > 0 {
		planned.Writes = slices.Concat(checks(set), planned.Writes)
	}
	planned.Reason = reason
	planned.Status, planned.StatusEvents = status.Next(status.Input{
		Set: set, Revision: key, Updating: updating, Rollout: reason, Obstacle: memory.Obstacle, Now: metav1.NewTime(now),
	})
	planned.RequeueAfter = kstatus.UntilStalled(planned.Status.Conditions, now)
	return planned, nil
}

// changes are writes, and events about them.
type changes struct {
	writes []write.Write
	events []write.Event
}

func (p *Set) add(c changes) {
	p.Writes = append(p.Writes, c.writes...)
	p.WriteEvents = append(p.WriteEvents, c.events...)
}

// addScalers creates the scalers of roles that need one, deletes the others, and reports to autoscalers.
func (p *Set) addScalers(set *snapshot.Set, now metav1.Time) {
	for i := range set.DSet.Spec.Roles {
		role := &set.DSet.Spec.Roles[i]
		scaler := set.Scalers[role.Name]
		switch {
		case !role.IsExternal():
		case scaler == nil:
			wanted := desired.Scaler(set.DSet, role.Name, set.FirstReplicas(role.Name))
			p.add(changes{
				writes: []write.Write{create(set, wanted, "role "+role.Name+" is scaled by others")},
				events: []write.Event{status.Normal(disaggregatedsetv1.ReasonScalerCreated, "created scaler "+wanted.Name)},
			})
		case scaler.DeletionTimestamp == nil:
			updated := scaler.DeepCopy()
			updated.Status = status.Scaler(set, role.Name, scaler, now)
			if !equality.Semantic.DeepEqual(scaler.Status, updated.Status) {
				p.Scalers = append(p.Scalers, ScalerStatus{Observed: scaler, Updated: updated})
			}
		}
	}
	p.add(needlessScalers(set))
}

// needlessScalers deletes scalers whose role is gone or isn't External any more.
func needlessScalers(set *snapshot.Set) changes {
	var c changes
	for _, name := range sortedKeys(set.Scalers) {
		scaler, role := set.Scalers[name], set.Role(name)
		if scaler.DeletionTimestamp != nil || (role != nil && role.IsExternal()) {
			continue
		}
		c.writes = append(c.writes, write.Write{Delete: []write.Object{scaler}, Reason: "role " + name + " isn't External"})
		c.events = append(c.events, status.Normal(disaggregatedsetv1.ReasonScalerDeleted, "deleted scaler "+scaler.Name))
	}
	return c
}

// surplus deletes the LeaderWorkerSets of slices that the spec no longer has.
func surplus(set *snapshot.Set) changes {
	return deletion(slices.DeleteFunc(slices.Clone(set.Children), func(child snapshot.Child) bool {
		return child.Slice < *set.DSet.Spec.Slices
	}), "the slice is gone")
}

// leftOver deletes Services that another controller created for LeaderWorkerSets. Pods need none of them.
func leftOver(set *snapshot.Set) changes {
	var c changes
	for _, service := range set.Services {
		c.writes = append(c.writes, write.Write{
			Delete: []write.Object{service}, Reason: "another controller has left the Service behind", Optional: true,
		})
	}
	return c
}

// checks returns a check of each LeaderWorkerSet. A step of a rollout is right only beside the others as they are. The
// precondition of a change only holds for one of them.
func checks(set *snapshot.Set) []write.Write {
	var all []write.Write
	for _, child := range set.Children {
		if !child.Terminating() {
			all = append(all, write.Write{
				Check: child.LWS, Reason: "the operator may have written what the cache doesn't show yet",
			})
		}
	}
	return all
}

// create returns the creation of a child object. Others are written although it is refused: the rollout counts what
// exists.
func create(set *snapshot.Set, object write.Object, reason string) write.Write {
	owner := desired.Owner(set.DSet)
	return write.Write{Create: object, OwnerMustLive: &owner, Optional: true, Reason: reason}
}
