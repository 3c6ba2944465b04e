// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	appsv1 "k8s.io/api/apps/v1"

	"github.com/leaderworkerset/lws-operator/cmd/kubectl-lws/internal/screen"
	"github.com/leaderworkerset/lws-operator/cmd/kubectl-lws/internal/view"
)

func (p *plugin) rolloutHistory() *cobra.Command {
	var number int64
	var diff bool
	cmd := &cobra.Command{
		Use:   "history NAME",
		Short: "Show the revisions of a set, and which groups are of which",
		Example: "  kubectl lws rollout history llama\n" +
			"  kubectl lws rollout history llama --revision=2\n" +
			"  kubectl lws rollout history llama --diff",
		Args:              setArgs(1, 1),
		ValidArgsFunction: p.completeSet,
	}
	cmd.Flags().Int64Var(&number, "revision", 0, "Show what is in this revision.")
	cmd.Flags().BoolVar(&diff, "diff", false,
		"Show what --revision, or else the revision before, has that the current one doesn't, and the other way round.")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		_, set, err := p.read(cmd, args[0])
		if err != nil {
			return err
		}
		if number == 0 && !diff {
			return screen.History(p.Out, set, p.style())
		}
		stored, err := revisionOf(set, number)
		if err != nil {
			return err
		}
		text, err := screen.RevisionText(stored)
		if diff {
			if set.Current == nil {
				return errors.New("the current revision isn't known yet")
			}
			text, err = screen.Diff(stored, set.Current, p.style())
		}
		if err == nil {
			_, err = fmt.Fprint(p.Out, text)
		}
		return err
	}
	return cmd
}

// revisionOf returns the revision of a number; 0 is the last one before the current one.
func revisionOf(set *view.Set, number int64) (*appsv1.ControllerRevision, error) {
	stored := set.Before(number)
	switch {
	case !set.Reads("controllerrevisions.apps"):
		return nil, errors.New("you may not read controllerrevisions.apps")
	case stored == nil && number == 0:
		return nil, errors.New("no rollout history found")
	case stored == nil:
		return nil, fmt.Errorf("unable to find specified revision %d in history", number)
	default:
		return stored, nil
	}
}
