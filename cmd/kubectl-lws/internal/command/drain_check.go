// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"fmt"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/leaderworkerset/lws-operator/cmd/kubectl-lws/internal/screen"
	"github.com/leaderworkerset/lws-operator/cmd/kubectl-lws/internal/view"
)

func (p *plugin) drainCheck() *cobra.Command {
	return &cobra.Command{
		Use:   "drain-check NODE...",
		Short: "Show which groups a drain of nodes takes down, and which budgets hold it",
		Long: "Show which groups a drain of nodes takes down, and which budgets hold it. It looks at all namespaces, or, " +
			"without that right, at the one of the command.",
		Example:           "  kubectl lws drain-check gpu-05 gpu-06",
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: p.completeNodes,
		RunE: func(cmd *cobra.Command, args []string) error {
			server, namespace, err := p.connect()
			if err != nil {
				return err
			}
			names, everywhere, err := server.SetsOn(cmd.Context(), namespace, args)
			if err != nil {
				return err
			}
			if !everywhere {
				_, _ = fmt.Fprintf(p.ErrOut, "Warning: you may list pods in namespace %s only: it shows no others\n", namespace)
			}
			var sets []*view.Set
			for _, name := range names {
				objects, err := server.Objects(cmd.Context(), name.Namespace, name.Name)
				if apierrors.IsNotFound(err) {
					continue // The set was deleted, and its pods stayed.
				}
				if err != nil {
					return err
				}
				sets = append(sets, view.New(objects, p.now()))
			}
			drained := view.Drain(sets, args)
			if len(drained) == 0 {
				_, err := fmt.Fprintln(p.Out, "No group has pods on these nodes.")
				return err
			}
			return screen.Drain(p.Out, drained, p.style())
		},
	}
}

// completeNodes completes the names of nodes, for those who may list them.
func (p *plugin) completeNodes(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	server, _, err := p.connect()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var nodes corev1.NodeList
	if err := server.List(cmd.Context(), &nodes); err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var names []string
	for i := range nodes.Items {
		names = append(names, nodes.Items[i].Name)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
