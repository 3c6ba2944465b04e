// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package revision finds the revision of a DisaggregatedSet's templates. A revision is compared by what it means: roles
// that are equal but for their order or the way they are written keep the revision that they have.
package revision

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"

	disaggregatedsetv1 "github.com/leaderworkerset/lws-operator/api/disaggregatedset/v1"
	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/internal/controller/disaggregatedset/desired"
	"github.com/leaderworkerset/lws-operator/internal/controller/disaggregatedset/identity"
	"github.com/leaderworkerset/lws-operator/internal/controller/disaggregatedset/snapshot"
	lwsrevision "github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/revision"
)

// Current returns the key of the revision of the set's spec. It is that of living children which mean the same, or else
// the hash of the spec. A hash that children of another meaning have is not used: changes of networkConfig and
// startupPolicy make a new revision, but aren't part of the hash.
func Current(set *snapshot.Set) (string, error) {
	meanings := map[string]meaning{}
	for i := range set.DSet.Spec.Roles {
		role := &set.DSet.Spec.Roles[i]
		meanings[role.Name] = meaningOf(desired.WithoutInjected(&role.Spec))
	}
	byKey := map[string][]snapshot.Child{}
	var newestFirst []string
	for _, child := range byAge(set.Children) {
		if child.Terminating() || child.Revision == "" {
			continue
		}
		if byKey[child.Revision] == nil {
			newestFirst = append(newestFirst, child.Revision)
		}
		byKey[child.Revision] = append(byKey[child.Revision], child)
	}
	computed, err := unusedKey(set.DSet.Spec.Roles, func(key string) bool {
		return byKey[key] != nil && !equal(byKey[key], meanings)
	})
	if err != nil || byKey[computed] != nil {
		return computed, err
	}
	for _, key := range newestFirst {
		if equal(byKey[key], meanings) && hasAllRoles(byKey[key], meanings) {
			return key, nil
		}
	}
	return computed, nil
}

func byAge(children []snapshot.Child) []snapshot.Child {
	newestFirst := slices.Clone(children)
	slices.SortStableFunc(newestFirst, func(a, b snapshot.Child) int {
		return b.LWS.CreationTimestamp.Compare(a.LWS.CreationTimestamp.Time)
	})
	return newestFirst
}

// equal reports whether each child means what its role does.
func equal(children []snapshot.Child, meanings map[string]meaning) bool {
	return !slices.ContainsFunc(children, func(child snapshot.Child) bool {
		role, ok := meanings[child.Role]
		return !ok || !role.equal(meaningOf(desired.WithoutInjected(&child.LWS.Spec)))
	})
}

func hasAllRoles(children []snapshot.Child, meanings map[string]meaning) bool {
	roles := map[string]bool{}
	for _, child := range children {
		roles[child.Role] = true
	}
	return len(roles) == len(meanings)
}

// meaning is what a LeaderWorkerSet can only take on by being new.
type meaning struct {
	template      lwsrevision.Template
	startupPolicy leaderworkersetv1.StartupPolicyType
}

func meaningOf(spec *leaderworkersetv1.LeaderWorkerSetSpec) meaning {
	lws := leaderworkersetv1.LeaderWorkerSet{Spec: *spec}
	return meaning{template: lwsrevision.TemplateOf(&lws), startupPolicy: spec.StartupPolicy}
}

func (m meaning) equal(other meaning) bool {
	return m.startupPolicy == other.startupPolicy && m.template.Equal(other.template)
}

// Hash returns the first 8 hexadecimal digits of the SHA-256 of the roles, as other controllers compute it: of a JSON
// array in the order of the spec. maxGroupRestarts isn't part of it. attempt tells revisions of one hash apart.
func Hash(roles []disaggregatedsetv1.DisaggregatedRoleSpec, attempt int) (string, error) {
	type template struct {
		Name     string                                 `json:"name"`
		Template leaderworkersetv1.LeaderWorkerTemplate `json:"template"`
	}
	templates := make([]template, len(roles))
	for i := range roles {
		templates[i] = template{Name: roles[i].Name, Template: roles[i].Spec.LeaderWorkerTemplate}
		templates[i].Template.MaxGroupRestarts = nil
	}
	data, err := json.Marshal(templates)
	if err != nil {
		return "", err
	}
	for range attempt {
		data = append(data, '\n')
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])[:identity.RevisionLength], nil
}

// unusedKey returns the first hash that isn't taken.
func unusedKey(roles []disaggregatedsetv1.DisaggregatedRoleSpec, taken func(key string) bool) (string, error) {
	for attempt := 0; ; attempt++ {
		key, err := Hash(roles, attempt)
		if err != nil || !taken(key) {
			return key, err
		}
	}
}
