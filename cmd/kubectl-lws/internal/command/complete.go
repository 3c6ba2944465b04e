// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"

	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/identity"
)

// completeSet completes the name of a set.
func (p *plugin) completeSet(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	server, namespace, err := p.connect()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	sets, err := server.Sets(cmd.Context(), namespace, "")
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var names []string
	for i := range sets.Items {
		names = append(names, sets.Items[i].Name)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// maxCompleted bounds how many groups a completion offers.
const maxCompleted = 200

// completeSetAndGroups completes the name of a set, and then indices of its groups.
func (p *plugin) completeSetAndGroups(
	cmd *cobra.Command, args []string, typed string,
) ([]string, cobra.ShellCompDirective) {
	if len(args) == 0 {
		return p.completeSet(cmd, args, typed)
	}
	return p.completeGroups(cmd, args, typed)
}

// completeGroups completes an index of a group of the set that the first argument names.
func (p *plugin) completeGroups(
	cmd *cobra.Command, args []string, _ string,
) ([]string, cobra.ShellCompDirective) {
	server, namespace, err := p.connect()
	if err != nil || len(args) == 0 {
		return nil, cobra.ShellCompDirectiveError
	}
	lws, err := server.Set(cmd.Context(), namespace, trimKind(args[0]))
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	lws.Default()
	var indices []string
	for index := range min(*lws.Spec.Replicas, maxCompleted) {
		indices = append(indices, identity.FormatIndex(index))
	}
	return indices, cobra.ShellCompDirectiveNoFileComp
}

// completeNamespaces completes the flag -n of all verbs.
func (p *plugin) completeNamespaces(root *cobra.Command) {
	names := func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		server, _, err := p.connect()
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		var namespaces corev1.NamespaceList
		if err := server.List(cmd.Context(), &namespaces); err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		var found []string
		for i := range namespaces.Items {
			found = append(found, namespaces.Items[i].Name)
		}
		return found, cobra.ShellCompDirectiveNoFileComp
	}
	_ = root.RegisterFlagCompletionFunc("namespace", names) // It fails for flags that don't exist only.
}
