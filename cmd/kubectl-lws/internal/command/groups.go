// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"slices"

	"github.com/spf13/cobra"

	"github.com/leaderworkerset/lws-operator/cmd/kubectl-lws/internal/screen"
	"github.com/leaderworkerset/lws-operator/cmd/kubectl-lws/internal/view"
)

func (p *plugin) groups() *cobra.Command {
	var unready, old bool
	cmd := &cobra.Command{
		Use:   "groups NAME",
		Short: "Show a line for each group",
		Long:  "Show a line for each group. In formats for programs, the leader pods stand for the groups.",
		Example: "  kubectl lws groups llama --unready\n" +
			"  kubectl lws groups llama --old -o name",
		Args:              setArgs(1, 1),
		ValidArgsFunction: p.completeSet,
	}
	cmd.Flags().BoolVar(&unready, "unready", false, "Show only groups that aren't ready, or have no restarts left.")
	cmd.Flags().BoolVar(&old, "old", false, "Show only groups of an earlier revision.")
	format := newOutput(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		_, set, err := p.read(cmd, args[0])
		if err != nil {
			return err
		}
		shown := slices.DeleteFunc(slices.Clone(set.Groups), func(group view.Group) bool {
			return (unready && group.Reason == "") || (old && (group.Leader == nil || set.IsCurrent(group)))
		})
		if !format.isTable() {
			return format.objects(p, leaders(shown))
		}
		if len(shown) == 0 {
			return p.none(set.LWS.Namespace)
		}
		style := p.style()
		style.NoHeaders, style.Wide = format.noHeaders, *format.print.OutputFormat == wide
		return screen.Groups(p.Out, set, shown, style)
	}
	return cmd
}
