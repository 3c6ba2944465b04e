// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package disaggregatedset

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	disaggregatedsetv1 "github.com/leaderworkerset/lws-operator/api/disaggregatedset/v1"
	"github.com/leaderworkerset/lws-operator/test/simulate"
)

// TestRandomWorlds changes sets in random worlds: the cache is late, other actors act in between, writes fail, and the
// operator restarts. The invariants hold at every step, and at the end each world is as its user wants it. The flag
// -seed runs one world again.
func TestRandomWorlds(t *testing.T) {
	simulate.PlayWorlds(t, *seeds, *seed, playRandomly)
}

// maxGroups bounds the groups of a role in random worlds.
const maxGroups int32 = 4

var roleNames = []string{"prefill", "decode", "encode", "route"}

// randomWorld is a world that a user changes at random.
type randomWorld struct {
	scene

	random *rand.Rand

	// images is how many images there were: each is another revision. Rollbacks are to earlier ones.
	images int
}

// playRandomly runs one random world and returns its film.
func playRandomly(t *testing.T, seed uint64) string {
	t.Helper()
	w := &randomWorld{
		scene: scene{t, simulate.NewRandom(t, operatorUnderTest(t), seed)}, images: 1,
		random: rand.New(rand.NewPCG(seed, 1)), //nolint:gosec // Not a secret: it has to repeat.
	}
	set := w.set()
	w.creates(described(set), set)
	for range 3 + w.random.IntN(5) {
		w.steps()
		w.change()
	}
	w.ends()
	return w.Film()
}

// set returns a set of two or three roles.
func (w *randomWorld) set() *disaggregatedsetv1.DisaggregatedSet {
	var roles []disaggregatedsetv1.DisaggregatedRoleSpec
	for _, name := range roleNames[:2+w.random.IntN(2)] {
		roles = append(roles, w.role(name))
	}
	set := newSet(roles...)
	withSlices(1 + w.random.Int32N(2))(set)
	return set
}

// role returns a role with groups of one or two pods.
func (w *randomWorld) role(name string) disaggregatedsetv1.DisaggregatedRoleSpec {
	surge, unavailable := w.random.Int32N(3), w.random.Int32N(3)
	if surge+unavailable == 0 {
		surge = 1
	}
	of := role(name, 1+w.random.Int32N(maxGroups), surge, unavailable)
	of.Spec.LeaderWorkerTemplate.Size = ptr.To(1 + w.random.Int32N(4)/3)
	return of
}

func described(set *disaggregatedsetv1.DisaggregatedSet) string {
	words := []string{fmt.Sprintf("%d slices", *set.Spec.Slices)}
	for i := range set.Spec.Roles {
		of := &set.Spec.Roles[i]
		budgets := of.Spec.RolloutStrategy.RollingUpdateConfiguration
		words = append(words, fmt.Sprintf("%s %d (surge %s, unavailable %s)",
			of.Name, *of.Spec.Replicas, budgets.MaxSurge.String(), budgets.MaxUnavailable.String()))
	}
	return strings.Join(words, ", ")
}

// steps takes a random number of steps, or settles.
func (w *randomWorld) steps() {
	w.Helper()
	if w.random.IntN(3) == 0 {
		w.Settle()
		return
	}
	for range w.random.IntN(300) {
		w.Step()
	}
}

// present returns the set as it is; nil if it was deleted.
func (w *randomWorld) present() *disaggregatedsetv1.DisaggregatedSet {
	set, _ := w.API.Get("DisaggregatedSet", theSet).(*disaggregatedsetv1.DisaggregatedSet)
	return set
}

// aRole returns the name of one of the set's roles.
func (w *randomWorld) aRole(set *disaggregatedsetv1.DisaggregatedSet) string {
	return set.Spec.Roles[w.random.IntN(len(set.Spec.Roles))].Name
}

// change makes one change as a user.
func (w *randomWorld) change() {
	w.Helper()
	set := w.present()
	if w.sleeps(set) {
		w.sleepOrWake(func() int32 { return 1 + w.random.Int32N(maxGroups) })
		return
	}
	switch w.random.IntN(23) {
	case 0, 1, 2, 3, 4:
		w.push()
	case 5, 6:
		image := fmt.Sprintf("image:%d", 1+w.random.IntN(w.images))
		w.changes(image+" in all roles", withImage(image))
	case 7, 8, 9, 10:
		w.scale(w.aRole(set), 1+w.random.Int32N(maxGroups))
	case 11:
		name := w.aRole(set)
		w.changes(name+" with an image that doesn't work", withImage(simulate.BrokenImage, name))
	case 12, 13:
		w.rename(set)
	case 14:
		w.addOrRemove(set)
	case 15, 16:
		w.slices(set)
	case 17:
		w.external(set)
	case 18:
		w.budgets(set)
	case 19:
		w.sleepOrWake(func() int32 { return 0 })
	case 20, 21:
		w.deletesChild()
	default:
		w.recreate()
	}
}

// push is another image of one role, of some, or of all.
func (w *randomWorld) push() {
	w.Helper()
	w.images++
	image := fmt.Sprintf("image:%d", w.images)
	if names := w.some(); len(names) > 0 {
		w.changes(fmt.Sprintf("%s in %v", image, names), withImage(image, names...))
		return
	}
	w.changes(image+" in all roles", withImage(image))
}

// some returns the names of some roles.
func (w *randomWorld) some() []string {
	return slices.DeleteFunc(slices.Clone(roleNames), func(string) bool { return w.random.IntN(2) == 0 })
}

// scale scales a role, by its scaler if it has one.
func (w *randomWorld) scale(name string, replicas int32) {
	w.Helper()
	what := fmt.Sprintf("%d groups of %s", replicas, name)
	scaler := types.NamespacedName{Namespace: theSet.Namespace, Name: theSet.Name + "-" + name}
	if w.API.Get("DisaggregatedSetRoleScaler", scaler) != nil {
		w.User("scales by the scaler: "+what, func() error { w.API.ScaleRole(scaler, replicas); return nil })
		return
	}
	w.changes(what, withReplicas(name, replicas))
}

// sleeps reports whether the set has roles without groups.
func (w *randomWorld) sleeps(set *disaggregatedsetv1.DisaggregatedSet) bool {
	return slices.ContainsFunc(set.Spec.Roles, func(r disaggregatedsetv1.DisaggregatedRoleSpec) bool {
		return !r.IsExternal() && *r.Spec.Replicas == 0
	})
}

// sleepOrWake scales all roles that have no scaler: the API server admits no set in which only some have groups.
func (w *randomWorld) sleepOrWake(replicas func() int32) {
	w.Helper()
	w.changes("all roles sleep or wake up", func(set *disaggregatedsetv1.DisaggregatedSet) {
		for i := range set.Spec.Roles {
			set.Spec.Roles[i].Spec.Replicas = ptr.To(replicas())
		}
	})
}

// deletesChild deletes one of the set's LeaderWorkerSets.
func (w *randomWorld) deletesChild() {
	w.Helper()
	children := w.API.List("LeaderWorkerSet")
	if len(children) == 0 {
		return
	}
	name := children[w.random.IntN(len(children))].GetName()
	policy := []metav1.DeletionPropagation{
		metav1.DeletePropagationBackground, metav1.DeletePropagationForeground,
	}[w.random.IntN(2)]
	w.User(fmt.Sprintf("deletes LeaderWorkerSet %s, propagation %s", name, policy), func() error {
		return w.API.Delete("LeaderWorkerSet", types.NamespacedName{Namespace: theSet.Namespace, Name: name}, nil, policy)
	})
}

func (w *randomWorld) rename(set *disaggregatedsetv1.DisaggregatedSet) {
	w.Helper()
	free := w.free(set)
	if len(free) == 0 {
		return
	}
	name := w.aRole(set)
	w.changes(name+" is called "+free[0], withName(name, free[0]))
	if len(free) > 1 && w.random.IntN(2) == 0 {
		other := w.aRole(w.present())
		w.changes(other+" is called "+free[1], withName(other, free[1]))
	}
}

// free returns the names that no role has.
func (w *randomWorld) free(set *disaggregatedsetv1.DisaggregatedSet) []string {
	return slices.DeleteFunc(slices.Clone(roleNames), func(name string) bool {
		return slices.ContainsFunc(set.Spec.Roles, func(r disaggregatedsetv1.DisaggregatedRoleSpec) bool {
			return r.Name == name
		})
	})
}

func (w *randomWorld) addOrRemove(set *disaggregatedsetv1.DisaggregatedSet) {
	w.Helper()
	if free := w.free(set); len(free) > 0 && (len(set.Spec.Roles) == 2 || w.random.IntN(2) == 0) {
		added := w.role(free[0])
		w.changes("another role, "+free[0], func(set *disaggregatedsetv1.DisaggregatedSet) {
			set.Spec.Roles = append(set.Spec.Roles, added)
		})
		return
	}
	name := w.aRole(set)
	w.changes("no role "+name, func(set *disaggregatedsetv1.DisaggregatedSet) {
		set.Spec.Roles = slices.DeleteFunc(set.Spec.Roles, func(r disaggregatedsetv1.DisaggregatedRoleSpec) bool {
			return r.Name == name
		})
	})
}

func (w *randomWorld) slices(set *disaggregatedsetv1.DisaggregatedSet) {
	w.Helper()
	isExternal := func(r disaggregatedsetv1.DisaggregatedRoleSpec) bool { return r.IsExternal() }
	if slices.ContainsFunc(set.Spec.Roles, isExternal) {
		return
	}
	count := 3 - *set.Spec.Slices
	w.changes(fmt.Sprintf("%d slices", count), withSlices(count))
}

// external leaves the number of groups of a role to its scaler, or takes it back.
func (w *randomWorld) external(set *disaggregatedsetv1.DisaggregatedSet) {
	w.Helper()
	name := w.aRole(set)
	w.changes("1 slice, and "+name+" is External or no longer is", func(set *disaggregatedsetv1.DisaggregatedSet) {
		withSlices(1)(set)
		for i := range set.Spec.Roles {
			switch of := &set.Spec.Roles[i]; {
			case of.Name != name:
			case of.IsExternal():
				of.Scaling = nil
			default:
				of.Scaling = &disaggregatedsetv1.RoleScaling{Mode: disaggregatedsetv1.ExternalScaling}
			}
		}
	})
}

func (w *randomWorld) budgets(set *disaggregatedsetv1.DisaggregatedSet) {
	w.Helper()
	name := w.aRole(set)
	next := w.role(name).Spec.RolloutStrategy
	w.changes("other budgets of "+name, func(set *disaggregatedsetv1.DisaggregatedSet) {
		for i := range set.Spec.Roles {
			if set.Spec.Roles[i].Name == name {
				set.Spec.Roles[i].Spec.RolloutStrategy = next
			}
		}
	})
}

// recreate deletes the set, and creates another one soon after. Orphaned LeaderWorkerSets belong to nobody. The user
// deletes them later: while one has a name that the set needs, the operator tries again and again.
func (w *randomWorld) recreate() {
	w.Helper()
	policies := []metav1.DeletionPropagation{
		metav1.DeletePropagationBackground, metav1.DeletePropagationForeground, metav1.DeletePropagationOrphan,
	}
	policy := policies[w.random.IntN(len(policies))]
	w.deletes(policy)
	for range w.random.IntN(30) {
		w.Step()
	}
	if w.present() != nil {
		w.Settle()
	}
	set := w.set()
	w.creates(described(set), set)
	for range w.random.IntN(100) {
		w.Step()
	}
	w.removesOrphans()
}

// ends ends a random world: with images that work, the rollout completes, and the world is as the user wants it.
func (w *randomWorld) ends() {
	w.Helper()
	w.images++
	image := fmt.Sprintf("image:%d", w.images)
	w.changes(image+" in all roles", withImage(image))
	if w.sleeps(w.present()) {
		w.change()
	}
	w.Settle()
	w.CheckRolesReconciled(theSet)
	w.deletes(metav1.DeletePropagationForeground)
	w.Settle()
	w.CheckRolesDeleted()
}
