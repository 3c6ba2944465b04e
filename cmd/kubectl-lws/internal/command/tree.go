// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"github.com/spf13/cobra"

	"github.com/leaderworkerset/lws-operator/cmd/kubectl-lws/internal/screen"
)

func (p *plugin) tree() *cobra.Command {
	return &cobra.Command{
		Use:               "tree NAME",
		Short:             "Show the objects of a set, each below its owner",
		Args:              setArgs(1, 1),
		ValidArgsFunction: p.completeSet,
		RunE: func(cmd *cobra.Command, args []string) error {
			_, set, err := p.read(cmd, args[0])
			if err != nil {
				return err
			}
			return screen.Tree(p.Out, set, p.style())
		},
	}
}
