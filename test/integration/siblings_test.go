// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"
)

// TestSiblings checks that two sets can't have children of the same name. The children of group 0 of set "a" have the
// name "a-0", and so has the leader StatefulSet of a set "a-0". Sets whose children have different names are accepted.
func TestSiblings(t *testing.T) {
	const (
		plain   = `{}`
		workers = `{replicas: 2, leaderWorkerTemplate: {size: 2}}`
		unique  = `{replicas: 2, networkConfig: {subdomainPolicy: UniquePerReplica}}`
		surging = `{replicas: 2, leaderWorkerTemplate: {size: 2}, ` +
			`rolloutStrategy: {rollingUpdateConfiguration: {maxSurge: 1}}}`
		none = `{replicas: 0, leaderWorkerTemplate: {size: 2}}`
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
		want          *refusal // nil if the API server accepts both
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
			untilCached(t, create(t, namespace, tc.first.name, tc.first.spec))
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

// TestEditsIntoSiblings checks that the webhook refuses an edit that makes names collide, and accepts other edits.
func TestEditsIntoSiblings(t *testing.T) {
	namespace := newNamespace(t, webhooksOn)
	child := create(t, namespace, "a-1", `{}`)
	parent := create(t, namespace, "a", `{replicas: 1, leaderWorkerTemplate: {size: 2}}`)
	untilCached(t, child)
	untilCached(t, parent)

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

// TestScaleIntoSibling makes names collide by the scale subresource, for which no webhook is called. The webhook
// accepts other edits of both sets, and the edit that ends the collision.
func TestScaleIntoSibling(t *testing.T) {
	namespace := newNamespace(t, webhooksOn)
	child := create(t, namespace, "a-1", `{}`)
	parent := create(t, namespace, "a", `{replicas: 1, leaderWorkerTemplate: {size: 2}}`)
	if err := scaleTo(t, parent, 2); err != nil {
		t.Fatal(err)
	}
	for _, set := range []client.Object{child, parent} {
		current := read(t, set)
		untilCached(t, current)
		for _, change := range []string{
			`{startupPolicy: LeaderReady}`,
			`{leaderWorkerTemplate: {workerTemplate: {spec: {hostNetwork: true}}}}`,
		} {
			if err := edit(t, set, change); err != nil {
				t.Errorf("%s: edit %s: %v", set.GetName(), change, err)
			}
		}
	}
	if err := edit(t, parent, `{replicas: 1}`); err != nil {
		t.Errorf("scaling down again: %v", err)
	}
}

// TestDeletedSibling checks that the name of a terminating set's group can be used.
func TestDeletedSibling(t *testing.T) {
	namespace := newNamespace(t, webhooksOn)
	parent := newSet(t, namespace, "a", `{leaderWorkerTemplate: {size: 2}}`)
	parent.SetFinalizers([]string{"example.com/wait"})
	if err := suite.client.Create(t.Context(), parent); err != nil {
		t.Fatal(err)
	}
	if err := suite.client.Delete(t.Context(), parent); err != nil {
		t.Fatal(err)
	}
	untilCached(t, read(t, parent))
	create(t, namespace, "a-0", `{}`)
}
