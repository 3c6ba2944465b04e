// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"
)

// TestSiblings checks that two sets don't get children of the same name: those of group 0 of "a" are called "a-0", and so is the leader
// StatefulSet of a set "a-0". Only where it really is so.
func TestSiblings(t *testing.T) {
	const (
		plain   = `{}`
		workers = `{replicas: 2, leaderWorkerTemplate: {size: 2}}`
		unique  = `{replicas: 2, networkConfig: {subdomainPolicy: UniquePerReplica}}`
		surging = `{replicas: 2, leaderWorkerTemplate: {size: 2}, rolloutStrategy: {rollingUpdateConfiguration: {maxSurge: 1}}}`
		none    = `{replicas: 0, leaderWorkerTemplate: {size: 2}}`
	)
	isGroup := func(parent string) *refusal {
		return &refusal{"metadata.name", `is the name of a group of LeaderWorkerSet "` + parent + `"`}
	}
	hasSibling := func(sibling string) *refusal {
		return &refusal{"spec.replicas", `LeaderWorkerSet "` + sibling + `" has the name of one of these groups`}
	}
	type set struct{ name, spec string }
	for name, tc := range map[string]struct {
		first, second set
		want          *refusal // nil: both may be there.
	}{
		"worker StatefulSets":               {set{"a", workers}, set{"a-0", plain}, isGroup("a")},
		"worker StatefulSets, child first":  {set{"a-0", plain}, set{"a", workers}, hasSibling("a-0")},
		"the last group":                    {set{"a", workers}, set{"a-1", plain}, isGroup("a")},
		"the last group, child first":       {set{"a-1", plain}, set{"a", workers}, hasSibling("a-1")},
		"beyond the last group":             {set{"a", workers}, set{"a-2", plain}, nil},
		"beyond the last group, then first": {set{"a-2", plain}, set{"a", workers}, nil},
		"a surge group":                     {set{"a", surging}, set{"a-2", plain}, isGroup("a")},
		"beyond the surge":                  {set{"a", surging}, set{"a-3", plain}, nil},
		"Services of groups":                {set{"a", unique}, set{"a-1", plain}, isGroup("a")},
		"Services of groups, child first":   {set{"a-1", plain}, set{"a", unique}, hasSibling("a-1")},
		"no workers":                        {set{"a", plain}, set{"a-0", workers}, nil},
		"no workers, child first":           {set{"a-0", workers}, set{"a", plain}, nil},
		"no replicas":                       {set{"a", none}, set{"a-0", plain}, nil},
		"no ordinal":                        {set{"a", workers}, set{"a-00", plain}, nil},
		"not a child's name":                {set{"a", workers}, set{"a-x", plain}, nil},
		"another prefix":                    {set{"a", workers}, set{"b-0", plain}, nil},
		"groups with groups":                {set{"a-b", workers}, set{"a-b-0", workers}, isGroup("a-b")},
		"a grandchild":                      {set{"a", workers}, set{"a-0-1", plain}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			namespace := newNamespace(t, webhooksOn)
			untilOperatorSees(t, create(t, namespace, tc.first.name, tc.first.spec))
			err := suite.client.Create(t.Context(), newSet(t, namespace, tc.second.name, tc.second.spec))
			switch {
			case tc.want != nil:
				tc.want.check(t, err)
			case err != nil:
				t.Errorf("%s next to %s: %v", tc.second.name, tc.first.name, err)
			}
		})
	}
}

// TestSiblingsInTheWayOfEdits checks that an edit that makes names collide is refused, and no other one.
func TestSiblingsInTheWayOfEdits(t *testing.T) {
	namespace := newNamespace(t, webhooksOn)
	child := create(t, namespace, "a-1", `{}`)
	parent := create(t, namespace, "a", `{replicas: 1, leaderWorkerTemplate: {size: 2}}`)
	untilOperatorSees(t, child)
	untilOperatorSees(t, parent)

	collides := refusal{"spec.replicas", `LeaderWorkerSet "a-1" has the name of one of these groups`}
	collides.check(t, edit(t, parent, `{replicas: 2}`))
	collides.check(t, edit(t, parent, `{rolloutStrategy: {rollingUpdateConfiguration: {maxSurge: 1}}}`))
	if err := edit(t, parent, `{leaderWorkerTemplate: {size: 1}, replicas: 5}`); err != nil {
		t.Errorf("without workers nothing collides: %v", err)
	}
	collides.check(t, edit(t, parent, `{leaderWorkerTemplate: {size: 2}}`))
	collides.check(t, edit(t, parent, `{networkConfig: {subdomainPolicy: UniquePerReplica}}`))
	if err := edit(t, child, `{leaderWorkerTemplate: {size: 3}}`); err != nil {
		t.Errorf("an edit of the child: %v", err)
	}
}

// TestScaleIntoSibling checks that a collision that the scale subresource brought about, which no webhook sees, doesn't stand in the
// way of other edits, those that end it included.
func TestScaleIntoSibling(t *testing.T) {
	namespace := newNamespace(t, webhooksOn)
	child := create(t, namespace, "a-1", `{}`)
	parent := create(t, namespace, "a", `{replicas: 1, leaderWorkerTemplate: {size: 2}}`)
	if err := scaleTo(t, parent, 2); err != nil {
		t.Fatal(err)
	}
	for _, set := range []client.Object{child, parent} {
		current := read(t, set)
		untilOperatorSees(t, current)
		for _, change := range []string{`{startupPolicy: LeaderReady}`, `{leaderWorkerTemplate: {workerTemplate: {spec: {hostNetwork: true}}}}`} {
			if err := edit(t, set, change); err != nil {
				t.Errorf("%s: edit %s: %v", set.GetName(), change, err)
			}
		}
	}
	if err := edit(t, parent, `{replicas: 1}`); err != nil {
		t.Errorf("scaling down again: %v", err)
	}
}

// TestSiblingThatIsDeleted checks that a set which is about to be gone is in nobody's way.
func TestSiblingThatIsDeleted(t *testing.T) {
	namespace := newNamespace(t, webhooksOn)
	parent := newSet(t, namespace, "a", `{leaderWorkerTemplate: {size: 2}}`)
	parent.SetFinalizers([]string{"example.com/wait"})
	if err := suite.client.Create(t.Context(), parent); err != nil {
		t.Fatal(err)
	}
	if err := suite.client.Delete(t.Context(), parent); err != nil {
		t.Fatal(err)
	}
	untilOperatorSees(t, read(t, parent))
	create(t, namespace, "a-0", `{}`)
}
