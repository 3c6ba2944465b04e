// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package security

import (
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
)

// right is the smallest part of a role: one verb for one resource.
type right struct {
	verb, group, resource string
	// names are the only objects that the right holds for; it holds for all if there are none.
	names string
}

// String returns the right as a readable line, like "get pods" or "get leases.coordination.k8s.io".
func (r right) String() string {
	text := r.verb + " " + r.resource
	if r.group != "" {
		text += "." + r.group
	}
	return text
}

// saidBy reports whether a log has the words of the API server for a request that lacks the right. The admission plugin
// OwnerReferencesPermissionEnforcement has words of its own.
func (r right) saidBy(log string) bool {
	switch {
	case strings.HasSuffix(r.resource, "/finalizers"):
		return strings.Contains(log, "cannot set blockOwnerDeletion if an ownerReference refers to a resource you can't set "+
			"finalizers on")
	case r.verb == "delete" && strings.Contains(log, "cannot set an ownerRef on a resource you can't delete"):
		return true
	default:
		return strings.Contains(log, fmt.Sprintf("cannot %s resource %q in API group %q", r.verb, r.resource, r.group))
	}
}

// rightsOf returns every right of a role. Rights for URLs aren't the operator's: no role of it has one.
func rightsOf(rules []rbacv1.PolicyRule) []right {
	var all []right
	for _, rule := range rules {
		for _, group := range rule.APIGroups {
			for _, resource := range rule.Resources {
				for _, verb := range rule.Verbs {
					all = append(all, right{verb, group, resource, strings.Join(rule.ResourceNames, ",")})
				}
			}
		}
	}
	return all
}

// without returns the rules of a role without one right.
func without(rules []rbacv1.PolicyRule, dropped right) []rbacv1.PolicyRule {
	var left []rbacv1.PolicyRule
	for _, kept := range rightsOf(rules) {
		if kept == dropped {
			continue
		}
		rule := rbacv1.PolicyRule{
			APIGroups: []string{kept.group}, Resources: []string{kept.resource}, Verbs: []string{kept.verb},
		}
		if kept.names != "" {
			rule.ResourceNames = strings.Split(kept.names, ",")
		}
		left = append(left, rule)
	}
	return left
}

// sortedRoles returns the names of roles, sorted.
func sortedRoles(roles map[string][]rbacv1.PolicyRule) []string {
	names := make([]string, 0, len(roles))
	for name := range roles {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
