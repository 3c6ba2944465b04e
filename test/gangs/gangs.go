// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package gangs judges from a watch of pods whether a scheduler has kept the pods of groups together. It is pure.
package gangs

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/scheduling"
)

// Version is one version of a pod.
type Version struct {
	Pod *corev1.Pod

	// Deleted says that the pod doesn't exist any more.
	Deleted bool
}

// Faults returns what is wrong with gangs of a size. versions are all versions of their pods, in the order of the API
// server. wasTried reports whether the scheduler has asked to bind a pod.
//
// A scheduler binds the pods of a gang one after the other, once it has a node for each. So a gang may end with a part
// of its pods bound in one case only: a pod was deleted between the scheduler's decision and the binding of that pod.
// Then each pod of the gang exists at the first binding, or the scheduler asks for its binding in vain. Each pod
// without a node is marked for deletion after the first binding, or the scheduler asks for its binding in vain.
func Faults(versions []Version, size int, wasTried func(types.UID) bool) []string {
	var faults []string
	groups, names := map[string]*group{}, []string{}
	for at, version := range versions {
		pod := version.Pod
		name := scheduling.NameOf(pod)
		if name == "" {
			faults = append(faults, fmt.Sprintf("pod %s is in no PodGroup", pod.Name))
			continue
		}
		if groups[name] == nil {
			groups[name] = &group{name: name, wasTried: wasTried, members: map[types.UID]*member{}}
			names = append(names, name)
		}
		faults = append(faults, groups[name].see(version, at, size)...)
	}
	for _, name := range names {
		faults = append(faults, groups[name].partlyBound()...)
	}
	return faults
}

// group is a PodGroup.
type group struct {
	name    string
	leader  types.UID
	isBound bool
	boundAt int // the version at which the first pod was bound

	wasTried func(types.UID) bool

	members map[types.UID]*member
	order   []*member
}

// member is a pod of a PodGroup.
type member struct {
	uid                        types.UID
	name                       string
	isBound, isMarked, deleted bool
	markedAt                   int

	// presentAtBinding says that the pod existed when the first pod of its PodGroup was bound, or that the scheduler has
	// asked to bind it.
	presentAtBinding bool
}

// see takes a version of a pod into account, and returns what is wrong at that time.
func (g *group) see(version Version, at, size int) []string {
	var faults []string
	pod := version.Pod
	seen := g.members[pod.UID]
	if seen == nil {
		seen = &member{uid: pod.UID, name: pod.Name}
		g.members[pod.UID], g.order = seen, append(g.order, seen)
	}
	if pod.Labels[leaderworkersetv1.WorkerIndexLabelKey] == "0" {
		if g.leader != "" && g.leader != pod.UID {
			faults = append(faults, fmt.Sprintf("PodGroup %s has the leaders %s and %s", g.name, g.leader, pod.UID))
		}
		g.leader = pod.UID
	}
	if pod.DeletionTimestamp != nil && !seen.isMarked {
		seen.isMarked, seen.markedAt = true, at
	}
	if pod.Spec.NodeName != "" && !g.isBound {
		g.isBound, g.boundAt = true, at
		if present := g.markPresent(); present < size {
			faults = append(faults, fmt.Sprintf("PodGroup %s: %s was bound when %d of %d pods existed",
				g.name, pod.Name, present, size))
		}
	}
	seen.isBound = seen.isBound || pod.Spec.NodeName != ""
	seen.deleted = seen.deleted || version.Deleted
	return faults
}

// markPresent marks the pods that exist now or that the scheduler has asked to bind, and returns how many there are.
func (g *group) markPresent() int {
	present := 0
	for _, pod := range g.order {
		if !pod.deleted || g.wasTried(pod.uid) {
			pod.presentAtBinding = true
			present++
		}
	}
	return present
}

// partlyBound returns the pods that have no node though others of their PodGroup have, and don't have to.
func (g *group) partlyBound() []string {
	if !g.isBound {
		return nil
	}
	var faults []string
	if g.leader == "" {
		faults = append(faults, fmt.Sprintf("PodGroup %s has no leader", g.name))
	}
	for _, pod := range g.order {
		switch {
		case pod.isBound || !pod.presentAtBinding:
		case !pod.isMarked:
			faults = append(faults, fmt.Sprintf("PodGroup %s: %s has no node, and others have", g.name, pod.name))
		case pod.markedAt < g.boundAt && !g.wasTried(pod.uid):
			faults = append(faults, fmt.Sprintf("PodGroup %s: %s was deleted before others were bound", g.name, pod.name))
		}
	}
	return faults
}
