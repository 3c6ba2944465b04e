// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/leaderworkerset/lws-operator/cmd/kubectl-lws/internal/view"
)

func (p *plugin) restart() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "restart NAME INDEX...",
		Short: "Recreate groups now, whatever the budget; also those without restarts left",
		Long: "Recreate groups now, whatever the budget of the rolling update: the leader pod is deleted, if it still is " +
			"the one that was seen. A group that has no restarts left begins to count anew. To restart all groups one " +
			"after the other, use rollout restart.",
		Example:           "  kubectl lws restart llama 1",
		Args:              setArgs(2, -1),
		ValidArgsFunction: p.completeSetAndGroups,
	}
	dryRun := addDryRun(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		dry, err := isDryRun(*dryRun)
		if err != nil {
			return err
		}
		server, set, err := p.read(cmd, args[0])
		if err != nil {
			return err
		}
		groups, err := restartable(set, args[1:])
		if err != nil {
			return err
		}
		for _, group := range groups {
			if err := server.DeleteLeader(cmd.Context(), group.Leader, dry); err != nil {
				return err
			}
			if err := p.say(fmt.Sprintf("group %d restarted: pod %q deleted", group.Index, group.Leader.Name), dry); err != nil {
				return err
			}
		}
		return nil
	}
	return cmd
}

// restartable returns the groups that arguments name. All of them have to exist: otherwise none is restarted.
func restartable(set *view.Set, arguments []string) ([]*view.Group, error) {
	var groups []*view.Group
	for _, argument := range arguments {
		group, err := groupOf(set, argument)
		if err != nil {
			return nil, err
		}
		if group.Leader == nil {
			return nil, fmt.Errorf("group %d has no leader pod: it can't be restarted", group.Index)
		}
		groups = append(groups, group)
	}
	return groups, nil
}
