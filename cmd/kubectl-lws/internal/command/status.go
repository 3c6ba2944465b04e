// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"bytes"

	"github.com/spf13/cobra"

	"github.com/leaderworkerset/lws-operator/cmd/kubectl-lws/internal/screen"
	"github.com/leaderworkerset/lws-operator/cmd/kubectl-lws/internal/view"
)

func (p *plugin) status() *cobra.Command {
	var follow, exitCode bool
	cmd := &cobra.Command{
		Use:               "status NAME",
		Short:             "Show how a set is doing, group by group, and what it waits for",
		Example:           "  kubectl lws status llama -w",
		Args:              setArgs(1, 1),
		ValidArgsFunction: p.completeSet,
	}
	cmd.Flags().BoolVarP(&follow, "watch", "w", false, "Show again after each change.")
	cmd.Flags().BoolVar(&exitCode, "exit-code", false, "End with 1 unless all groups are ready and up to date.")
	format := newOutput(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		server, namespace, err := p.connect()
		if err != nil {
			return err
		}
		var last *view.Set
		shown := screens{out: p.Out, terminal: follow && p.isTerminal()}
		show := func() (bool, error) {
			objects, err := server.Objects(cmd.Context(), namespace, args[0])
			if err != nil {
				return false, err
			}
			last = view.New(objects, p.now())
			if !format.isTable() {
				return false, format.objects(p, objects.LWS)
			}
			style := p.style()
			style.NoHeaders, style.Wide = format.noHeaders, *format.print.OutputFormat == wide
			var text bytes.Buffer
			if err := screen.Status(&text, last, style); err != nil {
				return false, err
			}
			return false, shown.write(text.Bytes())
		}
		if follow {
			return p.follow(cmd.Context(), server, show, ofSet(namespace, args[0])...)
		}
		if _, err := show(); err != nil {
			return err
		}
		if exitCode && !isDone(last) {
			return errFailed
		}
		return nil
	}
	return cmd
}

// isDone reports whether all groups are ready, and of the revision that they ought to be of.
func isDone(set *view.Set) bool {
	state := set.State()
	return (state == view.StateAvailable || state == view.StateHeld) &&
		set.LWS.Status.ObservedGeneration >= set.LWS.Generation && len(set.Unready()) == 0
}
