// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"fmt"

	"github.com/spf13/cobra"
	appsv1 "k8s.io/api/apps/v1"

	"github.com/leaderworkerset/lws-operator/cmd/kubectl-lws/internal/edit"
	"github.com/leaderworkerset/lws-operator/cmd/kubectl-lws/internal/screen"
	"github.com/leaderworkerset/lws-operator/cmd/kubectl-lws/internal/view"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/revision"
	"github.com/leaderworkerset/lws-operator/internal/controller/leaderworkerset/status"
)

func (p *plugin) rolloutUndo() *cobra.Command {
	var number int64
	cmd := &cobra.Command{
		Use:   "undo NAME",
		Short: "Go back to an earlier revision",
		Long: "Go back to an earlier revision. Everything that pods are created from is taken out of it. The rest of the " +
			"spec stays. Groups that still are of that revision aren't restarted.",
		Example: "  kubectl lws rollout undo llama --dry-run=server\n" +
			"  kubectl lws rollout undo llama --to-revision=2",
		Args:              setArgs(1, 1),
		ValidArgsFunction: p.completeSet,
	}
	cmd.Flags().Int64Var(&number, "to-revision", 0,
		"The revision to go back to. 0 is the last one before the current one.")
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
		target, err := revisionOf(set, number)
		if err != nil {
			return err
		}
		if target == set.Current {
			return p.say(fmt.Sprintf("leaderworkerset.leaderworkerset.x-k8s.io/%s skipped rollback "+
				"(current template already matches revision %d)", set.LWS.Name, target.Revision), false)
		}
		patch, err := edit.Undo(set.Objects.LWS, target)
		if err != nil {
			return err
		}
		if dry {
			if err := p.showUndo(set, target); err != nil {
				return err
			}
		}
		return p.apply(cmd.Context(), server, set, change{patch: patch, done: "rolled back"}, dry)
	}
	return cmd
}

// showUndo writes what going back to a revision changes, and which groups restart for it.
func (p *plugin) showUndo(set *view.Set, target *appsv1.ControllerRevision) error {
	if set.Current != nil {
		text, err := screen.Diff(set.Current, target, p.style())
		if err != nil {
			return err
		}
		if _, err := fmt.Fprint(p.Out, text); err != nil {
			return err
		}
	}
	restarted := undone(set, revision.Key(target))
	text := "No group restarts."
	if len(restarted) > 0 {
		text = fmt.Sprintf("Restarts %s; %d may be unavailable.", status.Groups(restarted), set.MaxUnavailable)
	}
	_, err := fmt.Fprintln(p.Out, "\n"+text)
	return err
}

// undone returns the indices of the groups that restart if the revision of a key is the current one.
func undone(set *view.Set, key string) []int32 {
	var restarted []int32
	for _, group := range set.Groups {
		if group.Leader != nil && group.Revision != key && group.Index >= set.Partition && !group.IsSurge {
			restarted = append(restarted, group.Index)
		}
	}
	return restarted
}
