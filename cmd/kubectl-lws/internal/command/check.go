// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"github.com/spf13/cobra"

	"github.com/leaderworkerset/lws-operator/cmd/kubectl-lws/internal/preflight"
	"github.com/leaderworkerset/lws-operator/cmd/kubectl-lws/internal/screen"
)

func (p *plugin) check() *cobra.Command {
	var takeover bool
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Check that the cluster runs LeaderWorkerSets, and what you may do",
		Long: "Check the versions, the kind, the operator, its webhooks, and that no other controller runs. The exit code " +
			"is 1 if a check fails. A check is unknown if you may not read what it looks at.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			server, namespace, err := p.connect()
			if err != nil {
				return err
			}
			facts, err := server.Facts(cmd.Context(), namespace, p.now())
			if err != nil {
				return err
			}
			results := preflight.Run(facts, takeover)
			if err := screen.Check(p.Out, results, p.style()); err != nil {
				return err
			}
			if preflight.HasFailed(results) {
				return errFailed
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&takeover, "takeover", false, "List the sets that use what the operator doesn't support.")
	return cmd
}
